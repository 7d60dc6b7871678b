//! No descriptors, no memory, no room on the disk: what this machine lacks.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lab::{BadServer, Perron, SOON, Skip, Wire, wait_for};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, mount};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

use crate::usage::{
    BYSTANDER_KIB, await_connections, descriptors, peak_kib, reason, reset_peak, resident_kib, serving, ticks,
};
use crate::{FRONT, GET, OK, Relay, Rig, rig};

/// The kernel's limit for the memory of some processes, by control groups of either version.
struct MemoryLimit {
    folder: PathBuf,
}

impl MemoryLimit {
    /// A group of processes that may use so many bytes from now on.
    fn new(name: &str, bytes: u64) -> Result<MemoryLimit, Skip> {
        let root = Path::new("/sys/fs/cgroup");
        let (root, file) = match root.join("cgroup.controllers").exists() {
            true => (root.to_owned(), "memory.max"),
            false => (root.join("memory"), "memory.limit_in_bytes"),
        };
        // Version 2 gives a group only what its parent passes on; version 1 has no such file.
        let _ = OpenOptions::new()
            .write(true)
            .open(root.join("cgroup.subtree_control"))
            .and_then(|mut control| control.write_all(b"+memory"));
        let limit = MemoryLimit { folder: root.join(format!("perron-lab-{name}-{}", std::process::id())) };
        let made = fs::create_dir(&limit.folder).and_then(|()| fs::write(limit.folder.join(file), bytes.to_string()));
        made.map_err(|error| Skip::new(format!("no control group with a memory limit: {error}")))?;
        Ok(limit)
    }

    fn take(&self, pid: u32) {
        fs::write(self.folder.join("cgroup.procs"), pid.to_string()).expect("root may move a process");
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        lab::eventually(SOON, || fs::remove_dir(&self.folder).is_ok() || !self.folder.exists());
    }
}

fn limit_descriptors(perron: &Perron, most: u64) {
    let pid = Pid::from_raw(serving(perron).cast_signed());
    prlimit(pid, Resource::Nofile, Rlimit { current: Some(most), maximum: Some(most) }).expect("it is our own user's");
}

fn connect_all(rig: &Rig, count: usize) -> Vec<Wire> {
    let to: std::net::SocketAddr = FRONT.parse().expect("it is one");
    rig.client.in_namespace(|| {
        let connect = || std::net::TcpStream::connect_timeout(&to, SOON).expect("the kernel takes clients in");
        (0..count).map(|_| Wire::new(connect())).collect()
    })
}

fn is_served(rig: &Rig) {
    assert_eq!(rig.client.curl(&[&format!("http://{FRONT}/")]).text(), "ok");
}

#[test]
fn without_descriptors_accepting_rests_and_no_server_is_to_blame() {
    let rig = lab::require!(rig("descriptors"));
    // The server closes after each answer: every request needs a new connection.
    let _server = BadServer::closing_after(&rig.server, 80, OK);
    let backend = "observe = 1\ncheck = { type = \"http\", interval = \"100ms\", fall = 1, rise = 1 }";
    // Root, though it has no privilege there, may limit root's own processes only.
    let text = format!("[process]\nuser = \"root\"\n\n{}", Relay { backend, ..Relay::default() }.text());
    let perron = Perron::start_ready(&rig.front, &text);
    let mut kept = rig.client.connect(FRONT);
    kept.send(GET);
    assert_eq!(kept.answer().status(), 200);

    limit_descriptors(&perron, descriptors(&perron) + 20);
    let mut crowd = connect_all(&rig, 100);
    wait_for(SOON * 3, "a check finds the fault here", || perron.server("web/one")["check"]["code"] == "SOCKERR");

    let (before, began) = (ticks(&perron), Instant::now());
    let last = crowd.last_mut().expect("a hundred came");
    last.send(GET);
    assert!(last.is_quiet_for(Duration::from_secs(1)), "there is no descriptor for it");
    // A loop that does not rest takes all of a core; a tick is a hundredth of a second.
    let (used, passed) = (ticks(&perron) - before, began.elapsed());
    assert!(u128::from(used) * 10 < passed.as_millis() / 4, "{used} ticks in {passed:?}");
    kept.send(GET);
    let answer = kept.answer();
    assert_eq!((answer.status(), answer.closes()), (503, false), "there is none for a server either");
    assert!(reason(&perron, "connect_failed") > 0);
    assert_eq!(perron.server("web/one")["status"], "up");
    assert_eq!(perron.server("web/one")["check"]["downs"], 0);

    let mut last = crowd.pop().expect("a hundred came");
    drop(crowd);
    assert_eq!(last.answer().status(), 200, "who waited is served once there is room");
    kept.send(GET);
    assert_eq!(kept.answer().status(), 200);
    is_served(&rig);
    assert_eq!(perron.server("web/one")["check"]["downs"], 0);
}

