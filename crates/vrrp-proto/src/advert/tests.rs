use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

/// What keepalived 2.2.7 sent, from the version on, by
/// `tcpdump -nvx -i cap1 'ip proto 112 or ip6 proto 112'` at the other end of a veth pair between two network namespaces.
///
/// VRID 51: version 2, priority 100, 1 s, `auth_type PASS`, `auth_pass s3cret`.
const V2_PASS: &str = "2133 6402 0101 2988 0a09 000a 0a09 000b 7333 6372 6574 0000";
/// The same at keepalived's stop.
const V2_PASS_STOP: &str = "2133 0002 0101 8d88 0a09 000a 0a09 000b 7333 6372 6574 0000";
/// VRID 52: version 2, priority 254, 2 s.
const V2_NONE: &str = "2134 fe01 0002 d6aa 0a09 0014 0000 0000 0000 0000";
/// VRID 56: version 2, unicast to 10.9.0.2, priority 100, 1 s.
const V2_UNICAST: &str = "2138 6401 0001 7080 0a09 003c 0000 0000 0000 0000";
/// VRID 53: version 3 with IPv4, priority 150, 50 cs: summed with a pseudo-header.
const V3_IPV4: &str = "3135 9601 0032 43d7 0a09 001e";
/// VRID 57: the same unicast to 10.9.0.2, priority 100, 100 cs.
const V3_UNICAST: &str = "3139 6401 0064 4b81 0a09 0046";
/// VRID 55: version 3 with IPv6, priority 101, 100 cs.
const V3_IPV6: &str = "3137 6502 0064 3f4f fe80 0000 0000 0000 0000 0000 0000 0055 \
                       2001 0db8 0000 0000 0000 0000 0000 0055";
/// `V3_IPV4` as RFC 9568 sums it, by hand: 3135 + 9601 + 0032 + 0a09 + 001e = d18f, its complement 2e70.
const V3_IPV4_PLAIN: &str = "3135 9601 0032 2e70 0a09 001e";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pairs = digits.chunks(2).map(|pair| str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

const V4: Meta = Meta {
    source: IpAddr::V4(Ipv4Addr::new(10, 9, 0, 1)),
    destination: IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18)),
    ttl: 255,
    ttl_min: 255,
};

const V4_UNICAST: Meta = Meta { destination: IpAddr::V4(Ipv4Addr::new(10, 9, 0, 2)), ..V4 };

const V6: Meta = Meta {
    source: IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 1)),
    destination: IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12)),
    ttl: 255,
    ttl_min: 255,
};

fn v2(seconds: u8, password: Option<&[u8]>) -> Protocol {
    let password = password.map(|text| Password::new(text).unwrap());
    Protocol::V2 { seconds: NonZeroU8::new(seconds).unwrap(), password }
}

fn v3(interval: u16, checksum: Checksum) -> Protocol {
    Protocol::V3 { interval: Centiseconds::new(interval).unwrap(), checksum }
}

fn advert<'a>(vrid: u8, priority: u8, protocol: Protocol, addresses: Addresses<'a>) -> Advert<'a> {
    Advert { vrid: Vrid::new(vrid).unwrap(), priority: Priority::from_wire(priority), protocol, addresses }
}

#[test]
fn what_keepalived_sends_is_read_and_written() {
    let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x55).octets();
    let global = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x55).octets();
    let four = [link_local, global];
    let two: &[[u8; 4]] = &[[10, 9, 0, 10], [10, 9, 0, 11]];
    let table = [
        (V2_PASS, V4, advert(51, 100, v2(1, Some(b"s3cret")), Addresses::V4(two))),
        (V2_PASS_STOP, V4, advert(51, 0, v2(1, Some(b"s3cret")), Addresses::V4(two))),
        (V2_NONE, V4, advert(52, 254, v2(2, None), Addresses::V4(&[[10, 9, 0, 20]]))),
        (V2_UNICAST, V4_UNICAST, advert(56, 100, v2(1, None), Addresses::V4(&[[10, 9, 0, 60]]))),
        (V3_IPV4, V4, advert(53, 150, v3(50, Checksum::PseudoHeader), Addresses::V4(&[[10, 9, 0, 30]]))),
        (V3_IPV4_PLAIN, V4, advert(53, 150, v3(50, Checksum::Message), Addresses::V4(&[[10, 9, 0, 30]]))),
        (V3_UNICAST, V4_UNICAST, advert(57, 100, v3(100, Checksum::PseudoHeader), Addresses::V4(&[[10, 9, 0, 70]]))),
        (V3_IPV6, V6, advert(55, 101, v3(100, Checksum::PseudoHeader), Addresses::V6(&four))),
    ];
    for (hex, meta, expected) in table {
        let sent = bytes(hex);
        assert_eq!(parse(&sent, &meta), Ok(expected), "{hex}");
        let mut written = vec![0xaa];
        write(&mut written, &expected, meta.source, meta.destination);
        assert_eq!(written[1..], sent, "{hex}");
    }
}

