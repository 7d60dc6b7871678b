//! Against the real kernel, in a namespace of its own; what is there is told by ip(8).

use lab::{Host, Lab, require};
use serde_json::Value;

use super::*;
use crate::{
    Family, LinkKind, Mark, RouteKind, Scope, promotes_secondaries, set_promote_secondaries, set_setting, setting,
};

/// What `ip -j` says on the host.
fn ip(host: &Host, arguments: &[&str]) -> Vec<Value> {
    let output = host.run(&[&["ip", "-j", "-N", "-d"], arguments].concat());
    // It says nothing at all instead of an empty list.
    let text = output.success().text();
    if text.trim().is_empty() { Vec::new() } else { serde_json::from_str(&text).unwrap() }
}

fn do_ip(host: &Host, arguments: &[&str]) {
    host.run(&[&["ip"], arguments].concat()).success();
}

/// The addresses of eth0 as ip(8) lists them.
fn listed(host: &Host) -> Vec<Value> {
    ip(host, &["address", "show", "dev", "eth0"])[0]["addr_info"].as_array().unwrap().clone()
}

fn locals(host: &Host) -> Vec<String> {
    let mut found: Vec<String> = listed(host)
        .iter()
        .map(|address| format!("{}/{}", address["local"].as_str().unwrap(), address["prefixlen"]))
        .filter(|address| !address.starts_with("fe80"))
        .collect();
    found.sort();
    found
}

