//! A question has at most one answer, which says whose it is, and no more by UDP than its client takes.

use std::net::IpAddr;
use std::time::Duration;

use dns::{Answer, Answers, Plan, Transport, Turns, Verdict, Zone};

use crate::split_first;

/// A message's header (RFC 1035 section 4.1.1).
const HEADER: usize = 12;

/// What a client without EDNS takes (RFC 1035 section 4.2.1), and what is sent to any.
const UDP: [usize; 2] = [512, 1232];

/// One byte chooses how many addresses there are; the rest is a message.
pub fn dns_query(bytes: &[u8]) {
    let (choice, message) = split_first(bytes);
    let v4 = (0..choice >> 1).map(|last| IpAddr::from([10, 20, 0, last]));
    let v6 = (0..choice & 1).map(|last| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(last)]));
    let zone = Zone::new(&Plan {
        binds: Vec::new(),
        name: "w.ex".to_owned(),
        addresses: v4.chain(v6).map(Answers::Address).collect(),
        ttl: Duration::from_secs(5),
        rate_limit: 1,
    });
    let live = zone.live(None);
    let by = |transport| zone.answer(message, transport, &live, &mut Turns::default());
    match (by(Transport::Udp), by(Transport::Tcp), zone.slip(message)) {
        (Verdict::Drop(one), Verdict::Drop(other), Verdict::Drop(_)) => assert_eq!(one, other),
        (Verdict::Reply { message: udp, answer }, Verdict::Reply { message: tcp, answer: whole }, slip) => {
            assert!(udp.len() <= UDP[usize::from(udp[11] > 0)], "{} bytes", udp.len());
            assert!(udp.len() <= tcp.len());
            assert_eq!(udp == tcp, answer == whole);
            assert!(answer == whole || answer == Answer::Truncated);
            assert!(whole != Answer::Truncated);
            hold(message, &udp, answer);
            hold(message, &tcp, whole);
            if let Verdict::Reply { message: slip, answer } = slip {
                assert!(slip.len() <= message.len(), "a source that is not who it says has more sent than it sends");
                hold(message, &slip, answer);
            }
        }
        different => panic!("{different:?}"),
    }
}

/// An answer is one, to this question, spelt as it is.
fn hold(message: &[u8], reply: &[u8], answer: Answer) {
    assert_eq!(reply[..2], message[..2], "the number");
    assert_eq!(reply[2] & 0b1111_1001, message[2] & 0b0111_1001 | 0b1000_0000, "a response, its operation, recursion");
    assert_eq!(reply[2] & 0b10 != 0, matches!(answer, Answer::Truncated | Answer::Slipped));
    assert_eq!(reply[3] & 0xf0, 0, "recursion is available, or the zone signed");
    let code = match answer {
        Answer::Malformed => 1,
        Answer::NoName => 3,
        Answer::NotImplemented => 4,
        Answer::Refused => 5,
        _ => 0,
    };
    assert_eq!(reply[3] & 0x0f, code, "{answer:?}");
    if matches!(answer, Answer::Malformed | Answer::NotImplemented) {
        assert_eq!(reply[4..], [0; 8]);
        return;
    }
    assert_eq!(reply[4..6], [0, 1], "one question");
    let question = HEADER + 1 + name(&message[HEADER..]) + 4;
    assert_eq!(reply[HEADER..question], message[HEADER..question], "the question");
    let has_answers = reply[6..8] != [0, 0];
    assert_eq!(has_answers, matches!(answer, Answer::Addresses | Answer::Zone), "{answer:?}");
    let has_authority = reply[8..10] != [0, 0];
    assert_eq!(has_authority, matches!(answer, Answer::NoData | Answer::NoName), "{answer:?}");
}

/// The bytes of a name's labels, without the last, empty one.
fn name(bytes: &[u8]) -> usize {
    let mut length = 0;
    while bytes[length] > 0 {
        length += 1 + usize::from(bytes[length]);
    }
    length
}
