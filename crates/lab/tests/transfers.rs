//! Files between clusters over mutual TLS: in parallel parts, over cuts at any place, in constant memory.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::{Authority, BadServer, Host, Lab, Output, Perron, Process, Skip, eventually, perron_binary, wait_for};

/// Where the files are.
const URL: &str = "https://10.0.0.2:1811/export";

/// What is transferred, in MiB: more than fits into any buffer, and several parts for each connection. The environment
/// may name more.
fn mebibytes() -> usize {
    std::env::var("LAB_TRANSFER_MIB").map_or(256, |text| text.parse().expect("LAB_TRANSFER_MIB is a number"))
}

/// How often a transfer is cut.
const CUTS: usize = 10;

/// What the program may use for a transfer of any size, in KiB.
const MEMORY_KIB: u64 = 64 * 1024;

/// How long a transfer may take on a machine with other work.
fn limit() -> Duration {
    Duration::from_secs(50 + mebibytes() as u64 / 10)
}

struct Rig {
    client: Host,
    front: Host,
    perron: Perron,
    root: PathBuf,
    /// Where transfers are described.
    offers: PathBuf,
    certificates: PathBuf,
    _lab: Lab,
}

fn rig(name: &str, files: &str) -> Result<Rig, Skip> {
    let lab = Lab::new(name)?;
    let client = lab.host("client", "10.0.0.1/24");
    let front = lab.host("front", "10.0.0.2/24");
    let certificates = front.new_folder("certificates");
    let authority = Authority::new(&certificates, "ca")?;
    let server = authority.server("server", &["10.0.0.2"]);
    authority.client("me", "/CN=node1.example.org");
    let root = front.new_folder("root");
    let offers = front.new_folder("offers");
    fs::set_permissions(&offers, std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("the folder is ours");
    let config = format!(
        "[frontend.node]\nbind = \"10.0.0.2:1811\"\ntls = {{ certificate = \"{}\", client-ca = \"{}\", \
         client-certificate = \"required\" }}\n[[frontend.node.route]]\npath = \"/export/\"\n\
         files = {{ root = \"{}\"{files} }}\n[[frontend.node.route]]\npath = \"/transfers/\"\n\
         files = {{ root = \"{}\", transfers = \"{}\" }}\n",
        server.display(),
        authority.certificate().display(),
        root.display(),
        root.display(),
        offers.display()
    );
    let perron = Perron::start(&front, &config);
    Ok(Rig { client, front, perron, root, offers, certificates, _lab: lab })
}

impl Rig {
    /// A command of the client's with its certificate.
    fn command(&self, arguments: &[&str]) -> Process {
        let program = perron_binary();
        let [ca, me] = ["ca.pem", "me.pem"].map(|name| self.certificates.join(name));
        let secure = ["--ca", text(&ca), "--cert", text(&me)];
        self.client.spawn(&[&[text(&program)][..], arguments, &secure].concat())
    }

    /// Cuts every connection between the two, and says whether there was one.
    fn cut(&self) -> bool {
        let cut = self.client.run(&["ss", "-H", "-K", "state", "established", "dst", "10.0.0.2"]);
        !cut.text().trim().is_empty()
    }

    /// Lets a transfer go on while it is cut at ten places, which are drawn anew each time, and says how much memory it
    /// has used at its end.
    fn cut_often(&self, process: &mut Process, moved: impl Fn() -> u64) -> u64 {
        let (mut cuts, mut peak) = (Vec::new(), 0);
        let begun = moved();
        while cuts.len() < CUTS {
            // All ten together are at most a little more than half of it.
            let way = ((mebibytes() as u64) << 20) / 20;
            let next = moved() + way / 10 + chance() % way;
            let is_there = eventually(limit(), || !process.is_running() || moved() >= next);
            assert!(is_there && process.is_running(), "it ended after the cuts {cuts:?}: {}", process.stderr());
            if self.cut() {
                cuts.push((moved() - begun) >> 20);
            }
        }
        println!("cut after {cuts:?} MiB of {}", mebibytes());
        let has_ended = eventually(limit(), || {
            peak = peak.max(peak_kib(process.id()));
            !process.is_running()
        });
        assert!(has_ended, "it goes on for ever");
        peak
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("plain")
}

/// Writes a file in which no two places are alike.
fn write(path: &Path, mebibytes: usize) {
    let mut file = File::create(path).expect("the folder is ours");
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut block = vec![0u8; 1 << 20];
    for _ in 0..mebibytes {
        for word in block.chunks_exact_mut(8) {
            // xorshift64: Marsaglia.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        file.write_all(&block).expect("there is room");
    }
}

/// Whether two files hold the same.
fn same(one: &Path, other: &Path) -> bool {
    let [mut one, mut other] = [one, other].map(|path| File::open(path).expect("it is there"));
    let (mut left, mut right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let read = one.read(&mut left).expect("it can be read");
        if other.read_exact(&mut right[..read]).is_err() || left[..read] != right[..read] {
            return false;
        }
        if read == 0 {
            return other.read(&mut right).is_ok_and(|rest| rest == 0);
        }
    }
}

/// A number that nobody knows before.
fn chance() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

/// The most memory that a process has used so far.
fn peak_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
}

/// What the command says in JSON.
fn said(output: Output) -> serde_json::Value {
    serde_json::from_str(&output.text()).expect("JSON")
}

#[test]
fn a_file_is_fetched_over_ten_cuts() {
    let rig = lab::require!(rig("transfers-import", ""));
    let (there, here) = (rig.root.join("disk.img"), rig.client.new_folder("here").join("disk.img"));
    write(&there, mebibytes());
    rig.front.limit_sending("1gbit");
    let arguments = ["import-data", &format!("{URL}/disk.img"), text(&here), "--json"];
    let mut command = rig.command(&arguments);
    let peak = rig.cut_often(&mut command, || rig.client.traffic().received);
    let serving: u64 = rig.perron.serve_pids().into_iter().map(peak_kib).max().expect("it serves");
    let said = said(command.output());
    assert!(same(&there, &here), "what came is what was sent: {said}");
    assert!(said["breaks"].as_u64() >= Some(CUTS as u64), "{said}");
    assert_eq!(said["bytes"], mebibytes() << 20);
    println!("{said}, at most {peak} KiB of memory in the command and {serving} KiB in the server");
    let is_constant = |kib| 0 < kib && kib < MEMORY_KIB;
    assert!(is_constant(peak) && is_constant(serving), "{peak} KiB and {serving} KiB in use");
    assert_eq!(fs::read_dir(here.parent().expect("a folder")).expect("it is there").count(), 1, "nothing else is left");
}

#[test]
fn an_import_that_was_killed_goes_on_where_it_was() {
    let rig = lab::require!(rig("transfers-killed", ""));
    let (there, here) = (rig.root.join("disk.img"), rig.client.new_folder("here").join("disk.img"));
    write(&there, mebibytes());
    rig.front.limit_sending("1gbit");
    let arguments = ["import-data", &format!("{URL}/disk.img"), text(&here), "--json", "--parallel", "2"];
    let mut first = rig.command(&arguments);
    let half = rig.client.traffic().received + ((mebibytes() as u64 / 2) << 20);
    wait_for(limit(), "half of it is there", || rig.client.traffic().received > half);
    first.kill();
    assert!(!here.exists());
    let before = rig.client.traffic().received;
    let said = said(rig.command(&arguments).output());
    let fetched = rig.client.traffic().received - before;
    assert!(same(&there, &here), "{said}");
    // What had come and was not yet on the disk is fetched again; on a busy disk that is much, and never all.
    assert!(fetched < (mebibytes() as u64) << 20, "{fetched} bytes were fetched again");
}

#[test]
fn a_file_that_changes_meanwhile_is_fetched_as_it_is_at_last() {
    let rig = lab::require!(rig("transfers-changed", ""));
    let (there, here) = (rig.root.join("disk.img"), rig.client.new_folder("here").join("disk.img"));
    write(&there, 128);
    rig.front.limit_sending("300mbit");
    let mut command = rig.command(&["import-data", &format!("{URL}/disk.img"), text(&here), "--parallel", "2"]);
    let begun = rig.client.traffic().received + (20 << 20);
    wait_for(limit(), "it has begun", || rig.client.traffic().received > begun || !command.is_running());
    let new = rig.root.join("new.img");
    write(&new, 40);
    fs::rename(&new, &there).expect("the folder is ours");
    let output = command.output();
    assert!(output.stderr.contains("it has changed at the server"), "{}", output.stderr);
    output.success();
    assert!(same(&there, &here));
}

#[test]
fn what_is_not_what_it_should_be_is_not_there() {
    let rig = lab::require!(rig("transfers-wrong", ""));
    let folder = rig.client.new_folder("here");
    let (there, here) = (rig.root.join("a"), folder.join("a"));
    fs::write(&there, "hello").expect("the folder is ours");
    let url = format!("{URL}/a");
    let right = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let wrong = rig.command(&["import-data", &url, text(&here), "--sha256", &right.replace('2', "3")]).output();
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.stderr.contains(right), "{}", wrong.stderr);
    assert_eq!(fs::read_dir(&folder).expect("it is there").count(), 0, "nothing is left");
    let said = said(rig.command(&["import-data", &url, text(&here), "--sha256", right, "--json"]).output());
    assert_eq!((said["sha256"].as_str(), said["verified"].as_bool()), (Some(right), Some(true)));
    assert_eq!(fs::read_to_string(&here).expect("it is there"), "hello");
    assert_eq!(rig.command(&["import-data", &url, "-"]).output().text(), "hello");

    let missing = rig.command(&["import-data", &format!("{URL}/b"), text(&folder.join("b"))]).output();
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.contains("404"), "{}", missing.stderr);
    assert_eq!(rig.command(&["import-data", "10.0.0.2/a", "x"]).output().code, Some(2));
}

