//! Frames that say where an address is: gratuitous ARP, and unsolicited neighbour advertisements. Pure.

use std::net::{IpAddr, Ipv6Addr};

use netlink::LinkKind;
use wire::checksum::Sum;

use crate::ground::Spot;

/// Room for the longest: a neighbour advertisement over InfiniBand, whose link header has 24 bytes.
const FRAME_MAX: usize = 128;

const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;

/// All nodes of the link (RFC 4291 §2.7.1).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

const ICMPV6: u8 = 58;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
/// RFC 4861 §4.4: who knew another link address is to forget it.
const OVERRIDE: u8 = 0x20;
/// The sender is a router, as far as RFC 9568 §6.4.2 goes.
const ROUTER: u8 = 0x80;
const TARGET_LINK_ADDRESS: u8 = 2;

/// A frame with its link header.
pub(crate) struct Frame {
    bytes: [u8; FRAME_MAX],
    length: usize,
    protocol: u16,
}

impl Frame {
    /// Says to all on the link that `ip` is at `spot`; `None` of links that are neither Ethernet nor InfiniBand.
    pub(crate) fn announcing(ip: IpAddr, spot: &Spot) -> Option<Frame> {
        let protocol = if ip.is_ipv4() { ETHERTYPE_ARP } else { ETHERTYPE_IPV6 };
        let mut frame = Frame { bytes: [0; FRAME_MAX], length: 0, protocol };
        let hardware = spot.hardware.bytes();
        match spot.kind {
            LinkKind::Ethernet => {
                match ip {
                    IpAddr::V4(_) => frame.put(spot.broadcast.bytes()),
                    // RFC 2464 §7.
                    IpAddr::V6(_) => frame.put(&[0x33, 0x33, 0, 0, 0, 1]),
                }
                frame.put(hardware);
                frame.put(&protocol.to_be_bytes());
            }
            // RFC 4391 §6: behind the address, which Linux takes from the frame, protocol and two reserved bytes.
            LinkKind::InfiniBand => {
                frame.put(spot.broadcast.bytes());
                frame.put(&protocol.to_be_bytes());
                frame.put(&[0, 0]);
            }
            LinkKind::Loopback | LinkKind::Other(_) => return None,
        }
        match ip {
            IpAddr::V4(ip) => frame.put_arp(ip.octets(), spot),
            IpAddr::V6(ip) => frame.put_neighbour(ip, hardware),
        }
        Some(frame)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    pub(crate) fn protocol(&self) -> u16 {
        self.protocol
    }

    /// What does not fit is cut off: a link address has 32 bytes at most, and there is room for three.
    fn put(&mut self, bytes: &[u8]) {
        let room = &mut self.bytes[self.length..];
        let count = bytes.len().min(room.len());
        room[..count].copy_from_slice(&bytes[..count]);
        self.length += count;
    }

    /// A request (RFC 5227 §3) whose sender and target have the address (RFC 9568 §6.4.1).
    fn put_arp(&mut self, ip: [u8; 4], spot: &Spot) {
        let kind: u16 = if spot.kind == LinkKind::InfiniBand { 32 } else { 1 };
        let hardware = spot.hardware.bytes();
        self.put(&kind.to_be_bytes());
        self.put(&[0x08, 0x00, hardware.len() as u8, 4, 0, 1]);
        self.put(hardware);
        self.put(&ip);
        self.put(spot.broadcast.bytes());
        self.put(&ip);
    }

    fn put_neighbour(&mut self, ip: Ipv6Addr, hardware: &[u8]) {
        let mut message = [0u8; 64];
        message[0] = NEIGHBOUR_ADVERTISEMENT;
        message[4] = OVERRIDE | ROUTER;
        message[8..24].copy_from_slice(&ip.octets());
        // RFC 4861 §4.6.1, RFC 4391 §9.3: type, length in eights of bytes, and padding before InfiniBand's address.
        let padding = if hardware.len() == 20 { 2 } else { 0 };
        let option = (2 + padding + hardware.len()).next_multiple_of(8).min(40);
        message[24] = TARGET_LINK_ADDRESS;
        message[25] = (option / 8) as u8;
        for (byte, &hardware) in message[26 + padding..24 + option].iter_mut().zip(hardware) {
            *byte = hardware;
        }
        let length = 24 + option;
        let mut sum = Sum::default();
        sum.add_pseudo_header(IpAddr::V6(ip), IpAddr::V6(ALL_NODES), ICMPV6, length);
        sum.add(&message[..length]);
        message[2..4].copy_from_slice(&sum.checksum());
        self.put(&[0x60, 0, 0, 0, 0, length as u8, ICMPV6, 255]);
        self.put(&ip.octets());
        self.put(&ALL_NODES.octets());
        self.put(&message[..length]);
    }
}
