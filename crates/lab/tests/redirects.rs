//! Clients that are sent to the origins themselves: who is, where to, and when nobody is.

use std::fs;
use std::path::Path;

use lab::{BadServer, Host, Lab, Nginx, Perron, SOON, Skip, wait_for};
use serde_json::Value;

/// What the clients fetch has so many bytes: more than everything else that is said together.
const BIG: usize = 3_000_000;

/// What a slow client asks for: more than any socket's buffer takes.
const HUGE: u64 = 1 << 30;

const CHECK: &str = "{ type = \"http\", path = \"/health\", interval = \"100ms\", timeout = \"2s\" }";

/// A director that may redirect, and what is behind it.
struct Site {
    client: Host,
    director: Perron,
    origins: [(Host, Perron); 2],
    plain: (Host, Nginx),
    content: Vec<u8>,
    _lab: Lab,
}

fn site(name: &str) -> Result<Site, Skip> {
    let lab = Lab::new(name)?;
    lab::program("wget")?;
    let client = lab.host("client", "10.0.0.1/24");
    let front = lab.host("front", "10.0.0.2/24");
    let content: Vec<u8> = (0..BIG).map(|at| (at % 251) as u8).collect();
    let origins = [lab.host("origin1", "10.0.0.11/24"), lab.host("origin2", "10.0.0.12/24")].map(|host| {
        let root = host.new_folder("images");
        fs::write(root.join("big"), &content).expect("the folder is ours");
        let huge = fs::File::create(root.join("huge")).expect("the folder is ours");
        huge.set_len(HUGE).expect("a hole takes no room");
        let perron = Perron::start(&host, &origin(&root));
        (host, perron)
    });
    let host = lab.host("plain", "10.0.0.13/24");
    let nginx = Nginx::start(&host, "plain")?;
    fs::write(nginx.root().join("big"), &content).expect("the root is ours");
    fs::write(nginx.root().join("health"), "well\n").expect("the root is ours");
    let director = Perron::start_ready(&front, &director_text());
    Ok(Site { client, director, origins, plain: (host, nginx), content, _lab: lab })
}

fn origin(root: &Path) -> String {
    let root = root.display();
    format!(
        "[frontend.files]\nbind = \"0.0.0.0:80\"\n\
         [[frontend.files.route]]\npath = \"/health\"\nhealth = {{ files = \"{root}\" }}\n\
         [[frontend.files.route]]\nfiles = {{ root = \"{root}\" }}\n"
    )
}

/// Beside the two origins a plain server, whose place for clients is another port, where nobody listens at first.
fn director_text() -> String {
    format!(
        "[frontend.web]\nbind = \"0.0.0.0:8080\"\nbackend = \"images\"\n\
         [[frontend.web.route]]\nhost = \"plain.example\"\nbackend = \"plain\"\n\
         [backend.images]\nbalance = \"bandwidth\"\ndeliver = \"auto\"\ncheck = {CHECK}\n\
         [[backend.images.server]]\nname = \"a\"\naddress = \"10.0.0.11:80\"\nredirect-to = \"http://10.0.0.11\"\n\
         [[backend.images.server]]\nname = \"b\"\naddress = \"10.0.0.12:80\"\nredirect-to = \"http://10.0.0.12\"\n\
         [backend.plain]\ndeliver = \"auto\"\ncheck = {CHECK}\n\
         [[backend.plain.server]]\nname = \"c\"\naddress = \"10.0.0.13:80\"\nredirect-to = \"http://10.0.0.13:81\"\n"
    )
}

impl Site {
    fn wait_until_redirectable(&self, servers: &[&str]) {
        let open = || servers.iter().all(|server| self.director.server(server)["redirect"]["why_not"].is_null());
        wait_for(SOON, "clients may be redirected", open);
    }

    /// What the director has sent to clients.
    fn passed(&self) -> u64 {
        number(&self.director.status()["frontends"][0]["bytes_out"])
    }

    fn redirects(&self, backend: usize) -> u64 {
        number(&self.director.status()["backends"][backend]["redirects"])
    }

    /// Fetches a URL of the director's, as wget does, and says where it ended.
    fn wget(&self, more: &[&str], path: &str) -> (Vec<u8>, String) {
        let file = self.client.new_folder("fetched").join("file");
        let url = format!("http://10.0.0.2:8080{path}");
        let command = [&["wget", "-nv", "--tries=1", "-O", plain(&file)], more, &[&url]].concat();
        let said = self.client.run(&command).success().stderr;
        (fs::read(file).expect("wget wrote it"), said)
    }
}

