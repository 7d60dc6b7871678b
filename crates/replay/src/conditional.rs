//! Conditions of any request are evaluated; without any, a request proceeds.

use http_proto::{
    Limits, Parsed, Precondition, Validators, applicable_range, evaluate, field_slots, imf_fixdate, parse_date,
    parse_request,
};

/// A date, and field lines of a request.
pub fn conditional(bytes: &[u8]) {
    if let Some(seconds) = parse_date(bytes) {
        assert_eq!(parse_date(&imf_fixdate(seconds)), Some(seconds));
    }
    let request = [b"GET / HTTP/1.1\r\nHost: h\r\n", bytes, b"\r\n\r\n"].concat();
    let mut slots = field_slots();
    let Ok(Parsed::Whole(head, _)) = parse_request(&request, &mut slots, &Limits::default()) else { return };
    let validators = Validators { etag: b"\"x\"", modified: 784_111_777, now: 784_111_778 };
    let precondition = evaluate(&head, validators);
    let is_conditional = head.fields.iter().any(|field| field.name.to_ascii_lowercase().starts_with("if-"));
    assert!(is_conditional || precondition == Precondition::Proceed);
    assert!(head.fields.value("range").is_some() || applicable_range(&head, validators).is_none());
}
