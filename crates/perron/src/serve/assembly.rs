//! From a configuration and open sockets to the parts that serve.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, bail};
use balance::{Pool, ServerIndex};
use config::Config;
use failover::Beats;
use proxy::config::BackendIndex;
use proxy::{Listener, LogSink, Shared};

use super::carry::Carried;
use super::complaints;
use super::extras;
use super::handlers;
use super::sandbox;
use super::sharing::{self, Sharing};
use super::sizes::{self, Questions};
use super::status::OwnFiles;
use crate::beats;
use crate::messages::{Secrets, Socket, Start};

/// Told of each request's end at a backend that observes its traffic.
pub(super) type Watcher = Arc<OnceLock<Box<dyn Fn(BackendIndex, ServerIndex, bool) + Send + Sync>>>;

/// The parts that serve, not yet moving.
pub(super) struct Assembly {
    pub(super) generation: u64,
    pub(super) config: Arc<Config>,
    pub(super) shared: Arc<Shared>,
    pub(super) pools: Vec<Pool>,
    pub(super) carried: Carried,
    /// Set once the checks run.
    pub(super) watcher: Watcher,
    /// Workers' questions for files' lengths; to be taken and asked once.
    pub(super) questions: Option<Questions>,
    /// By worker.
    pub(super) listeners: Vec<Vec<Listener>>,
    pub(super) admin: Option<std::net::TcpListener>,
    /// What is shared with other directors; to be taken and begun once.
    pub(super) sharing: Option<Sharing>,
    /// The name service, likewise.
    pub(super) names: dns::Sockets,
    /// For echo requests, likewise: of ICMP, and of ICMPv6.
    pub(super) pings: [Option<std::net::UdpSocket>; 2],
    pub(super) log: LogSink,
    /// What this process reads of itself.
    pub(super) own: Arc<OwnFiles>,
    /// Whether this director moves addresses.
    pub(super) vips: bool,
    /// Whether the supervisor is told what serves here.
    pub(super) told: bool,
    /// Whether the kernel forwards for some frontends.
    pub(super) forwards: bool,
    /// How workers show that they are not hung, and where; only if an address depends on it.
    pub(super) beats: Option<(Beats, Duration)>,
    /// What TLS is made of; to be taken once.
    pub(super) secrets: Secrets,
}

impl Assembly {
    /// # Errors
    /// If the configuration is not what the supervisor checked, or a thread cannot be started.
    pub(super) fn new(start: Start, fds: Vec<OwnedFd>) -> anyhow::Result<Assembly> {
        let sources = config::Sources::from_texts(start.texts, start.base);
        let mut config = match config::load(&sources) {
            Ok(loaded) => loaded.config,
            Err(diagnostics) => bail!("the configuration has changed since it was checked:\n{diagnostics}"),
        };
        config.place_applications(&start.applications);
        let own = OwnFiles::open();
        let extras = extras::read(&config.proxy)?;
        sandbox::enter(&config)?;
        let carried = Carried::read(start.state);
        let now = units::Instant::ZERO;
        let pools = pools(&config, &carried, now);
        let sockets = Sockets::sort(&config, &start.sockets, fds, start.workers)?;
        let beats = match (sockets.beats, beats::interval(&config.failover)) {
            (Some(memory), Some(interval)) => Some((beats::of(&memory)?, interval)),
            _ => None,
        };
        let log = match sockets.log {
            Some(file) => LogSink::to_file(file).context("cannot start the access log's thread")?,
            None => LogSink::off(),
        };
        let watcher = Watcher::default();
        let watched = Arc::clone(&watcher);
        let (asker, questions) = sizes::questions(&config.proxy.backends);
        let home = handlers::Home::default();
        let sharing = Sharing::new(&config, sockets.peers, &sockets.tables);
        let mut shared = Shared::new(
            config.proxy.clone(),
            handlers::build(&config.handlers, &home)?,
            pools.iter().map(|pool| pool.snapshot(now)).collect(),
            start.workers,
            log.clone(),
            Some(Box::new(move |backend, server, well| {
                if let Some(watcher) = watched.get() {
                    watcher(backend, server, well);
                }
            })),
            asker,
        );
        shared.stick_by(sockets.tables);
        extras.hand_to(&mut shared)?;
        let shared = Arc::new(shared);
        let _ = home.set(Arc::downgrade(&shared));
        if config.proxy.backends.iter().any(|backend| backend.application.is_some()) {
            let listener = complaints::logged(&config.proxy).context("cannot start the thread of complaints")?;
            shared.listen_to_complaints(listener);
        }
        Ok(Assembly {
            generation: start.generation,
            config: Arc::new(config),
            shared,
            pools,
            carried,
            watcher,
            questions: Some(questions),
            listeners: sockets.listeners,
            admin: sockets.admin,
            sharing,
            names: sockets.names,
            pings: sockets.pings,
            log,
            own: Arc::new(own),
            vips: start.vips,
            forwards: start.forwards,
            told: start.vips || start.told,
            beats,
            secrets: start.secrets,
        })
    }
}

