use std::cell::Cell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::netdevice::index_to_name;
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, socket_with, sockopt};
use wire::ipv4::{Ipv4Header, write_ipv4};

use crate::filter::{
    Filter, IF_EQUAL, INDEX_IPV4_HEADER, Instruction, LOAD_BYTE, LOAD_BYTE_AT_INDEX, RETURN, clear_filter,
};
use crate::message::{self, Envelope, field};
use crate::packet::set_receive_room;

/// RFC 9568 §5.1.1.4 and §5.1.2.4.
const PROTOCOL: u8 = 112;
/// RFC 9568 §5.1.1.3 and §5.1.2.3.
const TTL: u8 = 255;
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);

/// Internetwork control (RFC 2474 §4.2.2.2): adverts pass what else waits in a router's or switch's queue.
const TOS: u8 = 0xc0;

/// The first band of this machine's own queues (TC_PRIO_INTERACTIVE), the highest that needs no further capability.
const QUEUE_PRIORITY: libc::c_int = 6;

/// Bytes of adverts that may wait to be read, each reckoned by the kernel with some 700 bytes of its own.
const RECEIVE_ROOM: usize = 1 << 20;

/// What waits of adverts that are only counted: the least that the kernel gives.
const COUNT_ROOM: usize = 0;

/// linux/in6.h.
const IPV6_MULTICAST_ALL: libc::c_int = 29;
/// asm-generic/socket.h.
const SO_MEMINFO: libc::c_int = 55;
/// Where the count of lost datagrams stands in what SO_MEMINFO tells (linux/sock_diag.h: SK_MEMINFO_DROPS, the ninth of
/// 32 bits).
const DROPS_AT: usize = 32;

/// struct in6_pktinfo: an address and an interface (32 bits).
const IN6_PKTINFO: usize = 20;
/// A control message of that, padded to a whole word.
const CONTROL_V6: usize = (size_of::<libc::cmsghdr>() + IN6_PKTINFO).next_multiple_of(size_of::<usize>());

/// The version and type of adverts, by which the filter knows them.
const ADVERT_V2: u32 = 0x21;
const ADVERT_V3: u32 = 0x31;
/// Enough of any packet.
const WHOLE: u32 = 0x4_0000;

/// A raw socket of VRRP (protocol 112), which sends adverts and receives them. It does not block, and hears nothing of
/// what it sends. It needs CAP_NET_RAW.
#[derive(Debug)]
pub struct VrrpSocket {
    fd: OwnedFd,
    scope: VrrpScope,
    identification: Cell<u16>,
}

/// Where adverts are exchanged. Interfaces are said by their index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VrrpScope {
    /// Those to 224.0.0.18 on an interface.
    GroupV4(u32),
    /// Those to ff02::12 on an interface.
    GroupV6(u32),
    /// Those to one address of this machine, on whatever interface. It need not be there yet.
    Address(IpAddr),
    /// Those to one address on an interface: link-local ones are on many.
    AddressOn(Ipv6Addr, u32),
}

/// Which adverts a socket gets. What is refused here is refused in the kernel: a flood of it does not wake anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VrrpFilter<'a> {
    /// Whatever comes, adverts or not.
    All,
    /// Adverts of these virtual routers, by their numbers.
    Of(&'a [u8]),
    /// All but those, whether they are adverts or not. Little room is given to them: what does not find any is only
    /// [counted](VrrpSocket::lost), which is how a flood of others' can be seen and sampled without being read. While
    /// there is no room, Linux counts what comes before it asks the filter: the count is then of all that came.
    NotOf(&'a [u8]),
}

/// An advert as it came, with what IP says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VrrpPacket<'a> {
    /// The sender.
    pub source: IpAddr,
    /// The group, or the address of this machine.
    pub destination: IpAddr,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// The index of the interface on which it came.
    pub interface: u32,
    /// What follows the header of IP.
    pub payload: &'a [u8],
}

