//! What is measured.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::ValueEnum;

use crate::config::{self, Balance, Service};
use crate::idle;
use crate::latency;
use crate::load::{self, Connections, Expected, Moved};
use crate::machine::{CORE, OTHER_CORE};
use crate::measure::{self, Outcome, Plan, Unit};
use crate::process::Running;
use crate::program::{Kind, Program};
use crate::secure::{self, Key};

const MIB: u64 = 1 << 20;

/// Kept connections of the cases of small requests.
pub(crate) const SMALL_CONNECTIONS: u32 = 64;

/// How long the application may take to listen.
const START_LIMIT: Duration = Duration::from_secs(5);

/// Servers to choose from.
const MANY_SERVERS: [u32; 3] = [10, 1000, 10_000];

/// Kept connections of the cases of large bodies.
const LARGE_CONNECTIONS: usize = 4;

/// A case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Case {
    #[value(name = "proxy-200")]
    Proxy200,
    #[value(name = "proxy-10k")]
    Proxy10k,
    #[value(name = "tcp-200")]
    Tcp200,
    #[value(name = "bulk-10m")]
    Bulk10m,
    #[value(name = "files-200")]
    Files200,
    #[value(name = "files-64k")]
    Files64k,
    #[value(name = "files-100m")]
    Files100m,
    #[value(name = "redirect")]
    Redirect,
    #[value(name = "proxy-512")]
    Proxy512,
    #[value(name = "latency")]
    Latency,
    #[value(name = "redirect-backend")]
    RedirectBackend,
    #[value(name = "redirect-fresh")]
    RedirectFresh,
    #[value(name = "choose-round-robin")]
    ChooseRoundRobin,
    #[value(name = "choose-least-connections")]
    ChooseLeastConnections,
    #[value(name = "choose-bandwidth")]
    ChooseBandwidth,
    #[value(name = "fastcgi-200")]
    Fastcgi200,
    #[value(name = "fastcgi-10m")]
    Fastcgi10m,
    #[value(name = "h2-proxy")]
    Http2Proxy,
    #[value(name = "h2-redirect")]
    Http2Redirect,
    #[value(name = "idle-memory")]
    IdleMemory,
    #[value(name = "tls-full-p256")]
    TlsFullP256,
    #[value(name = "tls-full-rsa")]
    TlsFullRsa,
    #[value(name = "tls-resumed")]
    TlsResumed,
    #[value(name = "tls-bulk")]
    TlsBulk,
    #[value(name = "tls-keepalive")]
    TlsKeepalive,
    #[value(name = "tls-idle-memory")]
    TlsIdleMemory,
}

/// A program in one of its ways to do the case's work.
#[derive(Clone, Debug)]
pub(crate) struct Contestant {
    pub(crate) name: String,
    pub(crate) program: Program,
    pub(crate) service: Service,
}

