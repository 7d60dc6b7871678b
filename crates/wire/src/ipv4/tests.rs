use proptest::prelude::*;

use super::*;

/// What keepalived 2.2.7 sent as VRID 51, by `tcpdump -x` at the other end of a veth pair; the advert follows the header.
const ADVERT: [u8; 40] = [
    0x45, 0xc0, 0x00, 0x28, 0x00, 0x01, 0x00, 0x00, 0xff, 0x70, 0xd0, 0x88, 0x0a, 0x09, 0x00, 0x01, //
    0xe0, 0x00, 0x00, 0x12, 0x21, 0x33, 0xff, 0x01, 0x00, 0x01, 0xd5, 0xb6, 0x0a, 0x09, 0x00, 0x0a, //
    0, 0, 0, 0, 0, 0, 0, 0,
];

const HEADER: Ipv4Header = Ipv4Header {
    source: Ipv4Addr::new(10, 9, 0, 1),
    destination: Ipv4Addr::new(224, 0, 0, 18),
    protocol: 112,
    ttl: 255,
    tos: 0xc0,
    identification: 1,
    dont_fragment: false,
};

/// `ADVERT` with the bytes at `at` replaced, and in its checksum what was added to the sum taken off, by hand.
fn altered(at: usize, with: &[u8], checksum: [u8; 2]) -> Vec<u8> {
    let mut packet = ADVERT.to_vec();
    packet[at..at + with.len()].copy_from_slice(with);
    packet[10..12].copy_from_slice(&checksum);
    packet
}

#[test]
fn what_keepalived_sends_is_read_and_written() {
    assert_eq!(parse_ipv4(&ADVERT), Ok((HEADER, &ADVERT[20..])));
    assert_eq!(write_ipv4(&HEADER, 20).unwrap(), ADVERT[..20]);
    // 4000 more in the sum, as much less in its complement: d088 - 4000.
    let whole = Ipv4Header { dont_fragment: true, ..HEADER };
    assert_eq!(write_ipv4(&whole, 20).unwrap()[6..12], [0x40, 0x00, 0xff, 0x70, 0x90, 0x88]);
    assert_eq!(parse_ipv4(&altered(6, &[0x40], [0x90, 0x88])).unwrap().0, whole);
}

#[test]
fn options_and_what_follows_the_packet_are_passed_over() {
    let padded = [&ADVERT[..], &[0xaa; 6]].concat();
    assert_eq!(parse_ipv4(&padded), Ok((HEADER, &ADVERT[20..])));
    // Router alert (RFC 2113), four bytes: 0104 more in the first two words, 9404 in the new ones; d088 - 9508.
    let mut optional = altered(0, &[0x46, 0xc0, 0x00, 0x2c], [0x3b, 0x80]);
    optional.splice(20..20, [0x94, 0x04, 0x00, 0x00]);
    assert_eq!(parse_ipv4(&optional), Ok((HEADER, &ADVERT[20..])));
}

#[test]
fn what_is_no_packet_is_refused_by_name() {
    use Ipv4Error as E;
    let table = [
        ("nothing", Vec::new(), E::Truncated),
        ("IPv6", altered(0, &[0x65], [0xd0, 0x88]), E::Version),
        ("a header of 16 bytes", altered(0, &[0x44], [0xd1, 0x88]), E::Length),
        ("19 bytes in all", altered(2, &[0, 19], [0xd0, 0x9d]), E::Length),
        ("a header of 60 bytes in 40", altered(0, &[0x4f], [0xc6, 0x88]), E::Length),
        ("41 bytes in all", altered(2, &[0, 41], [0xd0, 0x87]), E::Truncated),
        ("a wrong sum", altered(8, &[254], [0xd0, 0x88]), E::Checksum),
        ("the first fragment", altered(6, &[0x20, 0], [0xb0, 0x88]), E::Fragment),
        ("the last fragment", altered(6, &[0, 1], [0xd0, 0x87]), E::Fragment),
    ];
    for (what, packet, expected) in table {
        assert_eq!(parse_ipv4(&packet), Err(expected), "{what}");
    }
    for length in 0..ADVERT.len() {
        assert_eq!(parse_ipv4(&ADVERT[..length]), Err(E::Truncated), "{length} bytes");
    }
}

#[test]
fn a_packet_is_as_long_as_16_bits_say() {
    assert_eq!(write_ipv4(&HEADER, 65_515).unwrap()[2..4], [0xff, 0xff]);
    assert_eq!(write_ipv4(&HEADER, 65_516), None);
    assert_eq!(write_ipv4(&HEADER, usize::MAX), None);
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        addresses in any::<([u8; 4], [u8; 4])>(), numbers in any::<(u8, u8, u8, u16)>(), dont_fragment in any::<bool>(),
        payload in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let (protocol, ttl, tos, identification) = numbers;
        let (source, destination) = (addresses.0.into(), addresses.1.into());
        let header = Ipv4Header { source, destination, protocol, ttl, tos, identification, dont_fragment };
        let packet = [&write_ipv4(&header, payload.len()).unwrap()[..], &payload].concat();
        prop_assert_eq!(parse_ipv4(&packet), Ok((header, &payload[..])));
    }

    #[test]
    fn any_bytes_are_read_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = parse_ipv4(&bytes);
    }
}
