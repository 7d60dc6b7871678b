//! What says that an advert is of one who knows a key: the trailer of keepalived 2.4.2 and later
//! (draft-cassen-vrrp-auth-hmac), after the last field of any advert.
//!
//! ```text
//! 0   type: 1 is HMAC-SHA256, of which 16 bytes are sent
//! 1   number of the key
//! 2   reserved (16 bits)
//! 4   sequence: seconds since 1970 (32 bits), 1/65536 seconds (16 bits), count (16 bits)
//! 12  HMAC, 16 bytes
//! ```
//!
//! The HMAC covers 20 bytes that are not sent (family, version, number of the virtual router, a zero, and the source's
//! address, filled with zeros), the advert with a checksum of zero, and the trailer with an HMAC of zero.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::advert::{CHECKSUM_AT, HEADER, fields_end, put_checksum_v6};

/// Bytes of a trailer.
pub const TRAILER: usize = 28;

const HMAC_SHA256: u8 = 1;
const HMAC: usize = 16;
const PREFIX: usize = TRAILER - HMAC;

/// A secret has so many bytes at least and at most: as many as the hash has, and as its block.
const SECRET: std::ops::RangeInclusive<usize> = 32..=64;

/// A secret, and its number.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    number: u8,
    secret: Vec<u8>,
}

impl Key {
    /// `None` for the number 0, and for less than 32 or more than 64 bytes.
    pub fn new(number: u8, secret: &[u8]) -> Option<Key> {
        (number != 0 && SECRET.contains(&secret.len())).then(|| Key { number, secret: secret.to_vec() })
    }

    /// 1 to 255.
    pub const fn number(&self) -> u8 {
        self.number
    }
}

impl fmt::Debug for Key {
    /// Without the secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Key({})", self.number)
    }
}

/// What grows with every advert of one sender: 32 bits of seconds since 1970, 16 of their fraction, 16 of a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence(u64);

impl Sequence {
    /// A sender's at a time since 1970.
    pub fn at(unix: Duration) -> Sequence {
        let fraction = (u64::from(unix.subsec_nanos()) << 16) / 1_000_000_000;
        Sequence(unix.as_secs() << 32 | fraction << 16)
    }

    /// A sender's next: of the time, or one more than the last where the clock has not gone on.
    pub fn next(self, unix: Duration) -> Sequence {
        let now = Sequence::at(unix);
        if now.is_after(self) { now } else { Sequence(self.0.wrapping_add(1)) }
    }

    /// Whether it is newer, by the arithmetic of RFC 1982: the seconds may run over.
    pub const fn is_after(self, other: Sequence) -> bool {
        self.0.wrapping_sub(other.0) as i64 > 0
    }

    /// Whether its seconds are no more than `window` from a time since 1970, either way.
    pub fn is_fresh(self, unix: Duration, window: Duration) -> bool {
        let apart = ((self.0 >> 32) as u32).wrapping_sub(unix.as_secs() as u32) as i32;
        u64::from(apart.unsigned_abs()) <= window.as_secs()
    }
}

/// Why an advert is not of one who knows the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TrailerError {
    /// Nothing follows the advert, or too little.
    Missing,
    /// Something else follows it.
    Malformed,
    /// No key has this number.
    Key,
    /// It was made with another secret, or changed under way.
    Hmac,
}

impl TrailerError {
    /// Every reason, for counters.
    pub const ALL: [TrailerError; 4] =
        [TrailerError::Missing, TrailerError::Malformed, TrailerError::Key, TrailerError::Hmac];

    /// A stable name, for metrics and logs.
    pub const fn reason(self) -> &'static str {
        match self {
            TrailerError::Missing => "trailer_missing",
            TrailerError::Malformed => "trailer_malformed",
            TrailerError::Key => "trailer_key",
            TrailerError::Hmac => "trailer_hmac",
        }
    }
}

/// Signs the advert that begins at `start` and is all that follows there, as [`crate::write`] appended it.
pub fn sign(out: &mut Vec<u8>, start: usize, key: &Key, sequence: Sequence, source: IpAddr, destination: IpAddr) {
    out.extend_from_slice(&[HMAC_SHA256, key.number, 0, 0]);
    out.extend_from_slice(&sequence.0.to_be_bytes());
    let hmac = hmac(&out[start..], key, source);
    out.extend_from_slice(&hmac);
    // The checksum of IPv6 covers all that IP carries (RFC 8200 §8.1).
    if source.is_ipv6() {
        put_checksum_v6(&mut out[start..], source, destination);
    }
}

/// The sequence of an advert that is signed with one of `keys`. It follows the header of IP, and [`crate::parse`] took
/// it. Whether the sequence is fresh, and after the sender's last, is for the caller, who has a clock and a memory; only
/// a signed one may be remembered.
///
/// # Errors
/// If it is not signed with any of the keys.
pub fn verify(payload: &[u8], source: IpAddr, keys: &[Key]) -> Result<Sequence, TrailerError> {
    let end = fields_end(payload, source).ok_or(TrailerError::Missing)?;
    let trailer: &[u8; TRAILER] = match payload.get(end..) {
        None | Some([]) => return Err(TrailerError::Missing),
        Some(rest) => rest.try_into().map_err(|_| TrailerError::Malformed)?,
    };
    let &[kind, number, reserved_a, reserved_b, s0, s1, s2, s3, s4, s5, s6, s7, ref sent @ ..] = trailer;
    if [kind, reserved_a, reserved_b] != [HMAC_SHA256, 0, 0] {
        return Err(TrailerError::Malformed);
    }
    let key = keys.iter().find(|key| key.number == number).ok_or(TrailerError::Key)?;
    let ours = hmac(&payload[..end + PREFIX], key, source);
    // All bytes are looked at, so that the time does not tell how many are right.
    let difference = ours.iter().zip(sent).fold(0, |sum, (ours, theirs)| sum | (ours ^ theirs));
    if std::hint::black_box(difference) != 0 {
        return Err(TrailerError::Hmac);
    }
    Ok(Sequence(u64::from_be_bytes([s0, s1, s2, s3, s4, s5, s6, s7])))
}

/// Of an advert and the beginning of its trailer.
fn hmac(signed: &[u8], key: &Key, source: IpAddr) -> [u8; HMAC] {
    let mut pseudo_header = [0; 20];
    match source {
        IpAddr::V4(source) => {
            pseudo_header[0] = 4;
            pseudo_header[4..8].copy_from_slice(&source.octets());
        }
        IpAddr::V6(source) => {
            pseudo_header[0] = 6;
            pseudo_header[4..].copy_from_slice(&source.octets());
        }
    }
    pseudo_header[1] = signed[0] >> 4;
    pseudo_header[2] = signed[1];
    let mut mac = hmac_sha256::HMAC::new(&key.secret);
    mac.update(pseudo_header);
    mac.update(&signed[..CHECKSUM_AT]);
    mac.update([0; HEADER - CHECKSUM_AT]);
    mac.update(&signed[HEADER..]);
    mac.update([0; HMAC]);
    let mut sent = [0; HMAC];
    sent.copy_from_slice(&mac.finalize()[..HMAC]);
    sent
}

#[cfg(test)]
mod tests;