/// What clients send who want the program to grow, each kind in its own way; none reads an answer.
fn greedy(number: usize) -> String {
    match number % 4 {
        0 => format!("GET / HTTP/1.1\r\nHost: a\r\nX-A: {}", "a".repeat(31 * 1024)),
        1 => format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n{}", "b".repeat(8 * 1024)),
        2 => format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;{}", "x=y;".repeat(1000)),
        _ => "GET /large HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2000),
    }
}

#[test]
fn clients_who_want_it_to_grow_do_not_exhaust_its_memory() {
    const CROWD: usize = 240;
    let limit = lab::require!(MemoryLimit::new("greedy", (CROWD as u64 * BYSTANDER_KIB) << 10));
    let rig = lab::require!(rig("greedy"));
    let frontend = "timeouts = { header = \"60s\", idle = \"60s\" }";
    let perron = Relay { frontend, ..Relay::default() }.start(&rig);
    let over = Arc::new(AtomicBool::new(false));
    let ends = Arc::clone(&over);
    let large = format!("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{}", "x".repeat(1_000_000));
    let _server = BadServer::start(&rig.server, 80, move |wire| {
        while let Ok(head) = wire.request_head() {
            let sent = match head.start.as_str() {
                "GET / HTTP/1.1" => wire.try_send(OK),
                "GET /large HTTP/1.1" => wire.try_send(&large),
                _ => {
                    // A body is not read, for as long as the test goes on.
                    lab::eventually(SOON * 6, || ends.load(Ordering::SeqCst));
                    return;
                }
            };
            if sent.is_err() {
                return;
            }
        }
    });
    is_served(&rig);
    let pid = serving(&perron);
    limit.take(pid);
    reset_peak(&perron);
    let before = resident_kib(&perron);
    let mut crowd = connect_all(&rig, CROWD);
    for (number, client) in crowd.iter_mut().enumerate() {
        client.set_limit(Duration::from_millis(10));
        let _ = client.try_send(greedy(number));
    }
    await_connections(&perron, |open| open >= CROWD as u64 / 2);
    is_served(&rig);
    let grown = peak_kib(&perron).saturating_sub(before);
    assert!(grown < CROWD as u64 * BYSTANDER_KIB, "{grown} KiB for {CROWD} clients");
    assert_eq!(serving(&perron), pid, "the kernel had no reason to end it");
    over.store(true, Ordering::SeqCst);
    drop(crowd);
    await_connections(&perron, |open| open == 0);
    is_served(&rig);
}

#[test]
fn a_serve_that_the_kernel_ends_for_its_memory_is_started_again() {
    let limit = lab::require!(MemoryLimit::new("killed", 8 << 20));
    let rig = lab::require!(rig("out-of-memory"));
    let _server = BadServer::answering(&rig.server, 80, OK);
    let perron = Relay { frontend: "timeouts = { header = \"60s\" }", ..Relay::default() }.start(&rig);
    is_served(&rig);
    let pid = serving(&perron);
    limit.take(pid);
    // Heads that never become whole: 31 MiB of them.
    let mut crowd = connect_all(&rig, 1000);
    for client in &mut crowd {
        if client.try_send(greedy(0)).is_err() {
            break;
        }
    }
    wait_for(SOON * 3, "another process serves", || matches!(perron.serve_pids()[..], [other] if other != pid));
    is_served(&rig);
    let told = format!("serving process {pid} died: signal: 9 (SIGKILL); it is started again at once");
    assert!(perron.written().contains(&told), "{}", perron.written());
}

