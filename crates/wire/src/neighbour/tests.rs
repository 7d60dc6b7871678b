use proptest::prelude::*;

use super::*;
use crate::link::parse_link_header;

/// What keepalived 2.2.7 sent when 2001:db8::55 became its own, on a host that does not forward, by `tcpdump -x` at the
/// other end of a veth pair; and the link header.
const UNSOLICITED: &str = "3333 0000 0001 0200 0000 0001 86dd \
    6000 0000 0020 3aff 2001 0db8 0000 0000 0000 0000 0000 0055 ff02 0000 0000 0000 0000 0000 0000 0001 \
    8800 f882 2000 0000 2001 0db8 0000 0000 0000 0000 0000 0055 0201 0200 0000 0001";
/// What `ndisc6 2001:db8::1` of another host had sent for it, and had for an answer.
const SOLICITATION: &str = "6008 090e 0020 3aff fe80 0000 0000 0000 0000 00ff fe00 0002 ff02 0000 0000 0000 0000 0001 \
    ff00 0001 8700 4c5f 0000 0000 2001 0db8 0000 0000 0000 0000 0000 0001 0101 0200 0000 0002";
const ANSWER: &str = "6000 0000 0020 3aff 2001 0db8 0000 0000 0000 0000 0000 0001 fe80 0000 0000 0000 0000 00ff fe00 \
    0002 8800 baab 6000 0000 2001 0db8 0000 0000 0000 0000 0000 0001 0201 0200 0000 0001";

const OWN: [u8; 6] = [2, 0, 0, 0, 0, 1];

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pairs = digits.chunks(2).map(|pair| str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn ethernet() -> Link {
    Link::new(&OWN, &[0xff; 6]).unwrap()
}

#[test]
fn what_keepalived_sends_is_written_and_read() {
    let sent = bytes(UNSOLICITED);
    assert_eq!(unsolicited(&ethernet(), ip("2001:db8::55"), false).bytes(), sent);
    let (header, packet) = parse_link_header(1, &sent).unwrap();
    assert_eq!(header.ethertype, ETHERTYPE);
    let expected = Neighbour {
        source: ip("2001:db8::55"),
        destination: ip("ff02::1"),
        target: ip("2001:db8::55"),
        link: Some(LinkAddress::Ethernet(OWN)),
        kind: NeighbourKind::Advertisement { router: false, solicited: false, overrides: true },
    };
    assert_eq!(parse_neighbour(packet), Ok(expected));
    assert_eq!(parse_neighbour(&[packet, &[0xaa; 9]].concat()), Ok(expected), "padded");
    // As a router: 8000 more in the sum. f882 - 8000.
    let as_router = unsolicited(&ethernet(), ip("2001:db8::55"), true);
    assert_eq!(as_router.bytes()[54..60], [0x88, 0, 0x78, 0x82, 0xa0, 0]);
}

#[test]
fn what_linux_asks_and_answers_is_read() {
    let asked = Neighbour {
        source: ip("fe80::ff:fe00:2"),
        destination: ip("ff02::1:ff00:1"),
        target: ip("2001:db8::1"),
        link: Some(LinkAddress::Ethernet([2, 0, 0, 0, 0, 2])),
        kind: NeighbourKind::Solicitation,
    };
    assert_eq!(parse_neighbour(&bytes(SOLICITATION)), Ok(asked));
    let answered = Neighbour {
        source: ip("2001:db8::1"),
        destination: ip("fe80::ff:fe00:2"),
        target: ip("2001:db8::1"),
        link: Some(LinkAddress::Ethernet(OWN)),
        kind: NeighbourKind::Advertisement { router: false, solicited: true, overrides: true },
    };
    assert_eq!(parse_neighbour(&bytes(ANSWER)), Ok(answered));
}

#[test]
fn over_infiniband_the_option_has_24_bytes() {
    let own: [u8; 20] = [0x80, 0, 2, 8, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77];
    let all: [u8; 20] = [0, 255, 255, 255, 255, 0x12, 0x40, 0x1b, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255];
    let frame = unsolicited(&Link::new(&own, &all).unwrap(), ip("2001:db8::55"), true);
    // To the group's address, of which the signature is 601b; then ethertype and two reserved bytes.
    let header = "00ffffff ff12601b ffff0000 00000000 00000001 86dd0000 6000 0000 0030 3aff";
    assert_eq!(frame.bytes()[..32], bytes(header));
    // RFC 4391 §9.3: length 3, the address behind two bytes of zeros.
    assert_eq!(frame.bytes()[frame.len() - 24..], [&[2, 3, 0, 0], &own[..]].concat());
    // By hand: 2001+0db8+0055 twice, ff02+0001, length 30, next 3a; 8800 a000; 0203, and the address's words
    // 8000 0208 fe80 0000 0000 0000 0011 2233 4455 6677: 4d324, folded d328; its complement 2cd7.
    assert_eq!(frame.bytes()[64..68], [0x88, 0, 0x2c, 0xd7]);
    let read = parse_neighbour(&frame.bytes()[24..]).unwrap();
    assert_eq!(read.link, Some(LinkAddress::InfiniBand(own)));
}

/// `hex` with the bytes at `at` replaced, and its checksum put right: one's complement of the sum of 16-bit words of the
/// message and of what RFC 8200 §8.1 says.
fn altered(hex: &str, at: usize, with: &[u8]) -> Vec<u8> {
    let mut packet = bytes(hex);
    packet[at..at + with.len()].copy_from_slice(with);
    packet[42..44].fill(0);
    let words = packet[8..].chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&b| u32::from(b)));
    let sum = words.fold(58 + packet.len() as u32 - 40, |sum, word| (sum + word) % 0xffff);
    packet[42..44].copy_from_slice(&(0xffff - sum as u16).to_be_bytes());
    packet
}

