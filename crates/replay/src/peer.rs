//! A peer's frame means the same whole and in pieces, and what it says can be written and read again.

use wire::peer::{FRAME_MAX, Frame, Parsed, parse_frame, write_dumped, write_entries, write_heartbeat, write_hello};

/// The beginning of what a peer sends.
pub fn peer(bytes: &[u8]) {
    let whole = parse_frame(bytes);
    let verdict = (0..=bytes.len()).map(|part| parse_frame(&bytes[..part])).find(|part| *part != Ok(Parsed::Partial));
    assert_eq!(verdict.unwrap_or(Ok(Parsed::Partial)), whole);
    let Ok(Parsed::Whole(frame, length)) = whole else {
        return;
    };
    assert!(length <= bytes.len() && length <= FRAME_MAX);
    let mut out = Vec::new();
    match &frame {
        Frame::Hello(hello) => write_hello(&mut out, hello),
        Frame::Entries(entries) => {
            write_entries(&mut out, entries.table, entries.iter());
        }
        Frame::Dumped => write_dumped(&mut out),
        Frame::Heartbeat => write_heartbeat(&mut out),
    }
    assert_eq!(out, bytes[..length]);
}
