use super::*;
use crate::example::{address, ip, link, plan, vip, vip_address};
use crate::{Plan, Vip};

/// What is done, in short.
fn told(changes: &[Change]) -> Vec<String> {
    let tell = |change: &Change| match change {
        Change::AddAddress { interface, address } => format!("+{}/{} {interface}", address.ip, address.prefix),
        Change::RemoveAddress { interface, ip, prefix } => format!("-{ip}/{prefix} {interface}"),
        Change::AddRoute(route) => format!("+route {}", route.table),
        Change::RemoveRoute(route) => format!("-route {}", route.table),
        Change::AddRule(rule) => format!("+rule {}", rule.priority),
        Change::RemoveRule(rule) => format!("-rule {}", rule.priority),
        Change::SetUp { interface, up } => format!("{} {interface}", if *up { "up" } else { "down" }),
        Change::RemoveLink(index) => format!("-link {index}"),
    };
    changes.iter().map(tell).collect()
}

fn marked(interface: u32, text: &str) -> Address {
    Address { protocol: MARK, ..address(interface, text) }
}

/// What is changed for these vips to have their addresses, if this is there.
fn reconciled(plan: &Plan, active: &[bool], known: &Ours, there: &[Address]) -> Vec<String> {
    let links = [link(2, "eth0"), link(3, "eth1")];
    let addresses = our_addresses(plan, known, &links, there);
    let ours = Ours { addresses, ..known.clone() };
    told(&changes(&wanted(plan, active, &links), &ours, &links, there))
}

