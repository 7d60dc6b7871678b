//! Servers that die, hang, lie or are full.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use lab::{BadServer, End, SOON, wait_for};

use crate::usage::{BYSTANDER_KIB, peak_kib, reason, reset_peak, resident_kib};
use crate::{FRONT, GET, OK, Relay, rig};

/// A second server, on the program's own host.
const SECOND: &str = "[[backend.web.server]]\nname = \"two\"\naddress = \"10.0.0.2:81\"\n";

#[test]
fn a_body_cut_by_its_server_is_never_ended_as_if_whole() {
    let rig = lab::require!(rig("cut-body"));
    let _perron = Relay::default().start(&rig);
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n{}", "x".repeat(2_000_000));
    let cuts = [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n8\r\nquar",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
        &long,
    ];
    for cut in cuts {
        let _server = BadServer::closing_after(&rig.server, 80, cut);
        let mut client = rig.client.connect(FRONT);
        client.send(GET);
        let shown = &cut[..cut.len().min(80)];
        assert_ne!(client.try_answer().expect_err(shown), End::Open, "{shown}");
    }
    let _server = BadServer::start(&rig.server, 80, |wire| {
        if wire.request().is_ok() {
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
            wire.reset_at_close();
        }
    });
    let mut client = rig.client.connect(FRONT);
    client.send(GET);
    assert_ne!(client.try_answer().expect_err("a reset"), End::Open);
}

#[test]
fn a_silent_server_is_504() {
    let rig = lab::require!(rig("silent"));
    let _perron = Relay { backend: "timeouts = { server = \"300ms\" }", ..Relay::default() }.start(&rig);
    let server = BadServer::silent(&rig.server, 80);
    let mut client = rig.client.connect(FRONT);
    client.send(GET);
    assert!(client.is_quiet_for(Duration::from_millis(150)), "not before its time");
    assert_eq!(client.answer().status(), 504);
    assert_eq!(server.requests().len(), 1, "a request that may have begun is not sent to the same silence again");
    wait_for(SOON, "the silent server's connection is given up", || server.open() == 0);
}

#[test]
fn a_slow_server_is_not_a_silent_one() {
    let rig = lab::require!(rig("drip"));
    let _perron = Relay { backend: "timeouts = { server = \"300ms\" }", ..Relay::default() }.start(&rig);
    let _server = BadServer::start(&rig.server, 80, |wire| {
        if wire.request().is_ok() {
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n");
            for _ in 0..20 {
                std::thread::sleep(Duration::from_millis(30));
                wire.send("x");
            }
        }
    });
    let mut client = rig.client.connect(FRONT);
    client.send(GET);
    assert_eq!(client.answer().text(), "x".repeat(20));
}

#[test]
fn a_malformed_answer_is_502() {
    let rig = lab::require!(rig("garbage"));
    let perron = Relay::default().start(&rig);
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-A: b\r\n".repeat(300));
    let large = format!("HTTP/1.1 200 OK\r\nX-A: {}\r\n\r\n", "b".repeat(80_000));
    let garbage = [
        "garbage\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-A : b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-A: b\r\n folded\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-A: b\rc\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "",
        &many,
        &large,
    ];
    for bytes in garbage {
        let _server = BadServer::closing_after(&rig.server, 80, bytes);
        let mut client = rig.client.connect(FRONT);
        client.send(GET);
        assert_eq!(client.answer().status(), 502, "{:?}", &bytes[..bytes.len().min(90)]);
    }
    let reasons = perron.status()["reasons"].clone();
    let counted: u64 =
        ["server_malformed", "server_cut", "server_closed"].iter().filter_map(|name| reasons[name].as_u64()).sum();
    assert_eq!(counted, garbage.len() as u64, "{reasons}");
}