/// A pool for each backend, whose servers are as they were.
fn pools(config: &Config, carried: &Carried, now: units::Instant) -> Vec<Pool> {
    let pool = |backend: &proxy::config::Backend| {
        let mut pool = Pool::new(backend.pool.clone(), now);
        pool.carry_from(&carried.servers_of(&backend.name), now);
        pool.carry_quorum(carried.quorum_of(&backend.name));
        pool
    };
    config.proxy.backends.iter().map(pool).collect()
}

struct Sockets {
    listeners: Vec<Vec<Listener>>,
    admin: Option<std::net::TcpListener>,
    log: Option<File>,
    beats: Option<OwnedFd>,
    peers: Option<std::net::TcpListener>,
    names: dns::Sockets,
    pings: [Option<std::net::UdpSocket>; 2],
    /// By backend.
    tables: Vec<Option<balance::Stick>>,
}

impl Sockets {
    fn sort(config: &Config, kinds: &[Socket], fds: Vec<OwnedFd>, workers: usize) -> anyhow::Result<Sockets> {
        let tables = vec![None; config.proxy.backends.len()];
        let (names, pings) = (dns::Sockets::default(), [None, None]);
        let mut sorted =
            Sockets { listeners: Vec::new(), admin: None, log: None, beats: None, peers: None, names, pings, tables };
        sorted.listeners.resize_with(workers.max(1), Vec::new);
        let mut of_listen: Vec<Vec<OwnedFd>> = Vec::new();
        of_listen.resize_with(config.listens.len(), Vec::new);
        for (kind, fd) in kinds.iter().zip(fds) {
            match *kind {
                Socket::Listen { listen } => {
                    let sockets = of_listen.get_mut(listen);
                    sockets.context("a socket came that the configuration does not name")?.push(fd);
                }
                Socket::Admin => sorted.admin = Some(fd.into()),
                Socket::AccessLog => sorted.log = Some(fd.into()),
                Socket::Beats => sorted.beats = Some(fd),
                Socket::Peers => sorted.peers = Some(fd.into()),
                Socket::NameUdp => sorted.names.udp.push(fd.into()),
                Socket::NameTcp => sorted.names.tcp.push(fd.into()),
                Socket::Ping { v6 } => sorted.pings[usize::from(v6)] = Some(fd.into()),
                Socket::Table { backend } => {
                    let table = sharing::table(config, backend, &fd)?;
                    sorted.tables[backend] = Some(table);
                }
            }
        }
        for (listen, sockets) in config.listens.iter().zip(of_listen) {
            deal(&mut sorted.listeners, listen.frontend, sockets)?;
        }
        Ok(sorted)
    }
}

/// Gives each worker its share of one bind's sockets; where there are fewer, several workers share one.
fn deal(
    workers: &mut [Vec<Listener>],
    frontend: proxy::config::FrontendIndex,
    sockets: Vec<OwnedFd>,
) -> anyhow::Result<()> {
    let (count, given) = (workers.len(), sockets.len());
    for (index, socket) in sockets.into_iter().enumerate() {
        let mut place = index + given;
        while place < count {
            workers[place].push(Listener { frontend, socket: socket.try_clone()? });
            place += given;
        }
        workers[index % count].push(Listener { frontend, socket });
    }
    Ok(())
}
