//! Two directors whose addresses move: what the service does with them when it is stopped, reloaded, upgraded, killed,
//! frozen, and told by its operators.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use lab::{Host, Lab, Perron, Process, SOON, perron_binary, wait_for};
use rustix::process::Signal;
use serde_json::Value;

/// A director's configuration: one frontend on all addresses, and vips `a` and `b` with these priorities.
fn config(priorities: [u8; 2], interval: &str, more: &str) -> String {
    let [a, b] = priorities;
    let vip = |name: &str, number: u8, priority: u8| {
        format!(
            "[vip.{name}]\ninterface = \"eth0\"\nrouter-id = {number}\npriority = {priority}\n\
             advert-interval = \"{interval}\"\naddresses = \"10.0.0.{}/24\"\n{more}\n",
            50 + number
        )
    };
    format!(
        "[frontend.web]\nbind = \"0.0.0.0:80\"\nrespond = {{ body = \"here\" }}\n{}{}",
        vip("a", 1, a),
        vip("b", 2, b)
    )
}

const A: &str = "10.0.0.51";
const B: &str = "10.0.0.52";

/// Long between adverts: three and a half of them pass before another director takes over.
const SLOW: &str = "1s";
const FAST: &str = "100ms";

/// Two directors that run.
struct Pair {
    /// Before the lab, which takes their namespaces away.
    one: Perron,
    other: Perron,
    hosts: [Host; 2],
    client: Host,
    _lab: Lab,
}

impl Pair {
    /// `a` is at the first director, `b` at the other.
    fn start(lab: Lab, interval: &str, more: &str) -> Pair {
        let client = lab.host("client", "10.0.0.9/24");
        let hosts = [lab.host("one", "10.0.0.1/24"), lab.host("other", "10.0.0.2/24")];
        let one = Perron::start(&hosts[0], &config([200, 100], interval, more));
        let other = Perron::start(&hosts[1], &config([100, 200], interval, more));
        let pair = Pair { one, other, hosts, client, _lab: lab };
        for (perron, vip, state) in [
            (&pair.one, "a", "active"),
            (&pair.one, "b", "backup"),
            (&pair.other, "a", "backup"),
            (&pair.other, "b", "active"),
        ] {
            perron.wait_for_vip(vip, state);
        }
        wait_for(SOON, "each director has one address", || {
            has(&pair.hosts[0], A) && !has(&pair.hosts[0], B) && has(&pair.hosts[1], B) && !has(&pair.hosts[1], A)
        });
        pair
    }

    /// So many more adverts have been heard by `hearer` for this vip: whatever had to happen by then has.
    fn wait_for_adverts(hearer: &Perron, vip: &str, more: u64) {
        let heard = || hearer.vip(vip)["adverts_received"].as_u64().expect("a count");
        let before = heard();
        wait_for(3 * SOON, "adverts are heard", || heard() >= before + more);
    }
}

/// Whether the host has the address.
fn has(host: &Host, address: &str) -> bool {
    host.run(&["ip", "-o", "address", "show"]).text().contains(&format!(" {address}/"))
}

fn became_active(perron: &Perron, vip: &str) -> u64 {
    perron.vip(vip)["became_active"].as_u64().expect("a count")
}

/// Sees every address that goes.
struct Monitor {
    host: Host,
    process: Process,
}

impl Monitor {
    fn start(host: &Host) -> Monitor {
        let monitor = Monitor { host: host.clone(), process: host.spawn(&["ip", "-o", "monitor", "address"]) };
        monitor.flush();
        monitor
    }

    /// All that has happened until now is written.
    fn flush(&self) {
        let seen = |what: &str| self.process.stdout().matches(what).count();
        let before = seen("Deleted");
        wait_for(SOON, "the monitor sees an address go", || {
            self.host.run(&["ip", "address", "add", "192.0.2.1/32", "dev", "lo"]).success();
            self.host.run(&["ip", "address", "del", "192.0.2.1/32", "dev", "lo"]).success();
            seen("Deleted") > before
        });
    }

