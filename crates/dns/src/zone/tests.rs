use std::net::IpAddr;

use super::*;

/// `w.ex`, as the zone of the tests is called, on the wire.
const NAME: &str = "01 77 02 65 78 00";

/// The SOA record of `w.ex` at offset 12 of a message, in its authority section (RFC 1035 section 3.3.13): to be kept for
/// 5 s; itself, hostmaster, 1, 3600, 600, 86400, 5.
const SOA: &str = "c00c 0006 0001 00000005 0023 c00c 0a686f73746d6173746572c00c \
                   00000001 00000e10 00000258 00015180 00000005";

/// An OPT record of version 0 with 1232 bytes (RFC 6891 section 6.1.2).
const OPT: &str = "00 0029 04d0 00 00 0000 0000";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    assert_eq!(hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).count(), digits.len());
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn plan(name: &str) -> Plan {
    let vip = |name: &str, addresses: &[&str]| Answers::Vip {
        name: name.to_owned(),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
    };
    Plan {
        binds: Vec::new(),
        name: name.to_owned(),
        addresses: vec![vip("a", &["10.20.0.11", "2001:db8::11"]), vip("b", &["10.20.0.12"])],
        ttl: Duration::from_secs(5),
        rate_limit: 100,
    }
}

fn up(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn ask_by(transport: Transport, hex: &str, names: &[&str]) -> Verdict {
    let zone = Zone::new(&plan("w.ex"));
    zone.answer(&bytes(hex), transport, &zone.live(Some(&up(names))), &mut Turns::default())
}

fn ask(hex: &str) -> Verdict {
    ask_by(Transport::Udp, hex, &["a", "b"])
}

fn reply(answer: Answer, hex: &str) -> Verdict {
    Verdict::Reply { message: bytes(hex), answer }
}

#[test]
fn addresses_that_are_up_are_answered() {
    let asked = format!("1234 0100 0001 0000 0000 0000 {NAME} 0001 0001");
    let a = "c00c 0001 0001 00000005 0004 0a14000b";
    let b = "c00c 0001 0001 00000005 0004 0a14000c";
    let expected = format!("1234 8500 0001 0002 0000 0000 {NAME} 0001 0001 {a} {b}");
    assert_eq!(ask(&asked), reply(Answer::Addresses, &expected));
    let expected = format!("1234 8500 0001 0001 0000 0000 {NAME} 0001 0001 {b}");
    assert_eq!(ask_by(Transport::Udp, &asked, &["b"]), reply(Answer::Addresses, &expected));
    let asked = format!("1234 0000 0001 0000 0000 0000 {NAME} 001c 0001");
    let six = "c00c 001c 0001 00000005 0010 20010db8 00000000 00000000 00000011";
    let expected = format!("1234 8400 0001 0001 0000 0000 {NAME} 001c 0001 {six}");
    assert_eq!(ask(&asked), reply(Answer::Addresses, &expected));
}

#[test]
fn a_family_that_is_not_up_is_not_there_and_all_are_answered_while_none_is_up() {
    let six = format!("1234 0100 0001 0000 0000 0000 {NAME} 001c 0001");
    let expected = format!("1234 8500 0001 0000 0001 0000 {NAME} 001c 0001 {SOA}");
    assert_eq!(ask_by(Transport::Udp, &six, &["b"]), reply(Answer::NoData, &expected));
    let zone = Zone::new(&plan("w.ex"));
    let all = Live {
        v4: vec!["10.20.0.11".parse().unwrap(), "10.20.0.12".parse().unwrap()],
        v6: vec!["2001:db8::11".parse().unwrap()],
        is_up: false,
    };
    assert_eq!(zone.live(Some(&up(&[]))), all);
    assert_eq!(zone.live(None), all);
    assert_eq!(zone.live(Some(&up(&["a", "b"]))), Live { is_up: true, ..all });
    let mut fixed = plan("w.ex");
    fixed.addresses.push(Answers::Address("10.20.0.13".parse().unwrap()));
    let zone = Zone::new(&fixed);
    let only = Live { v4: vec!["10.20.0.13".parse().unwrap()], v6: Vec::new(), is_up: true };
    assert_eq!(zone.live(Some(&up(&[]))), only);
    assert_eq!(zone.live(None).v4.len(), 3);
    let states: Vec<(IpAddr, bool)> = zone.addresses(Some(&up(&["b"])));
    assert_eq!(states.iter().map(|(_, is_up)| *is_up).collect::<Vec<bool>>(), [false, false, true, true]);
}

#[test]
fn another_address_is_first_each_time_also_when_both_families_are_asked_for_in_a_row() {
    let mut both = plan("w.ex");
    both.addresses.push(Answers::Address("2001:db8::12".parse().unwrap()));
    let zone = Zone::new(&both);
    let (live, mut turns) = (zone.live(Some(&up(&["a", "b"]))), Turns::default());
    let mut last_of_first = |kind: &str| {
        let asked = bytes(&format!("1234 0100 0001 0000 0000 0000 {NAME} {kind} 0001"));
        match zone.answer(&asked, Transport::Udp, &live, &mut turns) {
            // The question has 22 bytes with the header; a record's data begins 12 later.
            Verdict::Reply { message, .. } if kind == "0001" => message[22 + 12 + 3],
            Verdict::Reply { message, .. } => message[22 + 12 + 15],
            Verdict::Drop(dropped) => panic!("{dropped:?}"),
        }
    };
    let asked: Vec<u8> = ["0001", "001c", "0001", "001c", "0001", "001c"].map(&mut last_of_first).to_vec();
    assert_eq!(asked, [11, 0x11, 12, 0x12, 11, 0x11]);
}

#[test]
fn the_clients_spelling_is_kept() {
    let asked = "1234 0100 0001 0000 0000 0000 01 57 02 65 58 00 0001 0001";
    let expected = "1234 8500 0001 0001 0000 0000 01 57 02 65 58 00 0001 0001 c00c 0001 0001 00000005 0004 0a14000c";
    assert_eq!(ask_by(Transport::Udp, asked, &["b"]), reply(Answer::Addresses, expected));
    // Below it: the zone's record is that of the suffix, spelt likewise.
    let asked = "1234 0000 0001 0000 0000 0000 01 78 01 57 02 65 58 00 0001 0001";
    let soa = SOA.replace("c00c", "c00e");
    let expected = format!("1234 8403 0001 0000 0001 0000 01 78 01 57 02 65 58 00 0001 0001 {soa}");
    assert_eq!(ask(asked), reply(Answer::NoName, &expected));
}

#[test]
fn the_zone_is_spoken_of() {
    for kind in ["000f", "0010", "0005", "002b", "0041", "00ff 0001"] {
        let is_any = kind.len() > 4;
        let kind = &kind[..4];
        let asked = format!("1234 0100 0001 0000 0000 0000 {NAME} {kind} 0001");
        let none = format!("1234 8500 0001 0000 0001 0000 {NAME} {kind} 0001 {SOA}");
        let a = "c00c 0001 0001 00000005 0004 0a14000c";
        let any = format!("1234 8500 0001 0001 0000 0000 {NAME} {kind} 0001 {a}");
        let expected = if is_any { reply(Answer::Addresses, &any) } else { reply(Answer::NoData, &none) };
        assert_eq!(ask_by(Transport::Udp, &asked, &["b"]), expected, "{kind}");
    }
    let asked = format!("1234 0100 0001 0000 0000 0000 {NAME} 0006 0001");
    let expected = format!("1234 8500 0001 0001 0000 0000 {NAME} 0006 0001 {SOA}");
    assert_eq!(ask(&asked), reply(Answer::Zone, &expected));
    let asked = format!("1234 0100 0001 0000 0000 0000 {NAME} 0002 0001");
    let expected = format!("1234 8500 0001 0001 0000 0000 {NAME} 0002 0001 c00c 0002 0001 00000005 0002 c00c");
    assert_eq!(ask(&asked), reply(Answer::Zone, &expected));
}

#[test]
fn what_is_not_ours_is_refused() {
    let refused = [
        // x., ex., the root, xw.ex.
        "01 78 00 0001 0001",
        "02 65 78 00 0001 0001",
        "00 0002 0001",
        "02 78 77 02 65 78 00 0001 0001",
        // Classes CH and ANY.
        "01 77 02 65 78 00 0001 0003",
        "01 77 02 65 78 00 0001 00ff",
        // AXFR.
        "01 77 02 65 78 00 00fc 0001",
    ];
    for question in refused {
        let asked = format!("1234 0100 0001 0000 0000 0000 {question}");
        let expected = format!("1234 8105 0001 0000 0000 0000 {question}");
        assert_eq!(ask(&asked), reply(Answer::Refused, &expected), "{question}");
    }
    // IXFR brings what its client has.
    let asked = format!("1234 0000 0001 0000 0001 0000 {NAME} 00fb 0001 {SOA}");
    let expected = format!("1234 8005 0001 0000 0000 0000 {NAME} 00fb 0001");
    assert_eq!(ask(&asked), reply(Answer::Refused, &expected));
}

#[test]
fn what_is_no_question_is_said_to_be_none_or_dropped() {
    assert_eq!(ask("1234 0100 0001 0000 0000 00"), Verdict::Drop(Dropped::Short));
    assert_eq!(ask(&format!("1234 8100 0001 0000 0000 0000 {NAME} 0001 0001")), Verdict::Drop(Dropped::Response));
    // A notification, an update, and an operation that nobody has assigned: the header says so.
    for (asked, answered) in [("2000", "a004"), ("2900", "a904"), ("7000", "f004")] {
        let asked = format!("1234 {asked} 0001 0000 0000 0000 {NAME} 0006 0001");
        let expected = format!("1234 {answered} 0000 0000 0000 0000");
        assert_eq!(ask(&asked), reply(Answer::NotImplemented, &expected));
    }
    let malformed = [
        // No question, two, half of one, one that points to itself or into the header, a label of 64 bytes.
        "0000 0000 0000 0000".to_owned(),
        format!("0002 0000 0000 0000 {NAME} 0001 0001 {NAME} 0001 0001"),
        format!("0001 0000 0000 0000 {NAME} 0001 00"),
        "0001 0000 0000 0000 c00c 0001 0001".to_owned(),
        "0001 0000 0000 0000 c004 0001 0001".to_owned(),
        format!("0001 0000 0000 0000 40 {} 00 0001 0001", "61".repeat(64)),
        // A name of 256 bytes.
        format!(
            "0001 0000 0000 0000 {} 3e {} 00 0001 0001",
            format!("3f{}", "61".repeat(63)).repeat(3),
            "61".repeat(62)
        ),
        // An answer, a record in authority, three beside it, fewer than it says, more than it says.
        format!("0001 0001 0000 0000 {NAME} 0001 0001 c00c 0001 0001 00000005 0004 0a14000b"),
        format!("0001 0000 0001 0000 {NAME} 0001 0001 {SOA}"),
        format!(
            "0001 0000 0000 0003 {NAME} 0001 0001 {OPT} c00c 0001 0001 00000005 0004 0a14000b c00c 0001 0001 \
                 00000005 0004 0a14000b"
        ),
        format!("0001 0000 0000 0001 {NAME} 0001 0001"),
        format!("0001 0000 0000 0000 {NAME} 0001 0001 00"),
        // EDNS twice, and not at the root (RFC 6891 section 6.1.1).
        format!("0001 0000 0000 0002 {NAME} 0001 0001 {OPT} {OPT}"),
        format!("0001 0000 0000 0001 {NAME} 0001 0001 c00c 0029 04d0 00 00 0000 0000"),
    ];
    for rest in malformed {
        let expected = reply(Answer::Malformed, "1234 8101 0000 0000 0000 0000");
        assert_eq!(ask(&format!("1234 0100 {rest}")), expected, "{rest}");
    }
}

#[test]
fn edns_is_answered_with_edns() {
    let asked = |opt: &str| format!("1234 0120 0001 0000 0000 0001 {NAME} 000f 0001 {opt}");
    let expected = |opt: &str| format!("1234 8500 0001 0000 0001 0001 {NAME} 000f 0001 {SOA} {opt}");
    assert_eq!(ask(&asked(OPT)), reply(Answer::NoData, &expected(OPT)));
    // An option that we do not know (a cookie) is not answered, DNSSEC's bit is.
    let cookie = "00 0029 1000 00 00 8000 000c 000a 0008 0102030405060708";
    let secure = "00 0029 04d0 00 00 8000 0000";
    assert_eq!(ask(&asked(cookie)), reply(Answer::NoData, &expected(secure)));
    // Version 1: BADVERS is 16, of which 1 is in the OPT record.
    let bad = format!("1234 8100 0001 0000 0000 0001 {NAME} 000f 0001 00 0029 04d0 01 00 0000 0000");
    assert_eq!(ask(&asked("00 0029 04d0 00 01 0000 0000")), reply(Answer::BadVersion, &bad));
}

/// 31 addresses: 12 + 10 + 31 * 16 = 518 bytes, 11 more with EDNS.
fn crowded() -> Zone {
    let mut crowded = plan("w.ex");
    crowded.addresses = (0..31).map(|last| Answers::Address(IpAddr::from([10, 20, 1, last]))).collect();
    Zone::new(&crowded)
}

#[test]
fn what_is_too_long_for_the_client_is_cut_and_said_to_be() {
    let zone = crowded();
    let answer = |transport, hex: String| {
        zone.answer(&bytes(&hex), transport, &zone.live(Some(&up(&[]))), &mut Turns::default())
    };
    let length = |verdict: Verdict| match verdict {
        Verdict::Reply { message, answer } => (message.len(), answer),
        Verdict::Drop(dropped) => panic!("{dropped:?}"),
    };
    let plain = format!("1234 0100 0001 0000 0000 0000 {NAME} 0001 0001");
    let cut = format!("1234 8700 0001 0000 0000 0000 {NAME} 0001 0001");
    assert_eq!(answer(Transport::Udp, plain.clone()), reply(Answer::Truncated, &cut));
    assert_eq!(length(answer(Transport::Tcp, plain)), (518, Answer::Addresses));
    let edns = |size: &str| format!("1234 0100 0001 0000 0000 0001 {NAME} 0001 0001 00 0029 {size} 00 00 0000 0000");
    assert_eq!(length(answer(Transport::Udp, edns("0210"))), (33, Answer::Truncated));
    assert_eq!(length(answer(Transport::Udp, edns("0211"))), (529, Answer::Addresses));
    // Less than 512 means 512.
    assert_eq!(length(answer(Transport::Udp, edns("0000"))), (33, Answer::Truncated));
}

#[test]
fn a_datagram_has_1232_bytes_whatever_the_client_would_take() {
    let mut crowded = plan("w.ex");
    crowded.addresses = (0..76).map(|last| Answers::Address(IpAddr::from([10, 20, 1, last]))).collect();
    let ask = |crowded: &Plan| {
        let zone = Zone::new(crowded);
        let asked = format!("1234 0100 0001 0000 0000 0001 {NAME} 0001 0001 00 0029 ffff 00 00 0000 0000");
        match zone.answer(&bytes(&asked), Transport::Udp, &zone.live(None), &mut Turns::default()) {
            Verdict::Reply { message, .. } => message.len(),
            Verdict::Drop(dropped) => panic!("{dropped:?}"),
        }
    };
    // 12 + 10 + 75 * 16 + 11 = 1233.
    assert_eq!(ask(&crowded), 33);
    crowded.addresses.truncate(74);
    assert_eq!(ask(&crowded), 1217);
}

#[test]
fn who_is_to_ask_by_tcp_gets_no_more_than_it_sent() {
    let zone = Zone::new(&plan("w.ex"));
    let asked = format!("1234 0100 0001 0000 0000 0001 {NAME} 0001 0001 {OPT}");
    let expected = format!("1234 8300 0001 0000 0000 0001 {NAME} 0001 0001 {OPT}");
    assert_eq!(zone.slip(&bytes(&asked)), reply(Answer::Slipped, &expected));
    assert_eq!(zone.slip(&bytes("1234 0100 0000 0000 0000 0000")), Verdict::Drop(Dropped::RateLimit));
}

#[test]
fn a_name_may_be_as_long_as_names_can_be() {
    let label = "a".repeat(63);
    let name = format!("{label}.{label}.{label}.{}", "a".repeat(61));
    let wire = format!("{} 3d {} 00", format!("3f{}", "61".repeat(63)).repeat(3), "61".repeat(61));
    let zone = Zone::new(&plan(&name));
    let asked = bytes(&format!("1234 0000 0001 0000 0000 0000 {wire} 0006 0001"));
    // Its mailbox would be too long, so it is its own.
    let soa = "c00c 0006 0001 00000005 0018 c00c c00c 00000001 00000e10 00000258 00015180 00000005";
    let expected = format!("1234 8400 0001 0001 0000 0000 {wire} 0006 0001 {soa}");
    assert_eq!(
        zone.answer(&asked, Transport::Udp, &Live::default(), &mut Turns::default()),
        reply(Answer::Zone, &expected)
    );
}

#[test]
fn what_is_not_there_is_remembered_for_a_minute_at_most() {
    let mut long = plan("w.ex");
    long.ttl = Duration::from_hours(24);
    let zone = Zone::new(&long);
    let asked = bytes(&format!("1234 0000 0001 0000 0000 0000 {NAME} 000f 0001"));
    let Verdict::Reply { message, .. } = zone.answer(&asked, Transport::Udp, &zone.live(None), &mut Turns::default())
    else {
        panic!("no answer");
    };
    assert_eq!(message[22 + 6..22 + 10], [0, 0, 0, 60]);
    assert_eq!(message[message.len() - 4..], [0, 0, 0, 60]);
}
