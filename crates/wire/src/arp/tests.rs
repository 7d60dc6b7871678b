use proptest::prelude::*;

use super::*;
use crate::link::parse_link_header;

/// What keepalived 2.2.7 sent when 10.9.0.10 became its own, by `tcpdump -xx` at the other end of a veth pair.
const GRATUITOUS: [u8; 42] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x06, //
    0, 0x01, 0x08, 0, 0x06, 0x04, 0, 0x01, 0x02, 0, 0, 0, 0, 0x01, 0x0a, 0x09, //
    0, 0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0a, 0x09, 0, 0x0a,
];

/// What Linux answered when arping asked 10.9.0.1's question for 10.9.0.2.
const REPLY: [u8; 28] = [
    0, 0x01, 0x08, 0, 0x06, 0x04, 0, 0x02, 0x02, 0, 0, 0, 0, 0x02, 0x0a, 0x09, //
    0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x0a, 0x09, 0, 0x01,
];

const HERE: LinkAddress = LinkAddress::Ethernet([2, 0, 0, 0, 0, 1]);
const THERE: LinkAddress = LinkAddress::Ethernet([2, 0, 0, 0, 0, 2]);

fn ethernet() -> Link {
    Link::new(HERE.bytes(), &[0xff; 6]).unwrap()
}

#[test]
fn what_keepalived_sends_is_written_and_read() {
    assert_eq!(gratuitous(&ethernet(), Ipv4Addr::new(10, 9, 0, 10)).bytes(), GRATUITOUS);
    let (header, packet) = parse_link_header(1, &GRATUITOUS).unwrap();
    assert_eq!((header.source, header.ethertype), (Some(HERE), ETHERTYPE));
    let expected = ArpPacket {
        operation: Operation::Request,
        sender_link: HERE,
        sender: Ipv4Addr::new(10, 9, 0, 10),
        target_link: LinkAddress::Ethernet([0xff; 6]),
        target: Ipv4Addr::new(10, 9, 0, 10),
    };
    assert_eq!(parse_arp(packet), Ok(expected));
}

#[test]
fn an_answer_is_read_and_its_padding_passed_over() {
    let expected = ArpPacket {
        operation: Operation::Reply,
        sender_link: THERE,
        sender: Ipv4Addr::new(10, 9, 0, 2),
        target_link: HERE,
        target: Ipv4Addr::new(10, 9, 0, 1),
    };
    assert_eq!(parse_arp(&REPLY), Ok(expected));
    assert_eq!(parse_arp(&[&REPLY[..], &[0xaa; 18]].concat()), Ok(expected));
}

#[test]
fn a_probe_says_nothing_of_its_sender() {
    let mut expected = GRATUITOUS;
    expected[28..38].fill(0);
    assert_eq!(probe(&ethernet(), Ipv4Addr::new(10, 9, 0, 10)).bytes(), expected);
}

#[test]
fn over_infiniband_addresses_have_20_bytes_and_the_destination_comes_first() {
    let own: [u8; 20] = [0x80, 0, 2, 8, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77];
    let all: [u8; 20] = [0, 255, 255, 255, 255, 0x12, 0x40, 0x1b, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255];
    let frame = gratuitous(&Link::new(&own, &all).unwrap(), Ipv4Addr::new(10, 9, 0, 10));
    // RFC 4391 §6 and §9.1.2: hardware type 32, hardware length 20.
    let expected: [&[u8]; 7] =
        [&all, &[0x08, 0x06, 0, 0], &[0, 32, 0x08, 0, 20, 4, 0, 1], &own, &[10, 9, 0, 10], &all, &[10, 9, 0, 10]];
    assert_eq!(frame.bytes(), expected.concat());
    let read = parse_arp(&frame.bytes()[24..]).unwrap();
    assert_eq!((read.sender_link, read.sender), (LinkAddress::InfiniBand(own), Ipv4Addr::new(10, 9, 0, 10)));
}

#[test]
fn what_is_no_arp_is_refused_by_name() {
    let altered = |at: usize, with: u8| {
        let mut packet = REPLY;
        packet[at] = with;
        parse_arp(&packet)
    };
    let table = [
        ("ARCnet", altered(1, 7), ArpError::Link),
        ("InfiniBand with addresses of 6 bytes", altered(1, 32), ArpError::Link),
        ("Ethernet with addresses of 20 bytes", altered(4, 20), ArpError::Link),
        ("IPv6", altered(2, 0x86), ArpError::Protocol),
        ("addresses of 16 bytes", altered(5, 16), ArpError::Protocol),
        ("a request of RARP", altered(7, 3), ArpError::Operation),
        ("operation 0", altered(7, 0), ArpError::Operation),
    ];
    for (what, read, expected) in table {
        assert_eq!(read, Err(expected), "{what}");
    }
    for length in 0..REPLY.len() {
        assert_eq!(parse_arp(&REPLY[..length]), Err(ArpError::Truncated), "{length} bytes");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(own in any::<[u8; 20]>(), all in any::<[u8; 20]>(), address in any::<[u8; 4]>()) {
        let address = Ipv4Addr::from(address);
        for (bytes, kind, header) in [(6, 1, 14), (20, 32, 24)] {
            let link = Link::new(&own[..bytes], &all[..bytes]).unwrap();
            let frame = gratuitous(&link, address);
            // Unless its broadcast address begins as a tag would.
            if let Ok((read, packet)) = parse_link_header(kind, frame.bytes()) {
                prop_assert_eq!(read.destination, link.broadcast());
                prop_assert_eq!(packet, &frame.bytes()[header..]);
            }
            let expected = ArpPacket {
                operation: Operation::Request,
                sender_link: link.address(),
                sender: address,
                target_link: link.broadcast(),
                target: address,
            };
            prop_assert_eq!(parse_arp(&frame.bytes()[header..]), Ok(expected));
        }
    }

    #[test]
    fn any_bytes_are_read_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let _ = parse_arp(&bytes);
    }
}
