//! A connection as the relay sees it: bytes in, bytes out, readiness, and the descriptor where the kernel can move bytes itself.
//!
//! What is no plain socket is a [`Layer`], each in a module of its own here.

mod coded;
mod fastcgi;
mod layer;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll, ready};

use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

pub(crate) use self::tls::{NoSession, Tls, Turns};
pub use coded::Coding;
pub(crate) use fastcgi::FastCgi;
pub(crate) use layer::{Begin, Layer};

/// A connected stream. All methods take `&self`, so both directions can be driven from one task.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Layer(Box<dyn Layer>),
}

macro_rules! each {
    ($stream:expr, $inner:ident => $body:expr, $layer:ident => $of_layer:expr) => {
        match $stream {
            Stream::Tcp($inner) => $body,
            Stream::Unix($inner) => $body,
            Stream::Layer($layer) => $of_layer,
        }
    };
}

impl Stream {
    /// Tells a layer of the request that is written next.
    pub(crate) fn begin(&self, request: Begin) {
        each!(self, _stream => {}, layer => layer.begin(request));
    }

    /// Ready when the peer has nothing more to do with the request whose answer was read to its end: whether the
    /// connection can carry another.
    pub(crate) fn poll_settled(&self, cx: &mut Context<'_>) -> Poll<bool> {
        each!(self, _stream => Poll::Ready(true), layer => layer.poll_settled(cx))
    }

    /// Has what is written until [`Stream::uncode`] leave coded, if that is worth it.
    pub(crate) fn code(&mut self, coding: Coding, is_head: bool, limits: http_proto::Limits) {
        let inner = std::mem::replace(self, Stream::Layer(Box::new(coded::Gone)));
        *self = coded::Coded::around(inner, coding, is_head, limits);
    }

    /// Takes [`Stream::code`] back.
    pub(crate) fn uncode(&mut self) {
        if let Stream::Layer(layer) = self
            && let Some(inner) = layer.take_off()
        {
            *self = inner;
        }
    }

    /// The address that the connection came to; `None` for a unix socket.
    pub(crate) fn reached(&self) -> Option<SocketAddr> {
        each!(self, stream => rustix::net::getsockname(stream).ok()?.try_into().ok(), layer => layer.reached())
    }

