//! Echo requests and replies of ICMP (RFC 792) and ICMPv6 (RFC 4443 §4).

use crate::checksum::Sum;

/// Type, code, checksum, identifier and sequence number.
pub const HEADER_BYTES: usize = 8;

const REQUEST_V4: u8 = 8;
const REPLY_V4: u8 = 0;
const REQUEST_V6: u8 = 128;
const REPLY_V6: u8 = 129;

/// Which of the two protocols it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// ICMP.
    V4,
    /// ICMPv6, whose checksums the kernel makes and looks at.
    V6,
}

/// A request, or the reply to it, which has the same in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo<'a> {
    /// Whose it is. A kernel's ping sockets put one of their own in its place.
    pub identifier: u16,
    /// Which of them it is.
    pub sequence: u16,
    /// What comes back unchanged.
    pub payload: &'a [u8],
}

/// Appends a request.
pub fn write_request(out: &mut Vec<u8>, family: Family, echo: Echo<'_>) {
    let begin = out.len();
    let kind = if family == Family::V4 { REQUEST_V4 } else { REQUEST_V6 };
    out.extend_from_slice(&[kind, 0, 0, 0]);
    out.extend_from_slice(&echo.identifier.to_be_bytes());
    out.extend_from_slice(&echo.sequence.to_be_bytes());
    out.extend_from_slice(echo.payload);
    if family == Family::V4 {
        let mut sum = Sum::default();
        sum.add(&out[begin..]);
        out[begin + 2..begin + 4].copy_from_slice(&sum.checksum());
    }
}

/// Reads a reply as a socket hands it over: raw ones of IPv4 with the header of IP before it, all others without.
/// `None`: it is anything else.
pub fn parse_reply(family: Family, bytes: &[u8]) -> Option<Echo<'_>> {
    let bytes = match bytes.first()? {
        // A reply's own first byte is 0.
        first @ 0x45..=0x4f if family == Family::V4 => bytes.get(usize::from(first & 0xf) * 4..)?,
        _ => bytes,
    };
    let (header, payload) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let reply = if family == Family::V4 { REPLY_V4 } else { REPLY_V6 };
    if header[..2] != [reply, 0] {
        return None;
    }
    if family == Family::V4 {
        let mut sum = Sum::default();
        sum.add(bytes);
        sum.is_right().then_some(())?;
    }
    let number = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    Some(Echo { identifier: number(4), sequence: number(6), payload })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_is_as_the_standards_have_it() {
        let mut out = vec![0xee];
        write_request(&mut out, Family::V4, Echo { identifier: 0x1234, sequence: 1, payload: b"ab" });
        // 0800 + 1234 + 0001 + 6162 = 7b97, whose complement is 8468.
        assert_eq!(out, [0xee, 8, 0, 0x84, 0x68, 0x12, 0x34, 0, 1, b'a', b'b']);
        out.clear();
        write_request(&mut out, Family::V6, Echo { identifier: 0x1234, sequence: 1, payload: b"ab" });
        assert_eq!(out, [128, 0, 0, 0, 0x12, 0x34, 0, 1, b'a', b'b']);
    }

    #[test]
    fn only_replies_are_read() {
        let echo = Some(Echo { identifier: 0x1234, sequence: 1, payload: b"ab" });
        // 0000 + 1234 + 0001 + 6162 = 7397, whose complement is 8c68.
        let reply = [0, 0, 0x8c, 0x68, 0x12, 0x34, 0, 1, b'a', b'b'];
        assert_eq!(parse_reply(Family::V4, &reply), echo);
        let header = [0x45, 0, 0, 30, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1];
        assert_eq!(parse_reply(Family::V4, &[&header[..], &reply].concat()), echo);
        let options = [&[0x46][..], &header[1..], &[1, 1, 1, 1], &reply].concat();
        assert_eq!(parse_reply(Family::V4, &options), echo);
        assert_eq!(parse_reply(Family::V6, &[129, 0, 0, 0, 0x12, 0x34, 0, 1, b'a', b'b']), echo);
        let wrong_sum = [0, 0, 0x8c, 0x69, 0x12, 0x34, 0, 1, b'a', b'b'];
        let request = [8, 0, 0x84, 0x68, 0x12, 0x34, 0, 1, b'a', b'b'];
        let unreachable = [3, 1, 0, 0, 0, 0, 0, 0];
        for bytes in [&wrong_sum[..], &request, &unreachable, &reply[..7], &[], &header[..8], &[0x4f; 9]] {
            assert_eq!(parse_reply(Family::V4, bytes), None, "{bytes:?}");
        }
        for bytes in [&reply[..], &[128, 0, 0, 0, 0x12, 0x34, 0, 1], &[129, 1, 0, 0, 0x12, 0x34, 0, 1]] {
            assert_eq!(parse_reply(Family::V6, bytes), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn a_reply_has_what_was_asked_with(identifier: u16, sequence: u16, payload: Vec<u8>) {
            let echo = Echo { identifier, sequence, payload: &payload };
            let mut bytes = Vec::new();
            write_request(&mut bytes, Family::V6, echo);
            prop_assert_eq!(parse_reply(Family::V6, &bytes), None);
            bytes[0] = 129;
            prop_assert_eq!(parse_reply(Family::V6, &bytes), Some(echo));
        }

        #[test]
        fn no_bytes_are_too_odd(bytes: Vec<u8>) {
            let _ = parse_reply(Family::V4, &bytes);
            let _ = parse_reply(Family::V6, &bytes);
        }
    }
}
