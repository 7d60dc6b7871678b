//! Servers that speak HTTP/2: what they are asked, and what becomes of their answers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use proxy::config::{Protocol, ProxyConfig};

use crate::client::{connect, fetch, get, post, run};
use crate::raw::{PREFACE, Raw, frame, kind};
use crate::site::{Site, site_with, wait_for};

/// What a server counts.
#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: AtomicUsize,
}

/// Starts a server for as long as the test lasts.
fn start(most: u32) -> (SocketAddr, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let counts = Arc::clone(&seen);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counts.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, most, Arc::clone(&counts)));
            }
        });
    });
    (address, seen)
}

async fn serve(stream: tokio::net::TcpStream, most: u32, seen: Arc<Seen>) {
    let mut connection = Builder::new().max_concurrent_streams(most).handshake::<_, Bytes>(stream).await.unwrap();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let number = seen.requests.fetch_add(1, Ordering::SeqCst);
        match request.uri().path() {
            "/refused" if number == 0 => respond.send_reset(Reason::REFUSED_STREAM),
            "/leave" if number == 0 => {
                // The stream is not looked at, and a last word says so.
                respond.send_reset(Reason::REFUSED_STREAM);
                connection.graceful_shutdown();
            }
            _ => {
                tokio::spawn(answer(request, respond));
            }
        }
    }
}

async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let (parts, mut body) = request.into_parts();
    let mut came = Vec::new();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        came.extend_from_slice(&data);
    }
    let asked = body.trailers().await.unwrap_or_default();
    let mut text = format!("{} {} {:?}\n", parts.method, parts.uri, parts.version).into_bytes();
    for (name, value) in parts.headers.iter().chain(asked.iter().flatten()) {
        text.extend_from_slice(format!("{name}: {}\n", value.to_str().unwrap()).as_bytes());
    }
    text.push(b'\n');
    text.extend_from_slice(&came);
    let path = parts.uri.path();
    if path == "/hints" {
        let hints = Response::builder().status(103).header("link", "</a.css>").body(()).unwrap();
        respond.send_informational(hints).unwrap();
    }
    if path == "/empty" {
        respond.send_response(Response::builder().status(200).header("x-a", "b").body(()).unwrap(), true).unwrap();
        return;
    }
    if path == "/fields" {
        let large = Response::builder().status(200).header("x", "y".repeat(70_000)).body(()).unwrap();
        respond.send_response(large, true).unwrap();
        return;
    }
    if path == "/hang" {
        let _ = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
        return;
    }
    if path == "/reset" {
        respond.send_reset(Reason::INTERNAL_ERROR);
        return;
    }
    let length = (path == "/length").then_some(text.len());
    let mut response = Response::builder().status(200);
    if let Some(length) = length {
        response = response.header("content-length", length);
    }
    let mut send = respond.send_response(response.body(()).unwrap(), false).unwrap();
    if matches!(path, "/big" | "/cut") {
        text = vec![b'x'; 4 << 20];
    }
    let mut rest = Bytes::from(text);
    while !rest.is_empty() {
        send.reserve_capacity(rest.len());
        let Some(Ok(room)) = std::future::poll_fn(|cx| send.poll_capacity(cx)).await else { return };
        send.send_data(rest.split_to(room.min(rest.len())), false).unwrap();
    }
    if path == "/cut" {
        send.send_reset(Reason::INTERNAL_ERROR);
        return;
    }
    if path == "/trailers" {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        send.send_trailers(trailers).unwrap();
    } else {
        send.send_data(Bytes::new(), true).unwrap();
    }
}

/// A worker that speaks HTTP/2 with `server`.
fn site(server: SocketAddr) -> Site {
    site_with(server, |config: &mut ProxyConfig| {
        let backend = &mut config.backends[0];
        backend.servers[0].protocol = Protocol::Http2;
        backend.retries = 2;
    })
}

/// The bytes of an answer to a client of HTTP/1.
fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

fn ask(address: SocketAddr, path: &str) -> String {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: t:81\r\nConnection: close\r\n\r\n"))
}

