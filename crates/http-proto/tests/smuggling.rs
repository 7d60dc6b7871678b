//! The smuggling corpus: each line of `tests/smuggling/` is a message and what must be made of it.

use http_proto::{Chunked, Framing, HeadError, Limits, Parsed, field_slots, parse_request};

/// A verdict and the bytes it is about.
type Case = (String, Vec<u8>);

fn cases(table: &str) -> Vec<Case> {
    let lines = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (verdict, message) = line.split_once("  ").expect("a verdict, two spaces, a message");
            (verdict.to_owned(), unescape(message.trim_start()))
        })
        .collect()
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let mut next = || rest.next().expect("an escape has an end");
        bytes.push(match next() {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'x' => {
                let digits = [next(), next()];
                let digits = std::str::from_utf8(&digits).expect("two digits");
                u8::from_str_radix(digits, 16).expect("two hexadecimal digits")
            }
            other => other,
        });
    }
    bytes
}

fn judge_request(bytes: &[u8]) -> String {
    let mut slots = field_slots();
    match parse_request(bytes, &mut slots, &Limits::default()) {
        Err(error) => error.reason().to_owned(),
        Ok(Parsed::Partial) => "partial".to_owned(),
        Ok(Parsed::Whole(head, _)) => match head.framing {
            Framing::None => "none".to_owned(),
            Framing::Length(length) => format!("length {length}"),
            Framing::Chunked => "chunked".to_owned(),
            Framing::UntilClose => "until close".to_owned(),
        },
    }
}

fn judge_body(bytes: &[u8]) -> String {
    let mut chunked = Chunked::new();
    let (mut payload, mut taken) = (0, 0);
    while taken < bytes.len() && !chunked.ended() {
        match chunked.advance(&bytes[taken..]) {
            Err(error) => return error.reason().to_owned(),
            Ok(step) => {
                payload += step.data.len();
                taken += step.taken;
            }
        }
    }
    match chunked.ended() {
        true => format!("payload {payload} rest {}", bytes.len() - taken),
        false => "goes on".to_owned(),
    }
}

fn check(cases: &[Case], least: usize, judge: impl Fn(&[u8]) -> String) {
    assert!(cases.len() >= least, "the corpus has only {} cases", cases.len());
    let mut wrong = Vec::new();
    for (expected, bytes) in cases {
        let found = judge(bytes);
        if found != *expected {
            wrong.push(format!("{found} instead of {expected}: {}", bytes.escape_ascii()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn requests_that_are_read_in_two_ways_are_refused() {
    check(&cases(include_str!("smuggling/requests.txt")), 100, judge_request);
}

#[test]
fn bodies_that_are_read_in_two_ways_are_refused() {
    check(&cases(include_str!("smuggling/bodies.txt")), 40, judge_body);
}

#[test]
fn refusals_answer_with_an_error_status() {
    for error in HeadError::ALL {
        assert!(matches!(error.status(), 400 | 414 | 431 | 501 | 505), "{error:?}");
    }
}
