//! Whose addresses are whose: what we put there, what a crash has left, and what others have put there.

use failover::{Route, Rule};
use lab::{Host, Lab};

use crate::director::{Director, active_and_backup, has_address, two, vip, vip_address};

const ADDRESS: &str = "10.0.0.100/32";

/// keepalived gives its role up where another program removes an address.
#[test]
fn an_address_that_another_program_removes_comes_back_in_place() {
    let (_lab, one, other) = lab::require!(two("engine-repair"));
    let (first, second) = active_and_backup(&one, &other, |priority| vip("web", 51, priority, ADDRESS));
    first.wait_for_address(ADDRESS, true);
    one.remove_address(ADDRESS);
    first.wait_for("it is repaired", |first| first.vip().repaired == 1);
    first.wait_for_address(ADDRESS, true);
    assert_eq!(first.notes(), ["another program has removed an address, route or rule of it"]);
    assert_eq!((first.vip().became_active, second.vip().became_active), (1, 0));
}

/// Another program that goes on is let have its way: the other director has the addresses then.
#[test]
fn addresses_that_are_removed_again_and_again_are_given_up() {
    let (_lab, one, other) = lab::require!(two("engine-taken"));
    let (first, second) = active_and_backup(&one, &other, |priority| vip("web", 51, priority, ADDRESS));
    first.wait_for("it gives up", |first| {
        first.wait_for("it has the address, or not any more", |first| {
            has_address(&one, ADDRESS) || first.vip().state != "active"
        });
        if has_address(&one, ADDRESS) {
            one.run(&["ip", "address", "del", ADDRESS, "dev", "eth0"]);
        }
        second.vip().became_active > 0
    });
}

#[test]
fn what_a_crash_left_is_removed_before_the_first_advert() {
    let (_lab, one, other) = lab::require!(two("engine-left"));
    // Ours by the plan; ours by its mark, of an older plan; and an administrator's.
    one.add_address(ADDRESS);
    one.run(&["ip", "address", "add", "10.0.0.77/32", "dev", "eth0", "proto", "112"]);
    one.add_address("10.0.0.78/32");
    let second = Director::running(&other, vec![vip("web", 51, 240, ADDRESS)]);
    second.wait_for_state("active");
    let lower = Director::running(&one, vec![vip("web", 51, 100, ADDRESS)]);
    lower.wait_for_state("backup");
    assert!(!has_address(&one, ADDRESS) && !has_address(&one, "10.0.0.77/32"));
    assert!(has_address(&one, "10.0.0.78/32") && has_address(&one, "10.0.0.1/24"));
    assert_eq!(lower.vip().adverts_sent, 0);
}

/// The same address with another prefix is somebody else's: DHCP's or an administrator's.
#[test]
fn an_address_with_another_prefix_is_not_ours() {
    let (_lab, one, _other) = lab::require!(two("engine-prefix"));
    one.add_address("10.0.0.100/24");
    let director = Director::running(&one, vec![vip("web", 51, 100, ADDRESS)]);
    director.wait_for_address(ADDRESS, true);
    assert!(has_address(&one, "10.0.0.100/24"));
    director.engine.stop();
    assert!(!has_address(&one, ADDRESS));
    assert!(has_address(&one, "10.0.0.100/24"));
}

/// Without the setting the kernel would take the administrator's second address along.
#[test]
fn addresses_of_the_same_network_stay_when_ours_go() {
    let (_lab, one, _other) = lab::require!(two("engine-secondary"));
    one.run(&["sysctl", "-q", "-w", "net.ipv4.conf.all.promote_secondaries=0"]);
    one.run(&["sysctl", "-q", "-w", "net.ipv4.conf.eth0.promote_secondaries=0"]);
    let director = Director::running(&one, vec![vip("web", 51, 100, "10.7.0.100/24")]);
    director.wait_for_address("10.7.0.100/24", true);
    one.add_address("10.7.0.2/24");
    director.engine.stop();
    assert!(!has_address(&one, "10.7.0.100/24"));
    assert!(has_address(&one, "10.7.0.2/24"));
}

