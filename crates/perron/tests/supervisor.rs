//! `perron run` from outside: reloads, deaths, privileges, the control socket, the end.

mod service;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use service::{Service, get, perron, signal, wait_for};

const ONE: &str =
    "[frontend.web]\nbind = \"ADDRESS\"\nrespond = { body = \"one\" }\n[process]\nworkers = 2\naccess-log = \"off\"\n";

/// A backend whose server is never asked: only its administrative state matters.
const BACKEND: &str = "[[backend.app.server]]\nname = \"a\"\naddress = \"127.0.0.1:9\"\n\
    [[frontend.web.route]]\npath = \"/app\"\nbackend = \"app\"\n";

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

#[test]
fn a_reload_under_load_loses_nothing_and_a_wrong_one_changes_nothing() {
    let service = Service::start(ONE, &[]);
    let ending = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut answers = Vec::new();
            while !ending.load(Ordering::Relaxed) {
                answers.push(get(service.address).unwrap());
            }
            answers
        });
        service.write(&ONE.replace("one", "two"));
        let output = service.perron(&["reload"]);
        assert_eq!(text(&output.stdout), "reloaded: generation 2 serves\n");
        wait_for("the new configuration", || (get(service.address).ok()? == "two").then_some(()));
        service.write(&ONE.replace("body", "bodi"));
        let output = service.perron(&["reload"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains("bodi"), "{}", text(&output.stderr));
        service.write(&ONE.replace("one", "three"));
        service.signal("HUP");
        wait_for("the third configuration", || (get(service.address).ok()? == "three").then_some(()));
        wait_for("the old processes' end", || (service.serving().len() == 1).then_some(()));
        ending.store(true, Ordering::Relaxed);
        let mut answers = load.join().unwrap();
        answers.dedup();
        assert!(answers.starts_with(&["one".to_owned()]) && answers.ends_with(&["three".to_owned()]), "{answers:?}");
    });
}