impl Case {
    /// As on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().expect("none is left out").get_name().to_owned()
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Case::Proxy200 => "proxied answers of 200 B, 64 kept connections",
            Case::Proxy10k => "proxied answers of 10 KiB, 64 kept connections",
            Case::Tcp200 => "TCP relay, answers of 200 B, 64 kept connections",
            Case::Bulk10m => "proxied bodies of 10 MiB, 4 kept connections",
            Case::Files200 => "files of 200 B, 64 kept connections",
            Case::Files64k => "files of 64 KiB, 64 kept connections",
            Case::Files100m => "files of 100 MiB, 4 kept connections",
            Case::Proxy512 => "proxied answers of 200 B, 512 kept connections",
            Case::Latency => "time to a proxied answer of 200 B, at half of what the slowest bears",
            Case::Redirect => "302 answers, 64 kept connections",
            Case::RedirectBackend => "302 to a backend's server, 64 connections, kept if the program keeps them",
            Case::RedirectFresh => "302 to a backend's server, a connection for each",
            Case::ChooseRoundRobin => "302 to one of many servers, round robin",
            Case::ChooseLeastConnections => "302 to one of many servers, least connections",
            Case::ChooseBandwidth => "302 to one of many servers, bandwidth",
            Case::Fastcgi200 => "an application's answers of 200 B over FastCGI, 64 kept connections",
            Case::Fastcgi10m => "an application's answers of 10 MiB over FastCGI, 4 kept connections",
            Case::Http2Proxy => "proxied answers of 1 KiB to HTTP/2 clients, 8 connections of 16 streams",
            Case::Http2Redirect => "302 answers to HTTP/2 clients, 8 connections of 16 streams",
            Case::IdleMemory => "memory for each of 2000 idle client connections",
            Case::TlsFullP256 => "full TLS 1.3 handshakes, P-256, with a 302 each",
            Case::TlsFullRsa => "full TLS 1.3 handshakes, RSA-2048, with a 302 each",
            Case::TlsResumed => "resumed TLS 1.3 handshakes, P-256, with a 302 each",
            Case::TlsBulk => "proxied bodies of 10 MiB to TLS clients, 4 kept connections",
            Case::TlsKeepalive => "proxied answers of 1 KiB to TLS clients, 64 kept connections",
            Case::TlsIdleMemory => "memory for each of 2000 idle TLS client connections",
        }
    }

    /// Of a file or body.
    fn bytes(self) -> u64 {
        match self {
            Case::Proxy200 | Case::Proxy512 | Case::Latency | Case::Tcp200 | Case::Files200 | Case::IdleMemory => 200,
            Case::TlsIdleMemory | Case::Fastcgi200 => 200,
            Case::TlsKeepalive | Case::Http2Proxy => 1024,
            Case::Proxy10k => 10 * 1024,
            Case::Files64k => 64 * 1024,
            Case::Bulk10m | Case::TlsBulk | Case::Fastcgi10m => 10 * MIB,
            Case::Files100m => 100 * MIB,
            Case::Redirect | Case::RedirectBackend | Case::RedirectFresh => 0,
            Case::ChooseRoundRobin | Case::ChooseLeastConnections | Case::ChooseBandwidth => 0,
            Case::TlsFullP256 | Case::TlsFullRsa | Case::TlsResumed | Case::Http2Redirect => 0,
        }
    }

    fn redirects(self) -> bool {
        self.bytes() == 0
    }

    fn is_large(self) -> bool {
        matches!(self, Case::Bulk10m | Case::Files100m | Case::TlsBulk | Case::Fastcgi10m)
    }

    /// What the programs show of themselves; `None`: clients come in clear text.
    fn key(self) -> Option<Key> {
        match self {
            Case::TlsFullRsa => Some(Key::Rsa2048),
            Case::TlsFullP256 | Case::TlsResumed | Case::TlsBulk | Case::TlsKeepalive | Case::TlsIdleMemory => {
                Some(Key::P256)
            }
            _ => None,
        }
    }

    fn is_http2(self) -> bool {
        matches!(self, Case::Http2Proxy | Case::Http2Redirect)
    }

    fn is_application(self) -> bool {
        matches!(self, Case::Fastcgi200 | Case::Fastcgi10m)
    }

    fn serves_files(self) -> bool {
        matches!(self, Case::Files200 | Case::Files64k | Case::Files100m)
    }

    fn expected(self) -> Expected {
        let (secure, http2) = (self.key().is_some(), self.is_http2());
        if self.redirects() {
            Expected { path: "/file", status: 302, bytes: None, secure, http2 }
        } else {
            Expected { path: "/file", status: 200, bytes: Some(self.bytes()), secure, http2 }
        }
    }

    fn connections(self) -> Connections {
        match self {
            Case::Proxy512 => Connections::Kept(512),
            Case::RedirectFresh => Connections::Fresh(SMALL_CONNECTIONS),
            _ => Connections::Kept(SMALL_CONNECTIONS),
        }
    }

    pub(crate) fn load(self, port: u16, round: Duration) -> anyhow::Result<Moved> {
        let expected = self.expected();
        match self {
            Case::TlsFullP256 | Case::TlsFullRsa => secure::handshakes(port, expected.path, false, round),
            Case::TlsResumed => secure::handshakes(port, expected.path, true, round),
            _ if self.is_http2() => load::streams(port, &expected, round),
            _ if self.is_large() => load::large(port, &expected, LARGE_CONNECTIONS, round),
            _ => load::small(port, &expected, self.connections(), round),
        }
    }

    /// The services to compare, of those that the program offers.
    fn contestants(
        self,
        programs: &[Program],
        upstream: u16,
        folder: &Path,
        certificate: Option<&Path>,
    ) -> Vec<Contestant> {
        let mut contestants = Vec::new();
        for program in programs {
            let mut add = |suffix: &str, service: Service| {
                let service = match certificate {
                    Some(certificate) => {
                        Service::Secured { certificate: certificate.to_owned(), inner: Box::new(service) }
                    }
                    None if self.is_http2() => Service::Http2 { inner: Box::new(service) },
                    None => service,
                };
                if config::can(program, &service) {
                    let name = format!("{}{suffix}", program.name);
                    contestants.push(Contestant { name, program: program.clone(), service });
                }
            };
            match self {
                Case::Proxy200
                | Case::Proxy10k
                | Case::Proxy512
                | Case::Latency
                | Case::IdleMemory
                | Case::TlsKeepalive
                | Case::TlsIdleMemory
                | Case::Http2Proxy => {
                    add("", Service::Proxy { upstream });
                }
                Case::Tcp200 => add("", Service::Tcp { upstream }),
                Case::Bulk10m if program.kind == Kind::Haproxy => {
                    add(", spliced through 1 MiB", Service::BulkProxy { upstream });
                    add(", as it comes", Service::Proxy { upstream });
                }
                Case::Bulk10m | Case::TlsBulk => add("", Service::BulkProxy { upstream }),
                Case::Files200 | Case::Files64k | Case::Files100m => {
                    add("", Service::Files { root: folder.join("files") })
                }
                Case::Redirect | Case::TlsFullP256 | Case::TlsFullRsa | Case::TlsResumed | Case::Http2Redirect => {
                    add("", Service::Redirect)
                }
                Case::RedirectBackend | Case::RedirectFresh => {
                    add("", Service::Choose { balance: Balance::RoundRobin, servers: 1 });
                }
                Case::ChooseRoundRobin => among_many(&mut add, Balance::RoundRobin),
                Case::ChooseLeastConnections => among_many(&mut add, Balance::LeastConnections),
                Case::ChooseBandwidth => among_many(&mut add, Balance::Bandwidth),
                Case::Fastcgi200 | Case::Fastcgi10m => {
                    for kept in [true, false] {
                        let suffix = if kept { ", kept connections" } else { "" };
                        add(suffix, Service::FastCgi { socket: socket(folder), kept });
                    }
                }
            }
        }
        contestants
    }
}

