//! A director whose kernel forwards, by nftables: what clients see while servers come and go, tables are flushed and
//! processes die.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use lab::{Host, Lab, Perron, Process, SOON, Skip, program, require, wait_for};
use rustix::process::Signal;
use serde_json::Value;

/// Where clients reach it.
const WEB: &str = "192.168.10.100:80";
const NAMES: &str = "192.168.10.100:53";

/// Answers each byte of a connection at port 80, and each datagram at port 53, with its name.
const SAYS_ITS_NAME: &str = "
import socket, sys, threading
name = sys.argv[1].encode()
def talk(stream):
    while stream.recv(1):
        stream.sendall(name)
def datagrams():
    while True:
        _, asker = udp.recvfrom(64)
        udp.sendto(name, asker)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(('', 53))
threading.Thread(target=datagrams, daemon=True).start()
tcp = socket.socket()
tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
tcp.bind(('', 80))
tcp.listen(64)
while True:
    threading.Thread(target=talk, args=(tcp.accept()[0],), daemon=True).start()
";

/// A client, a director, and servers behind it.
struct Site {
    client: Host,
    director: Host,
    servers: Vec<Host>,
    _lab: Lab,
}

impl Site {
    fn new(name: &str) -> Result<Site, Skip> {
        let lab = Lab::new(name)?;
        program("nft")?;
        program("python3")?;
        let client = lab.host("client", "192.168.10.2/24");
        let director = lab.host("director", "192.168.10.1/24");
        director.add_address("192.168.10.100/24");
        director.add_address("192.168.20.1/24");
        director.run(&["sysctl", "-qw", "net.ipv4.ip_forward=1"]).success();
        let server = |at: u8| {
            let server = lab.host(&format!("web{at}"), &format!("192.168.20.{at}/24"));
            server.run(&["ip", "route", "add", "default", "via", "192.168.20.1"]).success();
            server
        };
        let servers = (11..13).map(server).collect();
        Ok(Site { client, director, servers, _lab: lab })
    }

    fn server(&self, place: usize) -> Process {
        let host = &self.servers[place];
        let server = host.spawn(&["python3", "-c", SAYS_ITS_NAME, host.name()]);
        wait_for(SOON, "the server answers", || host.try_connect("127.0.0.1:80").is_ok());
        server
    }

    fn connect(&self) -> std::io::Result<TcpStream> {
        let stream =
            self.client.in_namespace(|| TcpStream::connect_timeout(&WEB.parse().expect("an address"), SOON))?;
        stream.set_read_timeout(Some(SOON))?;
        Ok(stream)
    }

    /// Who answers so many new connections, and how often.
    fn answers(&self, count: usize) -> BTreeMap<String, usize> {
        let mut answers = BTreeMap::new();
        for _ in 0..count {
            *answers.entry(ask(&mut self.connect().expect("a connection")).expect("an answer")).or_default() += 1;
        }
        answers
    }

    /// A client of the service of datagrams, at a port of its own.
    fn asker(&self) -> UdpSocket {
        let asker = self.client.in_namespace(|| UdpSocket::bind("192.168.10.2:0")).expect("a port is free");
        asker.connect(NAMES).expect("datagrams need no answer to that");
        asker.set_read_timeout(Some(Duration::from_millis(500))).expect("it is not zero");
        asker
    }

    fn table(&self) -> String {
        self.director.run(&["nft", "list", "ruleset"]).success().text()
    }
}

fn ask(stream: &mut TcpStream) -> std::io::Result<String> {
    stream.write_all(b"?")?;
    let mut name = [0; 5];
    stream.read_exact(&mut name)?;
    Ok(String::from_utf8_lossy(&name).into_owned())
}

/// Who answers a datagram; `None` if nobody does.
fn ask_datagram(asker: &UdpSocket) -> Option<String> {
    asker.send(b"?").ok()?;
    let mut name = [0; 8];
    let length = asker.recv(&mut name).ok()?;
    Some(String::from_utf8_lossy(&name[..length]).into_owned())
}

