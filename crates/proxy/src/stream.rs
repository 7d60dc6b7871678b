//! A connection as the relay sees it: bytes in, bytes out, readiness, and the descriptor where the kernel can move bytes itself.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll, ready};

use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

/// A connected stream. All methods take `&self`, so both directions can be driven from one task.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

macro_rules! each {
    ($stream:expr, $inner:ident => $body:expr) => {
        match $stream {
            Stream::Tcp($inner) => $body,
            Stream::Unix($inner) => $body,
        }
    };
}

impl Stream {
    /// The address that the connection came to; `None` for a unix socket.
    pub(crate) fn reached(&self) -> Option<SocketAddr> {
        rustix::net::getsockname(self.as_fd()).ok()?.try_into().ok()
    }

    /// Reads what there is into `buffer`; `Ok(0)` is the peer's end.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_read_ready(cx))?;
            match each!(self, stream => stream.try_read(buffer)) {
                Ok(read) => {
                    if read > 0 && read < buffer.len() {
                        self.mark_drained();
                    }
                    return Poll::Ready(Ok(read));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Writes what fits now; `WouldBlock` when nothing does.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        each!(self, stream => stream.try_write(bytes))
    }

    /// Writes what fits now of `first` and then `second`, in one call to the kernel.
    pub(crate) fn try_write_two(&self, first: &[u8], second: &[u8]) -> io::Result<usize> {
        if second.is_empty() {
            return self.try_write(first);
        }
        let slices = [io::IoSlice::new(first), io::IoSlice::new(second)];
        each!(self, stream => stream.try_write_vectored(&slices))
    }

    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_read_ready(cx))
    }

    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_write_ready(cx))
    }

    /// Runs a system call that reads from the descriptor, keeping the runtime's readiness right.
    pub(crate) fn try_read_io<T>(&self, call: impl FnOnce(BorrowedFd<'_>) -> io::Result<T>) -> io::Result<T> {
        each!(self, stream => stream.try_io(Interest::READABLE, || call(stream.as_fd())))
    }

    /// Runs a system call that writes to the descriptor, keeping the runtime's readiness right.
    pub(crate) fn try_write_io<T>(&self, call: impl FnOnce(BorrowedFd<'_>) -> io::Result<T>) -> io::Result<T> {
        each!(self, stream => stream.try_io(Interest::WRITABLE, || call(stream.as_fd())))
    }

    /// How many of the bytes that wait can be seen, at most one; 0 is the peer's end. They stay where they are.
    pub(crate) fn peek(&self) -> io::Result<usize> {
        let mut byte = [0; 1];
        self.try_read_io(|fd| Ok(recv(fd, &mut byte, RecvFlags::PEEK)?.1))
    }

    /// Has the kernel send whole segments only, until this is taken back.
    pub(crate) fn set_cork(&self, corked: bool) {
        if let Stream::Tcp(stream) = self {
            // Without it the same bytes take more packets.
            let _ = rustix::net::sockopt::set_tcp_cork(stream, corked);
        }
    }

    /// Tells the runtime that the socket holds nothing more, as a short read has just shown:
    /// the next read then waits for an event instead of asking the kernel in vain.
    fn mark_drained(&self) {
        let _ = each!(self, stream => {
            stream.try_io(Interest::READABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into()))
        });
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        each!(self, stream => stream.as_fd())
    }
}
