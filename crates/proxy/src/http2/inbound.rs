use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};

use http_proto::http2::{Key, Ready, WriteError};

use super::link::Link;
use crate::stream::Layer;

/// One stream of a client's connection: its request is read as HTTP/1, the answer is written in HTTP/1.
#[derive(Debug)]
pub(super) struct Inbound {
    link: Rc<Link>,
    key: Key,
}

impl Inbound {
    pub(super) fn new(link: Rc<Link>, key: Key) -> Inbound {
        Inbound { link, key }
    }

    fn ready(&self) -> Ready {
        self.link.core.borrow().ready(self.key)
    }
}

impl Layer for Inbound {
    fn poll_read(&self, cx: &mut TaskContext<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.ready() {
            Ready::Bytes => {
                let read = self.link.core.borrow_mut().read(self.key, buffer);
                self.link.nudge();
                Poll::Ready(Ok(read))
            }
            Ready::End => Poll::Ready(Ok(0)),
            Ready::Gone => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            Ready::Nothing | Ready::Over => {
                self.link.wait(self.key, cx);
                Poll::Pending
            }
        }
    }

    /// A request that is whole is followed by nothing: only the client's going away is.
    fn poll_read_ready(&self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        match self.ready() {
            Ready::Bytes | Ready::End | Ready::Gone => Poll::Ready(Ok(())),
            Ready::Nothing | Ready::Over => {
                self.link.wait(self.key, cx);
                Poll::Pending
            }
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.link.core.borrow_mut().write(self.key, bytes);
        self.link.nudge();
        written.map_err(|error| match error {
            WriteError::Blocked => io::ErrorKind::WouldBlock.into(),
            WriteError::Gone => io::ErrorKind::BrokenPipe.into(),
            WriteError::Malformed => io::ErrorKind::InvalidData.into(),
        })
    }

    fn poll_write_ready(&self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        if self.link.core.borrow_mut().may_write(self.key) {
            return Poll::Ready(Ok(()));
        }
        self.link.wait(self.key, cx);
        Poll::Pending
    }

    fn peek(&self) -> io::Result<usize> {
        match self.ready() {
            Ready::Bytes => Ok(1),
            Ready::End | Ready::Gone => Ok(0),
            Ready::Nothing | Ready::Over => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn shutdown_write(&self) {
        self.link.core.borrow_mut().end(self.key);
        self.link.nudge();
    }

    fn cut(&self) {
        self.link.core.borrow_mut().cut(self.key);
        self.link.nudge();
    }

    fn reached(&self) -> Option<SocketAddr> {
        self.link.reached
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        self.link.release(self.key);
    }
}
