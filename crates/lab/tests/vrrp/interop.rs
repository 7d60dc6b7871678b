//! Perron beside keepalived, as active and as backup, in every way that both can be told.

use std::time::Duration;

use lab::{Adverts, Capture, Frames, Frr, Host, Keepalived, VirtualRouter, wait_for};

use crate::site::{Director, LONG, Site, both_have, hears, moves, perron, sends};

const ADDRESS: &str = "10.0.0.100/32";
const OTHER_ADDRESS: &str = "10.0.0.101/32";
const SECOND: Duration = Duration::from_secs(1);

/// What must not be in what Perron sends.
const WRONG: &str = "_ws.malformed || vrrp.checksum.status == 0 || ip.checksum.status == 0";

fn router(priority: u8) -> VirtualRouter {
    VirtualRouter::new("web", 51, priority, &[ADDRESS])
}

fn keepalived(host: &Host, routers: &[VirtualRouter]) -> Keepalived {
    Keepalived::start(host, routers).expect("its presence was asked for")
}

/// Both programs, in both roles: one stops, comes back, and dies with its cable out.
fn each_takes_over_from_the_other(name: &str, change: impl Fn(&mut VirtualRouter, &Host, &Host)) {
    let site = lab::require!(Site::new(name));
    lab::require!(lab::program("keepalived"));
    let capture = lab::require!(Capture::start(&site.one, "ip proto 112 or ip6 proto 112 or arp or icmp6"));
    let make = |priority, own: &Host, peer: &Host| {
        let mut router = router(priority);
        change(&mut router, own, peer);
        router
    };
    let of_perron =
        |priority| Director::Perron(Box::new(perron(&site.one, &[make(priority, &site.one, &site.other)], "")));
    let of_keepalived =
        |priority| Director::Keepalived(keepalived(&site.other, &[make(priority, &site.other, &site.one)]));
    let address = make(1, &site.one, &site.other).addresses.pop().expect("a virtual router has addresses");

    let mut theirs = of_keepalived(200);
    moves(&address, &site.other, &site.one);
    let mut ours = of_perron(100);
    if let Director::Perron(perron) = &ours {
        hears(perron, "web", 3);
    }
    theirs.stop();
    moves(&address, &site.one, &site.other);
    theirs = of_keepalived(200);
    moves(&address, &site.other, &site.one);
    theirs.kill();
    site.other.link_down();
    wait_for(LONG, "perron takes over from the dead", || site.one.has_address(&address));
    ours.stop();
    let _ = site.other.run(&["ip", "address", "flush", "dev", "eth0"]);
    site.other.link_up();
    site.other.add_address("10.0.0.2/24");
    site.other.add_address("fd00::2/64");

    ours = of_perron(200);
    moves(&address, &site.one, &site.other);
    theirs = of_keepalived(100);
    if let Director::Perron(perron) = &ours {
        sends(perron, "web", 6);
    }
    moves(&address, &site.one, &site.other);
    ours.stop();
    moves(&address, &site.other, &site.one);
    ours = of_perron(200);
    moves(&address, &site.one, &site.other);
    assert_nothing_wrong(&capture.finish(), &site.one);
    ours.kill();
    site.one.link_down();
    wait_for(LONG, "keepalived takes over from the dead", || site.other.has_address(&address));
    drop(theirs);
}

fn assert_nothing_wrong(frames: &Frames, sender: &Host) {
    let ours = format!("eth.src == {}", sender.mac());
    assert!(frames.count(&format!("{ours} && vrrp")) > 5, "adverts were captured");
    let wrong = format!("{ours} && ({WRONG})");
    assert_eq!(frames.count(&wrong), 0, "{}", frames.explain(&wrong));
}

#[test]
fn version_3_over_ipv4() {
    each_takes_over_from_the_other("vrrp-v3", |_, _, _| ());
}

#[test]
fn version_3_at_ten_milliseconds() {
    each_takes_over_from_the_other("vrrp-v3-fast", |router, _, _| router.interval = Duration::from_millis(10));
}

