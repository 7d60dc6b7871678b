//! A host has one spelling, wherever a request says it, and nothing that another reader could take for a different one.

use std::net::Ipv6Addr;

use http_proto::{Limits, Parsed, field_slots, host_without_port, parse_request};

use crate::text;

/// A target may be no longer than 16 KiB.
const BYTES_MAX: usize = 16_000;

/// What stands in the Host field.
pub fn authority(bytes: &[u8]) {
    let authority = text(bytes);
    if authority.len() > BYTES_MAX || authority.contains(['\r', '\n']) {
        return;
    }
    let said = host(&format!("GET / HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
    let trimmed = authority.trim_matches([' ', '\t']);
    assert_eq!(said.as_deref(), is_authority(trimmed).then_some(trimmed), "{authority:?}");
    let Some(said) = said.filter(|said| !said.is_empty()) else { return };

    let name = host_without_port(&said);
    let port = said.strip_prefix(name).expect("it begins with the host").strip_prefix(':');
    assert_eq!(name.len() + port.map_or(0, |port| port.len() + 1), said.len());
    assert_eq!(host_without_port(name), name);
    if !name.is_empty() {
        let absolute = host(&format!("GET http://{said}/ HTTP/1.1\r\nHost: {said}\r\n\r\n"));
        assert_eq!(absolute.as_deref(), Some(&said[..]));
    }
    let tunnel = host(&format!("CONNECT {said} HTTP/1.1\r\nHost: {said}\r\n\r\n"));
    let reachable = !name.is_empty() && port.is_some_and(|port| !port.is_empty());
    assert_eq!(tunnel.as_deref(), reachable.then_some(&said[..]));
}

fn host(request: &str) -> Option<String> {
    let mut slots = field_slots();
    match parse_request(request.as_bytes(), &mut slots, &Limits::default()) {
        Ok(Parsed::Whole(head, taken)) if taken == request.len() => Some(head.host.to_owned()),
        _ => None,
    }
}

/// `uri-host [ ":" port ]` of RFC 9110 §7.2 without percent-encoding and IPvFuture, its port at most 65535.
fn is_authority(text: &str) -> bool {
    let is_port = |port: &str| {
        let digits = port.trim_start_matches('0');
        port.bytes().all(|byte| byte.is_ascii_digit()) && (digits.len() < 5 || digits.len() == 5 && digits <= "65535")
    };
    let (host, port) = match text.rfind(':').filter(|&colon| !text[colon..].contains(']')) {
        Some(colon) => (&text[..colon], &text[colon + 1..]),
        None => (text, ""),
    };
    let is_address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok());
    let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte));
    (is_address || is_name) && is_port(port)
}