impl VrrpSocket {
    /// Opens a socket. What it gets begins with this call, and has passed the filter.
    ///
    /// # Errors
    /// If there is no such interface, or the kernel refuses: without CAP_NET_RAW as [`io::ErrorKind::PermissionDenied`].
    pub fn open(scope: VrrpScope, filter: VrrpFilter<'_>) -> io::Result<VrrpSocket> {
        let family = if scope.is_v4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let protocol = Protocol::from_raw(u32::from(PROTOCOL).try_into().map_err(io::Error::other)?);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = socket_with(family, SocketType::RAW, flags, Some(protocol))?;
        let socket = VrrpSocket { fd, scope, identification: Cell::new(0) };
        // A raw socket hears everything from its beginning on.
        Filter::nothing().set(socket.as_fd())?;
        socket.prepare(filter)?;
        if scope.is_v4() {
            socket.prepare_v4()?
        } else {
            socket.prepare_v6()?
        }
        socket.forget()?;
        socket.set_filter(filter)?;
        Ok(socket)
    }

    /// Changes which adverts the socket gets. Those that wait have passed the filter of before, and room stays as it was.
    ///
    /// # Errors
    /// If the numbers are more than 255.
    pub fn set_filter(&self, filter: VrrpFilter<'_>) -> io::Result<()> {
        match filter {
            VrrpFilter::All => clear_filter(self.as_fd()),
            VrrpFilter::Of(vrids) => advert_filter(self.scope, vrids, true)?.set(self.as_fd()),
            VrrpFilter::NotOf(vrids) => advert_filter(self.scope, vrids, false)?.set(self.as_fd()),
        }
    }

