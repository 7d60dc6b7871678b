//! VRRP's packets as a third party hears and sends them, over raw sockets of its own.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, Protocol, RawProtocol, RecvFlags, SendFlags, SocketAddrV4, SocketFlags, SocketType, recv, sendto,
    socket_with, sockopt,
};

use crate::Host;

/// Where adverts go.
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// VRRP among the protocols of IP.
const PROTOCOL: RawProtocol = RawProtocol::new(112).expect("it is not zero");

/// What TTL an advert has to have.
const TTL: u32 = 255;

/// An advert over IPv4, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advert {
    /// When it was taken from the socket.
    pub at: Instant,
    /// Its sender.
    pub source: Ipv4Addr,
    /// Of VRRP.
    pub version: u8,
    /// The virtual router.
    pub vrid: u8,
    /// 0: the sender is about to go.
    pub priority: u8,
    /// All of VRRP's packet.
    pub payload: Vec<u8>,
}

/// A host's ear and mouth for adverts sent to all.
#[derive(Debug)]
pub struct Adverts {
    socket: OwnedFd,
}

impl Adverts {
    /// Hears what comes to a host whose address is of IPv4.
    ///
    /// # Panics
    /// If the host cannot have a raw socket.
    #[track_caller]
    pub fn on(host: &Host) -> Adverts {
        let socket = host.in_namespace(|| {
            let socket = socket_with(
                AddressFamily::INET,
                SocketType::RAW,
                SocketFlags::CLOEXEC,
                Some(Protocol::from_raw(PROTOCOL)),
            )?;
            let std::net::IpAddr::V4(own) = host.address() else {
                return Err(rustix::io::Errno::AFNOSUPPORT);
            };
            sockopt::set_ip_add_membership(&socket, &GROUP, &own)?;
            sockopt::set_ip_multicast_if(&socket, &own)?;
            sockopt::set_ip_multicast_loop(&socket, false)?;
            sockopt::set_ip_multicast_ttl(&socket, TTL)?;
            Ok(socket)
        });
        Adverts { socket: socket.unwrap_or_else(|error| panic!("{} hears no adverts: {error}", host.name())) }
    }

    /// The next advert, if one comes in time.
    ///
    /// # Panics
    /// If the socket fails.
    pub fn next(&self, limit: Duration) -> Option<Advert> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).expect("a limit of a test");
            let mut waiting = [PollFd::new(&self.socket, PollFlags::IN)];
            if poll(&mut waiting, Some(&left)).expect("a socket can be waited for") == 0 {
                return None;
            }
            let mut buffer = [0; 2048];
            let (length, _) = recv(&self.socket, &mut buffer, RecvFlags::DONTWAIT).expect("something is there");
            if let Some(advert) = advert(&buffer[..length]) {
                return Some(advert);
            }
        }
    }

    /// The next advert of a sender.
    pub fn next_of(&self, source: Ipv4Addr, limit: Duration) -> Option<Advert> {
        let deadline = Instant::now() + limit;
        loop {
            let advert = self.next(deadline.saturating_duration_since(Instant::now()))?;
            if advert.source == source {
                return Some(advert);
            }
        }
    }

    /// Forgets what has come so far.
    pub fn forget(&self) {
        while self.next(Duration::ZERO).is_some() {}
    }

    /// From now on what it sends has another TTL.
    ///
    /// # Errors
    /// If that is none.
    pub fn set_ttl(&self, ttl: u8) -> io::Result<()> {
        Ok(sockopt::set_ip_multicast_ttl(&self.socket, u32::from(ttl))?)
    }

    /// Sends these bytes as a packet of VRRP to all.
    ///
    /// # Errors
    /// As sendto(2).
    pub fn send(&self, payload: &[u8]) -> io::Result<()> {
        self.send_to(GROUP, payload)
    }

    /// Sends these bytes as a packet of VRRP to one.
    ///
    /// # Errors
    /// As sendto(2).
    pub fn send_to(&self, to: Ipv4Addr, payload: &[u8]) -> io::Result<()> {
        sendto(&self.socket, payload, SendFlags::empty(), &SocketAddrV4::new(to, 0))?;
        Ok(())
    }
}

/// Reads a packet with its IP header.
fn advert(packet: &[u8]) -> Option<Advert> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    let payload = packet.get(header..)?;
    let &[kind, vrid, priority, ..] = payload else {
        return None;
    };
    let (source, payload) = (source.into(), payload.to_vec());
    Some(Advert { at: Instant::now(), source, version: kind >> 4, vrid, priority, payload })
}

/// A whole advert over IPv4 of version 3 with the checksum of RFC 9568, which has no pseudo-header.
pub fn advert_v3(vrid: u8, priority: u8, interval_cs: u16, addresses: &[Ipv4Addr]) -> Vec<u8> {
    let count = u8::try_from(addresses.len()).expect("an advert has 255 addresses at most");
    let [high, low] = interval_cs.to_be_bytes();
    let mut payload = vec![0x31, vrid, priority, count, high, low, 0, 0];
    payload.extend(addresses.iter().flat_map(Ipv4Addr::octets));
    let sum: u32 = payload.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).expect("folded");
    payload[6..8].copy_from_slice(&sum.to_be_bytes());
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advert_sums_to_all_ones() {
        // By hand: 3133 + fa01 + 0001 + 0a00 + 0064 = 1_3599, folded 359a, inverted ca65.
        let expected = [0x31, 0x33, 0xfa, 1, 0, 1, 0xca, 0x65, 10, 0, 0, 100];
        assert_eq!(advert_v3(0x33, 250, 1, &[Ipv4Addr::new(10, 0, 0, 100)]), expected);
    }
}