/// Where the application listens.
fn socket(folder: &Path) -> PathBuf {
    folder.join("app.sock")
}

fn among_many(add: &mut dyn FnMut(&str, Service), balance: Balance) {
    for servers in MANY_SERVERS {
        add(&format!(", {servers} servers"), Service::Choose { balance, servers });
    }
}

/// Measures a case. What it started has ended when it returns.
///
/// # Errors
/// If the servers behind do not start, or fewer than two programs do the work rightly.
pub(crate) fn run(case: Case, programs: &[Program], plan: &Plan, folder: &Path) -> anyhow::Result<Outcome> {
    let folder = folder.join(case.name());
    let files = folder.join("files");
    fs::create_dir_all(&files).with_context(|| files.display().to_string())?;
    let upstream = free_port()?;
    let _server = start_server(case, programs, upstream, &folder)?;
    let certificate = case.key().map(|key| secure::certificate(key, &folder)).transpose()?;
    let contestants = case.contestants(programs, upstream, &folder, certificate.as_deref());
    let outcome = if matches!(case, Case::IdleMemory | Case::TlsIdleMemory) {
        idle::measure(case, &contestants, plan, &case.expected(), &folder)
    } else if case == Case::Latency {
        latency::measure(case, &contestants, plan, &case.expected(), &folder)
    } else {
        let unit = if case.is_large() { Unit::Gibibyte } else { Unit::Request };
        let load = |port, round| case.load(port, round);
        measure::take_turns(case, unit, &contestants, plan, &case.expected(), &folder, &load)
    };
    // Files of 100 MiB would pile up.
    fs::remove_dir_all(&files).with_context(|| files.display().to_string())?;
    outcome
}

/// Starts what stands behind the proxies of a case, or lays out the files that it serves.
fn start_server(case: Case, programs: &[Program], port: u16, folder: &Path) -> anyhow::Result<Option<Running>> {
    if case.redirects() {
        return Ok(None);
    }
    if case.serves_files() || case.is_large() {
        let file = folder.join("files/file");
        let bytes = usize::try_from(case.bytes()).context("a file's size")?;
        fs::write(&file, vec![b'x'; bytes]).with_context(|| file.display().to_string())?;
    }
    if case.serves_files() {
        return Ok(None);
    }
    if case.is_application() {
        return start_application(case, folder).map(Some);
    }
    let command = if case.is_large() {
        let nginx = programs.iter().find(|program| program.kind == Kind::Nginx);
        let nginx = nginx.context("nginx, which serves the large bodies, is not installed")?;
        config::command(nginx, &Service::Files { root: folder.join("files") }, port, folder)?
    } else {
        let mut own = Command::new(std::env::current_exe().context("this program's path")?);
        own.args(["upstream", &port.to_string(), &case.bytes().to_string()]);
        own
    };
    let log = folder.join("server.log");
    let mut server = Running::start("the server behind", command, OTHER_CORE, &log)?;
    let answer = load::await_right_answer(port, &Expected { secure: false, http2: false, ..case.expected() });
    server.check(&log)?;
    answer.context("the server behind")?;
    Ok(Some(server))
}

fn start_application(case: Case, folder: &Path) -> anyhow::Result<Running> {
    let socket = socket(folder);
    let mut own = Command::new(std::env::current_exe().context("this program's path")?);
    own.arg("application").arg(&socket).arg(case.bytes().to_string());
    let log = folder.join("application.log");
    let mut application = Running::start("the application", own, OTHER_CORE, &log)?;
    let deadline = Instant::now() + START_LIMIT;
    while !socket.exists() && Instant::now() < deadline {
        application.check(&log)?;
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(application)
}

/// Starts a contestant on core 0 and sees that it works.
pub(crate) fn start(contestant: &Contestant, expected: &Expected, folder: &Path) -> anyhow::Result<(Running, u16)> {
    let port = free_port()?;
    let log = folder.join(format!("{port}.log"));
    let command = config::command(&contestant.program, &contestant.service, port, folder)?;
    let mut running = Running::start(&contestant.name, command, CORE, &log)?;
    let answer = load::await_right_answer(port, expected);
    running.check(&log)?;
    answer.with_context(|| {
        let said = fs::read_to_string(&log).unwrap_or_default();
        format!("{} does not do it rightly; it said: {}", contestant.name, said.trim())
    })?;
    Ok((running, port))
}

fn free_port() -> anyhow::Result<u16> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).context("a free port")?;
    Ok(listener.local_addr()?.port())
}
