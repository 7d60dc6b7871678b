use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

/// Descriptors that one call carries; the kernel's own limit (SCM_MAX_FD) is 253.
const FDS_PER_CALL: usize = 250;

/// A longer message is refused by both ends: a configuration of thousands of servers and its state stay far below.
const BODY_MAX: usize = 64 << 20;

/// More descriptors in a message are refused by both ends: a thousand binds on 64 cores.
const FDS_MAX: usize = 64_000;

/// Body length and descriptor count, four bytes each in the machine's own order: both ends are this program.
const HEADER: usize = 8;

/// One end of a connection between two of our processes that carries messages with open descriptors.
///
/// What is on the wire for each message: a header; one byte for every 250 descriptors, which ride on it; the body.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
}

/// The half of a [`Channel`] that sends.
#[derive(Debug)]
pub struct Sender {
    socket: OwnedFd,
    queue: VecDeque<Piece>,
}

/// The half of a [`Channel`] that receives.
#[derive(Debug)]
pub struct Receiver {
    socket: OwnedFd,
    bytes: Vec<u8>,
    fds: VecDeque<OwnedFd>,
}

/// A message that arrived.
#[derive(Debug)]
pub struct Received {
    /// Its bytes.
    pub body: Vec<u8>,
    /// Its descriptors, in the order in which they were sent, closed on exec.
    pub fds: Vec<OwnedFd>,
}

/// Bytes that leave together; `fds` ride on the first of them.
#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    sent: usize,
    fds: Vec<OwnedFd>,
}

impl Channel {
    /// Two connected ends, both closed on exec.
    ///
    /// # Errors
    /// If no descriptor is left.
    pub fn pair() -> io::Result<(Channel, Channel)> {
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        Ok((Channel { socket: one }, Channel { socket: other }))
    }

    /// The end that `socket` is.
    pub fn from_fd(socket: OwnedFd) -> Channel {
        Channel { socket }
    }

    /// The socket, for a process that is about to be started.
    pub fn into_fd(self) -> OwnedFd {
        self.socket
    }

    /// The two directions, for two owners.
    ///
    /// # Errors
    /// If no descriptor is left.
    pub fn split(self) -> io::Result<(Sender, Receiver)> {
        self.resume(Vec::new())
    }

    /// The two directions, where a [`Receiver`] that is gone had received the beginning of a message.
    ///
    /// # Errors
    /// If no descriptor is left.
    pub fn resume(self, received: Vec<u8>) -> io::Result<(Sender, Receiver)> {
        let socket = self.socket.try_clone()?;
        let sender = Sender { socket, queue: VecDeque::new() };
        let receiver = Receiver { socket: self.socket, bytes: received, fds: VecDeque::new() };
        Ok((sender, receiver))
    }
}

