//! What a service manager sees and gives: readiness, reloads, sockets opened beforehand.

mod service;

use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use service::{Service, get, wait_for};

const CONFIG: &str =
    "[frontend.web]\nbind = \"ADDRESS\"\nrespond = { body = \"one\" }\n[process]\naccess-log = \"off\"\n";

/// Listens as systemd does for a socket unit, then becomes the service: its socket is descriptor 3.
const ACTIVATION: &str = "\
import os, socket, sys
listener = socket.socket()
listener.bind(('127.0.0.1', 0))
listener.listen()
port = listener.getsockname()[1]
text = open(sys.argv[2]).read().replace('PORT', str(port))
open(sys.argv[2], 'w').write(text)
print(port, flush=True)
fd = listener.detach()
if fd != 3:
    os.dup2(fd, 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='web')
os.execv(sys.argv[1], [sys.argv[1], 'run', '--end-with-parent', '-c', sys.argv[2], '--control', sys.argv[3]])
";

#[test]
fn the_service_manager_is_told_of_readiness_reloads_and_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let next = |word: &str| {
        wait_for(word, || {
            let mut buffer = [0; 4096];
            let length = manager.recv(&mut buffer).unwrap();
            let told = String::from_utf8_lossy(&buffer[..length]).into_owned();
            told.contains(word).then_some(told)
        })
    };
    let variables = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "200000")];
    let mut service = Service::start_with(CONFIG, &[], &variables);
    assert!(next("READY=1").contains("STATUS=generation 1"));
    next("WATCHDOG=1");
    service.signal("HUP");
    let told = next("RELOADING=1");
    let micros: u64 = told.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).unwrap().parse().unwrap();
    assert!(micros > 0);
    assert!(next("READY=1").contains("STATUS=generation 2"));
    service.signal("TERM");
    // The drain-timeout, 30 s unless the configuration says otherwise, and ten seconds.
    assert_eq!(next("STOPPING=1"), "STOPPING=1\nEXTEND_TIMEOUT_USEC=40000000");
    assert!(service.end().success());
}

#[test]
fn a_socket_that_was_opened_beforehand_is_served_and_stays_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("perron.toml");
    let control = folder.path().join("control.sock");
    let text = CONFIG.replace("ADDRESS", "127.0.0.1:PORT");
    std::fs::write(&config, format!("{text}[admin]\nbind = \"off\"\n")).unwrap();
    let mut child = Command::new("python3")
        .args(["-c", ACTIVATION, env!("CARGO_BIN_EXE_perron")])
        .args([&config, &control])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut port = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut port).unwrap();
    let address = format!("127.0.0.1:{}", port.trim()).parse().unwrap();
    // A client that comes before the service is served by it: nobody closed the socket in between.
    assert_eq!(get(address).unwrap(), "one");
    let reloaded = service::perron(&["reload", "--control", control.to_str().unwrap()]);
    assert!(reloaded.status.success(), "{}", String::from_utf8_lossy(&reloaded.stderr));
    assert_eq!(get(address).unwrap(), "one");
    let stopped = service::perron(&["stop", "--control", control.to_str().unwrap()]);
    assert!(stopped.status.success());
    assert!(child.wait().unwrap().success());
}
