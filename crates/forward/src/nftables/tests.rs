//! Against the real kernel, in namespaces of their own; what is there is told by nft(8).

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use forward_plan::{Persistence, Scheduler, Wanted, plan};
use lab::{Host, Lab, program, require};

use super::*;

const WEB: &str = "tcp 192.168.10.100:80";

fn server(endpoint: &str, weight: u16) -> Destination {
    Destination { endpoint: endpoint.parse().unwrap(), method: Method::Nat, weight, max_connections: None }
}

fn service(key: &str, scheduler: Scheduler, destinations: &[Destination]) -> Service {
    Service {
        key: key.parse().unwrap(),
        settings: Settings { scheduler, persistence: None },
        destinations: destinations.to_vec(),
    }
}

fn engine(host: &Host) -> Nftables {
    host.in_namespace(|| Nftables::open().unwrap())
}

/// Makes this so, and says how many changes it took.
fn become_so(engine: &mut Nftables, services: &[Service]) -> usize {
    let observed = engine.observe().unwrap();
    let ours = observed.iter().map(|service| service.key).collect();
    let wanted = services.iter().map(|service| Wanted { service: service.clone(), undecided: Vec::new() });
    let operations = plan(&wanted.collect::<Vec<_>>(), &observed, &ours);
    if !operations.is_empty() || engine.is_stale() {
        engine.apply(&operations).unwrap();
    }
    operations.len()
}

fn ruleset(host: &Host) -> String {
    host.run(&["nft", "list", "ruleset"]).success().text()
}

fn nft(host: &Host, arguments: &[&str]) {
    host.run(&[&["nft"], arguments].concat()).success();
}

#[test]
fn nft_shows_a_service_as_it_is_wanted() {
    let lab = require!(Lab::new("nftables-shown"));
    require!(program("nft"));
    let host = lab.host("director", "192.168.10.1/24");
    let mut engine = engine(&host);
    let web = service(WEB, Scheduler::WeightedRoundRobin, &[server("10.0.2.11:80", 3), server("10.0.2.12:8080", 1)]);
    assert_eq!(become_so(&mut engine, &[web]), 3);
    let shown = ruleset(&host);
    for line in [
        "type nat hook prerouting priority dstnat - 5; policy accept;",
        "ip daddr 192.168.10.100 tcp dport 80 goto tcp-192.168.10.100_80",
        "comment \"nat round-robin tcp 192.168.10.100:80\"",
        "dnat ip to numgen inc mod 4 map @slots-tcp-192.168.10.100_80",
        "10.0.2.11 . 80 counter packets 0 bytes 0 comment \"10.0.2.11:80\" : 0x00000001",
        ": 10.0.2.12 . 8080",
    ] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
}

#[test]
fn another_process_goes_on_with_what_is_there() {
    let lab = require!(Lab::new("nftables-adopted"));
    let host = lab.host("director", "192.168.10.1/24");
    let persistent =
        Settings { scheduler: Scheduler::SourceHash, persistence: Some(Persistence { seconds: 50, prefix: 24 }) };
    let services = [
        service(WEB, Scheduler::WeightedRoundRobin, &[server("10.0.2.11:80", 3), server("10.0.2.12:80", 0)]),
        service("udp [fd00::100]:53", Scheduler::Failover, &[server("[fd01::1]:53", 1), server("[fd01::2]:53", 2)]),
        service("tcp 192.168.10.100:8000-8010", Scheduler::RoundRobin, &[server("10.0.2.11", 1)]),
        service("tcp 192.168.10.101:80", Scheduler::RoundRobin, &[]),
        Service { settings: persistent, ..service("mark 5", Scheduler::RoundRobin, &[server("10.0.2.11", 1)]) },
    ];
    let mut first = engine(&host);
    become_so(&mut first, &services);
    let before = ruleset(&host);
    let mut next = engine(&host);
    let mut observed = next.observe().unwrap();
    observed.sort_by_key(|service| service.key);
    let mut wanted = services.to_vec();
    wanted.sort_by_key(|service| service.key);
    assert_eq!(observed, wanted);
    assert_eq!(become_so(&mut next, &services), 0);
    assert_eq!(ruleset(&host), before);
    next.remove(&[]).unwrap();
    assert_eq!(ruleset(&host), "");
}