    /// Sends an advert, whole in its checksum, from an address of this machine to the group or to another machine.
    ///
    /// # Errors
    /// If it cannot be sent at once, there is no way to the destination or no such source here, or the two are not of the
    /// socket's family.
    pub fn send(&self, source: IpAddr, destination: IpAddr, payload: &[u8]) -> io::Result<()> {
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) if self.scope.is_v4() => {
                let header = Ipv4Header {
                    source,
                    destination,
                    protocol: PROTOCOL,
                    ttl: TTL,
                    tos: TOS,
                    identification: self.next_identification(),
                    dont_fragment: true,
                };
                let header = write_ipv4(&header, payload.len()).ok_or(io::ErrorKind::InvalidInput)?;
                message::send(self.as_fd(), &socket_address_v4(destination), &[], [&header, payload])
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) if !self.scope.is_v4() => {
                let interface = self.scope.interface();
                let to = socket_address_v6(destination, interface);
                message::send(self.as_fd(), &to, &packet_info_v6(source, interface), [payload])
            }
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// The next advert, of which `buffer` gets the beginning with the header of IPv4; `None` if there is none now.
    ///
    /// # Errors
    /// If the kernel refuses, or the buffer is too small for that header ([`io::ErrorKind::InvalidData`]).
    pub fn receive<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Option<VrrpPacket<'a>>> {
        let mut envelope = Envelope::new();
        if message::receive(self.as_fd(), buffer, &mut envelope)?.is_none() {
            return Ok(None);
        }
        let there = envelope.length.min(buffer.len());
        let packet = if self.scope.is_v4() {
            packet_v4(&buffer[..there], &envelope)
        } else {
            packet_v6(&buffer[..there], &envelope)
        };
        Ok(Some(packet.ok_or(io::ErrorKind::InvalidData)?))
    }

    /// How many adverts were lost since the socket was opened, because they found no room; it begins again after 2^32.
    ///
    /// # Errors
    /// Before Linux 4.12.
    pub fn lost(&self) -> io::Result<u32> {
        let told = message::option::<{ DROPS_AT + 4 }>(self.as_fd(), libc::SOL_SOCKET, SO_MEMINFO)?;
        Ok(field(&told, DROPS_AT).map_or(0, u32::from_ne_bytes))
    }

    fn prepare(&self, filter: VrrpFilter<'_>) -> io::Result<()> {
        let fd = self.as_fd();
        let room = if matches!(filter, VrrpFilter::NotOf(_)) { COUNT_ROOM } else { RECEIVE_ROOM };
        set_receive_room(fd, room)?;
        message::set_number(fd, libc::SOL_SOCKET, libc::SO_PRIORITY, QUEUE_PRIORITY)?;
        match self.scope.interface() {
            0 => Ok(()),
            interface => {
                let name = index_to_name(fd, interface)?;
                message::set_bytes(fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, name.as_bytes())
            }
        }
    }

    fn prepare_v4(&self) -> io::Result<()> {
        let fd = self.as_fd();
        message::set_number(fd, libc::IPPROTO_IP, libc::IP_HDRINCL, 1)?;
        message::set_number(fd, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
        message::set_number(fd, libc::IPPROTO_IP, libc::IP_MULTICAST_ALL, 0)?;
        sockopt::set_ip_multicast_loop(fd, false)?;
        match self.scope {
            VrrpScope::GroupV4(interface) => {
                let any = Ipv4Addr::UNSPECIFIED;
                sockopt::set_ip_multicast_if_with_ifindex(fd, &GROUP_V4, &any, interface)?;
                sockopt::set_ip_add_membership_with_ifindex(fd, &GROUP_V4, &any, interface)?;
                message::bind(fd, &socket_address_v4(GROUP_V4))
            }
            VrrpScope::Address(IpAddr::V4(address)) => {
                sockopt::set_ip_freebind(fd, true)?;
                message::bind(fd, &socket_address_v4(address))
            }
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// The kernel neither sums nor checks sums (IPV6_CHECKSUM is off): a wrong one is to be counted, not dropped unseen.
    fn prepare_v6(&self) -> io::Result<()> {
        let fd = self.as_fd();
        message::set_number(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
        message::set_number(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, 1)?;
        match message::set_number(fd, libc::IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0) {
            // Before Linux 4.20: what the socket is bound to keeps the groups of others out as well.
            Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => {}
            other => other?,
        }
        sockopt::set_ipv6_freebind(fd, true)?;
        sockopt::set_ipv6_multicast_loop(fd, false)?;
        sockopt::set_ipv6_unicast_hops(fd, Some(TTL))?;
        sockopt::set_ipv6_multicast_hops(fd, u32::from(TTL))?;
        sockopt::set_ipv6_tclass(fd, u32::from(TOS))?;
        let interface = self.scope.interface();
        match self.scope {
            VrrpScope::GroupV6(_) => {
                sockopt::set_ipv6_multicast_if(fd, interface)?;
                sockopt::set_ipv6_add_membership(fd, &GROUP_V6, interface)?;
                message::bind(fd, &socket_address_v6(GROUP_V6, interface))
            }
            VrrpScope::Address(IpAddr::V6(address)) | VrrpScope::AddressOn(address, _) => {
                message::bind(fd, &socket_address_v6(address, interface))
            }
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Drops what came before the filter.
    fn forget(&self) -> io::Result<()> {
        let mut envelope = Envelope::new();
        while message::receive(self.as_fd(), &mut [0], &mut envelope)?.is_some() {}
        Ok(())
    }

    /// Never 0, for which the kernel would put one of its own.
    fn next_identification(&self) -> u16 {
        let next = self.identification.get().checked_add(1).unwrap_or(1);
        self.identification.set(next);
        next
    }
}

impl AsFd for VrrpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl VrrpScope {
    fn is_v4(self) -> bool {
        matches!(self, VrrpScope::GroupV4(_) | VrrpScope::Address(IpAddr::V4(_)))
    }

    /// 0: any.
    fn interface(self) -> u32 {
        match self {
            VrrpScope::GroupV4(interface) | VrrpScope::GroupV6(interface) | VrrpScope::AddressOn(_, interface) => {
                interface
            }
            VrrpScope::Address(_) => 0,
        }
    }
}

/// Knows adverts by version and type, and of these the numbers. With IPv4 the packet begins with its header.
fn advert_filter(scope: VrrpScope, vrids: &[u8], listed: bool) -> io::Result<Filter> {
    let count = u8::try_from(vrids.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let (hit, miss) = if listed { (WHOLE, 0) } else { (0, WHOLE) };
    let mut program: Vec<Instruction> = if scope.is_v4() {
        vec![
            INDEX_IPV4_HEADER.operand(0),
            LOAD_BYTE_AT_INDEX.operand(0),
            IF_EQUAL.operand(ADVERT_V2).jumps(2, 0),
            IF_EQUAL.operand(ADVERT_V3).jumps(1, 0),
            RETURN.operand(miss),
            LOAD_BYTE_AT_INDEX.operand(1),
        ]
    } else {
        vec![LOAD_BYTE.operand(0), IF_EQUAL.operand(ADVERT_V3).jumps(1, 0), RETURN.operand(miss), LOAD_BYTE.operand(1)]
    };
    // Each jumps over those after it and over the return that ends them: at most 255, as far as a jump reaches.
    let lines = (1..=count).rev().zip(vrids);
    program.extend(lines.map(|(over, &vrid)| IF_EQUAL.operand(u32::from(vrid)).jumps(over, 0)));
    program.extend([RETURN.operand(miss), RETURN.operand(hit)]);
    Filter::new(program).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// What the kernel gives of IPv4 has its header, which the kernel has checked.
fn packet_v4<'a>(packet: &'a [u8], envelope: &Envelope) -> Option<VrrpPacket<'a>> {
    let &[first, _, _, _, _, _, _, _, ttl, _, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = packet.first_chunk()?;
    let info = control(envelope, libc::IPPROTO_IP, libc::IP_PKTINFO)?;
    Some(VrrpPacket {
        source: [s0, s1, s2, s3].into(),
        destination: [d0, d1, d2, d3].into(),
        ttl,
        interface: u32::from_ne_bytes(field(info, 0)?),
        payload: packet.get(usize::from(first & 0xf) * 4..)?,
    })
}

/// What the kernel gives of IPv6 has no header.
fn packet_v6<'a>(payload: &'a [u8], envelope: &Envelope) -> Option<VrrpPacket<'a>> {
    // struct sockaddr_in6: family, port (16 bits each), flow information (32 bits), address.
    let source: [u8; 16] = field(envelope.address(), 8)?;
    // struct in6_pktinfo: address, interface.
    let info = control(envelope, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO)?;
    let destination: [u8; 16] = field(info, 0)?;
    let hops = control(envelope, libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT)?;
    Some(VrrpPacket {
        source: source.into(),
        destination: destination.into(),
        ttl: u8::try_from(libc::c_int::from_ne_bytes(field(hops, 0)?)).ok()?,
        interface: u32::from_ne_bytes(field(info, 16)?),
        payload,
    })
}

fn control(envelope: &Envelope, level: libc::c_int, kind: libc::c_int) -> Option<&[u8]> {
    envelope.control().find(|&(its_level, its_kind, _)| (its_level, its_kind) == (level, kind)).map(|(_, _, data)| data)
}

/// struct sockaddr_in: family, port (16 bits each), address, 8 bytes of nothing.
fn socket_address_v4(address: Ipv4Addr) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&(libc::AF_INET as libc::sa_family_t).to_ne_bytes());
    bytes[4..8].copy_from_slice(&address.octets());
    bytes
}

/// struct sockaddr_in6: family, port (16 bits each), flow information (32 bits), address, interface (32 bits).
fn socket_address_v6(address: Ipv6Addr, interface: u32) -> [u8; 28] {
    let mut bytes = [0; 28];
    bytes[..2].copy_from_slice(&(libc::AF_INET6 as libc::sa_family_t).to_ne_bytes());
    bytes[8..24].copy_from_slice(&address.octets());
    bytes[24..].copy_from_slice(&interface.to_ne_bytes());
    bytes
}

/// The control message that says what to send from: its length, level and type, then struct in6_pktinfo.
fn packet_info_v6(source: Ipv6Addr, interface: u32) -> [u8; CONTROL_V6] {
    let mut bytes = [0; CONTROL_V6];
    let (header, info) = bytes.split_at_mut(size_of::<libc::cmsghdr>());
    let (length, rest) = header.split_at_mut(size_of::<usize>());
    length.copy_from_slice(&(size_of::<libc::cmsghdr>() + IN6_PKTINFO).to_ne_bytes());
    let (level, kind) = rest.split_at_mut(size_of::<libc::c_int>());
    level.copy_from_slice(&libc::IPPROTO_IPV6.to_ne_bytes());
    kind.copy_from_slice(&libc::IPV6_PKTINFO.to_ne_bytes());
    info[..16].copy_from_slice(&source.octets());
    info[16..IN6_PKTINFO].copy_from_slice(&interface.to_ne_bytes());
    bytes
}

#[cfg(test)]
mod tests;