#[test]
fn no_server_is_503() {
    let rig = lab::require!(rig("none"));
    let check = "check = { type = \"http\", interval = \"100ms\", rise = 1, fall = 1 }\nslow-start = \"0s\"";
    let perron = Relay { backend: check, ..Relay::default() }.start(&rig);
    perron.wait_for_status("web/one", "down", SOON);
    let mut client = rig.client.connect(FRONT);
    for _ in 0..2 {
        client.send(GET);
        assert_eq!(client.answer().status(), 503);
    }
    let _server = BadServer::answering(&rig.server, 80, OK);
    perron.wait_for_status("web/one", "up", SOON);
    client.send(GET);
    assert_eq!(client.answer().status(), 200, "the same client, once there is a server");
}

#[test]
fn a_refused_connection_is_503_and_retried_elsewhere() {
    let rig = lab::require!(rig("refused"));
    let _alone = Relay::default().start(&rig);
    let mut client = rig.client.connect(FRONT);
    client.send(GET);
    assert_eq!(client.answer().status(), 503);
    drop(_alone);

    let _perron = Relay { servers: SECOND, ..Relay::default() }.start(&rig);
    let second = BadServer::answering(&rig.front, 81, OK);
    for method in ["GET", "POST"] {
        for _ in 0..6 {
            let mut client = rig.client.connect(FRONT);
            client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"));
            assert_eq!(client.answer().status(), 200, "{method}: nothing was sent, so all may be tried elsewhere");
        }
    }
    assert_eq!(second.requests().len(), 12);
}

#[test]
fn an_idle_connection_closed_by_its_server_is_not_the_clients_matter() {
    let rig = lab::require!(rig("stale"));
    let _perron = Relay::default().start(&rig);
    let server = BadServer::closing_after(&rig.server, 80, OK);
    let mut client = rig.client.connect(FRONT);
    for method in ["GET", "POST", "GET", "POST", "POST"] {
        client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(client.answer().status(), 200, "{method}");
        wait_for(SOON, "the server has closed", || server.open() == 0);
    }
    // At full speed a request meets the close on its way; a GET may be repeated.
    for round in 0..200 {
        client.send(GET);
        assert_eq!(client.answer().status(), 200, "round {round}");
    }
}

#[test]
fn a_request_that_may_have_begun_is_repeated_only_if_that_does_no_harm() {
    let rig = lab::require!(rig("replay"));
    let _perron = Relay::default().start(&rig);
    let count = AtomicUsize::new(0);
    // Every other connection's first request is read, and the connection closed.
    let server = BadServer::start(&rig.server, 80, move |wire| {
        let closes = count.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
        if wire.request().is_ok() && !closes {
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        }
    });
    let mut client = rig.client.connect(FRONT);
    client.send("GET /safe HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.answer().status(), 200);
    assert_eq!(server.requests(), ["GET /safe HTTP/1.1", "GET /safe HTTP/1.1"]);

    let mut client = rig.client.connect(FRONT);
    client.send("POST /order HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none");
    assert_eq!(client.answer().status(), 502);
    let orders = || server.requests().iter().filter(|line| line.starts_with("POST")).count();
    assert!(!lab::eventually(Duration::from_millis(100), || orders() != 1), "it was sent {} times", orders());
}

#[test]
fn a_client_that_left_is_not_worked_for() {
    let rig = lab::require!(rig("client-gone"));
    let _perron = Relay::default().start(&rig);
    let gone = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&gone);
    let server = BadServer::start(&rig.server, 80, move |wire| {
        if wire.request().is_ok() {
            seen.store(wire.rest().1 != End::Open, Ordering::SeqCst);
        }
    });
    let mut client = rig.client.connect(FRONT);
    client.send(GET);
    wait_for(SOON, "the server has the request", || server.requests().len() == 1);
    client.reset_at_close();
    drop(client);
    wait_for(SOON, "the server's request is given up", || gone.load(Ordering::SeqCst));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_full_server_makes_requests_wait_and_at_last_fail() {
    let rig = lab::require!(rig("queue"));
    let _perron = Relay {
        backend: "timeouts = { queue = \"1s\" }\nmax-queue = 6",
        servers: "max-requests = 1",
        ..Relay::default()
    }
    .start(&rig);
    let (now, most, hold) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (peak, held) = (Arc::clone(&most), Arc::clone(&hold));
    let server = BadServer::start(&rig.server, 80, move |wire| {
        while wire.request().is_ok() {
            peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(30));
            while held.load(Ordering::SeqCst) && wire.standing() == End::Open {
                std::thread::sleep(Duration::from_millis(5));
            }
            now.fetch_sub(1, Ordering::SeqCst);
            if wire.try_send(OK).is_err() {
                return;
            }
        }
    });
    let ask_five = || {
        let mut clients: Vec<_> = (0..5).map(|_| rig.client.connect(FRONT)).collect();
        clients.iter_mut().for_each(|client| client.send(GET));
        clients.iter_mut().map(|client| client.answer().status()).collect::<Vec<_>>()
    };
    assert_eq!(ask_five(), [200; 5]);
    assert_eq!(most.load(Ordering::SeqCst), 1, "one at a time");

    hold.store(true, Ordering::SeqCst);
    let mut first = rig.client.connect(FRONT);
    first.send(GET);
    wait_for(SOON, "the server has the request", || server.requests().len() == 6);
    let mut waiting = rig.client.connect(FRONT);
    waiting.send(GET);
    assert!(waiting.is_quiet_for(Duration::from_millis(500)), "it waits its second");
    assert_eq!(waiting.answer().status(), 503);
    hold.store(false, Ordering::SeqCst);
    assert_eq!(first.answer().status(), 200);
}

