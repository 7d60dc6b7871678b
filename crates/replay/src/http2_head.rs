//! A request of HTTP/2 becomes one head of HTTP/1 that says the same, or none.

use http_proto::http2::{HeadScratch, HeadWriter};
use http_proto::{Limits, Parsed, field_slots, parse_request};

/// Method, authority and path, and then names and values by turns, each ended by 0xff; an authority that begins with `-`
/// is none.
pub fn http2_head(bytes: &[u8]) {
    let mut parts = bytes.split(|&byte| byte == 0xff);
    let mut next = || parts.next().unwrap_or_default();
    let (method, authority, path) = (next(), next(), next());
    let authority = (!authority.starts_with(b"-")).then_some(authority);
    let rest: Vec<&[u8]> = parts.collect();
    let fields: Vec<(&[u8], &[u8])> = rest.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    let (mut head, mut scratch) = (Vec::new(), HeadScratch::default());
    let mut writer = HeadWriter::new(&mut head, &mut scratch);
    writer.field(b":method", method);
    if method != b"CONNECT" {
        writer.field(b":scheme", b"http");
        writer.field(b":path", path);
    }
    if let Some(authority) = authority {
        writer.field(b":authority", authority);
    }
    fields.iter().for_each(|(name, value)| writer.field(name, value));
    if writer.finish(true).is_err() {
        return;
    }
    // Exactly one head, whose lines are those that were given.
    assert_eq!(memchr_end(&head), Some(head.len()), "{}", head.escape_ascii());
    let cookies = fields.iter().filter(|(name, _)| name == b"cookie").count();
    let hosts = fields.iter().filter(|(name, _)| name == b"host").count();
    let lines = 2 + usize::from(authority.is_some()) + fields.len()
        - cookies.saturating_sub(1)
        - if authority.is_some() { hosts } else { 0 };
    assert_eq!(head.split(|&byte| byte == b'\n').count() - 1, lines, "{}", head.escape_ascii());
    let limits = Limits { head_bytes: usize::MAX, target_bytes: usize::MAX, ..Limits::default() };
    let mut slots = field_slots();
    match parse_request(&head, &mut slots, &limits) {
        Ok(Parsed::Whole(request, taken)) => {
            assert_eq!(taken, head.len());
            assert_eq!(request.method.as_bytes(), method);
            if let Some(authority) = authority {
                assert_eq!(request.host.as_bytes(), authority);
            }
            if method != b"CONNECT" {
                assert_eq!(request.path_and_query.as_bytes(), path);
            }
            assert!(request.upgrade.is_none());
        }
        Ok(Parsed::Partial) => panic!("a head that goes on: {}", head.escape_ascii()),
        Err(_) => {}
    }
}

/// Where the first blank line ends.
fn memchr_end(head: &[u8]) -> Option<usize> {
    head.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}