#[test]
fn routes_and_rules_are_there_while_it_is_active() {
    let (_lab, one, _other) = lab::require!(two("engine-routes"));
    let mut routed = vip("web", 51, 100, ADDRESS);
    let route = Route {
        to: ("10.50.0.0".parse().unwrap(), 16),
        via: Some("10.0.0.2".parse().unwrap()),
        interface: None,
        source: Some("10.0.0.100".parse().unwrap()),
        table: 254,
        metric: None,
    };
    routed.routes = vec![route.clone(), Route { to: ("0.0.0.0".parse().unwrap(), 0), table: 77, ..route }];
    routed.rules = vec![Rule { from: Some(("10.0.0.100".parse().unwrap(), 32)), to: None, table: 77, priority: 7700 }];
    let director = Director::running(&one, vec![routed]);
    let routes = |table: &str| one.run(&["ip", "route", "show", "table", table]).text();
    let rules = || one.run(&["ip", "rule"]).text();
    director.wait_for("the routes are there", |_| routes("main").contains("10.50.0.0/16 via 10.0.0.2"));
    director.wait_for("the rule is there", |_| rules().contains("from 10.0.0.100 lookup 77"));
    assert!(routes("77").contains("default via 10.0.0.2"), "{}", routes("77"));
    // Another program removes them, and a link that goes takes routes along.
    one.run(&["ip", "route", "del", "10.50.0.0/16"]).success();
    director.wait_for("the route is repaired", |_| routes("main").contains("10.50.0.0/16 via 10.0.0.2"));
    one.run(&["ip", "rule", "del", "priority", "7700"]).success();
    director.wait_for("the rule is repaired", |_| rules().contains("from 10.0.0.100 lookup 77"));
    assert_eq!((director.vip().repaired, director.vip().became_active), (2, 1));
    one.link_down();
    director.wait_for_state("fault");
    one.link_up();
    director.wait_for("the routes are back", |_| routes("main").contains("10.50.0.0/16 via 10.0.0.2"));
    director.engine.stop();
    assert!(!routes("main").contains("10.50.0.0/16"), "{}", routes("main"));
    assert!(!rules().contains("lookup 77"), "{}", rules());
}

/// IPv6: used at once, not chosen for new connections, and adverts come from the link-local address.
#[test]
fn addresses_of_ipv6() {
    let lab = lab::require!(Lab::new("engine-v6"));
    let (one, other) = (lab.host("one", "fd00::1/64"), lab.host("other", "fd00::2/64"));
    let make = |priority| {
        let mut vip = vip("web", 51, priority, "fe80::100/64");
        vip.addresses.push(vip_address("fd00::100/128"));
        vip
    };
    let (first, second) = active_and_backup(&one, &other, make);
    first.wait_for_address("fd00::100/128", true);
    let flags = |host: &Host| host.run(&["ip", "-o", "address", "show", "to", "fd00::100"]).text();
    assert!(flags(&one).contains("deprecated") && !flags(&one).contains("tentative"), "{}", flags(&one));
    assert!(second.vip().active.unwrap().0.to_string().starts_with("fe80::"));
    first.engine.stop();
    second.wait_for_address("fd00::100/128", true);
    assert!(!has_address(&one, "fd00::100/128") && !has_address(&one, "fe80::100/64"));
}

