use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with, sockopt};

use crate::filter::Filter;
use crate::message::{self, Envelope, field};

/// Every frame of whatever protocol, sent ones too (ETH_P_ALL).
pub const EVERY_PROTOCOL: u16 = 0x0003;

/// linux/if_packet.h, as are the following.
const PACKET_ADD_MEMBERSHIP: libc::c_int = 1;
const PACKET_STATISTICS: libc::c_int = 6;
const PACKET_AUXDATA: libc::c_int = 8;
const PACKET_MR_ALLMULTI: u16 = 2;

/// The kernel has taken a VLAN's tag out of the frame (TP_STATUS_VLAN_VALID), and its protocol is said too
/// (TP_STATUS_VLAN_TPID_VALID).
const VLAN_TAKEN_OUT: u32 = 1 << 4;
const VLAN_PROTOCOL_SAID: u32 = 1 << 6;

/// The protocol of a tag that the kernel does not name (IEEE 802.1Q).
const VLAN_PROTOCOL: u16 = 0x8100;

/// A socket of frames with their link headers, on one interface or all. It does not block, and leaves interfaces as they
/// are: not promiscuous. It needs CAP_NET_RAW.
#[derive(Debug)]
pub struct PacketSocket(OwnedFd);

/// Which way a frame went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To this machine's link address.
    ToUs,
    /// To all machines.
    Broadcast,
    /// To a group of machines.
    Multicast,
    /// To another machine.
    ToOthers,
    /// From this machine.
    Sent,
}

/// A frame that was received, or that this machine has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its bytes from the link header on, as many as the buffer has room for.
    pub bytes: &'a [u8],
    /// How many it had.
    pub length: usize,
    /// The index of the interface.
    pub interface: u32,
    /// The kind of link: ARPHRD_ETHER (1), ARPHRD_INFINIBAND (32) and so on.
    pub link: u16,
    /// What is in it (ETH_P_ARP and so on), in the machine's order.
    pub protocol: u16,
    /// Which way it went.
    pub direction: Direction,
    /// When the kernel saw it, since 1970.
    pub time: Duration,
    /// The tag of a VLAN that the kernel has taken out of the frame: it belongs after the two link addresses.
    pub vlan: Option<[u8; 4]>,
}

