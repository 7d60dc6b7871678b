//! `perron capture` beside a pair of keepalived: what it says of their failover, and what tshark finds in the file.

use std::fs;

use lab::{Host, Lab, Process, SOON, perron_binary, wait_for};
use rustix::process::Signal;

/// A keepalived of virtual router 51, version 3, an advert each 100 ms, which has 10.0.0.9.
fn keepalived(host: &Host, priority: u8) -> Result<Process, lab::Skip> {
    let program = lab::program("keepalived")?;
    let folder = host.new_folder("keepalived");
    let text = format!(
        "global_defs {{\n router_id {name}\n vrrp_version 3\n}}\n\
         vrrp_instance V {{\n interface eth0\n virtual_router_id 51\n priority {priority}\n advert_int 0.1\n \
         state BACKUP\n virtual_ipaddress {{\n  10.0.0.9/32\n }}\n}}\n",
        name = host.name()
    );
    let config = folder.join("keepalived.conf");
    fs::write(&config, text).expect("the folder is ours");
    let path = |file: &str| folder.join(file).to_string_lossy().into_owned();
    let (pid, vrrp_pid) = (path("pid"), path("vrrp.pid"));
    Ok(host.spawn(&[
        &program.to_string_lossy(),
        "-n",
        "-l",
        "-P",
        "-f",
        &config.to_string_lossy(),
        "-p",
        &pid,
        "-r",
        &vrrp_pid,
    ]))
}

/// RFC 9568 §6.1 by hand: priority 100 waits 3 × 100 ms and (256 - 100) / 256 × 100 ms.
#[test]
fn a_failover_is_recorded_and_tshark_shows_what_it_means() {
    let lab = lab::require!(Lab::new("capture"));
    let tshark = lab::require!(lab::program("tshark"));
    let watcher = lab.host("watcher", "10.0.0.1/24");
    let (first, second) = (lab.host("first", "10.0.0.2/24"), lab.host("second", "10.0.0.3/24"));
    let file = watcher.new_folder("capture").join("failover.pcapng");
    let file = file.to_string_lossy().into_owned();
    let perron = perron_binary();
    let perron = perron.to_string_lossy();
    let mut capture = watcher.spawn(&[&perron, "capture", "-i", "eth0", "-w", &file, "--vip", "10.0.0.9", "--json"]);
    wait_for(SOON, "it records", || capture.stderr().contains("recording from eth0"));

    let says = |capture: &Process, what: &str| capture.stdout().contains(what);
    let active = lab::require!(keepalived(&first, 150));
    wait_for(SOON, "the first is active", || says(&capture, "10.0.0.2 (priority 150) is active for 10.0.0.9"));
    let backup = lab::require!(keepalived(&second, 100));
    wait_for(SOON, "the second listens", || backup.stderr().contains("BACKUP") || backup.stdout().contains("BACKUP"));

    first.link_down();
    let up = "3 × 100 ms + skew 60.938 ms is up; 10.0.0.3 (priority 100) takes over";
    wait_for(SOON, "the second takes over", || says(&capture, up));
    assert!(says(&capture, "second advert of 10.0.0.2 missed"), "{}", capture.stdout());
    wait_for(SOON, "the address is announced", || says(&capture, "gratuitous ARP: 10.0.0.9 is at "));
    first.link_up();
    wait_for(SOON, "the first takes the address back", || {
        says(&capture, "10.0.0.2 (priority 150) takes over from 10.0.0.3 (priority 100), which is lower")
            || says(&capture, "10.0.0.2 stays active")
            || says(&capture, "10.0.0.3 gives way when it hears this")
    });
    active.signal(Signal::TERM);
    wait_for(SOON, "the first leaves", || says(&capture, "priority 0: 10.0.0.2 leaves"));

    capture.signal(Signal::TERM);
    let ended = capture.wait(SOON);
    assert!(ended.success(), "{}", capture.stderr());
    assert!(capture.stderr().contains("with a comment"), "{}", capture.stderr());

    let fields = ["-r", &file, "-Y", "frame.comment", "-T", "fields", "-e", "frame.number", "-e", "frame.comment"];
    let shown = watcher.run(&[&[&*tshark.to_string_lossy()][..], &fields].concat());
    assert!(!shown.stderr.contains("damaged") && !shown.stderr.contains("cut short"), "{}", shown.stderr);
    let comments = shown.text();
    for said in [up, "priority 0: 10.0.0.2 leaves", "gratuitous ARP: 10.0.0.9 is at "] {
        assert!(comments.contains(said), "no comment says: {said}\n{comments}");
    }
    let malformed = watcher.run(&[&*tshark.to_string_lossy(), "-r", &file, "-Y", "_ws.malformed"]).text();
    assert_eq!(malformed, "");

    // The file says the same when it is read again.
    let read = watcher.run(&[&perron, "capture", "--read", &file]).text();
    assert!(read.contains(up), "{read}");
}