#[test]
fn what_is_changed_by_hand_is_made_anew_and_others_tables_stay() {
    let lab = require!(Lab::new("nftables-repaired"));
    require!(program("nft"));
    let host = lab.host("director", "192.168.10.1/24");
    nft(&host, &["add", "table", "ip", "filter"]);
    nft(&host, &["add", "chain", "ip", "filter", "input", "{ type filter hook input priority 0; }"]);
    nft(&host, &["add", "rule", "ip", "filter", "input", "tcp dport 22 accept"]);
    let foreign = host.run(&["nft", "list", "table", "ip", "filter"]).success().text();
    let mut engine = engine(&host);
    let services =
        [service(WEB, Scheduler::WeightedRoundRobin, &[server("10.0.2.11:80", 3), server("10.0.2.12:80", 1)])];
    become_so(&mut engine, &services);
    let listed = |host: &Host| host.run(&["nft", "-s", "list", "table", "inet", "perron"]).success().text();
    let before = listed(&host);
    let slots = "slots-tcp-192.168.10.100_80";
    let hurts: [&[&str]; 6] = [
        &["delete", "table", "inet", "perron"],
        &["flush", "table", "inet", "perron"],
        &["delete", "element", "inet", "perron", slots, "{ 0x00000002 }"],
        &["add", "rule", "inet", "perron", "prerouting", "accept"],
        &["insert", "rule", "inet", "perron", "tcp-192.168.10.100_80", "drop"],
        &["add", "chain", "inet", "perron", "mine"],
    ];
    for hurt in hurts {
        nft(&host, hurt);
        assert_ne!(become_so(&mut engine, &services), 0, "{hurt:?}");
        assert_eq!(listed(&host), before, "after {hurt:?}");
        assert_eq!(become_so(&mut engine, &services), 0, "after {hurt:?}");
    }
    nft(&host, &["add", "rule", "ip", "filter", "input", "tcp dport 23 accept"]);
    assert_eq!(become_so(&mut engine, &services), 0);
    engine.remove(&[]).unwrap();
    let left = ruleset(&host);
    assert!(left.starts_with(foreign.trim_end_matches(['}', '\n', '\t'])) && !left.contains("perron"), "{left}");
}

#[test]
fn one_of_five_thousand_servers_is_a_few_elements() {
    let lab = require!(Lab::new("nftables-thousands"));
    let host = lab.host("director", "192.168.10.1/24");
    let mut engine = engine(&host);
    let all: Vec<Destination> =
        (0..5000u32).map(|at| server(&format!("10.1.{}.{}:80", at / 250, at % 250 + 1), 2)).collect();
    let mut web = service(WEB, Scheduler::WeightedRoundRobin, &all);
    become_so(&mut engine, &[web.clone()]);
    for weight in [0, 3] {
        let before = engine.known.clone().unwrap();
        web.destinations[4000].weight = weight;
        assert_eq!(become_so(&mut engine, &[web.clone()]), 1);
        let after = engine.known.clone().unwrap();
        let (transaction, _) = draw::changes(&before, &after.services, &BTreeSet::new());
        // The server's weight, its slots and those that moved for it, and how many there are, in the chain's rules.
        assert!(transaction.len() <= 9, "{} messages", transaction.len());
        let changed = |known: &Known| known.services.values().next().unwrap().elements();
        let (before, after) = (changed(&before), changed(&after));
        let differ: usize = after
            .iter()
            .map(|(set, elements)| elements.iter().filter(|element| !before[set].contains(element)).count())
            .sum();
        assert!(differ <= 7, "{differ} elements");
    }
}