#[test]
fn failing_requests_take_a_server_down_and_clients_that_leave_do_not() {
    let rig = lab::require!(rig("observed"));
    let server = BadServer::start(&rig.server, 80, |wire| {
        while let Ok(request) = wire.request() {
            if request.start.contains("/fails") {
                wire.send("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n");
            } else {
                wire.rest();
            }
        }
    });
    let perron = Relay {
        backend: "check = { type = \"tcp\", interval = \"60s\", fast-interval = \"60s\" }\nobserve = 3\nretries = 0",
        ..Relay::default()
    }
    .start(&rig);
    perron.wait_for_status("web/one", "up", SOON);
    for left in 1..=5 {
        let mut client = rig.client.connect(FRONT);
        client.send(GET);
        wait_for(SOON, "the server has the request", || server.requests().len() == left);
        client.reset_at_close();
    }
    let failing = "GET /fails HTTP/1.1\r\nHost: a\r\n\r\n";
    for _ in 0..3 {
        assert_eq!(perron.status()["backends"][0]["servers"][0]["status"], "up");
        let mut client = rig.client.connect(FRONT);
        client.send(failing);
        assert_eq!(client.answer().status(), 500);
    }
    perron.wait_for_status("web/one", "down", SOON);
    let mut client = rig.client.connect(FRONT);
    client.send(failing);
    assert_eq!(client.answer().status(), 503);
}

/// What a server does wrong, what the client gets (0: the connection is cut), and why.
const MISDEEDS: [(&str, u16, &str); 8] = [
    ("/silent", 504, "server_timeout"),
    ("/half-head", 504, "server_timeout"),
    ("/half-body", 0, "server_timeout"),
    ("/half-chunk", 0, "server_timeout"),
    ("/cut-head", 502, "server_closed"),
    ("/cut-body", 0, "server_cut"),
    ("/garbage", 502, "server_malformed"),
    // Its head came with it, and nobody has seen that yet.
    ("/garbage-chunk", 502, "server_malformed"),
];

fn misbehave(wire: &mut lab::Wire) {
    while let Ok(request) = wire.request_head() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let (said, stays) = match request.start.split(' ').nth(1).unwrap_or_default() {
            "/silent" => (String::new(), true),
            "/half-head" => ("HTTP/1.1 200 OK\r\nContent-Le".to_owned(), true),
            "/half-body" => ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf".to_owned(), true),
            "/half-chunk" => (format!("{chunked}9\r\nhalf"), true),
            "/cut-head" => ("HTTP/1.1 200 OK\r\nContent-Le".to_owned(), false),
            "/cut-body" => (format!("{chunked}9\r\nhalf"), false),
            "/garbage" => ("\x16\x03\x01\x02garbage\r\n\r\n".to_owned(), false),
            "/garbage-chunk" => (format!("{chunked}xyz\r\nhalf"), true),
            _ => (OK.to_owned(), true),
        };
        if wire.try_send(said).is_err() || !stays {
            return;
        }
    }
}