#[test]
fn a_transfer_is_for_its_client_until_that_has_it() {
    let rig = lab::require!(rig("transfers-offered", ""));
    let [there, here] = [rig.root.join("disk.img"), rig.client.new_folder("here").join("disk.img")];
    write(&there, 70);
    let fingerprint = |name: &str| {
        let certificate = rig.certificates.join(format!("{name}.crt"));
        let said = rig.client.run(&["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", text(&certificate)]);
        said.text().trim().split('=').nth(1).expect("openssl says it").to_owned()
    };
    let offer = |id: &str, fingerprint: &str, sha256: &str| {
        let sha256 = sha256.split(' ').next().expect("digits");
        let client = format!("{{\"fingerprint\": \"{fingerprint}\"}}");
        let offer = format!("{{\"path\": \"disk.img\", \"sha256\": \"{sha256}\", \"client\": {client}}}");
        fs::write(rig.offers.join(format!("{id}.json")), offer).expect("the folder is ours");
    };
    let sum = rig.client.run(&["sha256sum", text(&there)]).text();
    offer("7", &fingerprint("me"), &sum);
    offer("8", &fingerprint("server"), &sum);
    offer("9", &fingerprint("me"), &sum.replace(['0', '1'], "2"));
    let import = |id: &str, more: &[&str]| {
        let url = format!("https://10.0.0.2:1811/transfers/{id}/contents");
        rig.command(&[&["import-data", &url, text(&here), "--done", "--json"][..], more].concat()).output()
    };
    let other = import("8", &[]);
    assert!(other.code == Some(1) && other.stderr.contains("403"), "{}", other.stderr);
    let wrong = import("9", &[]);
    assert_eq!(wrong.code, Some(1), "{}", wrong.stderr);
    assert!(!here.exists(), "it is not what its server says that it is");
    let said = said(import("7", &[]));
    assert_eq!(said["verified"], true, "the server's digest was compared");
    assert!(same(&there, &here));
    let left = ["7.done", "7.json", "8.json", "9.json"].map(|name| rig.offers.join(name).exists());
    assert_eq!(left, [true, false, true, true]);
    let over = import("7", &["--patience", "1s"]);
    assert!(over.code == Some(1) && over.stderr.contains("404"), "{}", over.stderr);
}

