use std::net::SocketAddr;

use health::Policy;
use tokio::net::{TcpListener, TcpSocket, UnixListener};
use tokio::task::JoinHandle;
use wire::proxy_header::Version;

use super::*;
use crate::config::{BodyMatch, PageDigest, Statuses};

/// Long enough that only what must time out does.
const PATIENT: Duration = Duration::from_secs(10);
const HASTY: Duration = Duration::from_millis(200);

pub(crate) fn config(target: Target, kind: Kind, timeout: Duration) -> CheckConfig {
    let second = Duration::from_secs(1);
    let policy = Policy {
        interval: second,
        fast_interval: second,
        down_interval: second,
        timeout,
        retries: 0,
        retry_delay: second,
        warmup: None,
        rise: 2,
        fall: 3,
        observe_failures: None,
    };
    CheckConfig { kind, target, send_proxy: None, tls: None, policy }
}

fn page(path: &str) -> Page {
    Page { path: path.to_owned(), statuses: Statuses::default(), body: None, digest: None }
}

fn of(pages: Vec<Page>) -> HttpCheck {
    HttpCheck { method: "GET".to_owned(), host: None, pages }
}

fn http() -> HttpCheck {
    of(vec![page("/health?full")])
}

fn holding(text: &str) -> HttpCheck {
    of(vec![Page { body: Some(BodyMatch::Contains(text.to_owned())), ..page("/") }])
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// Takes one connection, reads one request head and returns it with the connection.
async fn take(listener: &TcpListener) -> (TcpStream, String) {
    let (mut stream, _) = listener.accept().await.expect("a client");
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.expect("a request"));
    }
    (stream, String::from_utf8(request).expect("text"))
}

/// A server that answers one request with these pieces, a moment between any two, and closes.
async fn server(pieces: Vec<Vec<u8>>, between: Duration) -> (SocketAddr, JoinHandle<String>) {
    let (listener, address) = listener().await;
    let serving = tokio::spawn(async move {
        let (mut stream, request) = take(&listener).await;
        for piece in pieces {
            if stream.write_all(&piece).await.is_err() {
                break;
            }
            tokio::time::sleep(between).await;
        }
        request
    });
    (address, serving)
}

/// What one probe finds.
async fn probe(check: &CheckConfig) -> Outcome {
    super::probe(check, &Lookup::new(), &Means::default(), None).await.outcome
}

/// What `check` finds at a server that answers with these pieces.
async fn found_in(check: HttpCheck, pieces: &[&str]) -> (Finding, Option<u16>) {
    let pieces = pieces.iter().map(|piece| piece.as_bytes().to_vec()).collect();
    let (address, _serving) = server(pieces, Duration::ZERO).await;
    let outcome = probe(&config(Target::Ip(address), Kind::Http(check), PATIENT)).await;
    (outcome.finding, outcome.status)
}

#[tokio::test]
async fn a_connection_that_is_taken_is_closed_in_order() {
    let (listener, address) = listener().await;
    let checked = tokio::spawn(async move { probe(&config(Target::Ip(address), Kind::Tcp, PATIENT)).await });
    let (mut stream, _) = listener.accept().await.expect("a client");
    assert_eq!(stream.read(&mut [0; 1]).await.expect("no reset"), 0);
    let outcome = checked.await.expect("an outcome");
    assert_eq!((outcome.finding, outcome.status), (Finding::Connected, None));
}

#[tokio::test]
async fn a_server_that_expects_a_proxy_header_gets_one() {
    let block: &[u8] = &[0x0d, 0x0a, 0x0d, 0x0a, 0, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a, 0x20, 0, 0, 0];
    for (version, header) in [(Version::V1, &b"PROXY UNKNOWN\r\n"[..]), (Version::V2, block)] {
        for (kind, status) in [(Kind::Tcp, None), (Kind::Http(http()), Some(204))] {
            let (listener, address) = listener().await;
            let check = CheckConfig { send_proxy: Some(version), ..config(Target::Ip(address), kind, PATIENT) };
            let checked = tokio::spawn(async move { probe(&check).await });
            let (mut stream, _) = listener.accept().await.expect("a client");
            let request = format!(
                "GET /health?full HTTP/1.1\r\nHost: {address}\r\nUser-Agent: perron\r\nAccept: */*\r\nConnection: close\r\n\r\n"
            );
            let expected = [header, if status.is_some() { request.as_bytes() } else { b"" }].concat();
            let mut got = vec![0; expected.len()];
            stream.read_exact(&mut got).await.expect("a header");
            assert_eq!(got, expected);
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.expect("it is read");
            drop(stream);
            assert_eq!(checked.await.expect("an outcome").status, status);
        }
    }
}

