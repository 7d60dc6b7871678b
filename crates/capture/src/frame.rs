//! Frames, from the link's header down to what is explained of them. Whatever else they are is nothing here.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use etherparse::icmpv6::{Icmpv6PayloadSlice, NdpOptionSlice};
use etherparse::{
    ArpOperation, ArpPacketSlice, EtherType, Icmpv6Slice, Icmpv6Type, IpNumber, LaxNetSlice, LaxSlicedPacket,
    LinkSlice, TransportSlice, UdpSlice,
};

/// Where names are asked for (RFC 1035 §4.2).
pub(crate) const DNS_PORT: u16 = 53;

/// What a packet begins with, as capture files number it (tcpdump.org/linktypes.html).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link(pub u16);

impl Link {
    /// A header of Ethernet.
    pub const ETHERNET: Link = Link(1);
    /// A header of IP, of either version.
    pub const RAW: Link = Link(101);
    /// A header of tcpdump's for "any" interface.
    pub const LINUX_SLL: Link = Link(113);
    /// A header of IPv4.
    pub const IPV4: Link = Link(228);
    /// A header of IPv6.
    pub const IPV6: Link = Link(229);
    /// As [`Link::LINUX_SLL`], with the interface.
    pub const LINUX_SLL2: Link = Link(276);

    /// Whether packets of it are understood.
    pub const fn is_known(self) -> bool {
        matches!(self.0, 1 | 101 | 113 | 228 | 229 | 276)
    }
}

/// The address of a link: 6 bytes of Ethernet, 20 of InfiniBand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Hardware {
    length: u8,
    bytes: [u8; Hardware::LONGEST],
}

impl Hardware {
    const LONGEST: usize = 20;

    /// `None` if it is empty or longer than any.
    pub(crate) fn new(address: &[u8]) -> Option<Hardware> {
        let mut bytes = [0; Hardware::LONGEST];
        bytes.get_mut(..address.len())?.copy_from_slice(address);
        (!address.is_empty()).then_some(Hardware { length: address.len() as u8, bytes })
    }
}

impl fmt::Display for Hardware {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.bytes[..usize::from(self.length)].iter().enumerate() {
            let colon = if index == 0 { "" } else { ":" };
            write!(formatter, "{colon}{byte:02x}")?;
        }
        Ok(())
    }
}

/// What is explained of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Frame<'a> {
    /// The VLAN's number, the outermost one's.
    pub(crate) vlan: Option<u16>,
    /// Who sent it on this link.
    pub(crate) sender: Option<Hardware>,
    pub(crate) what: What<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum What<'a> {
    Vrrp(Vrrp<'a>),
    Neighbour(Neighbour),
    Segment(Segment<'a>),
    Dns(Datagram<'a>),
}

/// What follows the header of IP.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Vrrp<'a> {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) ttl: u8,
    pub(crate) payload: &'a [u8],
    /// Not all of it was captured.
    pub(crate) is_cut: bool,
    /// It is a part of a packet.
    pub(crate) is_fragment: bool,
}

/// ARP, or neighbour discovery.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Neighbour {
    pub(crate) about: IpAddr,
    pub(crate) said: NeighbourSaid,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum NeighbourSaid {
    /// To all, unasked: the address is here.
    Announced(Hardware),
    /// To this one, who had asked: the address is here.
    Answered(IpAddr, Hardware),
    /// This one asks who has the address.
    Asked(IpAddr),
    /// Somebody asks who has the address, in order to take it.
    Probed,
}

/// A part of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Segment<'a> {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) opens: bool,
    pub(crate) acknowledges: bool,
    pub(crate) ends: bool,
    pub(crate) resets: bool,
    pub(crate) payload: &'a [u8],
}

/// A question or answer of the name service.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Datagram<'a> {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) payload: &'a [u8],
}

/// What is known of these bytes, `None` if it is none of what is explained.
pub(crate) fn decode(link: Link, bytes: &[u8]) -> Option<Frame<'_>> {
    let (sender, packet) = match link {
        Link::ETHERNET => {
            let packet = LaxSlicedPacket::from_ethernet(bytes).ok()?;
            let sender = match &packet.link {
                Some(LinkSlice::Ethernet2(header)) => Hardware::new(&header.source()),
                _ => None,
            };
            (sender, packet)
        }
        Link::RAW | Link::IPV4 | Link::IPV6 => (None, LaxSlicedPacket::from_ip(bytes).ok()?),
        Link::LINUX_SLL => {
            // Kind of packet, kind of link, length of the address, the address, protocol.
            let ([_, _, _, _, l0, l1, address @ .., p0, p1], rest) = bytes.split_first_chunk::<16>()?;
            cooked(u16::from_be_bytes([*l0, *l1]), address, [*p0, *p1], rest)
        }
        Link::LINUX_SLL2 => {
            // Protocol, nothing, interface, kind of link, kind of packet, length of the address, the address.
            let ([p0, p1, _, _, _, _, _, _, _, _, _, length, address @ ..], rest) = bytes.split_first_chunk::<20>()?;
            cooked(u16::from(*length), address, [*p0, *p1], rest)
        }
        _ => return None,
    };
    let vlan = packet.vlan_ids().first().map(|id| id.value());
    Some(Frame { vlan, sender, what: what(&packet, sender)? })
}