#[test]
fn who_shows_no_certificate_gets_nothing() {
    let rig = lab::require!(rig("transfers-nobody", ""));
    fs::write(rig.root.join("a"), "hello").expect("the folder is ours");
    let (program, ca) = (perron_binary(), rig.certificates.join("ca.pem"));
    let folder = rig.client.new_folder("here");
    let (url, here) = (format!("{URL}/a"), folder.join("a"));
    let command = [text(&program), "import-data", &url, text(&here), "--ca", text(&ca), "--patience", "1s"];
    let nobody = rig.client.spawn(&command).output();
    assert_eq!(nobody.code, Some(1), "{}", nobody.stderr);
    let machine = rig.client.spawn(&command[..4]).output();
    assert_eq!(machine.code, Some(1), "an authority of this machine signed it not: {}", machine.stderr);
}

#[test]
fn a_server_without_parts_is_read_at_once_and_anew_after_a_break() {
    let lab = lab::require!(Lab::new("transfers-plain"));
    let client = lab.host("client", "10.0.0.1/24");
    let server = lab.host("server", "10.0.0.3/24");
    let body = "0123456789".repeat(1000);
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n";
    let tries = std::sync::atomic::AtomicUsize::new(0);
    let sent = body.clone();
    let _plain = BadServer::start(&server, 80, move |wire| {
        while let Ok(request) = wire.request_head() {
            match request.start.split(' ').next() {
                Some("HEAD") => wire.send(format!("{head}\r\n")),
                _ if tries.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 => {
                    wire.send(format!("{head}\r\n{}", &sent[..7000]));
                    return;
                }
                _ => wire.send(format!("{head}\r\n{sent}")),
            }
        }
    });
    let here = client.new_folder("here").join("a");
    let output = client.spawn(&[text(&perron_binary()), "import-data", "http://10.0.0.3/a", text(&here)]).output();
    output.success();
    assert!(fs::read_to_string(&here).is_ok_and(|read| read == body));
}