#[tokio::test]
async fn a_port_that_nobody_has_refuses() {
    let (listener, address) = listener().await;
    drop(listener);
    for kind in [Kind::Tcp, Kind::Http(http())] {
        let outcome = probe(&config(Target::Ip(address), kind, PATIENT)).await;
        assert_eq!(outcome.finding, Finding::ConnectFailed);
    }
}

#[tokio::test]
async fn a_server_that_takes_no_more_connections_times_out() {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let listener = socket.listen(0).expect("a listener");
    let address = listener.local_addr().expect("an address");
    // A backlog of none holds one; to the next the kernel does not answer.
    let _waiting = TcpStream::connect(address).await.expect("the one");
    let outcome = probe(&config(Target::Ip(address), Kind::Tcp, HASTY)).await;
    assert_eq!(outcome.finding, Finding::ConnectTimedOut);
    assert!(outcome.took >= HASTY);
}

#[tokio::test]
async fn the_request_is_whole_and_says_that_it_is_the_last() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let (address, serving) = server(vec![ok.into()], Duration::ZERO).await;
    let check = config(Target::Ip(address), Kind::Http(http()), PATIENT);
    assert_eq!(probe(&check).await.finding, Finding::Answered);
    let request = serving.await.expect("a request");
    assert_eq!(
        request.replace(&address.to_string(), "ADDRESS"),
        "GET /health?full HTTP/1.1\r\nHost: ADDRESS\r\nUser-Agent: perron\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n"
    );

    let named = HttpCheck { method: "HEAD".to_owned(), host: Some("api.example".to_owned()), ..http() };
    let (address, serving) = server(vec![ok.into()], Duration::ZERO).await;
    probe(&config(Target::Ip(address), Kind::Http(named), PATIENT)).await;
    let request = serving.await.expect("a request");
    assert!(request.starts_with("HEAD /health?full HTTP/1.1\r\nHost: api.example\r\n"), "{request}");
}

#[tokio::test]
async fn the_status_decides() {
    for (answer, finding, status) in [
        ("HTTP/1.1 200 OK\r\n\r\n", Finding::Answered, Some(200)),
        ("HTTP/1.0 204\r\n\r\n", Finding::Answered, Some(204)),
        ("HTTP/1.1 399 Odd\r\n\r\n", Finding::Answered, Some(399)),
        ("HTTP/1.1 401 No\r\n\r\n", Finding::WrongStatus, Some(401)),
        ("HTTP/1.1 503 No\r\nContent-Length: 3\r\n\r\nno\n", Finding::WrongStatus, Some(503)),
        ("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", Finding::Answered, Some(200)),
        ("HTTP/1.1 100 Continue\r\n\r\n", Finding::BadAnswer, None),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", Finding::WrongStatus, Some(101)),
        ("SSH-2.0-OpenSSH_9.2p1\r\n", Finding::BadAnswer, None),
        ("HTTP/1.1 200 OK\r\nContent-Le", Finding::BadAnswer, None),
        ("\0\u{7f}\0\0", Finding::BadAnswer, None),
        ("", Finding::BadAnswer, None),
    ] {
        assert_eq!(found_in(http(), &[answer]).await, (finding, status), "{answer:?}");
    }
    let only_unauthorized = of(vec![Page { statuses: Statuses(vec![401..=401]), ..page("/") }]);
    let found = found_in(only_unauthorized, &["HTTP/1.1 401 No\r\n\r\n"]).await;
    assert_eq!(found, (Finding::Answered, Some(401)));
}

#[tokio::test]
async fn the_body_is_searched_however_it_comes() {
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let found = Finding::Answered;
    let missing = Finding::WrongBody;
    let broken = Finding::BadAnswer;
    let table: [(&[&str], Finding); 10] = [
        (&[CHUNKED, "6\r\nall we\r\n", "2\r\nll\r\n0\r\n\r\n"], found),
        (&[CHUNKED, "6\r\nall we\r\n0\r\n\r\n"], missing),
        (&[CHUNKED, "6\r\nall we\r\nnonsense"], broken),
        (&[CHUNKED, "6\r\nall w"], broken),
        (&["HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nall ", "well"], found),
        (&["HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nall ", "well"], missing),
        (&["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall ", "bad"], broken),
        (&["HTTP/1.1 200 OK\r\n\r\nall", " ", "well"], found),
        (&["HTTP/1.1 200 OK\r\n\r\nall bad"], missing),
        (&["HTTP/1.1 204 No Content\r\n\r\nall well"], missing),
    ];
    for (pieces, finding) in table {
        assert_eq!(found_in(holding("all well"), pieces).await, (finding, pieces[0][9..12].parse().ok()), "{pieces:?}");
    }
}