/// Lines of an access log that are whole.
fn lines(path: &Path) -> usize {
    let text = fs::read(path).unwrap_or_default();
    let is_whole = |line: &&[u8]| serde_json::from_slice::<serde_json::Value>(line).is_ok();
    text.split(|&byte| byte == b'\n').filter(is_whole).count()
}

fn ask_often(rig: &Rig, target: &str, count: usize) {
    let mut client = rig.client.connect(FRONT);
    for _ in 0..count {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(client.answer().status(), 200);
    }
}

fn log_lost(perron: &Perron) -> usize {
    perron.status()["process"]["log_lost"].as_u64().and_then(|lost| lost.try_into().ok()).unwrap_or(0)
}

fn with_log(path: &Path) -> String {
    format!("[process]\naccess-log = \"{}\"\n\n{}", path.display(), Relay::default().text())
}

#[test]
fn a_full_disk_costs_lines_of_the_log_and_no_request() {
    let rig = lab::require!(rig("full-disk"));
    let _server = BadServer::answering(&rig.server, 80, OK);
    let disk = rig.front.new_folder("disk");
    mount("lab", &disk, c"tmpfs", MountFlags::empty(), c"size=64k").expect("root may mount");
    let log = disk.join("access.log");
    let perron = Perron::start(&rig.front, &with_log(&log));
    let target = format!("/{}", "p".repeat(1000));
    ask_often(&rig, &target, 3);
    wait_for(SOON, "the first lines are written", || lines(&log) == 3);

    let mut filler = File::create(disk.join("filler")).expect("the disk is ours");
    while filler.write(&[b'x'; 4096]).is_ok() {}
    for asked in 1..=4 {
        // Batches of their own: each fails by itself.
        ask_often(&rig, &target, 10);
        wait_for(SOON, "each line is written or counted", || lines(&log) + log_lost(&perron) == 3 + asked * 10);
    }
    assert!(log_lost(&perron) >= 30, "{} lines fit on a full disk", 40 - log_lost(&perron));
    let complaints = perron.written().matches("the access log cannot be written").count();
    assert_eq!(complaints, 1, "{}", perron.written());

    filler.set_len(0).expect("the file is ours");
    let lost = log_lost(&perron);
    ask_often(&rig, &target, 5);
    wait_for(SOON, "lines are written again", || lines(&log) + lost == 48);
    assert_eq!(log_lost(&perron), lost);
}

#[test]
fn a_log_that_nobody_reads_costs_lines_and_no_request_and_can_be_opened_anew() {
    let rig = lab::require!(rig("unread-log"));
    let _server = BadServer::answering(&rig.server, 80, OK);
    let log = rig.front.new_folder("log").join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &log, Mode::from_raw_mode(0o644)).expect("the folder is ours");
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let reader = OpenOptions::new().read(true).custom_flags(flags).open(&log).expect("it is a fifo");
    let mut perron = Perron::start(&rig.front, &with_log(&log));
    let pid = serving(&perron);
    // Lines of 12 KiB: the limit of 4 MiB is soon reached.
    let target = format!("/{}", "p".repeat(12 * 1024));
    wait_for(SOON * 3, "lines are lost and counted", || {
        ask_often(&rig, &target, 100);
        log_lost(&perron) > 0
    });
    fs::rename(&log, log.with_extension("old")).expect("the folder is ours");
    perron.process().signal(Signal::USR1);
    wait_for(SOON, "the log is open anew", || perron.written().contains("the access log is open anew"));
    ask_often(&rig, "/", 1);
    assert!(log_lost(&perron) > 0, "the serving process answers though its writer hangs");
    // The writer is freed from what nobody reads.
    drop(reader);
    wait_for(SOON, "lines are written", || lines(&log) > 0);
    assert_eq!(serving(&perron), pid, "nothing of this is a reason to end it");
}
