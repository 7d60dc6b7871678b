use proptest::prelude::*;

use super::*;

/// A record as FastCGI 1.0 §3.3 lays it out, for request 1.
fn record(kind: u8, content: &[u8], padding: u8) -> Vec<u8> {
    let mut record = vec![1, kind, 0, 1, (content.len() >> 8) as u8, (content.len() & 255) as u8, padding, 0];
    record.extend_from_slice(content);
    record.resize(record.len() + usize::from(padding), b'#');
    record
}

const END: [u8; 16] = *b"\x01\x03\x00\x01\x00\x08\x00\x00\0\0\0\0\0\0\0\0";

/// What an answer was read as: its bytes, the application's complaints, the reader.
struct Seen {
    http: String,
    stderr: String,
    answer: Answer,
}

fn read_in(pieces: &[&[u8]], bodiless: bool) -> Result<Seen, AnswerError> {
    let mut answer = Answer::new(bodiless);
    let (mut out, mut stderr) = (Vec::new(), Vec::new());
    for piece in pieces {
        answer.read(piece, &mut out, &mut |complaint| stderr.extend_from_slice(complaint))?;
    }
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ok(Seen { http: text(out), stderr: text(stderr), answer })
}

fn error(records: &[Vec<u8>]) -> AnswerError {
    match read_in(&[&records.concat()], false) {
        Ok(seen) => panic!("read as {:?}", seen.http),
        Err(error) => error,
    }
}

#[test]
fn the_specifications_examples() {
    // FastCGI 1.0 Appendix B.1 and B.3: output, a complaint, the end of both streams, the end of the request.
    let records = [
        record(6, b"Content-type: text/html\r\n\r\n<html>\n<head> ... ", 0),
        record(7, b"config error: missing SI_UID\n", 3),
        record(6, b"", 0),
        record(7, b"", 0),
        END.to_vec(),
    ];
    let seen = read_in(&[&records.concat()], false).unwrap();
    let head = "HTTP/1.1 200 OK\r\nContent-type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(seen.http, format!("{head}12\r\n<html>\n<head> ... \r\n0\r\n\r\n"));
    assert_eq!(seen.stderr, "config error: missing SI_UID\n");
    assert!(seen.answer.is_over() && !seen.answer.is_cut());
}