#[tokio::test]
async fn of_a_body_without_end_only_the_beginning_is_searched() {
    let head = "HTTP/1.1 200 OK\r\n\r\n";
    let within = "x".repeat(65_536 - 4);
    let found = found_in(holding("well"), &[head, &within, "well"]).await;
    assert_eq!(found, (Finding::Answered, Some(200)));
    let beyond = "x".repeat(65_536 - 3);
    let found = found_in(holding("well"), &[head, &beyond, "well"]).await;
    assert_eq!(found, (Finding::WrongBody, Some(200)));
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let field = format!("X: {}\r\n", "x".repeat(1_000));
    let head = format!("HTTP/1.1 200 OK\r\n{}", field.repeat(40));
    assert_eq!(found_in(http(), &[&head]).await, (Finding::AnswerTooLong, None));
}

#[tokio::test]
async fn pages_are_asked_for_in_turn_up_to_the_first_that_is_wrong() {
    let (listener, address) = listener().await;
    let serving = tokio::spawn(async move {
        let mut asked = Vec::new();
        loop {
            let (mut stream, request) = take(&listener).await;
            let path = request.split(' ').nth(1).expect("a path").to_owned();
            let answer = if path == "/moved" { "302 Found\r\nLocation: /a" } else { "200 OK" };
            let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 3\r\n\r\nabc");
            stream.write_all(answer.as_bytes()).await.expect("it is read");
            asked.push(path);
            if asked.last().is_some_and(|path| path == "/last") {
                return asked;
            }
        }
    });
    let found = async |pages: Vec<Page>| {
        let outcome = probe(&config(Target::Ip(address), Kind::Http(of(pages)), PATIENT)).await;
        (outcome.finding, outcome.status, outcome.page)
    };
    let only_200 = |path: &str| Page { statuses: Statuses(vec![200..=200]), ..page(path) };
    assert_eq!(found(vec![page("/a"), page("/moved")]).await, (Finding::Answered, Some(302), None));
    let wrong = vec![only_200("/a"), only_200("/moved"), only_200("/never")];
    assert_eq!(found(wrong).await, (Finding::WrongStatus, Some(302), Some(2)));
    let alone = Page { digest: Some(PageDigest::Md5([0; 16])), ..page("/last") };
    assert_eq!(found(vec![alone]).await, (Finding::WrongDigest, Some(200), None));
    let asked = serving.await.expect("an end");
    assert_eq!(asked, ["/a", "/moved", "/a", "/moved", "/last"]);
}

#[tokio::test]
async fn silence_and_dripping_time_out() {
    let (silent, address) = listener().await;
    let outcome = probe(&config(Target::Ip(address), Kind::Http(http()), HASTY)).await;
    assert_eq!((outcome.finding, outcome.status), (Finding::AnswerTimedOut, None));
    assert!(outcome.took >= HASTY);
    drop(silent);

    let drops = |text: &str| text.bytes().map(|byte| vec![byte]).collect::<Vec<_>>();
    let slow = Duration::from_millis(20);
    let (address, _serving) = server(drops("HTTP/1.1 200 OK\r\nServer: slow\r\n\r\n"), slow).await;
    let outcome = probe(&config(Target::Ip(address), Kind::Http(http()), HASTY)).await;
    assert_eq!((outcome.finding, outcome.status), (Finding::AnswerTimedOut, None));

    let mut pieces = drops("a body that never comes to the word that is looked for");
    pieces.insert(0, b"HTTP/1.1 200 OK\r\n\r\n".to_vec());
    let (address, _serving) = server(pieces, slow).await;
    let outcome = probe(&config(Target::Ip(address), Kind::Http(holding("well")), HASTY)).await;
    assert_eq!((outcome.finding, outcome.status), (Finding::AnswerTimedOut, Some(200)));
}

