//! A worker with one frontend and one backend, both with TLS as wished; clients and servers are threads of the test.

mod both;
mod clients;
mod servers;
mod told;

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use balance::{Algorithm, Pool, PoolConfig, Quorum, ServerConfig, ServerIndex};
use lab::Authority;
use tls::config::{CertificateFiles, ClientTls, ServerTls};
use tls::{Acceptor, Connector, Material, Read, Session, TicketSecret};
use units::{AdminState, Instant, Weight};

use crate::config::*;
use crate::{Listener, LogSink, Shared, Worker, WorkerHandle};

/// What anything may take before it counts as hung.
const PATIENT: Duration = Duration::from_secs(20);

fn material(files: &[&Path]) -> Material {
    let read = |path: &&Path| (path.to_path_buf(), std::fs::read_to_string(path).expect("a file of the test"));
    files.iter().map(read).collect()
}

fn server_tls(certificate: &Path) -> ServerTls {
    ServerTls::showing(vec![CertificateFiles::together(certificate)])
}

fn client_tls(ca: &Path, name: &str) -> ClientTls {
    ClientTls { ca: Some(ca.to_owned()), name: Some(name.to_owned()), ..ClientTls::default() }
}

/// TLS on a blocking socket.
struct Wire {
    socket: TcpStream,
    session: Session,
}

impl Wire {
    fn shake_hands(socket: TcpStream, session: Session) -> io::Result<Wire> {
        socket.set_read_timeout(Some(PATIENT))?;
        let mut wire = Wire { socket, session };
        while wire.session.is_handshaking() {
            wire.flush()?;
            if wire.session.is_handshaking() {
                wire.take_in()?;
            }
        }
        wire.flush()?;
        Ok(wire)
    }

    fn take_in(&mut self) -> io::Result<usize> {
        match self.session.read_tls(&mut self.socket)? {
            Ok(0) if self.session.is_handshaking() => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => Ok(read),
            Err(error) => {
                let _ = self.flush();
                Err(io::Error::other(error.reason()))
            }
        }
    }
}

impl io::Read for Wire {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.read(out)? {
                Read::Bytes(read) => return Ok(read),
                Read::End => return Ok(0),
                Read::Nothing => drop(self.take_in()?),
            }
        }
    }
}

impl io::Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.session.write(bytes);
        io::Write::flush(self)?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.socket)?;
        }
        Ok(())
    }
}

/// A head, to its blank line.
fn read_head(stream: &mut impl io::Read) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => head.push(byte[0]),
        }
    }
    Ok(String::from_utf8(head).expect("heads are text"))
}

/// What serves, and what it is given to serve with.
struct Site {
    shared: Arc<Shared>,
    worker: Option<WorkerHandle>,
    address: SocketAddr,
}

impl Site {
    /// A worker with these.
    fn start(frontend: Frontend, backend: Backend, secure: impl FnOnce(&Shared)) -> Site {
        let pool = Pool::new(backend.pool.clone(), Instant::ZERO);
        let config = ProxyConfig {
            frontends: vec![frontend],
            backends: vec![backend],
            zones: Vec::new(),
            password_files: Vec::new(),
        };
        let snapshots = vec![pool.snapshot(Instant::ZERO)];
        let shared = Arc::new(Shared::new(config, Vec::new(), snapshots, 1, LogSink::off(), None, None));
        secure(&shared);
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        socket.set_nonblocking(true).expect("a socket");
        let address = socket.local_addr().expect("an address");
        let listener = Listener { frontend: FrontendIndex(0), socket: socket.into() };
        let worker = Worker::start(0, Arc::clone(&shared), vec![listener], None).expect("a thread");
        Site { shared, worker: Some(worker), address }
    }

    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).expect("it listens");
        socket.set_read_timeout(Some(PATIENT)).expect("a socket");
        socket
    }

    fn reason(&self, word: &str) -> u64 {
        let place = crate::Reason::all().position(|reason| reason.as_str() == word).expect("a word of ours");
        self.shared.workers()[0].frontends[0].reasons[place].value()
    }

    fn handshakes(&self) -> [u64; 2] {
        let handshakes = &self.shared.workers()[0].frontends[0].handshakes;
        [handshakes.full.value(), handshakes.resumed.value()]
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(worker) = self.worker.take() {
            worker.stop();
        }
    }
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + PATIENT;
    while !condition() {
        assert!(std::time::Instant::now() < deadline, "never: {what}");
        thread::yield_now();
    }
}