/// `hex` with the bytes at `at` replaced, and its checksum put right for a message without a pseudo-header.
fn altered(hex: &str, at: usize, with: &[u8]) -> Vec<u8> {
    let mut message = bytes(hex);
    message[at..at + with.len()].copy_from_slice(with);
    message[6..8].fill(0);
    let words = message.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let sum = words.fold(0, |sum, word| (sum + word) % 0xffff);
    message[6..8].copy_from_slice(&(0xffff - sum as u16).to_be_bytes());
    message
}

#[test]
fn what_is_no_advert_is_refused_by_name() {
    use AdvertError as E;
    let table = [
        ("version 1", altered(V2_NONE, 0, &[0x11]), E::Version),
        ("version 4", altered(V3_IPV4, 0, &[0x41]), E::Version),
        ("type 2", altered(V2_NONE, 0, &[0x22]), E::Type),
        ("router 0", altered(V2_NONE, 1, &[0]), E::Vrid),
        ("no authentication data", bytes(V2_NONE)[..12].to_vec(), E::Truncated),
        ("authentication header", altered(V2_NONE, 4, &[2]), E::AuthenticationHeader),
        ("authentication 3", altered(V2_NONE, 4, &[3]), E::AuthenticationType),
        ("interval 0, version 2", altered(V2_NONE, 5, &[0]), E::Interval),
        ("interval 0, version 3", altered(V3_IPV4, 4, &[0, 0]), E::Interval),
        ("interval 0 beside reserved bits", altered(V3_IPV4, 4, &[0xf0, 0]), E::Interval),
        ("no address, version 3", altered(V3_IPV4, 3, &[0]), E::Checksum),
        ("no address, version 3, summed so", altered(V3_IPV4_PLAIN, 3, &[0, 0, 50, 0, 0, 0, 0, 0, 0]), E::NoAddress),
        ("more addresses than there are", altered(V3_IPV4, 3, &[2]), E::Truncated),
        ("wrong checksum, version 2", [&bytes(V2_NONE)[..6], &[0, 0], &bytes(V2_NONE)[8..]].concat(), E::Checksum),
        ("wrong checksum, version 3", [&bytes(V3_IPV4)[..6], &[0, 0], &bytes(V3_IPV4)[8..]].concat(), E::Checksum),
        ("nothing", Vec::new(), E::Truncated),
    ];
    for (what, message, expected) in table {
        assert_eq!(parse(&message, &V4), Err(expected), "{what}");
    }
    for hex in [V2_PASS, V3_IPV4] {
        let whole = bytes(hex);
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length], &V4), Err(E::Truncated), "{length} bytes of {hex}");
        }
    }
}

#[test]
fn an_advert_comes_from_this_network() {
    let sent = bytes(V2_NONE);
    assert_eq!(parse(&sent, &Meta { ttl: 254, ..V4 }), Err(AdvertError::Ttl));
    assert_eq!(parse(&sent, &Meta { ttl: 254, ttl_min: 1, ..V4 }), Err(AdvertError::Ttl), "multicast never");
    assert_eq!(parse(&sent, &Meta { ttl: 254, ..V4_UNICAST }), Err(AdvertError::Ttl));
    assert!(parse(&sent, &Meta { ttl: 250, ttl_min: 250, ..V4_UNICAST }).is_ok());
    assert_eq!(parse(&sent, &Meta { source: V6.source, ..V4 }), Err(AdvertError::Family));
    assert_eq!(parse(&sent, &V6), Err(AdvertError::Version), "version 2 is of IPv4");
}

#[test]
fn reserved_bits_and_what_follows_are_passed_over() {
    let reserved = altered(V3_IPV4, 4, &[0xf0, 0x32]);
    assert_eq!(parse(&reserved, &V4).unwrap().protocol, v3(50, Checksum::Message));
    let longest = altered(V3_IPV4, 4, &[0x0f, 0xff]);
    assert_eq!(parse(&longest, &V4).unwrap().protocol.interval(), Duration::from_millis(40_950));
    for hex in [V2_PASS, V3_IPV4] {
        let padded = [bytes(hex), vec![0xaa; 22]].concat();
        assert_eq!(parse(&padded, &V4), parse(&bytes(hex), &V4));
    }
    // With IPv6 the checksum is of all that IP carries: 28 bytes more make its length 44 hexadecimal, and 1c less remains.
    let longer = [bytes(V3_IPV6), vec![0; 28]].concat();
    assert_eq!(parse(&longer, &V6), Err(AdvertError::Checksum));
    let summed = [&longer[..6], &[0x3f, 0x33], &longer[8..]].concat();
    assert_eq!(parse(&summed, &V6).unwrap().addresses.count(), 2);
}

