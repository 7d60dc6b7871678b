use std::net::IpAddr;

use vrrp_proto::{PROTOCOL_NUMBER, Peers, Priority, TTL, VirtualRouter, multicast_group, write};
use wire::ipv4::{self, Ipv4Header, write_ipv4};
use wire::neighbour;

const ETHERNET_HEADER: usize = 14;
const IPV6_HEADER: usize = 40;

/// Internetwork control (RFC 2474 §4.2.2.2), as the kernel's socket has it.
const TOS: u8 = 0xc0;

/// An advert as it is sent.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) to: IpAddr,
    /// What follows the header of IP, or the whole frame.
    pub(crate) bytes: Vec<u8>,
    /// Of a frame, what it says is in it.
    pub(crate) ethertype: Option<u16>,
}

/// Adverts as they are sent, made when something in them changes and not when they are sent.
#[derive(Debug, Default)]
pub(crate) struct Letters {
    made_for: Option<Priority>,
    each: Vec<Letter>,
}

impl Letters {
    /// After a change of the configuration: they are made anew.
    pub(crate) fn forget(&mut self) {
        self.made_for = None;
    }

    /// To each who is to have it, with this priority. Memory is taken for the first only. `mac`: the group's are frames
    /// from that address; peers' addresses on the link are the kernel's to find.
    pub(crate) fn of(&mut self, router: &VirtualRouter, priority: Priority, mac: Option<[u8; 6]>) -> &[Letter] {
        if self.made_for != Some(priority) {
            self.make(router, priority, mac);
            self.made_for = Some(priority);
        }
        &self.each
    }

    fn make(&mut self, router: &VirtualRouter, priority: Priority, mac: Option<[u8; 6]>) {
        let settings = router.config().settings();
        let group = [multicast_group(settings.addresses.as_addresses().family())];
        let (to, mac) = match &settings.peers {
            Peers::Multicast => (&group[..], mac),
            Peers::Unicast(peers) => (&peers[..], None),
        };
        self.each.resize_with(to.len(), || Letter { to: group[0], bytes: Vec::new(), ethertype: None });
        for (letter, &to) in self.each.iter_mut().zip(to) {
            letter.to = to;
            letter.bytes.clear();
            letter.ethertype = mac.map(|_| if to.is_ipv4() { ipv4::ETHERTYPE } else { neighbour::ETHERTYPE });
            let headers = match (mac, to) {
                (None, _) => 0,
                (Some(_), IpAddr::V4(_)) => ETHERNET_HEADER + ipv4::HEADER_BYTES,
                (Some(_), IpAddr::V6(_)) => ETHERNET_HEADER + IPV6_HEADER,
            };
            letter.bytes.resize(headers, 0);
            write(&mut letter.bytes, &router.advert(priority), settings.source, to);
            if let Some(mac) = mac {
                write_headers(&mut letter.bytes, mac, settings.source, to);
            }
        }
    }
}

/// Fills in what stands before an advert to a group: the group's address on the link is made of its own (RFC 1112 §6.4,
/// RFC 2464 §7).
fn write_headers(frame: &mut [u8], mac: [u8; 6], source: IpAddr, group: IpAddr) {
    let (ethernet, packet) = frame.split_at_mut(ETHERNET_HEADER);
    ethernet[6..12].copy_from_slice(&mac);
    match (source, group) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let [_, g1, g2, g3] = destination.octets();
            ethernet[..6].copy_from_slice(&[0x01, 0x00, 0x5e, g1 & 0x7f, g2, g3]);
            ethernet[12..].copy_from_slice(&ipv4::ETHERTYPE.to_be_bytes());
            let header = Ipv4Header {
                source,
                destination,
                protocol: PROTOCOL_NUMBER,
                ttl: TTL,
                tos: TOS,
                identification: 0,
                dont_fragment: true,
            };
            // An advert is a kilobyte at most.
            if let Some(header) = write_ipv4(&header, packet.len() - ipv4::HEADER_BYTES) {
                packet[..ipv4::HEADER_BYTES].copy_from_slice(&header);
            }
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let [.., g0, g1, g2, g3] = destination.octets();
            ethernet[..6].copy_from_slice(&[0x33, 0x33, g0, g1, g2, g3]);
            ethernet[12..].copy_from_slice(&neighbour::ETHERTYPE.to_be_bytes());
            let length = (packet.len() - IPV6_HEADER) as u16;
            // RFC 8200 §3: version, traffic class, flow label.
            packet[..4].copy_from_slice(&[0x60 | TOS >> 4, TOS << 4, 0, 0]);
            packet[4..6].copy_from_slice(&length.to_be_bytes());
            packet[6..8].copy_from_slice(&[PROTOCOL_NUMBER, TTL]);
            packet[8..24].copy_from_slice(&source.octets());
            packet[24..40].copy_from_slice(&destination.octets());
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