#[test]
fn version_3_over_ipv6() {
    each_takes_over_from_the_other("vrrp-v3-ipv6", |router, _, _| {
        router.addresses = vec!["fe80::51/64".to_owned(), "fd00::100/128".to_owned()];
    });
}

#[test]
fn version_3_unicast() {
    each_takes_over_from_the_other("vrrp-v3-unicast", |router, own, peer| {
        router.unicast = Some((own.address().to_string(), vec![peer.address().to_string()]));
    });
}

#[test]
fn version_3_unicast_over_ipv6() {
    each_takes_over_from_the_other("vrrp-v3-unicast-ipv6", |router, own, _| {
        let (own, peer) = if own.name() == "one" { ("fd00::1", "fd00::2") } else { ("fd00::2", "fd00::1") };
        router.addresses = vec!["fd00::100/128".to_owned()];
        router.unicast = Some((own.to_owned(), vec![peer.to_owned()]));
    });
}

#[test]
fn version_2() {
    each_takes_over_from_the_other("vrrp-v2", |router, _, _| (router.version, router.interval) = (2, SECOND));
}

#[test]
fn version_2_with_a_password() {
    each_takes_over_from_the_other("vrrp-v2-pass", |router, _, _| {
        (router.version, router.interval, router.password) = (2, SECOND, Some("secret".to_owned()));
    });
}

#[test]
fn version_2_unicast_with_a_password() {
    each_takes_over_from_the_other("vrrp-v2-unicast", |router, own, peer| {
        (router.version, router.interval, router.password) = (2, SECOND, Some("secret".to_owned()));
        router.unicast = Some((own.address().to_string(), vec![peer.address().to_string()]));
    });
}

#[test]
fn nobody_takes_back_who_is_told_not_to() {
    let site = lab::require!(Site::new("vrrp-no-preempt"));
    lab::require!(lab::program("keepalived"));
    let polite = |priority| VirtualRouter { preempt: false, ..router(priority) };
    let mut theirs = keepalived(&site.other, &[polite(100)]);
    moves(ADDRESS, &site.other, &site.one);
    let mut ours = perron(&site.one, &[polite(200)], "");
    hears(&ours, "web", 20);
    moves(ADDRESS, &site.other, &site.one);
    theirs.stop();
    moves(ADDRESS, &site.one, &site.other);
    let theirs = keepalived(&site.other, &[polite(250)]);
    sends(&ours, "web", 20);
    moves(ADDRESS, &site.one, &site.other);
    ours.stop();
    moves(ADDRESS, &site.other, &site.one);
    drop(theirs);
}

/// Cuts the two off from each other, for VRRP alone, until each is active, and lets them hear again.
fn splits_and_heals(name: &str, ours: u8, theirs: u8, perron_keeps: bool) {
    let site = lab::require!(Site::new(name));
    lab::require!(lab::program("nft"));
    let _theirs = lab::require!(Keepalived::start(&site.other, &[router(theirs)]));
    let perron = perron(&site.one, &[router(ours)], "announce = { again = \"0s\", heal-again = \"0s\" }\n");
    for host in [&site.one, &site.other] {
        host.drop_incoming("ip protocol 112");
    }
    both_have(ADDRESS, &site.one, &site.other);
    let capture = lab::require!(Capture::start(&site.client, "arp"));
    let (keeps, leaves) = if perron_keeps { (&site.one, &site.other) } else { (&site.other, &site.one) };
    keeps.drop_nothing();
    if perron_keeps {
        hears(&perron, "web", 1);
    }
    leaves.drop_nothing();
    moves(ADDRESS, keeps, leaves);
    if perron_keeps {
        sends(&perron, "web", 6);
        let announced =
            format!("arp.isgratuitous == 1 && arp.src.proto_ipv4 == 10.0.0.100 && eth.src == {}", keeps.mac());
        assert!(capture.finish().count(&announced) > 0, "clients are told again where the address is");
    } else {
        perron.wait_for_vip("web", "backup");
    }
}

