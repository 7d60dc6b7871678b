//! Interfaces that come and go, sources, peers, and what else is on the network.

use failover::{Subject, Track};
use lab::Host;
use vrrp_proto::{Centiseconds, Checksum, Peers, Protocol};

use crate::director::{Director, active_and_backup, has_address, two, vip};

const ADDRESS: &str = "10.0.0.100/32";

/// A link whose other end is here too.
fn add_link(host: &Host) {
    host.run(&["ip", "link", "add", "veth0", "type", "veth", "peer", "name", "veth1"]);
    host.run(&["ip", "link", "set", "veth1", "up"]);
    host.run(&["ip", "link", "set", "veth0", "up"]);
}

fn on_veth() -> failover::Vip {
    failover::Vip { interface: "veth0".to_owned(), ..vip("web", 51, 100, "10.8.0.100/32") }
}

#[test]
fn an_interface_comes_later_and_goes_and_comes_anew() {
    let (_lab, one, _other) = lab::require!(two("engine-later"));
    let director = Director::running(&one, vec![on_veth()]);
    director.wait_for_state("fault");
    assert_eq!(director.vip().diagnosis, ["there is no interface veth0"]);
    add_link(&one);
    director.wait_for("it lacks a source", |director| {
        director.vip().diagnosis == ["veth0 has no address of its own for adverts to come from"]
    });
    one.run(&["ip", "address", "add", "10.8.0.1/24", "dev", "veth0"]);
    director.wait_for_address("10.8.0.100/32", true);
    one.run(&["ip", "link", "del", "veth0"]);
    director.wait_for_state("fault");
    add_link(&one);
    one.run(&["ip", "address", "add", "10.8.0.1/24", "dev", "veth0"]);
    director.wait_for_address("10.8.0.100/32", true);
    assert_eq!(director.vip().became_active, 2);
}

#[test]
fn the_source_goes_and_another_takes_its_place() {
    let (_lab, one, other) = lab::require!(two("engine-source"));
    let (first, second) = active_and_backup(&one, &other, |priority| vip("web", 51, priority, ADDRESS));
    // One that came before the backup listened is counted already.
    let refused = second.vip().refused;
    one.set("net/ipv4/conf/eth0/promote_secondaries", "1").unwrap();
    one.add_address("10.0.0.11/24");
    one.remove_address("10.0.0.1/24");
    second.wait_for("adverts come from the other address", |second| {
        second.vip().active == Some(("10.0.0.11".parse().unwrap(), 250))
    });
    assert_eq!(second.vip().refused, refused, "each was whole");
    one.remove_address("10.0.0.11/24");
    first.wait_for_state("fault");
    second.wait_for_address(ADDRESS, true);
    assert!(!has_address(&one, ADDRESS));
}

#[test]
fn named_peers_hear_each_other_without_multicast() {
    let (_lab, one, other) = lab::require!(two("engine-unicast"));
    for host in [&one, &other] {
        host.run(&["ip", "link", "set", "eth0", "multicast", "off"]);
    }
    let make = |priority| {
        let (own, peer) = if priority == 250 { ("10.0.0.1", "10.0.0.2") } else { ("10.0.0.2", "10.0.0.1") };
        let peers = Peers::Unicast(vec![peer.parse().unwrap()]);
        failover::Vip { peers, source: Some(own.parse().unwrap()), ..vip("web", 51, priority, ADDRESS) }
    };
    let (first, second) = active_and_backup(&one, &other, make);
    first.engine.stop();
    second.wait_for_address(ADDRESS, true);
}

#[test]
fn a_source_that_is_not_there_yet_is_waited_for() {
    let (_lab, one, _other) = lab::require!(two("engine-freebind"));
    let source = "10.0.0.55";
    let peers = Peers::Unicast(vec!["10.0.0.2".parse().unwrap()]);
    let vip = failover::Vip { source: Some(source.parse().unwrap()), peers, ..vip("web", 51, 100, ADDRESS) };
    let director = Director::running(&one, vec![vip]);
    director.wait_for_state("fault");
    assert_eq!(
        director.vip().diagnosis,
        ["this machine does not have the address 10.0.0.55, which adverts are to come from"]
    );
    one.add_address("10.0.0.55/24");
    director.wait_for_address(ADDRESS, true);
}

#[test]
fn a_tracked_interface_without_a_carrier_is_a_fault() {
    let (_lab, one, _other) = lab::require!(two("engine-track"));
    add_link(&one);
    let subject = Subject::Interface("veth0".to_owned());
    let track = vec![Track { subject, weight: None, reverse: false }];
    let director = Director::running(&one, vec![failover::Vip { track, ..vip("web", 51, 100, ADDRESS) }]);
    director.wait_for_address(ADDRESS, true);
    one.run(&["ip", "link", "set", "veth0", "down"]);
    director.wait_for_address(ADDRESS, false);
    assert_eq!(director.vip().diagnosis, ["it takes no part, because interface/veth0 is not well"]);
    one.run(&["ip", "link", "set", "veth0", "up"]);
    director.wait_for_address(ADDRESS, true);
}

