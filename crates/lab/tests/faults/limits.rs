//! Each limit of docs/limits.md that only the whole program has, on both of its sides.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lab::{BadServer, End, HungMount, Perron, SOON, Wire, wait_for};

use crate::usage::{await_connections, reason};
use crate::{FRONT, GET, OK, Relay, Rig, rig};

/// The status of the answer to these bytes, and whether the connection is closed after it.
fn answer_to(rig: &Rig, bytes: &str) -> (u16, bool) {
    let mut client = rig.client.connect(FRONT);
    // The program may have answered and closed before it read all.
    let _ = client.try_send(bytes);
    let answer = client.answer();
    (answer.status(), answer.closes())
}

fn chunked(body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}")
}

#[test]
fn framing_beyond_its_limits_is_400() {
    let rig = lab::require!(rig("framing-limits"));
    let perron = Relay::default().start(&rig);
    let _server = BadServer::answering(&rig.server, 80, OK);
    let extension = |bytes: usize| chunked(&format!("2;{}\r\nab\r\n0\r\n\r\n", "x".repeat(bytes)));
    let digits = |count: usize| chunked(&format!("{}2\r\nab\r\n0\r\n\r\n", "0".repeat(count - 1)));
    let trailers = |bytes: usize| chunked(&format!("0\r\nX-A: {}\r\n\r\n", "b".repeat(bytes - 5)));
    let options =
        |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {}\r\n\r\n", vec!["x"; count].join(", "));
    let empty_lines = |count: usize| format!("{}{GET}", "\r\n".repeat(count));
    for fine in [extension(4096), digits(16), trailers(8190), options(32), empty_lines(2)] {
        assert_eq!(answer_to(&rig, &fine), (200, false), "{:?} of {}", &fine[..fine.len().min(120)], fine.len());
    }
    for refused in [extension(4097), digits(17), trailers(8193), options(33), empty_lines(3)] {
        assert_eq!(
            answer_to(&rig, &refused),
            (400, true),
            "{:?} of {}",
            &refused[..refused.len().min(120)],
            refused.len()
        );
    }
    let status = perron.status();
    let counted: u64 =
        status["reasons"].as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum();
    assert_eq!(counted, 5, "{}", status["reasons"]);
}

#[test]
fn one_client_too_many_waits_until_another_leaves() {
    let rig = lab::require!(rig("max-connections"));
    let perron = Relay { frontend: "max-connections = 3", ..Relay::default() }.start(&rig);
    let _server = BadServer::answering(&rig.server, 80, OK);
    let mut clients: Vec<_> = (0..3).map(|_| rig.client.connect(FRONT)).collect();
    await_connections(&perron, |open| open == 3);
    let mut further = rig.client.connect(FRONT);
    further.send(GET);
    for client in &mut clients {
        client.send(GET);
        assert_eq!(client.answer().status(), 200);
    }
    assert!(further.is_quiet_for(Duration::from_millis(300)), "three are here");
    clients.pop();
    assert_eq!(further.answer().status(), 200);
}

#[test]
fn interim_answers_without_end_are_502() {
    let rig = lab::require!(rig("interim-limit"));
    let perron = Relay::default().start(&rig);
    let _server = BadServer::start(&rig.server, 80, |wire| {
        while let Ok(request) = wire.request() {
            let count = if request.start.contains("/fine") { 64 } else { 65 };
            let hints = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(count);
            if wire.try_send(hints + OK).is_err() {
                return;
            }
        }
    });
    let statuses = |path: &str| {
        let mut client = rig.client.connect(FRONT);
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let mut statuses = vec![client.answer().status()];
        while statuses.ends_with(&[103]) {
            statuses.push(client.answer().status());
        }
        statuses
    };
    assert_eq!(statuses("/fine"), [vec![103; 64], vec![200]].concat());
    // Those before the one too many may have been relayed.
    assert_eq!(statuses("/many").last(), Some(&502));
    assert_eq!(reason(&perron, "server_malformed"), 1);
}

