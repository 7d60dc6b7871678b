//! What all workers of a process share: the configuration, the backends' published choice, gates and counters.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use balance::{ServerIndex, Snapshot, Stick};
use http_proto::Limits;
use tls::{Acceptor, Connector};
use tokio::sync::{Semaphore, SemaphorePermit};
use wire::load_report::LoadReport;

use crate::backend::BackendShared;
use crate::clock::Clock;
use crate::config::{Backend, BackendIndex, Frontend, FrontendIndex, PasswordsIndex, ProxyConfig};
use crate::error_page::{ErrorPage, ErrorPages};
use crate::handler::Handler;
use crate::log::LogSink;
use crate::passwords::Passwords;
use crate::proofs::Proofs;
use crate::rates::RateStates;
use crate::reason::Reason;
use crate::stats::{Counter, FrontendStats, Sending, ServerStats, WorkerStats};
use crate::zones::Zones;

/// Passwords that are verified at once: each takes a core for tenths of a second, and with argon2 some MiB.
const VERIFYING_MAX: usize = 4;

/// Everything that the workers of one process share. Immutable but for atomics and the published snapshots.
pub struct Shared {
    pub(crate) config: ProxyConfig,
    pub(crate) limits: Limits,
    pub(crate) handlers: Vec<Arc<dyn Handler>>,
    pub(crate) gates: Vec<Gate>,
    pub(crate) backends: Vec<BackendShared>,
    pub(crate) clock: Clock,
    pub(crate) log: LogSink,
    pub(crate) observer: Option<Observer>,
    pub(crate) size_asker: Option<SizeAsker>,
    pub(crate) zones: Zones,
    pub(crate) rates: RateStates,
    listener: OnceLock<Complaints>,
    /// Places for threads that verify passwords.
    pub(crate) verifying: Arc<Semaphore>,
    passwords: Vec<ArcSwapOption<Passwords>>,
    /// By frontend.
    error_pages: Vec<ErrorPages>,
    acceptors: Vec<ArcSwapOption<Acceptor>>,
    /// By backend and server.
    connectors: Vec<Vec<ArcSwapOption<Connector>>>,
    pub(crate) proofs: Proofs,
    draining: AtomicBool,
    workers: Vec<Arc<WorkerStats>>,
}

/// Told of each request's end at a backend that observes its traffic: backend, server, whether it went well.
pub type Observer = Box<dyn Fn(BackendIndex, ServerIndex, bool) + Send + Sync>;

/// Told what an application says on its error stream: a piece at a time, not always a line. Must not wait.
pub type Complaints = Box<dyn Fn(BackendIndex, ServerIndex, &[u8]) + Send + Sync>;

/// Asked for the length of what a server has under a URL: backend, server, the key under which
/// [`BackendShared::learn`] wants it, path and query, host. Must not wait.
pub type SizeAsker = Box<dyn Fn(BackendIndex, ServerIndex, u64, &str, &str) + Send + Sync>;

impl Shared {
    /// The state for `workers` workers; `snapshots` holds each backend's first choice, in the configuration's order.
    pub fn new(
        config: ProxyConfig,
        handlers: Vec<Arc<dyn Handler>>,
        snapshots: Vec<Snapshot>,
        workers: usize,
        log: LogSink,
        observer: Option<Observer>,
        size_asker: Option<SizeAsker>,
    ) -> Shared {
        let gates = config.frontends.iter().map(Gate::new).collect();
        let backends = config
            .backends
            .iter()
            .zip(snapshots)
            .map(|(backend, snapshot)| {
                let rates: Vec<u64> = backend.pool.servers.iter().map(balance::ServerConfig::rate).collect();
                BackendShared::new(backend, &rates, snapshot)
            })
            .collect();
        let zones = Zones::new(&config.zones);
        let rates = RateStates::new(&config.frontends);
        let passwords = config.password_files.iter().map(|_| ArcSwapOption::empty()).collect();
        let error_pages = config.frontends.iter().map(|_| ErrorPages::new()).collect();
        let acceptors = config.frontends.iter().map(|_| ArcSwapOption::empty()).collect();
        let of_backend = |backend: &Backend| backend.servers.iter().map(|_| ArcSwapOption::empty()).collect();
        let connectors = config.backends.iter().map(of_backend).collect();
        let workers = (0..workers).map(|_| Arc::new(WorkerStats::new(&config))).collect();
        Shared {
            config,
            limits: Limits::default(),
            handlers,
            gates,
            backends,
            clock: Clock::start(),
            log,
            observer,
            size_asker,
            zones,
            rates,
            listener: OnceLock::new(),
            verifying: Arc::new(Semaphore::new(VERIFYING_MAX)),
            passwords,
            error_pages,
            acceptors,
            connectors,
            proofs: Proofs::default(),
            draining: AtomicBool::new(false),
            workers,
        }
    }

    /// Has the clients of backends stay with the servers that these tables say they have, in the configuration's order.
    pub fn stick_by(&mut self, tables: Vec<Option<Stick>>) {
        for ((state, backend), table) in self.backends.iter_mut().zip(&self.config.backends).zip(tables) {
            if let Some(table) = table {
                state.stick_by(backend, table);
            }
        }
    }

    /// Has this hear what applications complain of; the first one does.
    pub fn listen_to_complaints(&self, listener: Complaints) {
        let _ = self.listener.set(listener);
    }

