//! Whatever an application sends is the same answer however it is cut, and takes no more room than it has.

use fcgi_proto::{Answer, AnswerError, HEAD_BYTES_MAX};
use http_proto::{Chunked, Framing, Limits, Parsed, field_slots, parse_response};

use crate::split_first;

/// Room for the framing of each record and what a head gains.
const GAIN: usize = 256;

/// One byte chooses whether the request was a HEAD, the next where the records are cut; the rest is records.
pub fn fastcgi_answer(bytes: &[u8]) {
    let (choice, bytes) = split_first(bytes);
    let (cut, bytes) = split_first(bytes);
    let is_head = choice & 1 == 1;
    let whole = read(&[bytes], is_head);
    let (first, second) = bytes.split_at(bytes.len() * usize::from(cut) / 256);
    let singly: Vec<&[u8]> = bytes.chunks(1).collect();
    for other in [read(&[first, second], is_head), read(&singly, is_head)] {
        assert_eq!(whole.end, other.end);
        assert_eq!(whole.stderr, other.stderr);
        assert_eq!(whole.http, other.http);
    }
    assert!(whole.http.len() <= 2 * bytes.len() + 2 * bytes.len() / 8 * GAIN + GAIN);
    if whole.end == Ok(true) {
        check_body(&whole.http, is_head);
    }
}

/// What came of some records: whether they are a whole answer, or why they are none.
struct Outcome {
    http: Vec<u8>,
    stderr: Vec<u8>,
    end: Result<bool, AnswerError>,
}

fn read(pieces: &[&[u8]], is_head: bool) -> Outcome {
    let mut answer = Answer::new(is_head);
    let (mut http, mut stderr) = (Vec::new(), Vec::new());
    for piece in pieces {
        if let Err(error) = answer.read(piece, &mut http, &mut |piece| stderr.extend_from_slice(piece)) {
            return Outcome { http, stderr, end: Err(error) };
        }
    }
    Outcome { http, stderr, end: Ok(answer.is_over() && !answer.is_cut()) }
}

/// An answer that is whole and is one of HTTP ends where it says.
fn check_body(mut http: &[u8], is_head: bool) {
    let limits = Limits { head_bytes: HEAD_BYTES_MAX + GAIN, ..Limits::default() };
    loop {
        let mut slots = field_slots();
        let method = if is_head { "HEAD" } else { "GET" };
        let (status, framing, taken) = match parse_response(http, &mut slots, &limits, method) {
            Ok(Parsed::Whole(head, taken)) => (head.status, head.framing, taken),
            // Fields are the relay's to judge.
            Err(_) => return,
            Ok(Parsed::Partial) => panic!("{} is no whole head", http.escape_ascii()),
        };
        http = &http[taken..];
        match framing {
            _ if status < 200 => continue,
            Framing::None => assert!(http.is_empty()),
            Framing::Length(length) => assert_eq!(http.len() as u64, length),
            // What the application frames itself may be framed wrongly.
            Framing::Chunked => {
                let _ = Chunked::new().scan(http);
            }
            Framing::UntilClose => panic!("every answer tells its end"),
        }
        return;
    }
}
