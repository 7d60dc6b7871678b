use std::time::Duration;

use tokio::net::UdpSocket;

use super::*;

const PATIENT: Duration = Duration::from_secs(10);
const HASTY: Duration = Duration::from_millis(100);

fn asking(name: &str, record: Record, expect: &[&str]) -> DnsCheck {
    let expect: Vec<String> = expect.iter().map(|text| (*text).to_owned()).collect();
    DnsCheck::new(name, record, &expect).expect("a question")
}

/// The name `a.b`, as it stands in messages.
const NAME: &[u8] = b"\x01a\x01b\0";

/// An answer of RFC 1035 §4.1 to the question of this number for `a.b A`: response code, and records of a type with data.
fn answer(id: [u8; 2], code: u8, records: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![id[0], id[1], 0x84, code, 0, 1, 0, u8::try_from(records.len()).expect("a few"), 0, 0, 0, 0];
    bytes.extend_from_slice(NAME);
    bytes.extend_from_slice(&[0, 1, 0, 1]);
    for (kind, data) in records {
        bytes.extend_from_slice(&[0xc0, 12, 0, *kind, 0, 1, 0, 0, 0, 60, 0]);
        bytes.push(u8::try_from(data.len()).expect("short"));
        bytes.extend_from_slice(data);
    }
    bytes
}

/// What is found at a server that sends what `replies` makes of the question's number.
async fn found(
    check: &DnsCheck,
    patience: Duration,
    replies: impl Fn([u8; 2]) -> Vec<Vec<u8>>,
) -> (Finding, Option<u16>) {
    let server = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let target = Target::Ip(server.local_addr().expect("an address"));
    let serve = async {
        let mut bytes = [0; 512];
        let (length, client) = server.recv_from(&mut bytes).await.expect("a question");
        assert!(length > 12);
        // Recursion is desired; one question, and EDNS.
        assert_eq!(bytes[2..12], [1, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
        for reply in replies([bytes[0], bytes[1]]) {
            server.send_to(&reply, client).await.expect("sent");
        }
    };
    tokio::join!(judge(&target, check, Instant::now() + patience), serve).0
}

#[tokio::test]
async fn the_answer_must_have_what_is_expected() {
    let plain = asking("a.b", Record::A, &[]);
    let wanted = asking("A.b.", Record::A, &["10.0.0.1", "10.0.0.2"]);
    let records: &[(u8, &[u8])] = &[(1, &[10, 0, 0, 2]), (5, b"\x01c\0"), (1, &[10, 0, 0, 1])];
    for check in [&plain, &wanted] {
        assert_eq!(found(check, PATIENT, |id| vec![answer(id, 0, records)]).await, (Finding::Answered, Some(0)));
    }
    assert_eq!(found(&plain, PATIENT, |id| vec![answer(id, 0, &[])]).await.0, Finding::Answered);
    assert_eq!(found(&wanted, PATIENT, |id| vec![answer(id, 0, &records[..2])]).await.0, Finding::WrongRecord);
    for (code, expected) in [(2, Some(2)), (3, Some(3)), (5, Some(5))] {
        let found = found(&plain, PATIENT, |id| vec![answer(id, code, records)]).await;
        assert_eq!(found, (Finding::WrongStatus, expected));
    }
}

#[tokio::test]
async fn an_answer_to_another_question_does_not_count() {
    let plain = asking("a.b", Record::A, &[]);
    let records: &[(u8, &[u8])] = &[(1, &[10, 0, 0, 1])];
    let others = |id: [u8; 2]| {
        let other_id = answer([id[0], id[1] ^ 1], 0, records);
        let mut other_name = answer(id, 0, records);
        other_name[13] = b'x';
        let mut other_type = answer(id, 0, records);
        other_type[18] = 28;
        let mut question = answer(id, 0, records);
        question[2] = 0x01;
        vec![other_id, other_name, other_type, question, b"garbage".to_vec(), Vec::new(), vec![0xff; 4096]]
    };
    assert_eq!(found(&plain, HASTY, others).await, (Finding::BadAnswer, None));
    let at_last = |id| others(id).into_iter().chain([answer(id, 0, records)]).collect();
    assert_eq!(found(&plain, PATIENT, at_last).await, (Finding::Answered, Some(0)));
    assert_eq!(found(&plain, HASTY, |_| Vec::new()).await, (Finding::AnswerTimedOut, None));
}

#[tokio::test]
async fn a_port_without_a_server_fails_at_once() {
    let server = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let target = Target::Ip(server.local_addr().expect("an address"));
    drop(server);
    let found = judge(&target, &asking("a.b", Record::Soa, &[]), Instant::now() + PATIENT).await;
    assert_eq!(found, (Finding::ConnectFailed, None));
}

#[test]
fn what_records_have() {
    let wrong = |name: &str, record, expect: &str| DnsCheck::new(name, record, &[expect.to_owned()]).err();
    let of = |text: &str| Some(WrongQuestion::Expected(text.to_owned()));
    for (record, right, not) in [
        (Record::A, "10.0.0.1", "::1"),
        (Record::Aaaa, "::1", "10.0.0.1"),
        (Record::Cname, "www.example.org", "a..b"),
        (Record::Mx, "mail.example.org.", ""),
        (Record::Ns, "ns1.example.org", "a..b"),
    ] {
        assert_eq!(wrong("example.org", record, right), None, "{right}");
        assert_eq!(wrong("example.org", record, not).is_some(), !not.is_empty(), "{not}");
    }
    assert_eq!(wrong("example.org", Record::Soa, "x"), of("x"));
    assert_eq!(wrong("example.org", Record::Txt, "v=spf1 -all"), None);
    assert_eq!(wrong("a..b", Record::A, "10.0.0.1"), Some(WrongQuestion::Name));
    assert_eq!(wrong(&"a".repeat(64), Record::A, "10.0.0.1"), Some(WrongQuestion::Name));
}
