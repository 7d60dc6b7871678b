//! The header of the PROXY protocol, versions 1 and 2: who the client is, said by the one who relays it, before the
//! client's own bytes (HAProxy's proxy-protocol.txt, revision of 2020-03-05).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest header of version 1, its CRLF included (section 2.1).
pub const LINE_MAX: usize = 107;

/// The longest header of version 2 that is read. The protocol would allow 64 KiB; what is sent has a few hundred bytes.
pub const BLOCK_MAX: usize = 4096;

const LINE_START: &[u8] = b"PROXY ";
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Version 2's fixed part: signature, version and command, family and transport, length.
const FIXED: usize = 16;

/// The addresses of two unix sockets, each 108 bytes.
const UNIX_ADDRESSES: usize = 216;

/// PP2_TYPE_CRC32C: the checksum of the whole header, computed with zeros in the checksum's place (section 2.2.3).
const CHECKSUM: u8 = 0x03;

/// Which of its two forms a header is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// Somebody is relayed: where the client came from, and where it wanted to go.
    Proxied {
        /// The client's address.
        source: SocketAddr,
        /// The address that the client reached.
        destination: SocketAddr,
    },
    /// Nobody's IP address: the sender speaks for itself (LOCAL), or for a client of a kind without one (UNKNOWN,
    /// AF_UNSPEC, AF_UNIX). The connection's own addresses count.
    Local,
}

/// What the bytes at the beginning of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The beginning of a header.
    Partial,
    /// A header, and how many bytes it has; what follows is the client's.
    Whole(Header, usize),
}

/// Why a header is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// The bytes begin neither version's header.
    Missing,
    /// Version 1's line has no end within [`LINE_MAX`], or version 2's block is longer than [`BLOCK_MAX`].
    TooLong,
    /// Version 1's line is not made of the words that it must have.
    Line,
    /// An address or a port of version 1 is none, or not of the line's family.
    Address,
    /// The signature of version 2, and another version behind it.
    Version,
    /// Neither LOCAL nor PROXY.
    Command,
    /// An address family or a transport that the protocol does not know.
    Family,
    /// The block is too short for its addresses, or for what is said to follow them.
    Length,
    /// The checksum is wrong.
    Checksum,
}

impl HeaderError {
    /// Every reason, for counters.
    pub const ALL: [HeaderError; 9] = [
        HeaderError::Missing,
        HeaderError::TooLong,
        HeaderError::Line,
        HeaderError::Address,
        HeaderError::Version,
        HeaderError::Command,
        HeaderError::Family,
        HeaderError::Length,
        HeaderError::Checksum,
    ];

    /// A stable name, for metrics and logs.
    pub const fn reason(self) -> &'static str {
        match self {
            HeaderError::Missing => "proxy_header_missing",
            HeaderError::TooLong => "proxy_header_too_long",
            HeaderError::Line => "proxy_header_line",
            HeaderError::Address => "proxy_header_address",
            HeaderError::Version => "proxy_header_version",
            HeaderError::Command => "proxy_header_command",
            HeaderError::Family => "proxy_header_family",
            HeaderError::Length => "proxy_header_length",
            HeaderError::Checksum => "proxy_header_checksum",
        }
    }
}

/// Reads the header that `bytes` begin with, of either version.
///
/// # Errors
/// If they begin none, or one that is malformed.
pub fn parse_header(bytes: &[u8]) -> Result<Parsed, HeaderError> {
    if begins(bytes, SIGNATURE) {
        parse_block(bytes)
    } else if begins(bytes, LINE_START) {
        parse_line(bytes)
    } else {
        Err(HeaderError::Missing)
    }
}

/// Appends a header.
pub fn write_header(out: &mut Vec<u8>, version: Version, header: Header) {
    let ends = match header {
        Header::Proxied { source, destination } => Some(Ends::of(source, destination)),
        Header::Local => None,
    };
    match version {
        Version::V1 => write_line(out, ends),
        Version::V2 => write_block(out, ends),
    }
}

/// Both addresses in one family, as a header must have them.
enum Ends {
    V4([Ipv4Addr; 2], [u16; 2]),
    V6([Ipv6Addr; 2], [u16; 2]),
}

impl Ends {
    fn of(source: SocketAddr, destination: SocketAddr) -> Ends {
        let ports = [source.port(), destination.port()];
        match [source.ip().to_canonical(), destination.ip().to_canonical()] {
            [IpAddr::V4(source), IpAddr::V4(destination)] => Ends::V4([source, destination], ports),
            mixed => Ends::V6(mixed.map(as_v6), ports),
        }
    }
}

fn as_v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

fn write_line(out: &mut Vec<u8>, ends: Option<Ends>) {
    let line = match ends {
        Some(Ends::V4([source, destination], [from, to])) => {
            format!("PROXY TCP4 {source} {destination} {from} {to}\r\n")
        }
        Some(Ends::V6([source, destination], [from, to])) => {
            format!("PROXY TCP6 {source} {destination} {from} {to}\r\n")
        }
        None => "PROXY UNKNOWN\r\n".to_owned(),
    };
    out.extend_from_slice(line.as_bytes());
}

fn write_block(out: &mut Vec<u8>, ends: Option<Ends>) {
    out.extend_from_slice(SIGNATURE);
    let ports = match ends {
        None => return out.extend_from_slice(&[0x20, 0x00, 0, 0]),
        Some(Ends::V4(addresses, ports)) => {
            out.extend_from_slice(&[0x21, 0x11, 0, 12]);
            addresses.iter().for_each(|address| out.extend_from_slice(&address.octets()));
            ports
        }
        Some(Ends::V6(addresses, ports)) => {
            out.extend_from_slice(&[0x21, 0x21, 0, 36]);
            addresses.iter().for_each(|address| out.extend_from_slice(&address.octets()));
            ports
        }
    };
    ports.iter().for_each(|port| out.extend_from_slice(&port.to_be_bytes()));
}