#[test]
fn a_file_is_sent_over_ten_cuts() {
    let rig = lab::require!(rig("transfers-export", ", upload = true"));
    let here = rig.client.new_folder("here").join("disk.img");
    write(&here, mebibytes());
    fs::set_permissions(&rig.root, std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("the folder is ours");
    rig.client.limit_sending("1gbit");
    let mut command = rig.command(&["export", text(&here), &format!("{URL}/disk.img"), "--json"]);
    let peak = rig.cut_often(&mut command, || rig.client.traffic().sent);
    let serving: u64 = rig.perron.serve_pids().into_iter().map(peak_kib).max().expect("it serves");
    let said = said(command.output());
    assert!(same(&here, &rig.root.join("disk.img")), "what came is what was sent: {said}");
    assert!(said["breaks"].as_u64() >= Some(CUTS as u64), "{said}");
    assert_eq!((&said["bytes"], said["verified"].as_bool()), (&(mebibytes() << 20).into(), Some(true)));
    println!("{said}, at most {peak} KiB of memory in the command and {serving} KiB in the server");
    let is_constant = |kib| 0 < kib && kib < MEMORY_KIB;
    assert!(is_constant(peak) && is_constant(serving), "{peak} KiB and {serving} KiB in use");
    let piped = format!("printf hello | {} export - {URL}/piped", text(&perron_binary()));
    let [ca, me] = ["ca.pem", "me.pem"].map(|name| rig.certificates.join(name));
    let secure = format!("{piped} --ca {} --cert {}", text(&ca), text(&me));
    rig.client.run(&["sh", "-c", &secure]).success();
    assert_eq!(fs::read_to_string(rig.root.join("piped")).expect("it is there"), "hello");
}
