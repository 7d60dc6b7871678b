//! Clients that are slow, too large or ambiguous.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lab::{BadServer, End, Perron, SOON, wait_for};

use crate::{FRONT, OK, Relay, Rig, rig};

/// The answer to these bytes and how the connection stood after it.
fn refused(rig: &Rig, bytes: &str) -> (u16, End) {
    let mut client = rig.client.connect(FRONT);
    // The program may have answered and closed before it read all.
    let _ = client.try_send(bytes);
    let status = client.try_answer().map_or(0, |answer| answer.status());
    client.set_limit(Duration::from_secs(2));
    (status, client.rest().1)
}

/// Waits until this reason was counted so often.
fn await_count(perron: &Perron, reason: &str, count: u64) {
    wait_for(SOON, &format!("{reason} is counted {count} times"), || perron.status()["reasons"][reason] == count);
}

/// Waits until so many refusals were counted, for whatever reason.
fn await_total(perron: &Perron, count: usize) {
    let total = || -> u64 {
        let status = perron.status();
        let reasons = status["reasons"].as_object().into_iter().flat_map(|reasons| reasons.values());
        reasons.filter_map(serde_json::Value::as_u64).sum()
    };
    wait_for(SOON, &format!("{count} refusals are counted by their reason"), || total() == count as u64);
}

fn open_door(name: &str) -> Result<(Rig, Perron, BadServer), lab::Skip> {
    let rig = rig(name)?;
    let perron = Relay { frontend: "timeouts = { header = \"500ms\" }", ..Relay::default() }.start(&rig);
    let server = BadServer::answering(&rig.server, 80, OK);
    Ok((rig, perron, server))
}

#[test]
fn a_slow_header_is_408() {
    let (rig, perron, server) = lab::require!(open_door("slow-header"));
    assert_eq!(refused(&rig, "GET / HTTP/1.1\r\nHos").0, 408);
    let mut client = rig.client.connect(FRONT);
    for byte in "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: abcdefghijklmnopqrstuvwxyz".chars() {
        // A byte now and then does not buy time.
        if client.try_send(byte.to_string()).is_err() || !client.is_quiet_for(Duration::from_millis(20)) {
            break;
        }
    }
    assert_eq!(client.answer().status(), 408);
    assert_eq!(server.accepted(), 0);
    await_count(&perron, "slow_header", 2);
}

#[test]
fn a_silent_client_is_let_go_in_its_time() {
    let rig = lab::require!(rig("silent-client"));
    let timeouts = "timeouts = { idle = \"500ms\", keep-alive = \"300ms\", tunnel = \"400ms\" }";
    let _perron = Relay { frontend: timeouts, ..Relay::default() }.start(&rig);
    let given_up = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&given_up);
    let _server = BadServer::start(&rig.server, 80, move |wire| {
        while let Ok(request) = wire.request() {
            let sent = match request.start.as_str() {
                "GET /much HTTP/1.1" => {
                    let head = "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n";
                    wire.try_send(head).and_then(|()| wire.try_send(vec![b'x'; 100_000_000]))
                }
                "GET /tunnel HTTP/1.1" => {
                    wire.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n");
                    let _ = wire.rest();
                    return;
                }
                _ => wire.try_send(OK),
            };
            if sent.is_err() {
                seen.store(true, Ordering::SeqCst);
                return;
            }
        }
    });
    let ask = |request: &str| {
        let mut client = rig.client.connect(FRONT);
        client.send(request);
        client
    };
    assert_eq!(rig.client.connect(FRONT).rest(), (Vec::new(), End::Closed), "before the first request");
    let mut client = ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.answer().status(), 200);
    assert_eq!(client.rest(), (Vec::new(), End::Closed), "between two requests");

    let mut half = ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
    assert_ne!(half.rest().1, End::Open, "in its body");
    let mut tunnel = ask("GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n");
    assert_eq!(tunnel.answer().status(), 101);
    assert_ne!(tunnel.rest().1, End::Open, "in a tunnel");
    let _unread = ask("GET /much HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(SOON, "the server's answer is given up", || given_up.load(Ordering::SeqCst));
}

#[test]
fn sizes_have_limits_with_their_own_status() {
    let (rig, perron, server) = lab::require!(open_door("sizes"));
    let fields = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X-A: b\r\n".repeat(count - 1));
    let target = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "p".repeat(length - 1));
    let header = |bytes: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX-A: {}\r\n\r\n", "b".repeat(bytes));

    let mut client = rig.client.connect(FRONT);
    for fine in [fields(128), target(16 * 1024), header(30 * 1024)] {
        client.send(&fine);
        assert_eq!(client.answer().status(), 200, "{}", &fine[..40]);
    }
    let before = server.requests().len();
    assert_eq!(refused(&rig, &fields(129)).0, 431);
    assert_eq!(refused(&rig, &target(16 * 1024 + 1)).0, 414);
    assert_eq!(refused(&rig, &header(33 * 1024)).0, 431);
    assert_eq!(refused(&rig, &header(1024 * 1024)).0, 431);
    assert_eq!(refused(&rig, &target(100 * 1024)).0, 414);
    assert_eq!(server.requests().len(), before);
    for (reason, count) in [("too_many_fields", 1), ("target_too_long", 2), ("head_too_large", 2)] {
        await_count(&perron, reason, count);
    }
}

#[test]
fn an_unknown_transfer_coding_is_501() {
    let (rig, perron, server) = lab::require!(open_door("coding"));
    for coding in ["gzip, chunked", "sdch, chunked", "xchunked"] {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n");
        assert_eq!(refused(&rig, &request), (501, End::Closed), "{coding}");
    }
    assert_eq!(server.accepted(), 0);
    await_count(&perron, "coding_unknown", 3);
}

#[test]
fn an_ambiguous_head_is_400_and_a_close() {
    let (rig, perron, server) = lab::require!(open_door("smuggling-heads"));
    let after = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let fields = [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length: 99999999999999999999",
        "Content-Length:",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 0",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        "Transfer-Encoding:\x0bchunked",
        " Transfer-Encoding: chunked",
        "X-A: b\r\n Transfer-Encoding: chunked",
        "X-A: b\r\n\tfolded",
        "X-A: b\rContent-Length: 5",
        "X-A: b\0c",
        "X-A b",
        ": no name",
        "X(A): b",
        "Host: b",
    ];
    for field in fields {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n{after}");
        assert_eq!(refused(&rig, &request), (400, End::Closed), "{field:?}");
    }
    let lines = [
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / a HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\tHTTP/1.1\r\nHost: a\r\n\r\n",
        "G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET nowhere HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "\x16\x03\x01\x02\0\x01\0\x01\r\n\r\n",
    ];
    for line in lines {
        assert_eq!(refused(&rig, &format!("{line}{after}")), (400, End::Closed), "{line:?}");
    }
    assert_eq!(server.requests(), Vec::<String>::new());
    await_total(&perron, fields.len() + lines.len());
}

#[test]
fn ambiguous_chunks_are_400_and_a_close() {
    let (rig, perron, server) = lab::require!(open_door("smuggling-chunks"));
    let after = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let bodies = [
        "5x\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "0\r\nX-A : b\r\n\r\n",
        "0\r\nX-A: b\r\n folded\r\n\r\n",
    ];
    for body in bodies {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}{after}");
        assert_eq!(refused(&rig, &request), (400, End::Closed), "{body:?}");
    }
    assert!(!server.requests().iter().any(|line| line.contains("smuggled")), "{:?}", server.requests());
    await_total(&perron, bodies.len());
}
