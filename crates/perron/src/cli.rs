mod call;
mod cert;
mod digest;
mod transfer;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(crate) use self::cert::{Cert, Making};
use call::CALL_EXAMPLES;
pub(crate) use call::{Call, Tls, Wanted};
use digest::DIGEST_EXAMPLES;
pub(crate) use digest::Digest;
use transfer::{EXPORT_EXAMPLES, IMPORT_EXAMPLES};
pub(crate) use transfer::{Export, Import, Way};

const ABOUT: &str = "The front door of a computing cluster: one URL over many servers.";

const AFTER: &str = "\
Try it:
  perron demo                          a whole cluster on this machine, to play with
  perron run                           this folder on http://127.0.0.1:8080
  perron check -c /etc/perron --explain
  perron run -c /etc/perron

Exit status: 0 fine, 1 failed, 2 wrong usage or configuration.";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "perron", version, about = ABOUT, after_help = AFTER, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve what the configuration says, until SIGTERM or `perron stop`.
    ///
    /// SIGHUP and `perron reload` read the configuration anew without losing a request, SIGUSR1 reopens the access
    /// log, SIGUSR2 and `perron upgrade` put the installed version of the program in the place of the running one, a second SIGTERM does not wait for requests that are under way.
    #[command(after_help = RUN_EXAMPLES)]
    Run(Run),
    /// Say whether a configuration is right, and what to write where it is not.
    #[command(after_help = CHECK_EXAMPLES)]
    Check(Check),
    /// Show the frontends, backends, servers and vips of the running service.
    #[command(after_help = STATUS_EXAMPLES)]
    Status(Status),
    /// Show who has how much traffic, anew each second: rates, bytes, latency, errors, the busiest first.
    #[command(after_help = TOP_EXAMPLES)]
    Top(Top),
    /// Show what happened and why: starts, reloads, deaths, servers up and down, administrators' commands.
    #[command(after_help = EVENTS_EXAMPLES)]
    Events(Events),
    /// Take a server out of its backend or bring it back, or change its share.
    #[command(subcommand, after_help = SERVER_EXAMPLES)]
    Server(Server),
    /// Show the addresses that move between directors, give one away, keep it away, or let it move again.
    #[command(subcommand, after_help = VIP_EXAMPLES)]
    Vip(Vip),
    /// Have the running service read its configuration anew. What is wrong is shown here, and nothing changes then.
    Reload(Client),
    /// Have another version of the program take the place of the running one, without losing a request.
    #[command(after_help = UPGRADE_EXAMPLES)]
    Upgrade(Upgrade),
    /// Have the running service finish its requests and end.
    Stop(Client),
    /// Ask a server whose answer is a stream of messages: show progress as it comes, and end as the result says.
    #[command(after_help = CALL_EXAMPLES)]
    Call(Call),
    /// Send a file to a server that takes files in, over breaks, and verify it.
    #[command(after_help = EXPORT_EXAMPLES)]
    Export(Export),
    /// Fetch a file in parallel parts, over breaks, and verify it.
    #[command(after_help = IMPORT_EXAMPLES)]
    ImportData(Import),
    /// Record failovers as the network sees them, or read a recording, and say of each packet what it means.
    #[command(after_help = CAPTURE_EXAMPLES)]
    Capture(Capture),
    /// Print the digests of a page, one of which a check can want of it.
    #[command(after_help = DIGEST_EXAMPLES)]
    Digest(Digest),
    /// Make an authority of one's own, certificates of servers and clients, and say what certificates say.
    #[command(subcommand, after_help = cert::EXAMPLES)]
    Cert(Cert),
    /// Start a whole cluster on this machine to play with: two directors, three origins, a small load.
    #[command(after_help = DEMO_EXAMPLES)]
    Demo(Demo),
    /// Print a shell's completions.
    #[command(after_help = "Example:\n  perron completions bash > /etc/bash_completion.d/perron")]
    Completions {
        /// Whose.
        shell: Shell,
    },
    /// Write the manual pages into a folder.
    #[command(after_help = "Example:\n  perron man /usr/local/share/man/man1")]
    Man {
        /// The folder, which is made if it is missing.
        folder: PathBuf,
    },
    /// The process that carries the traffic; the supervisor starts it.
    #[command(hide = true)]
    Serve,
    /// The process that moves addresses; the supervisor starts it.
    #[command(hide = true)]
    Network,
    /// A FastCGI application that runs a program for each request; the supervisor starts it.
    #[command(hide = true)]
    CgiBridge(CgiBridge),
}

