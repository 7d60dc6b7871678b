//! Files taken in: from curl and from raw clients, whole, cut and gone on with, onto disks that are full or hang.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lab::{End, Host, HungMount, Lab, Perron, Skip, Wire, wait_for};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

const FRONT: &str = "10.0.0.2:8080";
const URL: &str = "http://10.0.0.2:8080";

/// Bodies that one worker takes for one handler at once.
const INTAKES_MAX: usize = 32;

struct Site {
    client: Host,
    front: Host,
    root: PathBuf,
    perron: Perron,
    text: String,
    _lab: Lab,
}

/// A folder that everybody may write to, taking files in as `more` says.
fn site(name: &str, more: &str) -> Result<Site, Skip> {
    let lab = Lab::new(name)?;
    let front = lab.host("front", "10.0.0.2/24");
    let root = open_folder(&front, "taken");
    site_at(lab, front, root, more)
}

fn site_at(lab: Lab, front: Host, root: PathBuf, more: &str) -> Result<Site, Skip> {
    let client = lab.host("client", "10.0.0.1/24");
    let text = format!(
        "process.workers = 1\n[frontend.files]\nbind = \"{FRONT}\"\n\
         files = {{ root = \"{}\", upload = true{more} }}\n",
        root.display()
    );
    let perron = Perron::start(&front, &text);
    Ok(Site { client, front, root, perron, text, _lab: lab })
}

fn open_folder(host: &Host, label: &str) -> PathBuf {
    let folder = host.new_folder(label);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("the folder is ours");
    folder
}

