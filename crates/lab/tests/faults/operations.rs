//! Reloads, stops, crashes and commands, under load.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lab::{BadServer, Host, Load, LoadShape, Nginx, Perron, SOON, wait_for};
use rustix::process::Signal;

use crate::{FRONT, GET, OK, Relay, Rig, rig};

/// Two servers, `one` and `two`, that answer with their names.
const TWO: &str = "[[backend.web.server]]\nname = \"two\"\naddress = \"10.0.0.4:80\"\n";

fn two_servers(rig: &Rig) -> (BadServer, BadServer) {
    let second = rig.lab.host("second", "10.0.0.4/24");
    (named(&rig.server, "one"), named(&second, "two"))
}

fn named(host: &Host, name: &str) -> BadServer {
    BadServer::answering(host, 80, format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len()))
}

/// How often each server answers so many requests.
fn shares(rig: &Rig, requests: usize) -> BTreeMap<String, usize> {
    let mut client = rig.client.connect(FRONT);
    let mut shares = BTreeMap::new();
    for _ in 0..requests {
        client.send(GET);
        let answer = client.answer();
        if answer.closes() {
            client = rig.client.connect(FRONT);
        }
        *shares.entry(answer.text()).or_default() += 1;
    }
    shares
}

/// How old a process must be to count as well: from then on the next one is started at once.
const WELL_AFTER: Duration = Duration::from_secs(1);

/// Since when the file system of processes knows of this one.
fn is_well(pid: u32) -> bool {
    let began = std::fs::metadata(format!("/proc/{pid}")).and_then(|folder| folder.modified());
    began.is_ok_and(|began| began.elapsed().unwrap_or_default() > WELL_AFTER)
}

#[test]
fn a_killed_serve_is_replaced_at_once_and_only_requests_in_flight_fail() {
    const KILLS: usize = 5;
    let rig = lab::require!(rig("kill-serve"));
    let _nginx = lab::require!(Nginx::start(&rig.server, "nginx"));
    let perron = Relay::default().start(&rig);
    let shape = LoadShape { clients: 8, ..LoadShape::default() };
    let load = Load::start(&rig.client, FRONT, &shape);
    let mut gaps = Vec::new();
    for _ in 0..KILLS {
        load.wait_for_more(200);
        wait_for(SOON, "the process counts as well", || perron.serve_pids().iter().all(|pid| is_well(*pid)));
        let before = perron.serve_pids();
        let killed = Instant::now();
        perron.signal_serve(Signal::KILL);
        // The connection is taken by the kernel, and answered by the next process.
        let mut client = rig.client.connect(FRONT);
        client.send(GET);
        assert_eq!(client.answer().text(), "nginx\n");
        gaps.push(killed.elapsed());
        wait_for(SOON, "another process serves", || perron.serve_pids().iter().all(|pid| !before.contains(pid)));
    }
    println!("from the kill to the answer on a new connection: {gaps:?}");
    load.wait_for_more(200);
    let tally = load.finish();
    assert_eq!((tally.refused, tally.unanswered, &tally.statuses), (0, 0, &BTreeMap::new()), "{tally:?}");
    let most = (KILLS * shape.clients) as u64;
    assert!(tally.failed() + tally.closed_under_request <= most, "more failed than were in flight: {tally:?}");
}

#[test]
fn a_hung_serve_is_replaced() {
    let rig = lab::require!(rig("hung-serve"));
    let _server = BadServer::answering(&rig.server, 80, OK);
    let perron = Relay::default().start(&rig);
    let before = perron.serve_pids();
    perron.signal_serve(Signal::STOP);
    // Clients that come meanwhile stand in the kernel's line, and are served by the next process.
    let mut waiting: Vec<_> = (0..8).map(|_| rig.client.connect(FRONT)).collect();
    waiting.iter_mut().for_each(|client| client.send(GET));
    wait_for(Duration::from_secs(20), "another process serves", || {
        let now = perron.serve_pids();
        !now.is_empty() && now.iter().all(|pid| !before.contains(pid))
    });
    assert_eq!(rig.client.curl(&[&format!("http://{FRONT}/")]).text(), "ok");
    assert!(waiting.iter_mut().all(|client| client.answer().text() == "ok"));
    let written = perron.written();
    assert!(written.contains(&format!("serving process {} hangs; it is ended by force", before[0])), "{written}");
}

#[test]
fn a_killed_supervisor_leaves_nobody_on_its_ports() {
    let rig = lab::require!(rig("kill-supervisor"));
    let _server = BadServer::answering(&rig.server, 80, OK);
    let mut first = Relay::default().start(&rig);
    let orphans = first.serve_pids();
    first.process().signal(Signal::KILL);
    first.process().wait(SOON);
    wait_for(SOON, "the serving process ends with its supervisor", || {
        orphans.iter().all(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists())
    });
    let _second = Relay::default().start(&rig);
    assert_eq!(rig.client.curl(&[&format!("http://{FRONT}/")]).text(), "ok");
}

#[test]
fn a_stop_finishes_requests_in_flight() {
    let rig = lab::require!(rig("stop"));
    let go = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&go);
    let server = BadServer::start(&rig.server, 80, move |wire| {
        while wire.request().is_ok() {
            wait_for(SOON, "the test opens the gate", || gate.load(Ordering::SeqCst));
            wire.send(OK);
        }
    });
    let mut perron = Relay::default().start(&rig);
    let mut idle = rig.client.connect(FRONT);
    let mut client = rig.client.connect(FRONT);
    client.send(GET);
    wait_for(SOON, "the server has the request", || server.requests().len() == 1);
    perron.process().signal(Signal::TERM);
    wait_for(SOON, "no connection is taken any more", || rig.client.try_connect(FRONT).is_err());
    assert!(perron.process().is_running(), "a request is under way");
    go.store(true, Ordering::SeqCst);
    let answer = client.answer();
    assert!(answer.status() == 200 && answer.closes(), "{answer:?}");
    assert!(perron.process().wait(SOON).success());
    assert!(idle.rest().0.is_empty());
}