/// `perron cgi-bridge`.
#[derive(Debug, Args)]
pub(crate) struct CgiBridge {
    /// The folder of the programs.
    #[arg(long, required_unless_present = "script")]
    pub(crate) root: Option<PathBuf>,
    /// The only program.
    #[arg(long, conflicts_with = "root")]
    pub(crate) script: Option<PathBuf>,
    /// How long one may take, in milliseconds.
    #[arg(long)]
    pub(crate) timeout_ms: u64,
    /// How many run at once.
    #[arg(long)]
    pub(crate) max_processes: u32,
    /// Address space of each, in bytes.
    #[arg(long)]
    pub(crate) memory: Option<u64>,
    /// Open descriptors of each.
    #[arg(long)]
    pub(crate) files: u64,
    /// Processor time of each, in seconds.
    #[arg(long)]
    pub(crate) cpu_seconds: Option<u64>,
}

const RUN_EXAMPLES: &str = "\
Examples:
  perron run                           this folder on port 8080 of 127.0.0.1, a dashboard on 7070
  perron run -c site.toml              one file
  perron run -c /etc/perron            every *.toml of a folder
  perron run -c site.toml --without vip    leave out the addresses that move";

/// `perron run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) config: ConfigPath,
    #[command(flatten)]
    pub(crate) control: Control,
    /// Leave out a kind of part that the configuration has, such as `vip`: one that this version cannot run yet, or that another program does.
    #[arg(long, value_name = "PART")]
    pub(crate) without: Vec<String>,
    /// End when the process that started this one dies.
    #[arg(long, hide = true)]
    pub(crate) end_with_parent: bool,
    /// Take over the service whose state this descriptor holds.
    #[arg(long, hide = true, value_name = "FD")]
    pub(crate) take_over: Option<i32>,
    /// Say whether the service whose state comes on standard input could be taken over, and end.
    #[arg(long, hide = true)]
    pub(crate) rehearse: bool,
}

const CHECK_EXAMPLES: &str = "\
Examples:
  perron check -c site.toml
  perron check -c /etc/perron --explain    also every default that applies
  perron check --explain                   what `perron run` does without a configuration";

/// `perron check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) config: ConfigPath,
    /// Show every default that applies.
    #[arg(long)]
    pub(crate) explain: bool,
    /// Look at the text alone, not at the files of certificates and keys that it names: for a machine without them.
    #[arg(long)]
    pub(crate) text_only: bool,
    /// Answer in JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

const STATUS_EXAMPLES: &str = "\
Examples:
  perron status
  perron status --watch                anew each second
  perron status --json | jq '.backends[].servers[] | select(.status != \"up\")'";

/// `perron status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// A part of it, with more detail.
    #[arg(value_enum)]
    pub(crate) part: Option<StatusPart>,
    #[command(flatten)]
    pub(crate) client: Client,
    /// Answer in JSON; with --watch, one object a line.
    #[arg(long)]
    pub(crate) json: bool,
    /// Show it anew each second until Ctrl-C: states and totals. `perron top` shows rates.
    #[arg(long)]
    pub(crate) watch: bool,
}

/// What `perron status` shows alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatusPart {
    /// What the kernel forwards: services, servers, weights, connections.
    Forward,
}

const TOP_EXAMPLES: &str = "\
Examples:
  perron top                           until Ctrl-C
  perron top --once                    one look, over one second
  perron top --json | jq -r '.rows[] | select(.errors > 0) | .name'

Rates are of the last second. p95: 95 of 100 requests that ended in it took no longer.";

/// `perron top`.
#[derive(Debug, Args)]
pub(crate) struct Top {
    #[command(flatten)]
    pub(crate) client: Client,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
    /// One look, over one second.
    #[arg(long)]
    pub(crate) once: bool,
}

const UPGRADE_EXAMPLES: &str = "\
Examples:
  perron upgrade                       what is installed now where the running one was started from
  perron upgrade --binary ./perron     this one

The process id stays, sockets stay open, and requests under way are finished. The configuration is read anew, as at a \
reload, by both versions: bring in words that only the new one knows by a reload afterwards. A program that does not run, \
does not accept the configuration or cannot take over is refused, and nothing has changed. Until the upgrade, what is \
started again is the version that runs, also when another is installed already.";