/// Two that cannot understand each other are both active, and both say why.
#[test]
fn what_keeps_two_from_understanding_each_other_is_said() {
    let (_lab, one, other) = lab::require!(two("engine-versions"));
    let first = Director::running(&one, vec![vip("web", 51, 250, ADDRESS)]);
    let v2 = Protocol::V2 { seconds: std::num::NonZeroU8::MIN, password: None };
    let second = Director::running(&other, vec![failover::Vip { protocol: v2, ..vip("web", 51, 240, ADDRESS) }]);
    for (director, peer) in [(&first, "10.0.0.2"), (&second, "10.0.0.1")] {
        let says = format!("an advert of {peer} is not taken: it is of another version; one of the two has to change");
        director.wait_for("it says so", |director| director.vip().diagnosis.contains(&says));
        assert!(director.vip().refused["other_version"] > 0);
    }
}

/// Two clusters on one network, or a number that was mistyped.
#[test]
fn an_unknown_virtual_router_is_named_with_its_source() {
    let (_lab, one, other) = lab::require!(two("engine-strangers"));
    let first = Director::running(&one, vec![vip("web", 51, 250, ADDRESS)]);
    let _second = Director::running(&other, vec![vip("web", 15, 240, "10.0.0.200/32")]);
    let says = "10.0.0.2 sends adverts of virtual router 15 here, which no vip of ours is";
    first.wait_for("it says so", |first| first.vip().diagnosis.iter().any(|line| line == says));
}

/// Adverts that reach one way only: `other` drops what comes.
#[test]
fn two_active_are_told_in_plain_words() {
    let (_lab, one, other) = lab::require!(two("engine-split"));
    let (first, second) = active_and_backup(&one, &other, |priority| vip("web", 51, priority, ADDRESS));
    other.drop_incoming("ip protocol vrrp");
    second.wait_for_state("active");
    first.wait_for("it says so", |first| {
        let told = first.vip().diagnosis;
        told.iter().any(|line| {
            line.starts_with("two active since ")
                && line.ends_with(": peer 10.0.0.2, priority 240; its adverts reach us, ours do not reach it")
        })
    });
    let before = first.vip().announced;
    other.drop_nothing();
    second.wait_for_state("backup");
    assert!(first.vip().announced >= before && first.vip().became_active == 1);
}

/// As fast as a program can send: our own adverts go on, and the backup hears them.
#[test]
fn a_flood_of_hostile_adverts_moves_nothing() {
    let (_lab, one, other) = lab::require!(two("engine-flood"));
    let make = |priority| {
        let protocol = Protocol::V3 { interval: Centiseconds::new(10).unwrap(), checksum: Checksum::PseudoHeader };
        failover::Vip { protocol, ..vip("web", 51, priority, ADDRESS) }
    };
    let (first, second) = active_and_backup(&one, &other, make);
    // Of our number, and with a wrong checksum: each reaches the socket, and none is believed.
    other.run(&["python3", "-c", FLOOD]).success();
    first.wait_for("it has counted them", |first| {
        first.vip().refused.get("advert_checksum").is_some_and(|&count| count > 1000)
    });
    assert_eq!((first.vip().became_active, second.vip().became_active), (1, 0));
}

const FLOOD: &str = r#"
import socket, time
sockets = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
sockets.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
sockets.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.0.0.2"))
end = time.monotonic() + 2
while time.monotonic() < end:
    for _ in range(100):
        try:
            sockets.sendto(b"\x31\x33\x64\x01\0\x01\0\0\x0a\0\0\x64", ("224.0.0.18", 0))
        except BlockingIOError:
            pass
"#;

/// A third machine that was given the address by hand.
#[test]
fn a_machine_that_has_an_address_of_ours_is_named() {
    let (_lab, one, other) = lab::require!(two("engine-claim"));
    let director = Director::running(&one, vec![vip("web", 51, 250, ADDRESS)]);
    director.wait_for_address(ADDRESS, true);
    other.add_address("10.0.0.100/24");
    let link = other.run(&["ip", "-o", "link", "show", "eth0"]).text();
    let (_, mac) = link.split_once("link/ether ").unwrap();
    let mac = mac.split_whitespace().next().unwrap();
    let says = format!("{mac} says that 10.0.0.100 is its own: another machine has the address");
    director.wait_for("it says so", |director| {
        // It asks for a neighbour with the address as its own.
        other.run(&["ip", "neigh", "flush", "all"]);
        other.run(&["curl", "-s", "--max-time", "1", "--interface", "10.0.0.100", "http://10.0.0.1:9/"]);
        director.vip().diagnosis.contains(&says)
    });
    assert_eq!(director.notes(), [format!("{mac} says that 10.0.0.100 is its own")]);
    assert!(director.vip().conflicts > 0 && director.vip().state == "active");
}
