//! TLS with servers.

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