    /// Whether this address has gone.
    fn saw_go(&self, address: &str) -> bool {
        self.flush();
        self.process.stdout().lines().any(|line| line.contains("Deleted") && line.contains(&format!(" {address}/")))
    }
}

#[test]
fn each_of_two_directors_has_one_address_and_one_alone_has_both() {
    let lab = lab::require!(Lab::new("directors"));
    let mut pair = Pair::start(lab, FAST, "");
    for address in [A, B] {
        assert_eq!(pair.client.curl(&[&format!("http://{address}/")]).text(), "here");
    }
    assert_eq!(pair.one.vip("b")["active"], serde_json::json!(["10.0.0.2", 200]));
    assert_eq!(pair.one.status()["vips"]["vips"][0]["name"], "a");
    pair.one.stop();
    assert!(!has(&pair.hosts[0], A), "a director that has stopped has no address");
    pair.other.wait_for_vip("a", "active");
    wait_for(SOON, "the other has both", || has(&pair.hosts[1], A) && has(&pair.hosts[1], B));
    assert_eq!(pair.client.curl(&[&format!("http://{A}/")]).text(), "here");
    let events = pair.other.ask(&["events", "--json"]).text();
    let kinds: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect();
    let moved =
        |kind: &str, subject: &str| kinds.iter().any(|event| event["kind"] == kind && event["subject"] == subject);
    assert!(moved("vip-active", "a") && moved("vip-active", "b") && moved("vip-backup", "a"), "{events}");
}

#[test]
fn a_network_process_that_is_killed_is_not_noticed_by_the_other_director() {
    let lab = lab::require!(Lab::new("directors-killed"));
    let pair = Pair::start(lab, SLOW, "");
    let (pids, taken) = (pair.one.network_pids(), became_active(&pair.other, "a"));
    let monitor = Monitor::start(&pair.hosts[0]);
    pair.one.signal(&pids, Signal::KILL);
    wait_for(SOON, "another process moves the addresses", || {
        let now = pair.one.network_pids();
        now.len() == 1 && now != pids
    });
    pair.one.wait_for_vip("a", "active");
    Pair::wait_for_adverts(&pair.other, "a", 4);
    assert_eq!(became_active(&pair.other, "a"), taken);
    assert!(!monitor.saw_go(A) && has(&pair.hosts[0], A));
    assert!(pair.one.written().contains("died"), "{}", pair.one.written());
}

#[test]
fn a_serving_process_that_is_back_soon_keeps_the_address_and_a_frozen_one_loses_it() {
    let lab = lab::require!(Lab::new("directors-serve"));
    let pair = Pair::start(lab, SLOW, "track = [{ frontend = \"web\" }]");
    let (pids, taken) = (pair.one.serve_pids(), became_active(&pair.other, "a"));
    pair.one.signal_serve(Signal::KILL);
    wait_for(SOON, "another process serves", || {
        let now = pair.one.serve_pids();
        now.len() == 1 && now != pids
    });
    Pair::wait_for_adverts(&pair.other, "a", 4);
    assert_eq!((became_active(&pair.other, "a"), has(&pair.hosts[0], A)), (taken, true));
    pair.one.signal_serve(Signal::STOP);
    pair.other.wait_for_vip("a", "active");
    wait_for(SOON, "the address has moved", || has(&pair.hosts[1], A) && !has(&pair.hosts[0], A));
    // Its supervisor takes it for hung after a while; the next one serves, and the address comes back.
    wait_for(3 * SOON, "the address is back", || has(&pair.hosts[0], A) && !has(&pair.hosts[1], A));
}