#[test]
fn whatever_servers_do_wrong_has_its_answer_and_its_counter_and_takes_no_memory() {
    const EACH: usize = 50;
    let rig = lab::require!(rig("misdeeds"));
    let backend = "timeouts = { server = \"1s\" }\nretries = 0";
    let perron = Relay { backend, ..Relay::default() }.start(&rig);
    let _server = BadServer::start(&rig.server, 80, misbehave);
    let mut kept = rig.client.connect(FRONT);
    kept.send(GET);
    assert_eq!(kept.answer().status(), 200);
    reset_peak(&perron);
    let before = resident_kib(&perron);
    let ask = |path: &str| {
        let mut client = rig.client.connect(FRONT);
        client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
        client
    };
    let mut clients: Vec<_> =
        MISDEEDS.iter().cycle().take(MISDEEDS.len() * EACH).map(|deed| (deed, ask(deed.0))).collect();
    kept.send(GET);
    assert_eq!(kept.answer().status(), 200, "others are served meanwhile");
    for ((path, status, _), client) in &mut clients {
        match client.try_answer() {
            Ok(answer) => assert_eq!(answer.status(), *status, "{path}"),
            Err(end) => assert!(*status == 0 && end != End::Open, "{path}: {end:?}"),
        }
    }
    let mut expected = BTreeMap::<&str, u64>::new();
    for (_, _, why) in MISDEEDS {
        *expected.entry(why).or_default() += EACH as u64;
    }
    for (why, count) in expected {
        assert_eq!(reason(&perron, why), count, "{why}");
    }
    let grown = peak_kib(&perron).saturating_sub(before);
    assert!(grown <= clients.len() as u64 * BYSTANDER_KIB, "{grown} KiB for {} clients", clients.len());
}

#[test]
fn a_body_that_its_server_never_reads_ends_in_the_servers_time() {
    let rig = lab::require!(rig("unread-body"));
    let perron = Relay { backend: "timeouts = { server = \"500ms\" }", ..Relay::default() }.start(&rig);
    let over = Arc::new(AtomicBool::new(false));
    let ends = Arc::clone(&over);
    let server = BadServer::start(&rig.server, 80, move |wire| {
        let _ = wire.request_head();
        lab::eventually(SOON * 3, || ends.load(Ordering::SeqCst));
    });
    let mut client = rig.client.connect(FRONT);
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n");
    client.set_limit(Duration::from_millis(50));
    let body = vec![b'x'; 1 << 20];
    for _ in 0..200 {
        if client.try_send(&body).is_err() {
            break;
        }
    }
    client.set_limit(SOON);
    assert_eq!(client.answer().status(), 504);
    assert_eq!((reason(&perron, "server_timeout"), server.requests().len()), (1, 1));
    over.store(true, Ordering::SeqCst);
}

#[test]
fn only_a_body_that_came_with_its_header_is_kept_for_another_attempt() {
    let rig = lab::require!(rig("kept-body"));
    let _perron = Relay::default().start(&rig);
    // Each body's first reader closes; who comes again is answered.
    let count = AtomicUsize::new(0);
    let server = BadServer::start(&rig.server, 80, move |wire| {
        if wire.request().is_ok() && !count.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        }
    });
    let put = |size: usize| {
        let mut client = rig.client.connect(FRONT);
        client.send(format!("PUT /{size} HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n{}", "x".repeat(size)));
        client.answer().status()
    };
    assert_eq!((put(100), put(1_000_000)), (200, 502));
    assert_eq!(server.requests(), ["PUT /100 HTTP/1.1", "PUT /100 HTTP/1.1", "PUT /1000000 HTTP/1.1"]);
}
