//! TLS on a socket.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use tls::{Peer, Read, Session, SessionError};

use super::{Layer, Stream};
use crate::timer::Timer;

/// A connection whose bytes are encrypted.
#[derive(Debug)]
pub(crate) struct Tls {
    below: Stream,
    session: RefCell<Session>,
    /// How many bytes are encrypted already that have not been said to be written.
    owed: Cell<usize>,
}

/// Why there is no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoSession {
    /// TLS itself.
    Refused(SessionError),
    /// The peer went away.
    Gone,
    /// It took too long.
    TimedOut,
}

impl Tls {
    /// Shakes hands; `early` is what has been read of the peer before.
    ///
    /// # Errors
    /// Why there is no session. The peer has been told, if it can be told at once.
    pub(crate) async fn shake_hands(
        below: Stream,
        session: Session,
        early: &[u8],
        timer: &mut Timer,
    ) -> Result<(Tls, Peer), NoSession> {
        let tls = Tls { below, session: RefCell::new(session), owed: Cell::new(0) };
        tls.take_early(early)?;
        poll_fn(|cx| match tls.poll_hands(cx) {
            Poll::Pending => timer.poll_expired(cx).map(|()| Err(NoSession::TimedOut)),
            ready => ready,
        })
        .await?;
        let peer = tls.session.borrow().peer().ok_or(NoSession::Gone)?;
        Ok((tls, peer))
    }

    fn take_early(&self, mut early: &[u8]) -> Result<(), NoSession> {
        while !early.is_empty() {
            let taken = self.session.borrow_mut().read_tls(&mut early).map_err(|_| NoSession::Gone)?;
            taken.map_err(|error| self.refuse(error))?;
        }
        Ok(())
    }

    fn poll_hands(&self, cx: &mut Context<'_>) -> Poll<Result<(), NoSession>> {
        loop {
            let is_flushed = self.flush().map_err(|_| NoSession::Gone)?;
            if !self.session.borrow().is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            if !is_flushed {
                ready!(self.below.poll_write_ready(cx)).map_err(|_| NoSession::Gone)?;
                continue;
            }
            ready!(self.below.poll_read_ready(cx)).map_err(|_| NoSession::Gone)?;
            match self.take_in() {
                Ok(Ok(0)) => return Poll::Ready(Err(NoSession::Gone)),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Poll::Ready(Err(self.refuse(error))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Poll::Ready(Err(NoSession::Gone)),
            }
        }
    }

    /// Tells the peer why, if that can be sent at once.
    fn refuse(&self, error: SessionError) -> NoSession {
        let _ = self.flush();
        NoSession::Refused(error)
    }

    /// Reads and decrypts once.
    fn take_in(&self) -> io::Result<Result<usize, SessionError>> {
        self.session.borrow_mut().read_tls(&mut Below(&self.below))
    }

    /// Sends what is encrypted; `false`: the socket does not take all of it now.
    fn flush(&self) -> io::Result<bool> {
        let mut session = self.session.borrow_mut();
        while session.wants_write() {
            match session.write_tls(&mut Below(&self.below)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

impl Layer for Tls {
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_read_ready(cx))?;
        Poll::Ready(match self.session.borrow_mut().read(buffer)? {
            Read::Bytes(read) => Ok(read),
            Read::End => Ok(0),
            Read::Nothing => Err(io::ErrorKind::WouldBlock.into()),
        })
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        if !self.flush()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let owed = self.owed.replace(0).min(bytes.len());
        let taken = owed + self.session.borrow_mut().write(&bytes[owed..]);
        if self.flush()? {
            return Ok(taken);
        }
        // The last byte is said to be written when everything before it has left.
        self.owed.set(1);
        match taken.saturating_sub(1) {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            said => Ok(said),
        }
    }

    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.session.borrow_mut().peek()? != Read::Nothing {
                return Poll::Ready(Ok(()));
            }
            ready!(self.below.poll_read_ready(cx))?;
            match self.take_in() {
                // What the peer's own protocol wants answered goes with what is written next, if it cannot go now.
                Ok(Ok(_)) => drop(self.flush()),
                Ok(Err(_)) => {
                    let _ = self.flush();
                    return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.below.poll_write_ready(cx)
    }

    fn peek(&self) -> io::Result<usize> {
        match self.session.borrow_mut().peek()? {
            Read::Bytes(_) => Ok(1),
            Read::End => Ok(0),
            Read::Nothing => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn shutdown_write(&self) {
        self.session.borrow_mut().close();
        let _ = self.flush();
        self.below.shutdown_write();
    }

    fn cut(&self) {
        self.below.cut();
    }

    fn reached(&self) -> Option<SocketAddr> {
        self.below.reached()
    }
}

/// An orderly end is told to the peer, whoever ends the connection.
impl Drop for Tls {
    fn drop(&mut self) {
        self.session.borrow_mut().close();
        let _ = self.flush();
    }
}

/// The socket, for a session.
struct Below<'a>(&'a Stream);

impl io::Read for Below<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl io::Write for Below<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_slices(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
