//! The address resolution protocol for IPv4 (RFC 826, RFC 5227), over Ethernet and InfiniBand (RFC 4391 §9.1).
//!
//! ```text
//! 0  kind of link (16 bits), protocol (16 bits)
//! 4  length of a link address, of a protocol address (8 bits each), operation (16 bits)
//! 8  the sender's link address and protocol address, the target's link address and protocol address
//! ```

use std::fmt;
use std::net::Ipv4Addr;

use crate::ipv4;
use crate::link::{Link, LinkAddress, LinkFrame};

/// The number of ARP where a frame says what is in it.
pub const ETHERTYPE: u16 = 0x0806;

const IPV4_BYTES: u8 = 4;

/// What a packet does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Asks who has the target's address, or says that the sender has its own.
    Request,
    /// Says that the sender has its own.
    Reply,
}

/// Who says what to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArpPacket {
    /// What it does.
    pub operation: Operation,
    /// Where the sender is on the link.
    pub sender_link: LinkAddress,
    /// What the sender has; 0.0.0.0 for one that only asks whether an address is free (RFC 5227 §2.1.1).
    pub sender: Ipv4Addr,
    /// Where the target is; of no meaning when that is asked.
    pub target_link: LinkAddress,
    /// What is asked for, or whom the answer is for.
    pub target: Ipv4Addr,
}

/// Why bytes are no packet of ARP that concerns IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArpError {
    /// It ends before its last address.
    Truncated,
    /// Of a kind of link, or with a length of link addresses, without a reader here.
    Link,
    /// Of another protocol than IPv4.
    Protocol,
    /// An operation other than request and reply.
    Operation,
}

impl ArpError {
    /// A stable name, for metrics and logs.
    pub const fn reason(self) -> &'static str {
        match self {
            ArpError::Truncated => "arp_truncated",
            ArpError::Link => "arp_link",
            ArpError::Protocol => "arp_protocol",
            ArpError::Operation => "arp_operation",
        }
    }
}

impl fmt::Display for ArpError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            ArpError::Truncated => "the packet is cut off",
            ArpError::Link => "its link addresses are of a kind that is not read",
            ArpError::Protocol => "it is not of IPv4",
            ArpError::Operation => "it is neither request nor reply",
        })
    }
}

impl std::error::Error for ArpError {}

/// Tells all hosts of a link that an address is at this interface: a request for one's own address, which every host takes
/// that has an entry for it (RFC 5227 §2.3, §3). The target's link address, which means nothing here, is that of all, as
/// keepalived and arping have it.
pub fn gratuitous(link: &Link, address: Ipv4Addr) -> LinkFrame {
    request(link, address, link.broadcast().bytes(), address)
}

/// Asks all hosts of a link whether one of them has an address, without saying anything of one's own (RFC 5227 §2.1.1).
pub fn probe(link: &Link, address: Ipv4Addr) -> LinkFrame {
    let nobody = &[0; 20][..link.address().bytes().len()];
    request(link, Ipv4Addr::UNSPECIFIED, nobody, address)
}

/// Reads what follows a link header; padding of the frame is passed over.
///
/// # Errors
/// If it is none of IPv4 over Ethernet or InfiniBand.
pub fn parse_arp(packet: &[u8]) -> Result<ArpPacket, ArpError> {
    let (&[k0, k1, p0, p1, link_bytes, address_bytes, o0, o1], rest) =
        packet.split_first_chunk().ok_or(ArpError::Truncated)?;
    // Ethernet, what RFC 1042 calls IEEE 802, and InfiniBand.
    if !matches!((u16::from_be_bytes([k0, k1]), link_bytes), (1 | 6, 6) | (32, 20)) {
        return Err(ArpError::Link);
    }
    if (u16::from_be_bytes([p0, p1]), address_bytes) != (ipv4::ETHERTYPE, IPV4_BYTES) {
        return Err(ArpError::Protocol);
    }
    let operation = match u16::from_be_bytes([o0, o1]) {
        1 => Operation::Request,
        2 => Operation::Reply,
        _ => return Err(ArpError::Operation),
    };
    let (sender_link, sender, rest) = pair(rest, link_bytes.into()).ok_or(ArpError::Truncated)?;
    let (target_link, target, _padding) = pair(rest, link_bytes.into()).ok_or(ArpError::Truncated)?;
    Ok(ArpPacket { operation, sender_link, sender, target_link, target })
}

fn request(link: &Link, sender: Ipv4Addr, target_link: &[u8], target: Ipv4Addr) -> LinkFrame {
    let own = link.address();
    let mut frame = link.frame(link.broadcast(), ETHERTYPE);
    frame.add(&link.kind().to_be_bytes());
    frame.add(&ipv4::ETHERTYPE.to_be_bytes());
    frame.add(&[own.bytes().len() as u8, IPV4_BYTES, 0, 1]);
    frame.add(own.bytes());
    frame.add(&sender.octets());
    frame.add(target_link);
    frame.add(&target.octets());
    frame
}

fn pair(bytes: &[u8], link_bytes: usize) -> Option<(LinkAddress, Ipv4Addr, &[u8])> {
    let (link, rest) = bytes.split_at_checked(link_bytes)?;
    let (&address, rest) = rest.split_first_chunk::<4>()?;
    Some((LinkAddress::new(link)?, address.into(), rest))
}

#[cfg(test)]
mod tests;
