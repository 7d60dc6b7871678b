use std::cell::Cell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason as Code, RecvStream};
use http::Request;
use http_proto::http2::{Fault, Flood};
use tokio::time::Instant;

use super::fault::Http2Error;
use super::inbound::Inbound;
use super::io::{Gauge, Io, Wrong};
use super::writing::SEND_BYTES;
use crate::http::Visitor;
use crate::log::Record;
use crate::proxied::Arrival;
use crate::reason::Reason;
use crate::secured::exported;
use crate::stream::Stream;
use crate::timer::Timer;
use crate::worker::ConnectionGuard;

/// Requests of one connection at once (RFC 9113 §5.1.2 asks for no fewer than 100); those beyond are refused and may be
/// sent again.
const STREAMS_MAX: u32 = 128;

/// Streams of one connection that are still being ended, those under way included: a client that resets its requests and
/// sends others gets no more than this from us at once.
const TASKS_MAX: u32 = 2 * STREAMS_MAX;

/// What a request's fields may come to (RFC 9113 §6.5.2), 32 bytes more for each. A head that is too large for HTTP/1 is
/// so before: the library answers 431 beyond this, and ends the connection at four times as much.
const HEADER_LIST_BYTES: u32 = 64 * 1024;

/// What of a request's body may be on its way here before it is asked for: what a link of 100 ms carries at 20 Mbit/s.
const STREAM_WINDOW: u32 = 256 * 1024;

/// The same of all requests of a connection together.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Streams that were reset before they were seen here, at once.
const RESET_UNSEEN_MAX: usize = 64;

/// Streams that the library reset for what the client sent on them, in the life of a connection.
const RESET_HERE_MAX: usize = 512;

/// After a last word, a client has so long to take it.
const LEAVE: Duration = Duration::from_secs(2);

/// What the streams of a connection share.
struct Shared {
    guard: ConnectionGuard,
    peer: Option<SocketAddr>,
    destination: Option<SocketAddr>,
    secure: Option<Rc<tls::Peer>>,
    exported: Option<Vec<u8>>,
    reached: Option<SocketAddr>,
    under_way: Cell<u32>,
    /// When the last of them ended.
    quiet_since: Cell<Instant>,
}

/// Why a connection is left.
enum End {
    /// The client has ended it, or we have, in order.
    Closed,
    /// Nothing has been asked for too long.
    Idle,
    /// The client broke it, or the rules.
    Failed(h2::Error),
    /// It did what its frames tell.
    Wrong(Wrong),
}

/// Serves a connection that speaks HTTP/2 to its end; `arrival.early` begins with the preface if anything has been read.
pub(crate) async fn serve(arrival: Arrival, guard: ConnectionGuard) {
    let Arrival { stream, peer, destination, early, secure } = arrival;
    let context = Rc::clone(&guard.context);
    let configured = context.shared.frontend(guard.frontend);
    let timeouts = configured.timeouts;
    let exported = exported(configured, secure.as_deref());
    let gauge = Gauge::new(true, context.shared.clock());
    let reached = stream.reached();
    let io = Io::new(stream, early, Rc::clone(&gauge), &context);
    let mut timer = Timer::new(timeouts.header);
    let mut shaking = std::pin::pin!(builder().handshake::<_, Bytes>(io));
    let shaken = poll_fn(|cx| match shaking.as_mut().poll(cx) {
        Poll::Pending => timer.poll_expired(cx).map(|()| None),
        Poll::Ready(shaken) => Poll::Ready(Some(shaken)),
    });
    let now = Instant::now();
    let shared = Shared {
        guard,
        peer,
        destination,
        secure,
        exported,
        reached,
        under_way: Cell::new(0),
        quiet_since: Cell::new(now),
    };
    let mut connection = match shaken.await {
        Some(Ok(connection)) => connection,
        Some(Err(error)) => return shared.count_failure(&error),
        None => return shared.fail(Reason::SlowHead),
    };
    let shared = Rc::new(shared);
    timer.set(timeouts.keep_alive);
    let end = drive(&mut connection, &gauge, &shared, &mut timer, timeouts.keep_alive).await;
    shared.count_resets(&gauge);
    let code = match end {
        End::Closed => return,
        End::Failed(error) => return shared.count_failure(&error),
        End::Idle => Code::NO_ERROR,
        End::Wrong(wrong) => {
            let (error, code) = error_and_code(wrong);
            shared.fail(Reason::Http2(error));
            code
        }
    };
    connection.abrupt_shutdown(code);
    timer.set(LEAVE);
    poll_fn(|cx| match connection.poll_closed(cx) {
        Poll::Pending => timer.poll_expired(cx),
        Poll::Ready(_) => Poll::Ready(()),
    })
    .await;
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_LIST_BYTES)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_pending_accept_reset_streams(RESET_UNSEEN_MAX)
        .max_local_error_reset_streams(Some(RESET_HERE_MAX))
        .max_send_buffer_size(SEND_BYTES);
    builder
}

