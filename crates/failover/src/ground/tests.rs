use netlink::AddressFlags;

use super::*;
use crate::example::{address, ip, link, plan, vip};

fn source_of(vip: &Vip, addresses: &[Address]) -> Option<String> {
    let ground = ground(&plan(std::slice::from_ref(vip)), vip, &[link(2, "eth0"), link(3, "eth1")], addresses);
    ground.source.map(|source| source.to_string())
}

/// Its first that moves with no vip; of IPv6 the link-local one, once it is known to be nobody else's.
#[test]
fn where_adverts_come_from() {
    let v4 = || vip("web", 51, &["10.0.0.100/24"]);
    let v6 = || vip("web", 51, &["fe80::100/64"]);
    let named = |source: &str| Vip { source: Some(ip(source)), ..v4() };
    let owner = Vip { priority: Priority::OWNER, ..vip("own", 51, &["10.0.0.1/24"]) };
    let tentative =
        Address { flags: AddressFlags { tentative: true, ..Default::default() }, ..address(2, "fe80::1/64") };
    let mark = |text: &str| Address { protocol: MARK, ..address(2, text) };
    type Row = (&'static str, Vip, Vec<Address>, Option<&'static str>);
    let table: [Row; 12] = [
        ("none", v4(), vec![], None),
        ("the first", v4(), vec![address(2, "10.0.0.1/24"), address(2, "10.0.0.2/24")], Some("10.0.0.1")),
        ("not a vip's", v4(), vec![address(2, "10.0.0.100/24"), address(2, "10.0.0.2/24")], Some("10.0.0.2")),
        ("not what moves alone", v4(), vec![address(2, "10.0.0.100/24")], None),
        ("not one of an older plan", v4(), vec![mark("10.0.0.99/24")], None),
        ("not another interface's", v4(), vec![address(3, "10.0.0.1/24")], None),
        ("not another family's", v4(), vec![address(2, "fe80::1/64")], None),
        ("named", named("10.9.9.9"), vec![address(2, "10.0.0.1/24"), address(3, "10.9.9.9/32")], Some("10.9.9.9")),
        ("named and not there", named("10.9.9.9"), vec![address(2, "10.0.0.1/24")], None),
        ("link-local", v6(), vec![address(2, "fd00::1/64"), address(2, "fe80::1/64")], Some("fe80::1")),
        ("tentative", v6(), vec![tentative], None),
        ("an owner's only one", owner, vec![address(2, "10.0.0.1/24")], Some("10.0.0.1")),
    ];
    for (what, vip, addresses, expected) in table {
        assert_eq!(source_of(&vip, &addresses).as_deref(), expected, "{what}");
    }
}

#[test]
fn where_adverts_are_exchanged() {
    let scope = |vip: &Vip, addresses: &[Address]| {
        ground(&plan(std::slice::from_ref(vip)), vip, &[link(2, "eth0")], addresses).scope
    };
    let unicast = |source: &str, address: &str| Vip {
        source: Some(ip(source)),
        peers: Peers::Unicast(vec![ip(source)]),
        ..vip("web", 51, &[address])
    };
    assert_eq!(scope(&vip("web", 51, &["10.0.0.9/32"]), &[]), Some(Scope::Group(2, true)));
    assert_eq!(scope(&vip("web", 51, &["fe80::9/64"]), &[]), Some(Scope::Group(2, false)));
    // Also while the source is not there.
    assert_eq!(scope(&unicast("10.0.0.1", "10.0.0.9/32"), &[]), Some(Scope::Address(ip("10.0.0.1"))));
    assert_eq!(scope(&unicast("fe80::1", "fe80::9/64"), &[]), Some(Scope::AddressOn(ip("fe80::1"), 2)));
    let elsewhere = Vip { interface: "eth7".to_owned(), ..vip("web", 51, &["10.0.0.9/32"]) };
    assert_eq!(scope(&elsewhere, &[]), None);
}

#[test]
fn a_virtual_mac_has_an_interface_of_its_own() {
    let vip = Vip { virtual_mac: true, ..vip("web", 51, &["10.0.0.9/32"]) };
    let links = [link(2, "eth0"), Link { is_macvlan: true, ..link(9, "prn4-2-51") }];
    let ground = ground(&plan(std::slice::from_ref(&vip)), &vip, &links, &[address(2, "10.0.0.1/24")]);
    assert_eq!((ground.scope, ground.also), (Some(Scope::Group(2, true)), Some(Scope::Group(9, true))));
    assert_eq!((ground.here.unwrap().interface, ground.spots[0].unwrap().interface), (2, 9));
    // 15 characters are what the kernel takes.
    assert_eq!(macvlan_name(&vip, 9_999_999).len(), 15);
}

#[test]
fn interfaces_without_arp_are_silent() {
    let silent = |link: Link| Spot::of(&link).link.is_none();
    assert!(!silent(link(2, "eth0")));
    assert!(silent(Link { no_arp: true, ..link(2, "eth0") }));
    assert!(silent(Link { kind: LinkKind::Loopback, ..link(1, "lo") }));
}