/// The kernel's filter lets through what is asked for, and no more.
#[test]
fn only_what_is_asked_for_is_recorded() {
    let lab = lab::require!(Lab::new("capture-filter"));
    let (client, server) = (lab.host("client", "10.0.0.1/24"), lab.host("server", "10.0.0.2/24"));
    client.add_address("fd00::1/64");
    server.add_address("fd00::2/64");
    let listeners = [server.listen(80), server.listen(81)];
    let perron = perron_binary();
    let perron = perron.to_string_lossy();
    let arguments = ["capture", "-i", "eth0", "--json", "--include", "checks,dns"];
    let checks = ["--check", "10.0.0.2:80", "--check", "[fd00::2]:80", "--check", "10.0.0.2:9"];
    let mut capture = client.spawn(&[&[&*perron][..], &arguments, &checks].concat());
    wait_for(SOON, "it records", || capture.stderr().contains("recording from eth0"));
    for to in ["10.0.0.2:81", "10.0.0.2:80", "[fd00::2]:81", "[fd00::2]:80"] {
        drop(client.connect(to));
    }
    assert!(client.try_connect("10.0.0.2:9").is_err());
    client.in_namespace(|| {
        let socket = std::net::UdpSocket::bind("10.0.0.1:0").expect("the address is ours");
        let question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03web\x07cluster\x00\x00\x01\x00\x01";
        socket.send_to(question, "10.0.0.2:53").expect("it goes out");
        socket.send_to(question, "10.0.0.2:54").expect("it goes out");
    });
    let refused = "10.0.0.2:9 refuses the connection of 10.0.0.1:";
    wait_for(SOON, "a refusal is seen", || capture.stdout().contains(refused));
    capture.signal(Signal::INT);
    assert!(capture.wait(SOON).success(), "{}", capture.stderr());
    assert!(!capture.stdout().contains(":81"), "{}", capture.stdout());
    drop(listeners);
}

/// Reasons that an operator meets.
#[test]
fn what_cannot_be_captured_is_said() {
    let lab = lab::require!(Lab::new("capture-refusals"));
    let here = lab.host("here", "10.0.0.1/24");
    let perron = perron_binary();
    let perron = perron.to_string_lossy();
    let run = |arguments: &[&str]| here.run(&[&[&*perron, "capture"][..], arguments].concat());
    let missing = run(&["-i", "eth7"]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.contains("there is no interface eth7"), "{}", missing.stderr);
    let file = here.new_folder("files").join("none.pcap");
    fs::write(&file, "no capture").expect("the folder is ours");
    let file = file.to_string_lossy();
    let none = run(&["--read", &file]);
    assert!(none.stderr.contains("it is no capture: neither pcap nor pcapng"), "{}", none.stderr);
    let same = run(&["--read", &file, "-w", &file]);
    assert!(same.stderr.contains("is the file that is read: write another"), "{}", same.stderr);
    assert_eq!(fs::read(&*file).expect("it is there"), b"no capture");
    assert_eq!(run(&["--router-id", "0"]).code, Some(2));
    assert_eq!(run(&["--read", &file, "-i", "eth0"]).code, Some(2));
    let over = run(&["-i", "eth0", "--include", "vrrp", "--duration", "50ms"]);
    assert!(over.stderr.contains("0 packets, 0 with a comment"), "{}", over.stderr);
    over.success();
}

/// A capture of frames of Ethernet, one each second (pcap).
fn pcap(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1] {
        file.extend(u32::to_le_bytes(word));
    }
    for (second, frame) in (1_700_000_000_u32..).zip(frames) {
        let length = u32::try_from(frame.len()).expect("it is short");
        for word in [second, 0, length, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    file
}

/// The beginning of a connection to this server, port 8080, or its refusal.
fn segment(server: u8, refused: bool) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00];
    frame.extend([0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0]);
    let (client, server) = ([10, 0, 0, 1, 0xc0, 0x00], [10, 0, 0, server, 0x1f, 0x90]);
    let (from, to) = if refused { (server, client) } else { (client, server) };
    frame.extend_from_slice(&[&from[..4], &to[..4], &from[4..], &to[4..]].concat());
    // RST and ACK, or SYN.
    let flags = if refused { 0x14 } else { 0x02 };
    frame.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    frame
}

const CHECKED: &str = "
[frontend.web]
bind = \"127.0.0.1:8099\"
backend = \"web\"

[backend.web]
check = { type = \"tcp\", interval = \"2s\" }

[[backend.web.server]]
name = \"one\"
address = \"10.0.0.5:8080\"
";

#[test]
fn servers_of_a_configuration_are_told_of_and_so_many_packets_are_enough() {
    let lab = lab::require!(Lab::new("capture-config"));
    let here = lab.host("here", "10.0.0.1/24");
    let folder = here.new_folder("files");
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let (file, config, out) = (path("checks.pcap"), path("service.toml"), path("some.pcapng"));
    let frames = [segment(6, false), segment(6, true), segment(5, false), segment(5, true)];
    fs::write(&file, pcap(&frames)).expect("the folder is ours");
    fs::write(&config, CHECKED).expect("the folder is ours");
    let perron = perron_binary();
    let perron = perron.to_string_lossy();
    let run = |more: &[&str]| {
        let ran = here.run(&[&[&*perron, "capture", "--read", &file, "--include", "checks"][..], more].concat());
        let summary = ran.stderr.clone();
        (ran.text(), summary)
    };
    let refused = "10.0.0.5:8080 refuses the connection of 10.0.0.1:49152";
    let (told, summary) = run(&["--config", &config]);
    assert!(told.contains(refused) && !told.contains("10.0.0.6"), "{told}");
    assert!(summary.contains("2 packets"), "{summary}");
    let (told, summary) = run(&["--config", &config, "--count", "1", "-w", &out]);
    assert!(!told.contains(refused), "{told}");
    assert!(summary.contains("1 packets"), "{summary}");
    let (told, summary) = run(&[]);
    assert!(told.is_empty() && summary.contains("0 packets"), "{told}{summary}");
    fs::write(&config, "[frontend.web]\nlisten = 7\n").expect("the folder is ours");
    let wrong = here.run(&[&*perron, "capture", "--read", &file, "--config", &config]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.stderr);
}
