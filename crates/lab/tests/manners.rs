//! What users of a web server expect beside files: passwords, smaller answers, pages for errors, other paths.

use std::fs;
use std::path::Path;

use lab::{Host, Lab, Perron, Skip, wait_for};

const URL: &str = "http://10.0.0.2:8080";

/// Made by libxcrypt: `crypt("correct horse", "$2y$04$abcdefghijklmnopqrstuu")`.
const ANNA: &str = "anna:$2y$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e\n";

/// From the tests of argon2's reference implementation: `password` with `somesalt`.
const BERT: &str = "bert:$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4\n";

struct Site {
    client: Host,
    front: Host,
    perron: Perron,
    _lab: Lab,
}

/// The folder that `text` is told of has `users`, `404.html`, `text.txt`, `small.txt` and `image.png`.
fn site(name: &str, text: impl FnOnce(&Path) -> String) -> Result<Site, Skip> {
    let lab = Lab::new(name)?;
    let client = lab.host("client", "10.0.0.1/24");
    let front = lab.host("front", "10.0.0.2/24");
    let folder = front.new_folder("folder");
    for (name, content) in [
        ("users", format!("{ANNA}{BERT}")),
        ("404.html", "<h1>not here".to_owned()),
        ("text.txt", "all work and no play\n".repeat(1000)),
        ("small.txt", "small\n".to_owned()),
        ("image.png", "x".repeat(5000)),
    ] {
        fs::write(folder.join(name), content).expect("the folder is ours");
    }
    let perron = Perron::start(&front, &text(&folder));
    Ok(Site { client, front, perron, _lab: lab })
}

impl Site {
    /// The answer with its head.
    fn get(&self, path: &str, arguments: &[&str]) -> String {
        self.client.curl(&[arguments, &["-i", &format!("{URL}{path}")]].concat()).text()
    }

    fn status(&self, path: &str, arguments: &[&str]) -> u16 {
        let text = self.get(path, arguments);
        text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }
}

#[test]
fn who_asks_shows_a_password() {
    let site = lab::require!(site("manners-users", |folder| {
        format!(
            "[frontend.a]\nbind = \"10.0.0.2:8080\"\nfiles = \"{0}\"\n\
             [[frontend.a.route]]\npath = \"/users-only/\"\nfiles = \"{0}\"\n\
             basic-auth = {{ file = \"{0}/users\", realm = \"a \\\"realm\\\"\" }}\n\
             [[frontend.a.route]]\npath = \"/annas/\"\nfiles = \"{0}\"\n\
             basic-auth = {{ file = \"{0}/users\" }}\nallow-users = \"anna\"\n",
            folder.display()
        )
    }));
    let asked = site.get("/users-only/small.txt", &[]);
    assert!(asked.starts_with("HTTP/1.1 401 "), "{asked}");
    assert!(asked.contains("WWW-Authenticate: Basic realm=\"a \\\"realm\\\"\", charset=\"UTF-8\"\r\n"), "{asked}");
    for (user, status) in [
        ("anna:correct horse", 200),
        ("bert:password", 200),
        ("anna:password", 401),
        ("bert:correct horse", 401),
        ("carl:password", 401),
        ("anna:", 401),
    ] {
        // Once verified, and once remembered.
        for _ in 0..2 {
            assert_eq!(site.status("/users-only/small.txt", &["-u", user]), status, "{user}");
        }
    }
    assert_eq!(site.status("/annas/small.txt", &["-u", "anna:correct horse"]), 200);
    assert_eq!(site.status("/annas/small.txt", &["-u", "bert:password"]), 403);
    assert_eq!(site.status("/annas/small.txt", &[]), 401);
    assert_eq!(site.status("/small.txt", &[]), 200, "the others ask nobody");
    wait_for(lab::SOON, "the log names the user", || site.perron.written().contains("\"user\":\"bert\""));
    assert!(!site.perron.written().contains("password"), "no password is in the log");
}

#[test]
fn a_weak_password_is_refused_by_name() {
    let lab = lab::require!(Lab::new("manners-weak"));
    let front = lab.host("front", "10.0.0.2/24");
    let folder = front.new_folder("folder");
    let users = folder.join("users");
    fs::write(&users, ANNA).expect("the folder is ours");
    let text = format!(
        "[frontend.a]\nbind = \"10.0.0.2:8080\"\nrespond = {{ body = \"ok\" }}\nbasic-auth = {{ file = \"{}\" }}\n",
        users.display()
    );
    let perron = Perron::start(&front, &text);
    fs::write(&users, format!("{ANNA}carl:$apr1$mEA7qWfn$CB9XHJSx\n")).expect("the folder is ours");
    let refused = perron.reload(&text).expect_err("MD5 is not safe");
    let told = format!("{refused}{}", perron.written());
    assert!(told.contains("line 2") && told.contains("`carl`") && told.contains("MD5"), "{told}");
}

