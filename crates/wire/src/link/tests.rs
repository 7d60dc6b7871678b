use proptest::prelude::*;

use super::*;

/// The broadcast address of a link in partition 8001, of link-local scope.
const BROADCAST: [u8; 20] =
    [0, 0xff, 0xff, 0xff, 0xff, 0x12, 0x40, 0x1b, 0x80, 0x01, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];

#[test]
fn groups_have_addresses_on_the_link() {
    let all_nodes: Ipv6Addr = "ff02::1".parse().unwrap();
    let ethernet = Link::new(&[2, 0, 0, 0, 0, 1], &[0xff; 6]).unwrap();
    assert_eq!(ethernet.multicast(all_nodes).to_string(), "33:33:00:00:00:01");
    assert_eq!(ethernet.multicast("ff02::1:ff12:3456".parse().unwrap()).to_string(), "33:33:ff:12:34:56");
    // As `ip maddress show dev ib0` has it.
    let infiniband = Link::new(&[0; 20], &BROADCAST).unwrap();
    let expected = "00:ff:ff:ff:ff:12:60:1b:80:01:00:00:00:00:00:00:00:00:00:01";
    assert_eq!(infiniband.multicast(all_nodes).to_string(), expected);
    assert_eq!((ethernet.kind(), infiniband.kind()), (1, 32));
}

#[test]
fn links_have_addresses_of_one_kind() {
    assert_eq!(Link::new(&[2; 6], &BROADCAST), None);
    assert_eq!(Link::new(&[2; 8], &[0xff; 8]), None, "IEEE 1394");
    assert_eq!(Link::new(&[], &[]), None);
}

#[test]
fn headers_are_read_behind_tags() {
    let (there, here) = ([0xff; 6], [2, 0, 0, 0, 0, 1]);
    let header = LinkHeader {
        destination: LinkAddress::Ethernet(there),
        source: Some(LinkAddress::Ethernet(here)),
        ethertype: 0x0806,
    };
    let tags: [&[u8]; 3] = [&[], &[0x81, 0, 0, 42], &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 42]];
    for tags in tags {
        let frame = [&there, &here, tags, &[8, 6, 1, 2, 3]].concat();
        for kind in [1, 772] {
            assert_eq!(parse_link_header(kind, &frame), Ok((header, &[1, 2, 3][..])));
        }
        for length in 0..frame.len() - 3 {
            assert_eq!(parse_link_header(1, &frame[..length]), Err(LinkError::Truncated));
        }
    }
    let three = [&there[..], &here, &[0x81, 0, 0, 1].repeat(3), &[8, 6]].concat();
    assert_eq!(parse_link_header(1, &three), Err(LinkError::Tags));
    assert_eq!(parse_link_header(512, &three), Err(LinkError::Kind), "PPP");

    let frame = [&BROADCAST[..], &[8, 6, 0, 0, 1, 2, 3]].concat();
    let header = LinkHeader { destination: LinkAddress::InfiniBand(BROADCAST), source: None, ethertype: 0x0806 };
    assert_eq!(parse_link_header(32, &frame), Ok((header, &[1, 2, 3][..])));
    for length in 0..24 {
        assert_eq!(parse_link_header(32, &frame[..length]), Err(LinkError::Truncated));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_to_an_end(kind in prop_oneof![Just(1), Just(32), any::<u16>()],
        bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        if let Ok((_, rest)) = parse_link_header(kind, &bytes) {
            prop_assert!(bytes.ends_with(rest));
        }
    }
}
