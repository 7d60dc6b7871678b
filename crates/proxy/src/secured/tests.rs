//! A worker with one frontend and one backend, both with TLS as wished; clients and servers are threads of the test.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use balance::{Algorithm, Pool, PoolConfig, ServerConfig, ServerIndex};
use lab::Authority;
use tls::config::{CertificateFiles, ClientTls, ServerTls};
use tls::{Acceptor, Connector, Material, Peer, Read, Session, TicketSecret};
use units::{AdminState, Instant, Weight};

use super::exported;
use crate::config::*;
use crate::stream::{Stream, Tls, Turns};
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
    };
    Backend {
        name: "back".to_owned(),
        pool: PoolConfig {
            algorithm: Algorithm::RoundRobin,
            slow_start: Duration::ZERO,
            servers: vec![known],
            classes: Vec::new(),
            max_in_flight: None,
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

#[test]
fn requests_over_tls_are_relayed_and_the_server_is_told_their_scheme() {
    let Some(papers) = Papers::make() else { return };
    let site = papers.site(|_, _| {}, server(tell_heads));
    let connector = papers.connector("server.example");
    let mut client = papers.client(&site, &connector);
    for _ in 0..2 {
        let told = ask(&mut client);
        assert!(told.contains("\r\nX-Forwarded-Proto: https\r\n"), "{told}");
    }
    assert_eq!(site.handshakes(), [1, 0]);
    let mut again = papers.client(&site, &connector);
    ask(&mut again);
    assert_eq!(site.handshakes(), [1, 1], "the ticket came with the first answer");
}

#[test]
fn a_request_in_clear_text_is_told_to_come_by_https() {
    let Some(papers) = Papers::make() else { return };
    let site = papers.site(|_, _| {}, server(tell_heads));
    let mut client = site.connect();
    client
        .write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nand some of its body")
        .expect("sent");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer, and the end");
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(answer.contains("\r\nConnection: close\r\n") && answer.contains("write https://"), "{answer}");
    eventually("it is counted", || site.reason("clear_text") == 1);
    // What is neither gets an alert: 21 (alert), of some version, two bytes, fatal.
    let mut client = site.connect();
    client.write_all(&[0x80, 0x2e, 1, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).expect("sent");
    let mut alert = Vec::new();
    client.read_to_end(&mut alert).expect("the end");
    assert!(matches!(alert[..], [21, 3, _, 0, 2, 2, _]), "{alert:?}");
    eventually("it is counted", || site.reason("tls_not_tls") == 1);
}

#[test]
fn one_port_serves_both_where_it_may() {
    let Some(papers) = Papers::make() else { return };
    let site = papers.site(|_, tls| tls.clear_too = true, server(tell_heads));
    let told = ask(&mut site.connect());
    assert!(told.contains("\r\nX-Forwarded-Proto: http\r\n"), "{told}");
    let told = ask(&mut papers.client(&site, &papers.connector("server.example")));
    assert!(told.contains("\r\nX-Forwarded-Proto: https\r\n"), "{told}");
}

#[test]
fn a_proxy_header_comes_before_tls() {
    let Some(papers) = Papers::make() else { return };
    let site = papers.site(|front, _| front.accept_proxy = AcceptProxy::Everybody, server(tell_heads));
    let connector = papers.connector("server.example");
    let mut session = connector.begin("server.example").expect("a session");
    let mut first = b"PROXY TCP4 192.0.2.7 192.0.2.1 5000 443\r\n".to_vec();
    session.write_tls(&mut first).expect("a hello");
    let mut socket = site.connect();
    socket.write_all(&first).expect("sent");
    let mut client = Wire::shake_hands(socket, session).expect("hands");
    let told = ask(&mut client);
    assert!(told.contains("\r\nX-Forwarded-For: 192.0.2.7\r\n"), "{told}");
}

#[test]
fn a_handshake_that_stalls_ends_in_time() {
    let Some(papers) = Papers::make() else { return };
    let hasty = |front: &mut Frontend, _: &mut ServerTls| front.timeouts.header = Duration::from_millis(100);
    let site = papers.site(hasty, server(tell_heads));
    for first in [&b""[..], &[0x16, 3, 1, 2]] {
        let mut client = site.connect();
        client.write_all(first).expect("sent");
        assert_eq!(client.read(&mut [0; 16]).expect("the end"), 0, "{first:?}");
    }
    eventually("both are counted", || site.reason("slow_handshake") == 2);
}

#[test]
fn without_what_the_files_hold_nobody_is_served_and_no_server_is_asked() {
    let Some(papers) = Papers::make() else { return };
    let site = Site::start(frontend(Some(server_tls(&papers.server))), backend(server(tell_heads), None), |_| {});
    let mut client = site.connect();
    client.write_all(&[0x16, 3, 1]).expect("sent");
    assert_eq!(client.read(&mut [0; 16]).unwrap_or(0), 0);
    let (sender, asked) = mpsc::channel();
    let address = server(move |_| sender.send(()).expect("the test waits"));
    let back = backend(address, Some(client_tls(&papers.authority, "server.example")));
    let site = Site::start(frontend(None), back, |_| {});
    let mut client = site.connect();
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    assert!(read_head(&mut client).expect("an answer").starts_with("HTTP/1.1 503 "));
    assert!(asked.recv_timeout(PATIENT).is_ok(), "it was connected to, and nothing was said");
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

#[test]
fn servers_are_asked_through_tls_on_connections_that_are_kept() {
    let Some(papers) = Papers::make() else { return };
    let site = papers.site_before(secure_server(&papers, tell_heads), "server.example");
    let mut client = site.connect();
    for _ in 0..3 {
        let told = ask(&mut client);
        assert!(told.contains("\r\nX-Forwarded-Proto: http\r\n"), "{told}");
    }
    eventually("all are counted", || site.shared.workers()[0].servers[0][0].requests.value() == 3);
    let stats = &site.shared.workers()[0].servers[0][0];
    assert_eq!([stats.opened.value(), stats.handshakes.full.value(), stats.reused.value()], [1, 1, 2]);
}

#[test]
fn a_server_that_is_not_who_it_should_be_gets_no_request() {
    let Some(papers) = Papers::make() else { return };
    let site = papers.site_before(secure_server(&papers, tell_heads), "other.example");
    let mut client = site.connect();
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    assert!(read_head(&mut client).expect("an answer").starts_with("HTTP/1.1 503 "));
    eventually("it is counted", || site.reason("server_tls_certificate_name") == 1);
    assert_eq!(site.shared.workers()[0].servers[0][0].connect_errors.value(), 1);
    // In clear text where TLS is awaited.
    let silent = server(|mut socket| drop(socket.write_all(b"220 mail.example ESMTP\r\n")));
    let site = papers.site_before(silent, "server.example");
    let mut client = site.connect();
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    assert!(read_head(&mut client).expect("an answer").starts_with("HTTP/1.1 503 "));
    eventually("it is counted", || site.reason("server_tls_not_tls") == 1);
}

/// Bytes that tell their place.
fn pattern(length: usize) -> Vec<u8> {
    (0..length as u32).map(|place| (place / 4).to_be_bytes()[place as usize % 4]).collect()
}

#[test]
fn large_bodies_pass_whole_through_tls_on_both_sides() {
    const LENGTH: usize = 3_000_001;
    let Some(papers) = Papers::make() else { return };
    let address = secure_server(&papers, |mut wire| {
        while let Ok(head) = read_head(&mut wire) {
            let mut body = vec![0; LENGTH];
            wire.read_exact(&mut body).expect("a body");
            assert!(head.starts_with("POST ") && body == pattern(LENGTH));
            wire.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n").as_bytes()).expect("sent");
            wire.write_all(&body).expect("sent");
        }
    });
    let (mut front, wanted) = (frontend(None), server_tls(&papers.server));
    front.tls = Some(wanted.clone());
    let back = backend(address, Some(client_tls(&papers.authority, "server.example")));
    let site = Site::start(front, back, |shared| {
        shared.secure_by(FrontendIndex(0), papers.acceptor(&wanted));
        shared.connect_by(BackendIndex(0), ServerIndex(0), papers.connector("server.example"));
    });
    let mut client = papers.client(&site, &papers.connector("server.example"));
    for _ in 0..2 {
        let head = format!("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: {LENGTH}\r\n\r\n");
        client.write_all(head.as_bytes()).expect("sent");
        client.write_all(&pattern(LENGTH)).expect("sent");
        assert!(read_head(&mut client).expect("an answer").starts_with("HTTP/1.1 200 OK\r\n"));
        let mut body = vec![0; LENGTH];
        client.read_exact(&mut body).expect("the whole body");
        assert!(body == pattern(LENGTH));
    }
    assert_eq!(site.handshakes(), [1, 0]);
}

#[test]
fn upgraded_connections_and_tcp_pass_through_tls_on_both_sides() {
    let Some(papers) = Papers::make() else { return };
    for mode in [Mode::Http, Mode::Tcp] {
        let address = secure_server(&papers, |mut wire| {
            let head = read_head(&mut wire).expect("a head");
            assert!(head.contains("Upgrade: echo\r\n"), "{head}");
            let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
            wire.write_all(answer.as_bytes()).expect("sent");
            let mut bytes = [0; 1000];
            while let Ok(read @ 1..) = wire.read(&mut bytes) {
                wire.write_all(&bytes[..read]).expect("sent");
            }
        });
        let (mut front, wanted) = (frontend(None), server_tls(&papers.server));
        (front.tls, front.mode) = (Some(wanted.clone()), mode);
        let back = backend(address, Some(client_tls(&papers.authority, "server.example")));
        let site = Site::start(front, back, |shared| {
            shared.secure_by(FrontendIndex(0), papers.acceptor(&wanted));
            shared.connect_by(BackendIndex(0), ServerIndex(0), papers.connector("server.example"));
        });
        let mut client = papers.client(&site, &papers.connector("server.example"));
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n").expect("sent");
        assert!(read_head(&mut client).expect("an answer").starts_with("HTTP/1.1 101 "), "{mode:?}");
        for said in [&b"ping"[..], &pattern(10_000)] {
            client.write_all(said).expect("sent");
            let mut heard = vec![0; said.len()];
            client.read_exact(&mut heard).expect("the echo");
            assert!(heard == said, "{mode:?}");
        }
    }
}

#[test]
fn servers_are_told_of_certificates_in_lines_that_a_head_can_have() {
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let identity = tls::Identity {
        user: None,
        variables: vec![
            variable("SSL_CLIENT_VERIFY", "SUCCESS"),
            variable("SSL_CLIENT_S_DN", "CN=n1,O=H\u{f6}he"),
            variable("SSL_CLIENT_S_DN_CN", "n1"),
            variable("SSL_CLIENT_I_DN_O", "two\r\nlines"),
            variable("SSL_CLIENT_CERT", "-----BEGIN CERTIFICATE-----\nMI+/=\n"),
        ],
    };
    let mut peer = Peer {
        protocol: "TLSv1.3",
        cipher: "TLS_AES_128_GCM_SHA256",
        key_bits: 128,
        server_name: Some("server.example".to_owned()),
        is_http2: false,
        is_resumed: true,
        identity: Some(identity),
    };
    let mut front = frontend(Some(ServerTls { export_headers: true, ..server_tls(Path::new("x.pem")) }));
    let lines = |front: &Frontend, peer: Option<&Peer>| {
        exported(front, peer).map(|lines| String::from_utf8(lines).expect("the test's own are text"))
    };
    let of_connection = "SSL-Protocol: TLSv1.3\r\nSSL-Cipher: TLS_AES_128_GCM_SHA256\r\nSSL-Cipher-Usekeysize: 128\r\n\
                         SSL-Cipher-Algkeysize: 128\r\nSSL-Session-Resumed: Resumed\r\nSSL-TLS-SNI: server.example\r\n";
    let of_certificate = "SSL-Client-Verify: SUCCESS\r\nSSL-Client-S-DN: CN=n1,O=H\u{f6}he\r\nSSL-Client-S-DN-CN: n1\r\n\
                          SSL-Client-Cert: -----BEGIN%20CERTIFICATE-----%0AMI%2B%2F%3D%0A\r\n";
    assert_eq!(lines(&front, Some(&peer)), Some([of_connection, of_certificate].concat()));
    peer.identity = None;
    assert_eq!(lines(&front, Some(&peer)), Some([of_connection, "SSL-Client-Verify: NONE\r\n"].concat()));
    assert_eq!(lines(&front, None).as_deref(), Some(""), "in clear text nothing is told, and forged lines still go");
    front.tls = None;
    assert_eq!(lines(&front, Some(&peer)), None);
}

#[test]
fn an_answer_that_is_cut_off_does_not_end_in_order() {
    let Some(papers) = Papers::make() else { return };
    let (go, wait) = mpsc::channel::<()>();
    let address = server(move |mut socket| {
        let _ = read_head(&mut socket);
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\n\r\na part");
        let _ = wait.recv();
        rustix::net::sockopt::set_socket_linger(&socket, Some(Duration::ZERO)).expect("a socket");
    });
    let site = papers.site(|_, _| {}, address);
    let mut client = papers.client(&site, &papers.connector("server.example"));
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    assert!(read_head(&mut client).expect("an answer").starts_with("HTTP/1.1 200 OK\r\n"));
    let mut part = [0; 6];
    client.read_exact(&mut part).expect("the part");
    go.send(()).expect("the server waits");
    assert!(client.read(&mut part).is_err(), "no close_notify, which would say that this was all");
}

#[tokio::test]
async fn no_more_steps_of_handshakes_are_taken_at_once_than_may() {
    let Some(papers) = Papers::make() else { return };
    let acceptor = papers.acceptor(&server_tls(&papers.server));
    let turns = Turns::default();
    let (ours, theirs) = tokio::net::UnixStream::pair().expect("a pair");
    let mut hello = Vec::new();
    let mut client = papers.connector("server.example").begin("server.example").expect("a session");
    client.write_tls(&mut hello).expect("a hello");
    let tls = Tls::new(Stream::Unix(ours), acceptor.begin().expect("a session"));
    let others: Vec<_> = (0..4).map(|_| turns.take().expect("four may")).collect();
    assert!(turns.take().is_none(), "and no fifth");
    let mut handshake = std::pin::pin!(tls.shake_hands(&hello, &turns));
    for _ in 0..10 {
        let is_pending = std::future::poll_fn(|cx| Poll::Ready(handshake.as_mut().poll(cx).is_pending())).await;
        assert!(is_pending && theirs.try_read(&mut [0; 1]).is_err());
        tokio::task::yield_now().await;
    }
    drop(others);
    tokio::select! {
        ended = &mut handshake => panic!("the client has not answered: {ended:?}"),
        readable = theirs.readable() => readable.expect("a socket"),
    }
    let mut answer = [0; 1];
    assert_eq!((theirs.try_read(&mut answer).expect("an answer"), answer), (1, [0x16]));
}