#[test]
fn clients_that_follow_fetch_from_the_origins_and_others_are_relayed() {
    let site = lab::require!(site("redirects-who"));
    site.wait_until_redirectable(&["images/a", "images/b"]);

    let (fetched, said) = site.wget(&[], "/big");
    assert!(fetched == site.content, "wget got other bytes");
    assert!(said.contains("http://10.0.0.11/big") || said.contains("http://10.0.0.12/big"), "{said}");
    assert_eq!(site.redirects(0), 1);
    assert!(site.passed() < 1000, "{} bytes went through the director", site.passed());

    // What it sent without being asked through the director is known all the same.
    let sent =
        || ["images/a", "images/b"].map(|server| number(&site.director.server(server)["link"]["report"]["sent"]));
    wait_for(SOON, "an origin reports what it has sent", || sent().iter().sum::<u64>() >= BIG as u64);
    assert_eq!(sent().iter().sum::<u64>(), BIG as u64, "health answers are not counted");

    let relayed = site.client.curl(&["http://10.0.0.2:8080/big"]).success();
    assert!(relayed.stdout == site.content, "curl got other bytes");
    assert_eq!(site.redirects(0), 1);
    assert!(site.passed() > BIG as u64);

    let mut wire = site.client.connect("10.0.0.2:8080");
    for _ in 0..2 {
        wire.send("HEAD /big?x=1 HTTP/1.1\r\nHost: 10.0.0.2:8080\r\nUser-Agent: Wget/1.21\r\n\r\n");
        let answer = wire.answer_to_head();
        assert_eq!((answer.status(), answer.closes()), (302, false));
        let to = answer.field("Location").unwrap_or_default();
        assert!(["http://10.0.0.11/big?x=1", "http://10.0.0.12/big?x=1"].contains(&to), "{to}");
    }
    wire.send("HEAD /big HTTP/1.1\r\nHost: 10.0.0.2:8080\r\nUser-Agent: UefiHttpBoot/1.0\r\n\r\n");
    let answer = wire.answer_to_head();
    assert_eq!((answer.status(), answer.field("Content-Length")), (200, Some("3000000")));
}

#[test]
fn what_a_client_has_yet_to_get_is_reported_and_forgotten_when_it_goes() {
    let site = lab::require!(site("redirects-left"));
    let link = || site.director.server("images/a")["link"].clone();
    wait_for(SOON, "the origin reports", || link()["report"]["left"] == 0);

    // It comes from nowhere near the director.
    let mut slow = site.client.connect(&site.origins[0].0.at(80));
    slow.send("GET /huge HTTP/1.1\r\nHost: 10.0.0.11\r\n\r\n");
    slow.read_until("\r\n\r\n");
    wait_for(SOON, "there is something left", || number(&link()["report"]["left"]) > HUGE / 2);
    assert_eq!(link()["report"]["requests"], 1);
    assert!(number(&link()["backlog_us"]) > 0, "{}", link());
    assert!(number(&link()["rate"]) > 0, "{}", link());

    // A GET for the other origin's files is expected to be through sooner.
    site.wait_until_redirectable(&["images/a", "images/b"]);
    for _ in 0..4 {
        assert!(site.wget(&[], "/big").1.contains("http://10.0.0.12/big"));
    }

    drop(slow);
    wait_for(SOON, "nothing is left", || link()["report"]["left"] == 0);
    assert_eq!(link()["report"]["requests"], 0);
}

#[test]
fn nobody_is_sent_where_nobody_is() {
    let mut site = lab::require!(site("redirects-not"));
    let plain = ["--header", "Host: plain.example"];
    let server = || site.director.server("plain/c");
    wait_for(SOON, "the place is known to be dead", || {
        server()["redirect"]["why_not"].as_str().is_some_and(|why| why.contains("the connection failed"))
    });
    assert_eq!(server()["status"], "up");
    assert!(site.wget(&plain, "/big").0 == site.content, "a place that is dead costs nobody anything");
    assert_eq!(site.redirects(1), 0);

    // A place that answers, whatever it is.
    let place = BadServer::answering(&site.plain.0, 81, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhere\n");
    site.wait_until_redirectable(&["plain/c"]);
    assert_eq!(site.wget(&plain, "/big").0, b"here\n");
    assert_eq!(site.redirects(1), 1);
    drop(place);
    wait_for(SOON, "the place is dead again", || server()["redirect"]["why_not"].is_string());
    let events = site.director.ask(&["events"]).text();
    let told = |kind: &str, text: &str| events.lines().any(|line| line.contains(kind) && line.contains(text));
    assert!(told("redirects-on", "plain/c: redirects to 10.0.0.13 begin"), "{events}");
    assert!(told("redirects-off", "plain/c: redirects to 10.0.0.13 stop"), "{events}");

    site.wait_until_redirectable(&["images/a", "images/b"]);
    site.origins[0].1.process().kill();
    site.director.wait_for_status("images/a", "down", SOON);
    assert_eq!(site.director.server("images/a")["redirect"]["why_not"], "the server is down");
    for _ in 0..8 {
        assert!(site.wget(&[], "/big").1.contains("http://10.0.0.12/big"));
    }
    site.origins[1].1.process().kill();
    site.director.wait_for_status("images/b", "down", SOON);
    let asked = ["-o", "/dev/null", "-w", "%{http_code}", "-A", "Wget/1.21", "http://10.0.0.2:8080/big"];
    assert_eq!(site.client.curl(&asked).text(), "503");
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn plain(path: &Path) -> &str {
    path.to_str().expect("paths in the lab are plain")
}
