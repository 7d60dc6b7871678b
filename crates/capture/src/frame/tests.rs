use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|character| character.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

/// An advert of keepalived 2.2.7, without a link's header.
const ADVERT: &str = "45c0002000010000ff70d0970a000003e000001231336401000a76260a000009";

/// Gratuitous ARP of keepalived 2.2.7.
const ARP: &str = "0001080006040001 020000000003 0a000009 ffffffffffff 0a000009";

fn vrrp(frame: Option<Frame<'_>>) -> (Option<u16>, Option<String>, Vec<u8>) {
    match frame {
        Some(Frame { vlan, sender, what: What::Vrrp(vrrp) }) => {
            assert_eq!(
                (vrrp.source.to_string(), vrrp.destination.to_string()),
                ("10.0.0.3".into(), "224.0.0.18".into())
            );
            assert_eq!((vrrp.ttl, vrrp.is_cut, vrrp.is_fragment), (255, false, false));
            (vlan, sender.map(|sender| sender.to_string()), vrrp.payload.to_vec())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_advert_on_every_link() {
    let payload = hex(&ADVERT[40..]);
    let mac = Some("02:00:00:00:00:03".to_owned());
    let table = [
        (Link::ETHERNET, "01005e000012 020000000003 0800", None, mac.clone()),
        (Link::ETHERNET, "01005e000012 020000000003 8100 0064 0800", Some(100), mac.clone()),
        (Link::ETHERNET, "01005e000012 020000000003 88a8 0007 8100 0064 0800", Some(7), mac.clone()),
        (Link::RAW, "", None, None),
        (Link::IPV4, "", None, None),
        (Link::LINUX_SLL, "0002 0001 0006 020000000003 0000 0800", None, mac.clone()),
        (Link::LINUX_SLL2, "0800 0000 00000002 0001 02 06 020000000003 0000", None, mac),
        (Link::LINUX_SLL2, "0800 0000 00000002 0020 02 14 0200000000030000", None, None),
    ];
    for (link, header, vlan, sender) in table {
        let frame = hex(&format!("{header}{ADVERT}"));
        assert_eq!(vrrp(decode(link, &frame)), (vlan, sender, payload.clone()), "{link:?} {header}");
        // What Ethernet adds to reach its shortest frame is no part of it.
        let padded = [frame, vec![0; 20]].concat();
        assert_eq!(vrrp(decode(link, &padded)).2, payload, "{link:?} {header}");
    }
    assert!(decode(Link(147), &hex(ADVERT)).is_none());
    assert!(!Link(147).is_known() && Link::LINUX_SLL2.is_known());
}

#[test]
fn an_advert_that_is_cut_off_or_in_pieces_says_so() {
    let whole = hex(ADVERT);
    for end in 20..whole.len() {
        let Some(What::Vrrp(vrrp)) = decode(Link::RAW, &whole[..end]).map(|frame| frame.what) else {
            panic!("{end} bytes are none")
        };
        assert!(vrrp.is_cut, "{end}");
    }
    assert!((0..20).all(|end| decode(Link::RAW, &whole[..end]).is_none()));
    let mut piece = whole;
    piece[6] = 0x20;
    let Some(What::Vrrp(vrrp)) = decode(Link::RAW, &piece).map(|frame| frame.what) else { panic!("no packet") };
    assert!(vrrp.is_fragment);
}

fn arp(text: &str) -> Option<(String, NeighbourSaid)> {
    let frame = hex(&format!("ffffffffffff 020000000003 0806 {text}"));
    match decode(Link::ETHERNET, &frame)?.what {
        What::Neighbour(neighbour) => Some((neighbour.about.to_string(), neighbour.said)),
        _ => None,
    }
}

#[test]
fn what_arp_says() {
    let here = Hardware::new(&[2, 0, 0, 0, 0, 3]).unwrap();
    let asker = IpAddr::from([10, 0, 0, 50]);
    let vip = "10.0.0.9".to_owned();
    assert_eq!(arp(ARP), Some((vip.clone(), NeighbourSaid::Announced(here))));
    let table = [
        ("0001080006040002 020000000003 0a000009 ffffffffffff 0a000009", NeighbourSaid::Announced(here)),
        ("0001080006040001 020000000050 0a000032 000000000000 0a000009", NeighbourSaid::Asked(asker)),
        ("0001080006040002 020000000003 0a000009 020000000050 0a000032", NeighbourSaid::Answered(asker, here)),
        ("0001080006040001 020000000003 00000000 000000000000 0a000009", NeighbourSaid::Probed),
    ];
    for (text, said) in table {
        assert_eq!(arp(text), Some((vip.clone(), said)), "{text}");
    }
    // Another operation, another family, and less than there should be.
    assert_eq!(arp("0001080006040003 020000000003 0a000009 ffffffffffff 0a000009"), None);
    assert_eq!(arp("000186dd06100001"), None);
    assert_eq!(arp("0001080006040001 020000000003 0a000009 ffff"), None);
    assert_eq!(arp("0001080000040001 0a000009 0a000009"), None);
}

/// Of InfiniBand: addresses of twenty bytes.
#[test]
fn a_long_link_address() {
    let address = "80000048fe80000000000000f452140300aabbcc";
    let frame = hex(&format!(
        "0806 0000 00000002 0020 01 14 0000000000000000 0020080014040001 {address} 0a000009 {address} 0a000009"
    ));
    let Some(What::Neighbour(neighbour)) = decode(Link::LINUX_SLL2, &frame).map(|frame| frame.what) else {
        panic!("no ARP")
    };
    let expected = "80:00:00:48:fe:80:00:00:00:00:00:00:f4:52:14:03:00:aa:bb:cc";
    assert!(matches!(neighbour.said, NeighbourSaid::Announced(address) if address.to_string() == expected));
}

/// RFC 4861 §4.4: flags, target, option 2 with the link's address.
#[test]
fn what_neighbours_say() {
    let ip =
        |source: &str, destination: &str, length: u8| format!("60000000 00{length:02x} 3a ff {source} {destination}");
    let target = "fe800000000000000000000000000009";
    let all = "ff020000000000000000000000000001";
    let none = "00000000000000000000000000000000";
    let asker = "fe800000000000000000000000000050";
    let here = Hardware::new(&[2, 0, 0, 0, 0, 3]).unwrap();
    let from: IpAddr = "fe80::50".parse().unwrap();
    let table = [
        (
            format!("{} 88000000 20000000 {target} 0201020000000003", ip(target, all, 32)),
            NeighbourSaid::Announced(here),
        ),
        (
            format!("{} 88000000 60000000 {target} 0201020000000003", ip(target, asker, 32)),
            NeighbourSaid::Answered(from, here),
        ),
        (format!("{} 87000000 00000000 {target}", ip(asker, all, 24)), NeighbourSaid::Asked(from)),
        (format!("{} 87000000 00000000 {target}", ip(none, all, 24)), NeighbourSaid::Probed),
    ];
    for (text, said) in table {
        let packet = hex(&text);
        let Some(What::Neighbour(neighbour)) = decode(Link::RAW, &packet).map(|frame| frame.what) else {
            panic!("{text} is none")
        };
        assert_eq!((neighbour.about.to_string().as_str(), neighbour.said), ("fe80::9", said));
    }
}
