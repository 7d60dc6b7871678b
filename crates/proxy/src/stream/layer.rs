use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::task::{Context, Poll};

use super::Stream;

use crate::http::Body;

/// Something that carries an HTTP/1 connection's bytes in its own way: TLS, one stream of HTTP/2, an application's
/// protocol. To the relay it is a socket, except that the kernel cannot move its bytes by itself, unless
/// [`Layer::can_splice`].
///
/// All methods take `&self`, so that both directions can be driven from one task.
pub(crate) trait Layer: Debug {
    /// Reads what there is into `buffer`, which is not empty; `Ok(0)` is the peer's end.
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes what can leave now; `WouldBlock` when nothing can. What it does not say is written has to be offered
    /// again, the same bytes first: a layer may have turned them into its own already. So, nothing that was said to be
    /// written is held back here.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// The same for `first` and then `second`, if possible in one go.
    fn try_write_two(&self, first: &[u8], second: &[u8]) -> io::Result<usize> {
        let written = self.try_write(first)?;
        match written == first.len() {
            true => Ok(written + self.try_write(second).unwrap_or(0)),
            false => Ok(written),
        }
    }

    /// Ready when [`Layer::poll_read`] would be: bytes for the relay, the end or an error. What is of the layer's own
    /// protocol alone is dealt with meanwhile.
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ready when [`Layer::try_write`] may write something.
    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// How many of the bytes that wait can be seen, at most one; 0 is the peer's end. They stay where they are.
    fn peek(&self) -> io::Result<usize>;

    /// Tells the peer that nothing more comes; it may still send.
    fn shutdown_write(&self);

    /// Has the peer notice, when this is dropped, that what came was not the whole.
    fn cut(&self);

    /// The address that the connection below came to.
    fn reached(&self) -> Option<SocketAddr>;

    /// Whether the peer has said that it has not looked at what was written.
    fn is_untouched(&self) -> bool {
        false
    }

    /// How many bytes the peer's machine has acknowledged, where that stands still if it has seen nothing of what was
    /// written since; `None` where it says nothing.
    fn bytes_acked(&self) -> Option<u64> {
        None
    }

    /// Whether there is a [`Layer::try_splice`].
    fn can_splice(&self) -> bool {
        false
    }

    /// Has the kernel move bytes that are the relay's as they come, at most `want`, into a pipe; 0 is the peer's end.
    /// `Unsupported`: what comes next has to be read.
    fn try_splice(&self, _pipe: BorrowedFd<'_>, _want: usize) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The connection below, for a layer that is put around one for a while.
    fn take_off(&mut self) -> Option<Stream> {
        None
    }

    /// Is told of the request that is written next.
    fn begin(&self, _request: Begin) {}

    /// Ready when the peer has nothing more to do with the request whose answer was read to its end: whether the
    /// connection can carry another.
    fn poll_settled(&self, _cx: &mut Context<'_>) -> Poll<bool> {
        Poll::Ready(true)
    }
}

/// What a layer has to know of a request that it carries.
#[derive(Debug)]
pub(crate) struct Begin {
    /// How many of the bytes that come are in the layer's own form already.
    pub(crate) ready: usize,
    /// What comes after them, as the client frames it.
    pub(crate) body: Body,
    pub(crate) is_head: bool,
    /// Whether the client waits to be told before it sends the body.
    pub(crate) expects_continue: bool,
}
