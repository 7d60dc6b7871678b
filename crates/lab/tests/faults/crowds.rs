//! Many clients that are idle, slow, or gone without a word.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};

use lab::{BadServer, End, Perron, SOON, Wire, wait_for};

use crate::usage::{SLOW_KIB, await_connections, await_reason, peak_kib, reason, reset_peak, resident_kib};
use crate::{FRONT, GET, OK, Relay, Rig, rig};

/// Memory for a client without a request: docs/measurements.md has 3.1 KiB, 3.9 after a burst, of a release build.
const IDLE_KIB: u64 = 8;

fn connect_all(rig: &Rig, count: usize) -> Vec<Wire> {
    let to: SocketAddr = FRONT.parse().expect("it is one");
    rig.client.in_namespace(|| {
        let connect = || TcpStream::connect_timeout(&to, SOON).expect("the kernel takes clients in");
        (0..count).map(|_| Wire::new(connect())).collect()
    })
}

fn is_served(rig: &Rig, path: &str) {
    assert_eq!(rig.client.curl(&[&format!("http://{FRONT}{path}")]).text(), "ok");
}

/// The memory that the program grew by at most since `before`, for each of so many clients.
fn grown_kib(perron: &Perron, before: u64, clients: usize) -> u64 {
    peak_kib(perron).saturating_sub(before) / clients as u64
}

#[test]
fn ten_thousand_idle_clients_take_little_and_are_let_go_in_their_time() {
    const CROWD: usize = 10_000;
    let rig = lab::require!(rig("idle-crowd"));
    let perron = Relay { frontend: "timeouts = { keep-alive = \"10s\" }", ..Relay::default() }.start(&rig);
    let _server = BadServer::answering(&rig.server, 80, OK);
    is_served(&rig, "/");
    reset_peak(&perron);
    let before = resident_kib(&perron);
    let mut crowd = connect_all(&rig, CROWD);
    await_connections(&perron, |open| open >= CROWD as u64);
    is_served(&rig, "/");
    let each = grown_kib(&perron, before, CROWD);
    assert!(each <= IDLE_KIB, "{each} KiB for each client");
    await_connections(&perron, |open| open == 0);
    for client in [0, CROWD / 2, CROWD - 1] {
        assert_eq!(crowd[client].rest(), (Vec::new(), End::Closed));
    }
    is_served(&rig, "/");
}

#[test]
fn clients_who_take_almost_nothing_hold_up_nobody() {
    const OF_FILES: usize = 900;
    const OF_RELAYED: usize = 100;
    let rig = lab::require!(rig("slow-readers"));
    for host in [&rig.client, &rig.front, &rig.server] {
        // What the kernel keeps for a connection is not what this is about.
        for variable in ["net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"] {
            host.set(variable, "4096 16384 65536").expect("the host has the variable");
        }
    }
    let root = rig.front.new_folder("files");
    File::create(root.join("huge")).and_then(|file| file.set_len(1 << 30)).expect("a sparse file takes no room");
    let frontend = format!(
        "timeouts = {{ idle = \"2s\" }}\n[[frontend.web.route]]\npath = \"/files\"\nfiles = \"{}\"\n",
        root.display()
    );
    let perron = Relay { frontend: &frontend, ..Relay::default() }.start(&rig);
    let _server = BadServer::start(&rig.server, 80, |wire| {
        while let Ok(request) = wire.request() {
            if !request.start.contains("/huge") {
                wire.send(OK);
                continue;
            }
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n");
            let piece = vec![b'x'; 64 * 1024];
            while wire.try_send(&piece).is_ok() {}
            return;
        }
    });
    is_served(&rig, "/");
    reset_peak(&perron);
    let before = resident_kib(&perron);
    let mut crowd = connect_all(&rig, OF_FILES + OF_RELAYED);
    for (number, client) in crowd.iter_mut().enumerate() {
        let path = if number < OF_FILES { "/files/huge" } else { "/huge" };
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        if number % 100 == 0 {
            client.read_exact(1);
            is_served(&rig, "/");
        }
    }
    await_reason(&perron, "client_timeout", (OF_FILES + OF_RELAYED) as u64);
    let each = grown_kib(&perron, before, OF_FILES + OF_RELAYED);
    assert!(each <= SLOW_KIB, "{each} KiB for each client");
    await_connections(&perron, |open| open == 0);
    is_served(&rig, "/");
}

#[test]
fn slow_heads_are_408_and_slow_bodies_are_cut_and_hold_up_nobody() {
    const CROWD: usize = 300;
    let rig = lab::require!(rig("slow-writers"));
    let frontend = "timeouts = { header = \"2s\", idle = \"2s\" }";
    let perron = Relay { frontend, ..Relay::default() }.start(&rig);
    let _server = BadServer::answering(&rig.server, 80, OK);
    is_served(&rig, "/");
    reset_peak(&perron);
    let before = resident_kib(&perron);
    let slow = [
        "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhalf",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ];
    let mut crowd = connect_all(&rig, CROWD);
    for (client, request) in crowd.iter_mut().zip(slow.iter().cycle()) {
        client.send(request);
    }
    is_served(&rig, "/");
    for (number, client) in crowd.iter_mut().enumerate() {
        match number % slow.len() {
            0 => assert_eq!(client.answer().status(), 408),
            which => assert_eq!(client.try_answer(), Err(End::Reset), "{}", slow[which]),
        }
    }
    assert_eq!((reason(&perron, "slow_header"), reason(&perron, "client_timeout")), (100, 200));
    let each = grown_kib(&perron, before, CROWD);
    assert!(each <= SLOW_KIB, "{each} KiB for each client");
    is_served(&rig, "/");
}

#[test]
fn clients_that_vanish_are_found_by_tcp_keepalive() {
    const CROWD: usize = 200;
    let rig = lab::require!(rig("vanished"));
    let other = rig.lab.host("other", "10.0.0.9/24");
    let keepalive = "tcp-keepalive = { idle = \"1s\", interval = \"1s\", count = 2 }";
    let perron = Relay {
        frontend: &format!("{keepalive}\ntimeouts = {{ keep-alive = \"1h\", idle = \"1h\" }}"),
        ..Relay::default()
    }
    .start(&rig);
    let server = BadServer::silent(&rig.server, 80);
    let mut crowd = connect_all(&rig, CROWD);
    let asking = crowd.first_mut().expect("they are many");
    asking.send(GET);
    wait_for(SOON, "the server has the request", || server.requests().len() == 1);
    await_connections(&perron, |open| open == CROWD as u64);
    rig.client.link_down();
    await_connections(&perron, |open| open == 0);
    await_reason(&perron, "client_gone", 1);
    wait_for(SOON, "the server's request is given up", || server.open() == 0);
    drop(server);
    let _server = BadServer::answering(&rig.server, 80, OK);
    assert_eq!(other.curl(&[&format!("http://{FRONT}/")]).text(), "ok");
}
