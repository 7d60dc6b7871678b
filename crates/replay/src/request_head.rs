//! An accepted request head, written onward, is accepted again and means the same.

use http_proto::{
    Condition, Forwarded, HeaderEdits, Limits, Parsed, RequestForward, RouteQuery, field_slots, parse_request,
    resolve_path, write_request,
};

/// A request, with whatever follows it.
pub fn request_head(bytes: &[u8]) {
    let limits = Limits::default();
    let mut slots = field_slots();
    let Ok(Parsed::Whole(head, taken)) = parse_request(bytes, &mut slots, &limits) else { return };
    assert!(taken <= bytes.len());
    assert!(bytes[..taken].ends_with(b"\r\n\r\n"));

    // What is whole is refused in none of its beginnings.
    let mut slots = field_slots();
    let cut = usize::from(bytes[0]) * taken / 256;
    assert!(matches!(parse_request(&bytes[..cut], &mut slots, &limits), Ok(Parsed::Partial)));

    if let Ok(resolved) = resolve_path(head.path_and_query) {
        let query = RouteQuery { head: &head, path: &resolved.path, client: None };
        Condition::Host(vec!["*.example.org".to_owned()]).matches(&query);
        Condition::PathPrefix(vec!["/a".to_owned()]).matches(&query);
    }

    let edits = HeaderEdits::default();
    let forwarded =
        Forwarded { x_forwarded: true, forwarded: true, trusted: vec!["192.0.2.0/24".parse().expect("a network")] };
    for (client, reached) in [("192.0.2.1", None), ("198.51.100.1", Some("198.51.100.9:8080"))] {
        let client = Some(client.parse().expect("an address"));
        let host = reached.filter(|_| head.host.is_empty()).unwrap_or(head.host);
        let reached = reached.map(|reached| reached.parse().expect("an address and port"));
        let mut onward = Vec::new();
        let forward = RequestForward {
            client,
            reached,
            scheme: "http",
            identity: None,
            forwarded: &forwarded,
            edits: [&edits; 2],
        };
        write_request(&mut onward, &head, &forward);
        let generous = Limits { head_bytes: usize::MAX, target_bytes: usize::MAX, ..limits };
        let mut slots = field_slots();
        let again = match parse_request(&onward, &mut slots, &generous) {
            Ok(Parsed::Whole(again, taken)) if taken == onward.len() => again,
            // A head at the limit of fields can gain more.
            Err(http_proto::HeadError::TooManyFields) => return,
            other => panic!("{} gave {other:?}", onward.escape_ascii()),
        };
        assert_eq!(
            (again.method, again.host, again.framing, again.upgrade),
            (head.method, host, head.framing, head.upgrade)
        );
        let path = head.path_and_query;
        assert_eq!(again.path_and_query.trim_start_matches('/'), path.trim_start_matches('/'));
        assert_eq!(again.fields.has_token("connection", "upgrade"), head.upgrade.is_some());
        assert!(again.fields.value("te").is_none() && again.fields.value("keep-alive").is_none());
    }
}