/// A director between clients and servers on one cable, and servers that say who they are.
struct Site {
    _lab: Lab,
    client: Host,
    director: Host,
    servers: Vec<Host>,
}

impl Site {
    fn new(lab: Lab) -> Site {
        let client = lab.host("client", "192.168.10.2/24");
        let director = lab.host("director", "192.168.10.1/24");
        director.add_address("192.168.10.100/24");
        director.add_address("192.168.20.1/24");
        director.run(&["sysctl", "-qw", "net.ipv4.ip_forward=1"]).success();
        let servers = (11..14).map(|at| {
            let server = lab.host(&format!("web{at}"), &format!("192.168.20.{at}/24"));
            server.run(&["ip", "route", "add", "default", "via", "192.168.20.1"]).success();
            says_its_name(&server);
            server
        });
        let servers = servers.collect();
        Site { client, director, servers, _lab: lab }
    }

    /// Who answers so many new connections, and how often.
    fn answers(&self, count: usize) -> BTreeMap<String, usize> {
        let mut answers = BTreeMap::new();
        for _ in 0..count {
            let mut stream = connect(&self.client).unwrap();
            *answers.entry(ask(&mut stream).unwrap()).or_default() += 1;
        }
        answers
    }
}

/// Answers each byte with its name, on port 80.
fn says_its_name(host: &Host) {
    let (listener, name) = (host.listen(80), host.name().to_owned());
    host.thread(move || {
        for stream in listener.incoming() {
            let (mut stream, name) = (stream.unwrap(), name.clone());
            std::thread::spawn(move || {
                let mut byte = [0];
                while stream.read_exact(&mut byte).is_ok() && stream.write_all(name.as_bytes()).is_ok() {}
            });
        }
    });
}

fn connect(client: &Host) -> std::io::Result<TcpStream> {
    let stream =
        client.in_namespace(|| TcpStream::connect_timeout(&"192.168.10.100:80".parse().unwrap(), lab::SOON))?;
    stream.set_read_timeout(Some(lab::SOON))?;
    Ok(stream)
}

fn ask(stream: &mut TcpStream) -> std::io::Result<String> {
    stream.write_all(b"?")?;
    let mut name = [0; 5];
    stream.read_exact(&mut name)?;
    Ok(String::from_utf8_lossy(&name).into_owned())
}

fn counted(pairs: [(&str, usize); 2]) -> BTreeMap<String, usize> {
    pairs.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| (name.to_owned(), count)).collect()
}

#[test]
fn connections_are_spread_by_weight_and_stay_where_they_are() {
    let site = Site::new(require!(Lab::new("nftables-nat")));
    let mut engine = engine(&site.director);
    let (heavy, light) = (server("192.168.20.11:80", 3), server("192.168.20.12:80", 1));
    become_so(&mut engine, &[service(WEB, Scheduler::WeightedRoundRobin, &[heavy, light])]);
    assert_eq!(site.answers(40), counted([("web11", 30), ("web12", 10)]));
    let mut streams: Vec<TcpStream> = (0..8).map(|_| connect(&site.client).unwrap()).collect();
    let before: Vec<String> = streams.iter_mut().map(|stream| ask(stream).unwrap()).collect();
    // Drained: it keeps what it has, and gets nothing new.
    let drained = Destination { weight: 0, ..heavy };
    become_so(&mut engine, &[service(WEB, Scheduler::WeightedRoundRobin, &[drained, light])]);
    assert_eq!(site.answers(10), counted([("web11", 0), ("web12", 10)]));
    let after: Vec<String> = streams.iter_mut().map(|stream| ask(stream).unwrap()).collect();
    assert_eq!(after, before);
    let counts = engine.counts().unwrap();
    let of = |at: &str| *counts.iter().find(|count| count.endpoint.to_string() == at).unwrap();
    // Twelve of the connections were before the drain at the heavy one: thirty and six of the eight.
    assert_eq!((of("192.168.20.11:80").connections, of("192.168.20.11:80").active), (Some(36), 6));
    // Gone: its connections end, and a new one goes elsewhere.
    become_so(&mut engine, &[service(WEB, Scheduler::WeightedRoundRobin, &[light])]);
    assert!(engine.end_connections(&[(WEB.parse().unwrap(), heavy.endpoint)]).unwrap() >= 6);
    for (stream, server) in streams.iter_mut().zip(&before) {
        assert_eq!(ask(stream).is_ok(), server == "web12", "{server}");
    }
    assert_eq!(site.answers(4), counted([("web12", 4), ("", 0)]));
}

