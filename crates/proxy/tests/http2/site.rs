//! A worker between clients and a server.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use balance::{Algorithm, Pool, PoolConfig, Quorum, ServerConfig};
use http_proto::{Condition, Forwarded, HeaderEdits};
use proxy::config::{
    AcceptProxy, Answer, Backend, BackendIndex, BackendTimeouts, Deliver, Frontend, FrontendIndex, FrontendTimeouts,
    LogFormat, Mode, Protocol, ProxyConfig, RateLimits, Respond, Route, Server, ServerAddress,
};
use proxy::{Clock, Listener, LogSink, Shared, Worker, WorkerHandle};
use units::{AdminState, Weight};

/// What takes longer never comes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running worker.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    pub(crate) shared: Arc<Shared>,
    pub(crate) worker: WorkerHandle,
    log: PathBuf,
    _folder: tempfile::TempDir,
}

/// A worker that relays to `server`, whom it speaks HTTP/1 with, and has one answer of its own at `/own`.
pub(crate) fn site(server: SocketAddr) -> Site {
    site_with(server, |_| {})
}

/// The same, with other settings.
pub(crate) fn site_with(server: SocketAddr, change: impl FnOnce(&mut ProxyConfig)) -> Site {
    let mut config = ProxyConfig {
        frontends: vec![frontend()],
        backends: vec![backend(server)],
        zones: Vec::new(),
        password_files: Vec::new(),
    };
    change(&mut config);
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let sink = LogSink::to_file(std::fs::File::create(&log).unwrap()).unwrap();
    let now = Clock::start().now();
    let snapshots = config.backends.iter().map(|backend| Pool::new(backend.pool.clone(), now).snapshot(now)).collect();
    let shared = Arc::new(Shared::new(config, Vec::new(), snapshots, 1, sink, None, None));
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let address = socket.local_addr().unwrap();
    let listener = Listener { frontend: FrontendIndex(0), socket: socket.into() };
    let worker = Worker::start(0, Arc::clone(&shared), vec![listener], None).unwrap();
    Site { address, shared, worker, log, _folder: folder }
}

impl Site {
    /// Waits until the log has a line with this in it.
    pub(crate) fn wait_for_line(&self, part: &str) {
        wait_for(part, || std::fs::read_to_string(&self.log).unwrap().contains(part));
    }

    /// How often the frontend has counted this reason.
    pub(crate) fn counted(&self, reason: proxy::Reason) -> u64 {
        let index = proxy::Reason::all().position(|other| other == reason).unwrap();
        self.shared.workers()[0].frontends[0].reasons[index].value()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.worker.stop();
    }
}

/// Waits until `holds` does.
pub(crate) fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} does not come about");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn frontend() -> Frontend {
    Frontend {
        name: "web".to_owned(),
        mode: Mode::Http,
        max_connections: None,
        tcp_keepalive: None,
        accept_proxy: AcceptProxy::Nobody,
        timeouts: FrontendTimeouts::default(),
        routes: vec![Route {
            when: vec![Condition::PathExact(vec!["/own".to_owned()])],
            answer: Answer::Respond(Respond {
                status: 200,
                content_type: "text/plain".to_owned(),
                body: "own".to_owned(),
            }),
            request_headers: HeaderEdits::default(),
            response_headers: HeaderEdits::default(),
            rate_limits: RateLimits::default(),
            stream: None,
            allow_users: None,
            basic_auth: None,
            compress: None,
            rewrite: None,
        }],
        default: Some(Answer::Backend(BackendIndex(0))),
        forwarded: Forwarded { x_forwarded: true, ..Forwarded::default() },
        request_headers: HeaderEdits::default(),
        response_headers: HeaderEdits::default(),
        log: LogFormat::Haproxy,
        rate_limits: RateLimits::default(),
        tls: None,
        http2: true,
        allow_users: None,
        basic_auth: None,
        compress: Vec::new(),
        error_pages: Vec::new(),
    }
}

fn backend(address: SocketAddr) -> Backend {
    Backend {
        name: "app".to_owned(),
        pool: PoolConfig {
            algorithm: Algorithm::RoundRobin,
            slow_start: Duration::ZERO,
            servers: vec![ServerConfig {
                name: "one".to_owned(),
                weight: Weight::ONE,
                max_in_flight: None,
                tier: 0,
                checked: false,
                admin: AdminState::Ready,
                class: None,
                zone: None,
                bandwidth: None,
                sorry: false,
            }],
            classes: Vec::new(),
            max_in_flight: None,
            quorum: Quorum::default(),
            alpha: true,
        },
        servers: vec![Server {
            address: ServerAddress::Ip(address),
            send_proxy: None,
            redirect_to: None,
            rate_limit: None,
            tls: None,
            protocol: Protocol::Http1,
        }],
        timeouts: BackendTimeouts::default(),
        retries: 0,
        redispatch: true,
        tcp_keepalive: None,
        max_queue: 100,
        max_idle: 100,
        observe_failures: None,
        deliver: Deliver::default(),
        retry_after: Duration::from_secs(1),
        stick: None,
        application: None,
    }
}
