use lab::{Host, Lab, SOON, wait_for};
use rustix::net::netdevice::name_to_index;

use super::*;
use crate::packet::{EVERY_PROTOCOL, PacketSocket};

/// What keepalived 2.2.7 sends of VRID 51 at priority 255, version 2, with 10.9.0.10.
const ADVERT: [u8; 20] =
    [0x21, 0x33, 0xff, 0x01, 0x00, 0x01, 0xd5, 0xb6, 0x0a, 0x09, 0x00, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0];

fn of_router(version: u8, vrid: u8) -> [u8; 20] {
    let mut advert = ADVERT;
    advert[..2].copy_from_slice(&[version << 4 | 1, vrid]);
    advert
}

fn eth0(host: &Host) -> u32 {
    host.in_namespace(|| name_to_index(PacketSocket::sender().unwrap(), "eth0").unwrap())
}

fn open(host: &Host, scope: VrrpScope, filter: VrrpFilter<'_>) -> VrrpSocket {
    host.in_namespace(|| VrrpSocket::open(scope, filter).unwrap())
}

fn group_v4(host: &Host, filter: VrrpFilter<'_>) -> VrrpSocket {
    open(host, VrrpScope::GroupV4(eth0(host)), filter)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The payload of the next advert, and what IP says of it.
fn next(socket: &VrrpSocket) -> (Vec<u8>, VrrpPacket<'static>) {
    let (mut buffer, mut found) = ([0; 4096], None);
    wait_for(SOON, "an advert", || {
        let packet = socket.receive(&mut buffer).unwrap();
        found = packet.map(|packet| (packet.payload.to_vec(), VrrpPacket { payload: &[], ..packet }));
        found.is_some()
    });
    found.unwrap()
}

fn two(name: &str) -> Result<(Lab, Host, Host), lab::Skip> {
    let lab = Lab::new(name)?;
    let (one, other) = (lab.host("one", "10.0.0.1/24"), lab.host("other", "10.0.0.2/24"));
    Ok((lab, one, other))
}

#[test]
fn an_advert_to_the_group_arrives_with_what_ip_says_of_it() {
    let (_lab, one, other) = lab::require!(two("vrrp-group"));
    let (from, to) = (group_v4(&one, VrrpFilter::All), group_v4(&other, VrrpFilter::All));
    from.send(ip("10.0.0.1"), ip("224.0.0.18"), &ADVERT).unwrap();
    let (payload, packet) = next(&to);
    assert_eq!(payload, ADVERT);
    let interface = eth0(&other);
    let expected =
        VrrpPacket { source: ip("10.0.0.1"), destination: ip("224.0.0.18"), ttl: 255, interface, payload: &[] };
    assert_eq!(packet, expected);
    to.send(ip("10.0.0.2"), ip("224.0.0.18"), &ADVERT).unwrap();
    assert_eq!(next(&from).1.source, ip("10.0.0.2"), "not our own");
    assert_eq!(from.receive(&mut [0; 4096]).unwrap(), None);
}

#[test]
fn with_ipv6_the_source_is_the_one_that_is_said() {
    let (_lab, one, other) = lab::require!(two("vrrp-group-6"));
    one.add_address("fe80::a/64");
    one.add_address("fe80::b/64");
    let from = open(&one, VrrpScope::GroupV6(eth0(&one)), VrrpFilter::All);
    let to = open(&other, VrrpScope::GroupV6(eth0(&other)), VrrpFilter::Of(&[51]));
    for source in ["fe80::a", "fe80::b"] {
        from.send(ip(source), ip("ff02::12"), &of_router(3, 51)).unwrap();
        let (payload, packet) = next(&to);
        assert_eq!(payload, of_router(3, 51));
        let interface = eth0(&other);
        let expected =
            VrrpPacket { source: ip(source), destination: ip("ff02::12"), ttl: 255, interface, payload: &[] };
        assert_eq!(packet, expected);
    }
    assert_eq!(from.receive(&mut [0; 4096]).unwrap(), None, "our own");
}

#[test]
fn adverts_to_an_address_are_heard_where_it_is_and_may_be_awaited_before() {
    let (_lab, one, other) = lab::require!(two("vrrp-unicast"));
    one.add_address("fd00::1/64");
    for (ours, theirs, prefixed) in [("10.0.0.7", "10.0.0.1", "10.0.0.7/24"), ("fd00::7", "fd00::1", "fd00::7/64")] {
        let to = open(&other, VrrpScope::Address(ip(ours)), VrrpFilter::Of(&[51]));
        let elsewhere = group_v4(&other, VrrpFilter::All);
        other.add_address(prefixed);
        let from = open(&one, VrrpScope::Address(ip(theirs)), VrrpFilter::All);
        from.send(ip(theirs), ip(ours), &of_router(3, 51)).unwrap();
        let (payload, packet) = next(&to);
        assert_eq!((payload.as_slice(), packet.ttl), (&of_router(3, 51)[..], 255));
        assert_eq!((packet.source, packet.destination, packet.interface), (ip(theirs), ip(ours), eth0(&other)));
        assert_eq!(elsewhere.receive(&mut [0; 4096]).unwrap(), None, "it was not to the group");
    }
}

#[test]
fn link_local_addresses_are_of_an_interface() {
    let (_lab, one, other) = lab::require!(two("vrrp-link-local"));
    one.add_address("fe80::a/64");
    other.add_address("fe80::b/64");
    let scope = |host: &Host, address: &str| VrrpScope::AddressOn(address.parse().unwrap(), eth0(host));
    let from = open(&one, scope(&one, "fe80::a"), VrrpFilter::All);
    let to = open(&other, scope(&other, "fe80::b"), VrrpFilter::All);
    from.send(ip("fe80::a"), ip("fe80::b"), &of_router(3, 51)).unwrap();
    assert_eq!(next(&to).1.source, ip("fe80::a"));
}

#[test]
fn the_filter_knows_version_type_and_every_number() {
    let (_lab, one, other) = lab::require!(two("vrrp-filter"));
    let all: Vec<u8> = (1..=255).collect();
    for count in [1, 2, 254, 255] {
        let (listed, rest) = all.split_at(count);
        let from = group_v4(&one, VrrpFilter::All);
        let to = group_v4(&other, VrrpFilter::Of(listed));
        for vrid in [rest, listed].concat() {
            from.send(ip("10.0.0.1"), ip("224.0.0.18"), &of_router(2 + vrid % 2, vrid)).unwrap();
        }
        let heard: Vec<u8> = listed.iter().map(|_| next(&to).0[1]).collect();
        assert_eq!(heard, listed);
        assert_eq!(to.receive(&mut [0; 4096]).unwrap(), None);
    }
    let error = group_v4(&one, VrrpFilter::All).set_filter(VrrpFilter::Of(&[7; 256])).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn what_is_no_advert_of_ours_is_counted_apart_and_sampled() {
    let (_lab, one, other) = lab::require!(two("vrrp-strays"));
    let from = group_v4(&one, VrrpFilter::All);
    let (ours, strays) = (group_v4(&other, VrrpFilter::Of(&[51])), group_v4(&other, VrrpFilter::NotOf(&[51])));
    from.send(ip("10.0.0.1"), ip("224.0.0.18"), &ADVERT).unwrap();
    assert_eq!(next(&ours).0, ADVERT);
    for other in [of_router(2, 50), of_router(4, 51), of_router(1, 51), [0x22; 20]].iter().cycle().take(100) {
        from.send(ip("10.0.0.1"), ip("224.0.0.18"), other).unwrap();
    }
    assert_eq!(ours.lost().unwrap(), 0);
    let first = next(&strays).0;
    assert_eq!(first, of_router(2, 50));
    let mut sampled = 1;
    wait_for(SOON, "all others", || {
        while strays.receive(&mut [0; 4096]).unwrap().is_some() {
            sampled += 1;
        }
        sampled + strays.lost().unwrap() == 100
    });
    assert!(sampled < 100, "no room was enough for all");
}

#[test]
fn a_filter_can_be_changed() {
    let (_lab, one, other) = lab::require!(two("vrrp-change"));
    let (from, to) = (group_v4(&one, VrrpFilter::All), group_v4(&other, VrrpFilter::Of(&[1])));
    to.set_filter(VrrpFilter::Of(&[2])).unwrap();
    for vrid in [1, 2] {
        from.send(ip("10.0.0.1"), ip("224.0.0.18"), &of_router(2, vrid)).unwrap();
    }
    assert_eq!(next(&to).0[1], 2);
    to.set_filter(VrrpFilter::All).unwrap();
    to.set_filter(VrrpFilter::All).unwrap();
    from.send(ip("10.0.0.1"), ip("224.0.0.18"), &of_router(2, 1)).unwrap();
    assert_eq!(next(&to).0[1], 1);
}

#[test]
fn what_cannot_be_is_refused() {
    let (_lab, one, _other) = lab::require!(two("vrrp-refused"));
    let none = one.in_namespace(|| VrrpSocket::open(VrrpScope::GroupV4(4000), VrrpFilter::All).unwrap_err());
    assert_eq!(none.raw_os_error(), Some(libc::ENODEV));
    let socket = group_v4(&one, VrrpFilter::All);
    let families = socket.send(ip("10.0.0.1"), ip("ff02::12"), &ADVERT).unwrap_err();
    assert_eq!(families.kind(), io::ErrorKind::InvalidInput);
    let long = socket.send(ip("10.0.0.1"), ip("224.0.0.18"), &vec![0; 1 << 16]).unwrap_err();
    assert_eq!(long.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn identifications_go_round_without_zero() {
    let (_lab, one, _other) = lab::require!(two("vrrp-identification"));
    let socket = group_v4(&one, VrrpFilter::All);
    assert_eq!((socket.next_identification(), socket.next_identification()), (1, 2));
    socket.identification.set(u16::MAX);
    assert_eq!(socket.next_identification(), 1);
}

#[test]
fn adverts_that_nobody_reads_are_lost_at_the_end_of_the_room() {
    let (_lab, one, other) = lab::require!(two("vrrp-room"));
    let (from, to) = (group_v4(&one, VrrpFilter::All), group_v4(&other, VrrpFilter::Of(&[51])));
    let mut sent = 0;
    wait_for(SOON, "no room", || {
        for _ in 0..100 {
            from.send(ip("10.0.0.1"), ip("224.0.0.18"), &ADVERT).unwrap();
            sent += 1;
        }
        to.lost().unwrap() > 0
    });
    let mut taken = 0;
    wait_for(SOON, "the rest", || {
        while to.receive(&mut [0; 4096]).unwrap().is_some() {
            taken += 1;
        }
        taken + to.lost().unwrap() == sent
    });
    assert!(taken > 1000, "{taken} of {sent} found room");
}

/// A file of packets as tcpdump writes it: each with its length twice, at the time 0, of Ethernet.
fn capture_file(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0];
    for frame in frames {
        file.extend([0; 8]);
        file.extend([(frame.len() as u32).to_le_bytes(); 2].as_flattened());
        file.extend(frame);
    }
    file
}

#[test]
fn what_is_sent_is_right_to_tshark() {
    lab::require!(lab::program("tshark"));
    let (lab, one, other) = lab::require!(two("vrrp-tshark"));
    one.add_address("fe80::a/64");
    let (interface, there) = (eth0(&one), eth0(&other));
    let watcher = other.in_namespace(|| PacketSocket::receiver(there, EVERY_PROTOCOL, None, 1 << 20).unwrap());
    let from = group_v4(&one, VrrpFilter::All);
    from.send(ip("10.0.0.1"), ip("224.0.0.18"), &ADVERT).unwrap();
    let from = open(&one, VrrpScope::GroupV6(interface), VrrpFilter::All);
    // By hand: 3133 ff01 0064, fe80 0055, and of the pseudo-header fe80 000a ff02 0012 0018 0070: 42d93, folded 2d97.
    let advert = [&[0x31, 0x33, 0xff, 1, 0, 100, 0xd2, 0x68, 0xfe, 0x80][..], &[0; 13], &[0x55]].concat();
    from.send(ip("fe80::a"), ip("ff02::12"), &advert).unwrap();
    let sender = one.in_namespace(|| PacketSocket::sender().unwrap());
    let link = wire::link::Link::new(&[2, 0, 0, 0, 0, 1], &[0xff; 6]).unwrap();
    let announcement = wire::arp::gratuitous(&link, Ipv4Addr::new(10, 0, 0, 10));
    sender.send(interface, wire::arp::ETHERTYPE, announcement.bytes()).unwrap();
    let announcement = wire::neighbour::unsolicited(&link, "fd00::10".parse().unwrap(), true);
    sender.send(interface, wire::neighbour::ETHERTYPE, announcement.bytes()).unwrap();
    let mut frames = Vec::new();
    wait_for(SOON, "the last frame", || {
        let mut buffer = [0; 2048];
        while let Some(frame) = watcher.receive(&mut buffer).unwrap() {
            frames.push(frame.bytes.to_vec());
        }
        frames.iter().any(|frame| frame == announcement.bytes())
    });
    let file = lab.folder().join("sent.pcap");
    std::fs::write(&file, capture_file(&frames)).unwrap();
    let wanted = "arp.isgratuitous == 1 or vrrp or icmpv6.nd.na.target_address == fd00::10";
    let mut command = vec!["tshark", "-r", file.to_str().unwrap(), "-o", "ip.check_checksum:TRUE", "-Y", wanted];
    command.extend(["-T", "fields", "-E", "separator=|", "-e", "_ws.col.Protocol", "-e", "ip.checksum.status"]);
    // 1 is good.
    command.extend(["-e", "vrrp.checksum.status", "-e", "icmpv6.checksum.status", "-e", "_ws.malformed"]);
    command.extend(["-e", "_ws.expert.message"]);
    let told = one.run(&command).success().text();
    assert_eq!(told, "VRRP|1|1|||\nVRRP||1|||\nARP|||||\nICMPv6|||1||\n");
}
