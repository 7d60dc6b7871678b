//! Adverts as bytes: what follows the header of IP.
//!
//! ```text
//! version 2 (RFC 3768 §5.1, RFC 2338 §5.3.6)          version 3 (RFC 9568 §5.1)
//! 0  version (4 bits), type (4 bits): 1 is an advert   the same
//! 1  number of the virtual router                      the same
//! 2  priority                                          the same
//! 3  count of addresses                                the same
//! 4  authentication type                               reserved (4 bits), interval in centiseconds (12 bits)
//! 5  interval in seconds
//! 6  checksum (16 bits)                                the same
//! 8  addresses, 4 bytes each                           addresses, 4 or 16 bytes each
//!    authentication data, 8 bytes
//! ```

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::time::Duration;

use wire::checksum::Sum;

use crate::{Centiseconds, Family, PROTOCOL_NUMBER, Password, Priority, TTL, Vrid};

/// Addresses of one advert: as many as its count can say.
pub const ADDRESSES_MAX: usize = 255;

pub(crate) const HEADER: usize = 8;
pub(crate) const CHECKSUM_AT: usize = 6;
const ADVERTISEMENT: u8 = 1;
const AUTHENTICATION_NONE: u8 = 0;
const AUTHENTICATION_PASS: u8 = 1;
const AUTHENTICATION_HEADER: u8 = 2;
const AUTHENTICATION_DATA: usize = 8;

/// What IP says of an advert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The sender's primary address.
    pub source: IpAddr,
    /// The group's address, or ours.
    pub destination: IpAddr,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// The least that a unicast advert may have, 255 unless peers are behind routers. Others must have [`TTL`].
    pub ttl_min: u8,
}

/// A version, and what it has of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 3768, IPv4 only.
    V2 {
        /// Between adverts.
        seconds: NonZeroU8,
        /// Sent in the clear; `None`: authentication type 0.
        password: Option<Password>,
    },
    /// RFC 9568.
    V3 {
        /// Between adverts.
        interval: Centiseconds,
        /// What is summed with IPv4.
        checksum: Checksum,
    },
}

impl Protocol {
    /// Between adverts.
    pub const fn interval(&self) -> Duration {
        match self {
            Protocol::V2 { seconds, .. } => Duration::from_secs(seconds.get() as u64),
            Protocol::V3 { interval, .. } => Duration::from_millis(interval.get() as u64 * 10),
        }
    }
}

/// What the checksum of version 3 covers beside the message. With IPv6 it is always the pseudo-header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Checksum {
    /// The pseudo-header too, as keepalived sends it with IPv4, reading RFC 5798 §5.2.8 literally.
    #[default]
    PseudoHeader,
    /// Nothing, as RFC 9568 §5.2.8 says of IPv4.
    Message,
}

/// The addresses of an advert, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses<'a> {
    /// IPv4.
    V4(&'a [[u8; 4]]),
    /// IPv6; the first should be link-local (RFC 9568 §5.2.9).
    V6(&'a [[u8; 16]]),
}

impl Addresses<'_> {
    /// How many.
    pub const fn count(&self) -> usize {
        match self {
            Addresses::V4(list) => list.len(),
            Addresses::V6(list) => list.len(),
        }
    }

    /// Of which family.
    pub const fn family(&self) -> Family {
        match self {
            Addresses::V4(_) => Family::V4,
            Addresses::V6(_) => Family::V6,
        }
    }

    /// The one at `index`.
    pub fn at(&self, index: usize) -> Option<IpAddr> {
        match self {
            Addresses::V4(list) => list.get(index).map(|&bytes| IpAddr::from(bytes)),
            Addresses::V6(list) => list.get(index).map(|&bytes| IpAddr::from(bytes)),
        }
    }

    /// Each.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + '_ {
        (0..self.count()).filter_map(|index| self.at(index))
    }

    /// Whether both have the same addresses, in whatever order.
    pub fn is_same_set(&self, other: &Addresses<'_>) -> bool {
        match (self, other) {
            (Addresses::V4(ours), Addresses::V4(theirs)) => {
                ours.iter().all(|address| theirs.contains(address))
                    && theirs.iter().all(|address| ours.contains(address))
            }
            (Addresses::V6(ours), Addresses::V6(theirs)) => {
                ours.iter().all(|address| theirs.contains(address))
                    && theirs.iter().all(|address| ours.contains(address))
            }
            _ => false,
        }
    }
}

/// What a router says: that it is active, or with [`Priority::LEAVING`] that it is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advert<'a> {
    /// Of which virtual router.
    pub vrid: Vrid,
    /// The sender's.
    pub priority: Priority,
    /// The version.
    pub protocol: Protocol,
    /// What moves with the virtual router.
    pub addresses: Addresses<'a>,
}

