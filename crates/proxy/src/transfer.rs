//! Reading and writing with one timer: the two waits that everything else is made of.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

use crate::reason::{Reason, Told};
use crate::stream::Stream;
use crate::timer::Timer;

/// After a last answer, what the client still sends is read and dropped for so long, and so many bytes:
/// closing on unread bytes would reset the connection and could destroy the answer on its way.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1 << 20;

/// Why a wait ended without what it waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    /// The peer ended the connection.
    Closed,
    /// The kernel reported a failure.
    Failed(io::ErrorKind),
    /// The layer that carries the connection says why.
    Told(Reason),
    /// The timer expired.
    TimedOut,
    /// The client that is watched meanwhile went away.
    WatchedGone,
}

impl Halt {
    /// What it means when the client was waited for.
    pub(crate) fn at_client(self) -> Reason {
        match self {
            Halt::TimedOut => Reason::ClientTimeout,
            Halt::Told(reason) => reason,
            Halt::Closed | Halt::Failed(_) | Halt::WatchedGone => Reason::ClientGone,
        }
    }

    /// What it means when the head of a server's answer was waited for.
    pub(crate) fn at_server(self) -> Reason {
        match self {
            Halt::TimedOut => Reason::ServerTimeout,
            Halt::WatchedGone => Reason::ClientGone,
            Halt::Told(reason) => reason,
            Halt::Closed | Halt::Failed(_) => Reason::ServerClosed,
        }
    }

    /// What it means when more of a server's answer was waited for.
    pub(crate) fn within_answer(self) -> Reason {
        match self {
            Halt::TimedOut => Reason::ServerTimeout,
            Halt::WatchedGone => Reason::ClientGone,
            Halt::Told(reason) => reason,
            Halt::Closed | Halt::Failed(_) => Reason::ServerCut,
        }
    }
}

impl From<io::Error> for Halt {
    fn from(error: io::Error) -> Halt {
        match Told::by(&error) {
            Some(reason) => Halt::Told(reason),
            None => Halt::Failed(error.kind()),
        }
    }
}

/// Somebody whose going away ends a wait for somebody else.
pub(crate) struct Watch<'a> {
    stream: &'a Stream,
    /// Bytes wait there, which hide an end behind them: it is not asked again.
    has_bytes: bool,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(stream: &'a Stream) -> Watch<'a> {
        Watch { stream, has_bytes: false }
    }

    pub(crate) fn poll_gone(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        while !self.has_bytes {
            if ready!(self.stream.poll_read_ready(cx)).is_err() {
                return Poll::Ready(());
            }
            match self.stream.peek() {
                Ok(0) => return Poll::Ready(()),
                Ok(_) => self.has_bytes = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }
}

/// Waits for bytes and shows them to `take` in `buffer`, which other connections use before and after:
/// what `take` does not copy is gone.
pub(crate) async fn read_with<T>(
    stream: &Stream,
    buffer: &RefCell<Box<[u8]>>,
    timer: &mut Timer,
    mut watch: Option<Watch<'_>>,
    take: impl FnOnce(&mut [u8]) -> T,
) -> Result<T, Halt> {
    let mut take = Some(take);
    poll_fn(|cx| {
        let mut buffer = buffer.borrow_mut();
        match stream.poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(Halt::Closed)),
            Poll::Ready(Ok(read)) => {
                let take = take.take().expect("a future is not polled after it was ready");
                return Poll::Ready(Ok(take(&mut buffer[..read])));
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
            Poll::Pending => {}
        }
        if let Some(watch) = &mut watch
            && watch.poll_gone(cx).is_ready()
        {
            return Poll::Ready(Err(Halt::WatchedGone));
        }
        timer.poll_expired(cx).map(|()| Err(Halt::TimedOut))
    })
    .await
}

/// Waits until `stream` has bytes or has ended.
pub(crate) async fn readable(stream: &Stream, timer: &mut Timer) -> Result<(), Halt> {
    poll_fn(|cx| match stream.poll_read_ready(cx) {
        Poll::Ready(result) => Poll::Ready(result.map_err(Halt::from)),
        Poll::Pending => timer.poll_expired(cx).map(|()| Err(Halt::TimedOut)),
    })
    .await
}

/// Waits until `stream` takes bytes.
pub(crate) async fn writable(stream: &Stream, timer: &mut Timer) -> Result<(), Halt> {
    poll_fn(|cx| match stream.poll_write_ready(cx) {
        Poll::Ready(result) => Poll::Ready(result.map_err(Halt::from)),
        Poll::Pending => timer.poll_expired(cx).map(|()| Err(Halt::TimedOut)),
    })
    .await
}

/// Writes all of `bytes`; each step forward gives the peer `patience` for the next.
pub(crate) async fn write_all(
    stream: &Stream,
    timer: &mut Timer,
    patience: Duration,
    mut bytes: &[u8],
) -> Result<(), Halt> {
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                timer.set(patience);
                writable(stream, timer).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Sends nothing more, and reads for a while what the client still sends.
pub(crate) async fn linger(stream: &Stream, buffer: &RefCell<Box<[u8]>>, timer: &mut Timer) {
    stream.shutdown_write();
    timer.set(LINGER);
    let mut dropped = 0;
    while dropped < LINGER_BYTES {
        match read_with(stream, buffer, timer, None, |bytes| bytes.len()).await {
            Ok(more) => dropped += more,
            Err(_) => return,
        }
    }
}
