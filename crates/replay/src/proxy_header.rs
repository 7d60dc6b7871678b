//! A PROXY header means the same whole and in pieces, and what it says can be written and read again.

use wire::proxy_header::{BLOCK_MAX, Header, Parsed, Version, parse_header, write_header};

/// The beginning of a connection.
pub fn proxy_header(bytes: &[u8]) {
    let whole = parse_header(bytes);
    let verdict = (0..=bytes.len()).map(|part| parse_header(&bytes[..part])).find(|part| *part != Ok(Parsed::Partial));
    assert_eq!(verdict.unwrap_or(Ok(Parsed::Partial)), whole);
    let Ok(Parsed::Whole(header, length)) = whole else {
        return;
    };
    assert!(length <= bytes.len() && length <= BLOCK_MAX);
    for version in [Version::V1, Version::V2] {
        let mut out = Vec::new();
        write_header(&mut out, version, header);
        assert_eq!(parse_header(&out), Ok(Parsed::Whole(canonical(header), out.len())));
    }
}

/// As it is written: IPv4 in its own form, unless the other end has none.
fn canonical(header: Header) -> Header {
    let Header::Proxied { mut source, mut destination } = header else {
        return header;
    };
    if source.ip().to_canonical().is_ipv4() && destination.ip().to_canonical().is_ipv4() {
        source.set_ip(source.ip().to_canonical());
        destination.set_ip(destination.ip().to_canonical());
    }
    Header::Proxied { source, destination }
}
