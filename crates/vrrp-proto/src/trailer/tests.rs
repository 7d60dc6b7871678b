use super::*;
use crate::{Addresses, Advert, Centiseconds, Checksum, Meta, Password, Priority, Protocol, TTL, Vrid, parse, write};

/// The draft's appendix: the key is 00 to 1f with the number 1, the sequence 0x6800000080000000.
const SEQUENCE: Sequence = Sequence(0x6800_0000_8000_0000);

/// From 198.51.100.10, with the address 192.0.2.100.
const IPV4: &str = "3133c80100644402c0000264010100006800000080000000\
                    1b84bc4e8e43892dc6d98448f8ee2265";

/// From fe80::10 to fe80::20, with the address fe80::100.
const IPV6: &str = "3133c8010064a2e9fe800000000000000000000000000100010100006800000080000000\
                    c8c56146ebfd66ee10ec4d8186461b78";

fn key() -> Key {
    Key::new(1, &(0..32).collect::<Vec<u8>>()).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn advert(addresses: Addresses<'_>) -> Advert<'_> {
    let interval = Centiseconds::new(100).unwrap();
    let protocol = Protocol::V3 { interval, checksum: Checksum::Message };
    Advert { vrid: Vrid::new(51).unwrap(), priority: Priority::new(200).unwrap(), protocol, addresses }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn the_drafts_adverts_are_written_and_taken() {
    let v6 = "fe80::100".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let table = [
        (Addresses::V4(&[[192, 0, 2, 100]]), "198.51.100.10", "198.51.100.20", IPV4),
        (Addresses::V6(&[v6]), "fe80::10", "fe80::20", IPV6),
    ];
    for (addresses, source, destination, expected) in table {
        let (source, destination) = (ip(source), ip(destination));
        let mut out = vec![0xff; 20];
        write(&mut out, &advert(addresses), source, destination);
        sign(&mut out, 20, &key(), SEQUENCE, source, destination);
        assert_eq!(out[20..], bytes(expected));
        assert_eq!(verify(&out[20..], source, &[key()]), Ok(SEQUENCE));
        let meta = Meta { source, destination, ttl: TTL, ttl_min: TTL };
        let taken = parse(&out[20..], &meta).unwrap();
        assert_eq!((taken.addresses, taken.priority), (addresses, Priority::new(200).unwrap()));
    }
}

/// The checksum is not signed: the kernel may write it after the signature.
#[test]
fn each_bit_counts_but_the_checksums() {
    let image = bytes(IPV6);
    for at in 0..image.len() {
        for bit in 0..8 {
            let mut changed = image.clone();
            changed[at] ^= 1 << bit;
            let expected = match at {
                6 | 7 => Ok(SEQUENCE),
                // The count: the trailer is elsewhere, or nowhere.
                3 if changed[3] == 0 => Err(TrailerError::Malformed),
                3 => Err(TrailerError::Missing),
                24 | 26 | 27 => Err(TrailerError::Malformed),
                25 => Err(TrailerError::Key),
                _ => Err(TrailerError::Hmac),
            };
            let verified = verify(&changed, ip("fe80::10"), &[key()]);
            if at == 0 && changed[0] >> 4 == 2 {
                assert!(verified.is_err());
            } else {
                assert_eq!(verified, expected, "bit {bit} of byte {at}");
            }
        }
    }
    assert_eq!(verify(&image, ip("fe80::20"), &[key()]), Err(TrailerError::Hmac), "of another source");
    let other = Key::new(1, &[7; 64]).unwrap();
    assert_eq!(verify(&image, ip("fe80::10"), &[other]), Err(TrailerError::Hmac));
    let second = Key::new(2, &[7; 64]).unwrap();
    assert_eq!(verify(&image, ip("fe80::10"), &[second, key()]), Ok(SEQUENCE));
}

#[test]
fn what_is_cut_off_or_longer_is_not_signed() {
    let image = bytes(IPV4);
    for end in 0..image.len() {
        let expected = if end <= 12 { TrailerError::Missing } else { TrailerError::Malformed };
        assert_eq!(verify(&image[..end], ip("198.51.100.10"), &[key()]), Err(expected), "{end}");
    }
    let longer = [&image[..], &[0]].concat();
    assert_eq!(verify(&longer, ip("198.51.100.10"), &[key()]), Err(TrailerError::Malformed));
}

/// The password of version 2 lies before the trailer.
#[test]
fn version_2_is_signed_as_well() {
    let protocol = Protocol::V2 { seconds: std::num::NonZeroU8::MIN, password: Password::new(b"s3cret") };
    let advert = Advert { protocol, ..advert(Addresses::V4(&[[192, 0, 2, 100]])) };
    let (source, destination) = (ip("10.0.0.1"), ip("10.0.0.2"));
    let mut out = Vec::new();
    write(&mut out, &advert, source, destination);
    assert_eq!(verify(&out, source, &[key()]), Err(TrailerError::Missing));
    sign(&mut out, 0, &key(), SEQUENCE, source, destination);
    assert_eq!(out.len(), 8 + 4 + 8 + 28);
    assert_eq!(verify(&out, source, &[key()]), Ok(SEQUENCE));
    assert_eq!(parse(&out, &Meta { source, destination, ttl: TTL, ttl_min: TTL }), Ok(advert));
}

#[test]
fn a_sequence_grows_when_the_clock_does_not() {
    let time = Duration::new(0x6800_0000, 500_000_000);
    assert_eq!(Sequence::at(time), SEQUENCE);
    assert_eq!(SEQUENCE.next(time), Sequence(0x6800_0000_8000_0001));
    assert_eq!(SEQUENCE.next(time - Duration::from_secs(9)), Sequence(0x6800_0000_8000_0001));
    assert_eq!(SEQUENCE.next(time + Duration::from_secs(1)), Sequence(0x6800_0001_8000_0000));
    assert!(SEQUENCE.next(time).is_after(SEQUENCE) && !SEQUENCE.is_after(SEQUENCE));
    assert!(Sequence(1).is_after(Sequence(u64::MAX)), "the seconds run over in 2106");
    let window = Duration::from_secs(5);
    for (seconds, expected) in [(-6, false), (-5, true), (0, true), (5, true), (6, false)] {
        let now = Duration::from_secs(0x6800_0000_u64.wrapping_add_signed(seconds));
        assert_eq!(SEQUENCE.is_fresh(now, window), expected, "{seconds}");
    }
}

#[test]
fn a_key_has_a_number_and_32_to_64_bytes_that_are_not_told() {
    assert_eq!((Key::new(0, &[1; 32]), Key::new(1, &[1; 31]), Key::new(1, &[1; 65])), (None, None, None));
    assert_eq!(Key::new(255, &[1; 64]).map(|key| key.number()), Some(255));
    assert_eq!(format!("{:?}", key()), "Key(1)");
}
