use super::*;

/// Written down by hand from RFC 826: 52:54:00:12:34:56 says that it has 10.0.0.100.
const ARP: [u8; 42] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 0x08, 0x06, // to all, from it, ARP
    0x00, 0x01, 0x08, 0x00, 6, 4, 0x00, 0x01, // Ethernet, IPv4, a request
    0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 10, 0, 0, 100, // who sends
    0, 0, 0, 0, 0, 0, 10, 0, 0, 100, // who is asked for
];

#[test]
fn who_sends_arp_has_the_address() {
    let (ip, by) = claim(1, &ARP).unwrap();
    assert_eq!((ip.to_string(), by.to_string()), ("10.0.0.100".to_owned(), "52:54:00:12:34:56".to_owned()));
}

/// RFC 5227 §2.1.1: who probes asks, and has nothing.
#[test]
fn who_only_asks_has_nothing() {
    let mut probe = ARP;
    probe[28..32].fill(0);
    assert_eq!(claim(1, &probe), None);
    assert_eq!(claim(1, &ARP[..20]), None);
    assert_eq!(claim(24, &ARP), None);
}

#[test]
fn a_filter_has_room_for_so_many_addresses() {
    let of = |count: u32| {
        let addresses = (0..count).map(|number| IpAddr::V4(Ipv4Addr::from_bits(number))).collect();
        filter(&Guarded { interface: 1, v4: true, addresses })
    };
    assert!(of(1).is_some() && of(WATCHED_MAX as u32).is_some());
    // Those beyond are left out.
    assert_eq!(of(WATCHED_MAX as u32 + 1), of(WATCHED_MAX as u32));
}
