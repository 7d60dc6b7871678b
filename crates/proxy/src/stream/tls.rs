//! TLS on a socket.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use tls::{Peer, Read, Session, SessionError};
use tokio::sync::Semaphore;

use super::{Layer, Stream};
use crate::reason::{Reason, Told};

/// What one read of ciphertext takes at most; together with a record that is not whole yet its plaintext fits into
/// a worker's read buffer.
const CIPHERTEXT_BYTES: usize = 44 * 1024;

/// Steps of handshakes that a worker takes before it looks after its other connections: of clients that all come at once,
/// each costs as much as some twenty requests.
const STEPS_AT_ONCE: usize = 4;

thread_local! {
    /// A worker's ciphertext on its way into a session.
    static CIPHERTEXT: RefCell<Box<[u8]>> = RefCell::new(vec![0; CIPHERTEXT_BYTES].into_boxed_slice());
}

/// A connection whose bytes are encrypted.
#[derive(Debug)]
pub(crate) struct Tls {
    below: Stream,
    session: RefCell<Session>,
    /// How many bytes are encrypted already that have not been said to be written.
    owed: Cell<usize>,
    /// Why nothing more can be read.
    broken: Cell<Option<Broken>>,
    /// Whether the peer is a server: what it refuses, requests are told.
    is_server: bool,
    /// Whether the peer is not to take what came for the whole.
    is_cut: Cell<bool>,
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug)]
enum Broken {
    /// What the kernel says, or what is wrong with what came.
    Io(io::ErrorKind),
    /// What is to be told of it.
    Told(Reason),
}

impl From<Broken> for io::Error {
    fn from(broken: Broken) -> io::Error {
        match broken {
            Broken::Io(kind) => kind.into(),
            Broken::Told(reason) => Told(reason).into(),
        }
    }
}

/// Why there is no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoSession {
    /// TLS itself.
    Refused(SessionError),
    /// The peer went away.
    Gone,
}

/// Whose turn it is to take a step of a handshake, which costs much; one for each worker.
#[derive(Debug)]
pub(crate) struct Turns(Semaphore);

impl Default for Turns {
    fn default() -> Turns {
        Turns(Semaphore::new(STEPS_AT_ONCE))
    }
}

impl Turns {
    /// A turn that is free now.
    #[cfg(test)]
    pub(crate) fn take(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        self.0.try_acquire().ok()
    }
}

impl Tls {
    /// With a client, before the handshake.
    pub(crate) fn new(below: Stream, session: Session) -> Tls {
        let (owed, broken, is_cut) = (Cell::new(0), Cell::new(None), Cell::new(false));
        Tls { below, session: RefCell::new(session), owed, broken, is_server: false, is_cut }
    }

    /// With a server, before the handshake.
    pub(crate) fn to_server(below: Stream, session: Session) -> Tls {
        let mut tls = Tls::new(below, session);
        tls.is_server = true;
        tls
    }

    /// Shakes hands; `early` is what has been read of the peer before.
    ///
    /// # Errors
    /// Why there is no session. The peer has been told, if it can be told at once.
    pub(crate) async fn shake_hands(&self, mut early: &[u8], turns: &Turns) -> Result<Peer, NoSession> {
        loop {
            let is_flushed = self.session.borrow().may_delay() || self.flush().map_err(|_| NoSession::Gone)?;
            if early.is_empty() && !self.session.borrow().is_handshaking() {
                return self.session.borrow().peer().ok_or(NoSession::Gone);
            }
            if !is_flushed {
                poll_fn(|cx| self.below.poll_write_ready(cx)).await.map_err(|_| NoSession::Gone)?;
                continue;
            }
            if early.is_empty() {
                poll_fn(|cx| self.below.poll_read_ready(cx)).await.map_err(|_| NoSession::Gone)?;
            }
            let turn = turns.0.acquire().await;
            self.take_step(&mut early)?;
            // The others have theirs once the runtime has looked at all sockets.
            tokio::task::yield_now().await;
            drop(turn);
        }
    }

    /// Takes in what there is of the peer's part, and has the answer ready.
    fn take_step(&self, early: &mut &[u8]) -> Result<(), NoSession> {
        let taken = match early.is_empty() {
            false => self.session.borrow_mut().read_tls(early),
            true => self.take_in(),
        };
        match taken {
            Ok(Ok(0)) => Err(NoSession::Gone),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                let _ = self.flush();
                Err(NoSession::Refused(error))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(_) => Err(NoSession::Gone),
        }
    }

    /// The connection itself, for one whose session has failed.
    pub(crate) fn below(&self) -> &Stream {
        &self.below
    }

    /// Reads and decrypts once, as little as the session takes.
    fn take_in(&self) -> io::Result<Result<usize, SessionError>> {
        self.session.borrow_mut().read_tls(&mut Below(&self.below))
    }