#[test]
fn a_reload_keeps_roles_and_addresses_and_a_refused_one_changes_nothing() {
    let lab = lab::require!(Lab::new("directors-reload"));
    let pair = Pair::start(lab, FAST, "");
    let (pids, taken) = (pair.one.network_pids(), became_active(&pair.other, "a"));
    let monitor = Monitor::start(&pair.hosts[0]);
    let wrong = config([200, 100], "3s", "").replace("10.0.0.51/24", "10.0.0.300/24");
    assert!(pair.one.reload(&wrong).is_err());
    assert_eq!(pair.one.vip("a")["advert_interval_ms"], 100);
    let third = "[vip.c]\ninterface = \"eth0\"\nrouter-id = 3\npriority = 50\naddresses = \"10.0.0.53/24\"\n";
    pair.one.reload(&(config([190, 100], FAST, "") + third)).expect("the text is right");
    pair.one.wait_for_vip("c", "active");
    wait_for(SOON, "the new address is there", || has(&pair.hosts[0], "10.0.0.53"));
    assert_eq!(pair.one.vip("a")["base_priority"], 190);
    pair.one.reload(&config([200, 100], FAST, "")).expect("the text is right");
    wait_for(SOON, "what is not configured any more has gone", || !has(&pair.hosts[0], "10.0.0.53"));
    Pair::wait_for_adverts(&pair.other, "a", 10);
    assert_eq!((became_active(&pair.other, "a"), became_active(&pair.one, "a")), (taken, 1));
    assert!(monitor.saw_go("10.0.0.53") && !monitor.saw_go(A));
    assert_eq!(pair.one.network_pids(), pids, "a reload needs no other process");
}

#[test]
fn the_process_goes_with_the_last_vip_and_comes_with_the_first() {
    let lab = lab::require!(Lab::new("directors-none"));
    let one = lab.host("one", "10.0.0.1/24");
    let without = "[frontend.web]\nbind = \"0.0.0.0:80\"\nrespond = { body = \"here\" }\n";
    let perron = Perron::start(&one, without);
    assert!(perron.network_pids().is_empty());
    assert_eq!(perron.status()["vips"], Value::Null);
    assert!(perron.ask(&["vip", "list"]).text().contains("no addresses move here"));
    assert_eq!(perron.ask(&["vip", "give-up"]).code, Some(2));
    perron.reload(&config([200, 100], FAST, "")).expect("the text is right");
    perron.wait_for_vip("a", "active");
    wait_for(SOON, "the address is there", || has(&one, A));
    perron.reload(without).expect("the text is right");
    wait_for(SOON, "nothing moves any more", || perron.network_pids().is_empty() && !has(&one, A));
    let left_out =
        Perron::start_with(&lab.host("other", "10.0.0.2/24"), &config([1, 1], FAST, ""), &["--without", "vip"]);
    assert!(left_out.network_pids().is_empty());
}

#[test]
fn an_upgrade_keeps_roles_holds_and_addresses() {
    let lab = lab::require!(Lab::new("directors-upgrade"));
    let pair = Pair::start(lab, SLOW, "");
    let held = pair.other.ask(&["vip", "hold", "b"]);
    assert_eq!((held.code, held.text().as_str()), (Some(0), "b is held: it is not here until it is resumed\n"));
    pair.one.wait_for_vip("b", "active");
    let (pids, taken) = (pair.one.network_pids(), became_active(&pair.other, "a"));
    let monitor = Monitor::start(&pair.hosts[0]);
    let program = perron_binary();
    for perron in [&pair.one, &pair.other] {
        perron.ask(&["upgrade", "--binary", program.to_str().expect("plain")]).success();
        wait_for(SOON, "one process moves the addresses", || perron.network_pids().len() == 1);
    }
    wait_for(SOON, "it is another one", || pair.one.network_pids() != pids && pair.one.network_pids().len() == 1);
    pair.one.wait_for_vip("a", "active");
    Pair::wait_for_adverts(&pair.other, "a", 4);
    assert_eq!(became_active(&pair.other, "a"), taken);
    assert!(!monitor.saw_go(A) && !monitor.saw_go(B));
    assert_eq!(pair.other.vip("b")["hold"], "held");
    pair.other.ask(&["vip", "resume", "b"]).success();
    pair.other.wait_for_vip("b", "active");
}