#[test]
fn each_record_is_out_before_the_next_is_there() {
    let mut answer = Answer::new(false);
    let mut out = Vec::new();
    let mut next = |bytes: &[u8]| {
        out.clear();
        answer.read(bytes, &mut out, &mut |_| {}).unwrap();
        String::from_utf8(out.clone()).unwrap()
    };
    assert_eq!(next(&record(6, b"A: b\n", 0)), "");
    assert_eq!(next(&record(6, b"\n", 0)), "HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(next(&record(6, b"one", 5)), "3\r\none\r\n");
    let long = record(6, b"two and more", 0);
    assert_eq!(next(&long[..11]), "c\r\ntwo");
    assert_eq!(next(&long[11..]), " and more\r\n");
    assert_eq!(next(&END[..15]), "");
    assert_eq!(next(&END[15..]), "0\r\n\r\n");
}

#[test]
fn a_body_has_the_length_that_its_head_says() {
    let exact = [record(6, b"Content-Length: 3\n\nab", 0), record(6, b"c", 0), END.to_vec()].concat();
    let seen = read_in(&[&exact], false).unwrap();
    assert_eq!(seen.http, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
    assert!(seen.answer.is_over() && !seen.answer.is_cut());

    let more = [record(6, b"Content-Length: 3\n\nabcd", 0), record(6, b"e", 0), END.to_vec()].concat();
    let seen = read_in(&[&more], false).unwrap();
    assert_eq!(seen.http, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
    assert!(seen.answer.is_over() && !seen.answer.is_cut());

    let fewer = [record(6, b"Content-Length: 3\n\nab", 0), END.to_vec()].concat();
    assert!(read_in(&[&fewer], false).unwrap().answer.is_cut());
}

#[test]
fn a_head_without_a_body_has_none() {
    let records = [record(6, b"Content-Length: 3\n\nab", 0), record(6, b"c", 0), END.to_vec()].concat();
    let seen = read_in(&[&records], true).unwrap();
    assert_eq!(seen.http, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
    assert!(seen.answer.is_over() && !seen.answer.is_cut());
}

#[test]
fn interim_heads_come_before_the_final_one() {
    let heads = b"Status: 103 Early Hints\nLink: <a>\n\nStatus: 200 OK\nContent-Length: 2\n\nok";
    let records = [record(6, heads, 0), END.to_vec()].concat();
    let expected = "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    assert_eq!(read_in(&[&records], false).unwrap().http, expected);

    let interim = |count| record(6, &b"Status: 100\n\n".repeat(count), 0);
    assert!(read_in(&[&interim(64)], false).is_ok());
    assert_eq!(error(&[interim(65)]), AnswerError::HeadTooLarge);
}

#[test]
fn a_head_has_32_kib_at_the_most() {
    let head = |length: usize| [b"A: ".as_slice(), &vec![b'x'; length - 5], b"\n\n"].concat();
    let whole = record(6, &head(32 * 1024), 0);
    assert!(read_in(&[&whole], false).unwrap().http.starts_with("HTTP/1.1 200 OK\r\nA: xxx"));
    assert_eq!(error(&[record(6, &head(32 * 1024 + 1), 0)]), AnswerError::HeadTooLarge);
    // One that never ends is refused when it is too long, not kept.
    let endless = record(6, b"A: b\n", 0).repeat(7000);
    assert_eq!(read_in(&[&endless], false).map(|_| ()), Err(AnswerError::HeadTooLarge));
}

#[test]
fn every_type_of_record_in_every_place() {
    let beginning = record(6, b"Content-Length: 0\n\n", 0);
    for kind in 0..=255 {
        for before in [vec![], vec![beginning.clone()], vec![beginning.clone(), END.to_vec()]] {
            let stage = before.len();
            let all = [before, vec![record(kind, &[0; 8], 0)]].concat();
            let read = read_in(&[&all.concat()], false).map(|_| ());
            let expected = match (kind, stage) {
                (_, 2) => Err(AnswerError::AfterEnd),
                (3, 0) => Err(AnswerError::NoHead),
                (3 | 6 | 7, _) => Ok(()),
                _ => Err(AnswerError::RecordType),
            };
            assert_eq!(read, expected, "type {kind}, stage {stage}");
        }
    }
}

#[test]
fn records_that_are_not_ours() {
    assert_eq!(error(&[vec![2, 6, 0, 1, 0, 0, 0, 0]]), AnswerError::Version);
    assert_eq!(error(&[vec![1, 6, 0, 2, 0, 0, 0, 0]]), AnswerError::RequestId);
    assert_eq!(error(&[vec![1, 6, 0, 0, 0, 0, 0, 0]]), AnswerError::RequestId);
    for length in (0..=255).filter(|length| *length != 8) {
        assert_eq!(error(&[vec![1, 3, 0, 1, 0, length, 0, 0]]), AnswerError::EndLength);
    }
    assert_eq!(error(&[b"HTTP/1.1 200 OK\r\n\r\n".to_vec()]), AnswerError::Version);
}

#[test]
fn ends_that_are_no_success() {
    let end = |status| record(3, &[0, 0, 0, 0, status, 0, 0, 0], 0);
    let head = record(6, b"Content-Length: 0\n\n", 0);
    for (status, expected) in [
        (1, AnswerError::CannotMultiplex),
        (2, AnswerError::Overloaded),
        (3, AnswerError::UnknownRole),
        (4, AnswerError::EndStatus),
        (255, AnswerError::EndStatus),
    ] {
        assert_eq!(error(&[end(status)]), expected);
        assert_eq!(error(&[head.clone(), end(status)]), expected);
    }
    assert_eq!(error(&[end(0)]), AnswerError::NoHead);
    assert_eq!(error(&[record(6, b"Status: 200 OK\n", 0), end(0)]), AnswerError::NoHead);
    // A program's own exit status says nothing of its answer.
    let failed = record(3, &[0, 0, 0, 255, 0, 0, 0, 0], 0);
    assert!(read_in(&[&head, &failed], false).unwrap().answer.is_over());
}

#[test]
fn padding_belongs_to_its_record() {
    let records = [record(6, b"Content-Length: 1\n\nx", 255), record(3, &[0; 8], 7)].concat();
    let (last, rest) = records.split_last().unwrap();
    let seen = read_in(&[rest], false).unwrap();
    assert!(!seen.answer.is_over(), "a byte of the last record is still to come");
    let seen = read_in(&[rest, &[*last]], false).unwrap();
    assert!(seen.answer.is_over());
    assert_eq!(seen.http, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
}

#[test]
fn bulk_is_passed_on_as_it_is() {
    for (head, begin, end) in [("X: y\n\n", "ea60\r\n", "\r\n"), ("Content-Length: 60000\n\n", "", "")] {
        let mut answer = Answer::new(false);
        let mut out = Vec::new();
        answer.read(&record(6, head.as_bytes(), 0), &mut out, &mut |_| {}).unwrap();
        assert_eq!(answer.bulk(), None);
        out.clear();
        let body = record(6, &vec![b'b'; 60000], 3);
        answer.read(&body[..8], &mut out, &mut |_| {}).unwrap();
        assert_eq!(String::from_utf8(out.clone()).unwrap(), begin);
        assert_eq!(answer.bulk(), Some((60000, 60000 + 3 + 8)));
        out.clear();
        answer.pass(40000, &mut out);
        assert_eq!((answer.bulk(), answer.between()), (Some((20000, 20000 + 3 + 8)), 0));
        answer.pass(20000, &mut out);
        assert_eq!(answer.between(), 3 + 8);
        assert_eq!(String::from_utf8(out.clone()).unwrap(), end);
        answer.read(b"###", &mut out, &mut |_| {}).unwrap();
        assert_eq!(answer.between(), 8);
        answer.read(&END[..5], &mut out, &mut |_| {}).unwrap();
        assert_eq!(answer.between(), 3);
        answer.read(&END[5..], &mut out, &mut |_| {}).unwrap();
        assert!(answer.is_over() && !answer.is_cut());
    }
    // More than the body is nobody's.
    let mut answer = Answer::new(false);
    let longer = [record(6, b"Content-Length: 50000\n\n", 0), record(6, &[0; 60000], 0)].concat();
    answer.read(&longer[..50], &mut Vec::new(), &mut |_| {}).unwrap();
    assert_eq!(answer.bulk(), None);
}

proptest! {
    #[test]
    fn however_it_is_cut_it_is_the_same(
        bodies in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..40), 0_u8..9, any::<bool>()), 0..6),
        cuts in proptest::collection::vec(0_usize..400, 0..8),
        with_length in any::<bool>(),
    ) {
        let total: usize = bodies.iter().filter(|(_, _, complains)| !complains).map(|(body, _, _)| body.len()).sum();
        let head = if with_length { format!("Content-Length: {total}\r\n\r\n") } else { "A: b\r\n\r\n".to_owned() };
        let mut records = record(6, head.as_bytes(), 1);
        for (body, padding, complains) in &bodies {
            records.extend(record(if *complains { 7 } else { 6 }, body, *padding));
        }
        records.extend(END);
        let read = |pieces: &[&[u8]]| {
            let mut answer = Answer::new(false);
            let (mut out, mut stderr) = (Vec::new(), Vec::new());
            for piece in pieces {
                answer.read(piece, &mut out, &mut |complaint| stderr.extend_from_slice(complaint)).unwrap();
            }
            assert!(answer.is_over() && !answer.is_cut());
            (out, stderr)
        };
        let whole = read(&[&records]);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(records.len())).collect();
        cuts.extend([0, records.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &records[pair[0]..pair[1]]).collect();
        prop_assert_eq!(read(&pieces), whole.clone());
        let singly: Vec<&[u8]> = records.chunks(1).collect();
        prop_assert_eq!(read(&singly), whole);
    }
}