    /// Reads once, as much as there is, and decrypts into `out`, which has room for more than that; says how much it is.
    fn take_in_to(&self, out: &mut [u8]) -> io::Result<usize> {
        CIPHERTEXT.with_borrow_mut(|ciphertext| {
            let read = self.below.try_read(ciphertext)?;
            let mut session = self.session.borrow_mut();
            if read == 0 {
                self.decrypted(session.read_tls(&mut io::empty()))?;
            }
            // What follows the peer's end is nobody's.
            let fed = session.feed(&mut &ciphertext[..read], out);
            fed.map_err(|error| self.refusal(error))
        })
    }

    /// What came of decrypting. What the peer's own protocol wants answered goes with what is written next, if it cannot
    /// go now.
    fn decrypted(&self, taken: io::Result<Result<usize, SessionError>>) -> io::Result<()> {
        match taken? {
            Ok(_) => Ok(()),
            Err(error) => Err(self.refusal(error)),
        }
    }

    /// What TLS says after the handshake, as the relay hears it. A server of TLS 1.3 that takes no certificate of ours
    /// says so only then (RFC 8446 §4.4.2.4).
    fn refusal(&self, error: SessionError) -> io::Error {
        match self.is_server {
            true => Told(Reason::ServerTls(error)).into(),
            false => io::ErrorKind::InvalidData.into(),
        }
    }

    /// Why nothing can be sent: a server that has refused us may have closed already, and its alert waits to be read.
    fn last_word(&self, error: io::Error) -> io::Error {
        if !self.is_server || error.kind() == io::ErrorKind::WouldBlock {
            return error;
        }
        match self.take_in() {
            Ok(Err(refused)) => self.refusal(refused),
            Ok(Ok(_)) | Err(_) => error,
        }
    }

    /// Notes an error that is the connection's end.
    fn broken<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result
            && error.kind() != io::ErrorKind::WouldBlock
        {
            self.broken.set(Some(Told::by(error).map_or(Broken::Io(error.kind()), Broken::Told)));
            let _ = self.flush();
        }
        result
    }

    fn check(&self) -> io::Result<()> {
        self.broken.get().map_or(Ok(()), |why| Err(why.into()))
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

    fn write(&self, slices: [&[u8]; 2]) -> io::Result<usize> {
        if self.owed.get() > 0 && !self.flush()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let all = slices[0].len() + slices[1].len();
        let mut skip = self.owed.replace(0).min(all);
        let mut taken = 0;
        for slice in slices {
            let skipped = skip.min(slice.len());
            skip -= skipped;
            let more = skipped + self.session.borrow_mut().write(&slice[skipped..]);
            taken += more;
            if more < slice.len() {
                break;
            }
        }
        if taken == 0 && all > 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
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
}

impl Layer for Tls {
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            self.check()?;
            let read = self.session.borrow_mut().read(buffer);
            match self.broken(read)? {
                Read::Bytes(read) => return Poll::Ready(Ok(read)),
                Read::End => return Poll::Ready(Ok(0)),
                Read::Nothing => {}
            }
            if buffer.len() < CIPHERTEXT_BYTES + Session::HEADROOM {
                ready!(self.poll_read_ready(cx))?;
                continue;
            }
            ready!(self.below.poll_read_ready(cx))?;
            match self.broken(self.take_in_to(buffer)) {
                Ok(0) => {}
                Ok(read) => return Poll::Ready(Ok(read)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            let _ = self.flush();
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.write([bytes, &[]]).map_err(|error| self.last_word(error))
    }

    fn try_write_two(&self, first: &[u8], second: &[u8]) -> io::Result<usize> {
        self.write([first, second]).map_err(|error| self.last_word(error))
    }

    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.broken.get().is_some() || self.session.borrow_mut().peek().ok() != Some(Read::Nothing) {
                return Poll::Ready(Ok(()));
            }
            ready!(self.below.poll_read_ready(cx))?;
            let taken = self.take_in();
            match self.broken(self.decrypted(taken)) {
                Ok(()) => drop(self.flush()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.below.poll_write_ready(cx)
    }

    fn peek(&self) -> io::Result<usize> {
        self.check()?;
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
        self.is_cut.set(true);
        self.below.cut();
    }

    fn reached(&self) -> Option<SocketAddr> {
        self.below.reached()
    }

    fn bytes_acked(&self) -> Option<u64> {
        self.below.bytes_acked()
    }
}

/// An orderly end is told to the peer, whoever ends the connection.
impl Drop for Tls {
    fn drop(&mut self) {
        if !self.is_cut.get() && self.broken.get().is_none() && !self.session.borrow().is_handshaking() {
            self.session.borrow_mut().close();
            let _ = self.flush();
        }
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
