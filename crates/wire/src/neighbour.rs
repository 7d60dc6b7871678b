//! Neighbour solicitations and advertisements of IPv6 (RFC 4861), over Ethernet and InfiniBand (RFC 4391 §9.3).

use std::fmt;
use std::net::Ipv6Addr;

use crate::checksum::Sum;
use crate::link::{Link, LinkAddress, LinkFrame};

/// The number of IPv6 where a frame says what is in it.
pub const ETHERTYPE: u16 = 0x86dd;

const HEADER_BYTES: usize = 40;
const ICMPV6: u8 = 58;
/// RFC 4861 §7.1.1: no router has passed it on.
const HOPS: u8 = 255;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

/// Type, code, checksum, flags and the target.
const MESSAGE_BYTES: usize = 24;
const SOURCE_LINK: u8 = 1;
const TARGET_LINK: u8 = 2;
/// Options are as long as so many bytes say, times their length.
const OPTION_UNIT: usize = 8;

/// Who says what of which address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The sender; the unspecified address for one that only asks whether an address is free (RFC 4862 §5.4.2).
    pub source: Ipv6Addr,
    /// A group or a host.
    pub destination: Ipv6Addr,
    /// The address that is asked for, or that the sender has.
    pub target: Ipv6Addr,
    /// Where the one who asks, or who has the address, is on the link, if it says so.
    pub link: Option<LinkAddress>,
    /// Whether it asks or tells.
    pub kind: NeighbourKind,
}

/// Whether a packet asks or tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeighbourKind {
    /// It asks.
    Solicitation,
    /// It tells.
    Advertisement {
        /// The sender forwards packets of others.
        router: bool,
        /// Somebody asked.
        solicited: bool,
        /// What hosts have remembered is to be replaced.
        overrides: bool,
    },
}

/// Why bytes are neither a neighbour solicitation nor an advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NeighbourError {
    /// It ends before the length that it says.
    Truncated,
    /// A version other than 6.
    Version,
    /// What follows the header is not ICMPv6 135 or 136 with code 0.
    Other,
    /// A router has passed it on.
    Hops,
    /// The checksum is wrong.
    Checksum,
    /// An option without length, or longer than what is left.
    Option,
    /// The target is a group.
    Target,
    /// A solicited advertisement to a group, or a solicitation from nobody that says where nobody is or is to no group.
    Contradiction,
}

impl NeighbourError {
    /// A stable name, for metrics and logs.
    pub const fn reason(self) -> &'static str {
        match self {
            NeighbourError::Truncated => "neighbour_truncated",
            NeighbourError::Version => "neighbour_version",
            NeighbourError::Other => "neighbour_other",
            NeighbourError::Hops => "neighbour_hops",
            NeighbourError::Checksum => "neighbour_checksum",
            NeighbourError::Option => "neighbour_option",
            NeighbourError::Target => "neighbour_target",
            NeighbourError::Contradiction => "neighbour_contradiction",
        }
    }
}

impl fmt::Display for NeighbourError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            NeighbourError::Truncated => "the packet is cut off",
            NeighbourError::Version => "the packet is not of IPv6",
            NeighbourError::Other => "the packet is of another kind",
            NeighbourError::Hops => "the packet has passed a router",
            NeighbourError::Checksum => "the packet's checksum is wrong",
            NeighbourError::Option => "an option contradicts its own length",
            NeighbourError::Target => "the target is a group",
            NeighbourError::Contradiction => "the packet contradicts itself",
        })
    }
}

impl std::error::Error for NeighbourError {}

/// Tells all hosts of a link that an address is at this interface, whatever they have remembered (RFC 4861 §7.2.6).
/// `router` says whether this machine forwards packets: hosts that hear otherwise give up their routes through it
/// (§7.2.5).
pub fn unsolicited(link: &Link, address: Ipv6Addr, router: bool) -> LinkFrame {
    let own = link.address();
    let option_bytes = (2 + own.bytes().len()).next_multiple_of(OPTION_UNIT);
    let mut frame = link.frame(link.multicast(ALL_NODES), ETHERTYPE);
    frame.add(&[0x60, 0, 0, 0, 0, (MESSAGE_BYTES + option_bytes) as u8, ICMPV6, HOPS]);
    frame.add(&address.octets());
    frame.add(&ALL_NODES.octets());
    let start = frame.len();
    frame.add(&[ADVERTISEMENT, 0, 0, 0, OVERRIDE | if router { ROUTER } else { 0 }, 0, 0, 0]);
    frame.add(&address.octets());
    frame.add(&[TARGET_LINK, (option_bytes / OPTION_UNIT) as u8]);
    // RFC 4391 §9.3: what fills up the option stands before the address.
    frame.add(&[0; OPTION_UNIT][..option_bytes - 2 - own.bytes().len()]);
    frame.add(own.bytes());
    let message = &mut frame.bytes_mut()[start..];
    let mut sum = Sum::default();
    sum.add_pseudo_header(address.into(), ALL_NODES.into(), ICMPV6, message.len());
    sum.add(message);
    message[2..4].copy_from_slice(&sum.checksum());
    frame
}

