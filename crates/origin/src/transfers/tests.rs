use super::*;
use http_proto::{Limits, Parsed, field_slots, parse_request};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

/// `printf hello | sha256sum`; and in base64.
const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
const HELLO_FIELD: &str = "Repr-Digest: sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:\r\n";

/// Any other.
const FINGERPRINT: &str = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";

const CLIENT: Certificate<'_> = Certificate { serial: "0A1B", fingerprint: FINGERPRINT };

struct Site {
    folder: tempfile::TempDir,
    transfers: Transfers,
}

fn site(description: &str) -> Site {
    let folder = tempfile::tempdir().unwrap();
    let [described, root] = ["described", "files"].map(|name| folder.path().join(name));
    fs::create_dir(&described).unwrap();
    fs::create_dir_all(root.join("a")).unwrap();
    fs::write(root.join("a/disk.img"), "hello").unwrap();
    fs::write(folder.path().join("secret"), "secret").unwrap();
    symlink(folder.path().join("secret"), root.join("link")).unwrap();
    fs::write(described.join("7.json"), description).unwrap();
    Site { transfers: opened(root, described), folder }
}

fn opened(root: PathBuf, described: PathBuf) -> Transfers {
    let files = FilesConfig {
        root,
        strip_prefix: "/transfers".to_owned(),
        listing: false,
        index: Vec::new(),
        symlinks: false,
        precompressed: false,
        timeout: Duration::from_secs(2),
        upload: None,
    };
    Transfers::open(TransfersConfig { files, described }).unwrap()
}

/// With a fingerprint as OpenSSL writes it.
fn described(path: &str) -> String {
    let pairs: Vec<_> = FINGERPRINT.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap()).collect();
    let client = format!("{{\"serial\": \"a:1b\", \"fingerprint\": \"{}\"}}", pairs.join(":").to_uppercase());
    format!("{{\"path\": \"{path}\", \"client\": {client}, \"instance\": \"web1\"}}")
}

impl Site {
    fn ask_as(&self, client: Option<Certificate<'_>>, method: &str, target: &str, fields: &str) -> (u16, String) {
        let text = format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        let mut slots = field_slots();
        let Ok(Parsed::Whole(head, _)) = parse_request(text.as_bytes(), &mut slots, &Limits::default()) else {
            panic!("not a request: {text}");
        };
        let resolved = http_proto::resolve_path(head.path_and_query).unwrap();
        let (path, query) = (&*resolved.path, resolved.query);
        let request = FileRequest { head: &head, path, query, date: b"", connection: b"Connection: close\r\n" };
        let mut out = Vec::new();
        let answer = self.transfers.answer(&request, client, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with(&format!("HTTP/1.1 {} ", answer.status)), "{text}");
        (answer.status, text)
    }

