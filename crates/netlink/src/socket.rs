//! The socket: datagrams of the kernel, and of nobody else.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recvfrom, sendto, socket_with,
    sockopt,
};

/// The longest datagram: the kernel makes its lists' no longer than 32 KiB, and few other messages come near.
pub(crate) const DATAGRAM_MAX: usize = 64 * 1024;

/// What the kernel counts beside a datagram's bytes: 32 of them, and room to spare.
const SEND_OVERHEAD: usize = 4096;

#[derive(Debug)]
pub(crate) struct Socket {
    descriptor: OwnedFd,
    buffer: Vec<u8>,
}

/// What there was to receive.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received<'a> {
    /// A whole datagram.
    Datagram(&'a [u8]),
    /// A datagram that is too long, and lost.
    TooLong,
    /// Nothing, for now.
    Nothing,
}

impl Socket {
    /// A socket that also hears of changes of these groups, a bit for each.
    pub(crate) fn open(groups: u32) -> io::Result<Socket> {
        Socket::open_with(None, groups)
    }

    /// The same of another protocol than NETLINK_ROUTE.
    pub(crate) fn open_with(protocol: Option<Protocol>, groups: u32) -> io::Result<Socket> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let descriptor = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
        bind(&descriptor, &SocketAddrNetlink::new(0, groups))?;
        Ok(Socket { descriptor, buffer: vec![0; DATAGRAM_MAX] })
    }

    /// Asks for room for this many bytes of datagrams that are not received yet; without CAP_NET_ADMIN it may be less.
    pub(crate) fn ask_for_room(&self, bytes: usize) {
        if sockopt::set_socket_recv_buffer_size_force(&self.descriptor, bytes).is_err() {
            // Less room is lost events sooner, which are told.
            let _ = sockopt::set_socket_recv_buffer_size(&self.descriptor, bytes);
        }
    }

    /// Sees to it that this many bytes can be sent as one datagram, where CAP_NET_ADMIN is held.
    pub(crate) fn ask_to_send(&self, bytes: usize) {
        let known = sockopt::socket_send_buffer_size(&self.descriptor).unwrap_or_default();
        if known < bytes + SEND_OVERHEAD {
            // Without the right to it, what is too long is refused.
            let _ = sockopt::set_socket_send_buffer_size_force(&self.descriptor, bytes + SEND_OVERHEAD);
        }
    }

    /// Hands requests to the kernel, which obeys them before this returns.
    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let kernel = SocketAddrNetlink::new(0, 0);
        loop {
            match sendto(&self.descriptor, bytes, SendFlags::empty(), &kernel) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The kernel's next datagram, if there is one. Others can send to this socket too; theirs are dropped.
    pub(crate) fn receive(&mut self) -> io::Result<Received<'_>> {
        let length = loop {
            match recvfrom(&self.descriptor, &mut self.buffer[..], RecvFlags::TRUNC | RecvFlags::DONTWAIT) {
                Ok((_, length, sender)) => {
                    let sender = sender.and_then(|address| SocketAddrNetlink::try_from(address).ok());
                    if sender.is_some_and(|address| address.pid() == 0) {
                        break length;
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return Ok(Received::Nothing),
                Err(error) => return Err(error.into()),
            }
        };
        Ok(self.buffer.get(..length).map_or(Received::TooLong, Received::Datagram))
    }

    /// Waits until there is something to receive; `false` when the deadline is over.
    pub(crate) fn wait(&self, deadline: Instant) -> io::Result<bool> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
            match poll(&mut [PollFd::new(&self.descriptor, PollFlags::IN)], Some(&left)) {
                Ok(ready) => return Ok(ready > 0),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