#[test]
fn a_split_that_heals_leaves_the_address_to_the_higher_priority() {
    splits_and_heals("vrrp-split-ours", 200, 100, true);
    splits_and_heals("vrrp-split-theirs", 100, 200, false);
}

/// The loser sends so seldom that it hears the winner before the winner hears it.
#[test]
fn who_leaves_after_a_split_says_so_to_whoever_has_heard_nothing_of_it() {
    let site = lab::require!(Site::new("vrrp-split-farewell"));
    lab::require!(lab::program("nft"));
    const QUIET: &str = "announce = { again = \"0s\", heal-again = \"0s\" }\n";
    let winner = perron(&site.one, &[router(200)], QUIET);
    let _loser = perron(&site.other, &[VirtualRouter { interval: 20 * SECOND, ..router(100) }], QUIET);
    moves(ADDRESS, &site.one, &site.other);
    for host in [&site.one, &site.other] {
        host.drop_incoming("ip protocol 112");
    }
    both_have(ADDRESS, &site.one, &site.other);
    let capture = lab::require!(Capture::start(&site.client, "arp"));
    site.one.drop_nothing();
    site.other.drop_nothing();
    moves(ADDRESS, &site.one, &site.other);
    let announced =
        format!("arp.isgratuitous == 1 && arp.src.proto_ipv4 == 10.0.0.100 && eth.src == {}", site.one.mac());
    sends(&winner, "web", 6);
    assert!(capture.finish().count(&announced) > 0, "clients are told again where the address is");
}

#[test]
fn a_split_of_equals_that_heals_leaves_the_address_to_the_greater_source() {
    // Perron's is 10.0.0.1.
    splits_and_heals("vrrp-split-equal", 100, 100, false);
    let site = lab::require!(Site::new("vrrp-split-equal-ours"));
    let mut theirs = lab::require!(Keepalived::start(&site.one, &[router(100)]));
    let perron = perron(&site.other, &[router(100)], "");
    hears(&perron, "web", 6);
    site.one.drop_incoming("ip protocol 112");
    site.other.drop_incoming("ip protocol 112");
    both_have(ADDRESS, &site.one, &site.other);
    site.one.drop_nothing();
    site.other.drop_nothing();
    moves(ADDRESS, &site.other, &site.one);
    theirs.stop();
}

#[test]
fn other_passwords_and_other_intervals_are_not_believed() {
    let site = lab::require!(Site::new("vrrp-v2-mistakes"));
    let version_2 = |password: &str| VirtualRouter {
        version: 2,
        interval: SECOND,
        password: Some(password.to_owned()),
        ..router(100)
    };
    let _theirs = lab::require!(Keepalived::start(&site.other, &[version_2("secret")]));
    let perron = perron(&site.one, &[version_2("other")], "");
    both_have(ADDRESS, &site.one, &site.other);
    let refused = |reason: &str| perron.vip("web")["refused"][reason].as_u64().unwrap_or(0);
    wait_for(LONG, "adverts with another password are refused", || refused("wrong_authentication") > 0);
    assert_eq!(perron.vip("web")["adverts_received"], 0);
    let longer = VirtualRouter { interval: 2 * SECOND, ..version_2("secret") };
    perron.reload(&longer.for_perron()).expect("the text is right");
    wait_for(LONG, "adverts with another interval are refused", || refused("other_interval") > 0);
    assert_eq!(perron.vip("web")["adverts_received"], 0);
}

/// A further link that a group depends on.
fn second_link(host: &Host) {
    host.run(&["ip", "link", "add", "second", "type", "veth", "peer", "name", "beyond"]).success();
    for link in ["second", "beyond"] {
        host.run(&["ip", "link", "set", link, "up"]).success();
    }
}

