//! The header of IPv4 (RFC 791 §3.1).

use std::fmt;
use std::net::Ipv4Addr;

use crate::checksum::Sum;

/// The length of a header without options, in bytes.
pub const HEADER_BYTES: usize = 20;

/// The number of IPv4 where a frame says what is in it.
pub const ETHERTYPE: u16 = 0x0800;

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const FRAGMENT_OFFSET: u16 = 0x1fff;

/// What a header without options says, but for the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Header {
    /// Who sends it.
    pub source: Ipv4Addr,
    /// Who is to have it.
    pub destination: Ipv4Addr,
    /// What follows, by IANA's protocol numbers.
    pub protocol: u8,
    /// Time to live.
    pub ttl: u8,
    /// Type of service: DSCP and ECN.
    pub tos: u8,
    /// Tells fragments of this packet from those of others. Where it is 0 Linux fills in one of its own.
    pub identification: u16,
    /// Routers drop it rather than cut it up.
    pub dont_fragment: bool,
}

/// Why bytes are no packet of IPv4 that can be read by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ipv4Error {
    /// It ends before the length that it says.
    Truncated,
    /// A version other than 4.
    Version,
    /// Its header's length, or its own, is less than a header's.
    Length,
    /// The header's checksum is wrong.
    Checksum,
    /// A part of a packet.
    Fragment,
}

impl Ipv4Error {
    /// A stable name, for metrics and logs.
    pub const fn reason(self) -> &'static str {
        match self {
            Ipv4Error::Truncated => "ipv4_truncated",
            Ipv4Error::Version => "ipv4_version",
            Ipv4Error::Length => "ipv4_length",
            Ipv4Error::Checksum => "ipv4_checksum",
            Ipv4Error::Fragment => "ipv4_fragment",
        }
    }
}

impl fmt::Display for Ipv4Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Ipv4Error::Truncated => "the packet is cut off",
            Ipv4Error::Version => "the packet is not of IPv4",
            Ipv4Error::Length => "the packet contradicts its own length",
            Ipv4Error::Checksum => "the checksum of the packet's header is wrong",
            Ipv4Error::Fragment => "the packet is a part of one",
        })
    }
}

impl std::error::Error for Ipv4Error {}

/// The header of a packet that carries `payload_bytes`; `None` if that is more than a packet's length can say.
pub fn write_ipv4(header: &Ipv4Header, payload_bytes: usize) -> Option<[u8; HEADER_BYTES]> {
    let length = u16::try_from(payload_bytes.checked_add(HEADER_BYTES)?).ok()?;
    let fragment = if header.dont_fragment { DONT_FRAGMENT } else { 0 };
    let mut bytes = [0; HEADER_BYTES];
    bytes[0] = 0x45;
    bytes[1] = header.tos;
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    bytes[4..6].copy_from_slice(&header.identification.to_be_bytes());
    bytes[6..8].copy_from_slice(&fragment.to_be_bytes());
    bytes[8] = header.ttl;
    bytes[9] = header.protocol;
    bytes[12..16].copy_from_slice(&header.source.octets());
    bytes[16..20].copy_from_slice(&header.destination.octets());
    let mut sum = Sum::default();
    sum.add(&bytes);
    bytes[10..12].copy_from_slice(&sum.checksum());
    Some(bytes)
}

/// Reads a packet: its header, and what it carries by its own length. Options, and what follows the packet as padding of
/// the frame, are passed over.
///
/// # Errors
/// If a receiver would discard it, or it is a fragment.
pub fn parse_ipv4(packet: &[u8]) -> Result<(Ipv4Header, &[u8]), Ipv4Error> {
    let fixed: &[u8; HEADER_BYTES] = packet.first_chunk().ok_or(Ipv4Error::Truncated)?;
    if fixed[0] >> 4 != 4 {
        return Err(Ipv4Error::Version);
    }
    let header_bytes = usize::from(fixed[0] & 0xf) * 4;
    let total = usize::from(word(fixed, 2));
    if header_bytes < HEADER_BYTES || total < header_bytes {
        return Err(Ipv4Error::Length);
    }
    let packet = packet.get(..total).ok_or(Ipv4Error::Truncated)?;
    let (whole, payload) = packet.split_at(header_bytes);
    let mut sum = Sum::default();
    sum.add(whole);
    if !sum.is_right() {
        return Err(Ipv4Error::Checksum);
    }
    let fragment = word(fixed, 6);
    if fragment & (MORE_FRAGMENTS | FRAGMENT_OFFSET) != 0 {
        return Err(Ipv4Error::Fragment);
    }
    let [.., s0, s1, s2, s3, d0, d1, d2, d3] = *fixed;
    let header = Ipv4Header {
        source: Ipv4Addr::new(s0, s1, s2, s3),
        destination: Ipv4Addr::new(d0, d1, d2, d3),
        protocol: fixed[9],
        ttl: fixed[8],
        tos: fixed[1],
        identification: word(fixed, 4),
        dont_fragment: fragment & DONT_FRAGMENT != 0,
    };
    Ok((header, payload))
}

fn word(bytes: &[u8; HEADER_BYTES], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

#[cfg(test)]
mod tests;