/// How it is counted, and what the client is told (RFC 9113 §7).
fn error_and_code(wrong: Wrong) -> (Http2Error, Code) {
    match wrong {
        Wrong::Flood(Flood::Control) => (Http2Error::ControlFlood, Code::ENHANCE_YOUR_CALM),
        Wrong::Flood(Flood::Resets) => (Http2Error::ResetFlood, Code::ENHANCE_YOUR_CALM),
        Wrong::Fault(Fault::Protocol) => (Http2Error::Protocol, Code::PROTOCOL_ERROR),
        Wrong::Fault(Fault::Size) => (Http2Error::Protocol, Code::FRAME_SIZE_ERROR),
    }
}

/// Takes requests in until the connection is to be left.
async fn drive(
    connection: &mut Connection<Io, Bytes>,
    gauge: &Gauge,
    shared: &Rc<Shared>,
    timer: &mut Timer,
    keep_alive: Duration,
) -> End {
    let mut draining = std::pin::pin!(shared.guard.context.draining());
    let mut is_leaving = false;
    poll_fn(|cx| {
        if let Poll::Ready(end) = accept(connection, shared, cx) {
            return Poll::Ready(end);
        }
        shared.count_resets(gauge);
        if let Some(wrong) = gauge.wrong.get() {
            return Poll::Ready(End::Wrong(wrong));
        }
        if !is_leaving && draining.as_mut().poll(cx).is_ready() {
            is_leaving = true;
            connection.graceful_shutdown();
            timer.set(LEAVE);
            if let Poll::Ready(end) = accept(connection, shared, cx) {
                return Poll::Ready(end);
            }
        }
        let patience = if is_leaving { LEAVE } else { keep_alive };
        while timer.poll_expired(cx).is_ready() {
            let since = if shared.under_way.get() > 0 { Instant::now() } else { shared.quiet_since.get() };
            let until = since + patience;
            if until <= Instant::now() {
                return Poll::Ready(End::Idle);
            }
            timer.set_at(until);
        }
        Poll::Pending
    })
    .await
}

/// Has each request that has come served by a task of its own.
fn accept(connection: &mut Connection<Io, Bytes>, shared: &Rc<Shared>, cx: &mut TaskContext<'_>) -> Poll<End> {
    loop {
        match connection.poll_accept(cx) {
            Poll::Ready(Some(Ok((request, respond)))) => begin(shared, request, respond),
            Poll::Ready(Some(Err(error))) => return Poll::Ready(End::Failed(error)),
            Poll::Ready(None) => return Poll::Ready(End::Closed),
            Poll::Pending => return Poll::Pending,
        }
    }
}

fn begin(shared: &Rc<Shared>, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    if shared.under_way.get() >= TASKS_MAX {
        respond.send_reset(Code::REFUSED_STREAM);
        return;
    }
    shared.under_way.set(shared.under_way.get() + 1);
    let busy = Busy(Rc::clone(shared));
    // Boxed: the runtime moves what it is given several times.
    tokio::task::spawn_local(Box::pin(async move {
        let Shared { guard, peer, destination, secure, exported, reached, .. } = &*busy.0;
        let (inbound, written) = Inbound::new(request, respond, *reached, guard.context.buffer());
        let stream = Stream::Layer(Box::new(inbound));
        let (secure, exported) = (secure.as_deref(), exported.as_deref());
        let visitor = Visitor { guard, peer: *peer, destination: *destination, secure, exported };
        crate::http::serve_one(stream, visitor, written.err()).await;
    }));
}

/// A stream that is under way.
struct Busy(Rc<Shared>);

impl Drop for Busy {
    fn drop(&mut self) {
        let under_way = &self.0.under_way;
        under_way.set(under_way.get() - 1);
        if under_way.get() == 0 {
            self.0.quiet_since.set(Instant::now());
        }
    }
}

impl Shared {
    /// Counts the streams that were reset without an answer.
    fn count_resets(&self, gauge: &Gauge) {
        let resets = gauge.take_resets();
        let stats = &self.guard.context.stats.frontends[usize::from(self.guard.frontend.0)];
        for (count, error) in [(resets.malformed, Http2Error::Malformed), (resets.refused, Http2Error::StreamRefused)] {
            if count > 0 {
                stats.reasons[Reason::Http2(error).index()].add(u64::from(count));
            }
        }
    }

    fn count_failure(&self, error: &h2::Error) {
        // Whoever goes away is not at fault, nor is who says so.
        if error.is_io() || error.is_remote() {
            return;
        }
        self.fail(Reason::Http2(match error.reason() {
            Some(Code::ENHANCE_YOUR_CALM) => Http2Error::Excess,
            _ => Http2Error::Protocol,
        }));
    }

    /// Counts and logs the end of the connection.
    fn fail(&self, reason: Reason) {
        let ConnectionGuard { context, frontend } = &self.guard;
        let mut record = Record::new(Instant::now(), context.is_logged(*frontend));
        record.fail(reason);
        context.finish(&record, *frontend, self.peer);
    }
}