#[test]
fn members_of_a_group_move_together() {
    let site = lab::require!(Site::new("vrrp-group"));
    lab::require!(lab::program("keepalived"));
    second_link(&site.one);
    second_link(&site.other);
    let pair = |priority| {
        let mut pair = [router(priority), VirtualRouter::new("inside", 52, priority, &[OTHER_ADDRESS])];
        pair[1].perron = "track = [{ interface = \"second\" }]\n".to_owned();
        pair[1].keepalived = "track_interface {\nsecond\n}\n".to_owned();
        pair
    };
    let text: String = pair(200).iter().map(VirtualRouter::for_keepalived).collect();
    let group = "vrrp_sync_group both {\ngroup {\nweb\ninside\n}\n}\n";
    let mut theirs =
        Keepalived::start_with(&site.other, &format!("{group}{text}")).expect("its presence was asked for");
    let both_move = |to: &Host, from: &Host| {
        moves(ADDRESS, to, from);
        moves(OTHER_ADDRESS, to, from);
    };
    let set = |host: &Host, state: &str| host.run(&["ip", "link", "set", "second", state]).success();
    both_move(&site.other, &site.one);
    let ours = perron(&site.one, &pair(100), "[vip-group.both]\nmembers = [\"web\", \"inside\"]\n");
    hears(&ours, "web", 3);
    set(&site.other, "down");
    both_move(&site.one, &site.other);
    set(&site.other, "up");
    both_move(&site.other, &site.one);
    theirs.stop();
    both_move(&site.one, &site.other);
    let text: String = pair(50).iter().map(VirtualRouter::for_keepalived).collect();
    theirs = Keepalived::start_with(&site.other, &format!("{group}{text}")).expect("its presence was asked for");
    sends(&ours, "web", 6);
    both_move(&site.one, &site.other);
    set(&site.one, "down");
    both_move(&site.other, &site.one);
    set(&site.one, "up");
    both_move(&site.one, &site.other);
    drop(theirs);
}

#[test]
fn the_checksum_of_the_standard_is_sent_if_asked_for_and_both_are_understood() {
    let site = lab::require!(Site::new("vrrp-checksum"));
    let capture = lab::require!(Capture::start(&site.one, "vrrp"));
    let of_the_standard =
        |priority| VirtualRouter { perron: "checksum = \"message\"\n".to_owned(), ..router(priority) };
    let mut active = perron(&site.one, &[of_the_standard(200)], "");
    moves(ADDRESS, &site.one, &site.other);
    let backup = perron(&site.other, &[router(100)], "");
    hears(&backup, "web", 20);
    moves(ADDRESS, &site.one, &site.other);
    active.stop();
    moves(ADDRESS, &site.other, &site.one);
    let frames = capture.finish();
    assert_eq!(frames.count("_ws.malformed"), 0);
    // By hand, of 31 33 c8 01 00 0a 0a 00 00 64.
    let sums = frames.fields("ip.src == 10.0.0.1 && vrrp.prio == 200", &["vrrp.checksum"]);
    assert!(!sums.is_empty() && sums.iter().all(|sum| *sum == ["0xfc5c"]), "{sums:?}");
}

#[test]
fn frr_is_believed_and_believes() {
    let site = lab::require!(Site::new("vrrp-frr"));
    let ear = Adverts::on(&site.client);
    let [one, other] = [1, 2].map(|last| std::net::Ipv4Addr::new(10, 0, 0, last));
    let mut theirs = lab::require!(Frr::start(&site.other, &router(150)));
    let mut backup = perron(&site.one, &[router(100)], "");
    hears(&backup, "web", 10);
    assert!(!site.one.has_address(ADDRESS));
    theirs.kill();
    wait_for(LONG, "perron takes over from FRR", || site.one.has_address(ADDRESS));
    backup.stop();
    drop(theirs);

    site.other.run(&["ip", "link", "del", "vrrp4-51"]).success();
    let mut active = perron(&site.one, &[router(200)], "");
    wait_for(LONG, "perron is active", || site.one.has_address(ADDRESS));
    let _theirs = lab::require!(Frr::start(&site.other, &router(150)));
    sends(&active, "web", 30);
    ear.forget();
    for _ in 0..20 {
        assert_eq!(ear.next(LONG).map(|advert| advert.source), Some(one), "FRR is backup");
    }
    active.stop();
    let follows = ear.next_of(other, LONG).expect("FRR takes over");
    assert_eq!((follows.version, follows.vrid, follows.priority), (3, 51, 150));
}