#[test]
fn a_client_stays_with_its_server_while_that_is_there() {
    let site = Site::new(require!(Lab::new("nftables-persistence")));
    let mut engine = engine(&site.director);
    let (one, two) = (server("192.168.20.11:80", 1), server("192.168.20.12:80", 1));
    let persistent = |destinations: &[Destination]| {
        let persistence = Some(Persistence { seconds: 50, prefix: 32 });
        let settings = Settings { scheduler: Scheduler::WeightedRoundRobin, persistence };
        Service { settings, ..service(WEB, Scheduler::RoundRobin, destinations) }
    };
    become_so(&mut engine, &[persistent(&[one, two])]);
    let first = site.answers(10);
    assert_eq!(first.len(), 1, "{first:?}");
    let (name, other) = match first.keys().next().unwrap().as_str() {
        "web11" => ("web12", two),
        _ => ("web11", one),
    };
    become_so(&mut engine, &[persistent(&[other])]);
    assert_eq!(site.answers(3), counted([(name, 3), ("", 0)]));
    // The one that comes back does not get the client back.
    become_so(&mut engine, &[persistent(&[one, two])]);
    assert_eq!(site.answers(6), counted([(name, 6), ("", 0)]));
}

#[test]
fn frames_go_to_the_server_as_they_are_and_it_answers_itself() {
    let site = Site::new(require!(Lab::new("nftables-direct")));
    for server in &site.servers {
        server.run(&["ip", "address", "add", "192.168.10.100/32", "dev", "lo"]).success();
        for setting in ["arp_ignore=1", "arp_announce=2"] {
            server.run(&["sysctl", "-qw", &format!("net.ipv4.conf.all.{setting}")]).success();
        }
        // The answer's way, past the director.
        server.run(&["ip", "route", "add", "192.168.10.0/24", "dev", "eth0"]).success();
    }
    site.client.run(&["ip", "route", "add", "192.168.20.0/24", "dev", "eth0"]).success();
    let mut engine = engine(&site.director);
    let direct = |endpoint: &str, weight| Destination { method: Method::Direct, ..server(endpoint, weight) };
    let (one, two) = (direct("192.168.20.11:80", 1), direct("192.168.20.12:80", 1));
    let by_hash = Scheduler::Maglev { ports: true };
    become_so(&mut engine, &[service(WEB, by_hash, &[one, two])]);
    let mut streams: Vec<TcpStream> = (0..20).map(|_| connect(&site.client).unwrap()).collect();
    let before: Vec<String> = streams.iter_mut().map(|stream| ask(stream).unwrap()).collect();
    assert!(before.contains(&"web11".to_owned()) && before.contains(&"web12".to_owned()), "{before:?}");
    // Drained, and joined by another: connections stay where they are.
    let drained = Destination { weight: 0, ..one };
    become_so(&mut engine, &[service(WEB, by_hash, &[drained, two, direct("192.168.20.13:80", 1)])]);
    let after: Vec<String> = streams.iter_mut().map(|stream| ask(stream).unwrap()).collect();
    assert_eq!(after, before);
    assert!(!site.answers(20).contains_key("web11"));
    let counts = engine.counts().unwrap();
    assert!(counts.iter().all(|count| count.active > 0), "{counts:?}");
    // Another process finds it as it is.
    assert_eq!(
        become_so(
            &mut self::engine(&site.director),
            &[service(WEB, by_hash, &[drained, two, direct("192.168.20.13:80", 1)])]
        ),
        0
    );
}