fn cooked<'a>(
    length: u16,
    address: &[u8; 8],
    protocol: [u8; 2],
    rest: &'a [u8],
) -> (Option<Hardware>, LaxSlicedPacket<'a>) {
    let sender = address.get(..usize::from(length)).and_then(Hardware::new);
    (sender, LaxSlicedPacket::from_ether_type(EtherType(u16::from_be_bytes(protocol)), rest))
}

fn what<'a>(packet: &LaxSlicedPacket<'a>, sender: Option<Hardware>) -> Option<What<'a>> {
    let (source, destination, ttl, payload) = match packet.net.as_ref()? {
        LaxNetSlice::Arp(arp) => return neighbour_of_arp(arp).map(What::Neighbour),
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            let (source, destination) = (header.source_addr(), header.destination_addr());
            (IpAddr::V4(source), IpAddr::V4(destination), header.ttl(), ip.payload())
        }
        LaxNetSlice::Ipv6(ip) => {
            let header = ip.header();
            let (source, destination) = (header.source_addr(), header.destination_addr());
            (IpAddr::V6(source), IpAddr::V6(destination), header.hop_limit(), ip.payload())
        }
    };
    if payload.ip_number == IpNumber(vrrp_proto::PROTOCOL_NUMBER) {
        let (is_cut, is_fragment) = (payload.incomplete, payload.fragmented);
        let payload = payload.payload;
        return Some(What::Vrrp(Vrrp { source, destination, ttl, payload, is_cut, is_fragment }));
    }
    match packet.transport.as_ref()? {
        TransportSlice::Tcp(tcp) => Some(What::Segment(Segment {
            source: SocketAddr::new(source, tcp.source_port()),
            destination: SocketAddr::new(destination, tcp.destination_port()),
            opens: tcp.syn(),
            acknowledges: tcp.ack(),
            ends: tcp.fin(),
            resets: tcp.rst(),
            payload: tcp.payload(),
        })),
        TransportSlice::Udp(udp) => dns(source, destination, udp),
        TransportSlice::Icmpv6(icmp) => neighbour_of_icmp(source, destination, sender, icmp).map(What::Neighbour),
        _ => None,
    }
}

fn dns<'a>(source: IpAddr, destination: IpAddr, udp: &UdpSlice<'a>) -> Option<What<'a>> {
    let source = SocketAddr::new(source, udp.source_port());
    let destination = SocketAddr::new(destination, udp.destination_port());
    let is_dns = [source.port(), destination.port()].contains(&DNS_PORT);
    is_dns.then(|| What::Dns(Datagram { source, destination, payload: udp.payload() }))
}

/// RFC 826, and RFC 5227 for what it means.
fn neighbour_of_arp(arp: &ArpPacketSlice<'_>) -> Option<Neighbour> {
    let address = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    let sender = address(arp.sender_protocol_addr())?;
    let target = address(arp.target_protocol_addr())?;
    let hardware = Hardware::new(arp.sender_hw_addr());
    let (about, said) = match arp.operation() {
        ArpOperation::REQUEST | ArpOperation::REPLY if sender == target => {
            (sender, NeighbourSaid::Announced(hardware?))
        }
        ArpOperation::REQUEST if sender.is_unspecified() => (target, NeighbourSaid::Probed),
        ArpOperation::REQUEST => (target, NeighbourSaid::Asked(sender)),
        ArpOperation::REPLY => (sender, NeighbourSaid::Answered(target, hardware?)),
        _ => return None,
    };
    Some(Neighbour { about, said })
}

/// RFC 4861 §4.3, §4.4, §7.2.6.
fn neighbour_of_icmp(
    source: IpAddr,
    destination: IpAddr,
    sender: Option<Hardware>,
    icmp: &Icmpv6Slice<'_>,
) -> Option<Neighbour> {
    match (icmp.icmp_type(), icmp.payload_slice().ok()?) {
        (Icmpv6Type::NeighborAdvertisement(header), Icmpv6PayloadSlice::NeighborAdvertisement(body)) => {
            let option = body.options_iterator().find_map(|option| match option {
                Ok(NdpOptionSlice::TargetLinkLayerAddress(address)) => Hardware::new(address.link_layer_address()),
                _ => None,
            });
            let hardware = option.or(sender)?;
            let said = match header.solicited {
                true => NeighbourSaid::Answered(destination, hardware),
                false => NeighbourSaid::Announced(hardware),
            };
            Some(Neighbour { about: body.target_address().into(), said })
        }
        (Icmpv6Type::NeighborSolicitation, Icmpv6PayloadSlice::NeighborSolicitation(body)) => {
            let said = match source {
                IpAddr::V6(Ipv6Addr::UNSPECIFIED) => NeighbourSaid::Probed,
                _ => NeighbourSaid::Asked(source),
            };
            Some(Neighbour { about: body.target_address().into(), said })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
