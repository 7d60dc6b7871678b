//! Machines that say that an address of ours is theirs: a socket of ARP or neighbour discovery, and what it hears. Pure but
//! for the socket.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use linux::{Filter, Instruction, PacketSocket};
use wire::arp::{self, parse_arp};
use wire::link::{LinkAddress, parse_link_header};
use wire::neighbour::{self, NeighbourKind, parse_neighbour};

/// Bytes of frames that may wait: a few dozens. Of a storm of them one is enough.
const ROOM: usize = 64 << 10;

/// Addresses of one interface that are watched over: as many comparisons as fit into the kernel's filter. Others of that
/// interface are not.
pub(crate) const WATCHED_MAX: usize = 1000;

/// Operations of the classic packet filter (bpf(4)): load a word, load a byte, compare, return.
const LOAD_WORD: u16 = 0x20;
const LOAD_BYTE: u16 = 0x30;
const IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

/// Where things stand in a frame of Ethernet: behind its 14 bytes, the sender's address in ARP (RFC 826), and in IPv6 the
/// next header (RFC 8200 §3), the type of ICMPv6, and the last word of the target (RFC 4861 §4.4).
const ARP_SENDER: u32 = 14 + 14;
const NEXT_HEADER: u32 = 14 + 6;
const ICMP_TYPE: u32 = 14 + 40;
const TARGET_END: u32 = 14 + 40 + 8 + 12;

const ICMPV6: u32 = 58;
const NEIGHBOUR_ADVERTISEMENT: u32 = 136;

/// What is watched over: an interface, whether it is IPv4, and its addresses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Guarded {
    pub(crate) interface: u32,
    pub(crate) v4: bool,
    pub(crate) addresses: BTreeSet<IpAddr>,
}

/// Opens a socket that gets what says whose these addresses are.
pub(crate) fn open(guarded: &Guarded) -> io::Result<PacketSocket> {
    let filter = filter(guarded).ok_or(io::ErrorKind::InvalidInput)?;
    let protocol = if guarded.v4 { arp::ETHERTYPE } else { neighbour::ETHERTYPE };
    PacketSocket::receiver(guarded.interface, protocol, Some(&filter), ROOM)
}

/// Whose an address is, by a frame of a link of this kind (ARPHRD): the address, and who says so. `None`: it does not say.
pub(crate) fn claim(kind: u16, frame: &[u8]) -> Option<(IpAddr, LinkAddress)> {
    let (header, packet) = parse_link_header(kind, frame).ok()?;
    if header.ethertype == arp::ETHERTYPE {
        let packet = parse_arp(packet).ok()?;
        return (packet.sender != Ipv4Addr::UNSPECIFIED).then_some((packet.sender.into(), packet.sender_link));
    }
    let packet = parse_neighbour(packet).ok()?;
    let tells = matches!(packet.kind, NeighbourKind::Advertisement { .. });
    let link = packet.link.or(header.source)?;
    tells.then_some((packet.target.into(), link))
}

fn filter(guarded: &Guarded) -> Option<Filter> {
    let instruction = |code, operand, jump_true, jump_false| Instruction { code, jump_true, jump_false, operand };
    let mut program = Vec::new();
    if !guarded.v4 {
        for (at, value) in [(NEXT_HEADER, ICMPV6), (ICMP_TYPE, NEIGHBOUR_ADVERTISEMENT)] {
            program.push(instruction(LOAD_BYTE, at, 0, 0));
            program.push(instruction(IF_EQUAL, value, 1, 0));
            program.push(instruction(RETURN, 0, 0, 0));
        }
    }
    program.push(instruction(LOAD_WORD, if guarded.v4 { ARP_SENDER } else { TARGET_END }, 0, 0));
    for address in guarded.addresses.iter().take(WATCHED_MAX) {
        program.push(instruction(IF_EQUAL, last_word(*address), 0, 1));
        program.push(instruction(RETURN, u32::MAX, 0, 0));
    }
    program.push(instruction(RETURN, 0, 0, 0));
    Filter::new(program)
}

fn last_word(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => word(address),
    }
}

fn word(address: Ipv6Addr) -> u32 {
    let [.., a, b, c, d] = address.octets();
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests;