    fn ask(&self, method: &str, target: &str, fields: &str) -> (u16, String) {
        self.ask_as(Some(CLIENT), method, target, fields)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path().join("described")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

#[test]
fn its_client_reads_the_file_and_says_when_it_has_it() {
    let site = site(&described("a/disk.img"));
    let (status, text) = site.ask("GET", "/transfers/7/contents", "Accept: application/octet-stream\r\n");
    assert_eq!(status, 200);
    assert!(text.contains("Cache-Control: no-store\r\nPragma: no-cache\r\n"), "{text}");
    assert!(text.contains("Content-Type: application/octet-stream\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\nhello") && !text.contains("Repr-Digest"), "{text}");
    let (status, text) = site.ask("GET", "/transfers/7/contents", "Range: bytes=1-2\r\n");
    assert_eq!(status, 206);
    assert!(text.contains("Content-Range: bytes 1-2/5\r\n") && text.ends_with("\r\n\r\nel"), "{text}");
    assert_eq!(site.ask("HEAD", "/transfers/7/contents", "").0, 200);
    assert_eq!(site.ask("POST", "/transfers/7/done", "Content-Length: 0\r\n").0, 204);
    assert_eq!(site.names(), ["7.done"]);
    assert_eq!(site.ask("GET", "/transfers/7/contents", "").0, 404, "it is over");
    assert_eq!(site.ask("POST", "/transfers/7/done", "").0, 204, "who did not hear the answer asks again");
    assert_eq!(site.ask_as(None, "POST", "/transfers/7/done", "").0, 403);
}

#[test]
fn nobody_else_gets_anything() {
    let site = site(&described("a/disk.img"));
    let other = FINGERPRINT.replace('2', "3");
    for (client, status) in [
        (Some(Certificate { serial: "a1b", ..CLIENT }), 200),
        (Some(Certificate { serial: "A1C", ..CLIENT }), 403),
        (Some(Certificate { serial: "", ..CLIENT }), 403),
        (Some(Certificate { fingerprint: &other, ..CLIENT }), 403),
        (Some(Certificate { fingerprint: "", ..CLIENT }), 403),
        (None, 403),
    ] {
        let (got, text) = site.ask_as(client, "GET", "/transfers/7/contents", "");
        assert_eq!(got, status, "{client:?}");
        assert_eq!(text.contains("hello"), status == 200, "{text}");
        assert_eq!(site.ask_as(client, "HEAD", "/transfers/7/contents", "").0, status, "{client:?}");
    }
    assert_eq!(site.ask_as(None, "POST", "/transfers/7/done", "").0, 403);
    assert_eq!(site.names(), ["7.json"]);
}

#[test]
fn what_is_asked_otherwise_is_refused() {
    let site = site(&described("a/disk.img"));
    let long = format!("/transfers/{}/contents", "7".repeat(129));
    for (method, target, fields, status) in [
        ("GET", "/transfers/7/contents", "Accept: text/html, */*;q=0\r\n", 406),
        ("GET", "/transfers/7/contents", "Accept: text/html, application/*;q=0.1\r\n", 200),
        ("GET", "/transfers/7/contents", "Range: bytes=9-\r\n", 416),
        ("PUT", "/transfers/7/contents", "", 405),
        ("GET", "/transfers/7/done", "", 405),
        ("GET", "/transfers/7", "", 404),
        ("GET", "/transfers/7/", "", 404),
        ("GET", "/transfers/7/contents/", "", 404),
        ("GET", "/transfers/7/contents/x", "", 404),
        ("GET", "/transfers/7.json/contents", "", 404),
        ("GET", "/transfers/8/contents", "", 404),
        ("POST", "/transfers/8/done", "", 404),
        ("GET", "/transfers/.7/contents", "", 404),
        ("GET", "/transfers/7%2F7/contents", "", 404),
        ("GET", "/transfers/7%0A/contents", "", 404),
        ("GET", &long, "", 404),
        ("GET", "/other/7/contents", "", 404),
    ] {
        assert_eq!(site.ask(method, target, fields).0, status, "{method} {target} {fields}");
    }
}

#[test]
fn a_description_leads_nowhere_else() {
    let large = |bytes: usize| {
        let text = described("a/disk.img");
        format!("{text}{}", " ".repeat(bytes - text.len()))
    };
    for (description, status) in [
        (described("../secret"), 404),
        (described("/../secret"), 404),
        (described("link"), 404),
        (described("/a/disk.img"), 200),
        (described("a/none"), 404),
        (described("a"), 404),
        (described("").replace("\"path\": \"\"", "\"path\": 7"), 500),
        (described("a/disk.img").replace("E9\"", "\""), 500),
        (described("a/disk.img").replace("\"a:1b\"", "7"), 500),
        ("{\"path\": \"a/disk.img\", \"client\": {\"serial\": \"0A1B\"}}".to_owned(), 500),
        ("{}".to_owned(), 500),
        ("no JSON".to_owned(), 500),
        (large(64 * 1024), 200),
        (large(64 * 1024 + 1), 500),
    ] {
        let site = site(&description);
        assert_eq!(site.ask("GET", "/transfers/7/contents", "").0, status, "{description}");
    }
}

#[test]
fn a_digest_that_the_description_has_is_told() {
    let with =
        |sha256: &str| described("a/disk.img").replace("{\"path\"", &format!("{{\"sha256\": \"{sha256}\", \"path\""));
    let site = site(&with(HELLO));
    for (fields, status, told) in
        [("", 200, true), ("Range: bytes=1-2\r\n", 206, true), ("Range: bytes=9-\r\n", 416, false)]
    {
        let (got, text) = site.ask("GET", "/transfers/7/contents", fields);
        assert_eq!((got, text.contains(HELLO_FIELD)), (status, told), "{text}");
    }
    fs::write(site.folder.path().join("described/7.json"), with("2cf2")).unwrap();
    assert_eq!(site.ask("GET", "/transfers/7/contents", "").0, 500);
}

#[test]
fn what_is_no_file_describes_nothing() {
    let site = site(&described("a/disk.img"));
    let described = site.folder.path().join("described");
    fs::create_dir(described.join("8.json")).unwrap();
    symlink(described.join("7.json"), described.join("9.json")).unwrap();
    assert_eq!(site.ask("GET", "/transfers/8/contents", "").0, 500);
    assert_eq!(site.ask("GET", "/transfers/9/contents", "").0, 404);
    fs::remove_dir_all(&described).unwrap();
    let site = Site { transfers: opened(site.folder.path().join("files"), described), folder: site.folder };
    let (status, text) = site.ask("GET", "/transfers/7/contents", "");
    assert!(status == 503 && text.contains("Retry-After: 2\r\n"), "{text}");
}