#[test]
fn a_server_that_takes_no_connection_is_503_in_its_time() {
    let rig = lab::require!(rig("connect-timeout"));
    let _listens = BadServer::answering(&rig.server, 80, OK);
    let backend = "timeouts = { connect = \"300ms\" }\nretries = 2";
    let perron = Relay { backend, ..Relay::default() }.start(&rig);
    rig.server.drop_incoming("tcp dport 80");
    let mut client = rig.client.connect(FRONT);
    client.send(GET);
    let answer = client.answer();
    assert_eq!((answer.status(), answer.closes()), (503, false));
    let server = perron.server("web/one");
    assert_eq!((&server["connection_errors"], &server["retries"]), (&3.into(), &2.into()), "{server}");
    assert_eq!(reason(&perron, "connect_failed"), 1);
    rig.server.drop_nothing();
    client.send(GET);
    assert_eq!(client.answer().status(), 200);
}

/// The attempts that one request makes at each of 19 dead servers.
fn attempts_at_dead_servers(rig: &Rig, retries: usize) -> Vec<u64> {
    let mut servers = String::new();
    for number in 0..18 {
        let port = 1000 + number;
        write!(servers, "[[backend.web.server]]\nname = \"dead{number}\"\naddress = \"10.0.0.3:{port}\"\n")
            .expect("a text grows");
    }
    let perron = Relay { backend: &format!("retries = {retries}"), servers: &servers, ..Relay::default() }.start(rig);
    let mut client = rig.client.connect(FRONT);
    client.send(GET);
    assert_eq!(client.answer().status(), 503);
    assert_eq!(reason(&perron, "connect_failed"), 1);
    let backend = perron.status()["backends"][0].clone();
    let attempts = |server: &serde_json::Value| server["connection_errors"].as_u64();
    backend["servers"].as_array().into_iter().flatten().filter_map(attempts).collect()
}

#[test]
fn a_retry_goes_elsewhere_and_the_retries_are_the_limit() {
    let rig = lab::require!(rig("many-dead"));
    let few = attempts_at_dead_servers(&rig, 15);
    assert_eq!((few.iter().sum::<u64>(), few.iter().max()), (16, Some(&1)), "{few:?}");
    // Of more than 16, some may be asked again.
    let many = attempts_at_dead_servers(&rig, 30);
    assert_eq!(many.iter().sum::<u64>(), 31, "{many:?}");
}

#[test]
fn so_many_idle_connections_to_a_server_are_kept_and_for_so_long() {
    let rig = lab::require!(rig("idle-servers"));
    let text = |keep: &str| {
        let backend = format!("max-idle = 2\ntimeouts = {{ keep-alive = \"{keep}\" }}");
        let relay = Relay { backend: &backend, ..Relay::default() };
        format!("[process]\nworkers = 1\n\n{}", relay.text())
    };
    let perron = Perron::start(&rig.front, &text("1h"));
    let go = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&go);
    let server = BadServer::start(&rig.server, 80, move |wire| {
        while wire.request().is_ok() {
            wait_for(SOON * 3, "all have asked", || gate.load(Ordering::SeqCst));
            wire.send(OK);
        }
    });
    let mut clients: Vec<_> = (0..6).map(|_| rig.client.connect(FRONT)).collect();
    clients.iter_mut().for_each(|client| client.send(GET));
    wait_for(SOON, "the server has six requests", || server.requests().len() == 6);
    assert_eq!(server.open(), 6);
    go.store(true, Ordering::SeqCst);
    assert!(clients.iter_mut().all(|client| client.answer().status() == 200));
    wait_for(SOON, "two connections are kept", || server.open() == 2);
    assert_eq!(perron.server("web/one")["idle_connections"], 2);
    drop(clients);
    drop(server);

    let server = BadServer::answering(&rig.server, 80, OK);
    perron.reload(&text("500ms")).expect("the text is right");
    let mut client = rig.client.connect(FRONT);
    client.send(GET);
    assert_eq!(client.answer().status(), 200);
    wait_for(SOON, "an idle connection is closed in its time", || server.accepted() > 0 && server.open() == 0);
}

