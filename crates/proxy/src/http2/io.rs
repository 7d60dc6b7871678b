use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll, ready};

use http_proto::http2::{Budget, Fault, Flood, Frames};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock::Clock;
use crate::stream::Stream;
use crate::worker::Context;

/// A connection as the library of frames takes it.
pub(super) struct Io {
    stream: Stream,
    gauge: Rc<Gauge>,
    buffer: Rc<RefCell<Box<[u8]>>>,
}

/// What the frames of one connection tell that its library does not.
#[derive(Debug)]
pub(super) struct Gauge {
    frames: RefCell<(Frames, Frames)>,
    budget: RefCell<Budget>,
    /// Whether the peer's first frame has come.
    begun: Cell<bool>,
    /// Why the connection is to be left. The frame that made it so is not passed on, and nothing is read from then on.
    pub(super) wrong: Cell<Option<Wrong>>,
    /// Bytes that have come.
    pub(super) received: Cell<u64>,
    clock: Clock,
}

/// What a peer did that its connection ends for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It sent too much of what nobody has use for.
    Flood(Flood),
    /// It sent a frame that no connection has, which the library would not notice, or would call by another name.
    Fault(Fault),
}

impl Gauge {
    /// Of a connection to a server, whose first frame is its first byte; ours comes after a preface.
    pub(super) fn new(clock: Clock) -> Rc<Gauge> {
        Rc::new(Gauge {
            frames: RefCell::new((Frames::new(), Frames::after_preface())),
            budget: RefCell::new(Budget::new(clock.now())),
            begun: Cell::new(false),
            wrong: Cell::new(None),
            received: Cell::new(0),
            clock,
        })
    }

    /// Returns how many of the bytes may be passed on.
    fn received(&self, bytes: &[u8]) -> usize {
        self.received.set(self.received.get() + bytes.len() as u64);
        let mut budget = self.budget.borrow_mut();
        self.frames.borrow_mut().0.follow(bytes, |frame| {
            let is_misplaced = !self.begun.replace(true) && !frame.begins_connection();
            let fault = if is_misplaced { Some(Fault::Protocol) } else { frame.fault() };
            let wrong = match fault {
                Some(fault) => Some(Wrong::Fault(fault)),
                None => budget.received(frame, || self.clock.now()).err().map(Wrong::Flood),
            };
            self.wrong.set(wrong);
            if wrong.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    }

    fn sent(&self, bytes: &[u8]) {
        let mut budget = self.budget.borrow_mut();
        self.frames.borrow_mut().1.follow(bytes, |frame| {
            budget.sent(frame);
            ControlFlow::Continue(())
        });
    }
}

impl Io {
    pub(super) fn new(stream: Stream, gauge: Rc<Gauge>, context: &Context) -> Io {
        Io { stream, gauge, buffer: Rc::clone(&context.read_buffer) }
    }
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut TaskContext<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let io = self.get_mut();
        if io.gauge.wrong.get().is_some() {
            // The connection's driver sees to it when this returns to it.
            return Poll::Pending;
        }
        let mut buffer = io.buffer.borrow_mut();
        let want = buffer.len().min(out.remaining());
        let read = ready!(io.stream.poll_read(cx, &mut buffer[..want]))?;
        let passed = io.gauge.received(&buffer[..read]);
        out.put_slice(&buffer[..passed]);
        // No bytes at all would be the end.
        if passed > 0 || read == 0 { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut TaskContext<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.stream.try_write(bytes) {
                Ok(written) => {
                    self.gauge.sent(&bytes[..written]);
                    return Poll::Ready(Ok(written));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.stream.poll_write_ready(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.stream.try_write_slices(slices) {
                Ok(written) => {
                    let mut left = written;
                    for slice in slices {
                        let of_this = left.min(slice.len());
                        self.gauge.sent(&slice[..of_this]);
                        left -= of_this;
                    }
                    return Poll::Ready(Ok(written));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.stream.poll_write_ready(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.socket().is_some()
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        self.stream.shutdown_write();
        Poll::Ready(Ok(()))
    }
}