#[test]
fn the_stop_command_ends_an_idle_service_at_once() {
    let rig = lab::require!(rig("stop-idle"));
    let mut perron = Relay::default().start(&rig);
    let start = Instant::now();
    perron.stop();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(rig.client.try_connect(FRONT).is_err());
}

#[test]
fn ten_reloads_under_load_lose_nothing() {
    let rig = lab::require!(rig("reloads"));
    let _nginx = lab::require!(Nginx::start(&rig.server, "nginx"));
    let relay = Relay::default();
    let perron = relay.start(&rig);
    let shape = LoadShape { clients: 100, pause: Duration::from_millis(50), ..LoadShape::default() };
    let load = Load::start(&rig.client, FRONT, &shape);
    load.wait_for_more(300);
    for round in 0..10 {
        perron.reload(&format!("{}# {round}\n", relay.text())).expect("the text is right");
        load.wait_for_more(400);
    }
    let tally = load.finish();
    assert_eq!(tally.failed(), 0, "{tally:?}");
    assert!(tally.closed_announced >= 500, "a reload ends kept connections by an answer that says so: {tally:?}");
    // A hundred clients and ten reloads: one in a thousand is one.
    assert!(tally.closed_idle + tally.closed_under_request <= 1, "closed without a word: {tally:?}");
}

#[test]
fn a_reload_by_signal_takes_the_new_text() {
    let rig = lab::require!(rig("hangup"));
    let _servers = two_servers(&rig);
    let mut perron = Relay::default().start(&rig);
    assert_eq!(shares(&rig, 4).len(), 1);
    let text = Relay { servers: TWO, ..Relay::default() }.text();
    // The text is put in place by a reload that is refused, then by one that is not.
    assert!(perron.reload(&format!("{text}nonsense = [")).is_err());
    assert_eq!(shares(&rig, 4).len(), 1);
    perron.rewrite(&text);
    perron.process().signal(Signal::HUP);
    wait_for(SOON, "both servers answer", || shares(&rig, 4).len() == 2);
}

#[test]
fn a_bad_configuration_is_refused_whole_and_the_old_goes_on() {
    let rig = lab::require!(rig("bad-reload"));
    let _server = BadServer::answering(&rig.server, 80, OK);
    let perron = Relay::default().start(&rig);
    let before = perron.serve_pids();
    for (bad, word) in [("backedn = \"web\"", "backedn"), ("max-connections = \"many\"", "max-connections")] {
        let message = perron.reload(&Relay { frontend: bad, ..Relay::default() }.text()).expect_err(bad);
        assert!(message.contains(word) && message.contains(":4:"), "{message}");
        assert_eq!(rig.client.curl(&[&format!("http://{FRONT}/")]).text(), "ok");
    }
    assert_eq!(perron.serve_pids(), before);
}

#[test]
fn servers_are_drained_maintained_weighted_and_readied() {
    let rig = lab::require!(rig("commands"));
    let _servers = two_servers(&rig);
    let relay = Relay { servers: TWO, ..Relay::default() };
    let perron = relay.start(&rig);
    assert_eq!(shares(&rig, 10), BTreeMap::from([("one".to_owned(), 5), ("two".to_owned(), 5)]));
    for command in ["drain", "maintenance"] {
        perron.ask(&["server", command, "web/one"]).success();
        wait_for(SOON, "the command shows", || perron.server("web/one")["admin"] == command);
        assert_eq!(shares(&rig, 10), BTreeMap::from([("two".to_owned(), 10)]), "{command}");
        perron.ask(&["server", "ready", "web/one"]).success();
        wait_for(SOON, "both serve again", || shares(&rig, 10).len() == 2);
    }
    perron.ask(&["server", "weight", "web/one", "3"]).success();
    wait_for(SOON, "the weight shows", || perron.server("web/one")["weight"] == 3);
    assert_eq!(shares(&rig, 40), BTreeMap::from([("one".to_owned(), 30), ("two".to_owned(), 10)]));
    perron.ask(&["server", "drain", "web/two"]).success();
    perron.reload(&relay.text()).expect("the text is right");
    assert_eq!(perron.server("web/two")["admin"], "drain", "what an operator set outlives a reload");
    assert_eq!(shares(&rig, 10), BTreeMap::from([("one".to_owned(), 10)]));
    assert_ne!(perron.ask(&["server", "drain", "web/three"]).code, Some(0));
}

#[test]
fn check_states_outlive_a_reload() {
    let rig = lab::require!(rig("state"));
    let _servers = two_servers(&rig);
    let backend = "check = { type = \"tcp\", interval = \"60s\", rise = 2, fall = 2 }";
    let relay = Relay { backend, servers: TWO, ..Relay::default() };
    let perron: Perron = relay.start(&rig);
    perron.wait_until_up();
    let load = Load::start(&rig.client, FRONT, &LoadShape::default());
    perron.reload(&relay.text()).expect("the text is right");
    load.wait_for_more(100);
    assert_eq!(perron.server("web/one")["status"], "up", "with a minute between checks it is known from before");
    assert_eq!(load.finish().failed(), 0);
}