/// A disk with room for so much, gone when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new(host: &Host, size: &str) -> Result<SmallDisk, Skip> {
        let folder = host.new_folder("small");
        let options = std::ffi::CString::new(format!("size={size},mode=0777")).expect("no zero byte is in it");
        mount("small", &folder, "tmpfs", MountFlags::NODEV, options.as_c_str())
            .map_err(|error| Skip::new(format!("a tmpfs is refused: {error}")))?;
        Ok(SmallDisk(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

/// Bytes of which no two stretches are alike.
fn content(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

impl Site {
    /// curl's status, head and the answer's body.
    fn curl(&self, path: &str, arguments: &[&str]) -> (u16, String) {
        let url = format!("{URL}{path}");
        let text = self.client.curl(&[arguments, &["-i", &url]].concat()).text();
        let last = text.rfind("HTTP/1.1 ").map_or("", |at| &text[at..]);
        (last.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0), text)
    }

    /// A file of the client's.
    fn source(&self, bytes: &[u8]) -> String {
        let path = self.client.new_folder("source").join("file");
        fs::write(&path, bytes).expect("the folder is ours");
        path.to_str().expect("plain").to_owned()
    }

    fn wire(&self) -> Wire {
        self.client.connect(FRONT)
    }

    /// The offset of an upload; `None`: there is none of this address.
    fn offset(&self, address: &str) -> Option<usize> {
        let mut wire = self.wire();
        wire.send(format!("HEAD {address} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let answer = wire.answer_to_head();
        assert!([204, 404].contains(&answer.status()), "{}", answer.start);
        answer.field("upload-offset").map(|offset| offset.parse().expect("a number"))
    }

    /// Begins an upload of `/big` and sends `part` of `length` bytes; its address.
    fn send_part(&self, part: &[u8], length: usize) -> (Wire, String) {
        let mut wire = self.wire();
        wire.send(format!("PUT /big HTTP/1.1\r\nHost: a\r\nUpload-Complete: ?1\r\nContent-Length: {length}\r\n\r\n"));
        let interim = wire.read_until("\r\n\r\n");
        assert!(interim.starts_with("HTTP/1.1 104 "), "{interim}");
        let address = interim.lines().find_map(|line| line.strip_prefix("Location: ")).expect("an address").to_owned();
        wire.send(part);
        (wire, address)
    }

    fn serving_kib(&self, field: &str) -> u64 {
        let pids = self.perron.serve_pids();
        let status = fs::read_to_string(format!("/proc/{}/status", pids[0])).expect("it runs");
        let value = status.lines().find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB")?.parse().ok());
        value.unwrap_or_else(|| panic!("{field} is in {status}"))
    }
}

#[test]
fn curl_puts_files() {
    let site = lab::require!(site("uploads-curl", ""));
    let bytes = content(3_000_000);
    let source = site.source(&bytes);
    // curl awaits 100 Continue before so much.
    let (status, answer) = site.curl("/big", &["-T", &source, "--expect100-timeout", "20"]);
    assert_eq!(status, 201, "{answer}");
    assert!(answer.starts_with("HTTP/1.1 100 "), "{answer}");
    assert!(fs::read(site.root.join("big")).expect("it is there") == bytes);
    let metadata = fs::metadata(site.root.join("big")).expect("it is there");
    assert_eq!(metadata.mode() & 0o7777, 0o644);
    let etag = answer.lines().find_map(|line| line.strip_prefix("ETag: ")).expect("a tag").to_owned();
    assert_eq!(site.curl("/big", &["-H", &format!("If-None-Match: {etag}")]).0, 304);
    assert_eq!(site.curl("/big", &["-T", &source, "-H", "If-None-Match: *"]).0, 412);
    assert_eq!(site.curl("/big", &["-T", &source, "-H", "Transfer-Encoding: chunked"]).0, 204);
    assert_eq!(site.curl("/small", &["--data-binary", "a few"]).0, 201);
    assert_eq!(fs::read_to_string(site.root.join("small")).expect("it is there"), "a few");
    assert_eq!(names(&site.root), ["big", "small"]);
    let logged = || site.perron.written().lines().filter(|line| line.contains("\"status\":201")).count() == 2;
    wait_for(lab::SOON, "both are logged", logged);
    let written = site.perron.written();
    let line = written.lines().find(|line| line.contains("PUT /big") && line.contains("\"status\":201"));
    let line: serde_json::Value = serde_json::from_str(line.expect("a line")).expect("JSON");
    assert!(line["bytes_in"].as_u64() > Some(3_000_000), "{line}");
}

#[test]
fn a_connection_goes_on_after_an_upload() {
    let site = lab::require!(site("uploads-keep", ""));
    let mut wire = site.wire();
    wire.send("PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = wire.answer();
    assert_eq!((answer.status(), answer.closes()), (201, false));
    assert_eq!(wire.answer().text(), "abc");
    wire.send("PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nx\r\n");
    let refused = wire.answer();
    assert_eq!((refused.status(), refused.closes()), (400, true));
    assert_eq!(names(&site.root), ["a"]);
}

#[test]
fn a_wrong_checksum_leaves_nothing() {
    let site = lab::require!(site("uploads-digest", ""));
    // `echo -n hello | openssl dgst -sha256 -binary | base64`.
    let digest = "Repr-Digest: sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:";
    let (status, answer) = site.curl("/a", &["-X", "PUT", "--data-binary", "hallo", "-H", digest]);
    assert_eq!(status, 400);
    assert!(answer.contains("LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="), "both values are told: {answer}");
    assert!(names(&site.root).is_empty());
    assert_eq!(site.curl("/a", &["-X", "PUT", "--data-binary", "hello", "-H", digest]).0, 201);
    let mut wire = site.wire();
    let trailer =
        "PUT /b HTTP/1.1\r\nHost: a\r\nTrailer: Repr-Digest\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhallo\r\n0\r\n";
    wire.send(format!("{trailer}{digest}\r\n\r\n"));
    assert_eq!(wire.answer().status(), 400);
    wire.send(format!("{}{digest}\r\n\r\n", trailer.replace("hallo", "hello")));
    assert_eq!(wire.answer().status(), 201);
    assert_eq!(names(&site.root), ["a", "b"]);
}

#[test]
fn a_client_cut_at_the_end_goes_on_even_after_a_reload() {
    let site = lab::require!(site("uploads-resume", ""));
    let bytes = content(10_000_000);
    let cut = bytes.len() / 100 * 99;
    let (wire, address) = site.send_part(&bytes[..cut], bytes.len());
    drop(wire);
    // Whoever asks for the offset ends what still writes: all of it is waited for.
    let kept = || names(&site.root).pop().and_then(|name| fs::metadata(site.root.join(name)).ok());
    wait_for(lab::SOON, "what came is kept", || kept().is_some_and(|kept| kept.len() == cut as u64));
    site.perron.reload(&site.text).expect("it is the same");
    assert_eq!(site.offset(&address), Some(cut));
    let offset = cut;
    let mut wire = site.wire();
    wire.send(format!(
        "PATCH {address} HTTP/1.1\r\nHost: a\r\nContent-Type: application/partial-upload\r\nUpload-Complete: ?1\r\n\
         Upload-Offset: {offset}\r\nContent-Length: {}\r\n\r\n",
        bytes.len() - offset
    ));
    wire.send(&bytes[offset..]);
    let answer = wire.answer();
    assert_eq!((answer.status(), answer.field("upload-complete")), (201, Some("?1")));
    assert!(fs::read(site.root.join("big")).expect("it is there") == bytes);
    assert_eq!((names(&site.root), site.offset(&address)), (vec!["big".to_owned()], None));
}

#[test]
fn of_a_plain_upload_that_is_cut_nothing_is_left() {
    let site = lab::require!(site("uploads-cut", ""));
    for reset in [true, false] {
        let mut wire = site.wire();
        wire.send("PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
        wire.send(content(700_000));
        wait_for(lab::SOON, "it has begun", || !names(&site.root).is_empty());
        if reset {
            wire.reset_at_close();
        }
        drop(wire);
        wait_for(lab::SOON, "nothing is left", || names(&site.root).is_empty());
    }
    // Nor is anything served of what is under way.
    let (_wire, _) = site.send_part(b"secret", 100);
    wait_for(lab::SOON, "it has begun", || !names(&site.root).is_empty());
    let name = names(&site.root).pop().expect("one");
    assert_eq!(site.curl(&format!("/{name}"), &[]).0, 404);
}

#[test]
fn uploads_that_nobody_goes_on_with_are_removed() {
    let site = lab::require!(site("uploads-stale", ", keep-partial = \"1s\""));
    let (wire, address) = site.send_part(b"some", 100);
    wait_for(lab::SOON, "it has begun", || !names(&site.root).is_empty());
    drop(wire);
    wait_for(lab::SOON, "it is removed", || names(&site.root).is_empty());
    assert_eq!(site.offset(&address), None);
}

#[test]
fn on_a_full_disk_nothing_half_written_is_left() {
    let lab = lab::require!(Lab::new("uploads-full"));
    let front = lab.host("front", "10.0.0.2/24");
    let disk = lab::require!(SmallDisk::new(&front, "4m"));
    let site = lab::require!(site_at(lab, front, disk.0.clone(), ""));
    let source = site.source(&content(8_000_000));
    let (status, answer) = site.curl("/a", &["-T", &source, "--expect100-timeout", "20"]);
    assert_eq!(status, 507, "{answer}");
    assert!(!answer.contains(" 100 Continue"), "no byte of the body was asked for: {answer}");
    let (status, answer) = site.curl("/a", &["-T", &source, "-H", "Transfer-Encoding: chunked", "-H", "Expect:"]);
    assert_eq!(status, 507, "{answer}");
    wait_for(lab::SOON, "nothing is left", || names(&disk.0).is_empty());
    let small = site.source(&content(3_000_000));
    assert_eq!(site.curl("/a", &["-T", &small]).0, 201, "the room is there again");
}

#[test]
fn a_quota_and_a_size_are_kept() {
    let site = lab::require!(site("uploads-quota", ", max-size = \"2MB\", quota = \"3MB\""));
    let (small, large) = (site.source(&content(1_500_000)), site.source(&content(2_500_000)));
    assert_eq!(site.curl("/a", &["-T", &large]).0, 413);
    assert_eq!(site.curl("/a", &["-T", &small]).0, 201);
    assert_eq!(site.curl("/b", &["-T", &small]).0, 201);
    assert_eq!(site.curl("/c", &["-T", &small]).0, 507);
    assert_eq!(site.curl("/c", &["-T", &small, "-H", "Transfer-Encoding: chunked", "-H", "Expect:"]).0, 507);
    wait_for(lab::SOON, "nothing is left", || names(&site.root) == ["a", "b"]);
}

#[test]
fn a_hung_disk_hangs_no_worker() {
    let lab = lab::require!(Lab::new("uploads-hung"));
    let front = lab.host("front", "10.0.0.2/24");
    let client = lab.host("client", "10.0.0.1/24");
    let mount = lab::require!(HungMount::mount(&front, "mounted\n"));
    let local = open_folder(&front, "local");
    let text = format!(
        "process.workers = 1\n[frontend.files]\nbind = \"{FRONT}\"\n\
         [[frontend.files.route]]\npath = \"/mounted\"\n\
         files = {{ root = \"{}\", upload = true, upload-timeout = \"300ms\" }}\n\
         [[frontend.files.route]]\npath = \"/\"\nfiles = {{ root = \"{}\", upload = true }}\n",
        mount.folder().display(),
        local.display()
    );
    let _perron = Perron::start(&front, &text);
    let put = |path: &str| {
        let mut wire = client.connect(FRONT);
        wire.send(format!("PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok"));
        wire
    };
    assert!((400..600).contains(&put("/mounted/a").answer().status()), "nothing can be made there");
    mount.hang();
    let mut hung: Vec<_> = (0..8).map(|_| put("/mounted/a")).collect();
    for turn in 0..20 {
        let start = Instant::now();
        assert_eq!(put("/quick").answer().status(), if turn == 0 { 201 } else { 204 });
        assert!(start.elapsed() < Duration::from_secs(2), "a hung disk held another client for {:?}", start.elapsed());
    }
    for wire in &mut hung {
        let answer = wire.answer();
        assert_eq!((answer.status(), answer.field("retry-after").is_some()), (503, true));
    }
    mount.recover();
}

#[test]
fn more_uploads_than_places_are_told_to_come_again() {
    let site = lab::require!(site("uploads-crowd", ""));
    let begin = |index: usize| {
        let mut wire = site.wire();
        wire.send(format!("PUT /{index} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n"));
        wire
    };
    let mut wires: Vec<_> = (0..INTAKES_MAX).map(begin).collect();
    wait_for(lab::SOON, "all have begun", || names(&site.root).len() == INTAKES_MAX);
    let answer = begin(99).answer();
    assert_eq!((answer.status(), answer.field("retry-after").is_some()), (503, true));
    for wire in &mut wires {
        wire.send("ok");
        assert_eq!(wire.answer().status(), 201);
    }
    let mut again = begin(99);
    again.send("ok");
    assert_eq!(again.answer().status(), 201);
}

#[test]
fn two_at_once_of_one_name_are_one_or_the_other() {
    let site = lab::require!(site("uploads-two", ""));
    let (ones, twos) = (vec![b'1'; 2_000_000], vec![b'2'; 2_000_000]);
    let mut wires = [site.wire(), site.wire()];
    for wire in &mut wires {
        wire.send("PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n");
    }
    for at in (0..2_000_000).step_by(500_000) {
        wires[0].send(&ones[at..at + 500_000]);
        wires[1].send(&twos[at..at + 500_000]);
    }
    let statuses = wires.each_mut().map(|wire| wire.answer().status());
    assert!(statuses == [201, 204] || statuses == [204, 201], "{statuses:?}");
    let is = fs::read(site.root.join("a")).expect("it is there");
    assert!(is == ones || is == twos, "two files are mixed");
    assert_eq!(names(&site.root), ["a"]);
}

#[test]
fn a_gibibyte_takes_no_memory() {
    const LENGTH: u64 = 1 << 30;
    let site = lab::require!(site("uploads-large", ""));
    let source = site.source(b"");
    fs::File::options().write(true).open(&source).and_then(|file| file.set_len(LENGTH)).expect("the file is ours");
    let before = site.serving_kib("VmHWM:");
    let process = site.client.spawn(&["curl", "-sS", "--max-time", "300", "-T", &source, &format!("{URL}/large")]);
    assert_eq!(process.output().success().stderr, "");
    let peak = site.serving_kib("VmHWM:");
    assert_eq!(fs::metadata(site.root.join("large")).expect("it is there").len(), LENGTH);
    assert!(peak - before < 16 * 1024, "{before} KiB before, {peak} KiB at most");
    fs::remove_file(site.root.join("large")).expect("the file is ours");
}

#[test]
fn a_slow_client_holds_nobody_and_is_given_up() {
    let lab = lab::require!(Lab::new("uploads-slow"));
    let front = lab.host("front", "10.0.0.2/24");
    let root = open_folder(&front, "taken");
    let site = lab::require!(site_at(lab, front, root, " }\ntimeouts = { idle = \"300ms\""));
    assert!(site.front.address().is_ipv4());
    let mut wire = site.wire();
    wire.send("PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    assert_ne!(wire.rest().1, End::Open, "a client that says nothing is cut");
    wait_for(lab::SOON, "nothing is left", || names(&site.root).is_empty());
}
