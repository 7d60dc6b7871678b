use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use http_proto::http2::{Code, End as Fault, Event, Flood, Server};
use tokio::time::Instant;

use super::fault::Http2Error;
use super::link::{Link, Who};
use crate::config::FrontendTimeouts;
use crate::proxied::Arrival;
use crate::reason::Reason;
use crate::secured::exported;
use crate::stream::Stream;
use crate::timer::Timer;
use crate::transfer::linger;
use crate::worker::ConnectionGuard;

/// After a last word, a client has so long to take it.
const LEAVE: Duration = Duration::from_secs(2);

/// So often a connection is read before its streams have their turn.
const READS_AT_ONCE: usize = 4;

/// Why a connection is left.
enum End {
    /// The client has ended it, or all has been said.
    Closed,
    /// Nothing has been asked for too long.
    Idle,
    /// It has not begun in time.
    Slow,
    /// The client broke it, or the rules.
    Wrong(Fault),
}

/// A connection, and what drives it.
struct Drive {
    stream: Stream,
    /// What had been read of it before.
    early: Vec<u8>,
    link: Rc<Link>,
    events: Vec<Event>,
    timer: Timer,
    timeouts: FrontendTimeouts,
    is_leaving: bool,
}

/// Serves a connection that speaks HTTP/2 to its end; `arrival.early` begins with the preface if anything has been read.
pub(crate) async fn serve(arrival: Arrival, guard: ConnectionGuard) {
    let Arrival { stream, peer, destination, early, secure } = arrival;
    let context = Rc::clone(&guard.context);
    let configured = context.shared.frontend(guard.frontend);
    let timeouts = configured.timeouts;
    let exported = exported(configured, secure.as_deref());
    let reached = stream.reached();
    let core = Server::new(context.shared.clock().now());
    let link = Link::new(core, guard, Who { peer, destination, secure, exported, reached });
    let timer = Timer::new(timeouts.header);
    let mut drive = Drive { stream, early, link, events: Vec::new(), timer, timeouts, is_leaving: false };
    let end = {
        let mut draining = std::pin::pin!(context.draining());
        poll_fn(|cx| drive.poll(draining.as_mut(), cx)).await
    };
    drive.end(end, &context.read_buffer).await;
}

impl Drive {
    /// Takes in, has served and sends, until the connection is to be left.
    fn poll(&mut self, draining: Pin<&mut impl Future<Output = ()>>, cx: &mut TaskContext<'_>) -> Poll<End> {
        self.link.drive_by(cx);
        let read = self.read(cx);
        self.link.deliver(&mut self.events);
        if let Poll::Ready(end) = read {
            return Poll::Ready(end);
        }
        if !self.is_leaving && draining.poll(cx).is_ready() {
            self.is_leaving = true;
            self.link.core.borrow_mut().drain();
            self.timer.set(LEAVE);
        }
        let sent = self.send(cx);
        let is_over = {
            let core = self.link.core.borrow();
            core.is_drained() && !core.has_outgoing()
        };
        if sent.is_err() || is_over {
            return Poll::Ready(End::Closed);
        }
        self.poll_quiet(cx)
    }

    /// Takes in what has come.
    fn read(&mut self, cx: &mut TaskContext<'_>) -> Poll<End> {
        if !self.early.is_empty() {
            let early = std::mem::take(&mut self.early);
            if let Err(fault) = self.receive(&early) {
                return Poll::Ready(End::Wrong(fault));
            }
        }
        let buffer = Rc::clone(&self.link.guard.context.read_buffer);
        for _ in 0..READS_AT_ONCE {
            // Whoever takes no answers is not heard.
            if self.link.core.borrow().is_full() {
                return Poll::Pending;
            }
            let mut buffer = buffer.borrow_mut();
            match self.stream.poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(End::Closed),
                Poll::Ready(Ok(read)) => {
                    if let Err(fault) = self.receive(&buffer[..read]) {
                        return Poll::Ready(End::Wrong(fault));
                    }
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let clock = self.link.guard.context.shared.clock();
        let mut core = self.link.core.borrow_mut();
        let received = core.receive(bytes, || clock.now(), &mut self.events);
        let tally = core.take_tally();
        let stats = &self.link.guard.context.stats.frontends[usize::from(self.link.guard.frontend.0)];
        for (count, error) in [(tally.malformed, Http2Error::Malformed), (tally.refused, Http2Error::StreamRefused)] {
            if count > 0 {
                stats.reasons[Reason::Http2(error).index()].add(u64::from(count));
            }
        }
        received
    }

    /// Sends what there is, in as few writes as the socket needs.
    fn send(&mut self, cx: &mut TaskContext<'_>) -> io::Result<()> {
        loop {
            let mut core = self.link.core.borrow_mut();
            if !core.has_outgoing() {
                return Ok(());
            }
            match self.stream.try_write(core.outgoing()) {
                Ok(written) => {
                    core.sent(written, &mut self.events);
                    drop(core);
                    self.link.deliver(&mut self.events);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match self.stream.poll_write_ready(cx) {
                    Poll::Ready(ready) => ready?,
                    Poll::Pending => return Ok(()),
                },
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until nothing has been asked for too long.
    fn poll_quiet(&mut self, cx: &mut TaskContext<'_>) -> Poll<End> {
        while self.timer.poll_expired(cx).is_ready() {
            if !self.link.core.borrow().has_begun() {
                return Poll::Ready(End::Slow);
            }
            let patience = if self.is_leaving { LEAVE } else { self.timeouts.keep_alive };
            let since = if self.link.under_way.get() > 0 { Instant::now() } else { self.link.quiet_since.get() };
            let until = since + patience;
            if until <= Instant::now() {
                return Poll::Ready(End::Idle);
            }
            self.timer.set_at(until);
        }
        Poll::Pending
    }

    /// Leaves the connection.
    async fn end(mut self, end: End, buffer: &RefCell<Box<[u8]>>) {
        let code = match end {
            End::Closed => None,
            End::Idle => Some(Code::NoError),
            End::Slow => {
                self.link.fail(Reason::SlowHead);
                None
            }
            End::Wrong(fault) => {
                self.link.fail(Reason::Http2(error_of(fault)));
                Some(fault.code())
            }
        };
        let is_wrong = matches!(end, End::Wrong(_));
        match code {
            Some(code) => self.link.core.borrow_mut().leave(code, &mut self.events),
            None => self.link.core.borrow_mut().over(&mut self.events),
        }
        self.link.deliver(&mut self.events);
        if code.is_none() {
            return;
        }
        self.timer.set(LEAVE);
        poll_fn(|cx| {
            self.link.drive_by(cx);
            match self.send(cx) {
                Ok(()) if self.link.core.borrow().has_outgoing() => self.timer.poll_expired(cx),
                _ => Poll::Ready(()),
            }
        })
        .await;
        if is_wrong {
            // Closing on what it still sends would take the last word from it.
            linger(&self.stream, buffer, &mut self.timer).await;
        }
    }
}

/// How it is counted.
fn error_of(fault: Fault) -> Http2Error {
    match fault {
        Fault::Broken(_) => Http2Error::Protocol,
        Fault::Flood(Flood::Control) => Http2Error::ControlFlood,
        Fault::Flood(Flood::Resets) => Http2Error::ResetFlood,
        Fault::Excess => Http2Error::Excess,
    }
}
