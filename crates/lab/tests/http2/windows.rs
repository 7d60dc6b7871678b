//! Clients that take nothing of what they ask for.

use std::fs;

use lab::{Nginx, Perron, SOON, wait_for};

use crate::{CLEAR, frontends, hosts};

/// Connections, and requests of each: as many as there may be.
const CONNECTIONS: usize = 2;
const REQUESTS: u32 = 128;

/// What is kept of one answer, and of what is on its way of it.
const KIB_OF_AN_ANSWER: u64 = 128;

/// The memory of a process that is in use.
fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("it is small").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Answers of 64 MiB to clients whose windows stay closed stay where they come from.
#[test]
fn what_nobody_takes_is_not_kept() {
    let hosts = lab::require!(hosts("http2-windows"));
    let nginx = lab::require!(Nginx::start(&hosts.server, "nginx"));
    fs::File::create(nginx.root().join("big")).and_then(|file| file.set_len(64 << 20)).expect("the folder is ours");
    let backend = "[backend.web]\n[[backend.web.server]]\nname = \"one\"\naddress = \"10.0.0.3:80\"\n";
    let perron = Perron::start_ready(&hosts.front, &(frontends(&hosts, "backend = \"web\"") + backend));
    let [pid] = perron.serve_pids()[..] else { panic!("one serves") };
    let before = resident_kib(pid);
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let mut client = hosts.client.connect(CLEAR);
            client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
            // SETTINGS_INITIAL_WINDOW_SIZE of 0.
            client.send(frame(4, 0, 0, b"\0\x04\0\0\0\0"));
            for stream in (1..).step_by(2).take(REQUESTS as usize) {
                client.send(frame(1, 5, stream, b"\x82\x86\x01\x01t\x04\x04/big"));
            }
            let mut begun = 0;
            while begun < REQUESTS {
                let head = client.read_exact(9);
                let length = usize::from(head[1]) * 256 + usize::from(head[2]);
                client.read_exact(length);
                assert_ne!(head[3], 0, "no byte of a body fits in a window of 0");
                begun += u32::from(head[3] == 1);
            }
            client
        })
        .collect();
    // The servers' sockets are read until there is no room: what is kept grows no further then.
    let mut last = 0;
    wait_for(SOON, "no more is taken", || {
        let now = hosts.server.traffic().sent;
        std::mem::replace(&mut last, now) == now
    });
    let grown = resident_kib(pid).saturating_sub(before);
    let streams = CONNECTIONS as u64 * u64::from(REQUESTS);
    assert!(grown < streams * KIB_OF_AN_ANSWER, "{grown} KiB for {streams} answers");
    drop(clients);
    wait_for(SOON, "all are given up", || {
        let status = perron.status();
        status["frontends"].as_array().expect("two").iter().all(|frontend| frontend["connections"]["now"] == 0)
    });
}