#[test]
fn clients_of_http1_are_served_on_one_connection_to_the_server() {
    let (address, seen) = start(100);
    let site = site(address);
    let answer = ask(site.address, "/a?b=|c");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("transfer-encoding: chunked\r\n"), "{answer}");
    assert!(answer.contains("GET http://t:81/a?b=%7Cc HTTP/2.0\n") && answer.contains("\nte: trailers\n"), "{answer}");
    assert!(answer.contains("x-forwarded-for: 127.0.0.1\n") && answer.ends_with("\r\n0\r\n\r\n"), "{answer}");
    for gone in ["connection:", "keep-alive", "upgrade", "host:"] {
        assert!(!answer.split("\r\n\r\n").nth(1).unwrap().contains(&format!("\n{gone}")), "{gone} in {answer}");
    }
    let request = "GET /empty HTTP/1.1\r\nHost: t\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n";
    let empty = exchange(site.address, request);
    assert!(empty.contains("x-a: b\r\n") && empty.contains("content-length: 0\r\n"), "{empty}");
    let hinted = ask(site.address, "/hints");
    assert!(hinted.starts_with("HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\n"), "{hinted}");
    let head = exchange(site.address, "HEAD /length HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    assert!(head.contains("content-length: ") && head.ends_with("\r\n\r\n"), "{head}");
    let address = site.address;
    let many: Vec<_> = (0..30).map(|n| std::thread::spawn(move || ask(address, &format!("/{n}")))).collect();
    for (n, answer) in many.into_iter().enumerate() {
        let answer = answer.join().unwrap();
        assert!(answer.contains(&format!("http://t:81/{n} ")), "{answer}");
    }
    assert_eq!(seen.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn bodies_and_trailers_pass_both_ways() {
    let (address, _seen) = start(100);
    let site = site(address);
    let request = "POST /length HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: 5\r\n\r\nabcde";
    let answer = exchange(site.address, request);
    assert!(answer.contains("\ncontent-length: 5\n") && answer.ends_with("\n\nabcde"), "{answer}");
    let chunks = "3\r\nabc\r\n2;x\r\nde\r\n0\r\nX-Sum: 7\r\n\r\n";
    let request = "POST / HTTP/1.1\r\nHost: t\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = exchange(site.address, &format!("{request}{chunks}"));
    assert!(answer.contains("\nx-sum: 7\n") && answer.contains("\n\nabcde"), "{answer}");
    assert!(!answer.contains("transfer-encoding: chunked\n"), "{answer}");
    assert!(ask(site.address, "/trailers").ends_with("\r\n0\r\ngrpc-status: 0\r\n\r\n"));
    run(async {
        let send = connect(site.address).await;
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("7"));
        let request = Request::post("http://t/trailers").header("te", "trailers").body(()).unwrap();
        let answer = post(&send, request, &[b"message"], Some(trailers)).await.unwrap();
        assert!(answer.text().contains("\nx-sum: 7\n") && answer.text().ends_with("\n\nmessage"), "{answer:?}");
        assert_eq!(answer.trailers.unwrap()["grpc-status"], "0");
        assert_eq!(fetch(&send, get("/big")).await.unwrap().body.len(), 4 << 20);
        let large = vec![b'y'; 3 << 20];
        let request = Request::post("http://t/").body(()).unwrap();
        let answer = post(&send, request, &[&large], None).await.unwrap();
        assert!(answer.body.ends_with(&large));
    });
}

#[test]
fn what_a_server_has_not_looked_at_is_sent_again() {
    for path in ["/refused", "/leave"] {
        let (address, seen) = start(100);
        let site = site(address);
        let request = format!("POST {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        let answer = exchange(site.address, &request);
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\n\nok"), "{path}: {answer}");
        assert_eq!(seen.requests.load(Ordering::SeqCst), 2, "{path}");
    }
    // What it may have begun is not, and what it cut off is cut off.
    let (address, seen) = start(100);
    let site = site(address);
    let request = "POST /reset HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
    assert!(exchange(site.address, request).starts_with("HTTP/1.1 502 "));
    assert_eq!(seen.requests.load(Ordering::SeqCst), 1);
    let cut = ask(site.address, "/cut");
    assert!(cut.starts_with("HTTP/1.1 200 ") && !cut.ends_with("0\r\n\r\n"), "{cut}");
}

#[test]
fn a_connection_that_is_full_gets_another_beside_it() {
    let (address, seen) = start(2);
    let site = site(address);
    let address = site.address;
    let many: Vec<_> = (0..20).map(|_| std::thread::spawn(move || ask(address, "/big").len())).collect();
    for answer in many {
        assert!(answer.join().unwrap() > 4 << 20);
    }
    assert!(seen.connections.load(Ordering::SeqCst) > 1);
}

/// A server that speaks HTTP/1 where HTTP/2 is expected.
#[test]
fn a_server_that_speaks_something_else_is_not_reached() {
    let site = site(crate::server::start());
    let answer = ask(site.address, "/");
    assert!(answer.starts_with("HTTP/1.1 50"), "{answer}");
}

/// `count` requests for what is never answered, each on a connection of its own.
fn wait_in_vain(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let ask = |_| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /hang HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        stream
    };
    (0..count).map(ask).collect()
}

#[test]
fn a_server_has_so_many_connections_and_no_more() {
    let (address, seen) = start(1);
    let site = site_with(address, |config: &mut ProxyConfig| {
        config.backends[0].servers[0].protocol = Protocol::Http2;
    });
    let waiting = wait_in_vain(site.address, 64);
    wait_for("all are under way", || seen.requests.load(Ordering::SeqCst) == 64);
    assert_eq!(seen.connections.load(Ordering::SeqCst), 64);
    assert!(ask(site.address, "/").starts_with("HTTP/1.1 503 "));
    assert_eq!(seen.connections.load(Ordering::SeqCst), 64);
    drop(waiting);
    wait_for("they have gone", || site.worker.load().1 == 0);
    assert!(ask(site.address, "/").starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_connection_has_so_many_requests_and_no_more() {
    let (address, seen) = start(1000);
    let site = site(address);
    let _waiting = wait_in_vain(site.address, 101);
    wait_for("all are under way", || seen.requests.load(Ordering::SeqCst) == 101);
    assert_eq!(seen.connections.load(Ordering::SeqCst), 2);
}

#[test]
fn an_answer_with_more_fields_than_may_be_is_none() {
    let (address, _seen) = start(100);
    let site = site(address);
    assert!(ask(site.address, "/fields").starts_with("HTTP/1.1 502 "));
    assert!(ask(site.address, "/").starts_with("HTTP/1.1 200 "), "the connection goes on");
}

/// A server that answers a request with frames of its own making; the end of the connection, as it sees it.
fn scripted(frames: Vec<u8>) -> (SocketAddr, std::sync::mpsc::Receiver<()>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&frame(kind::SETTINGS, 0, 0, b"")).unwrap();
        let mut preface = [0; PREFACE.len()];
        stream.read_exact(&mut preface).unwrap();
        let mut raw = Raw(stream);
        raw.wait_for(|came| came.kind == kind::HEADERS);
        raw.send(&frames);
        while raw.next().is_some() {}
        tell.send(()).unwrap();
    });
    (address, told)
}

#[test]
fn a_server_that_floods_is_left() {
    for flood in [
        frame(kind::PING, 0, 0, b"pingpong").repeat(3000),
        frame(kind::SETTINGS, 0, 0, b"").repeat(3000),
        frame(kind::DATA, 0, 1, b"").repeat(3000),
        frame(kind::HEADERS, 0, 1, b"\x88")
            .into_iter()
            .chain(frame(kind::CONTINUATION, 0, 1, b"").repeat(1000))
            .collect(),
    ] {
        let (address, told) = scripted(flood);
        let site = site(address);
        let answer = ask(site.address, "/");
        assert!(answer.starts_with("HTTP/1.1 50"), "{answer}");
        told.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
    }
}