    pub(crate) fn complain(&self, backend: BackendIndex, server: ServerIndex, complaint: &[u8]) {
        if let Some(listener) = self.listener.get() {
            listener(backend, server, complaint);
        }
    }

    /// Has a frontend's errors look so.
    pub fn show_on_errors(&mut self, index: FrontendIndex, pages: ErrorPages) {
        self.error_pages[usize::from(index.0)] = pages;
    }

    pub(crate) fn error_page(&self, index: FrontendIndex, status: u16) -> Option<&ErrorPage> {
        self.error_pages[usize::from(index.0)].get(&status)
    }

    /// Has these be the users that are let in. Until this is called nobody is.
    pub fn let_in(&self, index: PasswordsIndex, passwords: Passwords) {
        self.passwords[usize::from(index.0)].store(Some(Arc::new(passwords)));
    }

    pub(crate) fn passwords(&self, index: PasswordsIndex) -> Option<Arc<Passwords>> {
        self.passwords[usize::from(index.0)].load_full()
    }

    /// Has the next connections of a frontend's clients begin with TLS as `acceptor` has it. Those that are there stay.
    /// Until this is called, the clients of a frontend with TLS find nobody.
    pub fn secure_by(&self, index: FrontendIndex, acceptor: Acceptor) {
        self.acceptors[usize::from(index.0)].store(Some(Arc::new(acceptor)));
    }

    /// Has the next connections to a server begin with TLS as `connector` has it. Those that are there stay.
    /// Until this is called, a server with TLS cannot be reached.
    pub fn connect_by(&self, backend: BackendIndex, server: ServerIndex, connector: Connector) {
        self.connectors[usize::from(backend.0)][usize::from(server.0)].store(Some(Arc::new(connector)));
    }

    /// What connections to a server begin with, as far as that is known.
    pub fn connector(&self, backend: BackendIndex, server: ServerIndex) -> Option<Arc<Connector>> {
        self.connectors[usize::from(backend.0)][usize::from(server.0)].load_full()
    }

    /// Has every HTTP frontend answer an authority that looks whether names are ours: by token, with these contents and
    /// no others.
    pub fn show_proofs(&self, proofs: Vec<(String, String)>) {
        self.proofs.show(proofs);
    }

    /// What a frontend's connections begin with, as far as that is known.
    pub(crate) fn acceptor(&self, index: FrontendIndex) -> Option<Arc<Acceptor>> {
        self.acceptors[usize::from(index.0)].load_full()
    }

    /// The state of a backend.
    pub fn backend(&self, index: BackendIndex) -> &BackendShared {
        &self.backends[usize::from(index.0)]
    }

    /// The connections that a frontend holds now.
    pub fn connections(&self, index: FrontendIndex) -> u32 {
        self.gates[usize::from(index.0)].active.load(Ordering::Relaxed)
    }

    /// The clock that snapshots are published by.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Each worker's counters.
    pub fn workers(&self) -> &[Arc<WorkerStats>] {
        &self.workers
    }

    /// What the handlers of all workers have sent, and have still to send.
    pub fn load_report(&self) -> LoadReport {
        let mut report = LoadReport::default();
        for Sending { promised, sent, given_up, under_way } in self.workers.iter().map(|worker| &worker.sending) {
            // Read before the promises, which are counted first: what is sent was promised.
            let (sent, given_up) = (sent.value(), given_up.value());
            report.sent = report.sent.wrapping_add(sent);
            report.left += promised.value().saturating_sub(sent).saturating_sub(given_up);
            report.requests += u32::try_from(under_way.value()).unwrap_or(u32::MAX);
        }
        report
    }

    /// From here on every answer tells its client that the connection ends.
    pub fn begin_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn frontend(&self, index: FrontendIndex) -> &Frontend {
        &self.config.frontends[usize::from(index.0)]
    }
}

impl WorkerStats {
    fn new(config: &ProxyConfig) -> WorkerStats {
        let of_frontend = || FrontendStats {
            reasons: Reason::all().map(|_| Counter::default()).collect(),
            ..FrontendStats::default()
        };
        WorkerStats {
            frontends: config.frontends.iter().map(|_| of_frontend()).collect(),
            backends: config.backends.iter().map(|_| ServerStats::default()).collect(),
            servers: config
                .backends
                .iter()
                .map(|backend| backend.servers.iter().map(|_| ServerStats::default()).collect())
                .collect(),
            sending: Sending::default(),
            log_lost: Counter::default(),
        }
    }
}

/// Lets in as many clients of a frontend as it may hold.
pub(crate) struct Gate {
    room: Semaphore,
    active: AtomicU32,
}

impl Gate {
    fn new(frontend: &Frontend) -> Gate {
        let room = frontend.max_connections.map_or(Semaphore::MAX_PERMITS, |most| most as usize);
        Gate { room: Semaphore::new(room), active: AtomicU32::new(0) }
    }

    /// Waits for room. The room is taken until [`Gate::leave`], or given back by dropping the permit unused.
    pub(crate) async fn room(&self) -> Option<SemaphorePermit<'_>> {
        self.room.acquire().await.ok()
    }

    pub(crate) fn enter(&self, permit: SemaphorePermit<'_>) {
        permit.forget();
        self.active.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn leave(&self) {
        self.active.fetch_sub(1, Ordering::Relaxed);
        self.room.add_permits(1);
    }
}