impl Sender {
    /// Puts a message into the queue; nothing is sent before [`flush`](Sender::flush) or [`try_flush`](Sender::try_flush).
    ///
    /// # Errors
    /// If it is over 64 MiB, or has over 64000 descriptors.
    pub fn queue(&mut self, body: Vec<u8>, fds: Vec<OwnedFd>) -> io::Result<()> {
        if body.len() > BODY_MAX || fds.len() > FDS_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "message too large"));
        }
        let mut header = Vec::with_capacity(HEADER);
        header.extend_from_slice(&(body.len() as u32).to_ne_bytes());
        header.extend_from_slice(&(fds.len() as u32).to_ne_bytes());
        self.queue.push_back(Piece { bytes: header, sent: 0, fds: Vec::new() });
        let mut fds = fds.into_iter();
        loop {
            let chunk: Vec<OwnedFd> = fds.by_ref().take(FDS_PER_CALL).collect();
            if chunk.is_empty() {
                break;
            }
            self.queue.push_back(Piece { bytes: vec![0], sent: 0, fds: chunk });
        }
        if !body.is_empty() {
            self.queue.push_back(Piece { bytes: body, sent: 0, fds: Vec::new() });
        }
        Ok(())
    }

    /// Sends all that is queued, waiting as long as the other end takes.
    ///
    /// # Errors
    /// If the other end is gone.
    pub fn flush(&mut self) -> io::Result<()> {
        self.send_queued(SendFlags::NOSIGNAL)
    }

    /// Sends what the other end takes at once.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if something stays queued, else if the other end is gone.
    pub fn try_flush(&mut self) -> io::Result<()> {
        self.send_queued(SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
    }

    /// Sends a message, waiting as long as the other end takes.
    ///
    /// # Errors
    /// As [`queue`](Sender::queue) and [`flush`](Sender::flush).
    pub fn send(&mut self, body: Vec<u8>, fds: Vec<OwnedFd>) -> io::Result<()> {
        self.queue(body, fds)?;
        self.flush()
    }

    fn send_queued(&mut self, flags: SendFlags) -> io::Result<()> {
        while let Some(piece) = self.queue.front_mut() {
            match piece.send(&self.socket, flags) {
                Ok(()) if piece.sent == piece.bytes.len() => {
                    self.queue.pop_front();
                }
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl AsFd for Sender {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Piece {
    fn send(&mut self, socket: &OwnedFd, flags: SendFlags) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_PER_CALL))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let borrowed: Vec<BorrowedFd<'_>> = self.fds.iter().map(AsFd::as_fd).collect();
        if !borrowed.is_empty() {
            let fits = control.push(SendAncillaryMessage::ScmRights(&borrowed));
            assert!(fits, "a piece never carries more descriptors than the space is made for");
        }
        let bytes = IoSlice::new(&self.bytes[self.sent..]);
        self.sent += sendmsg(socket, &[bytes], &mut control, flags)?;
        self.fds.clear();
        Ok(())
    }
}

impl Receiver {
    /// The next message, waiting for it; `None` when the other end is gone.
    ///
    /// # Errors
    /// If what arrives is no message of ours, or no descriptor is left to take one in.
    pub fn receive(&mut self) -> io::Result<Option<Received>> {
        self.receive_with(RecvFlags::CMSG_CLOEXEC)
    }

    /// The next message if it is here whole.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if it is not, else as [`receive`](Receiver::receive).
    pub fn try_receive(&mut self) -> io::Result<Option<Received>> {
        self.receive_with(RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT)
    }

    /// Its socket, and what it received of a message that is not here whole: for [`Channel::resume`], which knows of no
    /// descriptors; those of such a message are lost.
    pub fn into_parts(self) -> (OwnedFd, Vec<u8>) {
        (self.socket, self.bytes)
    }

    fn receive_with(&mut self, flags: RecvFlags) -> io::Result<Option<Received>> {
        loop {
            if let Some(received) = self.take_message()? {
                return Ok(Some(received));
            }
            match self.read_more(flags) {
                Ok(0) if self.bytes.is_empty() => return Ok(None),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    fn take_message(&mut self) -> io::Result<Option<Received>> {
        let Some((header, _)) = self.bytes.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let [a, b, c, d, e, f, g, h] = *header;
        let body_len = u32::from_ne_bytes([a, b, c, d]) as usize;
        let fd_count = u32::from_ne_bytes([e, f, g, h]) as usize;
        if body_len > BODY_MAX || fd_count > FDS_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a message of ours"));
        }
        let body_at = HEADER + fd_count.div_ceil(FDS_PER_CALL);
        if self.bytes.len() < body_at + body_len {
            return Ok(None);
        }
        if self.fds.len() < fd_count {
            // The kernel leaves out those that do not fit the table (RLIMIT_NOFILE) and says nothing.
            return Err(io::Error::new(io::ErrorKind::InvalidData, "descriptors were lost"));
        }
        let body = self.bytes[body_at..body_at + body_len].to_vec();
        self.bytes.drain(..body_at + body_len);
        let fds = self.fds.drain(..fd_count).collect();
        Ok(Some(Received { body, fds }))
    }

    fn read_more(&mut self, flags: RecvFlags) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_PER_CALL))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut buffer = [0; 64 * 1024];
        let count = {
            let mut slices = [IoSliceMut::new(&mut buffer)];
            recvmsg(&self.socket, &mut slices, &mut control, flags)?.bytes
        };
        self.bytes.extend_from_slice(&buffer[..count]);
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                self.fds.extend(fds);
            }
        }
        Ok(count)
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};

    use super::*;

    fn pipes(count: usize) -> (Vec<OwnedFd>, Vec<File>) {
        (0..count)
            .map(|_| {
                let (read, write) = rustix::pipe::pipe().unwrap();
                (read, File::from(write))
            })
            .unzip()
    }

    #[test]
    fn messages_arrive_whole_and_in_order_with_their_descriptors() {
        let (here, there) = Channel::pair().unwrap();
        let (mut sender, _) = here.split().unwrap();
        let (_, mut receiver) = there.split().unwrap();
        let (reads, mut writes) = pipes(3);
        sender.send(b"first".to_vec(), reads).unwrap();
        sender.send(Vec::new(), Vec::new()).unwrap();
        let first = receiver.receive().unwrap().unwrap();
        assert_eq!(first.body, b"first");
        assert_eq!(first.fds.len(), 3);
        writes[1].write_all(b"m").unwrap();
        let mut got = [0; 1];
        File::from(first.fds.into_iter().nth(1).unwrap()).read_exact(&mut got).unwrap();
        assert_eq!(&got, b"m");
        let second = receiver.receive().unwrap().unwrap();
        assert!(second.body.is_empty() && second.fds.is_empty());
    }

    #[test]
    fn a_message_larger_than_the_socket_and_with_hundreds_of_descriptors_passes() {
        let (here, there) = Channel::pair().unwrap();
        let (mut sender, _) = here.split().unwrap();
        let (_, mut receiver) = there.split().unwrap();
        let file = tempfile::tempfile().unwrap();
        let fds = (0..600).map(|_| OwnedFd::from(file.try_clone().unwrap())).collect();
        let writer = std::thread::spawn(move || sender.send(vec![b'x'; 5 << 20], fds).unwrap());
        let got = receiver.receive().unwrap().unwrap();
        writer.join().unwrap();
        assert_eq!(got.body.len(), 5 << 20);
        assert_eq!(got.fds.len(), 600);
    }

    #[test]
    fn neither_direction_waits_when_asked_not_to() {
        let (here, there) = Channel::pair().unwrap();
        let (mut sender, _) = here.split().unwrap();
        let (_, mut receiver) = there.split().unwrap();
        assert_eq!(receiver.try_receive().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        sender.queue(vec![b'x'; 5 << 20], Vec::new()).unwrap();
        assert_eq!(sender.try_flush().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let got = loop {
            match receiver.try_receive() {
                Ok(got) => break got.unwrap(),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
            let _ = sender.try_flush();
        };
        assert_eq!(got.body.len(), 5 << 20);
    }

    #[test]
    fn the_end_is_told_and_an_unfinished_message_is_an_error() {
        let (here, there) = Channel::pair().unwrap();
        let (_, mut receiver) = there.split().unwrap();
        drop(here);
        assert!(receiver.receive().unwrap().is_none());

        let (here, there) = Channel::pair().unwrap();
        let (_, mut receiver) = there.split().unwrap();
        rustix::io::write(here.into_fd(), &[9, 0, 0, 0, 0, 0, 0, 0, b'x']).unwrap();
        assert_eq!(receiver.receive().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_message_that_is_half_here_is_received_whole_by_the_next_receiver() {
        let (here, there) = Channel::pair().unwrap();
        let (_, mut receiver) = there.split().unwrap();
        let socket = here.into_fd();
        rustix::io::write(&socket, &[3, 0, 0, 0, 0, 0, 0, 0, b'o']).unwrap();
        assert_eq!(receiver.try_receive().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let (taken, received) = receiver.into_parts();
        let (_, mut next) = Channel::from_fd(taken).resume(received).unwrap();
        rustix::io::write(&socket, b"ne").unwrap();
        assert_eq!(next.receive().unwrap().unwrap().body, b"one");
    }

    #[test]
    fn noise_is_refused_and_not_allocated_for() {
        let (here, there) = Channel::pair().unwrap();
        let (_, mut receiver) = there.split().unwrap();
        rustix::io::write(here.into_fd(), &[0xff; 8]).unwrap();
        assert_eq!(receiver.receive().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