#[test]
fn a_serving_process_that_dies_is_replaced_and_what_an_operator_set_stays() {
    let service = Service::start(&format!("{ONE}{BACKEND}"), &[]);
    let output = service.perron(&["server", "drain", "app/a"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(service.status("/backends/0/servers/0/admin"), "drain");
    let pid = service.serving()[0];
    signal(pid, "KILL");
    assert_eq!(get(service.address).unwrap(), "one");
    assert_ne!(service.serving()[0], pid);
    wait_for("the state", || (service.status("/backends/0/servers/0/admin") == "drain").then_some(()));
    assert!(service.log().contains("died: signal: 9 (SIGKILL); it is started again at once"), "{}", service.log());
    let output = service.perron(&["server", "ready", "app/nobody"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no server called `nobody`"), "{}", text(&output.stderr));
}

#[test]
fn what_checks_found_moments_ago_outlives_a_death() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    // It answers the first check and no other one.
    std::thread::spawn(move || {
        let (mut first, _) = server.accept().unwrap();
        let _ = first.read(&mut [0; 4096]);
        first.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        let _held: Vec<_> = server.incoming().collect();
    });
    let backend = BACKEND.replace("127.0.0.1:9", &address.to_string());
    let check = "[backend.app]\ncheck = { type = \"http\", path = \"/\", interval = \"60s\" }\n";
    let service = Service::start(&format!("{ONE}{check}{backend}"), &[]);
    let server = |field: &str| service.status(&format!("/backends/0/servers/0/{field}"));
    wait_for("the first answer", || (server("status") == "up").then_some(()));
    wait_for("a second since", || (server("last_change_s").as_u64()? > 0).then_some(()));
    signal(service.serving()[0], "KILL");
    assert_eq!(get(service.address).unwrap(), "one");
    assert_eq!(server("status"), "up");
}

#[test]
fn what_happened_is_told_in_order_across_reloads_and_deaths() {
    let service = Service::start(&format!("{ONE}{BACKEND}"), &[]);
    let mut follower = Command::new(env!("CARGO_BIN_EXE_perron"))
        .args(["events", "--follow", "--control", service.socket().to_str().unwrap()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut followed = BufReader::new(follower.stdout.take().unwrap()).lines().map(Result::unwrap);
    service.perron(&["server", "weight", "app/a", "7"]);
    service.write(&ONE.replace("body", "bodi"));
    service.perron(&["reload"]);
    service.write(&format!("{ONE}{BACKEND}").replace("[process]", "[process]\ncontrol-socket = \"/elsewhere\""));
    service.perron(&["reload"]);
    wait_for("the old process's end", || (service.serving().len() == 1).then_some(()));
    let victim = service.serving()[0];
    signal(victim, "KILL");
    assert_eq!(get(service.address).unwrap(), "one");
    service.perron(&["server", "drain", "app/a"]);
    let uid = rustix::process::geteuid().as_raw();
    let expected = [
        "start perron 0.1.0 starts with 2 workers as ".to_owned(),
        "serve process ".to_owned(),
        format!("command user {uid} wants app/a to have weight 7"),
        "server-weight app/a has weight 7, had 1: an administrator's command; 1 of 1 servers of app usable".to_owned(),
        format!("command user {uid} wants a reload"),
        "reload-refused reload refused, the service goes on as before: ".to_owned(),
        format!("command user {uid} wants a reload"),
        "reload generation 2 is served, listening on ".to_owned(),
        format!("serve process {victim} serves generation 2"),
        "serve-ended serving process ".to_owned(),
        format!("serve-died serving process {victim} died: signal: 9 (SIGKILL); it is started again at once"),
        "serve process ".to_owned(),
        format!("command user {uid} wants app/a set to drain"),
        "server-drain app/a is set to drain, was ready: an administrator's command; 0 of 1 servers".to_owned(),
    ];
    let lines: Vec<String> = followed.by_ref().take(expected.len()).collect();
    for (line, expected) in lines.iter().zip(&expected) {
        let told: Vec<&str> = line.split_whitespace().skip(2).collect();
        assert!(told.join(" ").starts_with(expected), "{expected}: {lines:#?}");
    }
    follower.kill().unwrap();
    follower.wait().unwrap();
    let json = text(&service.perron(&["events", "--json", "-n", "2", "--since", "1h"]).stdout);
    let events: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (events.len(), &events[1]["kind"], &events[1]["severity"]),
        (2, &"server-drain".into(), &"error".into())
    );
    assert_eq!((&events[1]["subject"], &events[1]["generation"]), (&"app/a".into(), &2.into()));
    let log = service.log();
    let text = events[1]["text"].as_str().unwrap();
    assert!(log.contains(&format!("error {text} event=server-drain subject=app/a generation=2\n")), "{log}");
}

#[test]
fn a_control_socket_that_a_reload_cannot_move_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("perron.toml");
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let write = |socket: &str| {
        let control = folder.path().join(socket);
        let text = ONE.replace("ADDRESS", &address.to_string());
        fs::write(&config, format!("{text}control-socket = {control:?}\n[admin]\nbind = \"off\"\n")).unwrap();
        control
    };
    let socket = write("first.sock");
    let mut service = Command::new(env!("CARGO_BIN_EXE_perron"))
        .args(["run", "--end-with-parent", "-c", config.to_str().unwrap()])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let ask = |words: &[&str]| perron(&[words, &["--control", socket.to_str().unwrap()]].concat());
    wait_for("the service", || ask(&["status"]).status.success().then_some(()));
    write("second.sock");
    assert!(ask(&["reload"]).status.success());
    let told = text(&ask(&["events"]).stdout);
    assert!(told.contains("restart-needed") && told.contains("second.sock when the service is started anew"), "{told}");
    assert!(ask(&["stop"]).status.success());
    assert!(service.wait().unwrap().success());
}

#[test]
fn serving_processes_hold_no_privilege() {
    let service = Service::start(ONE, &[]);
    let status = fs::read_to_string(format!("/proc/{}/status", service.serving()[0])).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(field(set), ["0000000000000000"], "{set}");
    }
    assert_eq!(field("NoNewPrivs:"), ["1"]);
    if rustix::process::geteuid().is_root() {
        assert_eq!(field("CapBnd:"), ["0000000000000000"]);
        // nobody, as Debian numbers it.
        assert_eq!(field("Uid:"), ["65534"; 4]);
        assert!(!field("Groups:").contains(&"0".to_owned()));
    }
}

#[test]
fn a_stop_ends_everything_and_leaves_no_socket() {
    let mut service = Service::start(ONE, &[]);
    let children = service.serving();
    assert_eq!(fs::metadata(service.socket()).unwrap().permissions().mode() & 0o777, 0o660);
    let output = service.perron(&["stop"]);
    assert_eq!(text(&output.stdout), "stopped\n");
    assert!(service.end().success());
    assert!(!service.socket().exists());
    assert!(get(service.address).is_err());
    assert!(children.iter().all(|child| !fs::exists(format!("/proc/{child}")).unwrap()));
    let output = service.perron(&["status"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no service runs there"), "{}", text(&output.stderr));
}

#[test]
fn the_end_waits_for_a_download_and_a_stop_waits_with_it() {
    let mut service = Service::start(&ONE.replace("respond = { body = \"one\" }", "files = \".\""), &[]);
    // More than both sockets hold, so that it is under way until the client reads on.
    std::fs::File::create(service.folder.path().join("large")).unwrap().set_len(64 << 20).unwrap();
    let mut download = std::net::TcpStream::connect(service.address).unwrap();
    download.write_all(b"GET /large HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    let mut first = [0; 1024];
    download.read_exact(&mut first).unwrap();
    service.signal("TERM");
    wait_for("the end's begin", || service.log().contains("the service ends").then_some(()));
    let stop = std::thread::scope(|scope| {
        let stop = scope.spawn(|| service.perron(&["stop"]));
        let mut rest = Vec::new();
        download.read_to_end(&mut rest).unwrap();
        assert!(first.len() + rest.len() > 64 << 20);
        stop.join().unwrap()
    });
    assert!(stop.status.success() || text(&stop.stderr).contains("no service runs there"), "{}", text(&stop.stderr));
    assert!(service.end().success());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut service = Service::start(&ONE.replace("respond = { body = \"one\" }", "files = \".\""), &[]);
    std::fs::File::create(service.folder.path().join("large")).unwrap().set_len(64 << 20).unwrap();
    let mut download = std::net::TcpStream::connect(service.address).unwrap();
    download.write_all(b"GET /large HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    download.read_exact(&mut [0; 1024]).unwrap();
    service.signal("TERM");
    wait_for("the end's begin", || service.log().contains("the service ends").then_some(()));
    service.signal("TERM");
    assert!(service.end().success());
    let mut rest = Vec::new();
    let ended = download.read_to_end(&mut rest);
    assert!(ended.is_err() || rest.len() < 64 << 20);
}

#[test]
fn a_second_service_is_told_of_the_first_by_its_socket_or_its_port() {
    let service = Service::start(ONE, &[]);
    let config = service.folder.path().join("perron.toml");
    let (config, socket) = (config.to_str().unwrap(), service.socket());
    let again = perron(&["run", "-c", config, "--control", socket.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(1));
    let said = text(&again.stderr);
    assert!(said.contains(&format!("already running (pid {})", service.pid())), "{said}");
    let elsewhere = service.folder.path().join("other.sock");
    let again = perron(&["run", "-c", config, "--control", elsewhere.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(1));
    let said = text(&again.stderr);
    assert!(said.contains("listens there already"), "{said}");
    assert_eq!(get(service.address).unwrap(), "one");
}

#[test]
fn a_part_of_a_later_version_is_refused_unless_it_is_left_out() {
    let later = "[inventory]\n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("later.toml");
    fs::write(&file, format!("{}{later}", ONE.replace("ADDRESS", "127.0.0.1:1"))).unwrap();
    let refused = perron(&["run", "-c", file.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2));
    let said = text(&refused.stderr);
    assert!(said.contains("inventory") && said.contains("--without inventory"), "{said}");
    let service = Service::start(&format!("{ONE}{later}"), &["--without", "inventory"]);
    assert_eq!(get(service.address).unwrap(), "one");
    assert!(service.log().contains("left out, as asked for by --without"), "{}", service.log());
}

#[test]
fn addresses_that_move_can_be_left_to_another_program() {
    let vip = "[vip.api]\ninterface = \"no-such\"\nrouter-id = 51\naddresses = [\"192.0.2.1/24\"]\n";
    let service = Service::start(&format!("{ONE}{vip}"), &["--without", "vip"]);
    assert_eq!(get(service.address).unwrap(), "one");
    assert!(service.log().contains("left out, as asked for by --without"), "{}", service.log());
    assert!(!service.log().contains("moves the addresses"), "{}", service.log());
}

#[test]
fn a_log_that_nobody_reads_is_an_error_and_no_silence() {
    let folder = tempfile::tempdir().unwrap();
    let (file, fifo) = (folder.path().join("fifo.toml"), folder.path().join("fifo"));
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, mode).unwrap();
    let config = ONE.replace("ADDRESS", "unix:./web.sock").replace("\"off\"", "\"./fifo\"");
    fs::write(&file, config).unwrap();
    let control = folder.path().join("sock");
    let refused = perron(&["run", "-c", file.to_str().unwrap(), "--control", control.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("nobody reads the FIFO"), "{}", text(&refused.stderr));
}

#[test]
fn the_access_log_is_opened_anew_after_someone_renamed_it() {
    let service = Service::start(&ONE.replace("\"off\"", "\"./access.log\""), &[]);
    let path = service.folder.path().join("access.log");
    let old = service.folder.path().join("access.log.1");
    let lines = |path: &std::path::Path| fs::read_to_string(path).map_or(0, |text| text.lines().count());
    get(service.address).unwrap();
    wait_for("the first line", || (lines(&path) > 0).then_some(()));
    fs::rename(&path, &old).unwrap();
    service.signal("USR1");
    wait_for("the log's return", || {
        get(service.address).unwrap();
        (lines(&path) > 0).then_some(())
    });
}

#[test]
fn the_control_socket_survives_what_makes_no_sense() {
    let service = Service::start(ONE, &[]);
    let ask = |request: &[u8]| {
        let mut stream = UnixStream::connect(service.socket()).unwrap();
        // The service may have answered and closed before all of it is sent.
        let _ = stream.write_all(request);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    assert!(ask(b"hello\n").starts_with("{\"wrong\":\"not a request"));
    assert!(ask(b"\xff\xfe\n").starts_with("{\"wrong\":"));
    assert!(ask(b"{\"request\":\"shutdown\"}\n").starts_with("{\"wrong\":"));
    let long = ask(&[b' '; 64 * 1024 + 1]);
    assert!(long.is_empty() || long.contains("at most 65536 bytes"), "{long}");
    assert!(service.perron(&["status"]).status.success());
}

#[test]
fn a_wrong_configuration_is_shown_whole_and_is_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.toml");
    fs::write(&file, "[frontend.web]\nbind = \"nowhere\"\nrespond = { bodi = \"x\" }\n").unwrap();
    for command in ["run", "check"] {
        let output = perron(&[command, "-c", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(2), "{command}");
        let said = text(&output.stderr);
        assert!(said.contains("nowhere") && said.contains("bodi"), "{said}");
    }
    let output = perron(&["check", "--json", "-c", file.to_str().unwrap()]);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["ok"], false);
    assert_eq!(answer["problems"][0]["line"], 2);
    assert_eq!(perron(&["run", "-c", "/nonexistent.toml"]).status.code(), Some(2));
    assert_eq!(perron(&["status", "--frob"]).status.code(), Some(2));
}

#[test]
fn the_built_in_configuration_is_explained() {
    let output = perron(&["check", "--explain"]);
    assert!(output.status.success());
    let said = text(&output.stdout);
    assert!(said.contains("bind = \"127.0.0.1:8080\"") && said.contains("drain-timeout"), "{said}");
}