#[test]
fn version_2_may_have_no_address_and_255() {
    let none = bytes("2134 6400 0001 7aca 0000 0000 0000 0000");
    assert_eq!(parse(&none, &V4).unwrap().addresses.count(), 0);
    let list = vec![[10, 0, 0, 1]; ADDRESSES_MAX + 1];
    let mut written = Vec::new();
    write(&mut written, &advert(1, 1, v3(1, Checksum::Message), Addresses::V4(&list)), V4.source, V4.destination);
    assert_eq!(written.len(), 8 + 4 * 255);
    assert_eq!(parse(&written, &V4).unwrap().addresses.count(), ADDRESSES_MAX);
}

#[test]
fn lists_are_compared_whatever_their_order() {
    let list = |list: &'static [[u8; 4]]| Addresses::V4(list);
    let ours = list(&[[10, 0, 0, 1], [10, 0, 0, 2]]);
    assert!(ours.is_same_set(&list(&[[10, 0, 0, 2], [10, 0, 0, 1]])));
    assert!(!ours.is_same_set(&list(&[[10, 0, 0, 1]])));
    assert!(!list(&[[10, 0, 0, 1]]).is_same_set(&ours));
    assert!(!Addresses::V4(&[]).is_same_set(&Addresses::V6(&[])));
}

#[test]
fn reasons_are_all_different() {
    let mut reasons = AdvertError::ALL.map(AdvertError::reason).to_vec();
    reasons.sort_unstable();
    reasons.dedup();
    assert_eq!(reasons.len(), AdvertError::ALL.len());
}

fn any_meta() -> impl Strategy<Value = Meta> {
    let pairs = prop_oneof![
        any::<([u8; 4], [u8; 4])>().prop_map(|(a, b)| (IpAddr::from(a), IpAddr::from(b))),
        any::<([u8; 16], [u8; 16])>().prop_map(|(a, b)| (IpAddr::from(a), IpAddr::from(b))),
    ];
    pairs.prop_map(|(source, destination)| Meta { source, destination, ttl: 255, ttl_min: 255 })
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        meta in any_meta(), vrid in 1..=255u8, priority in 0..=255u8, old in any::<bool>(), seconds in 1..=255u8,
        password in proptest::option::of(any::<[u8; 8]>()), interval in 1..=4095u16, plain in any::<bool>(),
        lists in (proptest::collection::vec(any::<[u8; 4]>(), 1..=255), proptest::collection::vec(any::<[u8; 16]>(), 1..=255)),
    ) {
        let addresses = if meta.source.is_ipv4() { Addresses::V4(&lists.0) } else { Addresses::V6(&lists.1) };
        let protocol = match (old && meta.source.is_ipv4(), plain && meta.source.is_ipv4()) {
            (true, _) => v2(seconds, password.as_ref().map(|bytes| &bytes[..])),
            (false, true) => v3(interval, Checksum::Message),
            (false, false) => v3(interval, Checksum::PseudoHeader),
        };
        let said = advert(vrid, priority, protocol, addresses);
        let mut written = Vec::new();
        write(&mut written, &said, meta.source, meta.destination);
        let read = parse(&written, &meta);
        // A pseudo-header whose sum is nothing makes both sums one.
        let Ok(read) = read else { panic!("{read:?}") };
        if let (Protocol::V3 { interval, .. }, Protocol::V3 { interval: again, .. }) = (protocol, read.protocol) {
            prop_assert_eq!(interval, again);
            prop_assert_eq!(Advert { protocol, ..read }, said);
        } else {
            prop_assert_eq!(read, said);
        }
    }

    #[test]
    fn any_bytes_are_read_to_an_end(meta in any_meta(), bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = parse(&bytes, &meta);
    }

    /// One bit that is wrong is noticed, wherever it is; where it is reserved or in ignored data by the checksum.
    #[test]
    fn one_wrong_bit_is_noticed(at in 0..24usize, bit in 0..8u8) {
        let mut message = bytes(V2_PASS);
        message[at] ^= 1 << bit;
        prop_assert!(parse(&message, &V4).is_err());
    }
}