#[test]
fn an_operator_gives_an_address_away_holds_it_and_lets_it_move_again() {
    let lab = lab::require!(Lab::new("directors-orders"));
    let pair = Pair::start(lab, FAST, "");
    let given = pair.one.ask(&["vip", "give-up", "a"]);
    assert_eq!((given.code, given.text().as_str()), (Some(0), "a is given away: 10.0.0.2 has it, with priority 100\n"));
    wait_for(SOON, "the address has moved", || has(&pair.hosts[1], A) && !has(&pair.hosts[0], A));
    let unknown = pair.one.ask(&["vip", "hold", "nobody"]);
    assert_eq!((unknown.code, unknown.stderr.trim()), (Some(2), "no vip is called nobody; there are a, b"));
    // What was said outlives a reload and both processes.
    pair.one.reload(&config([210, 100], FAST, "")).expect("the text is right");
    assert_eq!(pair.one.vip("a")["hold"], "given_up");
    let pids = pair.one.network_pids();
    pair.one.signal(&pids, Signal::KILL);
    wait_for(SOON, "another process moves the addresses", || {
        !pair.one.network_pids().is_empty() && pair.one.network_pids() != pids
    });
    pair.one.wait_for_vip("a", "backup");
    assert_eq!(pair.one.vip("a")["hold"], "given_up");
    assert_eq!(pair.one.ask(&["vip", "resume"]).text(), "all vips move as configured\n");
    pair.one.wait_for_vip("a", "active");
    wait_for(SOON, "the address is back", || has(&pair.hosts[0], A) && !has(&pair.hosts[1], A));
    let shown = pair.one.ask(&["status"]).text();
    assert!(shown.contains("vrid 1") && shown.contains("10.0.0.51/24"), "{shown}");
}

#[test]
fn addresses_go_with_the_supervisor_also_when_it_is_killed() {
    let lab = lab::require!(Lab::new("directors-supervisor"));
    let mut pair = Pair::start(lab, FAST, "");
    pair.one.process().kill();
    wait_for(SOON, "the address has moved", || !has(&pair.hosts[0], A) && has(&pair.hosts[1], A));
}

/// The values of a line of a process's status.
fn proc_status(pid: u32, name: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}:"))).unwrap_or_default();
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn the_network_process_is_nobody_with_few_capabilities_and_serve_has_none() {
    let lab = lab::require!(Lab::new("directors-privileges"));
    let one = lab.host("one", "10.0.0.1/24");
    let perron = Perron::start(&one, &config([200, 100], FAST, ""));
    perron.wait_for_vip("a", "active");
    let [pid] = perron.network_pids()[..] else { panic!("one process moves the addresses") };
    assert_eq!(proc_status(pid, "Uid"), ["65534"; 4]);
    assert!(!proc_status(pid, "Groups").contains(&"0".to_owned()));
    let held = u64::from_str_radix(&proc_status(std::process::id(), "CapEff")[0], 16).expect("hexadecimal");
    // CAP_NET_ADMIN is 12, CAP_NET_RAW 13. Where limits cannot be lifted (CAP_SYS_RESOURCE is 24) it cannot be punctual
    // without CAP_IPC_LOCK and CAP_SYS_NICE, 14 and 23.
    let kept = if held & 1 << 24 == 0 { "0000000000807000" } else { "0000000000003000" };
    for (set, expected) in [
        ("CapPrm", kept),
        ("CapEff", kept),
        ("CapInh", "0000000000000000"),
        ("CapAmb", "0000000000000000"),
        ("CapBnd", "0000000000000000"),
    ] {
        assert_eq!(proc_status(pid, set), [expected], "{set}");
    }
    assert_eq!(proc_status(pid, "NoNewPrivs"), ["1"]);
    for task in fs::read_dir(format!("/proc/{pid}/task")).expect("it runs") {
        let status = task.expect("it runs").path().join("status");
        assert!(fs::read_to_string(status).expect("it runs").contains(&format!("CapEff:\t{kept}\n")));
    }
    for pid in perron.serve_pids() {
        assert_eq!(proc_status(pid, "CapPrm"), ["0000000000000000"]);
    }
}