#[test]
fn what_is_there_and_what_is_wanted() {
    let web = || vip("web", 51, &["10.0.0.100/32"]);
    type Row = (&'static str, Vec<Vip>, Vec<bool>, Vec<Address>, &'static [&'static str]);
    let owner = Vip { priority: vrrp_proto::Priority::OWNER, ..vip("own", 51, &["10.0.0.1/24"]) };
    let table: [Row; 11] = [
        ("nothing", vec![web()], vec![false], vec![], &[]),
        ("it becomes active", vec![web()], vec![true], vec![], &["+10.0.0.100/32 2"]),
        ("it has it", vec![web()], vec![true], vec![address(2, "10.0.0.100/32")], &[]),
        ("it leaves", vec![web()], vec![false], vec![marked(2, "10.0.0.100/32")], &["-10.0.0.100/32 2"]),
        (
            "of a crash, without a mark",
            vec![web()],
            vec![false],
            vec![address(2, "10.0.0.100/32")],
            &["-10.0.0.100/32 2"],
        ),
        ("of an older plan", vec![web()], vec![false], vec![marked(2, "10.0.0.99/32")], &["-10.0.0.99/32 2"]),
        ("marked, elsewhere", vec![web()], vec![false], vec![marked(3, "10.0.0.99/32")], &[]),
        ("an administrator's", vec![web()], vec![false], vec![address(2, "10.0.0.1/24")], &[]),
        ("with another prefix", vec![web()], vec![true], vec![address(2, "10.0.0.100/24")], &["+10.0.0.100/32 2"]),
        ("with another prefix, at the end", vec![web()], vec![false], vec![address(2, "10.0.0.100/24")], &[]),
        ("an owner's own", vec![owner], vec![false], vec![address(2, "10.0.0.1/24")], &[]),
    ];
    for (what, vips, active, there, expected) in table {
        assert_eq!(reconciled(&plan(&vips), &active, &Ours::default(), &there), expected, "{what}");
    }
}

#[test]
fn an_address_that_moves_between_vips_or_interfaces_is_not_missing() {
    let web = vip("web", 51, &["10.0.0.100/32"]);
    let db = vip("db", 52, &["10.0.0.101/32", "10.0.0.102/32"]);
    let there = ["10.0.0.100/32", "10.0.0.101/32", "10.0.0.102/32"].map(|text| marked(2, text));
    let mut next = [web.clone(), db];
    let moving = next[1].addresses.pop().unwrap();
    next[0].addresses.push(moving);
    assert!(reconciled(&plan(&next), &[true, true], &Ours::default(), &there).is_empty());
    // To eth1: there first.
    let known = Ours { addresses: [Place::of(&there[0])].into(), ..Ours::default() };
    let elsewhere = Vip { interface: "eth1".to_owned(), ..web };
    let changed = reconciled(&plan(&[elsewhere]), &[true], &known, &there[..1]);
    assert_eq!(changed, ["+10.0.0.100/32 3", "-10.0.0.100/32 2"]);
}

/// The kernel has no room for two prefixes of one IPv6 address, and has for IPv4's.
#[test]
fn another_prefix() {
    let known = |text: &str| Ours { addresses: [Place::of(&address(2, text))].into(), ..Ours::default() };
    let v4 = reconciled(
        &plan(&[vip("a", 1, &["10.0.0.9/24"])]),
        &[true],
        &known("10.0.0.9/32"),
        &[address(2, "10.0.0.9/32")],
    );
    assert_eq!(v4, ["+10.0.0.9/24 2", "-10.0.0.9/32 2"]);
    let v6 = reconciled(
        &plan(&[vip("a", 1, &["fd00::9/64"])]),
        &[true],
        &known("fd00::9/128"),
        &[address(2, "fd00::9/128")],
    );
    assert_eq!(v6, ["-fd00::9/128 2", "+fd00::9/64 2"]);
}

#[test]
fn routes_and_rules_come_after_addresses_and_go_before() {
    let mut web = vip("web", 51, &["10.0.0.100/32"]);
    web.routes = vec![Route {
        to: (ip("10.5.0.0"), 16),
        via: Some(ip("10.0.0.2")),
        interface: None,
        source: Some(ip("10.0.0.100")),
        table: 77,
        metric: None,
    }];
    web.rules = vec![Rule { from: Some((ip("10.0.0.100"), 32)), to: None, table: 77, priority: 7 }];
    let plan = plan(&[web]);
    let come = reconciled(&plan, &[true], &Ours::default(), &[]);
    assert_eq!(come, ["+10.0.0.100/32 2", "+route 77", "+rule 7"]);
    // As the kernel lists them: with an interface and a metric.
    let links = [link(2, "eth0")];
    let wanted = wanted(&plan, &[true], &links);
    let routes = vec![netlink::Route { interface: Some(2), metric: 1024, ..wanted.routes[0].clone() }];
    let ours = Ours { routes, rules: wanted.rules, ..Ours::default() };
    let there = [marked(2, "10.0.0.100/32")];
    assert!(reconciled(&plan, &[true], &ours, &there).is_empty());
    assert_eq!(reconciled(&plan, &[false], &ours, &there), ["-rule 7", "-route 77", "-10.0.0.100/32 2"]);
    let unsure = Ours { unsure: true, ..ours };
    assert_eq!(reconciled(&plan, &[true], &unsure, &there), ["+route 77", "+rule 7"]);
}

#[test]
fn addresses_as_the_kernel_gets_them() {
    let mut address = vip_address("10.0.0.100/24");
    address.label = Some("eth0:web".to_owned());
    address.scope = 253;
    let new = new_address(&address);
    assert_eq!((new.label.as_deref(), new.scope, new.protocol), (Some("eth0:web"), Scope::LINK, 112));
    assert!(!new.deprecated && !new.no_prefix_route);
    let single = new_address(&vip_address("fd00::9/128"));
    assert!(single.no_dad && single.deprecated && single.no_prefix_route);
    let network = new_address(&vip_address("fd00::9/64"));
    assert!(network.no_dad && !network.deprecated && !network.no_prefix_route);
}

/// Up only while the vip is active, and before its addresses.
#[test]
fn a_macvlan_rises_before_its_addresses_and_falls_after_them() {
    let plan = plan(&[Vip { virtual_mac: true, ..vip("web", 51, &["10.0.0.100/32"]) }]);
    let macvlan = |up| Link { up, is_macvlan: true, ..link(9, "prn4-2-51") };
    let changed = |active, up, there: &[Address]| {
        let links = [link(2, "eth0"), macvlan(up)];
        let addresses = our_addresses(&plan, &Ours::default(), &links, there);
        told(&changes(&wanted(&plan, &[active], &links), &Ours { addresses, ..Ours::default() }, &links, there))
    };
    assert_eq!(changed(true, false, &[]), ["up 9", "+10.0.0.100/32 9"]);
    assert_eq!(changed(false, true, &[marked(9, "10.0.0.100/32")]), ["-10.0.0.100/32 9", "down 9"]);
    assert!(changed(false, false, &[]).is_empty());
}

#[test]
fn what_stands_on_an_interface_that_is_not_there_is_left_out() {
    let mut web = vip("web", 51, &["10.0.0.100/32", "10.0.0.101/32"]);
    web.addresses[1].interface = Some("eth7".to_owned());
    assert_eq!(reconciled(&plan(&[web]), &[true], &Ours::default(), &[]), ["+10.0.0.100/32 2"]);
}
