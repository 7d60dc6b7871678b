//! A tree of files served to curl: ranges, conditions, listings, escapes, and a mount that hangs.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lab::{Host, HungMount, Lab, Message, Perron, Skip, wait_for};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

const URL: &str = "http://10.0.0.2:8080";

/// What must never be served.
const SECRET: &str = "not for clients\n";

/// 256 distinct bytes, forty times.
fn content() -> Vec<u8> {
    (0..=255).cycle().take(256 * 40).collect()
}

struct Site {
    client: Host,
    root: PathBuf,
    _perron: Perron,
    _lab: Lab,
}

impl Site {
    /// The answer to a GET with further curl arguments.
    fn get(&self, path: &str, arguments: &[&str]) -> Message {
        let body = self.client.new_folder("answer").join("body");
        let body = body.to_str().expect("plain");
        let url = format!("{URL}{path}");
        let head = self.client.curl(&[arguments, &["--path-as-is", "-D", "-", "-o", body, &url]].concat()).text();
        let mut lines = head.trim_end().lines();
        let start = lines.next().unwrap_or_default().to_owned();
        let fields = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        Message { start, fields: fields.collect(), body: fs::read(body).unwrap_or_default(), trailers: Vec::new() }
    }

    fn status(&self, path: &str, arguments: &[&str]) -> u16 {
        self.get(path, arguments).status()
    }
}

fn site(name: &str, routes: impl FnOnce(&Path) -> String) -> Result<Site, Skip> {
    let lab = Lab::new(name)?;
    let client = lab.host("client", "10.0.0.1/24");
    let front = lab.host("front", "10.0.0.2/24");
    let around = front.new_folder("around");
    let root = around.join("root");
    fs::create_dir_all(root.join("folder/deeper")).expect("the folder is ours");
    for (name, bytes) in
        [("bytes.bin", content()), ("page.html", b"<p>page".to_vec()), ("folder/text.txt", b"text\n".to_vec())]
    {
        fs::write(root.join(name), bytes).expect("the folder is ours");
        // Saturday, 3 October 2020, 12:00:00 UTC.
        let then = Timespec { tv_sec: 1_601_726_400, tv_nsec: 0 };
        let times = Timestamps { last_access: then, last_modification: then };
        utimensat(CWD, root.join(name), &times, AtFlags::empty()).expect("the file is ours");
    }
    fs::write(around.join("secret"), SECRET).expect("the folder is ours");
    let perron = Perron::start(&front, &format!("[frontend.files]\nbind = \"10.0.0.2:8080\"\n{}", routes(&root)));
    Ok(Site { client, root, _perron: perron, _lab: lab })
}

fn plain(root: &Path) -> String {
    format!("files = {{ root = \"{}\", listing = true }}\n", root.display())
}

#[test]
fn ranges_are_what_was_asked() {
    let site = lab::require!(site("files-ranges", plain));
    let whole = content();
    let get = |range: &str| site.get("/bytes.bin", &["-r", range]);
    for (range, bytes, field) in [
        ("0-0", &whole[..1], "bytes 0-0/10240"),
        ("100-299", &whole[100..300], "bytes 100-299/10240"),
        ("10000-", &whole[10_000..], "bytes 10000-10239/10240"),
        ("-7", &whole[10_233..], "bytes 10233-10239/10240"),
        ("10000-99999", &whole[10_000..], "bytes 10000-10239/10240"),
    ] {
        let answer = get(range);
        assert_eq!((answer.status(), answer.field("content-range")), (206, Some(field)), "{range}");
        assert!(answer.body == bytes, "{range}");
    }
    let beyond = get("10240-");
    assert_eq!((beyond.status(), beyond.field("content-range")), (416, Some("bytes */10240")));

    let several = get("0-3,10-12,-2");
    assert_eq!(several.status(), 206);
    let kind = several.field("content-type").expect("it has one");
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").expect(kind).trim_matches('"');
    let parts = String::from_utf8_lossy(&several.body).into_owned();
    assert_eq!(parts.matches(&format!("--{boundary}")).count(), 4, "three parts and the end");
    for field in ["bytes 0-3/10240", "bytes 10-12/10240", "bytes 10238-10239/10240"] {
        assert!(parts.contains(field), "{parts}");
    }
}