fn frontend(tls: Option<ServerTls>) -> Frontend {
    Frontend {
        name: "front".to_owned(),
        mode: Mode::Http,
        max_connections: None,
        tcp_keepalive: None,
        accept_proxy: AcceptProxy::Nobody,
        timeouts: FrontendTimeouts::default(),
        routes: Vec::new(),
        default: Some(Answer::Backend(BackendIndex(0))),
        forwarded: http_proto::Forwarded { x_forwarded: true, ..Default::default() },
        request_headers: Default::default(),
        response_headers: Default::default(),
        log: LogFormat::Off,
        rate_limits: RateLimits::default(),
        allow_users: None,
        basic_auth: None,
        compress: Vec::new(),
        error_pages: Vec::new(),
        tls,
        http2: false,
    }
}

fn backend(address: SocketAddr, tls: Option<ClientTls>) -> Backend {
    let server = Server {
        address: ServerAddress::Ip(address),
        send_proxy: None,
        redirect_to: None,
        rate_limit: None,
        tls,
        protocol: Protocol::Http1,
    };
    let known = ServerConfig {
        name: "a".to_owned(),
        weight: Weight::new(1),
        max_in_flight: None,
        tier: 0,
        checked: false,
        admin: AdminState::Ready,
        class: None,
        zone: None,
        bandwidth: None,
        sorry: false,
    };
    Backend {
        name: "back".to_owned(),
        pool: PoolConfig {
            algorithm: Algorithm::RoundRobin,
            slow_start: Duration::ZERO,
            servers: vec![known],
            classes: Vec::new(),
            max_in_flight: None,
            quorum: Quorum::default(),
            alpha: true,
        },
        servers: vec![server],
        timeouts: BackendTimeouts::default(),
        retries: 0,
        redispatch: false,
        tcp_keepalive: None,
        max_queue: 0,
        max_idle: 8,
        observe_failures: None,
        deliver: Deliver::default(),
        retry_after: Duration::from_secs(1),
        stick: None,
        application: None,
    }
}

/// The certificates of a test: an authority, and a server's that is called `server.example`.
struct Papers {
    _folder: tempfile::TempDir,
    authority: PathBuf,
    server: PathBuf,
    secret: TicketSecret,
}

impl Papers {
    /// `None`: there is no openssl here, which has been told.
    fn make() -> Option<Papers> {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = match Authority::new(folder.path(), "ca") {
            Ok(authority) => authority,
            Err(skip) => {
                skip.announce();
                return None;
            }
        };
        let server = authority.server("server", &["server.example"]);
        let secret = TicketSecret::random().expect("chance");
        Some(Papers { authority: authority.certificate(), server, secret, _folder: folder })
    }

    fn acceptor(&self, wanted: &ServerTls) -> Acceptor {
        Acceptor::new(wanted, &material(&[&self.server]), &self.secret).expect("an acceptor")
    }

    fn connector(&self, name: &str) -> Connector {
        Connector::new(&client_tls(&self.authority, name), &material(&[&self.authority])).expect("a connector")
    }

    /// A frontend with TLS before a server in clear text at `address`.
    fn site(&self, change: impl FnOnce(&mut Frontend, &mut ServerTls), address: SocketAddr) -> Site {
        let mut wanted = server_tls(&self.server);
        let mut front = frontend(None);
        change(&mut front, &mut wanted);
        front.tls = Some(wanted.clone());
        let acceptor = self.acceptor(&wanted);
        Site::start(front, backend(address, None), |shared| shared.secure_by(FrontendIndex(0), acceptor))
    }

    /// A frontend in clear text before a server with TLS at `address`, which must have the name `name`.
    fn site_before(&self, address: SocketAddr, name: &str) -> Site {
        let back = backend(address, Some(client_tls(&self.authority, name)));
        let connector = self.connector(name);
        Site::start(frontend(None), back, |shared| shared.connect_by(BackendIndex(0), ServerIndex(0), connector))
    }

    fn client(&self, site: &Site, connector: &Connector) -> Wire {
        Wire::shake_hands(site.connect(), connector.begin("server.example").expect("a session")).expect("hands")
    }
}

/// A server in clear text, which hands each connection to `serve`.
fn server(serve: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || listener.incoming().flatten().for_each(serve));
    address
}

/// Answers each head with 200 and the head itself as the body.
fn tell_heads(mut stream: impl io::Read + io::Write) {
    while let Ok(head) = read_head(&mut stream) {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{head}", head.len());
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// One request, and the body of its answer.
fn ask(stream: &mut (impl io::Read + io::Write)) -> String {
    stream.write_all(b"GET /x HTTP/1.1\r\nHost: server.example\r\n\r\n").expect("written");
    let head = read_head(stream).expect("an answer");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    read_head(stream).expect("the server tells a whole head")
}

/// A server with TLS, which hands each connection to `serve`.
fn secure_server(papers: &Papers, serve: impl Fn(Wire) + Send + 'static) -> SocketAddr {
    let acceptor = papers.acceptor(&server_tls(&papers.server));
    server(move |socket| {
        if let Ok(wire) = Wire::shake_hands(socket, acceptor.begin().expect("a session")) {
            serve(wire);
        }
    })
}