/// Reads a packet of IPv6; padding of the frame is passed over.
///
/// # Errors
/// If it is something else, or a receiver would discard it (RFC 4861 §7.1).
pub fn parse_neighbour(packet: &[u8]) -> Result<Neighbour, NeighbourError> {
    let (header, rest) = packet.split_first_chunk::<HEADER_BYTES>().ok_or(NeighbourError::Truncated)?;
    let &[first, _, _, _, l0, l1, next, hops, ref addresses @ ..] = header;
    if first >> 4 != 6 {
        return Err(NeighbourError::Version);
    }
    let message = rest.get(..usize::from(u16::from_be_bytes([l0, l1]))).ok_or(NeighbourError::Truncated)?;
    // An extension header is another kind: neighbour discovery has none of its own, and RFC 6980 §5 forbids fragments.
    if next != ICMPV6 || !matches!(message, [SOLICITATION | ADVERTISEMENT, 0, ..]) {
        return Err(NeighbourError::Other);
    }
    if hops != HOPS {
        return Err(NeighbourError::Hops);
    }
    let (source, destination) = (address(addresses, 0), address(addresses, 16));
    let mut sum = Sum::default();
    sum.add_pseudo_header(source.into(), destination.into(), ICMPV6, message.len());
    sum.add(message);
    if !sum.is_right() {
        return Err(NeighbourError::Checksum);
    }
    let (fixed, options) = message.split_first_chunk::<MESSAGE_BYTES>().ok_or(NeighbourError::Truncated)?;
    let target = address(fixed, 8);
    if target.is_multicast() {
        return Err(NeighbourError::Target);
    }
    let (wanted, kind) = match fixed[0] {
        SOLICITATION => (SOURCE_LINK, NeighbourKind::Solicitation),
        _ => {
            let flag = |flag: u8| fixed[4] & flag != 0;
            let (router, solicited, overrides) = (flag(ROUTER), flag(SOLICITED), flag(OVERRIDE));
            (TARGET_LINK, NeighbourKind::Advertisement { router, solicited, overrides })
        }
    };
    let neighbour = Neighbour { source, destination, target, link: link_option(options, wanted)?, kind };
    if contradicts(&neighbour) { Err(NeighbourError::Contradiction) } else { Ok(neighbour) }
}

/// RFC 4861 §7.1.1 and §7.1.2.
fn contradicts(neighbour: &Neighbour) -> bool {
    match neighbour.kind {
        NeighbourKind::Advertisement { solicited, .. } => solicited && neighbour.destination.is_multicast(),
        NeighbourKind::Solicitation => {
            neighbour.source.is_unspecified() && (neighbour.link.is_some() || !neighbour.destination.is_multicast())
        }
    }
}

/// The first link address of this type that can be read; options of other types are passed over.
fn link_option(mut options: &[u8], wanted: u8) -> Result<Option<LinkAddress>, NeighbourError> {
    let mut found = None;
    while let &[kind, units, ..] = options {
        let length = usize::from(units) * OPTION_UNIT;
        let (option, rest) = options.split_at_checked(length).ok_or(NeighbourError::Option)?;
        if kind == wanted && found.is_none() {
            found = match units {
                1 => LinkAddress::new(&option[2..]),
                3 => LinkAddress::new(&option[4..]),
                _ => None,
            };
        }
        if length == 0 {
            return Err(NeighbourError::Option);
        }
        options = rest;
    }
    if options.is_empty() { Ok(found) } else { Err(NeighbourError::Option) }
}

/// Sixteen bytes of a fixed part.
fn address(bytes: &[u8], at: usize) -> Ipv6Addr {
    let mut address = [0; 16];
    address.copy_from_slice(&bytes[at..at + 16]);
    address.into()
}

#[cfg(test)]
mod tests;