#[test]
fn conditions_hold() {
    let site = lab::require!(site("files-conditions", plain));
    let first = site.get("/bytes.bin", &[]);
    assert!(first.status() == 200 && first.body == content());
    assert_eq!(first.field("last-modified"), Some("Sat, 03 Oct 2020 12:00:00 GMT"));
    assert_eq!(first.field("accept-ranges"), Some("bytes"));
    let tag = first.field("etag").expect("it has one");
    let status = |fields: &[&str]| {
        let arguments: Vec<&str> = fields.iter().flat_map(|field| ["-H", field]).collect();
        site.status("/bytes.bin", &arguments)
    };
    assert_eq!(status(&[&format!("If-None-Match: {tag}")]), 304);
    assert_eq!(status(&[&format!("If-None-Match: \"other\", {tag}")]), 304);
    assert_eq!(status(&["If-None-Match: *"]), 304);
    assert_eq!(status(&["If-None-Match: \"other\""]), 200);
    assert_eq!(status(&["If-Modified-Since: Sat, 03 Oct 2020 12:00:00 GMT"]), 304);
    assert_eq!(status(&["If-Modified-Since: Sat, 03 Oct 2020 11:59:59 GMT"]), 200);
    assert_eq!(status(&["If-None-Match: \"other\"", "If-Modified-Since: Sat, 03 Oct 2020 12:00:00 GMT"]), 200);
    assert_eq!(status(&[&format!("If-Match: {tag}")]), 200);
    assert_eq!(status(&["If-Match: \"other\""]), 412);
    assert_eq!(status(&["If-Unmodified-Since: Sat, 03 Oct 2020 11:59:59 GMT"]), 412);
    assert_eq!(status(&["Range: bytes=0-9", &format!("If-Range: {tag}")]), 206);
    assert_eq!(status(&["Range: bytes=0-9", "If-Range: \"other\""]), 200);
    assert_eq!(status(&["Range: bytes=0-9", "If-Range: Sat, 03 Oct 2020 12:00:00 GMT"]), 206);
    assert_eq!(status(&["Range: bytes=0-9", "If-Range: Sat, 03 Oct 2020 12:00:01 GMT"]), 200);

    fs::write(site.root.join("bytes.bin"), "changed").expect("the file is ours");
    let second = site.get("/bytes.bin", &["-H", &format!("If-None-Match: {tag}")]);
    assert_eq!((second.status(), second.text().as_str()), (200, "changed"), "at the next request");
}

#[test]
fn a_head_is_the_gets_head() {
    let site = lab::require!(site("files-head", plain));
    for path in ["/bytes.bin", "/page.html", "/folder/text.txt", "/folder/", "/nothing"] {
        let mut get = site.get(path, &[]);
        let mut head = site.get(path, &["--head"]);
        assert!(head.body.is_empty() || head.body.starts_with(b"HTTP/1.1"), "curl -I -o writes the head");
        for message in [&mut get, &mut head] {
            message.body.clear();
            message.fields.retain(|(name, _)| !name.eq_ignore_ascii_case("date"));
        }
        assert_eq!(head, get, "{path}");
    }
    assert_eq!(site.status("/bytes.bin", &["-X", "POST", "-d", "x"]), 405);
    assert_eq!(site.get("/page.html", &[]).field("content-type").map(|kind| kind.starts_with("text/html")), Some(true));
    let doubled = site.get("//folder//text.txt", &[]);
    assert_eq!(
        (doubled.status(), doubled.text().as_str()),
        (200, "text\n"),
        "firmware doubles slashes and follows no redirect"
    );
}

#[test]
fn nothing_outside_the_root_is_served() {
    let site = lab::require!(site("files-escapes", plain));
    symlink("../secret", site.root.join("relative")).expect("the folder is ours");
    symlink(site.root.join("../secret"), site.root.join("absolute")).expect("the folder is ours");
    symlink("..", site.root.join("up")).expect("the folder is ours");
    for path in [
        "/../secret",
        "/folder/../../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/%2e%2e%2fsecret",
        "/folder/..%2f..%2fsecret",
        "/..\\secret",
        "/.%2e/secret",
        "/./../secret",
        "/folder/./../../secret",
        "//../secret",
        "/%252e%252e/secret",
        "/..%c0%afsecret",
        "/..%00/secret",
        "/secret%00",
        "/relative",
        "/absolute",
        "/up/secret",
        "/proc/self/environ",
        "/etc/passwd",
    ] {
        let answer = site.get(path, &[]);
        assert!((400..500).contains(&answer.status()), "{path}: {}", answer.start);
        assert!(!answer.text().contains(SECRET.trim()), "{path}");
    }
}