#[test]
fn what_a_receiver_discards_is_refused_by_name() {
    use NeighbourError as E;
    assert_eq!(altered(ANSWER, 0, &[]), bytes(ANSWER));
    let nobody = altered(SOLICITATION, 8, &[0; 16]);
    let mut wrong = bytes(ANSWER);
    wrong[70] ^= 1;
    let table = [
        ("nothing", Vec::new(), E::Truncated),
        ("IPv4", altered(ANSWER, 0, &[0x45]), E::Version),
        ("longer than the packet", altered(ANSWER, 5, &[33]), E::Truncated),
        ("an extension header", altered(ANSWER, 6, &[0]), E::Other),
        ("a redirect", altered(ANSWER, 40, &[137]), E::Other),
        ("code 1", altered(ANSWER, 41, &[1]), E::Other),
        ("hop limit 254", altered(ANSWER, 7, &[254]), E::Hops),
        ("a wrong sum", wrong, E::Checksum),
        ("a group", altered(ANSWER, 48, &[0xff]), E::Target),
        ("an option without length", altered(ANSWER, 65, &[0]), E::Option),
        ("an option of 16 bytes in 8", altered(ANSWER, 65, &[2]), E::Option),
        ("solicited by a group", altered(ANSWER, 24, &[0xff]), E::Contradiction),
        ("nobody is somewhere", nobody.clone(), E::Contradiction),
    ];
    for (what, packet, expected) in table {
        assert_eq!(parse_neighbour(&packet), Err(expected), "{what}");
    }
    for length in 0..72 {
        assert_eq!(parse_neighbour(&bytes(ANSWER)[..length]), Err(E::Truncated), "{length} bytes");
    }
    // A probe of duplicate address detection has no option: of another type, it is as good as none.
    let mut probe = nobody;
    probe[64] = 14;
    let probe = probe.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let read = parse_neighbour(&altered(&probe, 0, &[])).unwrap();
    assert_eq!((read.source, read.link), (Ipv6Addr::UNSPECIFIED, None));
    assert_eq!(parse_neighbour(&altered(&probe, 24, &[0xfe])), Err(E::Contradiction), "to one host");
}

proptest! {
    #[test]
    fn what_is_written_is_read(own in any::<[u8; 20]>(), address in any::<[u8; 16]>(), router in any::<bool>()) {
        let address = Ipv6Addr::from(address);
        prop_assume!(!address.is_multicast());
        for (bytes, header) in [(6, 14), (20, 24)] {
            let link = Link::new(&own[..bytes], &[0xff; 20][..bytes]).unwrap();
            let frame = unsolicited(&link, address, router);
            let read = parse_neighbour(&frame.bytes()[header..]).unwrap();
            prop_assert_eq!((read.source, read.target, read.link), (address, address, Some(link.address())));
            prop_assert_eq!(read.kind, NeighbourKind::Advertisement { router, solicited: false, overrides: true });
        }
    }

    #[test]
    fn any_bytes_are_read_to_an_end(
        bytes in proptest::collection::vec(any::<u8>(), 0..200), options in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let _ = parse_neighbour(&bytes);
        let mut packet = self::bytes(ANSWER);
        packet.truncate(64);
        packet.extend(&options);
        packet[5] = packet.len() as u8 - 40;
        let hex = packet.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let _ = parse_neighbour(&altered(&hex, 0, &[]));
    }
}
