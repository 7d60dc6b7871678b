//! What has gone wrong for others who moved addresses, with the whole program.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lab::{Adverts, Host, Keepalived, Perron, VirtualRouter, advert_v3, wait_for};
use rustix::process::Signal;

use crate::site::{LONG, Site, both_have, hears, moves, perron, sends};

const ADDRESS: &str = "10.0.0.100/32";
const ONE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

fn router(priority: u8) -> VirtualRouter {
    VirtualRouter::new("web", 51, priority, &[ADDRESS])
}

/// An active director on the first host, and a backup that hears it on the other.
fn two(site: &Site, router: impl Fn(&Host, u8) -> VirtualRouter) -> (Perron, Perron) {
    let active = perron(&site.one, &[router(&site.one, 200)], "");
    moves(ADDRESS, &site.one, &site.other);
    let backup = perron(&site.other, &[router(&site.other, 100)], "");
    hears(&backup, "web", 3);
    (active, backup)
}

fn became_active(perron: &Perron) -> u64 {
    perron.vip("web")["became_active"].as_u64().expect("a count")
}

#[test]
fn adverts_go_on_while_the_supervisor_stands_still() {
    let site = lab::require!(Site::new("vrrp-supervisor-frozen"));
    let (mut active, backup) = two(&site, |_, priority| router(priority));
    let ear = Adverts::on(&site.client);
    // Nobody writes the log, runs scripts or answers questions now.
    active.process().signal(Signal::STOP);
    ear.forget();
    for _ in 0..30 {
        assert!(ear.next_of(ONE, LONG).is_some(), "adverts go on");
    }
    assert_eq!(became_active(&backup), 0);
    assert!(site.one.has_address(ADDRESS));
    active.process().signal(Signal::CONT);
    sends(&active, "web", 1);
    assert_eq!(became_active(&active), 1);
}

#[test]
fn a_flood_of_bad_adverts_with_our_number_moves_nothing() {
    let site = lab::require!(Site::new("vrrp-flood"));
    let (active, backup) = two(&site, |_, priority| router(priority));
    let hostile = Adverts::on(&site.client);
    let stop = Arc::new(AtomicBool::new(false));
    let flood = std::thread::spawn({
        let stop = stop.clone();
        let mut bad = advert_v3(51, 255, 1, &[Ipv4Addr::new(10, 0, 0, 100)]);
        bad[6] ^= 0xff;
        move || {
            while !stop.load(Ordering::Relaxed) {
                // A queue that is full takes the next one.
                let _ = hostile.send(&bad);
            }
        }
    });
    sends(&active, "web", 30);
    let refused = |perron: &Perron| perron.vip("web")["refused"]["advert_checksum"].as_u64().unwrap_or(0);
    for perron in [&active, &backup] {
        wait_for(LONG, "bad adverts are counted", || refused(perron) > 1000);
    }
    assert_eq!((became_active(&active), became_active(&backup)), (1, 0));
    moves(ADDRESS, &site.one, &site.other);
    stop.store(true, Ordering::Relaxed);
    flood.join().expect("it ends");
}

#[test]
fn another_cluster_with_our_number_is_named() {
    let site = lab::require!(Site::new("vrrp-same-number"));
    let others = VirtualRouter::new("theirs", 51, 200, &["10.0.0.200/32"]);
    let _theirs = lab::require!(Keepalived::start(&site.other, &[others]));
    wait_for(LONG, "the other cluster has its address", || site.other.has_address("10.0.0.200/32"));
    let ours = perron(&site.one, &[router(100)], "");
    hears(&ours, "web", 6);
    let said = || ours.vip("web")["diagnosis"].to_string();
    wait_for(LONG, "its list of addresses is said to be another", || said().contains("10.0.0.2 "));
    assert!(!site.one.has_address(ADDRESS));
}

#[test]
fn peers_learn_the_new_mac_of_one_that_comes_back() {
    let site = lab::require!(Site::new("vrrp-cold-arp"));
    let (active, backup) = two(&site, |own, priority| {
        let peer = if own.name() == "one" { &site.other } else { &site.one };
        let unicast = Some((own.address().to_string(), vec![peer.address().to_string()]));
        VirtualRouter { unicast, ..router(priority) }
    });
    site.other.link_down();
    backup.wait_for_vip("web", "fault");
    site.other.run(&["ip", "link", "set", "dev", "eth0", "address", "02:00:00:00:00:77"]).success();
    site.other.link_up();
    let known = || site.one.run(&["ip", "neighbour", "show", "10.0.0.2"]).text().contains("02:00:00:00:00:77");
    wait_for(LONG, "the active director knows where its peer is", known);
    hears(&backup, "web", 10);
    assert_eq!((became_active(&active), became_active(&backup)), (1, 0));
}

#[test]
fn an_ipv6_address_that_two_had_is_usable_at_the_one_that_keeps_it() {
    let site = lab::require!(Site::new("vrrp-dad"));
    lab::require!(lab::program("nft"));
    const VIP: &str = "fd00::100/128";
    let router = |priority| VirtualRouter::new("web", 51, priority, &["fe80::51/64", VIP]);
    let active = perron(&site.one, &[router(200)], "");
    moves(VIP, &site.one, &site.other);
    let backup = perron(&site.other, &[router(100)], "");
    hears(&backup, "web", 3);
    for host in [&site.one, &site.other] {
        host.drop_incoming("meta l4proto 112");
    }
    both_have(VIP, &site.one, &site.other);
    for host in [&site.one, &site.other] {
        host.drop_nothing();
    }
    moves(VIP, &site.one, &site.other);
    let listed = site.one.run(&["ip", "-6", "-o", "address", "show", "dev", "eth0", "to", "fd00::100"]).text();
    assert!(!listed.contains("tentative") && !listed.contains("dadfailed"), "{listed}");
    // Nothing listens there, which only a host that has the address can say.
    let connected = site.client.try_connect("[fd00::100]:80");
    assert_eq!(connected.expect_err("nothing listens").kind(), std::io::ErrorKind::ConnectionRefused);
    drop(active);
}
