use std::net::IpAddr;
use std::time::Instant;

use lab::{Host, Lab, SOON, require};

use super::*;
use crate::{Kernel, NewAddress};

fn watch(host: &Host) -> Watcher {
    host.in_namespace(|| Watcher::open(Interest { routes: true, rules: true }).unwrap())
}

/// The first event that is wanted, among others.
#[track_caller]
fn heard<T>(watcher: &mut Watcher, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        while let Some(event) = watcher.next_event().unwrap() {
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
        assert!(watcher.socket.wait(deadline).unwrap(), "waited in vain for an event");
    }
}

fn do_ip(host: &Host, arguments: &[&str]) {
    host.run(&[&["ip"], arguments].concat()).success();
}

#[test]
fn what_another_program_does_is_heard() {
    let lab = require!(Lab::new("netlink-watch"));
    let host = lab.host("one", "10.0.0.1/24");
    let mut watcher = watch(&host);
    assert_eq!(watcher.next_event().unwrap(), None);
    for text in ["10.0.0.9/24", "fd00::9/64"] {
        let (ip, _) = text.split_once('/').unwrap();
        let ip: IpAddr = ip.parse().unwrap();
        host.add_address(text);
        heard(&mut watcher, |event| matches!(event, Event::AddressAdded(address) if address.ip == ip).then_some(()));
        host.remove_address(text);
        heard(&mut watcher, |event| matches!(event, Event::AddressGone(address) if address.ip == ip).then_some(()));
    }
    do_ip(&host, &["route", "add", "10.9.0.0/16", "via", "10.0.0.2", "table", "300"]);
    do_ip(&host, &["route", "del", "10.9.0.0/16", "table", "300"]);
    let route = heard(&mut watcher, |event| match event {
        Event::RouteGone(route) if route.table == 300 => Some(route.clone()),
        _ => None,
    });
    assert_eq!(route.via, Some("10.0.0.2".parse().unwrap()));
    do_ip(&host, &["rule", "add", "from", "10.9.0.0/16", "table", "300", "priority", "77"]);
    do_ip(&host, &["rule", "del", "priority", "77"]);
    heard(&mut watcher, |event| matches!(event, Event::RuleGone(rule) if rule.priority == 77).then_some(()));
    do_ip(&host, &["link", "set", "eth0", "down"]);
    heard(&mut watcher, |event| {
        matches!(event, Event::LinkChanged(link) if link.name == "eth0" && !link.up && !link.carrier).then_some(())
    });
    do_ip(&host, &["link", "del", "eth0"]);
    heard(&mut watcher, |event| matches!(event, Event::LinkGone(link) if link.name == "eth0").then_some(()));
}

#[test]
fn a_port_that_leaves_a_bridge_is_not_a_link_that_goes() {
    let lab = require!(Lab::new("netlink-bridge"));
    let host = lab.host("one", "10.0.0.1/24");
    do_ip(&host, &["link", "add", "br0", "type", "bridge"]);
    do_ip(&host, &["link", "set", "eth0", "master", "br0"]);
    let mut watcher = watch(&host);
    do_ip(&host, &["link", "set", "eth0", "nomaster"]);
    do_ip(&host, &["link", "set", "eth0", "mtu", "1300"]);
    heard(&mut watcher, |event| {
        assert!(!matches!(event, Event::LinkGone(_)), "{event:?}");
        matches!(event, Event::LinkChanged(link) if link.mtu == 1300).then_some(())
    });
}

#[test]
fn more_than_there_is_room_for_is_an_overrun_and_then_it_hears_on() {
    let lab = require!(Lab::new("netlink-overrun"));
    let host = lab.host("one", "10.0.0.1/24");
    let mut watcher = watch(&host);
    let mut kernel = host.in_namespace(|| Kernel::open().unwrap());
    let eth0 = kernel.link("eth0").unwrap().unwrap().index;
    let ip: IpAddr = "10.0.0.9".parse().unwrap();
    // Each of them is two events, of at least half a kibibyte of the room each.
    for _ in 0..ROOM / 512 {
        kernel.add_address(eth0, NewAddress::new(ip, 32)).unwrap();
        kernel.remove_address(eth0, ip, 32).unwrap();
    }
    heard(&mut watcher, |event| (*event == Event::Overrun).then_some(()));
    while watcher.next_event().unwrap().is_some() {}
    kernel.add_address(eth0, NewAddress::new(ip, 32)).unwrap();
    heard(&mut watcher, |event| {
        assert_ne!(*event, Event::Overrun);
        matches!(event, Event::AddressAdded(address) if address.ip == ip).then_some(())
    });
}
