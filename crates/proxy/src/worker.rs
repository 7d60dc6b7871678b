//! One worker: a thread, its runtime, its listeners, and what its connections share without a lock.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::net::AddressFamily;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::config::{BackendIndex, FrontendIndex, Mode, TcpKeepalive};
use crate::http::Remembered;
use crate::http2::{Lines, Runners};
use crate::log::{Phase, Place, Record, WorkerLog, write_line};
use crate::proxied::{Arrival, read_header};
use crate::reason::Reason;
use crate::secured::secure;
use crate::shared::Shared;
use crate::splice::PipePool;
use crate::stats::WorkerStats;
use crate::stick::Known;
use crate::stream::{Stream, Turns};
use crate::upstream::IdlePool;

/// One read takes at most this much: a pipe's or a socket's worth, and more than any head.
const READ_BYTES: usize = 64 * 1024;

/// Buffers that a worker keeps for reuse, and the size beyond which one is given back to the allocator.
const SPARE_BUFFERS: usize = 64;
const SPARE_BYTES: usize = 4 * 1024;

/// What a worker does in its quiet moments: closing idle server connections, handing over log lines.
const HOUSEKEEPING: Duration = Duration::from_millis(200);

/// Threads of one worker that may wait for one handler at once: a hung mount takes these and no more.
const PATIENT_MAX: usize = 32;

/// Bodies that one worker takes for one handler at once: each has up to two pieces in memory, half a MiB.
const INTAKES_MAX: usize = 32;

/// Answers that one worker codes at once, each with an encoder of up to a MiB; further ones go as they are.
const CODERS_MAX: usize = 32;

/// How long accepting rests when the process has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listening socket of a frontend, nonblocking.
#[derive(Debug)]
pub struct Listener {
    /// Whose clients come here.
    pub frontend: FrontendIndex,
    /// The socket.
    pub socket: OwnedFd,
}

/// How a worker shows that it is not hung: by a sign, again and again, until it takes nobody in any more.
#[derive(Clone)]
pub struct Pulse {
    /// Between two signs.
    pub interval: Duration,
    /// Gives the worker's sign; called on its thread.
    pub sign: Arc<dyn Fn(usize) + Send + Sync>,
}

/// How far a worker is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Serving,
    /// Nothing new is accepted; kept connections end with their next answer.
    Draining,
    /// As draining; and it ends as soon as no request is under way.
    Finishing,
    /// It ends now.
    Stopped,
}

/// Starts workers.
pub struct Worker;

/// A running worker. Dropping it does not stop it.
pub struct WorkerHandle {
    stage: watch::Sender<Stage>,
    load: Arc<Load>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Load {
    connections: AtomicU32,
    requests: AtomicU32,
    turns: AtomicU32,
}

impl Worker {
    /// Starts worker `index` on a thread of its own; without a pulse nobody wants to see it turn.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(
        index: usize,
        shared: Arc<Shared>,
        listeners: Vec<Listener>,
        pulse: Option<Pulse>,
    ) -> io::Result<WorkerHandle> {
        let (stage, watch) = watch::channel(Stage::Serving);
        let load = Arc::new(Load::default());
        let thread_load = Arc::clone(&load);
        let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .enable_time()
                .event_interval(61)
                .build_local(tokio::runtime::LocalOptions::default())
                .expect("a runtime needs only memory and descriptors, which a process that has just started has");
            runtime.block_on(async {
                if let Some(pulse) = pulse {
                    tokio::task::spawn_local(beat(index, pulse, watch.clone()));
                }
                run(index, shared, listeners, watch, thread_load).await;
            });
            runtime.shutdown_background();
        })?;
        Ok(WorkerHandle { stage, load, thread: Some(thread) })
    }
}

impl WorkerHandle {
    /// Accepts nothing more; kept connections end with their next answer, and the worker with the last of them.
    pub fn drain(&self) {
        self.stage.send_replace(Stage::Draining);
    }

