//! Rates, shares and queues: who is turned away is told when to come again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lab::{BadServer, End, Host, Message, SOON, Wire, wait_for};

use crate::usage::reason;
use crate::{FRONT, GET, OK, Relay, Rig, rig};

fn ask(host: &Host) -> Wire {
    let mut client = host.connect(FRONT);
    client.send(GET);
    client
}

/// The status, and the seconds after which to come again.
fn turned_away(answer: &Message) -> (u16, Option<u64>) {
    (answer.status(), answer.field("retry-after").and_then(|seconds| seconds.parse().ok()))
}

/// A server that answers nothing until the gate is open.
fn gated(host: &Host, port: u16, open: &Arc<AtomicBool>) -> BadServer {
    let open = Arc::clone(open);
    BadServer::start(host, port, move |wire| {
        while wire.request().is_ok() {
            while !open.load(Ordering::SeqCst) && wire.standing() == End::Open {
                std::thread::sleep(Duration::from_millis(5));
            }
            if wire.try_send(OK).is_err() {
                return;
            }
        }
    })
}

fn waiting(perron: &lab::Perron) -> u64 {
    perron.status()["backends"][0]["queue"]["now"].as_u64().unwrap_or(0)
}

#[test]
fn a_client_beyond_its_rate_is_429_and_keeps_its_connection() {
    let rig = lab::require!(rig("client-rate"));
    let other = rig.lab.host("other", "10.0.0.9/24");
    let limit = "rate-limit = { client = \"2/h\", burst = 3 }";
    let perron = Relay { frontend: limit, ..Relay::default() }.start(&rig);
    let server = BadServer::answering(&rig.server, 80, OK);
    let mut client = rig.client.connect(FRONT);
    for _ in 0..3 {
        client.send(GET);
        assert_eq!(client.answer().status(), 200);
    }
    for _ in 0..2 {
        client.send(GET);
        let answer = client.answer();
        let (status, wait) = turned_away(&answer);
        // Half an hour after the first of three requests, which came just now.
        assert!(status == 429 && wait.is_some_and(|wait| (1700..=1800).contains(&wait)), "{answer:?}");
        assert!(!answer.closes(), "{answer:?}");
    }
    assert_eq!(ask(&rig.client).answer().status(), 429, "a client is its address, not its connection");
    assert_eq!(ask(&other).answer().status(), 200, "and others have rates of their own");
    assert_eq!((server.requests().len(), reason(&perron, "rate_limit")), (4, 3));
}

#[test]
fn all_clients_together_have_a_rate_too() {
    let rig = lab::require!(rig("total-rate"));
    let other = rig.lab.host("other", "10.0.0.9/24");
    let limit = "rate-limit = { total = \"1/h\", total-burst = 2 }";
    let perron = Relay { frontend: limit, ..Relay::default() }.start(&rig);
    let _server = BadServer::answering(&rig.server, 80, OK);
    assert_eq!(ask(&rig.client).answer().status(), 200);
    assert_eq!(ask(&other).answer().status(), 200);
    let (status, wait) = turned_away(&ask(&other).answer());
    assert!(status == 429 && wait.is_some_and(|wait| (3500..=3600).contains(&wait)), "{status} {wait:?}");
    assert_eq!(reason(&perron, "rate_limit"), 1);
}

/// Who takes the only place, and who waits for it, of a backend for one request.
fn one_place(rig: &Rig, perron: &lab::Perron, server: &BadServer) -> (Wire, Wire) {
    let first = ask(&rig.client);
    wait_for(SOON, "the server has the request", || server.requests().len() == 1);
    let second = ask(&rig.client);
    wait_for(SOON, "the next one waits", || waiting(perron) == 1);
    (first, second)
}

#[test]
fn a_full_backend_makes_one_wait_and_turns_the_next_away_at_once() {
    let rig = lab::require!(rig("full-queue"));
    let backend = "max-requests = 1\nmax-queue = 1\nretry-after = \"7s\"";
    let perron = Relay { backend, ..Relay::default() }.start(&rig);
    let open = Arc::new(AtomicBool::new(false));
    let server = gated(&rig.server, 80, &open);
    let (mut first, mut second) = one_place(&rig, &perron, &server);
    let mut third = ask(&rig.client);
    let answer = third.answer();
    assert_eq!((turned_away(&answer), answer.closes()), ((503, Some(7)), false));
    assert_eq!(reason(&perron, "queue_full"), 1);
    open.store(true, Ordering::SeqCst);
    assert_eq!((first.answer().status(), second.answer().status()), (200, 200), "who waited is served");
    third.send(GET);
    assert_eq!(third.answer().status(), 200);
}

#[test]
fn who_waits_in_vain_is_told_when_to_come_again() {
    let rig = lab::require!(rig("queue-timeout"));
    let backend = "max-requests = 1\nretry-after = \"90s\"\ntimeouts = { queue = \"500ms\" }";
    let perron = Relay { backend, ..Relay::default() }.start(&rig);
    let open = Arc::new(AtomicBool::new(false));
    let server = gated(&rig.server, 80, &open);
    let (mut first, mut second) = one_place(&rig, &perron, &server);
    assert_eq!(turned_away(&second.answer()), (503, Some(90)));
    assert_eq!((reason(&perron, "queue_timeout"), server.requests().len()), (1, 1));
    open.store(true, Ordering::SeqCst);
    assert_eq!(first.answer().status(), 200);
}

#[test]
fn a_class_takes_its_share_and_the_rest_waits() {
    let rig = lab::require!(rig("max-share"));
    let backend = "balance = \"least-connections\"\nclass.small = { max-share = \"25%\" }\n\
                   retry-after = \"3s\"\ntimeouts = { queue = \"20s\" }\nmax-queue = 8";
    let servers =
        "max-requests = 1\n[[backend.web.server]]\nname = \"two\"\naddress = \"10.0.0.3:81\"\nclass = \"small\"\n";
    let perron = Relay { backend, servers, ..Relay::default() }.start(&rig);
    let (open_large, open_small) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (large, small) = (gated(&rig.server, 80, &open_large), gated(&rig.server, 81, &open_small));
    // One at the large server, and one at the small one: a class has never less.
    let mut clients: Vec<_> = (0..3).map(|_| ask(&rig.client)).collect();
    wait_for(SOON, "one waits", || waiting(&perron) == 1);
    assert_eq!((large.requests().len(), small.requests().len()), (1, 1));
    // Of seven at once a quarter is one and not two.
    clients.extend((0..4).map(|_| ask(&rig.client)));
    wait_for(SOON, "five wait", || waiting(&perron) == 5);
    assert_eq!((large.requests().len(), small.requests().len()), (1, 1));
    // Of eight it is two.
    clients.push(ask(&rig.client));
    wait_for(SOON, "the others wait", || waiting(&perron) == 5 && small.requests().len() == 2);
    assert_eq!((large.requests().len(), small.requests().len()), (1, 2));
    // The large one alone serves those who wait.
    open_large.store(true, Ordering::SeqCst);
    wait_for(SOON, "nobody waits any more", || waiting(&perron) == 0);
    assert_eq!((large.requests().len(), small.requests().len()), (6, 2));
    open_small.store(true, Ordering::SeqCst);
    assert_eq!(clients.iter_mut().map(|client| client.answer().status()).collect::<Vec<_>>(), [200; 8]);
}
