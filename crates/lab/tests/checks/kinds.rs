use std::fs;
use std::path::Path;

use lab::{ApacheHttpd, Authority, Host, Lab, Nginx, Output, Perron, Process, SOON, Skip, perron_binary, wait_for};

use crate::{backend, checked, folder, wait_until};

/// More than a digest is made of; a hole takes no room.
const HUGE: u64 = 1 << 30;

/// Answers each datagram with what it was, and each connection on the same port with what the file of the second argument
/// holds.
pub(crate) const ECHO: &str = "
import socket, sys, threading
port, line = int(sys.argv[1]), sys.argv[2]
def datagrams():
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(('', port))
    while True:
        data, peer = udp.recvfrom(4096)
        udp.sendto(b're:' + data, peer)
threading.Thread(target=datagrams, daemon=True).start()
tcp = socket.create_server(('', port), backlog=256)
while True:
    peer, _ = tcp.accept()
    try:
        peer.sendall(open(line, 'rb').read())
    except OSError:
        pass
    peer.close()
";

/// An agent, and a service of datagrams.
pub(crate) fn echo(host: &Host, port: u16, line: &Path) -> Result<Process, Skip> {
    let python = lab::python()?.display().to_string();
    Ok(host.spawn(&[&python, "-c", ECHO, &port.to_string(), &line.display().to_string()]))
}

/// Exim, which takes or refuses connections.
fn exim(host: &Host, accepts: bool) -> Result<Process, Skip> {
    let exim = lab::program("exim4")?.display().to_string();
    let folder = folder(host, "exim");
    let spool = folder.join("spool");
    fs::create_dir(&spool).expect("the folder is ours");
    host.run(&["chown", "Debian-exim", &spool.display().to_string()]).success();
    let config = folder.join("exim.conf");
    let text = format!(
        "primary_hostname = mail.example.org\nspool_directory = {spool}\nlog_file_path = {spool}/%slog\n\
         local_interfaces = 0.0.0.0\ndaemon_smtp_ports = 25\nhost_lookup =\nrfc1413_query_timeout = 0s\n\
         tls_advertise_hosts =\nkeep_environment =\nacl_smtp_connect = {}\n",
        if accepts { "accept" } else { "deny" },
        spool = spool.display(),
    );
    fs::write(&config, text).expect("the folder is ours");
    Ok(host.spawn(&[&exim, "-C", &config.display().to_string(), "-bdf"]))
}

fn dnsmasq(host: &Host) -> Result<Process, Skip> {
    let dnsmasq = lab::program("dnsmasq")?.display().to_string();
    let more = ["--no-resolv", "--no-hosts", "--user=root", "--pid-file=", "--address=/www.example.org/10.0.0.9"];
    Ok(host.spawn(&[&[&dnsmasq[..], "-k", "--conf-file=/dev/null"], &more[..]].concat()))
}