    /// Accepts nothing more, and ends when no request is under way.
    pub fn finish(&self) {
        self.stage.send_replace(Stage::Finishing);
    }

    /// Ends at once.
    pub fn stop(&self) {
        self.stage.send_replace(Stage::Stopped);
    }

    /// Whether its thread has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// A number that changes several times a second for as long as the worker is not hung.
    pub fn turns(&self) -> u32 {
        self.load.turns.load(Ordering::Relaxed)
    }

    /// Connections and requests that it has now.
    pub fn load(&self) -> (u32, u32) {
        (self.load.connections.load(Ordering::Relaxed), self.load.requests.load(Ordering::Relaxed))
    }
}

/// What a worker's connections share.
pub(crate) struct Context {
    pub(crate) shared: Arc<Shared>,
    pub(crate) stats: Arc<WorkerStats>,
    pub(crate) read_buffer: Rc<RefCell<Box<[u8]>>>,
    pub(crate) idle: IdlePool,
    pub(crate) lines: Lines,
    pub(crate) runners: Rc<Runners>,
    pub(crate) pipes: PipePool,
    pub(crate) turns: Turns,
    /// By handler: places for threads that may wait for it.
    pub(crate) patient: Vec<Arc<Semaphore>>,
    /// By handler: places for bodies that it takes.
    pub(crate) intakes: Vec<Rc<Semaphore>>,
    pub(crate) remembered: Remembered,
    /// Places for answers that are coded.
    pub(crate) coders: Semaphore,
    spare: RefCell<Vec<Vec<u8>>>,
    log: RefCell<WorkerLog>,
    chance: Cell<u64>,
    load: Arc<Load>,
    own: Weak<Context>,
    stage: watch::Receiver<Stage>,
}

async fn run(
    index: usize,
    shared: Arc<Shared>,
    listeners: Vec<Listener>,
    mut stage: watch::Receiver<Stage>,
    load: Arc<Load>,
) {
    let stats = Arc::clone(&shared.workers()[index]);
    let context = Rc::new_cyclic(|own| Context {
        own: Weak::clone(own),
        read_buffer: Rc::new(RefCell::new(vec![0; READ_BYTES].into_boxed_slice())),
        idle: IdlePool::new(&shared.config, Arc::clone(&stats)),
        lines: Lines::new(&shared.config),
        runners: Rc::default(),
        stats,
        pipes: PipePool::default(),
        turns: Turns::default(),
        patient: shared.handlers.iter().map(|_| Arc::new(Semaphore::new(PATIENT_MAX))).collect(),
        intakes: shared.handlers.iter().map(|_| Rc::new(Semaphore::new(INTAKES_MAX))).collect(),
        remembered: Remembered::default(),
        coders: Semaphore::new(CODERS_MAX),
        spare: RefCell::new(Vec::new()),
        log: RefCell::new(WorkerLog::new(shared.log.clone())),
        chance: Cell::new(seed(index)),
        load,
        shared,
        stage: stage.clone(),
    });
    for listener in listeners {
        tokio::task::spawn_local(accept_all(Rc::clone(&context), listener, stage.clone()));
    }
    let mut tick = tokio::time::interval(HOUSEKEEPING);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let now = *stage.borrow();
        if now >= Stage::Draining && context.may_end(now) {
            break;
        }
        tokio::select! {
            changed = stage.changed() => if changed.is_err() { break },
            _ = tick.tick() => context.keep_house(),
        }
    }
    context.flush_log();
}

/// Signs that are due at once, after the thread stood still, are one.
async fn beat(index: usize, pulse: Pulse, mut stage: watch::Receiver<Stage>) {
    let mut tick = tokio::time::interval(pulse.interval);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => (pulse.sign)(index),
            _ = stage.wait_for(|stage| *stage >= Stage::Draining) => return,
        }
    }
}

