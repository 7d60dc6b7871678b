//! TLS with clients.

use std::sync::mpsc;
use std::task::Poll;

use super::*;
use crate::stream::{Stream, Tls, Turns};

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
