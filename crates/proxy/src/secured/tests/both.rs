//! TLS on both sides.

use super::*;

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
