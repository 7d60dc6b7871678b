//! Upgrades, CONNECT, TCP mode, unix sockets and IPv6.

use lab::{BadServer, End, Perron, Wire};

use crate::{FRONT, GET, OK, Relay, rig};

/// Has a tunnel carry both ways, then ends one way while the other goes on.
fn try_half_close(client: &mut Wire) {
    client.send("ping\n");
    assert_eq!(client.read_until("\n"), "ping\n");
    client.send("last");
    client.finish_sending();
    assert_eq!(client.rest(), (b"last, then much".repeat(10_000), End::Closed));
}

/// The other end of [`try_half_close`].
fn serve_half_close(wire: &mut Wire) {
    let line = wire.read_until("\n");
    wire.send(line);
    let (last, end) = wire.rest();
    assert_eq!((last.as_slice(), end), (&b"last"[..], End::Closed));
    wire.send(b"last, then much".repeat(10_000));
}

#[test]
fn an_upgraded_connection_is_a_tunnel_with_half_close() {
    let rig = lab::require!(rig("upgrade"));
    let _perron = Relay::default().start(&rig);
    let _server = BadServer::start(&rig.server, 80, |wire| {
        let request = wire.request().expect("the test asks");
        assert_eq!(request.field("upgrade"), Some("chat"));
        assert!(request.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("upgrade")), "{request:?}");
        wire.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: chat\r\nConnection: Upgrade\r\n\r\nwelcome\n");
        serve_half_close(wire);
    });
    let mut client = rig.client.connect(FRONT);
    client.send("GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: chat\r\nConnection: Upgrade\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.status(), answer.field("upgrade")), (101, Some("chat")));
    assert_eq!(client.read_until("\n"), "welcome\n");
    try_half_close(&mut client);
}

#[test]
fn an_upgrade_that_the_server_declines_is_a_plain_answer() {
    let rig = lab::require!(rig("upgrade-declined"));
    let _perron = Relay::default().start(&rig);
    let _server = BadServer::answering(&rig.server, 80, OK);
    let mut client = rig.client.connect(FRONT);
    for _ in 0..2 {
        client.send("GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: chat\r\nConnection: Upgrade\r\n\r\n");
        assert_eq!(client.answer().text(), "ok");
    }
}

#[test]
fn connect_is_a_tunnel() {
    let rig = lab::require!(rig("connect"));
    let _perron = Relay::default().start(&rig);
    let _server = BadServer::start(&rig.server, 80, |wire| {
        let request = wire.request().expect("the test asks");
        assert_eq!(request.start, "CONNECT example.org:443 HTTP/1.1");
        wire.send("HTTP/1.1 200 Connected\r\n\r\n");
        serve_half_close(wire);
    });
    let mut client = rig.client.connect(FRONT);
    client.send("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n");
    assert!(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 200 "));
    try_half_close(&mut client);
}

#[test]
fn tcp_mode_relays_bytes_unread_with_half_close() {
    let rig = lab::require!(rig("tcp"));
    let perron = Relay { frontend: "mode = \"tcp\"", ..Relay::default() }.start(&rig);
    let server = BadServer::start(&rig.server, 80, serve_half_close);
    try_half_close(&mut rig.client.connect(FRONT));
    drop(server);

    // The server speaks first.
    let server = BadServer::start(&rig.server, 80, |wire| {
        wire.send("220 ready\r\n");
        assert_eq!(wire.read_until("\r\n"), "HELO lab\r\n");
        wire.send(vec![7; 8_000_000]);
    });
    let mut client = rig.client.connect(FRONT);
    assert_eq!(client.read_until("\r\n"), "220 ready\r\n");
    client.send("HELO lab\r\n");
    let (bytes, end) = client.rest();
    assert!(bytes == vec![7; 8_000_000] && end == End::Closed, "{} bytes, {end:?}", bytes.len());
    drop(server);

    let mut client = rig.client.connect(FRONT);
    let (bytes, end) = client.rest();
    assert!(bytes.is_empty() && end != End::Open, "no server: the connection ends, {end:?}");
    drop(perron);
}

#[test]
fn unix_sockets_on_both_sides() {
    let rig = lab::require!(rig("unix"));
    let folder = rig.front.new_folder("sockets");
    let (bind, address) = (folder.join("front.sock"), folder.join("server.sock"));
    let server = BadServer::start_unix(&address, |wire| while wire.request().is_ok() && wire.try_send(OK).is_ok() {});
    let text = format!(
        "[frontend.web]\nbind = \"unix:{}\"\nbackend = \"web\"\n\
         [backend.web]\n[[backend.web.server]]\nname = \"one\"\naddress = \"unix:{}\"\n",
        bind.display(),
        address.display()
    );
    let _perron = Perron::start_ready(&rig.front, &text);
    let mut client = Wire::unix(&bind).expect("the program listens");
    for _ in 0..3 {
        client.send(GET);
        assert_eq!(client.answer().text(), "ok");
    }
    assert_eq!(server.accepted(), 1, "the server's connection is kept");
    let url = rig.client.curl(&["--unix-socket", bind.to_str().expect("plain"), "http://any/"]);
    assert_eq!(url.text(), "ok");
}

#[test]
fn ipv6_on_both_sides() {
    let rig = lab::require!(rig("ipv6"));
    for (host, address) in [(&rig.client, "fd00::1/64"), (&rig.front, "fd00::2/64"), (&rig.server, "fd00::3/64")] {
        host.add_address(address);
    }
    let _server = BadServer::answering(&rig.server, 80, OK);
    let text = "[frontend.web]\nbind = \"[fd00::2]:8080\"\nbackend = \"web\"\n\
                [backend.web]\n[[backend.web.server]]\nname = \"one\"\naddress = \"[fd00::3]:80\"\n";
    let _perron = Perron::start_ready(&rig.front, text);
    assert_eq!(rig.client.curl(&["http://[fd00::2]:8080/"]).text(), "ok");
}

#[test]
fn an_address_may_arrive_after_the_program() {
    let rig = lab::require!(rig("freebind"));
    let _server = BadServer::answering(&rig.server, 80, OK);
    let text = Relay::default().text().replace(FRONT, "10.0.0.200:8080");
    let _perron = Perron::start_ready(&rig.front, &text);
    rig.front.add_address("10.0.0.200/24");
    assert_eq!(rig.client.curl(&["http://10.0.0.200:8080/"]).text(), "ok");
}

#[test]
fn an_interface_stands_for_its_addresses() {
    let rig = lab::require!(rig("interface"));
    rig.front.add_address("10.0.0.99/24");
    let _server = BadServer::answering(&rig.server, 80, OK);
    let _perron = Perron::start_ready(&rig.front, &Relay::default().text().replace(FRONT, "eth0:8080"));
    for address in ["10.0.0.2", "10.0.0.99"] {
        assert_eq!(rig.client.curl(&[&format!("http://{address}:8080/")]).text(), "ok");
    }
    assert!(rig.front.try_connect("127.0.0.1:8080").is_err(), "nothing listens elsewhere");
}