/// Why a packet is no advert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AdvertError {
    /// It has passed a router.
    Ttl,
    /// Its source and destination are of two families.
    Family,
    /// It ends before its last field.
    Truncated,
    /// A version other than 2 and 3, or 2 with IPv6.
    Version,
    /// A type other than 1.
    Type,
    /// The virtual router's number is 0.
    Vrid,
    /// Version 3 without an address (RFC 9568 §5.2.5).
    NoAddress,
    /// An interval of 0.
    Interval,
    /// Authentication type 2, the authentication header of IP.
    AuthenticationHeader,
    /// An authentication type that there is not.
    AuthenticationType,
    /// The checksum is wrong.
    Checksum,
}

impl AdvertError {
    /// Every reason, for counters.
    pub const ALL: [AdvertError; 11] = [
        AdvertError::Ttl,
        AdvertError::Family,
        AdvertError::Truncated,
        AdvertError::Version,
        AdvertError::Type,
        AdvertError::Vrid,
        AdvertError::NoAddress,
        AdvertError::Interval,
        AdvertError::AuthenticationHeader,
        AdvertError::AuthenticationType,
        AdvertError::Checksum,
    ];

    /// A stable name, for metrics and logs.
    pub const fn reason(self) -> &'static str {
        match self {
            AdvertError::Ttl => "advert_ttl",
            AdvertError::Family => "advert_family",
            AdvertError::Truncated => "advert_truncated",
            AdvertError::Version => "advert_version",
            AdvertError::Type => "advert_type",
            AdvertError::Vrid => "advert_vrid",
            AdvertError::NoAddress => "advert_no_address",
            AdvertError::Interval => "advert_interval",
            AdvertError::AuthenticationHeader => "advert_authentication_header",
            AdvertError::AuthenticationType => "advert_authentication_type",
            AdvertError::Checksum => "advert_checksum",
        }
    }
}

impl fmt::Display for AdvertError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            AdvertError::Ttl => "it has passed a router",
            AdvertError::Family => "its source and destination are of two families",
            AdvertError::Truncated => "it is cut off",
            AdvertError::Version => "its version is unknown",
            AdvertError::Type => "it is no advert",
            AdvertError::Vrid => "its virtual router is 0",
            AdvertError::NoAddress => "it has no address",
            AdvertError::Interval => "its interval is 0",
            AdvertError::AuthenticationHeader => "it wants the authentication header of IP",
            AdvertError::AuthenticationType => "its authentication is unknown",
            AdvertError::Checksum => "its checksum is wrong",
        })
    }
}

/// Reads what follows the header of IP, as long as that header says (RFC 3768 §7.1, RFC 9568 §7.1). Bytes after the last
/// field are passed over.
///
/// # Errors
/// If it is to be discarded, whoever it is for.
pub fn parse<'a>(payload: &'a [u8], meta: &Meta) -> Result<Advert<'a>, AdvertError> {
    let family = Family::of(meta.source);
    if family != Family::of(meta.destination) {
        return Err(AdvertError::Family);
    }
    let ttl_min = if meta.destination.is_multicast() { TTL } else { meta.ttl_min };
    if meta.ttl < ttl_min {
        return Err(AdvertError::Ttl);
    }
    let (&[version_and_type, vrid, priority, count, fourth, fifth, _, _], rest) =
        payload.split_first_chunk::<HEADER>().ok_or(AdvertError::Truncated)?;
    let version = version_and_type >> 4;
    if !matches!((version, family), (2, Family::V4) | (3, _)) {
        return Err(AdvertError::Version);
    }
    if version_and_type & 0xf != ADVERTISEMENT {
        return Err(AdvertError::Type);
    }
    let vrid = Vrid::new(vrid).ok_or(AdvertError::Vrid)?;
    let (addresses, rest) = read_addresses(family, count, rest)?;
    let protocol = match version {
        2 => read_v2(payload, [fourth, fifth], rest)?,
        _ => read_v3(payload, [fourth, fifth], rest, meta)?,
    };
    if version == 3 && count == 0 {
        return Err(AdvertError::NoAddress);
    }
    Ok(Advert { vrid, priority: Priority::from_wire(priority), protocol, addresses })
}