#[tokio::test]
async fn an_answer_that_nobody_asked_to_the_end_is_read_out() {
    let (listener, address) = listener().await;
    let serving = tokio::spawn(async move {
        let (mut stream, _) = take(&listener).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n").await?;
        stream.write_all(&[b'x'; 40_000]).await?;
        stream.shutdown().await?;
        stream.read(&mut [0; 1]).await
    });
    let outcome = probe(&config(Target::Ip(address), Kind::Http(http()), PATIENT)).await;
    assert_eq!(outcome.finding, Finding::Answered);
    let end = serving.await.expect("the server's end");
    assert_eq!(end.expect("an orderly close"), 0);
}

#[tokio::test]
async fn unix_sockets_are_probed_alike() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("server.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.expect("written");
        let mut request = String::new();
        stream.shutdown().await.expect("shut");
        stream.read_to_string(&mut request).await.expect("a request");
        request
    });
    let outcome = probe(&config(Target::Unix(path.clone()), Kind::Http(http()), PATIENT)).await;
    assert_eq!((outcome.finding, outcome.status), (Finding::Answered, Some(200)));
    assert!(serving.await.expect("a request").contains("\r\nHost: localhost\r\n"));
    let gone = probe(&config(Target::Unix(path), Kind::Tcp, PATIENT)).await;
    assert_eq!(gone.finding, Finding::ConnectFailed);
}

#[test]
fn what_this_host_lacks_is_no_fault_of_the_server() {
    let fault = |errno| connect_fault(&io::Error::from_raw_os_error(errno));
    assert_eq!(fault(libc::EMFILE), Finding::LocalFault);
    assert_eq!(fault(libc::EADDRNOTAVAIL), Finding::LocalFault);
    assert_eq!(fault(libc::EHOSTUNREACH), Finding::ConnectFailed);
    assert_eq!(connect_fault(&io::ErrorKind::Other.into()), Finding::ConnectFailed);
}

#[tokio::test]
async fn what_an_answer_says_of_the_load_is_heard() {
    for (answer, report) in [
        (
            "HTTP/1.1 200 OK\r\nPerron-Load: sent=5000, left=300, requests=2\r\nContent-Length: 0\r\n\r\n",
            Some(LoadReport { sent: 5000, left: 300, requests: 2 }),
        ),
        (
            "HTTP/1.1 503 No\r\nperron-load: sent=1,left=0,requests=0\r\nContent-Length: 0\r\n\r\n",
            Some(LoadReport { sent: 1, left: 0, requests: 0 }),
        ),
        ("HTTP/1.1 200 OK\r\nPerron-Load: much\r\nContent-Length: 0\r\n\r\n", None),
        ("HTTP/1.1 103 Wait\r\nPerron-Load: sent=1,left=0,requests=0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", None),
        ("HTTP/1.1 200 OK\r\n\r\n", None),
    ] {
        let (address, _serving) = server(vec![answer.into()], Duration::ZERO).await;
        let check = config(Target::Ip(address), Kind::Http(http()), PATIENT);
        assert_eq!(super::probe(&check, &Lookup::new(), &Means::default(), None).await.report, report, "{answer:?}");
    }
}

#[tokio::test]
async fn a_name_is_looked_up_and_an_address_is_not() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let named = |host: &str, port| {
        let target = Target::Name { host: host.to_owned(), port };
        config(target, Kind::Http(http()), PATIENT)
    };
    for host in ["localhost", "127.0.0.1"] {
        let (address, serving) = server(vec![ok.into()], Duration::ZERO).await;
        assert_eq!(probe(&named(host, address.port())).await.finding, Finding::Answered, "{host}");
        let request = serving.await.expect("a request");
        assert!(request.contains(&format!("\r\nHost: {host}:{}\r\n", address.port())), "{request}");
    }
    // RFC 6761 §6.4: no resolver finds names below it.
    let missing = probe(&named("no.invalid", 80)).await;
    assert_eq!((missing.finding, missing.status), (Finding::LookupFailed, None));
    let target = Target::Name { host: "2001:db8::1".to_owned(), port: 8080 };
    assert!(request("GET", "/", None, &target).contains("\r\nHost: [2001:db8::1]:8080\r\n"));
}

#[tokio::test]
async fn a_look_up_that_hangs_ends_with_the_probe() {
    let hanging = Lookup::by(|_, _| {
        std::thread::park();
        Err(io::ErrorKind::TimedOut.into())
    });
    let target = Target::Name { host: "slow.example".to_owned(), port: 80 };
    let check = config(target, Kind::Tcp, HASTY);
    for _ in 0..2 {
        assert_eq!(
            super::probe(&check, &hanging, &Means::default(), None).await.outcome.finding,
            Finding::LookupFailed
        );
    }
}
