//! The cluster's name, asked for with dig: what is answered, in which order, and that it is answered at any moment.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use lab::{Host, Lab, Perron, SOON, Skip, perron_binary, wait_for};
use rustix::process::Signal;

/// Is there an A record of `www.cluster.example`? (RFC 1035 section 4.1.)
const ASKED: &[u8] = b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\0\x03www\x07cluster\x07example\0\0\x01\0\x01";

struct Cluster {
    client: Host,
    director: Host,
    _lab: Lab,
}

fn cluster(name: &str) -> Result<Cluster, Skip> {
    lab::program("dig")?;
    let lab = Lab::new(name)?;
    let client = lab.host("client", "10.0.0.1/24");
    let director = lab.host("director", "10.0.0.2/24");
    Ok(Cluster { client, director, _lab: lab })
}

fn text(addresses: &[String], ttl: u32, rate_limit: u32) -> String {
    format!(
        "[frontend.web]\nbind = \"10.0.0.2:80\"\nbackend = \"web\"\n\
         [backend.web]\nserver = [{{ name = \"a\", address = \"10.0.0.9:80\" }}]\n\
         [dns]\nbind = [\"10.0.0.2:53\", \"10.0.0.3:53\"]\nname = \"www.cluster.example\"\nttl = \"{ttl}s\"\n\
         rate-limit = {rate_limit}\naddresses = {addresses:?}\n"
    )
}

fn three() -> Vec<String> {
    ["10.20.0.11", "10.20.0.12", "2001:db8::11"].map(str::to_owned).to_vec()
}

impl Cluster {
    fn dig(&self, arguments: &[&str]) -> String {
        self.dig_at("@10.0.0.2", arguments)
    }

    fn dig_at(&self, server: &str, arguments: &[&str]) -> String {
        let always = ["dig", server, "+tries=1", "+timeout=5", "+norecurse", "+nocookie"];
        self.client.run(&[&always, arguments].concat()).text()
    }

    /// The lines of the answer, each a record.
    fn records(&self, arguments: &[&str]) -> Vec<String> {
        let text = self.dig(&[&["+noall", "+answer"], arguments].concat());
        text.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<&str>>().join(" ")).collect()
    }
}

#[test]
fn dig_is_answered_with_the_addresses_in_turns_and_with_nothing_that_is_not_ours() {
    let cluster = lab::require!(cluster("name-dig"));
    let perron = Perron::start(&cluster.director, &text(&three(), 7, 1000));
    let first = "www.cluster.example. 7 IN A 10.20.0.11";
    let second = "www.cluster.example. 7 IN A 10.20.0.12";
    assert_eq!(cluster.records(&["www.cluster.example", "A"]), [first, second]);
    assert_eq!(cluster.records(&["www.cluster.example", "AAAA"]), ["www.cluster.example. 7 IN AAAA 2001:db8::11"]);
    assert_eq!(cluster.records(&["www.cluster.example", "A"]), [second, first]);
    assert_eq!(cluster.records(&["+tcp", "www.cluster.example", "A"]), [first, second]);
    assert_eq!(cluster.records(&["wWw.CLuster.example", "AAAA"]), ["wWw.CLuster.example. 7 IN AAAA 2001:db8::11"]);
    // Two on one connection.
    let both = ["+tcp", "+keepopen", "www.cluster.example", "AAAA", "www.cluster.example", "AAAA"];
    assert_eq!(cluster.records(&both).len(), 2);
    let said = cluster.dig(&["www.cluster.example", "A"]);
    assert!(said.contains("status: NOERROR") && said.contains("flags: qr aa;"), "{said}");
    assert!(said.contains("EDNS: version: 0, flags:; udp: 1232") && !said.contains("WARNING"), "{said}");
    let soa =
        "www.cluster.example.\t7\tIN\tSOA\twww.cluster.example. hostmaster.www.cluster.example. 1 3600 600 86400 7";
    for (asked, status, authority) in [
        (&["www.cluster.example", "MX"][..], "NOERROR", true),
        (&["a.www.cluster.example", "A"], "NXDOMAIN", true),
        (&["cluster.example", "A"], "REFUSED", false),
        (&["example.org", "A"], "REFUSED", false),
        (&["version.bind", "CH", "TXT"], "REFUSED", false),
        (&["+opcode=notify", "www.cluster.example", "SOA"], "NOTIMP", false),
        (&["+edns=1", "+noednsnegotiation", "www.cluster.example", "A"], "BADVERS", false),
    ] {
        let said = cluster.dig(asked);
        assert!(said.contains(&format!("status: {status},")), "{asked:?}: {said}");
        assert_eq!(said.contains(soa), authority, "{asked:?}: {said}");
    }
    let transfer = cluster.dig(&["www.cluster.example", "AXFR"]);
    assert!(transfer.contains("Transfer failed"), "{transfer}");
    let service = &perron.status()["name_service"];
    assert_eq!(service["addresses"][0]["address"], "10.20.0.11");
    assert!(service["answers"]["refused"].as_u64() >= Some(4), "{service}");
    assert_eq!(service["dropped"]["rate-limit"], 0);
}