fn at(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn kernel(host: &Host) -> (Kernel, u32) {
    let mut kernel = host.in_namespace(|| Kernel::open().unwrap());
    let index = kernel.link("eth0").unwrap().unwrap().index;
    (kernel, index)
}

#[test]
fn links_are_what_ip_says_they_are() {
    let lab = require!(Lab::new("netlink-links"));
    let host = lab.host("one", "10.0.0.1/24");
    do_ip(&host, &["link", "set", "eth0", "mtu", "1400"]);
    do_ip(&host, &["link", "add", "noarp", "type", "veth", "peer", "name", "other"]);
    do_ip(&host, &["link", "set", "noarp", "arp", "off"]);
    let (mut kernel, index) = kernel(&host);
    let links = kernel.links().unwrap();
    let shown = ip(&host, &["link", "show"]);
    assert_eq!(links.len(), shown.len());
    for (link, shown) in links.iter().zip(&shown) {
        assert_eq!(u64::from(link.index), shown["ifindex"].as_u64().unwrap());
        assert_eq!(link.name, shown["ifname"].as_str().unwrap());
        assert_eq!(link.hardware.to_string(), shown["address"].as_str().unwrap());
        assert_eq!(link.broadcast.to_string(), shown["broadcast"].as_str().unwrap());
        assert_eq!(u64::from(link.mtu), shown["mtu"].as_u64().unwrap());
        let flags: Vec<&str> = shown["flags"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(link.up, flags.contains(&"UP"), "{link:?}");
        assert_eq!(link.carrier, flags.contains(&"LOWER_UP"), "{link:?}");
        assert_eq!(link.no_arp, flags.contains(&"NOARP"), "{link:?}");
        let kind = match shown["link_type"].as_str().unwrap() {
            "[1]" => LinkKind::Ethernet,
            "[772]" => LinkKind::Loopback,
            other => panic!("{other}"),
        };
        assert_eq!(link.kind, kind);
    }
    let eth0 = kernel.link("eth0").unwrap().unwrap();
    assert_eq!((eth0.mtu, eth0.up, eth0.running, eth0.index), (1400, true, true, index));
    assert_eq!(eth0.parent, None, "its other end is in another namespace");
    let noarp = kernel.link("noarp").unwrap().unwrap();
    assert!(noarp.no_arp && !noarp.up && !noarp.carrier);
    assert_eq!(noarp.parent, Some(kernel.link("other").unwrap().unwrap().index));
    assert_eq!(kernel.link("eth1").unwrap(), None);
    assert_eq!(kernel.link("a-name-that-is-too-long-for-a-link").unwrap_err().errno(), Some(34));
}

#[test]
fn an_address_is_added_with_all_that_was_asked_for_and_once() {
    let lab = require!(Lab::new("netlink-add"));
    let host = lab.host("one", "10.0.0.1/24");
    let (mut kernel, eth0) = kernel(&host);
    let four = NewAddress {
        label: Some("eth0:vip".to_owned()),
        broadcast: Some("10.0.1.255".parse().unwrap()),
        scope: Scope::LINK,
        no_prefix_route: true,
        protocol: 18,
        ..NewAddress::new(at("10.0.1.9"), 24)
    };
    assert_eq!(kernel.add_address(eth0, four.clone()).unwrap(), Outcome::Changed);
    assert_eq!(kernel.add_address(eth0, four).unwrap(), Outcome::AlreadySo);
    let six =
        NewAddress { deprecated: true, no_prefix_route: true, protocol: 18, ..NewAddress::new(at("fd00::9"), 128) };
    assert_eq!(kernel.add_address(eth0, six.clone()).unwrap(), Outcome::Changed);
    assert_eq!(kernel.add_address(eth0, six.clone()).unwrap(), Outcome::AlreadySo);

    let shown = listed(&host);
    let shown = |ip: &str| shown.iter().find(|shown| shown["local"] == ip).unwrap().clone();
    let v4 = shown("10.0.1.9");
    assert_eq!(v4["label"], "eth0:vip");
    assert_eq!(v4["broadcast"], "10.0.1.255");
    assert_eq!(v4["prefixlen"], 24);
    assert_eq!(v4["noprefixroute"], true);
    assert_eq!(v4["scope"], "253");
    let v6 = shown("fd00::9");
    assert_eq!(v6["prefixlen"], 128);
    assert_eq!(v6["preferred_life_time"], 0);
    assert_eq!(v6["deprecated"], true);
    assert_eq!(v6["nodad"], true);
    assert_eq!(v6["tentative"], Value::Null);

    let known = kernel.addresses(Some(eth0)).unwrap();
    let known = |ip: &str| known.iter().find(|known| known.ip == at(ip)).unwrap().clone();
    assert_eq!(known("10.0.1.9").label.as_deref(), Some("eth0:vip"));
    assert_eq!((known("10.0.1.9").scope, known("10.0.1.9").protocol), (Scope::LINK, 18));
    assert!(known("10.0.1.9").flags.no_prefix_route && known("10.0.1.9").flags.permanent);
    assert!(known("fd00::9").flags.deprecated && known("fd00::9").flags.no_dad && !known("fd00::9").flags.tentative);

    let wider = NewAddress { prefix: 64, ..six };
    let error = kernel.add_address(eth0, wider).unwrap_err();
    assert_eq!(error.to_string(), "adding fd00::9/64 to eth0: fd00::9/128 is there already");
}

#[test]
fn an_address_is_removed_once_and_never_the_same_one_with_another_prefix() {
    let lab = require!(Lab::new("netlink-remove"));
    let host = lab.host("one", "10.0.0.1/24");
    let (mut kernel, eth0) = kernel(&host);
    for address in ["10.0.0.9/24", "10.0.0.9/32", "fd00::9/64"] {
        host.add_address(address);
    }
    assert_eq!(kernel.remove_address(eth0, at("10.0.0.9"), 32).unwrap(), Outcome::Changed);
    assert_eq!(locals(&host), ["10.0.0.1/24", "10.0.0.9/24", "fd00::9/64"]);
    assert_eq!(kernel.remove_address(eth0, at("10.0.0.9"), 32).unwrap(), Outcome::AlreadySo);
    assert_eq!(kernel.remove_address(eth0, at("fd00::9"), 128).unwrap(), Outcome::AlreadySo);
    assert_eq!(locals(&host), ["10.0.0.1/24", "10.0.0.9/24", "fd00::9/64"]);
    assert_eq!(kernel.remove_address(eth0, at("fd00::9"), 64).unwrap(), Outcome::Changed);
    assert_eq!(kernel.remove_address(eth0, at("10.0.0.9"), 24).unwrap(), Outcome::Changed);
    assert_eq!(locals(&host), ["10.0.0.1/24"]);
    assert_eq!(kernel.remove_address(4_000_000, at("10.0.0.9"), 24).unwrap(), Outcome::AlreadySo);
    assert_eq!(kernel.remove_address(4_000_000, at("fd00::9"), 64).unwrap(), Outcome::AlreadySo);
}

#[test]
fn a_primary_that_goes_takes_its_secondaries_along_unless_they_are_promoted() {
    let lab = require!(Lab::new("netlink-promote"));
    let host = lab.host("one", "10.0.0.1/24");
    let (mut kernel, eth0) = kernel(&host);
    host.in_namespace(|| {
        set_setting(Family::Ipv4, "all", "promote_secondaries", 0).unwrap();
        set_promote_secondaries("eth0", false).unwrap();
        assert!(!promotes_secondaries("eth0").unwrap());
    });
    kernel.add_address(eth0, NewAddress::new(at("10.0.0.9"), 24)).unwrap();
    let known = kernel.addresses(Some(eth0)).unwrap();
    assert!(known.iter().any(|known| known.ip == at("10.0.0.9") && known.flags.secondary));
    kernel.remove_address(eth0, at("10.0.0.1"), 24).unwrap();
    assert_eq!(locals(&host), [""; 0]);

    host.add_address("10.0.0.1/24");
    host.in_namespace(|| {
        set_promote_secondaries("eth0", true).unwrap();
        assert!(promotes_secondaries("eth0").unwrap());
        assert_eq!(setting(Family::Ipv4, "eth0", "promote_secondaries").unwrap(), 1);
        assert!(setting(Family::Ipv6, "eth9", "forwarding").is_err());
        assert!(setting(Family::Ipv4, "..", "promote_secondaries").is_err());
        assert!(setting(Family::Ipv4, "eth0/../lo", "promote_secondaries").is_err());
    });
    kernel.add_address(eth0, NewAddress::new(at("10.0.0.9"), 24)).unwrap();
    kernel.remove_address(eth0, at("10.0.0.1"), 24).unwrap();
    assert_eq!(locals(&host), ["10.0.0.9/24"]);
}

#[test]
fn many_addresses_go_at_once_and_each_has_its_own_answer() {
    let lab = require!(Lab::new("netlink-batch"));
    let host = lab.host("one", "10.0.0.1/24");
    let (mut kernel, interface) = kernel(&host);
    // Many batches, whose answers would not fit into the socket's room at once.
    let mut changes: Vec<Change> = (0..1000_u16)
        .map(|n| NewAddress::new(IpAddr::from([10, 1, n.to_be_bytes()[0], n.to_be_bytes()[1]]), 32))
        .map(|address| Change::AddAddress { interface, address })
        .collect();
    changes[70] = Change::AddAddress { interface: 4_000_000, address: NewAddress::new(at("10.1.0.70"), 32) };
    changes[71] = Change::AddAddress { interface, address: NewAddress::new(at("10.0.0.1"), 24) };
    let results = kernel.apply(&changes);
    for (place, result) in results.iter().enumerate() {
        match (place, result) {
            (70, Err(error)) => {
                assert_eq!(error.to_string(), "adding 10.1.0.70/32 to interface 4000000: No such device (os error 19)");
            }
            (71, Ok(outcome)) => assert_eq!(*outcome, Outcome::AlreadySo),
            (_, result) => assert_eq!(*result.as_ref().unwrap(), Outcome::Changed),
        }
    }
    assert_eq!(locals(&host).len(), 1 + 998);
    assert!(kernel.apply(&[]).is_empty());
}

#[test]
fn who_may_not_is_told_what_was_tried() {
    let lab = require!(Lab::new("netlink-may-not"));
    let host = lab.host("one", "10.0.0.1/24");
    let error = host.in_namespace(|| {
        let none = rustix::thread::CapabilitySets {
            effective: rustix::thread::CapabilitySet::empty(),
            permitted: rustix::thread::CapabilitySet::empty(),
            inheritable: rustix::thread::CapabilitySet::empty(),
        };
        rustix::thread::set_capabilities(None, none).unwrap();
        let mut kernel = Kernel::open().unwrap();
        let eth0 = kernel.link("eth0").unwrap().unwrap().index;
        kernel.add_address(eth0, NewAddress::new(at("10.0.0.9"), 24)).unwrap_err()
    });
    assert_eq!(error.to_string(), "adding 10.0.0.9/24 to eth0: Operation not permitted (os error 1)");
    assert_eq!(error.errno(), Some(1));
}

fn network(text: &str) -> units::Network {
    text.parse().unwrap()
}

#[test]
fn routes_are_added_with_all_that_was_asked_for_and_once_and_removed_once() {
    let lab = require!(Lab::new("netlink-routes"));
    let host = lab.host("one", "10.0.0.1/24");
    host.add_address("fd00::1/64");
    let (mut kernel, eth0) = kernel(&host);
    let interface = Some(eth0);
    let far = Route {
        via: Some(at("192.0.2.1")),
        interface,
        source: Some(at("10.0.0.1")),
        table: 300,
        metric: 50,
        onlink: true,
        protocol: 18,
        ..Route::to(network("10.9.0.0/16"))
    };
    let near = Route { interface, scope: Scope::LINK, ..Route::to(network("10.8.0.0/16")) };
    let over_six = Route { via: Some(at("fd00::2")), interface, ..Route::to(network("10.7.0.0/16")) };
    let hole = Route { kind: RouteKind::Blackhole, metric: 9, ..Route::to(network("fd09::/32")) };
    let default = Route { via: Some(at("fd00::2")), interface, table: 300, ..Route::to(network("::/0")) };
    let routes = [far.clone(), near.clone(), over_six.clone(), hole, default];
    let adding: Vec<Change> = routes.iter().cloned().map(Change::AddRoute).collect();
    for result in kernel.apply(&adding) {
        assert_eq!(result.unwrap(), Outcome::Changed);
    }
    for result in kernel.apply(&adding) {
        assert_eq!(result.unwrap(), Outcome::AlreadySo);
    }

    let mut shown = ip(&host, &["-4", "route", "show", "table", "all"]);
    shown.extend(ip(&host, &["-6", "route", "show", "table", "all"]));
    let one = |key: &str, destination: &str, table: &str| {
        let is_it = |shown: &&Value| shown["dst"] == destination && shown["table"].as_str().unwrap_or("254") == table;
        shown.iter().find(is_it).unwrap_or_else(|| panic!("{key}: {shown:#?}")).clone()
    };
    let shown_far = one("far", "10.9.0.0/16", "300");
    assert_eq!(shown_far["gateway"], "192.0.2.1");
    assert_eq!(shown_far["dev"], "eth0");
    assert_eq!(shown_far["prefsrc"], "10.0.0.1");
    assert_eq!(shown_far["metric"], 50);
    assert_eq!(shown_far["protocol"], "18");
    assert!(shown_far["flags"].as_array().unwrap().contains(&"onlink".into()));
    assert_eq!(one("near", "10.8.0.0/16", "254")["scope"], "253");
    assert_eq!(one("over six", "10.7.0.0/16", "254")["via"]["host"], "fd00::2");
    assert_eq!(one("hole", "fd09::/32", "254")["type"], "6");
    assert_eq!(one("default", "default", "300")["gateway"], "fd00::2");

    let known = kernel.routes().unwrap();
    assert!(known.contains(&far) && known.contains(&near) && known.contains(&over_six), "{known:#?}");

    let elsewhere = Route { via: Some(at("192.0.2.2")), ..far };
    let error = kernel.change(Change::AddRoute(elsewhere.clone())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "adding the route to 10.9.0.0/16 via 192.0.2.2 of table 300: \
         the route to 10.9.0.0/16 via 192.0.2.1 of table 300 is there already"
    );
    assert_eq!(kernel.change(Change::RemoveRoute(elsewhere)).unwrap(), Outcome::AlreadySo);
    let removing: Vec<Change> = routes.iter().cloned().map(Change::RemoveRoute).collect();
    for expected in [Outcome::Changed, Outcome::AlreadySo] {
        for (result, route) in kernel.apply(&removing).into_iter().zip(&routes) {
            assert_eq!(result.unwrap(), expected, "{route}");
        }
    }
    assert_eq!(ip(&host, &["-4", "route", "show", "table", "300"]), [Value::Null; 0]);
}

#[test]
fn rules_are_added_with_all_that_was_asked_for_and_once_and_removed_once() {
    let lab = require!(Lab::new("netlink-rules"));
    let host = lab.host("one", "10.0.0.1/24");
    let (mut kernel, _) = kernel(&host);
    let full = Rule {
        from: Some(network("10.9.0.0/16")),
        to: Some(network("10.8.0.1/32")),
        incoming: Some("eth7".to_owned()),
        mark: Some(Mark { value: 0x10, mask: 0xf0 }),
        protocol: 18,
        ..Rule::new(Family::Ipv4, 1000, 300)
    };
    let unmarked = Some(Mark { value: 0, mask: 0xff });
    let six = Rule { from: Some(network("fd09::/32")), mark: unmarked, ..Rule::new(Family::Ipv6, 1001, 7) };
    for expected in [Outcome::Changed, Outcome::AlreadySo] {
        for rule in [&full, &six] {
            assert_eq!(kernel.change(Change::AddRule(rule.clone())).unwrap(), expected);
        }
    }
    let shown = ip(&host, &["-4", "rule", "show", "priority", "1000"]);
    assert_eq!(shown.len(), 1);
    assert_eq!((&shown[0]["src"], &shown[0]["srclen"]), (&"10.9.0.0".into(), &16.into()));
    assert_eq!(shown[0]["dst"], "10.8.0.1");
    assert_eq!((&shown[0]["fwmark"], &shown[0]["fwmask"]), (&"0x10".into(), &"0xf0".into()));
    assert_eq!((&shown[0]["iif"], &shown[0]["table"]), (&"eth7".into(), &"300".into()));
    assert_eq!(shown[0]["protocol"], "18");
    assert_eq!(ip(&host, &["-6", "rule", "show", "priority", "1001"])[0]["src"], "fd09::");

    let known = kernel.rules().unwrap();
    assert!(known.contains(&full) && known.contains(&six), "{known:#?}");
    // Every namespace has a rule for its local table.
    assert!(known.contains(&Rule { protocol: 2, ..Rule::new(Family::Ipv4, 0, 255) }), "{known:#?}");

    for expected in [Outcome::Changed, Outcome::AlreadySo] {
        for rule in [&full, &six] {
            assert_eq!(kernel.change(Change::RemoveRule(rule.clone())).unwrap(), expected);
        }
    }
    assert_eq!(ip(&host, &["rule", "show", "priority", "1000"]), [Value::Null; 0]);
}

#[test]
fn a_macvlan_is_made_once_as_vrrp_wants_it_set_up_and_deleted() {
    let lab = require!(Lab::new("netlink-macvlan"));
    let host = lab.host("one", "10.0.0.1/24");
    let (mut kernel, eth0) = kernel(&host);
    // The hardware address of VRID 51 (RFC 9568, section 7.3).
    let hardware = HardwareAddress::new(&[0x00, 0x00, 0x5e, 0x00, 0x01, 0x33]).unwrap();
    match kernel.create_macvlan("vrrp.51", eth0, hardware) {
        Err(error) if error.errno() == Some(Errno::OPNOTSUPP.raw_os_error()) => {
            lab::Skip::new("this kernel has no macvlan").announce();
            return;
        }
        made => assert_eq!(made.unwrap(), Outcome::Changed),
    }
    assert_eq!(kernel.create_macvlan("vrrp.51", eth0, hardware).unwrap(), Outcome::AlreadySo);
    let shown = &ip(&host, &["link", "show", "dev", "vrrp.51"])[0];
    assert_eq!(shown["address"], "00:00:5e:00:01:33");
    assert_eq!(shown["link"], "eth0");
    assert_eq!(shown["linkinfo"]["info_kind"], "macvlan");
    assert_eq!(shown["linkinfo"]["info_data"]["mode"], "private");
    assert_eq!(shown["inet6_addr_gen_mode"], "none");
    assert!(!shown["flags"].as_array().unwrap().contains(&"UP".into()));
    let made = kernel.link("vrrp.51").unwrap().unwrap();
    assert!(made.is_macvlan && !made.up);
    assert_eq!((made.parent, made.hardware), (Some(eth0), hardware));

    let interface = made.index;
    kernel.change(Change::SetUp { interface, up: true }).unwrap();
    assert!(kernel.link("vrrp.51").unwrap().unwrap().running);
    let addresses = kernel.addresses(Some(interface)).unwrap();
    assert_eq!(addresses, [], "it makes up none of its own");
    kernel.change(Change::SetUp { interface, up: false }).unwrap();
    assert!(!kernel.link("vrrp.51").unwrap().unwrap().up);

    let error = kernel.create_macvlan("eth0", eth0, hardware).unwrap_err();
    assert!(error.to_string().starts_with("making the macvlan eth0 with 00:00:5e:00:01:33 on eth0: another link of"));
    assert_eq!(kernel.change(Change::RemoveLink(interface)).unwrap(), Outcome::Changed);
    assert_eq!(kernel.change(Change::RemoveLink(interface)).unwrap(), Outcome::AlreadySo);
    assert_eq!(kernel.link("vrrp.51").unwrap(), None);
    assert_eq!(kernel.change(Change::SetUp { interface, up: true }).unwrap_err().errno(), Some(19));
}
