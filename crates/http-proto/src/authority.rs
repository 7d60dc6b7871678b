//! `host[:port]`, in the Host field and in targets (RFC 3986 §3.2, RFC 9110 §7.2).

use std::net::Ipv6Addr;

/// A host and what follows its colon.
pub(crate) struct Authority<'b> {
    pub(crate) host: &'b str,
    /// `None` without a colon; may be empty with one.
    pub(crate) port: Option<&'b str>,
}

/// Reads `host` or `host:port`; the host may be empty.
///
/// `None` for everything else: user information, a port over 65535, and percent-encoding, which would
/// give one host two spellings.
pub(crate) fn parse_authority(bytes: &[u8]) -> Option<Authority<'_>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let host_end = if let Some(inner) = text.strip_prefix('[') {
        let inner = &inner[..inner.find(']')?];
        inner.parse::<Ipv6Addr>().ok()?;
        inner.len() + 2
    } else {
        let end = bytes.iter().position(|&byte| byte == b':').unwrap_or(bytes.len());
        bytes[..end].iter().all(|&byte| is_name_byte(byte)).then_some(end)?
    };
    let (host, rest) = text.split_at(host_end);
    let port = match rest.strip_prefix(':') {
        Some(port) => Some(is_port(port).then_some(port)?),
        None => rest.is_empty().then_some(None)?,
    };
    Some(Authority { host, port })
}

/// `unreserved / sub-delims` (RFC 3986 §3.2.2).
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='
        )
}

fn is_port(port: &str) -> bool {
    port.is_empty() || (port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok())
}
