//! Frames that a link brings are read to an end, and what is read of them means the same when it is written again.

use std::net::Ipv6Addr;

use wire::arp::{self, Operation, gratuitous, parse_arp, probe};
use wire::checksum::Sum;
use wire::ipv4::{self, parse_ipv4, write_ipv4};
use wire::link::{Link, LinkAddress, parse_link_header};
use wire::neighbour::{self, Neighbour, NeighbourKind, parse_neighbour, unsolicited};

use crate::split_first;

/// One byte chooses the kind of link, and whether checksums are put right first; the rest is a frame.
pub fn announcement(bytes: &[u8]) {
    let (choice, frame) = split_first(bytes);
    let kind = [1, 32, 772, u16::from(choice)][usize::from(choice & 3)];
    let Ok((header, packet)) = parse_link_header(kind, frame) else { return };
    assert!(frame.ends_with(packet));
    assert_eq!(header.source.is_none(), kind == 32);
    let mut packet = packet.to_vec();
    match header.ethertype {
        arp::ETHERTYPE => arp(&packet),
        ipv4::ETHERTYPE => {
            if choice & 4 != 0 {
                sum_ipv4(&mut packet);
            }
            ipv4(&packet);
        }
        neighbour::ETHERTYPE => {
            if choice & 4 != 0 {
                sum_icmpv6(&mut packet);
            }
            if let Ok(read) = parse_neighbour(&packet) {
                neighbour(&read);
            }
        }
        _ => {}
    }
}

fn arp(packet: &[u8]) {
    let Ok(read) = parse_arp(packet) else { return };
    let length = read.sender_link.bytes().len();
    assert_eq!(length, read.target_link.bytes().len());
    if read.operation != Operation::Request {
        return;
    }
    let link = Link::new(read.sender_link.bytes(), read.target_link.bytes()).expect("two addresses of one kind");
    for (frame, sender) in [(gratuitous(&link, read.target), read.target), (probe(&link, read.target), [0; 4].into())] {
        let written = parse_arp(&frame.bytes()[header_bytes(&link)..]).expect("it was just written");
        assert_eq!((written.sender_link, written.sender, written.target), (read.sender_link, sender, read.target));
    }
}

fn ipv4(packet: &[u8]) {
    let Ok((header, payload)) = parse_ipv4(packet) else { return };
    let written = write_ipv4(&header, payload.len()).expect("it was in a packet");
    assert_eq!(parse_ipv4(&[&written, payload].concat()), Ok((header, payload)));
}

fn neighbour(read: &Neighbour) {
    assert!(!read.target.is_multicast());
    let Some(address) = read.link else { return };
    let all = [0xff; 20];
    let link = Link::new(address.bytes(), &all[..address.bytes().len()]).expect("two addresses of one kind");
    let router = matches!(read.kind, NeighbourKind::Advertisement { router: true, .. });
    let frame = unsolicited(&link, read.target, router);
    let expected = Neighbour {
        source: read.target,
        destination: Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1),
        target: read.target,
        link: Some(address),
        kind: NeighbourKind::Advertisement { router, solicited: false, overrides: true },
    };
    assert_eq!(parse_neighbour(&frame.bytes()[header_bytes(&link)..]), Ok(expected));
}

fn header_bytes(link: &Link) -> usize {
    match link.address() {
        LinkAddress::Ethernet(_) => 14,
        LinkAddress::InfiniBand(_) => 24,
    }
}

fn sum_ipv4(packet: &mut [u8]) {
    let length = packet.first().map_or(0, |first| usize::from(first & 0xf) * 4);
    if let Some(header) = packet.get_mut(..length.max(12)) {
        header[10..12].fill(0);
        let mut sum = Sum::default();
        sum.add(&header[..length]);
        header[10..12].copy_from_slice(&sum.checksum());
    }
}

fn sum_icmpv6(packet: &mut [u8]) {
    let Some((header, rest)) = packet.split_first_chunk_mut::<40>() else { return };
    let Some(message) = rest.get_mut(..usize::from(u16::from_be_bytes([header[4], header[5]]))) else { return };
    if message.len() < 4 {
        return;
    }
    message[2..4].fill(0);
    let mut sum = Sum::default();
    let mut addresses = header[8..].as_chunks::<16>().0.iter().map(|&bytes| Ipv6Addr::from(bytes));
    let (source, destination) = (addresses.next().unwrap_or(Ipv6Addr::UNSPECIFIED), addresses.next());
    let destination = destination.unwrap_or(Ipv6Addr::UNSPECIFIED);
    sum.add_pseudo_header(source.into(), destination.into(), 58, message.len());
    sum.add(message);
    message[2..4].copy_from_slice(&sum.checksum());
}