/// `perron upgrade`.
#[derive(Debug, Args)]
pub(crate) struct Upgrade {
    #[command(flatten)]
    pub(crate) client: Client,
    /// The program, instead of the one that the running service was started from; only for root and the service's user.
    #[arg(long, value_name = "PATH")]
    pub(crate) binary: Option<PathBuf>,
}

const EVENTS_EXAMPLES: &str = "\
Examples:
  perron events                        the last 50
  perron events --since 10m            those of the last ten minutes
  perron events --follow               and those to come, until Ctrl-C
  perron events --json --since 1h | jq -r 'select(.kind == \"server-down\") | .subject'

The service keeps the last few thousand, across reloads, until it ends.";

/// `perron events`.
#[derive(Debug, Args)]
pub(crate) struct Events {
    #[command(flatten)]
    pub(crate) client: Client,
    /// Only those of this time until now, such as 90s, 10m or 2d.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) since: Option<Duration>,
    /// At most the last N of what happened already [default: 50, or all with --since].
    #[arg(short = 'n', long = "lines", value_name = "N")]
    pub(crate) lines: Option<usize>,
    /// Show what happens from now on as well.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

const SERVER_EXAMPLES: &str = "\
Examples:
  perron server drain web/alpha        it finishes what it has and gets nothing new; checks go on
  perron server maintenance web/alpha  neither requests nor checks
  perron server ready web/alpha        as before
  perron server weight web/alpha 20    its share beside the others' weights; 0: nothing new

What is set here lasts until the service ends, across reloads.";

/// `perron server …`.
#[derive(Debug, Subcommand)]
pub(crate) enum Server {
    /// Let it finish what it has; give it nothing new.
    Drain(ServerName),
    /// Give it nothing, and do not check it.
    Maintenance(ServerName),
    /// Let it serve again when its checks pass.
    Ready(ServerName),
    /// Change its share.
    Weight {
        #[command(flatten)]
        name: ServerName,
        /// 0 to 65535, beside the other servers' weights; 0: nothing new.
        weight: u16,
    },
}

/// Which server, and of which service.
#[derive(Debug, Args)]
pub(crate) struct ServerName {
    /// Its backend's name and its own, as `perron status` shows them.
    #[arg(value_name = "BACKEND/SERVER", value_parser = parse_server)]
    pub(crate) server: (String, String),
    #[command(flatten)]
    pub(crate) client: Client,
}

const VIP_EXAMPLES: &str = "\
Examples:
  perron vip list                      who has each address, since when and why
  perron vip list --json | jq '.vips[] | select(.diagnosis != [])'
  perron vip give-up api               another director takes it; back here only if none has it
  perron vip give-up                   all of them: this director is to rest
  perron vip hold api                  it is not to be here at all, whatever becomes of the others
  perron vip resume api                as it is configured

What is said here lasts until `resume` or the service's end, across reloads, upgrades and deaths of its processes. \
`perron events` tells when and why an address moved, `perron capture` what the network saw of it.";

/// `perron vip …`.
#[derive(Debug, Subcommand)]
pub(crate) enum Vip {
    /// Show the addresses that move between directors.
    List {
        #[command(flatten)]
        client: Client,
        /// Answer in JSON.
        #[arg(long)]
        json: bool,
    },
    /// Give a vip to another director, and say who has it then. It comes back only when no other has it.
    GiveUp(VipName),
    /// Give a vip away and do not take it back, even if no other director has it.
    Hold(VipName),
    /// Let a vip move as it is configured.
    Resume(VipName),
}

/// Which vip, and of which service.
#[derive(Debug, Args)]
pub(crate) struct VipName {
    /// Its name, as `perron vip list` shows it; without one: all.
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) client: Client,
}

const CAPTURE_EXAMPLES: &str = "\
Examples:
  perron capture -i eth0               tell what happens on eth0, until Ctrl-C
  perron capture -i eth0 -w failover.pcapng --vip 10.0.0.9
  perron capture --read failover.pcap -w commented.pcapng
  perron capture -i eth0 --check 10.0.0.21:80 --include vrrp,checks
  tshark -r failover.pcapng -Y frame.comment -T fields -e frame.number -e frame.comment