/// A seed of its own for each worker of each process.
fn seed(index: usize) -> u64 {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let mixed = (nanos as u64) ^ (u64::from(std::process::id()) << 32) ^ ((index as u64 + 1) << 17);
    mixed | 1
}

/// A listening socket of either family.
enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Acceptor {
    fn new(socket: OwnedFd) -> io::Result<Acceptor> {
        if rustix::net::getsockname(&socket)?.address_family() == AddressFamily::UNIX {
            UnixListener::from_std(socket.into()).map(Acceptor::Unix)
        } else {
            TcpListener::from_std(socket.into()).map(Acceptor::Tcp)
        }
    }

    async fn accept(&self, keepalive: Option<TcpKeepalive>) -> io::Result<(Stream, Option<SocketAddr>)> {
        match self {
            Acceptor::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                prepare(&stream, keepalive);
                Ok((Stream::Tcp(stream), Some(peer)))
            }
            Acceptor::Unix(listener) => Ok((Stream::Unix(listener.accept().await?.0), None)),
        }
    }
}

/// Takes clients in until the worker drains. When the frontend is full, the next client is held unserved and no other
/// is taken, until one leaves.
async fn accept_all(context: Rc<Context>, listener: Listener, mut stage: watch::Receiver<Stage>) {
    let frontend = listener.frontend;
    let Ok(acceptor) = Acceptor::new(listener.socket) else {
        return;
    };
    let configured = context.shared.frontend(frontend);
    let gate = &context.shared.gates[usize::from(frontend.0)];
    loop {
        let accepted = tokio::select! {
            accepted = acceptor.accept(configured.tcp_keepalive) => accepted,
            _ = stage.wait_for(|stage| *stage >= Stage::Draining) => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // A client that went away before it was taken costs nothing; no descriptor left needs a rest.
                if is_exhaustion(&error) {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                continue;
            }
        };
        // Who has been taken is served, also when the worker drains meanwhile.
        let Some(permit) = gate.room().await else {
            return;
        };
        gate.enter(permit);
        let guard = ConnectionGuard::new(&context, frontend);
        tokio::task::spawn_local(async move {
            let mut arrival = Arrival { stream, peer, destination: None, early: Vec::new(), secure: None };
            let configured = guard.context.shared.frontend(guard.frontend);
            if configured.expects_header(peer) {
                // Boxed, as it is rare: an idle client pays for the size of everything that it might ever wait for.
                let Some(announced) = Box::pin(read_header(arrival, &guard)).await else {
                    return;
                };
                arrival = announced;
            }
            if let Some(wanted) = &configured.tls {
                let Some(secured) = Box::pin(secure(arrival, wanted, &guard)).await else {
                    return;
                };
                arrival = secured;
            }
            match configured.mode {
                Mode::Http if arrival.secure.as_ref().is_some_and(|secure| secure.is_http2) => {
                    Box::pin(crate::http2::serve(arrival, guard)).await;
                }
                Mode::Http => {
                    if let Some(arrival) = crate::http::serve(arrival, &guard).await {
                        Box::pin(crate::http2::serve(arrival, guard)).await;
                    }
                }
                Mode::Tcp => Box::pin(crate::tcp::serve(arrival, &guard)).await,
            }
        });
    }
}

/// Whether this host lacks something: no fault of who is at the other end.
pub(crate) fn is_exhaustion(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::ADDRNOTAVAIL)
    )
}

/// Small writes leave at once, and silence is probed if so configured. Neither failing is a reason to refuse a client.
pub(crate) fn prepare(socket: &impl std::os::fd::AsFd, keepalive: Option<TcpKeepalive>) {
    let _ = linux::set_nodelay(socket.as_fd());
    if let Some(keepalive) = keepalive {
        let _ = linux::set_keepalive(socket.as_fd(), keepalive.idle, keepalive.interval, keepalive.count);
    }
}

