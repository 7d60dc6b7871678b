//! The shell: frames of interfaces as they come.

use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use linux::{EVERY_PROTOCOL, PacketSocket};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, SocketType};
use units::Instant;

use crate::filter::{SERVERS_MAX, filter};
use crate::{Interface, Link, Packet, Topics};

/// Frames of one interface that wait to be taken, by the kernel's reckoning. Of more, some are lost, and counted.
const WAITING_BYTES: usize = 4 << 20;

/// The longest frame: the filter lets no more of one through, and no link has longer ones.
const FRAME_BYTES: usize = 1 << 18;

/// A VLAN's tag goes after two addresses of Ethernet.
const TAG_AT: usize = 12;
const TAG_BYTES: usize = 4;

/// What InfiniBand has before a packet: protocol, and nothing.
const INFINIBAND_HEADER: usize = 4;

/// What a packet of InfiniBand gets instead: tcpdump's own header.
const COOKED_HEADER: usize = 20;

/// Bytes before a frame, for a tag or another header.
const BEFORE: usize = COOKED_HEADER;

/// Kinds of links (linux/if_arp.h): ARPHRD_ETHER, ARPHRD_LOOPBACK, ARPHRD_NONE, ARPHRD_INFINIBAND.
const KIND_ETHERNET: u16 = 1;
const KIND_LOOPBACK: u16 = 772;
const KIND_NONE: u16 = 65534;
const KIND_INFINIBAND: u16 = 32;

/// Why nothing can be recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not on this machine.
    #[error("there is no interface {0}")]
    NoInterface(String),
    /// It lacks CAP_NET_RAW.
    #[error("only root, or who has CAP_NET_RAW, sees an interface's frames")]
    NotAllowed,
    /// See [`SERVERS_MAX`].
    #[error("connections of at most {SERVERS_MAX} servers are recorded")]
    TooManyServers,
    /// The system refuses.
    #[error("{0}: {1}")]
    Interface(String, #[source] io::Error),
}

/// Frames of some interfaces.
#[derive(Debug)]
pub struct Recorder {
    interfaces: Vec<Recorded>,
    buffer: Vec<u8>,
    /// Where the next look begins, so that a busy interface leaves room for the others.
    next: usize,
}

#[derive(Debug)]
struct Recorded {
    name: String,
    /// What its frames begin with, once there was one.
    interface: Interface,
    socket: PacketSocket,
}

/// Why [`Recorder::wait`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Frames have come, or the time is over.
    Look,
    /// The descriptor is readable.
    Stop,
}

impl Recorder {
    /// Begins to record what is of these topics, and connections to these servers.
    ///
    /// # Errors
    /// If an interface is not there or may not be looked at.
    pub fn open(names: &[String], topics: Topics, servers: &[SocketAddr]) -> Result<Recorder, RecordError> {
        let filter = filter(topics, servers).ok_or(RecordError::TooManyServers)?;
        let any = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)
            .map_err(|error| RecordError::Interface("a socket".to_owned(), error.into()))?;
        let open = |name: &String| {
            let index = name_to_index(&any, name).map_err(|_| RecordError::NoInterface(name.clone()))?;
            let socket = PacketSocket::receiver(index, EVERY_PROTOCOL, Some(&filter), WAITING_BYTES);
            let refused = |error: io::Error| match error.kind() {
                io::ErrorKind::PermissionDenied => RecordError::NotAllowed,
                _ => RecordError::Interface(name.clone(), error),
            };
            let socket = socket.map_err(refused)?;
            // One that cannot hears what this machine has joined.
            let _ = socket.hear_every_group(index);
            let interface = Interface { name: Some(name.clone()), link: Link::ETHERNET };
            Ok(Recorded { name: name.clone(), interface, socket })
        };
        let interfaces = names.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Recorder { interfaces, buffer: vec![0; BEFORE + FRAME_BYTES], next: 0 })
    }

    /// Waits for a frame, for `stop` to be readable, or for so long.
    ///
    /// # Errors
    /// As poll(2).
    pub fn wait(&self, stop: BorrowedFd<'_>, longest: Option<Duration>) -> io::Result<Wake> {
        let mut fds = vec![PollFd::from_borrowed_fd(stop, PollFlags::IN)];
        fds.extend(self.interfaces.iter().map(|recorded| PollFd::new(&recorded.socket, PollFlags::IN)));
        let longest = longest.and_then(|longest| Timespec::try_from(longest).ok());
        match poll(&mut fds, longest.as_ref()) {
            Ok(_) if !fds[0].revents().is_empty() => Ok(Wake::Stop),
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(Wake::Look),
            Err(error) => Err(error.into()),
        }
    }

    /// The next frame that has come and its interface, by its place among those that were opened; `None` if there is none
    /// now.
    ///
    /// # Errors
    /// If the system does not go on, with the interface's name.
    pub fn receive(&mut self) -> Result<Option<(&Interface, Packet<'_>)>, RecordError> {
        let count = self.interfaces.len();
        for turn in 0..count {
            let place = (self.next + turn) % count;
            let recorded = &self.interfaces[place];
            let frame = match recorded.socket.receive(&mut self.buffer[BEFORE..]) {
                Ok(Some(frame)) => frame,
                Ok(None) => continue,
                Err(error) if error.kind() == io::ErrorKind::NetworkDown => continue,
                Err(error) => return Err(RecordError::Interface(recorded.name.clone(), error)),
            };
            let (kind, length, protocol) = (frame.link, frame.length, frame.protocol);
            let (time, vlan, there) = (frame.time, frame.vlan, frame.bytes.len());
            self.next = place + 1;
            let time = Instant::from_nanos(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
            let (link, start, added) = match (kind, vlan) {
                (KIND_ETHERNET | KIND_LOOPBACK, Some(tag)) if there >= TAG_AT => {
                    let start = BEFORE - TAG_BYTES;
                    self.buffer.copy_within(BEFORE..BEFORE + TAG_AT, start);
                    self.buffer[start + TAG_AT..BEFORE + TAG_AT].copy_from_slice(&tag);
                    (Link::ETHERNET, start, TAG_BYTES as isize)
                }
                (KIND_ETHERNET | KIND_LOOPBACK, _) => (Link::ETHERNET, BEFORE, 0),
                (KIND_INFINIBAND, _) if there >= INFINIBAND_HEADER => {
                    let start = BEFORE + INFINIBAND_HEADER - COOKED_HEADER;
                    let header = &mut self.buffer[start..start + COOKED_HEADER];
                    header.fill(0);
                    header[..2].copy_from_slice(&protocol.to_be_bytes());
                    header[8..10].copy_from_slice(&kind.to_be_bytes());
                    (Link::LINUX_SLL2, start, (COOKED_HEADER - INFINIBAND_HEADER) as isize)
                }
                (KIND_NONE, _) => (Link::RAW, BEFORE, 0),
                // Of such a link nothing is known.
                _ => continue,
            };
            let interface = &mut self.interfaces[place].interface;
            interface.link = link;
            let bytes = &self.buffer[start..BEFORE + there];
            let length = u32::try_from(length.saturating_add_signed(added)).unwrap_or(u32::MAX);
            return Ok(Some((interface, Packet { time, interface: place as u32, bytes, length })));
        }
        Ok(None)
    }

    /// Frames that were lost since this was last asked, because they came faster than they were taken.
    pub fn lost(&self) -> u64 {
        self.interfaces.iter().map(|recorded| u64::from(recorded.socket.lost().unwrap_or(0))).sum()
    }
}
