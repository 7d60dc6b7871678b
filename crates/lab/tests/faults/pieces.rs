//! Answers that come in pieces, from servers that die between two of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use lab::{BadServer, End, Perron, SOON, Wire, wait_for};

use crate::usage::reason;
use crate::{FRONT, GET, OK, Relay, Rig, rig};

/// A second server, on the program's own host.
const SECOND: &str = "[[backend.web.server]]\nname = \"two\"\naddress = \"10.0.0.2:81\"\n";

/// Head and body of the largest answer that is held, as the client gets it.
const HELD_BYTES: usize = 16 * 1024;

/// Small answers of which a part comes.
const CUT: [&str; 3] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\no",
    "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nNot fo",
];

/// How many requests of a method each server saw.
fn seen(server: &BadServer, method: &str) -> usize {
    server.requests().iter().filter(|line| line.starts_with(method)).count()
}

/// Asks for `/` once on a connection of its own.
fn ask(rig: &Rig, method: &str) -> (Result<lab::Message, End>, u64) {
    let mut client = rig.client.connect(FRONT);
    client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
    (client.try_answer(), client.received())
}

fn retries(perron: &Perron) -> u64 {
    perron.status()["backends"][0]["retries"].as_u64().expect("a count")
}

#[test]
fn a_small_answer_that_its_server_cuts_comes_whole_from_another() {
    let rig = lab::require!(rig("pieces-cut"));
    let perron = Relay { servers: SECOND, ..Relay::default() }.start(&rig);
    let _well = BadServer::answering(&rig.front, 81, OK);
    let mut cuts = 0;
    for (cut, resets) in CUT.into_iter().flat_map(|cut| [(cut, false), (cut, true)]) {
        let dying = BadServer::start(&rig.server, 80, move |wire| {
            if wire.request().is_ok() {
                wire.send(cut);
                if resets {
                    wire.reset_at_close();
                }
            }
        });
        for method in ["GET", "GET", "GET", "PUT", "DELETE", "OPTIONS"] {
            let (answer, _) = ask(&rig, method);
            let answer = answer.unwrap_or_else(|end| panic!("{method} after {cut:?}: {end:?}"));
            assert_eq!((answer.status(), answer.text().as_str()), (200, "ok"), "{method} after {cut:?}");
        }
        cuts += dying.requests().len() as u64;
    }
    assert!(cuts > 0, "none came to the server that dies");
    assert_eq!((retries(&perron), reason(&perron, "server_cut")), (cuts, 0));
}

#[test]
fn a_kept_connection_that_is_cut_within_an_answer_counts_as_an_attempt() {
    let rig = lab::require!(rig("pieces-kept"));
    let perron = Relay { servers: SECOND, ..Relay::default() }.start(&rig);
    let dying = BadServer::start(&rig.server, 80, |wire| {
        if wire.request().is_ok() && wire.try_send(OK).is_ok() && wire.request().is_ok() {
            wire.send(CUT[0]);
        }
    });
    let _well = BadServer::answering(&rig.front, 81, OK);
    let mut client = rig.client.connect(FRONT);
    for round in 0..12 {
        client.send(GET);
        assert_eq!(client.answer().text(), "ok", "round {round}");
    }
    let seen = dying.requests().len() as u64;
    assert!(seen >= 4, "only {seen} requests came to the server that dies");
    assert_eq!(retries(&perron), seen / 2);
}

#[test]
fn what_may_not_be_asked_again_is_cut_where_its_server_cut_it() {
    let rig = lab::require!(rig("pieces-post"));
    let perron = Relay::default().start(&rig);
    for cut in CUT {
        let dying = BadServer::closing_after(&rig.server, 80, cut);
        let (answer, received) = ask(&rig, "POST");
        assert_ne!(answer.expect_err(cut), End::Open);
        assert!(received > 0, "its beginning came");
        assert_eq!(seen(&dying, "POST"), 1);
    }
    let unheld = [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\nContent-Length: {HELD_BYTES}\r\n\r\n{}", "x".repeat(HELD_BYTES - 1)),
    ];
    for cut in unheld {
        let dying = BadServer::closing_after(&rig.server, 80, cut.clone());
        let (answer, received) = ask(&rig, "GET");
        assert_ne!(answer.expect_err(&cut[..50]), End::Open);
        assert!(received > 0, "its beginning came");
        assert_eq!(seen(&dying, "GET"), 1);
    }
    assert_eq!((retries(&perron), reason(&perron, "server_cut")), (0, 5));
}

#[test]
fn the_last_attempt_is_not_held() {
    let rig = lab::require!(rig("pieces-last"));
    let perron = Relay::default().start(&rig);
    let dying = BadServer::closing_after(&rig.server, 80, CUT[0]);
    let (answer, received) = ask(&rig, "GET");
    assert_ne!(answer.expect_err("cut"), End::Open);
    assert!(received > 0, "its beginning came");
    assert_eq!((seen(&dying, "GET"), retries(&perron), reason(&perron, "server_cut")), (3, 2, 1));
}