fn sshd(host: &Host) -> Result<Process, Skip> {
    let sshd = lab::program("sshd")?.display().to_string();
    let key = folder(host, "sshd").join("key").display().to_string();
    host.run(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", &key]).success();
    // What Debian's service makes before it starts.
    fs::create_dir_all("/run/sshd").expect("root may");
    Ok(host.spawn(&[&sshd, "-D", "-e", "-f", "/dev/null", "-h", &key, "-o", "PidFile=none"]))
}

/// What `perron digest` says of a page.
fn digest(host: &Host, arguments: &[&str]) -> Output {
    let binary = perron_binary().display().to_string();
    host.run(&[&[&binary[..], "digest"], arguments].concat())
}

#[test]
fn digests_are_those_of_genhash_and_a_page_that_changes_leaves() {
    let lab = lab::require!(Lab::new("checks-digests"));
    lab::require!(lab::program("genhash"));
    let front = lab.host("front", "10.0.0.1/24");
    let hosts = [lab.host("nginx", "10.0.0.11/24"), lab.host("apache", "10.0.0.12/24")];
    let moved = "location = /moved { return 302 /version.html; } location = /error { return 503; }";
    let nginx = lab::require!(Nginx::start_with(&hosts[0], "nginx", moved));
    let apache = lab::require!(ApacheHttpd::start(&hosts[1], "apache"));
    let content: Vec<u8> = (0..300_000u32).map(|at| (at % 251) as u8).collect();
    for root in [nginx.root(), apache.root()] {
        fs::write(root.join("version.html"), "1.0\n").expect("the root is ours");
        fs::write(root.join("big"), &content).expect("the root is ours");
        fs::write(root.join("empty"), "").expect("the root is ours");
        fs::File::create(root.join("huge")).and_then(|file| file.set_len(HUGE)).expect("a hole takes no room");
    }
    for (host, address) in hosts.iter().zip(["10.0.0.11", "10.0.0.12"]) {
        for page in ["/", "/version.html", "/big", "/empty"] {
            let theirs = front.run(&["genhash", "-s", address, "-p", "80", "-u", page]).text();
            let ours = digest(&front, &[&format!("http://{address}{page}"), "--json"]).text();
            let ours: serde_json::Value = serde_json::from_str(&ours).expect("JSON");
            assert_eq!(ours["md5"], theirs.trim(), "{page} of {}", host.name());
            assert_eq!(ours["status"], 200);
        }
        let huge = digest(&front, &[&format!("http://{address}/huge")]);
        assert_eq!(huge.code, Some(1));
        assert!(huge.stderr.contains("more than a digest is made of"), "{}", huge.stderr);
    }
    let page = nginx.root().join("version.html").display().to_string();
    let summed = |program: &str| {
        let line = front.run(&[program, &page]).text();
        line.split(' ').next().expect("a sum").to_owned()
    };
    let (md5, sha256) = (summed("md5sum"), summed("sha256sum"));
    let pages = |address: &str, digest: &str| {
        let pages = format!(
            "type = \"http\", retries = 1, retry-delay = \"50ms\", pages = [{{ path = \"/\", status = 200 }}, \
             {{ path = \"/version.html\", digest = \"{digest}\" }}]"
        );
        checked(address, &pages)
    };
    let perron = Perron::start(
        &front,
        &backend(&[
            ("md5", pages("10.0.0.11:80", &md5)),
            ("sha256", pages("10.0.0.12:80", &sha256)),
            ("moved", checked("10.0.0.11:80", "type = \"http\", path = \"/moved\", status = [302], body = \"nginx\"")),
            ("followed", checked("10.0.0.11:80", "type = \"http\", path = \"/moved\", status = \"200-299\"")),
            ("error", checked("10.0.0.11:80", "type = \"http\", path = \"/error\"")),
            ("huge", checked("10.0.0.12:80", &format!("type = \"http\", path = \"/huge\", digest = \"{md5}\""))),
        ]),
    );
    wait_until(&perron, "md5", "up", "answered as expected (200)");
    wait_until(&perron, "sha256", "up", "answered as expected (200)");
    wait_until(&perron, "moved", "up", "answered as expected (302)");
    wait_until(&perron, "followed", "down", "another status (302)");
    wait_until(&perron, "error", "down", "another status (503)");
    wait_until(&perron, "huge", "down", "more than a digest is made of (200)");
    for root in [nginx.root(), apache.root()] {
        fs::write(root.join("version.html"), "1.1\n").expect("the root is ours");
    }
    wait_until(&perron, "md5", "down", "another digest (200) on page 2");
    wait_until(&perron, "sha256", "down", "another digest (200) on page 2");
    for root in [nginx.root(), apache.root()] {
        fs::write(root.join("version.html"), "1.0\n").expect("the root is ours");
    }
    wait_until(&perron, "md5", "up", "answered as expected (200)");
    wait_until(&perron, "sha256", "up", "answered as expected (200)");
}

#[test]
fn each_kind_beside_its_failing_twin() {
    let lab = lab::require!(Lab::new("checks-kinds"));
    let front = lab.host("front", "10.0.0.1/24");
    let (well, ill) = (lab.host("well", "10.0.0.11/24"), lab.host("ill", "10.0.0.12/24"));
    let mut running = vec![
        lab::require!(exim(&well, true)),
        lab::require!(exim(&ill, false)),
        lab::require!(dnsmasq(&well)),
        lab::require!(dnsmasq(&ill)),
        lab::require!(sshd(&well)),
    ];
    let said = folder(&front, "said");
    fs::write(said.join("up"), "up\n").expect("the folder is ours");
    fs::write(said.join("down"), "down # for a test\n").expect("the folder is ours");
    running.push(lab::require!(echo(&well, 9707, &said.join("up"))));
    running.push(lab::require!(echo(&ill, 9707, &said.join("down"))));
    let twin = |kind: &str, well: &str, ill: &str| {
        [(format!("{kind}-well"), checked("10.0.0.11:80", well)), (format!("{kind}-ill"), checked("10.0.0.12:80", ill))]
    };
    let servers = [
        twin("tcp", "type = \"tcp\", port = 22", "type = \"tcp\", port = 22"),
        twin("smtp", "type = \"smtp\", port = 25, helo = \"front.example.org\"", "type = \"smtp\", port = 25"),
        twin(
            "dns",
            "type = \"dns\", port = 53, name = \"www.example.org\", expect = \"10.0.0.9\"",
            "type = \"dns\", port = 53, name = \"www.example.org\", expect = \"10.0.0.8\"",
        ),
        twin(
            "unknown",
            "type = \"dns\", port = 53, name = \"www.example.org\"",
            "type = \"dns\", port = 53, name = \"other.example\", record = \"AAAA\"",
        ),
        twin("ping", "type = \"ping\"", "type = \"ping\", address = \"10.0.0.99\", timeout = \"300ms\"").map(
            |(name, lines)| {
                (name, lines.replace("{ timeout = \"2s\", type = \"ping\", address", "{ type = \"ping\", address"))
            },
        ),
        twin(
            "udp",
            "type = \"udp\", port = 9707, send = \"hex:00 70\", reply = \"hex:72 XX 3a 00\"",
            "type = \"udp\", port = 9708, send = \"x\"",
        ),
        twin("agent", "type = \"agent\", port = 9707", "type = \"agent\", port = 9707"),
    ];
    let servers: Vec<(String, String)> = servers.into_iter().flatten().collect();
    let servers: Vec<(&str, String)> = servers.iter().map(|(name, lines)| (name.as_str(), lines.clone())).collect();
    let perron = Perron::start(&front, &backend(&servers));
    for (kind, good, bad) in [
        ("tcp", "connected", "the connection failed"),
        ("smtp", "answered as expected (250)", "another status (55"),
        ("dns", "answered as expected (0)", "without the record that it must have (0)"),
        ("unknown", "answered as expected (0)", "another status (5)"),
        ("ping", "answered as expected", ""),
        ("udp", "answered as expected", "the connection failed"),
        ("agent", "answered as expected", "its agent says that it is down"),
    ] {
        wait_until(&perron, &format!("{kind}-well"), "up", good);
        wait_until(&perron, &format!("{kind}-ill"), "down", bad);
    }
    // A host that is gone is missed, and heard again.
    well.link_down();
    wait_until(&perron, "ping-well", "down", "");
    well.link_up();
    wait_until(&perron, "ping-well", "up", "answered as expected");
}

/// The certificate that is served expires between two probes: another one, already expired, takes its place.
#[test]
fn a_certificate_that_expires_takes_its_server_down() {
    let lab = lab::require!(Lab::new("checks-expiry"));
    let (front, server) = (lab.host("front", "10.0.0.1/24"), lab.host("server", "10.0.0.11/24"));
    let authority = lab::require!(Authority::new(&folder(&front, "authority"), "ca"));
    let good = authority.server("good", &["10.0.0.11"]);
    let extensions = "subjectAltName=IP:10.0.0.11\nextendedKeyUsage=serverAuth";
    let expired = authority.sign("expired", "/CN=expired", extensions, &["-days", "-1"]);
    let served = folder(&server, "served").join("served.pem");
    fs::copy(&good, &served).expect("the folder is ours");
    let directives = format!("listen 443 ssl; ssl_certificate {0}; ssl_certificate_key {0};", served.display());
    let nginx = lab::require!(Nginx::start_with(&server, "nginx", &directives));
    let ca = authority.certificate().display().to_string();
    let check = format!("type = \"https\", ca = \"{ca}\"");
    let any = "type = \"https\", verify = false";
    let perron = Perron::start(
        &front,
        &backend(&[("strict", checked("10.0.0.11:443", &check)), ("any", checked("10.0.0.11:443", any))]),
    );
    wait_until(&perron, "strict", "up", "answered as expected (200)");
    fs::copy(&expired, &served).expect("the folder is ours");
    let mut beside = fs::read_dir(nginx.root().parent().expect("the host's folder")).expect("the folder is ours");
    let pid = beside.find_map(|entry| fs::read_to_string(entry.ok()?.path().join("nginx.pid")).ok());
    server.run(&["kill", "-HUP", pid.expect("nginx says its number").trim()]).success();
    wait_until(&perron, "strict", "down", "its certificate has expired");
    wait_until(&perron, "any", "up", "answered as expected (200)");
    let url = "https://10.0.0.11/";
    let refused = digest(&front, &[url, "--ca", &ca]);
    assert!(refused.code == Some(1) && refused.stderr.contains("its certificate has expired"), "{}", refused.stderr);
    assert!(digest(&front, &[url, "--insecure"]).text().contains("md5"));
    wait_for(SOON, "the change is told", || perron.ask(&["events"]).text().contains("its certificate has expired"));
}
