//! An accepted answer head, written back, is accepted again and frames the same body.

use http_proto::{
    Connection, Framing, HeaderEdits, Limits, Parsed, ResponseForward, Version, field_slots, parse_response,
    write_response,
};

use crate::split_first;

const METHODS: [&str; 3] = ["GET", "HEAD", "CONNECT"];

/// One byte chooses the method that was asked with; the rest is the answer.
pub fn response_head(bytes: &[u8]) {
    let (choice, bytes) = split_first(bytes);
    let method = METHODS[usize::from(choice) % METHODS.len()];
    let limits = Limits::default();
    let mut slots = field_slots();
    let Ok(Parsed::Whole(head, taken)) = parse_response(bytes, &mut slots, &limits, method) else { return };
    assert!(bytes[..taken].ends_with(b"\r\n\r\n"));
    assert!((100..=599).contains(&head.status));

    let edits = HeaderEdits::default();
    let reframed = match head.framing {
        Framing::Chunked => Framing::UntilClose,
        Framing::UntilClose => Framing::Chunked,
        other => other,
    };
    for framing in [head.framing, reframed] {
        let mut onward = Vec::new();
        let forward = ResponseForward {
            edits: [&edits; 2],
            connection: Connection::Close,
            client_version: Version::Http11,
            framing,
            came: 784_111_777,
        };
        write_response(&mut onward, &head, &forward);
        let generous = Limits { head_bytes: usize::MAX, ..limits };
        let mut slots = field_slots();
        let again = match parse_response(&onward, &mut slots, &generous, method) {
            Ok(Parsed::Whole(again, taken)) if taken == onward.len() => again,
            Err(http_proto::HeadError::TooManyFields) => return,
            other => panic!("{} gave {other:?}", onward.escape_ascii()),
        };
        assert_eq!((again.status, again.reason, again.framing), (head.status, head.reason, framing));
        assert_eq!((again.version, again.keep_alive), (Version::Http11, false));
        assert!(again.fields.value("keep-alive").is_none() && again.fields.value("upgrade").is_none());
    }
}