#[test]
fn an_answer_is_held_up_to_its_limit() {
    let rig = lab::require!(rig("pieces-limit"));
    let _perron = Relay::default().start(&rig);
    let body = Arc::new(AtomicUsize::new(10_000));
    let (size, whole) = (Arc::clone(&body), AtomicBool::new(true));
    // The first connection's answer is whole, the second's is cut short by a byte, and so on.
    let server = BadServer::start(&rig.server, 80, move |wire| {
        if wire.request().is_ok() {
            let size = size.load(Ordering::SeqCst);
            let sent = if whole.fetch_not(Ordering::SeqCst) { size } else { size - 1 };
            wire.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n{}",
                "x".repeat(sent)
            ));
        }
    });
    let (answer, received) = ask(&rig, "GET");
    assert_eq!(answer.expect("whole").status(), 200);
    let head = usize::try_from(received).expect("small") - 10_000;

    body.store(HELD_BYTES - head, Ordering::SeqCst);
    let (answer, received) = ask(&rig, "GET");
    assert_eq!((answer.map(|answer| answer.status()), received), (Ok(200), HELD_BYTES as u64));
    assert_eq!(seen(&server, "GET"), 3, "it was cut, and came again");

    body.store(HELD_BYTES - head + 1, Ordering::SeqCst);
    let (answer, _) = ask(&rig, "GET");
    assert_ne!(answer.expect_err("one byte more"), End::Open);
    assert_eq!(seen(&server, "GET"), 4);
}

#[test]
fn who_pauses_within_a_small_answer_is_not_waited_for() {
    let rig = lab::require!(rig("pieces-pause"));
    let _perron = Relay::default().start(&rig);
    let go_on = Arc::new(AtomicBool::new(false));
    let may = Arc::clone(&go_on);
    let server = BadServer::start(&rig.server, 80, move |wire: &mut Wire| {
        while wire.request().is_ok() {
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nslo");
            wait_for(SOON, "the client has what there is", || may.swap(false, Ordering::SeqCst));
            wire.send("wly");
        }
    });
    let mut client = rig.client.connect(FRONT);
    for _ in 0..3 {
        client.send(GET);
        client.read_until("\r\n\r\nslo");
        go_on.store(true, Ordering::SeqCst);
        client.read_until("wly");
    }
    assert_eq!((server.accepted(), seen(&server, "GET")), (1, 3));
}

#[test]
fn who_stops_within_a_small_answer_is_cut_in_its_time() {
    let rig = lab::require!(rig("pieces-stop"));
    let perron = Relay { backend: "timeouts = { server = \"400ms\" }", ..Relay::default() }.start(&rig);
    let server = BadServer::start(&rig.server, 80, |wire| {
        if wire.request().is_ok() {
            wire.send(CUT[1]);
            wire.rest();
        }
    });
    let (answer, received) = ask(&rig, "GET");
    assert_ne!(answer.expect_err("half"), End::Open);
    assert!(received > 0, "its beginning came");
    assert_eq!((seen(&server, "GET"), reason(&perron, "server_timeout")), (1, 1));
}

#[test]
fn nothing_is_held_where_a_server_may_not_be_silent_for_so_long() {
    let rig = lab::require!(rig("pieces-hasty"));
    let perron = Relay { backend: "timeouts = { server = \"200ms\" }", ..Relay::default() }.start(&rig);
    let dying = BadServer::closing_after(&rig.server, 80, CUT[0]);
    let (answer, received) = ask(&rig, "GET");
    assert_ne!(answer.expect_err("cut"), End::Open);
    assert!(received > 0, "its beginning came");
    assert_eq!((seen(&dying, "GET"), retries(&perron)), (1, 0));
}

#[test]
fn a_connection_with_more_than_the_answer_on_it_is_not_used_again() {
    let rig = lab::require!(rig("pieces-more"));
    let _perron = Relay::default().start(&rig);
    // How long the body is, whether the request may be repeated, and what follows the body.
    let long = 100_000;
    for (length, method) in [(6, "GET"), (6, "POST"), (long, "GET")] {
        for more in ["x", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad", ""] {
            let go_on = Arc::new(AtomicBool::new(false));
            let may = Arc::clone(&go_on);
            let server = BadServer::start(&rig.server, 80, move |wire| {
                while wire.request().is_ok() {
                    wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nhalf"));
                    wire.send("x".repeat(length - 6));
                    wait_for(SOON, "the client has what there is", || may.swap(false, Ordering::SeqCst));
                    wire.send(format!("en{more}"));
                }
            });
            let mut client = rig.client.connect(FRONT);
            for _ in 0..2 {
                client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
                client.read_until("\r\n\r\n");
                client.read_exact(length - 2);
                go_on.store(true, Ordering::SeqCst);
                assert_eq!(client.read_exact(2), b"en", "{method} {length} {more:?}");
            }
            let connections = if more.is_empty() { 1 } else { 2 };
            assert_eq!(server.accepted(), connections, "{method} {length} {more:?}");
        }
    }
}
