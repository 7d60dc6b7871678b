use units::Instant;
use vrrp_proto::VirtualRouter;

use super::*;
use crate::Vip;
use crate::example::{ip, vip};

fn router(vip: &Vip, source: &str) -> VirtualRouter {
    VirtualRouter::new(vip.config(Some(ip(source))).unwrap(), Instant::ZERO, &mut Vec::new())
}

/// By hand from RFC 1112 §6.4, RFC 791 §3.1 and RFC 9568 §5.1; the sums with a calculator.
#[test]
fn a_frame_from_the_virtual_mac() {
    let vip = vip("web", 51, &["10.0.0.100/32"]);
    let mut letters = Letters::default();
    let [letter] = letters.of(&router(&vip, "10.0.0.1"), Priority::DEFAULT, Some([0, 0, 0x5e, 0, 1, 51])) else {
        panic!("one letter")
    };
    assert_eq!(letter.ethertype, Some(0x0800));
    let (ethernet, packet) = letter.bytes.split_at(14);
    assert_eq!(ethernet, [0x01, 0, 0x5e, 0, 0, 0x12, 0, 0, 0x5e, 0, 1, 0x33, 0x08, 0x00]);
    // 4500..: 45c0 + 0020 + 0000 + 4000 + ff70 + 0a00 + 0001 + e000 + 0012 = 2_6f63 -> 6f65 -> 909a
    let header = [0x45, 0xc0, 0, 32, 0, 0, 0x40, 0, 255, 112, 0x90, 0x9a, 10, 0, 0, 1, 224, 0, 0, 18];
    assert_eq!(packet[..20], header);
    assert_eq!(packet[20..26], [0x31, 51, 100, 1, 0, 10]);
    assert_eq!(packet[28..], [10, 0, 0, 100]);
}

#[test]
fn a_frame_of_ipv6() {
    let vip = vip("web", 51, &["fe80::100/64"]);
    let mut letters = Letters::default();
    let letters = letters.of(&router(&vip, "fe80::1"), Priority::DEFAULT, Some([0, 0, 0x5e, 0, 2, 51]));
    let bytes = &letters[0].bytes;
    assert_eq!(bytes[..6], [0x33, 0x33, 0, 0, 0, 0x12]);
    assert_eq!(bytes[12..22], [0x86, 0xdd, 0x6c, 0, 0, 0, 0, 24, 112, 255]);
    assert_eq!(bytes[22..24], [0xfe, 0x80]);
    assert_eq!(bytes[38..40], [0xff, 0x02]);
    assert_eq!(bytes.len(), 14 + 40 + 8 + 16);
}

/// To peers the kernel finds the way, so they get no frames; and another priority is another letter.
#[test]
fn one_for_each_peer() {
    let peers = Peers::Unicast(vec![ip("10.0.0.2"), ip("10.0.0.3")]);
    let vip = Vip { peers, ..vip("web", 51, &["10.0.0.100/32"]) };
    let mut letters = Letters::default();
    let router = router(&vip, "10.0.0.1");
    let each = letters.of(&router, Priority::DEFAULT, Some([0; 6]));
    let told: Vec<_> = each.iter().map(|letter| (letter.to.to_string(), letter.ethertype, letter.bytes[2])).collect();
    assert_eq!(told, [("10.0.0.2".to_owned(), None, 100), ("10.0.0.3".to_owned(), None, 100)]);
    assert_eq!(letters.of(&router, Priority::LEAVING, None)[1].bytes[2], 0);
}