/// Whether `bytes`, as far as they are there, begin with `start`.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    let common = bytes.len().min(start.len());
    bytes[..common] == start[..common]
}

fn parse_line(bytes: &[u8]) -> Result<Parsed, HeaderError> {
    let window = &bytes[..bytes.len().min(LINE_MAX)];
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        return if window.len() < LINE_MAX { Ok(Parsed::Partial) } else { Err(HeaderError::TooLong) };
    };
    let rest = &window[LINE_START.len()..end];
    let whole = |header| Ok(Parsed::Whole(header, end + 2));
    // What follows UNKNOWN says nothing, whatever it is.
    if rest == b"UNKNOWN" || rest.starts_with(b"UNKNOWN ") {
        return whole(Header::Local);
    }
    let words = std::str::from_utf8(rest).map_err(|_| HeaderError::Line)?;
    let mut words = words.split(' ');
    let mut next = || words.next().ok_or(HeaderError::Line);
    let (family, source, destination, from, to) = (next()?, next()?, next()?, next()?, next()?);
    if words.next().is_some() {
        return Err(HeaderError::Line);
    }
    let address: fn(&str) -> Option<IpAddr> = match family {
        "TCP4" => |text| text.parse().ok().map(IpAddr::V4),
        "TCP6" => |text| text.parse().ok().map(IpAddr::V6),
        _ => return Err(HeaderError::Line),
    };
    let end = |text, port| Some(SocketAddr::new(address(text)?, parse_port(port)?));
    let source = end(source, from).ok_or(HeaderError::Address)?;
    let destination = end(destination, to).ok_or(HeaderError::Address)?;
    whole(Header::Proxied { source, destination })
}

/// A port in decimal without a sign or leading zeros.
fn parse_port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

fn parse_block(bytes: &[u8]) -> Result<Parsed, HeaderError> {
    let Some(fixed) = bytes.first_chunk::<FIXED>() else {
        return Ok(Parsed::Partial);
    };
    let [.., command, family, high, low] = *fixed;
    if command >> 4 != 2 {
        return Err(HeaderError::Version);
    }
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > BLOCK_MAX {
        return Err(HeaderError::TooLong);
    }
    let is_local = match command & 0x0f {
        0 => true,
        1 => false,
        _ => return Err(HeaderError::Command),
    };
    if family >> 4 > 3 || family & 0x0f > 2 {
        return Err(HeaderError::Family);
    }
    let Some(header) = bytes.get(..length) else {
        return Ok(Parsed::Partial);
    };
    // Of LOCAL the block is to be passed over, and that of no family cannot be told from what follows it.
    if is_local || family >> 4 == 0 || family & 0x0f == 0 {
        return Ok(Parsed::Whole(Header::Local, length));
    }
    let said = addresses(family >> 4, &header[FIXED..])?;
    check_rest(header, FIXED + said.1)?;
    Ok(Parsed::Whole(said.0, length))
}

/// What a block's addresses say, and how many bytes they are.
fn addresses(family: u8, block: &[u8]) -> Result<(Header, usize), HeaderError> {
    let short = HeaderError::Length;
    Ok(match family {
        1 => {
            let &[a, b, c, d, e, f, g, h, ref ports @ ..] = block.first_chunk::<12>().ok_or(short)?;
            (proxied([a, b, c, d], [e, f, g, h], *ports), 12)
        }
        2 => {
            let source = *block.first_chunk::<16>().ok_or(short)?;
            let destination = *block[16..].first_chunk::<16>().ok_or(short)?;
            (proxied(source, destination, *block[32..].first_chunk::<4>().ok_or(short)?), 36)
        }
        _ if block.len() < UNIX_ADDRESSES => return Err(short),
        _ => (Header::Local, UNIX_ADDRESSES),
    })
}

fn proxied<T: Into<IpAddr>>(source: T, destination: T, ports: [u8; 4]) -> Header {
    let [a, b, c, d] = ports;
    Header::Proxied {
        source: SocketAddr::new(source.into(), u16::from_be_bytes([a, b])),
        destination: SocketAddr::new(destination.into(), u16::from_be_bytes([c, d])),
    }
}

/// Passes over the additional values behind the addresses (type, length, value), and compares the checksum if it is
/// one of them.
fn check_rest(header: &[u8], mut place: usize) -> Result<(), HeaderError> {
    let mut compared = false;
    while place < header.len() {
        let &[kind, high, low] = header[place..].first_chunk::<3>().ok_or(HeaderError::Length)?;
        let value = place + 3;
        place = value + usize::from(u16::from_be_bytes([high, low]));
        let found = header.get(value..place).ok_or(HeaderError::Length)?;
        // One is enough: further ones would only cost time.
        if kind == CHECKSUM && !compared {
            let found: [u8; 4] = found.try_into().map_err(|_| HeaderError::Length)?;
            let blank = value..place;
            let bytes = header.iter().enumerate().map(|(at, byte)| if blank.contains(&at) { 0 } else { *byte });
            if crc32c(bytes) != u32::from_be_bytes(found) {
                return Err(HeaderError::Checksum);
            }
            compared = true;
        }
    }
    Ok(())
}

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4), a bit at a time: it is computed once a connection at most.
fn crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    !bytes.fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests;