Recorded are adverts of VRRP, ARP and neighbour discovery, the name service, and connections to the servers that are \
named; of those the first 256 bytes of each packet. What adverts mean is decided by the code that also runs the virtual \
routers. A line without a packet's number says what should have come and has not; times are UTC. Recording needs root or \
CAP_NET_RAW. A password of VRRP version 2 is in the file as it was on the wire.";

/// `perron capture`.
#[derive(Debug, Args)]
pub(crate) struct Capture {
    /// Record from this interface; more than once for several [default: all but lo].
    #[arg(short, long = "interface", value_name = "NAME")]
    pub(crate) interfaces: Vec<String>,
    /// Read this file, pcap or pcapng, instead of recording; `-` for standard input.
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["interfaces", "duration"])]
    pub(crate) read: Option<PathBuf>,
    /// Write the packets with their comments into this file, as pcapng.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
    /// Only what is about this address; more than once for several.
    #[arg(long = "vip", value_name = "ADDRESS")]
    pub(crate) vips: Vec<IpAddr>,
    /// Only the virtual router of this number; more than once for several.
    #[arg(long = "router-id", value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) routers: Vec<u8>,
    /// Only these kinds of traffic, separated by commas [default: all].
    #[arg(long, value_name = "KIND", value_enum, value_delimiter = ',')]
    pub(crate) include: Vec<Topic>,
    /// Also connections to this server, as its checks make them; more than once for several.
    #[arg(long = "check", value_name = "ADDRESS:PORT")]
    pub(crate) servers: Vec<SocketAddr>,
    /// Also connections to the servers that this configuration has checked.
    #[arg(short, long, value_name = "FILE|FOLDER")]
    pub(crate) config: Option<PathBuf>,
    /// End after this time, such as 90s or 10m.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) duration: Option<Duration>,
    /// End after so many packets of these kinds.
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Kinds of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Topic {
    /// Adverts.
    Vrrp,
    /// ARP and neighbour discovery.
    Arp,
    /// The name service.
    Dns,
    /// Connections to the servers that --check and --config name.
    Checks,
}

const DEMO_EXAMPLES: &str = "\
Examples:
  perron demo                          until Ctrl-C
  perron demo --seconds 30             for half a minute";

/// `perron demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// End after so many seconds; without, at Ctrl-C.
    #[arg(long, value_name = "N")]
    pub(crate) seconds: Option<u64>,
}

/// Where the configuration is.
#[derive(Debug, Args)]
pub(crate) struct ConfigPath {
    /// A file, or a folder of which every *.toml is read.
    #[arg(short, long, value_name = "FILE|FOLDER")]
    pub(crate) config: Option<PathBuf>,
}

/// Where the control socket is.
#[derive(Debug, Args)]
pub(crate) struct Control {
    /// The control socket [default: /run/perron/control.sock as root, else in $XDG_RUNTIME_DIR/perron or /tmp/perron-UID].
    #[arg(long, value_name = "PATH")]
    pub(crate) control: Option<PathBuf>,
}

/// A command to a running service.
#[derive(Debug, Args)]
pub(crate) struct Client {
    #[command(flatten)]
    pub(crate) control: Control,
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    units::parse_duration(text).map_err(|error| error.to_string())
}

fn parse_server(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((backend, server)) if !backend.is_empty() && !server.is_empty() => {
            Ok((backend.to_owned(), server.to_owned()))
        }
        _ => Err("write BACKEND/SERVER, such as web/alpha".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_server_is_named_by_its_backend_and_itself() {
        assert_eq!(parse_server("web/a/b"), Ok(("web".to_owned(), "a/b".to_owned())));
        for wrong in ["web", "web/", "/alpha", ""] {
            assert!(parse_server(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn parts_can_be_left_out_one_by_one() {
        let cli = Cli::try_parse_from(["perron", "run", "--without", "vip", "--without", "boot"]);
        let Command::Run(run) = cli.unwrap().command else { panic!("not run") };
        assert_eq!(run.without, ["vip", "boot"]);
    }

    #[test]
    fn weights_beyond_65535_are_wrong_usage() {
        let parse = |weight| Cli::try_parse_from(["perron", "server", "weight", "web/a", weight]);
        assert!(parse("65535").is_ok());
        assert_eq!(parse("65536").unwrap_err().exit_code(), 2);
    }
}