    /// Reads what there is into `buffer`; `Ok(0)` is the peer's end.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if let Stream::Layer(layer) = self {
            return layer.poll_read(cx, buffer);
        }
        loop {
            ready!(self.poll_read_ready(cx))?;
            match self.try_read(buffer) {
                Ok(read) => return Poll::Ready(Ok(read)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Reads what there is into `buffer`, if the runtime knows of something; `Ok(0)` is the peer's end.
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = each!(self, stream => stream.try_read(buffer), _layer => Err(io::ErrorKind::Unsupported.into()))?;
        if read > 0 && read < buffer.len() {
            self.mark_drained();
        }
        Ok(read)
    }

    /// Writes what can leave now of all `slices`, in their order.
    pub(crate) fn try_write_slices(&self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        each!(self, stream => stream.try_write_vectored(slices), _layer => Err(io::ErrorKind::Unsupported.into()))
    }

    /// Writes what can leave now; `WouldBlock` when nothing can. What is not said to be written has to be offered again,
    /// the same bytes first.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        each!(self, stream => stream.try_write(bytes), layer => layer.try_write(bytes))
    }

    /// Writes what can leave now of `first` and then `second`, in one call to the kernel if that is whom it goes to.
    pub(crate) fn try_write_two(&self, first: &[u8], second: &[u8]) -> io::Result<usize> {
        if second.is_empty() {
            return self.try_write(first);
        }
        let slices = [io::IoSlice::new(first), io::IoSlice::new(second)];
        each!(self, stream => stream.try_write_vectored(&slices), layer => layer.try_write_two(first, second))
    }

    /// Writes what can leave now of `bytes`, which more will follow at once.
    pub(crate) fn try_write_before_more(&self, bytes: &[u8]) -> io::Result<usize> {
        match self.socket() {
            Some(_) => self.try_write_io(|fd| Ok(rustix::net::send(fd, bytes, rustix::net::SendFlags::MORE)?)),
            None => self.try_write(bytes),
        }
    }

    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_read_ready(cx), layer => layer.poll_read_ready(cx))
    }

    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_write_ready(cx), layer => layer.poll_write_ready(cx))
    }

    /// The socket, if its bytes are the connection's, so that the kernel can move them.
    pub(crate) fn socket(&self) -> Option<BorrowedFd<'_>> {
        each!(self, stream => Some(stream.as_fd()), _layer => None)
    }

    /// Whether there is a [`Stream::try_splice`].
    pub(crate) fn can_splice(&self) -> bool {
        each!(self, _stream => true, layer => layer.can_splice())
    }

    /// Has the kernel move what there is, at most `want` bytes, into a pipe; `Ok(0)` is the peer's end. `Unsupported`: what
    /// comes next has to be read.
    pub(crate) fn try_splice(&self, pipe: BorrowedFd<'_>, want: usize) -> io::Result<usize> {
        match self {
            Stream::Layer(layer) => layer.try_splice(pipe, want),
            Stream::Tcp(_) | Stream::Unix(_) => self.try_read_io(|fd| linux::splice(fd, pipe, want)),
        }
    }

    /// Runs a system call that reads from the socket, keeping the runtime's readiness right.
    ///
    /// # Errors
    /// `Unsupported` where there is no [`Stream::socket`].
    pub(crate) fn try_read_io<T>(&self, call: impl FnOnce(BorrowedFd<'_>) -> io::Result<T>) -> io::Result<T> {
        each!(self,
            stream => stream.try_io(Interest::READABLE, || call(stream.as_fd())),
            _layer => Err(io::ErrorKind::Unsupported.into()))
    }

    /// Runs a system call that writes to the socket, keeping the runtime's readiness right.
    ///
    /// # Errors
    /// `Unsupported` where there is no [`Stream::socket`].
    pub(crate) fn try_write_io<T>(&self, call: impl FnOnce(BorrowedFd<'_>) -> io::Result<T>) -> io::Result<T> {
        each!(self,
            stream => stream.try_io(Interest::WRITABLE, || call(stream.as_fd())),
            _layer => Err(io::ErrorKind::Unsupported.into()))
    }

    /// How many of the bytes that wait can be seen, at most one; 0 is the peer's end. They stay where they are.
    pub(crate) fn peek(&self) -> io::Result<usize> {
        if let Stream::Layer(layer) = self {
            return layer.peek();
        }
        let mut byte = [0; 1];
        self.try_read_io(|fd| Ok(recv(fd, &mut byte, RecvFlags::PEEK)?.1))
    }

    /// Tells the peer that nothing more comes; it may still send.
    pub(crate) fn shutdown_write(&self) {
        each!(self, stream => drop(linux::shutdown_write(stream.as_fd())), layer => layer.shutdown_write());
    }

    /// Has the peer notice, when this is dropped, that what came was not the whole.
    pub(crate) fn cut(&self) {
        each!(self, stream => drop(linux::set_linger_zero(stream.as_fd())), layer => layer.cut());
    }

    /// How many bytes the peer's machine has acknowledged; `None` where that says nothing of what it was sent.
    pub(crate) fn bytes_acked(&self) -> Option<u64> {
        match self {
            Stream::Layer(layer) => layer.bytes_acked(),
            Stream::Tcp(_) | Stream::Unix(_) => linux::tcp_bytes_acked(self.socket()?).ok(),
        }
    }

    /// Whether the peer has said that it has not looked at what was written.
    pub(crate) fn is_untouched(&self) -> bool {
        matches!(self, Stream::Layer(layer) if layer.is_untouched())
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
        }, _layer => Ok(()));
    }
}