/// Appends an advert, as it is sent from `source` to `destination`. Those and the addresses are of one family, IPv4 in
/// version 2; of more than [`ADDRESSES_MAX`] addresses the first are written.
pub fn write(out: &mut Vec<u8>, advert: &Advert<'_>, source: IpAddr, destination: IpAddr) {
    let start = out.len();
    let count = advert.addresses.count().min(ADDRESSES_MAX);
    let (version, [fourth, fifth]) = match advert.protocol {
        Protocol::V2 { seconds, password } => {
            let kind = if password.is_some() { AUTHENTICATION_PASS } else { AUTHENTICATION_NONE };
            (2, [kind, seconds.get()])
        }
        Protocol::V3 { interval, .. } => (3, interval.get().to_be_bytes()),
    };
    let first = version << 4 | ADVERTISEMENT;
    out.extend_from_slice(&[first, advert.vrid.get(), advert.priority.get(), count as u8, fourth, fifth, 0, 0]);
    match advert.addresses {
        Addresses::V4(list) => out.extend_from_slice(list[..count].as_flattened()),
        Addresses::V6(list) => out.extend_from_slice(list[..count].as_flattened()),
    }
    let mut sum = Sum::default();
    match (advert.protocol, advert.addresses) {
        (Protocol::V2 { password, .. }, _) => {
            out.extend_from_slice(&password.map_or([0; AUTHENTICATION_DATA], |password| password.bytes()));
        }
        (Protocol::V3 { checksum: Checksum::Message, .. }, Addresses::V4(_)) => {}
        (Protocol::V3 { .. }, _) => sum.add_pseudo_header(source, destination, PROTOCOL_NUMBER, out.len() - start),
    }
    sum.add(&out[start..]);
    out[start + CHECKSUM_AT..start + HEADER].copy_from_slice(&sum.checksum());
}

/// Where the last field of an advert of this family ends; `None` beyond the payload, or if it is none.
pub(crate) fn fields_end(payload: &[u8], source: IpAddr) -> Option<usize> {
    let &[version_and_type, _, _, count, _, _, _, _] = payload.first_chunk::<HEADER>()?;
    let address = if source.is_ipv4() { 4 } else { 16 };
    let data = if version_and_type >> 4 == 2 { AUTHENTICATION_DATA } else { 0 };
    let end = HEADER + usize::from(count) * address + data;
    (end <= payload.len()).then_some(end)
}

/// Sums a message of IPv6 to which something was appended.
pub(crate) fn put_checksum_v6(message: &mut [u8], source: IpAddr, destination: IpAddr) {
    message[CHECKSUM_AT..HEADER].fill(0);
    let mut sum = Sum::default();
    sum.add_pseudo_header(source, destination, PROTOCOL_NUMBER, message.len());
    sum.add(message);
    message[CHECKSUM_AT..HEADER].copy_from_slice(&sum.checksum());
}

fn read_addresses(family: Family, count: u8, rest: &[u8]) -> Result<(Addresses<'_>, &[u8]), AdvertError> {
    let count = usize::from(count);
    match family {
        Family::V4 => {
            let (bytes, rest) = rest.split_at_checked(count * 4).ok_or(AdvertError::Truncated)?;
            Ok((Addresses::V4(bytes.as_chunks().0), rest))
        }
        Family::V6 => {
            let (bytes, rest) = rest.split_at_checked(count * 16).ok_or(AdvertError::Truncated)?;
            Ok((Addresses::V6(bytes.as_chunks().0), rest))
        }
    }
}

fn read_v2(payload: &[u8], [kind, seconds]: [u8; 2], rest: &[u8]) -> Result<Protocol, AdvertError> {
    let (data, trailing) = rest.split_first_chunk::<AUTHENTICATION_DATA>().ok_or(AdvertError::Truncated)?;
    let mut sum = Sum::default();
    sum.add(&payload[..payload.len() - trailing.len()]);
    if !sum.is_right() {
        return Err(AdvertError::Checksum);
    }
    let password = match kind {
        // RFC 3768 §5.3.6: the data are ignored.
        AUTHENTICATION_NONE => None,
        AUTHENTICATION_PASS => Password::new(data),
        AUTHENTICATION_HEADER => return Err(AdvertError::AuthenticationHeader),
        _ => return Err(AdvertError::AuthenticationType),
    };
    let seconds = NonZeroU8::new(seconds).ok_or(AdvertError::Interval)?;
    Ok(Protocol::V2 { seconds, password })
}

fn read_v3(payload: &[u8], interval: [u8; 2], trailing: &[u8], meta: &Meta) -> Result<Protocol, AdvertError> {
    // The pseudo-header of IPv6 has the length that IP says, so its checksum covers what follows too (RFC 8200 §8.1).
    let summed = match Family::of(meta.source) {
        Family::V4 => &payload[..payload.len() - trailing.len()],
        Family::V6 => payload,
    };
    let mut message = Sum::default();
    message.add(summed);
    let mut whole = message;
    whole.add_pseudo_header(meta.source, meta.destination, PROTOCOL_NUMBER, summed.len());
    let checksum = if whole.is_right() {
        Checksum::PseudoHeader
    } else if meta.source.is_ipv4() && message.is_right() {
        Checksum::Message
    } else {
        return Err(AdvertError::Checksum);
    };
    // RFC 9568 §5.2.6: the reserved bits are ignored.
    let interval = Centiseconds::new(u16::from_be_bytes(interval) & Centiseconds::MAX.get());
    Ok(Protocol::V3 { interval: interval.ok_or(AdvertError::Interval)?, checksum })
}

#[cfg(test)]
mod tests;
