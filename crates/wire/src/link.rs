//! What frames begin with: Ethernet, and IP over InfiniBand (RFC 4391) as Linux lays it out, with the destination before
//! the header.

use std::fmt;
use std::net::Ipv6Addr;

/// The longest of the frames that are written here, of a neighbour advertisement over InfiniBand, and some.
const FRAME_MAX: usize = 128;

const ETHERNET: u16 = 1;
const INFINIBAND: u16 = 32;
/// Linux frames what a host says to itself as Ethernet does.
const LOOPBACK: u16 = 772;

/// Tags of VLANs (IEEE 802.1Q, 802.1ad) that are passed over: as many as there can be of customer's and provider's.
const TAGS_MAX: usize = 2;
const TAGS: [u16; 2] = [0x8100, 0x88a8];

/// The address of an interface on its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkAddress {
    /// Six bytes.
    Ethernet([u8; 6]),
    /// Flags, queue pair and GID (RFC 4391 §9.1.1).
    InfiniBand([u8; 20]),
}

/// An interface as its frames see it: its own address, and the one of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    address: LinkAddress,
    broadcast: LinkAddress,
}

/// What a frame begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkHeader {
    /// Who is to have it.
    pub destination: LinkAddress,
    /// Who sent it: InfiniBand does not say.
    pub source: Option<LinkAddress>,
    /// What follows, behind the tags of VLANs.
    pub ethertype: u16,
}

/// Why bytes are no frame that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkError {
    /// A kind of link without a reader here.
    Kind,
    /// It ends before its header does.
    Truncated,
    /// More tags of VLANs than two.
    Tags,
}

/// A frame that was written.
#[derive(Clone, Copy)]
pub struct LinkFrame {
    bytes: [u8; FRAME_MAX],
    length: usize,
}

impl LinkAddress {
    /// Of six or twenty bytes; `None` of others.
    pub fn new(bytes: &[u8]) -> Option<LinkAddress> {
        match bytes.len() {
            6 => bytes.first_chunk().copied().map(LinkAddress::Ethernet),
            _ => bytes.try_into().ok().map(LinkAddress::InfiniBand),
        }
    }

    /// As it is sent.
    pub fn bytes(&self) -> &[u8] {
        match self {
            LinkAddress::Ethernet(bytes) => bytes,
            LinkAddress::InfiniBand(bytes) => bytes,
        }
    }
}

impl fmt::Display for LinkAddress {
    /// In pairs of hexadecimal digits, as ip(8) shows it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.bytes().iter().enumerate() {
            write!(formatter, "{}{byte:02x}", if index == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

impl Link {
    /// An interface with these two addresses, both of six or of twenty bytes; `None` of others: what else there is knows
    /// neither ARP nor neighbour discovery as it is written here.
    pub fn new(address: &[u8], broadcast: &[u8]) -> Option<Link> {
        let link = Link { address: LinkAddress::new(address)?, broadcast: LinkAddress::new(broadcast)? };
        (address.len() == broadcast.len()).then_some(link)
    }

    /// Its own address.
    pub const fn address(&self) -> LinkAddress {
        self.address
    }

    /// The address of all.
    pub const fn broadcast(&self) -> LinkAddress {
        self.broadcast
    }

    /// The address of those who have joined a group: RFC 2464 §7, and RFC 4391 §4 with scope and partition of the link's.
    pub fn multicast(&self, group: Ipv6Addr) -> LinkAddress {
        let group = group.octets();
        match self.broadcast {
            LinkAddress::Ethernet(_) => {
                let [.., g0, g1, g2, g3] = group;
                LinkAddress::Ethernet([0x33, 0x33, g0, g1, g2, g3])
            }
            LinkAddress::InfiniBand(broadcast) => {
                let mut bytes = [0; 20];
                bytes[1..5].fill(0xff);
                bytes[5] = 0x10 | broadcast[5] & 0x0f;
                // The signature of IPv6.
                bytes[6..8].copy_from_slice(&[0x60, 0x1b]);
                bytes[8..10].copy_from_slice(&broadcast[8..10]);
                bytes[10..].copy_from_slice(&group[6..]);
                LinkAddress::InfiniBand(bytes)
            }
        }
    }

    /// The number of its kind: that of ARP's hardware, and of Linux' ARPHRD.
    pub const fn kind(&self) -> u16 {
        match self.address {
            LinkAddress::Ethernet(_) => ETHERNET,
            LinkAddress::InfiniBand(_) => INFINIBAND,
        }
    }

    /// The beginning of a frame from this interface.
    pub(crate) fn frame(&self, destination: LinkAddress, ethertype: u16) -> LinkFrame {
        let mut frame = LinkFrame { bytes: [0; FRAME_MAX], length: 0 };
        frame.add(destination.bytes());
        if let LinkAddress::Ethernet(source) = self.address {
            frame.add(&source);
            frame.add(&ethertype.to_be_bytes());
        } else {
            frame.add(&ethertype.to_be_bytes());
            frame.add(&[0, 0]);
        }
        frame
    }
}

impl LinkFrame {
    /// From the link header on.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// What is written here has room.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.bytes[self.length..][..bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }
}

impl fmt::Debug for LinkFrame {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "LinkFrame({:02x?})", self.bytes())
    }
}

impl LinkError {
    /// A stable name, for metrics and logs.
    pub const fn reason(self) -> &'static str {
        match self {
            LinkError::Kind => "link_kind",
            LinkError::Truncated => "link_truncated",
            LinkError::Tags => "link_tags",
        }
    }
}

impl fmt::Display for LinkError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            LinkError::Kind => "the link is of a kind that is not read",
            LinkError::Truncated => "the frame is cut off",
            LinkError::Tags => "the frame has more than two tags of VLANs",
        })
    }
}

impl std::error::Error for LinkError {}

/// Reads the beginning of a frame of a link of this kind (Linux' ARPHRD), and what follows it.
///
/// # Errors
/// If the kind of link is another than Ethernet, InfiniBand and loopback, or the frame is cut off.
pub fn parse_link_header(kind: u16, frame: &[u8]) -> Result<(LinkHeader, &[u8]), LinkError> {
    match kind {
        ETHERNET | LOOPBACK => {
            let (&destination, rest) = frame.split_first_chunk().ok_or(LinkError::Truncated)?;
            let (&source, mut rest) = rest.split_first_chunk().ok_or(LinkError::Truncated)?;
            let source = Some(LinkAddress::Ethernet(source));
            let destination = LinkAddress::Ethernet(destination);
            for _ in 0..=TAGS_MAX {
                let (ethertype, behind) = number(rest)?;
                if !TAGS.contains(&ethertype) {
                    return Ok((LinkHeader { destination, source, ethertype }, behind));
                }
                rest = number(behind)?.1;
            }
            Err(LinkError::Tags)
        }
        INFINIBAND => {
            let (&destination, rest) = frame.split_first_chunk().ok_or(LinkError::Truncated)?;
            let (ethertype, rest) = number(rest)?;
            let (_reserved, rest) = number(rest)?;
            let destination = LinkAddress::InfiniBand(destination);
            Ok((LinkHeader { destination, source: None, ethertype }, rest))
        }
        _ => Err(LinkError::Kind),
    }
}

fn number(bytes: &[u8]) -> Result<(u16, &[u8]), LinkError> {
    let (&number, rest) = bytes.split_first_chunk().ok_or(LinkError::Truncated)?;
    Ok((u16::from_be_bytes(number), rest))
}

#[cfg(test)]
mod tests;