impl PacketSocket {
    /// Opens a socket that only sends.
    ///
    /// # Errors
    /// If the kernel refuses: without CAP_NET_RAW as [`io::ErrorKind::PermissionDenied`].
    pub fn sender() -> io::Result<PacketSocket> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // Of no protocol: it receives nothing.
        Ok(PacketSocket(socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None)?))
    }

    /// Opens a socket that gets what passes the filter of one interface's frames, or with 0 of every interface's. What it
    /// gets begins with this call: nothing came before the filter.
    ///
    /// `protocol` is what frames have in them, or [`EVERY_PROTOCOL`], the only one with which frames that this machine
    /// sends are seen too. `room` is how many bytes of frames may wait, at most; by the kernel's own reckoning.
    ///
    /// # Errors
    /// If there is no such interface, or the kernel refuses.
    pub fn receiver(interface: u32, protocol: u16, filter: Option<&Filter>, room: usize) -> io::Result<PacketSocket> {
        let socket = PacketSocket::sender()?;
        let fd = socket.0.as_fd();
        if let Some(filter) = filter {
            filter.set(fd)?;
        }
        set_receive_room(fd, room)?;
        message::set_number(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
        message::set_number(fd, libc::SOL_PACKET, PACKET_AUXDATA, 1)?;
        message::bind(fd, &link_address(interface, protocol))?;
        Ok(socket)
    }

    /// Has the interface take frames of every group, for as long as the socket is open: else it may take those of groups
    /// alone that this machine has joined.
    ///
    /// # Errors
    /// If there is no such interface.
    pub fn hear_every_group(&self, interface: u32) -> io::Result<()> {
        // struct packet_mreq: the interface, the kind, the length of an address that this kind has not, the address.
        let mut request = [0; 16];
        request[..4].copy_from_slice(&interface.to_ne_bytes());
        request[4..6].copy_from_slice(&PACKET_MR_ALLMULTI.to_ne_bytes());
        message::set_bytes(self.0.as_fd(), libc::SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request)
    }

    /// Sends a frame, which has its link header, of this protocol.
    ///
    /// # Errors
    /// If the interface is gone or down ([`io::ErrorKind::NetworkDown`]), or its queue is full.
    pub fn send(&self, interface: u32, protocol: u16, frame: &[u8]) -> io::Result<()> {
        message::send(self.0.as_fd(), &link_address(interface, protocol), &[], [frame])
    }

    /// The next frame, of which `buffer` gets the beginning; `None` if there is none now.
    ///
    /// # Errors
    /// If the interface went down, told once ([`io::ErrorKind::NetworkDown`]): the socket stays good for when it is up
    /// again.
    pub fn receive<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Option<Frame<'a>>> {
        let mut envelope = Envelope::new();
        if message::receive(self.0.as_fd(), buffer, &mut envelope)?.is_none() {
            return Ok(None);
        }
        // struct sockaddr_ll: family, protocol in the network's order, interface, kind of link, kind of packet.
        let [_, _, p0, p1, i0, i1, i2, i3, l0, l1, kind, ..] = *envelope.address();
        let mut frame = Frame {
            bytes: &[],
            length: envelope.length,
            interface: u32::from_ne_bytes([i0, i1, i2, i3]),
            link: u16::from_ne_bytes([l0, l1]),
            protocol: u16::from_be_bytes([p0, p1]),
            direction: direction(kind),
            time: Duration::ZERO,
            vlan: None,
        };
        for (level, kind, data) in envelope.control() {
            match (level, kind) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => frame.time = timestamp(data).unwrap_or_default(),
                (libc::SOL_PACKET, PACKET_AUXDATA) => frame.vlan = vlan(data),
                _ => {}
            }
        }
        let there = envelope.length.min(buffer.len());
        frame.bytes = &buffer[..there];
        Ok(Some(frame))
    }

    /// How many frames were lost since this was last asked, because nobody took them in time.
    ///
    /// # Errors
    /// Never, on an open socket.
    pub fn lost(&self) -> io::Result<u32> {
        // struct tpacket_stats: all that passed the filter, and of those the lost.
        let [_, _, _, _, lost @ ..] = message::option::<8>(self.0.as_fd(), libc::SOL_PACKET, PACKET_STATISTICS)?;
        Ok(u32::from_ne_bytes(lost))
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Gives a socket room for so many bytes that wait: past the system's limit where CAP_NET_ADMIN allows it, else up to it.
pub(crate) fn set_receive_room(socket: BorrowedFd<'_>, room: usize) -> io::Result<()> {
    let set = sockopt::set_socket_recv_buffer_size_force(socket, room);
    Ok(set.or_else(|_| sockopt::set_socket_recv_buffer_size(socket, room))?)
}

/// struct sockaddr_ll up to the address of the link, which is in the frame.
fn link_address(interface: u32, protocol: u16) -> [u8; size_of::<libc::sockaddr_ll>()] {
    let mut address = [0; size_of::<libc::sockaddr_ll>()];
    address[..2].copy_from_slice(&(libc::AF_PACKET as libc::sa_family_t).to_ne_bytes());
    address[2..4].copy_from_slice(&protocol.to_be_bytes());
    address[4..8].copy_from_slice(&interface.to_ne_bytes());
    address
}

fn direction(kind: u8) -> Direction {
    match kind {
        libc::PACKET_BROADCAST => Direction::Broadcast,
        libc::PACKET_MULTICAST => Direction::Multicast,
        libc::PACKET_OTHERHOST => Direction::ToOthers,
        libc::PACKET_OUTGOING => Direction::Sent,
        _ => Direction::ToUs,
    }
}

/// struct timespec.
fn timestamp(data: &[u8]) -> Option<Duration> {
    let seconds = libc::time_t::from_ne_bytes(field(data, 0)?);
    let nanos = libc::c_long::from_ne_bytes(field(data, size_of::<libc::time_t>())?);
    Some(Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanos).ok()?))
}

/// struct tpacket_auxdata: status, length and captured length (32 bits each); places of two headers, tag and protocol of
/// a VLAN (16 bits each).
fn vlan(data: &[u8]) -> Option<[u8; 4]> {
    let status = u32::from_ne_bytes(field(data, 0)?);
    let tag = u16::from_ne_bytes(field(data, 16)?).to_be_bytes();
    let protocol = match status & VLAN_PROTOCOL_SAID {
        0 => VLAN_PROTOCOL,
        _ => u16::from_ne_bytes(field(data, 18)?),
    };
    let [p0, p1] = protocol.to_be_bytes();
    (status & VLAN_TAKEN_OUT != 0).then_some([p0, p1, tag[0], tag[1]])
}

#[cfg(test)]
mod tests;