#[test]
fn without_the_capabilities_the_one_that_is_missing_is_named() {
    let lab = lab::require!(Lab::new("directors-unprivileged"));
    lab::require!(lab::program("setpriv"));
    let one = lab.host("one", "10.0.0.1/24");
    let folder = one.new_folder("home");
    let (path, control) = (folder.join("perron.toml"), folder.join("control.sock"));
    fs::write(&path, config([200, 100], FAST, "")).expect("the folder is ours");
    let binary = perron_binary();
    let [binary, path, control] = [&binary, &path, &control].map(|path| path.to_str().expect("plain"));
    let run = [binary, "run", "-c", path, "--control", control];
    let refused = |without: &str| {
        let set = format!("--bounding-set=-{without}");
        let output = one.run(&[&["setpriv", &set][..], &run].concat());
        assert_eq!(output.code, Some(1), "{}", output.stderr);
        output.stderr
    };
    let words = refused("net_raw");
    assert!(words.contains("needs CAP_NET_RAW, which"), "{words}");
    let words = refused("net_admin");
    assert!(words.contains("needs CAP_NET_ADMIN, which"), "{words}");
}

#[test]
fn programs_find_out_and_are_told_in_order() {
    let lab = lab::require!(Lab::new("directors-programs"));
    let one = lab.host("one", "10.0.0.1/24");
    let folder = one.new_folder("home");
    let [flag, told, program, fifo] = ["flag", "told", "tell", "fifo"].map(|name| folder.join(name));
    let [flag, told, program, fifo] = [&flag, &told, &program, &fifo].map(|path| path.to_str().expect("plain"));
    fs::write(program, format!("#!/bin/sh\necho \"$@\" >> {told}\n")).expect("the folder is ours");
    fs::write(flag, "").expect("the folder is ours");
    let more = format!(
        "track = [{{ script = [\"/bin/test\", \"-e\", \"{flag}\"], interval = \"100ms\", weight = -60 }}]\n\
         notify = {{ any = [\"{program}\"], user = \"root\" }}"
    );
    let text = config([200, 100], FAST, &more)
        + &format!("[process]\nnotify-fifo = \"{fifo}\"\n[vip-group.both]\nmembers = [\"a\", \"b\"]\n");
    // Anybody could change it.
    let executable = |mode| fs::set_permissions(program, PermissionsExt::from_mode(mode)).expect("it is ours");
    executable(0o777);
    let path = folder.join("perron.toml");
    fs::write(&path, &text).expect("the folder is ours");
    let binary = perron_binary();
    let refused =
        one.run(&[binary.to_str().expect("plain"), "run", "-c", path.to_str().expect("plain"), "--control", told]);
    assert!(refused.code == Some(2) && refused.stderr.contains(program), "{}", refused.stderr);
    executable(0o755);
    let mut perron = Perron::start(&one, &text);
    perron.wait_for_vip("b", "active");
    let mut reader = one.spawn(&["cat", fifo]);
    fs::remove_file(flag).expect("it is there");
    wait_for(SOON, "the priority falls", || perron.vip("a")["priority"] == 140);
    assert!(perron.ask(&["events"]).text().contains("is not well"));
    perron.stop();
    let lines = fs::read_to_string(told).expect("programs were told");
    let of = |word: &str| lines.lines().filter(|line| line.starts_with(word)).collect::<Vec<_>>();
    assert_eq!(of("INSTANCE a "), ["INSTANCE a BACKUP 200", "INSTANCE a MASTER 200", "INSTANCE a STOP 140"], "{lines}");
    let of_group: Vec<&str> = of("GROUP both ").iter().map(|line| line.split(' ').nth(2).expect("a state")).collect();
    assert_eq!(of_group, Vec::<&str>::new(), "the group's programs are its own: {lines}");
    wait_for(SOON, "the FIFO had the lines", || reader.stdout().contains("INSTANCE \"a\" STOP 140\n"));
    assert!(reader.stdout().contains("GROUP \"both\" MASTER"), "{}", reader.stdout());
    reader.kill();
}
