//! TLS with servers.

use std::sync::mpsc;

use tls::config::{ClientAuth, Version};

use super::*;

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

/// A server that asks for a certificate which we do not have. In TLS 1.3 it says so after our handshake is over.
#[test]
fn a_server_that_refuses_us_is_told_from_one_that_goes_away() {
    let Some(papers) = Papers::make() else { return };
    let asked = ClientAuth {
        required: true,
        ca: papers.authority.clone(),
        crl: None,
        depth: 0,
        minimum_serial: None,
        user: None,
        export: false,
    };
    let wanted = ServerTls { client: Some(asked), oldest: Version::Tls13, ..server_tls(&papers.server) };
    let files = material(&[&papers.server, &papers.authority]);
    let acceptor = Acceptor::new(&wanted, &files, &papers.secret).expect("an acceptor");
    let address = server(move |socket| {
        let mut rest = socket.try_clone().expect("a descriptor");
        let came = Wire::shake_hands(socket, acceptor.begin().expect("a session"));
        assert!(came.is_err_and(|error| error.to_string() == "tls_certificate_missing"));
        // Closing on a request that nobody has read would reset the connection.
        let _ = io::copy(&mut rest, &mut io::sink());
    });
    let site = papers.site_before(address, "server.example");
    let mut client = site.connect();
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    let answer = read_head(&mut client).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    let stats = &site.shared.workers()[0].servers[0][0];
    eventually("it is counted", || site.reason("server_tls_alert") == 1 && stats.response_errors.value() == 1);
    assert_eq!((site.reason("server_closed"), stats.connect_errors.value()), (0, 0));
}

#[test]
fn a_proxy_header_comes_before_tls_to_servers_too() {
    let Some(papers) = Papers::make() else { return };
    let acceptor = papers.acceptor(&server_tls(&papers.server));
    let (tell, told) = mpsc::channel();
    let address = server(move |mut socket| {
        let mut clear = Vec::new();
        while !clear.ends_with(b"\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).expect("a line");
            clear.push(byte[0]);
        }
        let _ = tell.send(String::from_utf8(clear).expect("version 1 is text"));
        tell_heads(Wire::shake_hands(socket, acceptor.begin().expect("a session")).expect("hands"));
    });
    let mut back = backend(address, Some(client_tls(&papers.authority, "server.example")));
    back.servers[0].send_proxy = Some(wire::proxy_header::Version::V1);
    let connector = papers.connector("server.example");
    let connect = |shared: &Shared| shared.connect_by(BackendIndex(0), ServerIndex(0), connector);
    let site = Site::start(frontend(None), back, connect);
    let mut client = site.connect();
    let ours = client.local_addr().expect("an address").port();
    let heard = ask(&mut client);
    assert!(heard.starts_with("GET /x HTTP/1.1\r\n"), "the header came before TLS and not again: {heard}");
    let expected = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {ours} {}\r\n", site.address.port());
    assert_eq!(told.recv().expect("the server has heard"), expected);
}