/// Counts a connection for as long as it lives, however it ends.
pub(crate) struct ConnectionGuard {
    pub(crate) context: Rc<Context>,
    pub(crate) frontend: FrontendIndex,
}

impl ConnectionGuard {
    fn new(context: &Rc<Context>, frontend: FrontendIndex) -> ConnectionGuard {
        context.load.connections.fetch_add(1, Ordering::Relaxed);
        context.stats.frontends[usize::from(frontend.0)].connections.add(1);
        ConnectionGuard { context: Rc::clone(context), frontend }
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.context.load.connections.fetch_sub(1, Ordering::Relaxed);
        self.context.shared.gates[usize::from(self.frontend.0)].leave();
    }
}

/// Counts a request as under way, so that a finishing worker waits for it.
pub(crate) struct RequestGuard<'a>(&'a Load);

impl Drop for RequestGuard<'_> {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Context {
    /// For tasks of their own; `None`: the worker ends.
    pub(crate) fn own(&self) -> Option<Rc<Context>> {
        self.own.upgrade()
    }

    pub(crate) fn begin_request(&self) -> RequestGuard<'_> {
        self.load.requests.fetch_add(1, Ordering::Relaxed);
        RequestGuard(&self.load)
    }

    /// Waits until the worker takes nobody in any more.
    pub(crate) async fn draining(&self) {
        // A worker that has gone drains as well.
        let _ = self.stage.clone().wait_for(|stage| *stage >= Stage::Draining).await;
    }

    /// Counts whether the server of a client was remembered that could have been.
    pub(crate) fn count_known(&self, backend: BackendIndex, known: Option<Known>) {
        let stats = &self.stats.backends[usize::from(backend.0)];
        match known {
            Some(Known { server: Some(_), .. }) => stats.stick_hits.add(1),
            Some(Known { server: None, .. }) => stats.stick_misses.add(1),
            None => {}
        }
    }

    /// A random number; not for secrets.
    pub(crate) fn chance(&self) -> u64 {
        // xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators".
        let mut state = self.chance.get();
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        self.chance.set(state);
        state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// An empty buffer, most often one that has been used before.
    pub(crate) fn buffer(&self) -> Vec<u8> {
        self.spare.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a buffer back for reuse.
    pub(crate) fn recycle(&self, mut buffer: Vec<u8>) {
        let mut spare = self.spare.borrow_mut();
        if buffer.capacity() > 0 && buffer.capacity() <= SPARE_BYTES && spare.len() < SPARE_BUFFERS {
            buffer.clear();
            spare.push(buffer);
        }
    }

    /// Whether requests of this frontend leave a line.
    pub(crate) fn is_logged(&self, frontend: FrontendIndex) -> bool {
        self.log.borrow().is_on() && self.shared.frontend(frontend).log != crate::config::LogFormat::Off
    }

    /// Counts and logs a request, or a TCP connection, that has ended.
    pub(crate) fn finish(&self, record: &Record, frontend: FrontendIndex, peer: Option<SocketAddr>) {
        let now = Instant::now();
        let total = now.duration_since(record.began);
        let stats = &self.stats.frontends[usize::from(frontend.0)];
        if let Some(reason) = record.reason {
            stats.reasons[reason.index()].add(1);
        }
        stats.requests.add(1);
        stats.answers.record(record.status);
        stats.bytes_in.add(record.bytes_in);
        stats.bytes_out.add(record.bytes_out);
        stats.total.record(total);
        self.count_at_backend(record, total);
        if record.wall.is_some() {
            self.log_line(record, frontend, peer, now);
        }
    }

    fn count_at_backend(&self, record: &Record, total: Duration) {
        let Some(backend) = record.backend else {
            return;
        };
        if record.redirected {
            self.count_redirect(backend, record);
            return;
        }
        let of_backend = &self.stats.backends[usize::from(backend.0)];
        let of_server = record.server.map(|server| &self.stats.servers[usize::from(backend.0)][usize::from(server.0)]);
        for stats in std::iter::once(of_backend).chain(of_server) {
            stats.requests.add(1);
            stats.answers.record(record.status);
            stats.bytes_in.add(record.bytes_in);
            stats.bytes_out.add(record.bytes_out);
            stats.total.record(total);
            stats.reused.add(u64::from(record.reused));
            if let Some(queued) = record.queued {
                stats.queued_micros.add(queued.as_micros() as u64);
            }
            if let Some(first_byte) = record.first_byte {
                stats.first_byte.record(first_byte);
            }
            match record.reason {
                Some(Reason::ClientGone | Reason::ClientTimeout) => stats.aborted.add(1),
                Some(reason) if reason.is_servers() => stats.response_errors.add(1),
                // Before, it is an error of connecting, and counted as such.
                Some(Reason::ServerTls(_)) if record.phase != Phase::Connect => stats.response_errors.add(1),
                _ => {}
            }
        }
    }

    /// A redirect is an answer of the backend; the server's own answer is nothing that is seen here.
    fn count_redirect(&self, backend: BackendIndex, record: &Record) {
        let of_backend = &self.stats.backends[usize::from(backend.0)];
        of_backend.requests.add(1);
        of_backend.answers.record(record.status);
        let of_server = record.server.map(|server| &self.stats.servers[usize::from(backend.0)][usize::from(server.0)]);
        for stats in std::iter::once(of_backend).chain(of_server) {
            stats.redirected.add(1);
            stats.queued_micros.add(record.queued.map_or(0, |queued| queued.as_micros() as u64));
        }
    }

    fn log_line(&self, record: &Record, frontend: FrontendIndex, peer: Option<SocketAddr>, now: Instant) {
        let shared = &self.shared;
        let configured = shared.frontend(frontend);
        let backend = record.backend.map(|index| &shared.config.backends[usize::from(index.0)]);
        let server = record.server.zip(backend).map(|(server, backend)| &backend.pool.servers[usize::from(server.0)]);
        let process = (0..shared.config.frontends.len()).map(|index| shared.connections(FrontendIndex(index as u16)));
        let at_server = match (record.backend, record.server) {
            (Some(backend), Some(server)) => shared.backend(backend).in_flight(server),
            _ => 0,
        };
        let place = Place {
            peer,
            frontend: &configured.name,
            mode: configured.mode,
            backend: backend.map(|backend| backend.name.as_str()),
            server: server.map(|server| server.name.as_str()),
            load: [
                process.sum(),
                shared.connections(frontend),
                record.backend.map_or(0, |backend| self.at_backend(backend)),
                at_server,
            ],
        };
        let mut log = self.log.borrow_mut();
        write_line(log.buffer(), configured.log, record, &place, now);
        if log.is_due() {
            self.stats.log_lost.add(log.flush());
        }
    }

    fn at_backend(&self, backend: BackendIndex) -> u32 {
        let servers = self.shared.config.backends[usize::from(backend.0)].servers.len();
        let shared = self.shared.backend(backend);
        (0..servers).map(|server| shared.in_flight(balance::ServerIndex(server as u16))).sum()
    }

    fn keep_house(&self) {
        self.load.turns.fetch_add(1, Ordering::Relaxed);
        self.idle.sweep(Instant::now());
        self.lines.sweep(&self.shared.config, Instant::now());
        for handler in &self.shared.handlers {
            handler.keep_house();
        }
        self.flush_log();
    }

    fn flush_log(&self) {
        self.stats.log_lost.add(self.log.borrow_mut().flush());
    }

    fn may_end(&self, stage: Stage) -> bool {
        let connections = self.load.connections.load(Ordering::Relaxed);
        let requests = self.load.requests.load(Ordering::Relaxed);
        match stage {
            Stage::Serving => false,
            Stage::Draining => connections == 0,
            Stage::Finishing => requests == 0,
            Stage::Stopped => true,
        }
    }
}