fn counted(pairs: &[(&str, usize)]) -> BTreeMap<String, usize> {
    pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

const CONFIG: &str = r#"
[frontend.web]
mode = "forward"
bind = "192.168.10.100:80"
backend = "web"

[frontend.names]
mode = "forward"
bind = "192.168.10.100:53"
backend = "names"
forward = { protocol = "udp" }

[backend.web]
interval = "100ms"
check = { type = "tcp" }
[[backend.web.server]]
name = "web11"
address = "192.168.20.11:80"
weight = 3
[[backend.web.server]]
name = "web12"
address = "192.168.20.12:80"

[backend.names]
balance = "source-hash"
interval = "100ms"
check = { type = "tcp", port = 80 }
[[backend.names.server]]
address = "192.168.20.11:53"
[[backend.names.server]]
address = "192.168.20.12:53"
"#;

/// The weights of a frontend's servers in the kernel.
fn weights(perron: &Perron, frontend: &str) -> BTreeMap<String, u64> {
    let report = perron.ask(&["status", "forward", "--json"]).success().text();
    let report: Value = serde_json::from_str(&report).expect("it is JSON");
    let services = report["services"].as_array().expect("a list").iter();
    let of = services.filter(|service| service["frontend"] == frontend);
    of.flat_map(|service| service["destinations"].as_array().expect("a list"))
        .map(|server| {
            (server["address"].as_str().expect("text").to_owned(), server["weight"].as_u64().expect("a number"))
        })
        .collect()
}

#[track_caller]
fn wait_for_weights(perron: &Perron, frontend: &str, wanted: &[(&str, u64)]) {
    let wanted: BTreeMap<String, u64> = wanted.iter().map(|(at, weight)| ((*at).to_owned(), *weight)).collect();
    wait_for(SOON, &format!("{frontend} has {wanted:?}"), || weights(perron, frontend) == wanted);
}

const BOTH: [(&str, u64); 2] = [("192.168.20.11:80", 3), ("192.168.20.12:80", 1)];

#[test]
fn connections_and_datagrams_are_spread_and_servers_leave_and_come_back() {
    let site = require!(Site::new("forward-nat"));
    let (one, _two) = (site.server(0), site.server(1));
    let mut perron = Perron::start_ready(&site.director, CONFIG);
    wait_for_weights(&perron, "web", &BOTH);
    assert_eq!(site.answers(40), counted(&[("web11", 30), ("web12", 10)]));
    let askers: Vec<UdpSocket> = (0..8).map(|_| site.asker()).collect();
    let first = ask_datagram(&askers[0]).unwrap();
    assert!(askers.iter().all(|asker| ask_datagram(asker).as_ref() == Some(&first)), "one client, one server");
    let shown = perron.ask(&["status", "forward"]).success().text();
    for line in ["tcp 192.168.10.100:80", "udp 192.168.10.100:53", "192.168.20.11:80", "nftables", "source-hash"] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
    let mut streams: Vec<TcpStream> = (0..4).map(|_| site.connect().unwrap()).collect();
    let before: Vec<String> = streams.iter_mut().map(|stream| ask(stream).unwrap()).collect();
    drop(one);
    wait_for_weights(&perron, "web", &BOTH[1..]);
    assert_eq!(site.answers(6), counted(&[("web12", 6)]));
    for (stream, server) in streams.iter_mut().zip(&before) {
        assert_eq!(ask(stream).is_ok(), server == "web12", "{server}");
    }
    wait_for(SOON, "datagrams go to the server that is left", || {
        askers.iter().all(|asker| ask_datagram(asker).as_deref() == Some("web12"))
    });
    let _one = site.server(0);
    wait_for_weights(&perron, "web", &BOTH);
    assert_eq!(site.answers(8), counted(&[("web11", 6), ("web12", 2)]));
    perron.stop();
    assert!(!site.table().contains("perron"), "{}", site.table());
}

#[test]
fn a_table_flushed_by_hand_is_back_and_others_stay() {
    let site = require!(Site::new("forward-flushed"));
    let (_one, _two) = (site.server(0), site.server(1));
    let perron = Perron::start_ready(&site.director, CONFIG);
    wait_for_weights(&perron, "web", &BOTH);
    // What is put back while something else changes is not told.
    wait_for_weights(&perron, "names", &[("192.168.20.11:53", 1), ("192.168.20.12:53", 1)]);
    for command in ["add table ip mine", "add chain ip mine kept", "delete table inet perron"] {
        site.director.run(&["nft", command]).success();
    }
    wait_for(SOON, "the table is back", || site.table().contains("table inet perron"));
    assert!(site.table().contains("chain kept"), "{}", site.table());
    assert_eq!(site.answers(8), counted(&[("web11", 6), ("web12", 2)]));
    wait_for(SOON, "it is told", || {
        let told = perron.ask(&["events"]).success().text();
        told.contains("what another program changed in nftables is put back")
    });
}

#[test]
fn packets_pass_while_processes_die_and_the_next_ones_go_on() {
    let site = require!(Site::new("forward-deaths"));
    let (_one, _two) = (site.server(0), site.server(1));
    let mut perron = Perron::start_ready(&site.director, CONFIG);
    wait_for_weights(&perron, "web", &BOTH);
    let mut streams: Vec<TcpStream> = (0..8).map(|_| site.connect().unwrap()).collect();
    let before: Vec<String> = streams.iter_mut().map(|stream| ask(stream).unwrap()).collect();
    let mut go_on = |what: &str| {
        let now: Vec<String> = streams.iter_mut().map(|stream| ask(stream).unwrap()).collect();
        assert_eq!(now, before, "after {what}");
        assert_eq!(site.answers(4).values().sum::<usize>(), 4, "after {what}");
    };
    let network = perron.network_pids();
    perron.signal(&network, Signal::KILL);
    go_on("the death of the process that keeps the table");
    wait_for(SOON, "another process keeps it", || {
        perron.network_pids() != network && weights(&perron, "web").len() == 2
    });
    go_on("its successor's beginning");
    perron.signal_serve(Signal::KILL);
    go_on("the death of the process that checks");
    perron.reload(CONFIG).unwrap();
    go_on("a reload");
    perron.kill();
    go_on("the death of all");
    assert!(site.table().contains("table inet perron"), "the kernel goes on");
    let perron = Perron::start_ready(&site.director, CONFIG);
    go_on("another beginning");
    wait_for_weights(&perron, "web", &BOTH);
    let told = perron.ask(&["events"]).success().text();
    assert!(!told.contains("put back"), "the table was taken over as it was:\n{told}");
}
