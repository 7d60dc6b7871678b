//! `perron capture`: what crate `capture` explains, from interfaces or a file to the terminal and a file.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Read};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use capture::{
    Event, Explainer, Interface, Kind, Link, Packet, Reader, Recorder, Scope, Topics, Verdict, Wake, Writer,
};
use config::Sources;
use rustix::event::{EventfdFlags, eventfd};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use units::{Instant, Utc};
use vrrp_proto::Vrid;

use super::print;
use crate::cli::{Capture, Topic};

/// Packets that are taken one after another before what was written is handed on and signals are looked for.
const BATCH: usize = 1024;

/// Between two lines of progress.
const PROGRESS_PACKETS: u64 = 100_000;

/// `perron capture`.
pub(crate) fn capture(options: &Capture) -> anyhow::Result<ExitCode> {
    let mut servers = options.servers.clone();
    if let Some(path) = &options.config {
        match configured(path)? {
            Ok(more) => servers.extend(more),
            Err(code) => return Ok(code),
        }
    }
    servers.sort_unstable();
    servers.dedup();
    let scope = Scope {
        routers: options.routers.iter().filter_map(|&number| Vrid::new(number)).collect(),
        addresses: options.vips.clone(),
        servers,
        topics: topics(&options.include),
    };
    let out = match &options.write {
        Some(path) => Some(create(path, options.read.as_deref())?),
        None => None,
    };
    let asks_for_all = options.include.is_empty() && options.routers.is_empty() && options.vips.is_empty();
    let mut session = Session {
        options,
        explainer: Explainer::new(scope.clone()),
        out,
        keeps_others: options.read.is_some() && asks_for_all,
        names: BTreeMap::new(),
        kept: 0,
        commented: 0,
        lost: 0,
    };
    let ended = match &options.read {
        Some(path) => session.read(path),
        None => session.record(&scope),
    };
    session.flush()?;
    ended?;
    session.conclude();
    Ok(ExitCode::SUCCESS)
}

/// Servers of a configuration that are checked, or the exit code of a wrong one.
fn configured(path: &Path) -> anyhow::Result<Result<Vec<SocketAddr>, ExitCode>> {
    let sources = Sources::read(path)?;
    let loaded = match config::load(&sources) {
        Ok(loaded) => loaded,
        Err(wrong) => {
            eprint!("{wrong}");
            return Ok(Err(ExitCode::from(2)));
        }
    };
    let checks = loaded.config.checks.iter().flatten().flatten();
    let addresses = checks.filter_map(|check| match &check.target {
        check::Target::Ip(address) => Some(*address),
        _ => None,
    });
    Ok(Ok(addresses.collect()))
}

fn topics(include: &[Topic]) -> Topics {
    if include.is_empty() {
        return Topics::default();
    }
    let has = |topic| include.contains(&topic);
    Topics { vrrp: has(Topic::Vrrp), arp: has(Topic::Arp), dns: has(Topic::Dns), checks: has(Topic::Checks) }
}

fn create(path: &Path, read: Option<&Path>) -> anyhow::Result<Out> {
    if let Some(read) = read
        && let (Ok(read), Ok(path)) = (fs::canonicalize(read), fs::canonicalize(path))
        && read == path
    {
        bail!("{} is the file that is read: write another", path.display());
    }
    let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
    let writer = Writer::new(BufWriter::new(file)).with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(Out { writer, numbers: BTreeMap::new() })
}

/// The file that is written.
struct Out {
    writer: Writer<BufWriter<File>>,
    /// Its interfaces' numbers; one is added with its first packet, which tells what it begins with.
    numbers: BTreeMap<(u32, Link), u32>,
}

impl Out {
    fn packet(&mut self, interface: &Interface, packet: &Packet<'_>, verdict: &Verdict) -> io::Result<()> {
        let key = (packet.interface, interface.link);
        let number = match self.numbers.get(&key) {
            Some(&number) => number,
            None => {
                let number = self.writer.interfaces();
                self.writer.interface(interface)?;
                self.numbers.insert(key, number);
                number
            }
        };
        let comment = match verdict {
            Verdict::Comment(comment) => Some(comment.as_str()),
            Verdict::Plain | Verdict::Other => None,
        };
        self.writer.packet(&Packet { interface: number, ..*packet }, comment)
    }
}

struct Session<'a> {
    options: &'a Capture,
    explainer: Explainer,
    out: Option<Out>,
    /// A file that is read is kept whole, with comments, if nothing was asked for in particular.
    keeps_others: bool,
    /// Names of interfaces by their number, once there was a packet.
    names: BTreeMap<u32, String>,
    kept: u64,
    commented: u64,
    lost: u64,
}

