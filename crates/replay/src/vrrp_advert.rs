//! An advert that is read can be written and means the same again, signed or not, and whatever it says, a router stays in order.

use std::net::IpAddr;
use std::time::Duration;

use units::Instant;
use vrrp_proto::{
    Action, AddressList, Advert, Centiseconds, Checksum, Config, Family, Key, Meta, Priority, Protocol, Sequence,
    Settings, State, TTL, VirtualRouter, multicast_group, parse, sign, verify, write,
};

use crate::split_first;

/// One byte chooses the family and whether the checksum is put right first, and in which of two ways; the rest is what
/// follows the header of IP.
pub fn vrrp_advert(bytes: &[u8]) {
    let (choice, payload) = split_first(bytes);
    let (source, family) = match choice & 1 {
        0 => (IpAddr::from([192, 0, 2, 1]), Family::V4),
        _ => (IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, 1]), Family::V6),
    };
    let meta = Meta { source, destination: multicast_group(family), ttl: TTL, ttl_min: TTL };
    let mut payload = payload.to_vec();
    if choice & 2 != 0 && payload.len() >= 8 {
        payload[6..8].fill(0);
        let mut summed = payload.clone();
        if choice & 4 != 0 || family == Family::V6 {
            // The pseudo-header: in another order, which a sum does not see.
            summed.resize(payload.len().next_multiple_of(2), 0);
            summed.extend([0, 112]);
            summed.extend((payload.len() as u16).to_be_bytes());
            for address in [meta.source, meta.destination] {
                match address {
                    IpAddr::V4(address) => summed.extend(address.octets()),
                    IpAddr::V6(address) => summed.extend(address.octets()),
                }
            }
        }
        payload[6..8].copy_from_slice(&checksum(&summed).to_be_bytes());
    }
    let key = Key::new(1, &[7; 32]).expect("it is long enough");
    assert!(verify(&payload, source, std::slice::from_ref(&key)).is_err(), "nobody else knows the key");
    let Ok(advert) = parse(&payload, &meta) else { return };
    assert_eq!(advert.addresses.family(), family);
    assert_eq!(advert.addresses.iter().count(), usize::from(payload[3]));

    let mut written = Vec::new();
    write(&mut written, &advert, meta.source, meta.destination);
    assert_eq!(parse(&written, &meta), Ok(advert));
    assert!(written.len() <= payload.len());
    let beginning = [&written[..4], &written[8..8 + advert.addresses.count() * address_bytes(family)]];
    assert_eq!(beginning, [&payload[..4], &payload[8..8 + beginning[1].len()]]);
    let sequence = Sequence::at(Duration::from_secs(u64::from(choice)));
    sign(&mut written, 0, &key, sequence, meta.source, meta.destination);
    assert_eq!(verify(&written, source, &[key]), Ok(sequence));
    assert_eq!(parse(&written, &meta), Ok(advert));
    heard(&advert, &meta);
}

/// RFC 1071, as it says it.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&byte| u32::from(byte)));
    let sum = words.fold(0, |sum, word| {
        let sum: u32 = sum + word;
        (sum & 0xffff) + (sum >> 16)
    });
    !(sum as u16)
}

fn address_bytes(family: Family) -> usize {
    match family {
        Family::V4 => 4,
        Family::V6 => 16,
    }
}

/// A backup and an active router hear it.
fn heard(advert: &Advert<'_>, meta: &Meta) {
    let family = advert.addresses.family();
    let (source, address) = match family {
        Family::V4 => (IpAddr::from([192, 0, 2, 2]), IpAddr::from([192, 0, 2, 100])),
        Family::V6 => (IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, 2]), IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, 3])),
    };
    let protocol = match advert.protocol {
        Protocol::V2 { .. } => advert.protocol,
        Protocol::V3 { .. } => Protocol::V3 { interval: Centiseconds::MAX, checksum: Checksum::Message },
    };
    let list = AddressList::new(family, &[address]).expect("one address of the family");
    let settings = Settings::new(advert.vrid, protocol, source, list);
    let config = Config::new(settings).expect("it contradicts itself nowhere");
    let mut now = Instant::ZERO;
    let mut actions = Vec::new();
    let mut router = VirtualRouter::new(config, now, &mut actions);
    for state in [State::Backup, State::Active] {
        let (due, _) = router.deadline().expect("it is not stopped");
        now = now.max(due);
        router.handle_deadline(now, &mut actions);
        if router.state() != state {
            return;
        }
        actions.clear();
        let taken = router.handle_advert(now, advert, meta, &mut actions);
        assert_eq!(taken, Ok(()), "it is of this router");
        let became = actions.iter().filter(|action| matches!(action, Action::Became { .. })).count();
        assert_eq!(became, usize::from(router.state() != state));
        assert!(became == 0 || advert.priority >= Priority::DEFAULT);
        assert!(router.deadline().is_some_and(|(at, _)| at > now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_that_of_rfc_1071() {
        // Its §3: 0001 f203 f4f5 f6f7 sum to ddf2.
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    }
}