#[test]
fn answers_are_smaller_for_who_asks() {
    let site = lab::require!(site("manners-compress", |folder| {
        format!(
            "[frontend.a]\nbind = \"10.0.0.2:8080\"\nfiles = \"{}\"\ncompress = [\"zstd\", \"gzip\"]\n",
            folder.display()
        )
    }));
    let expected = "all work and no play\n".repeat(1000);
    let plain = site.get("/text.txt", &[]);
    assert!(plain.contains("Content-Length: 21000\r\n") && plain.ends_with(&expected), "{}", &plain[..300]);
    let gzip = ["-H", "Accept-Encoding: gzip", "--compressed"];
    let coded = site.get("/text.txt", &gzip);
    for line in ["Content-Encoding: gzip", "Vary: Accept-Encoding", "Transfer-Encoding: chunked", "ETag: W/\""] {
        assert!(coded.contains(line), "{line}: {}", &coded[..400]);
    }
    assert!(coded.ends_with(&expected));
    let size = site.client.curl(&[
        "-o",
        "/dev/null",
        "-w",
        "%{size_download}",
        "-H",
        "Accept-Encoding: gzip",
        &format!("{URL}/text.txt"),
    ]);
    let size: u64 = size.text().parse().expect("a number");
    assert!(size < 1000, "{size} of 21000 bytes");
    assert!(
        site.get("/text.txt", &["-o", "/dev/null", "-D", "-", "-H", "Accept-Encoding: gzip, zstd"])
            .contains("Content-Encoding: zstd")
    );
    let head = site.get("/text.txt", &["-I", "-H", "Accept-Encoding: gzip"]);
    assert!(head.contains("Content-Encoding: gzip") && !head.contains("Content-Length"), "{head}");
    for (path, arguments) in [
        ("/small.txt", &gzip[..]),
        ("/image.png", &gzip),
        ("/text.txt", &["-H", "Accept-Encoding: gzip;q=0"]),
        ("/text.txt", &["-r", "0-4999", "-H", "Accept-Encoding: gzip"]),
        ("/text.txt", &["-A", "iPXE/1.21.1", "-H", "Accept-Encoding: gzip"]),
    ] {
        let answer = site.get(path, arguments);
        assert!(!answer.contains("Content-Encoding"), "{path} {arguments:?}");
        assert!(answer.contains("Content-Length"), "{path} {arguments:?}");
    }
}

#[test]
fn errors_have_pages_and_paths_are_rewritten() {
    let site = lab::require!(site("manners-pages", |folder| {
        format!(
            "[frontend.a]\nbind = \"10.0.0.2:8080\"\nfiles = \"{0}\"\n\
             error-pages = {{ 404 = \"{0}/404.html\", 503 = \"{0}/404.html\" }}\n\
             [[frontend.a.route]]\npath = \"/down\"\nbackend = \"down\"\n\
             [[frontend.a.route]]\npath = \"/old/\"\nbackend = \"self\"\nrewrite = {{ from = \"/old/\", to = \"/echo/x/\" }}\n\
             [[frontend.a.route]]\npath = \"/echo/\"\nredirect = \"/seen{{path}}{{query}}\"\n\
             [backend.down]\nmax-queue = 0\n[[backend.down.server]]\naddress = \"10.0.0.2:9\"\n\
             [backend.self]\n[[backend.self.server]]\naddress = \"10.0.0.2:8080\"\n",
            folder.display()
        )
    }));
    assert!(site.front.address().is_ipv4());
    let missing = site.get("/missing", &[]);
    assert!(missing.starts_with("HTTP/1.1 404 ") && missing.ends_with("\r\n\r\n<h1>not here"), "{missing}");
    assert!(
        missing.contains("Content-Type: text/html; charset=utf-8\r\n") && missing.contains("Content-Length: 12\r\n")
    );
    let head = site.get("/missing", &["-I"]);
    assert!(head.contains("Content-Length: 12\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    let down = site.get("/down", &[]);
    assert!(
        down.starts_with("HTTP/1.1 503 ") && down.contains("Retry-After: ") && down.ends_with("<h1>not here"),
        "{down}"
    );
    let echoed = site.get("//old/%61%20b?c=/old/", &["--path-as-is"]);
    assert!(echoed.contains("Location: /seen/echo/x/a%20b?c=/old/\r\n"), "{echoed}");
}