#[test]
fn more_long_bodies_than_pipes_are_carried_all_the_same() {
    const BODIES: usize = 70;
    const LENGTH: usize = 300_000;
    let rig = lab::require!(rig("pipes"));
    let perron = Perron::start(&rig.front, &format!("[process]\nworkers = 1\n\n{}", Relay::default().text()));
    let go = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&go);
    let server = BadServer::start(&rig.server, 80, move |wire| {
        if wire.request().is_ok() {
            wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n{}", "a".repeat(LENGTH / 2)));
            wait_for(SOON * 3, "all have a part", || gate.load(Ordering::SeqCst));
            wire.send("b".repeat(LENGTH / 2));
        }
    });
    let mut clients: Vec<_> = (0..BODIES).map(|_| rig.client.connect(FRONT)).collect();
    for client in &mut clients {
        client.set_limit(SOON * 3);
        client.send(GET);
    }
    let head = clients.iter_mut().map(|client| client.read_until("\r\n\r\n")).filter(|head| head.contains(" 200 "));
    assert_eq!(head.count(), BODIES);
    for client in &mut clients {
        assert_eq!(client.read_exact(LENGTH / 2), "a".repeat(LENGTH / 2).as_bytes());
    }
    assert_eq!(server.open(), BODIES, "all are under way at once");
    go.store(true, Ordering::SeqCst);
    for client in &mut clients {
        assert_eq!(client.read_exact(LENGTH / 2), "b".repeat(LENGTH / 2).as_bytes());
        assert!(client.standing() == End::Open);
    }
    drop(perron);
}

#[test]
fn of_requests_for_a_tree_that_hangs_32_wait_on_threads_and_the_others_for_those() {
    let rig = lab::require!(rig("hung-threads"));
    let mount = lab::require!(HungMount::mount(&rig.front, "mounted\n"));
    let text = format!(
        "[process]\nworkers = 1\n\n[frontend.web]\nbind = \"{FRONT}\"\n\
         [[frontend.web.route]]\npath = \"/hung\"\nfiles = {{ root = \"{}\", timeout = \"500ms\" }}\n\
         [[frontend.web.route]]\npath = \"/\"\nrespond = {{ body = \"quick\" }}\n",
        mount.folder().display()
    );
    let perron = Perron::start(&rig.front, &text);
    let ask = |path: &str| {
        let mut client = rig.client.connect(FRONT);
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        client
    };
    assert_eq!(ask("/hung/file.txt").answer().text(), "mounted\n");
    mount.hang();
    let mut hung: Vec<_> = (0..40).map(|_| ask("/hung/file.txt")).collect();
    assert_eq!(ask("/").answer().text(), "quick");
    for client in &mut hung {
        let answer = client.answer();
        assert!(answer.status() == 503 && answer.field("retry-after").is_some(), "{answer:?}");
    }
    let (timeout, busy) = (reason(&perron, "files_timeout"), reason(&perron, "files_busy"));
    assert!(
        timeout + busy == 40 && (1..=32).contains(&timeout) && busy >= 8,
        "{timeout} timed out, {busy} found no thread"
    );
    mount.recover();
    wait_for(SOON, "its files are served again", || ask("/hung/file.txt").answer().status() == 200);
}

#[test]
fn silent_clients_of_the_control_socket_do_not_keep_others_out() {
    let rig = lab::require!(rig("control-crowd"));
    let perron = Relay::default().start(&rig);
    let mut silent: Vec<_> = (0..32).map(|_| Wire::unix(perron.control()).expect("it listens")).collect();
    // It is let in when the first of them have been silent for five seconds.
    assert_eq!(perron.status()["generation"], 1);
    for client in &mut silent {
        assert_ne!(client.rest().1, End::Open);
    }
}

#[test]
fn texts_and_names_of_a_configuration_have_limits() {
    let rig = lab::require!(rig("texts"));
    let path = rig.front.new_folder("text").join("perron.toml");
    let binary = lab::perron_binary();
    let check = || {
        let command = [&binary, &path].map(|path| path.to_str().expect("paths in the lab are plain"));
        let output = rig.front.run(&[command[0], "check", "-c", command[1]]);
        (output.code, output.stderr + &String::from_utf8_lossy(&output.stdout))
    };
    let named = |length: usize| Relay::default().text().replace("\"web\"", &format!("\"{0}\"", "w".repeat(length)));
    let named = |length: usize| named(length).replace("backend.web", &format!("backend.{}", "w".repeat(length)));
    fs::write(&path, named(64)).expect("the folder is ours");
    assert_eq!(check().0, Some(0), "{}", check().1);
    fs::write(&path, named(65)).expect("the folder is ours");
    let (code, said) = check();
    assert!(code == Some(2) && said.contains("1 to 64"), "{said}");
    File::create(&path).and_then(|file| file.set_len((64 << 20) + 1)).expect("a sparse file takes no room");
    let (code, said) = check();
    assert!(code == Some(2) && said.contains("has more than 64 MiB"), "{said}");
}