#[test]
fn a_listing_is_for_people_and_programs() {
    let site = lab::require!(site("files-listing", plain));
    let odd = "<b>&\"odd\" #?%.txt";
    fs::write(site.root.join(odd), "odd\n").expect("the folder is ours");
    let html = site.get("/", &["-H", "Accept: text/html"]);
    assert_eq!(html.field("content-type").map(|kind| kind.starts_with("text/html")), Some(true));
    assert!(html.text().contains("bytes.bin") && html.text().contains("folder/"), "{}", html.text());
    assert!(!html.text().contains("<b>&"), "names are escaped: {}", html.text());
    for arguments in [&["-H", "Accept: application/json"][..], &[]] {
        let path = if arguments.is_empty() { "/?format=json" } else { "/" };
        let json = site.get(path, arguments);
        assert_eq!(json.field("content-type").map(|kind| kind.starts_with("application/json")), Some(true));
        let value: serde_json::Value = serde_json::from_slice(&json.body).expect("it is JSON");
        let text = value.to_string();
        for name in ["bytes.bin", "page.html", "folder"] {
            assert!(text.contains(name), "{name} in {text}");
        }
    }
    let encoded = "/%3Cb%3E%26%22odd%22%20%23%3F%25.txt";
    assert_eq!(site.get(encoded, &[]).text(), "odd\n");
}

#[test]
fn a_folder_without_an_index_is_not_listed_unasked() {
    let site = lab::require!(site("files-unlisted", |root| format!("files = \"{}\"\n", root.display())));
    assert!([403, 404].contains(&site.status("/", &[])));
    fs::write(site.root.join("index.html"), "welcome").expect("the folder is ours");
    assert_eq!(site.get("/", &[]).text(), "welcome");
}

#[test]
fn a_hung_mount_is_a_failed_check_and_no_hung_worker() {
    let lab = lab::require!(Lab::new("files-hung"));
    let client = lab.host("client", "10.0.0.1/24");
    let front = lab.host("front", "10.0.0.2/24");
    let mount = lab::require!(HungMount::mount(&front, "mounted\n"));
    let local = front.new_folder("local");
    fs::write(local.join("quick"), "quick\n").expect("the folder is ours");
    let text = format!(
        "[frontend.files]\nbind = \"10.0.0.2:8080\"\n\
         [[frontend.files.route]]\npath = \"/health\"\nhealth = {{ files = \"{mount}\", timeout = \"300ms\" }}\n\
         [[frontend.files.route]]\npath = \"/mounted\"\nfiles = {{ root = \"{mount}\", timeout = \"300ms\" }}\n\
         [[frontend.files.route]]\npath = \"/\"\nfiles = {{ root = \"{local}\" }}\n",
        mount = mount.folder().display(),
        local = local.display()
    );
    let _perron = Perron::start(&front, &text);
    let ask = |path: &str| {
        let mut wire = client.connect("10.0.0.2:8080");
        wire.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        wire
    };
    let status = |path: &str| ask(path).answer().status();
    assert_eq!(ask("/mounted/file.txt").answer().text(), "mounted\n");
    assert_eq!(status("/health"), 200);

    mount.hang();
    wait_for(Duration::from_secs(2), "the mount is unhealthy", || status("/health") == 503);
    let mut hung: Vec<_> = (0..40).map(|_| ask("/mounted/file.txt")).collect();
    for _ in 0..100 {
        let start = Instant::now();
        assert_eq!(ask("/quick").answer().text(), "quick\n");
        assert!(
            start.elapsed() < Duration::from_millis(250),
            "a hung mount held another client for {:?}",
            start.elapsed()
        );
    }
    for wire in &mut hung {
        assert_eq!(wire.answer().status(), 503);
    }
    mount.recover();
    wait_for(lab::SOON, "the mount is healthy again", || status("/health") == 200);
    wait_for(lab::SOON, "its files are served again", || status("/mounted/file.txt") == 200);
}

#[test]
fn a_long_file_is_resumed_by_wget() {
    let site = lab::require!(site("files-resume", plain));
    let wget = lab::require!(lab::program("wget"));
    let long: Vec<u8> = content().repeat(500);
    fs::write(site.root.join("long"), &long).expect("the folder is ours");
    let part = site.client.new_folder("part").join("long");
    fs::write(&part, &long[..1_234_567]).expect("the folder is ours");
    let [wget, part] = [&wget, &part].map(|path| path.to_str().expect("plain"));
    site.client.run(&[wget, "-q", "-c", "-O", part, &format!("{URL}/long")]).success();
    assert!(fs::read(part).expect("it was written") == long);
    assert!(site.get("/long", &[]).body == long);
}

#[test]
fn what_the_serving_user_may_not_read_is_forbidden() {
    let site = lab::require!(site("files-forbidden", plain));
    for (name, mode) in [("bytes.bin", 0o000), ("folder", 0o700)] {
        fs::set_permissions(site.root.join(name), fs::Permissions::from_mode(mode)).expect("the file is ours");
    }
    for path in ["/bytes.bin", "/folder/", "/folder/text.txt"] {
        assert_eq!(site.status(path, &[]), 403, "{path}");
    }
    assert_eq!(site.status("/page.html", &[]), 200);
}