/// The addresses answer at the virtual router's own MAC address, and one that is active hears another of that address.
#[test]
fn a_virtual_mac_moves_with_the_addresses() {
    let (_lab, one, other) = lab::require!(two("engine-vmac"));
    let make = |priority| failover::Vip { virtual_mac: true, ..vip("web", 51, priority, ADDRESS) };
    let second = Director::running(&other, vec![make(240)]);
    second.wait_for_address(ADDRESS, true);
    let asked = |host: &Host| {
        host.run(&["ip", "neigh", "flush", "all"]);
        host.run(&["curl", "-s", "--max-time", "2", "http://10.0.0.100:9/"]);
        host.run(&["ip", "neigh", "show", "10.0.0.100"]).text()
    };
    second.wait_for("it answers at the virtual MAC", |_| asked(&one).contains("00:00:5e:00:01:33"));
    let first = Director::running(&one, vec![make(250)]);
    first.wait_for_address(ADDRESS, true);
    second.wait_for_address(ADDRESS, false);
    first.wait_for("it answers at the virtual MAC", |_| asked(&other).contains("00:00:5e:00:01:33"));
    first.engine.stop();
    second.wait_for_address(ADDRESS, true);
    let links = || other.run(&["ip", "-o", "link", "show", "type", "macvlan"]).text();
    assert!(links().contains("00:00:5e:00:01:33"), "{}", links());
    second.plan(vec![vip("web", 51, 240, ADDRESS)]);
    second.wait_for("the macvlan is away", |_| links().is_empty());
    second.wait_for_address(ADDRESS, true);
}

/// Whoever put it there: while another director has it, it is on two machines.
#[test]
fn an_address_that_another_program_adds_to_a_backup_is_removed() {
    let (_lab, one, other) = lab::require!(two("engine-added"));
    let (_first, second) = active_and_backup(&one, &other, |priority| vip("web", 51, priority, ADDRESS));
    other.run(&["ip", "address", "add", ADDRESS, "dev", "eth0"]).success();
    second.wait_for_address(ADDRESS, false);
    assert_eq!((second.vip().state.as_str(), second.vip().became_active), ("backup", 0));
}

/// A director that cannot have any of a vip's addresses is no director of it.
#[test]
fn where_the_kernel_refuses_all_addresses_another_director_has_them() {
    let lab = lab::require!(Lab::new("engine-refused-all"));
    let (one, other) = (lab.host("one", "10.0.0.1/24"), lab.host("other", "10.0.0.2/24"));
    for host in [&one, &other] {
        host.run(&["ip", "link", "add", "blind", "type", "veth", "peer", "name", "other"]).success();
        host.run(&["ip", "link", "set", "blind", "up"]).success();
    }
    one.set("net/ipv6/conf/blind/disable_ipv6", "1").unwrap();
    let make = |priority| {
        let mut vip = vip("web", 51, priority, "fd00::100/128");
        vip.addresses[0].interface = Some("blind".to_owned());
        vip
    };
    let second = Director::running(&other, vec![make(240)]);
    second.wait_for_state("active");
    let first = Director::running(&one, vec![make(250)]);
    first.wait_for("it has tried", |first| first.vip().became_active > 0);
    first.wait_for_state("fault");
    assert_eq!(first.vip().why, "the kernel refuses its addresses");
    second.wait_for_address("fd00::100/128", true);
    second.wait_for("it was told", |second| second.vip().why == "the active one has left");
    assert!(first.vip().diagnosis.iter().any(|line| line.starts_with("adding fd00::100/128 to blind")));
    one.set("net/ipv6/conf/blind/disable_ipv6", "0").unwrap();
    first.plan(vec![make(250)]);
    first.wait_for_address("fd00::100/128", true);
    first.wait_for("all is well", |first| first.vip().diagnosis.is_empty());
}

/// It is active all the same, says what is wrong, and tries again.
#[test]
fn an_address_that_the_kernel_refuses_is_told_and_tried_again() {
    let (_lab, one, _other) = lab::require!(two("engine-refused"));
    one.set("net/ipv6/conf/eth0/disable_ipv6", "1").unwrap();
    let mut refused = vip("web", 51, 100, ADDRESS);
    refused.excluded = vec![vip_address("fd00::9/128")];
    let director = Director::running(&one, vec![refused]);
    director.wait_for_address(ADDRESS, true);
    director.wait_for("it says so", |director| {
        director.vip().diagnosis.iter().any(|line| line.starts_with("adding fd00::9/128 to eth0"))
    });
    one.set("net/ipv6/conf/eth0/disable_ipv6", "0").unwrap();
    director.wait_for_address("fd00::9/128", true);
    director.wait_for("all is well", |director| director.vip().diagnosis.is_empty());
}