impl Session<'_> {
    fn read(&mut self, path: &Path) -> anyhow::Result<()> {
        let name = path.display();
        let file: Box<dyn Read + Send> = match path.to_str() {
            Some("-") => Box::new(io::stdin()),
            _ => Box::new(File::open(path).with_context(|| format!("{name} cannot be read"))?),
        };
        let mut reader = Reader::new(file).with_context(|| format!("{name} cannot be read"))?;
        for number in 1.. {
            if self.is_full() {
                break;
            }
            match reader.next_packet() {
                Ok(Some((interface, packet))) => self.packet(interface, &packet)?,
                Ok(None) => break,
                Err(error) => bail!("{name}: {error}; {} packets before that were read", number - 1),
            }
            if number % PROGRESS_PACKETS == 0 {
                eprintln!("perron: {number} packets");
            }
        }
        Ok(())
    }

    fn record(&mut self, scope: &Scope) -> anyhow::Result<()> {
        let stop = stopped_by_signals()?;
        let names = match self.options.interfaces.is_empty() {
            true => all_interfaces()?,
            false => self.options.interfaces.clone(),
        };
        let mut recorder = Recorder::open(&names, scope.topics, &scope.servers)?;
        eprintln!("perron: recording from {}; Ctrl-C ends it", names.join(", "));
        let end = self.options.duration.map(|duration| now() + duration);
        loop {
            let deadlines = self.explainer.deadline().into_iter().chain(end);
            let wake = recorder.wait(stop.as_fd(), deadlines.min().map(|at| at.since(now())))?;
            // What was captured until then is taken before anything is said to be missed.
            let time = now();
            let mut is_drained = false;
            for _ in 0..BATCH {
                if self.is_full() {
                    break;
                }
                match recorder.receive()? {
                    Some((interface, packet)) => self.packet(interface, &packet)?,
                    None => {
                        is_drained = true;
                        break;
                    }
                }
            }
            if is_drained {
                let mut events = Vec::new();
                self.explainer.handle_deadline(time, &mut events);
                self.show(&events)?;
            }
            self.flush()?;
            if wake == Wake::Stop || self.is_full() || end.is_some_and(|end| end <= time) {
                self.lost = recorder.lost();
                return Ok(());
            }
        }
    }

    fn is_full(&self) -> bool {
        self.options.count.is_some_and(|count| self.kept >= count)
    }

    fn packet(&mut self, interface: &Interface, packet: &Packet<'_>) -> anyhow::Result<()> {
        if let Some(name) = &interface.name {
            self.names.entry(packet.interface).or_insert_with(|| name.clone());
        }
        let mut events = Vec::new();
        let verdict = self.explainer.explain(interface.link, packet, self.keeps_others, &mut events);
        if self.keeps_others || verdict != Verdict::Other {
            self.kept += 1;
            self.commented += u64::from(matches!(verdict, Verdict::Comment(_)));
            if let Some(out) = &mut self.out {
                out.packet(interface, packet, &verdict).context("the file cannot be written")?;
            }
        }
        self.show(&events)
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        match &mut self.out {
            Some(out) => out.writer.flush().context("the file cannot be written"),
            None => Ok(()),
        }
    }

    fn show(&self, events: &[Event]) -> anyhow::Result<()> {
        let mut text = String::new();
        for event in events.iter().filter(|event| !event.is_routine) {
            text += &self.line(event);
        }
        if text.is_empty() { Ok(()) } else { print(&text) }
    }

    fn line(&self, event: &Event) -> String {
        let interface = self.names.get(&event.interface);
        if self.options.json {
            let line = json!({
                "time_unix_us": event.time.as_nanos() / 1000,
                "packet": event.packet,
                "interface": interface,
                "kind": event.kind.word(),
                "subject": event.subject,
                "text": event.text,
            });
            return format!("{line}\n");
        }
        let nanos = event.time.as_nanos();
        let utc = Utc::at(Duration::from_nanos(nanos));
        let time = format!("{:02}:{:02}:{:02}.{:06}", utc.hour, utc.minute, utc.second, nanos / 1000 % 1_000_000);
        let packet = event.packet.map(|packet| format!("#{packet}")).unwrap_or_default();
        let interface = interface.map(|name| format!("{name} ")).unwrap_or_default();
        let line = format!("{time} {packet:>6} {interface}{}: {}", event.subject, event.text);
        let is_alarming = matches!(event.kind, Kind::TwoActive | Kind::Conflict | Kind::Missed | Kind::Absent);
        match is_alarming && io::stdout().is_terminal() {
            true => format!("\x1b[33m{line}\x1b[0m\n"),
            false => line + "\n",
        }
    }

    fn conclude(&self) {
        let lost = match self.lost {
            0 => String::new(),
            lost => format!(", {lost} lost for they came too fast"),
        };
        let written = self.options.write.as_ref().map(|path| format!(", in {}", path.display())).unwrap_or_default();
        eprintln!("perron: {} packets, {} with a comment{written}{lost}", self.kept, self.commented);
    }
}

/// A descriptor that is readable once SIGINT or SIGTERM has come.
fn stopped_by_signals() -> anyhow::Result<OwnedFd> {
    let event = eventfd(0, EventfdFlags::CLOEXEC)?;
    let told = event.try_clone()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut interrupt, mut terminate) = {
        let _entered = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        // It takes the first of them at once.
        let _ = rustix::io::write(&told, &1_u64.to_ne_bytes());
    });
    Ok(event)
}

/// All interfaces but loopback.
fn all_interfaces() -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string("/proc/thread-self/net/dev").context("the interfaces cannot be listed")?;
    // Two lines of headings.
    let names = text.lines().skip(2).filter_map(|line| line.split(':').next()).map(|name| name.trim().to_owned());
    let names: Vec<String> = names.filter(|name| name != "lo").collect();
    if names.is_empty() {
        bail!("there is no interface but lo: name it with -i");
    }
    Ok(names)
}

fn now() -> Instant {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant::from_nanos(u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX))
}
