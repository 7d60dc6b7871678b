//! Whatever a program's head is made into frames the body that follows it, or is refused.

use fcgi_proto::Answer;
use http_proto::{Chunked, Framing, Limits, Parsed, field_slots, parse_response};

use crate::split_first;

const BODY: &[u8] = b"a body\r\n0\r\n\r\n";

/// One byte chooses whether the request was a HEAD; the rest is the head, to which a body is put.
pub fn cgi_head(bytes: &[u8]) {
    let (choice, head) = split_first(bytes);
    let is_head = choice & 1 == 1;
    let Ok(length) = u16::try_from(head.len() + BODY.len()) else { return };
    let [high, low] = length.to_be_bytes();
    let records = [&[1, 6, 0, 1, high, low, 0, 0], head, BODY, b"\x01\x03\x00\x01\x00\x08\x00\x00\0\0\0\0\0\0\0\0"];
    let mut answer = Answer::new(is_head);
    let mut http = Vec::new();
    if answer.read(&records.concat(), &mut http, &mut |_| {}).is_err() {
        return;
    }
    assert!(answer.is_over());
    assert!(http.starts_with(b"HTTP/1.1 "));
    let limits = Limits { head_bytes: usize::MAX, ..Limits::default() };
    let mut at = 0;
    loop {
        let mut slots = field_slots();
        let parsed = parse_response(&http[at..], &mut slots, &limits, if is_head { "HEAD" } else { "GET" });
        let Ok(Parsed::Whole(read, taken)) = parsed else { return };
        assert_ne!(read.status, 101);
        at += taken;
        if read.status < 200 {
            continue;
        }
        match read.framing {
            Framing::None => assert_eq!(at, http.len()),
            Framing::Length(length) => assert!(answer.is_cut() || http.len() - at == length as usize),
            Framing::Chunked => {
                let own = read.fields.value("transfer-encoding").is_some_and(|_| http.ends_with(BODY));
                let scanned = Chunked::new().scan(&http[at..]);
                assert!(own || scanned == Ok((http.len() - at, true)), "{}", http.escape_ascii());
            }
            Framing::UntilClose => panic!("every answer tells its end"),
        }
        return;
    }
}
