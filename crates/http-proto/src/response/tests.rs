use proptest::prelude::*;

use super::parse_response;
use crate::head_error::HeadError as E;
use crate::{Framing, HeadError, Limits, Parsed, ResponseHead, Version, field_slots};

fn outcome(bytes: &[u8], method: &str) -> Result<Option<usize>, HeadError> {
    let mut slots = field_slots();
    parse_response(bytes, &mut slots, &Limits::default(), method).map(|parsed| match parsed {
        Parsed::Whole(_, taken) => Some(taken),
        Parsed::Partial => None,
    })
}

fn with<T>(bytes: &str, method: &str, look: impl FnOnce(&ResponseHead<'_>) -> T) -> T {
    let mut slots = field_slots();
    match parse_response(bytes.as_bytes(), &mut slots, &Limits::default(), method) {
        Ok(Parsed::Whole(head, _)) => look(&head),
        other => panic!("{bytes:?} gave {other:?}"),
    }
}

#[test]
fn takes_one_head_and_says_what_it_holds() {
    let response = "HTTP/1.1 404 Not  Found \r\nContent-Length: 3\r\n\r\n";
    assert_eq!(outcome(format!("{response}abc").as_bytes(), "GET"), Ok(Some(response.len())));
    with(response, "GET", |head| {
        assert_eq!((head.status, head.reason, head.version), (404, "Not  Found ", Version::Http11));
        assert_eq!((head.framing, head.keep_alive), (Framing::Length(3), true));
    });
    for end in 0..response.len() {
        assert_eq!(outcome(&response.as_bytes()[..end], "GET"), Ok(None), "{end}");
    }
}

#[test]
fn the_status_line_is_a_version_a_status_and_words() {
    let table: &[(&str, Result<(), HeadError>)] = &[
        ("HTTP/1.1 200 OK", Ok(())),
        ("HTTP/1.0 200 OK", Ok(())),
        ("HTTP/1.1 200 ", Ok(())),
        ("HTTP/1.1 200", Ok(())),
        ("HTTP/1.1 299 a\tb é", Ok(())),
        ("HTTP/1.1 100 ", Ok(())),
        ("HTTP/1.1 599 ", Ok(())),
        ("HTTP/1.1 099 ", Err(E::StatusLine)),
        ("HTTP/1.1 600 ", Err(E::StatusLine)),
        ("HTTP/1.1 20 OK", Err(E::StatusLine)),
        ("HTTP/1.1 2000 OK", Err(E::StatusLine)),
        ("HTTP/1.1 2x0 OK", Err(E::StatusLine)),
        ("HTTP/1.1 +20 OK", Err(E::StatusLine)),
        ("HTTP/1.1  200 OK", Err(E::StatusLine)),
        ("HTTP/1.1\t200 OK", Err(E::StatusLine)),
        ("HTTP/1.1 200\tOK", Err(E::StatusLine)),
        ("HTTP/1.1 200 O\0K", Err(E::StatusLine)),
        ("HTTP/1.1 200 O\rK", Err(E::StatusLine)),
        ("HTTP/2.0 200 OK", Err(E::UnknownVersion)),
        ("HTTP/1.2 200 OK", Err(E::UnknownVersion)),
        ("http/1.1 200 OK", Err(E::StatusLine)),
        ("ICY 200 OK", Err(E::StatusLine)),
        ("SSH-2.0-OpenSSH_9.2", Err(E::StatusLine)),
        (" HTTP/1.1 200 OK", Err(E::StatusLine)),
        ("\r\nHTTP/1.1 200 OK", Err(E::StatusLine)),
        ("\nHTTP/1.1 200 OK", Err(E::StatusLine)),
    ];
    for (line, expected) in table {
        let response = format!("{line}\r\nA: b\r\n\r\n");
        let expected = expected.map(|()| Some(response.len()));
        assert_eq!(outcome(response.as_bytes(), "GET"), expected, "{line:?}");
    }
    with("HTTP/1.1 200 gr\u{fc}n\r\n\r\n", "GET", |head| assert_eq!(head.reason, ""));
}

/// RFC 9112 §6.3, in its order.
#[test]
fn bodies_end_where_the_standard_says() {
    const LENGTH: &str = "Content-Length: 5\r\n";
    const CODING: &str = "Transfer-Encoding: chunked\r\n";
    let table = [
        ("HEAD", 200, LENGTH, Framing::None),
        ("HEAD", 200, CODING, Framing::None),
        ("HEAD", 404, "", Framing::None),
        ("head", 200, LENGTH, Framing::Length(5)),
        ("GET", 100, "", Framing::None),
        ("GET", 101, CODING, Framing::None),
        ("GET", 103, LENGTH, Framing::None),
        ("GET", 204, LENGTH, Framing::None),
        ("GET", 304, LENGTH, Framing::None),
        ("CONNECT", 200, LENGTH, Framing::None),
        ("CONNECT", 299, CODING, Framing::None),
        ("CONNECT", 407, LENGTH, Framing::Length(5)),
        ("CONNECT", 502, "", Framing::UntilClose),
        ("GET", 200, CODING, Framing::Chunked),
        ("GET", 206, "transfer-encoding: CHUNKED\r\n", Framing::Chunked),
        ("POST", 205, LENGTH, Framing::Length(5)),
        ("GET", 200, "Content-Length: 0\r\n", Framing::Length(0)),
        ("GET", 302, "", Framing::UntilClose),
    ];
    for (method, status, line, expected) in table {
        let response = format!("HTTP/1.1 {status} \r\n{line}\r\n");
        with(&response, method, |head| assert_eq!(head.framing, expected, "{method} {response:?}"));
    }
}

#[test]
fn ambiguous_answers_are_refused_whatever_their_framing() {
    let table = [
        ("Content-Length: 5\r\nContent-Length: 5\r\n", E::LengthRepeated),
        ("Content-Length: 5, 5\r\n", E::LengthRepeated),
        ("Content-Length: -1\r\n", E::LengthInvalid),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", E::LengthWithCoding),
        ("Transfer-Encoding: gzip, chunked\r\n", E::CodingUnknown),
        ("Transfer-Encoding: chunked, gzip\r\n", E::ChunkedNotLast),
        ("A: b\r\n c\r\n", E::FoldedLine),
        ("A : b\r\n", E::SpaceBeforeColon),
        ("A: b\n", E::BareLf),
        ("A: b\rc\r\n", E::BareCr),
        ("A\r\n", E::FieldName),
    ];
    for (lines, expected) in table {
        for method in ["GET", "HEAD"] {
            let response = format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
            assert_eq!(outcome(response.as_bytes(), method), Err(expected), "{response:?}");
        }
    }
    let old = b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(outcome(old, "GET"), Err(E::CodingInHttp10));
    assert_eq!(outcome(b"HTTP/1.1 200 OK\n\r\n", "GET"), Err(E::BareLf));
    assert_eq!(outcome(b"HTTP/1.1 200 OK\n\n", "GET"), Err(E::BareLf));
    assert_eq!(outcome(b"HTTP/1.1 200\nA: b\r\n\r\n", "GET"), Err(E::BareLf));
}

#[test]
fn a_host_in_an_answer_means_nothing() {
    let response = "HTTP/1.1 200 OK\r\nHost: a b\r\nHost: c\r\nContent-Length: 0\r\n\r\n";
    with(response, "GET", |head| assert!(head.keep_alive));
}

#[test]
fn the_connection_persists_where_the_body_has_an_end() {
    let table = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 1\r\n\r\n", false),
        ("HTTP/1.1 304 \r\n\r\n", true),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n", true),
        ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", false),
    ];
    for (response, expected) in table {
        with(response, "GET", |head| assert_eq!(head.keep_alive, expected, "{response:?}"));
    }
}

#[test]
fn limits_hold() {
    let head = |bytes: usize| format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "a".repeat(bytes - 24));
    assert_eq!(outcome(head(32 * 1024).as_bytes(), "GET"), Ok(Some(32 * 1024)));
    assert_eq!(outcome(head(32 * 1024 + 1).as_bytes(), "GET"), Err(E::HeadTooLarge));
    assert_eq!(outcome(&head(40 * 1024).as_bytes()[..32 * 1024], "GET"), Err(E::HeadTooLarge));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A:\r\n".repeat(129));
    assert_eq!(outcome(many.as_bytes(), "GET"), Err(E::TooManyFields));
}

proptest! {
    #[test]
    fn noise_never_panics(start in "(HTTP/1.1 200 )?", rest in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = [start.as_bytes(), &rest].concat();
        let _ = outcome(&bytes, "GET");
    }
}