#[test]
fn an_address_that_comes_later_answers_as_itself_and_long_answers_come_by_tcp() {
    let cluster = lab::require!(cluster("name-later"));
    let many: Vec<String> = (1..=80).map(|last| format!("10.20.1.{last}")).collect();
    let _perron = Perron::start(&cluster.director, &text(&many, 5, 1000));
    cluster.director.add_address("10.0.0.3/24");
    // dig takes no answer from another address than the one it asked.
    let said = cluster.dig_at("@10.0.0.3", &["+ignore", "+bufsize=512", "www.cluster.example", "A"]);
    assert!(said.contains("flags: qr aa tc;") && said.contains("ANSWER: 0"), "{said}");
    let said = cluster.dig_at("@10.0.0.3", &["www.cluster.example", "A"]);
    assert!(said.contains("Truncated, retrying in TCP mode") && said.contains("ANSWER: 80"), "{said}");
}

#[test]
fn a_flood_from_a_source_has_the_rate_answered_and_half_of_the_rest_sent_to_tcp() {
    let cluster = lab::require!(cluster("name-flood"));
    let perron = Perron::start(&cluster.director, &text(&three(), 5, 10));
    let count = |what: &str, which: &str| perron.status()["name_service"][what][which].as_u64().unwrap_or(0);
    cluster.client.in_namespace(|| {
        let socket = UdpSocket::bind("10.0.0.1:0").expect("a socket");
        for _ in 0..100 {
            socket.send_to(ASKED, "10.0.0.2:53").expect("the director's host is there");
        }
    });
    let all = || count("answers", "addresses") + count("answers", "slipped") + count("dropped", "rate-limit");
    wait_for(SOON, "all have been read", || all() == 100);
    let (slipped, dropped) = (count("answers", "slipped"), count("dropped", "rate-limit"));
    assert!(slipped > 0 && (slipped == dropped || slipped + 1 == dropped), "{slipped} slipped, {dropped} dropped");
    assert_eq!(cluster.records(&["+tcp", "www.cluster.example", "A"]).len(), 2);
}

/// Asks one question after the other, until told to stop; how many had no answer within a second, and how many had.
fn ask(client: &Host, stop: &Arc<AtomicBool>) -> std::thread::JoinHandle<(u32, u32)> {
    let stop = Arc::clone(stop);
    client.thread(move || {
        let (mut lost, mut answered) = (0, 0);
        while !stop.load(Relaxed) {
            let socket = UdpSocket::bind("10.0.0.1:0").expect("a socket");
            socket.set_read_timeout(Some(Duration::from_secs(1))).expect("a time");
            socket.send_to(ASKED, "10.0.0.2:53").expect("the director's host is there");
            match socket.recv(&mut [0; 512]) {
                Ok(_) => answered += 1,
                Err(_) => lost += 1,
            }
        }
        (lost, answered)
    })
}

#[test]
fn each_question_is_answered_over_reloads_and_upgrades_and_again_after_a_death() {
    let cluster = lab::require!(cluster("name-reload"));
    let mut perron = Perron::start(&cluster.director, &text(&three(), 5, 1_000_000));
    let stop = Arc::new(AtomicBool::new(false));
    let asking = ask(&cluster.client, &stop);
    perron.reload(&text(&three(), 6, 1_000_000)).expect("it is right");
    let is_new = |ttl: &str| cluster.records(&["www.cluster.example", "AAAA"])[0].contains(&format!(" {ttl} IN "));
    wait_for(SOON, "the new configuration answers", || is_new("6"));
    for _ in 0..20 {
        assert!(is_new("6"), "the old process answers still");
    }
    let binary = perron_binary();
    perron.ask(&["upgrade", "--binary", binary.to_str().expect("a path of text")]).success();
    assert!(is_new("6"));
    stop.store(true, Relaxed);
    let (lost, answered) = asking.join().expect("it asks");
    assert!(lost == 0 && answered > 0, "{lost} of {answered} lost");
    perron.signal_serve(Signal::KILL);
    wait_for(SOON, "it is answered again", || {
        let answer = ["dig", "@10.0.0.2", "+tries=1", "+timeout=1", "+short", "www.cluster.example", "AAAA"];
        cluster.client.run(&answer).stdout == b"2001:db8::11\n"
    });
    perron.stop();
}
