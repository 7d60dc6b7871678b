use std::net::IpAddr;
use std::time::Instant;

use lab::{Host, Lab, SOON, require};
use proptest::prelude::*;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{SendFlags, getsockname, sendto};

use super::*;
use crate::codec::{CHANGE, Requests};
use crate::socket::DATAGRAM_MAX;
use crate::{HardwareAddress, Kernel, LinkKind, NewAddress};

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

#[test]
fn what_is_not_from_the_kernel_is_dropped() {
    let lab = require!(Lab::new("netlink-forged"));
    let host = lab.host("one", "10.0.0.1/24");
    let mut watcher = watch(&host);
    let port = SocketAddrNetlink::try_from(getsockname(&watcher).unwrap()).unwrap().pid();
    let forger = host.in_namespace(|| Socket::open(0).unwrap());
    let gone = message(17, &infiniband());
    sendto(&forger, &gone, SendFlags::empty(), &SocketAddrNetlink::new(port, 0)).unwrap();
    // It is here, and read over.
    assert!(watcher.socket.wait(Instant::now()).unwrap());
    assert_eq!(watcher.next_event().unwrap(), None);
    let mut events = VecDeque::new();
    read(&gone, &mut events);
    assert!(matches!(&events[0], Event::LinkGone(link) if link.index == 7), "the kernel would have been heard");
}

#[test]
fn a_datagram_that_is_too_long_is_not_taken_for_a_whole_one() {
    let mut socket = Socket::open(0).unwrap();
    // What the kernel refuses it sends back, after the errno and behind a header of its own: 20 bytes more.
    for (value, is_whole) in [(DATAGRAM_MAX / 2 - 40, true), (DATAGRAM_MAX / 2 - 20, false)] {
        let value = vec![0; value];
        let mut requests = Requests::default();
        requests.begin(NEW_ADDRESS, CHANGE, &[0; 8]).attribute(99, &value).attribute(99, &value).end(1);
        socket.send(requests.bytes()).unwrap();
        assert!(socket.wait(Instant::now() + SOON).unwrap());
        match socket.receive().unwrap() {
            Received::Datagram(bytes) => assert_eq!((bytes.len(), is_whole), (requests.bytes().len() + 20, true)),
            other => assert_eq!((other, is_whole), (Received::TooLong, false)),
        }
    }
}

/// A message of the kernel's to everybody: its sequence number and port are zero.
fn message(kind: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = (16 + body.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(&kind.to_le_bytes());
    bytes.extend_from_slice(&[0; 10]);
    bytes.extend_from_slice(body);
    bytes
}

/// What a kernel says of a link of IPoIB, by linux/if_link.h: ib0, index 7, ARPHRD_INFINIBAND, up, running, lower up.
fn infiniband() -> Vec<u8> {
    let mut body = vec![0, 0, 32, 0, 7, 0, 0, 0, 0x43, 0x10, 0x01, 0x00, 0, 0, 0, 0];
    body.extend_from_slice(b"\x08\0\x03\0ib0\0");
    body.extend_from_slice(b"\x18\0\x01\0");
    body.extend_from_slice(b"\x80\0\x02\x08\xfe\x80\0\0\0\0\0\0\x24\x8a\x07\x03\0\xad\xf0\x01");
    body.extend_from_slice(b"\x18\0\x02\0");
    body.extend_from_slice(b"\0\xff\xff\xff\xff\x12\x40\x1b\xff\xff\0\0\0\0\0\0\xff\xff\xff\xff");
    body.extend_from_slice(b"\x08\0\x04\0\xfc\x07\0\0");
    // An attribute of a kernel to come.
    body.extend_from_slice(b"\x05\0\xe7\x03x\0\0\0");
    body
}

#[test]
fn a_link_of_infiniband_has_addresses_of_twenty_bytes() {
    let mut events = VecDeque::new();
    read(&message(16, &infiniband()), &mut events);
    let [Event::LinkChanged(link)] = events.make_contiguous() else {
        panic!("{events:?}");
    };
    assert_eq!((link.name.as_str(), link.kind, link.mtu, link.index), ("ib0", LinkKind::InfiniBand, 2044, 7));
    assert!(link.up && link.running && link.carrier && !link.no_arp);
    assert_eq!(link.hardware.to_string(), "80:00:02:08:fe:80:00:00:00:00:00:00:24:8a:07:03:00:ad:f0:01");
    assert_eq!(link.broadcast.bytes().len(), 20);
    assert_eq!(HardwareAddress::new(&[0; 33]), None);
}

#[test]
fn what_is_cut_or_not_understood_is_an_overrun() {
    let whole = message(16, &infiniband());
    for cut in 1..whole.len() {
        let mut events = VecDeque::new();
        read(&whole[..cut], &mut events);
        assert_eq!(events, [Event::Overrun], "{cut}");
    }
    // An address of five bytes, one of none, and a network of 33 bits.
    for (kind, body) in [
        (20, &b"\x02\x18\0\0\x03\0\0\0\x09\0\x02\0\x0a\0\0\x01\x09\0\0\0"[..]),
        (20, b"\x02\x18\0\0\x03\0\0\0"),
        (25, b"\x02\x21\0\0\xfe\x04\0\x01\0\0\0\0\x08\0\x01\0\x0a\0\0\x01"),
    ] {
        let mut events = VecDeque::new();
        read(&message(kind, body), &mut events);
        assert_eq!(events, [Event::Overrun]);
    }
    // Another family's address (AF_PHONET), and a neighbour (RTM_NEWNEIGH), are nobody's concern.
    let mut events = VecDeque::new();
    read(&message(20, b"\x23\x18\0\0\x03\0\0\0"), &mut events);
    read(&message(28, b"\x02"), &mut events);
    assert_eq!(events, []);
}

#[test]
fn an_address_says_who_added_it() {
    // 10.0.0.9/32 of link 3, IFA_PROTO 18, flags 0x280: permanent, no prefix route.
    let body = b"\x02\x20\x80\0\x03\0\0\0\x08\0\x01\0\x0a\0\0\x09\x08\0\x02\0\x0a\0\0\x09\
        \x08\0\x08\0\x80\x02\0\0\x05\0\x0b\0\x12\0\0\0";
    let mut events = VecDeque::new();
    read(&message(20, body), &mut events);
    let [Event::AddressAdded(address)] = events.make_contiguous() else {
        panic!("{events:?}");
    };
    assert_eq!((address.interface, address.prefix, address.protocol), (3, 32, 18));
    assert_eq!(address.ip.to_string(), "10.0.0.9");
    assert!(address.flags.permanent && address.flags.no_prefix_route && !address.flags.tentative);
}

proptest! {
    #[test]
    fn no_bytes_panic_nor_make_more_events_than_messages(
        kind in 16_u16..36,
        start in prop::sample::select(vec![infiniband(), vec![2, 24, 0, 0, 3, 0, 0, 0], vec![10; 12]]),
        rest in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut body = start;
        body.extend(rest);
        let mut events = VecDeque::new();
        read(&message(kind, &body), &mut events);
        prop_assert!(events.len() <= 2);
        read(&body, &mut events);
    }
}
