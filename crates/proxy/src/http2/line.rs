//! Connections to servers that speak HTTP/2, each of which carries many requests at once.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use balance::ServerIndex;
use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::uri::Scheme;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::io::{Gauge, Io};
use super::outbound::Outbound;
use super::writing::SEND_BYTES;
use crate::config::{BackendIndex, ProxyConfig};
use crate::stream::Stream;
use crate::worker::Context;

/// Requests of one connection to a server at once, if the server allows as many; for more, there is another one.
const STREAMS_MAX: usize = 100;

/// Connections of a worker to one server, beyond which requests are told that it cannot be reached.
const LINES_MAX: usize = 64;

/// What of answers may be on its way here before it is asked for: of one, and of all of a connection.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;

/// What an answer's fields may come to, 32 bytes more for each.
const HEADER_LIST_BYTES: u32 = 64 * 1024;

/// A connection on which nothing has come for so long while a request waited gets no others.
const SILENT: Duration = Duration::from_secs(5);

/// A worker's connections to all servers of HTTP/2.
pub(crate) struct Lines {
    backends: Vec<Vec<OfServer>>,
}

#[derive(Default)]
struct OfServer {
    lines: RefCell<Vec<Rc<Line>>>,
    is_connecting: Cell<bool>,
    /// Told when a connection has been made, or has not.
    settled: Rc<Notify>,
}

/// One connection to a server.
#[derive(Debug)]
pub(super) struct Line {
    send: RefCell<SendRequest<Bytes>>,
    scheme: Scheme,
    gauge: Rc<Gauge>,
    streams: Cell<usize>,
    quiet_since: Cell<Instant>,
    /// It gets no more requests.
    retired: Cell<bool>,
}

impl Line {
    pub(super) fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// How many bytes have come.
    pub(super) fn heard(&self) -> u64 {
        self.gauge.received.get()
    }

    /// A request has ended that began then.
    pub(super) fn left(&self, is_answered: bool, began: Instant, heard_before: u64) {
        self.streams.set(self.streams.get() - 1);
        let now = Instant::now();
        self.quiet_since.set(now);
        if !is_answered && self.heard() == heard_before && now.duration_since(began) >= SILENT {
            self.retired.set(true);
        }
    }

    /// Whether it can be used at all.
    fn is_well(&self) -> bool {
        let mut cx = TaskContext::from_waker(Waker::noop());
        !self.retired.get() && matches!(self.send.borrow_mut().poll_ready(&mut cx), Poll::Ready(Ok(())))
    }

    fn has_room(&self) -> bool {
        self.streams.get() < self.send.borrow().current_max_send_streams().min(STREAMS_MAX)
    }
}

impl Lines {
    pub(crate) fn new(config: &ProxyConfig) -> Lines {
        let of_backend =
            |backend: &crate::config::Backend| backend.servers.iter().map(|_| OfServer::default()).collect();
        Lines { backends: config.backends.iter().map(of_backend).collect() }
    }

    fn of(&self, backend: BackendIndex, server: ServerIndex) -> &OfServer {
        &self.backends[usize::from(backend.0)][usize::from(server.0)]
    }

    /// A stream on a connection that is there and has room.
    pub(crate) fn take(&self, backend: BackendIndex, server: ServerIndex) -> Option<Stream> {
        let mut lines = self.of(backend, server).lines.borrow_mut();
        lines.retain(|line| line.is_well());
        let line = lines.iter().find(|line| line.has_room())?;
        line.streams.set(line.streams.get() + 1);
        let send = line.send.borrow().clone();
        Some(Stream::Layer(Box::new(Outbound::new(Rc::clone(line), send))))
    }

    /// A stream on a new connection, which `connecting` makes; or on one that another request is making meanwhile.
    ///
    /// # Errors
    /// What `connecting` says, or what the server does to HTTP/2.
    pub(crate) async fn connect<E: From<io::Error>>(
        &self,
        context: &Context,
        (backend, server): (BackendIndex, ServerIndex),
        scheme: Scheme,
        connecting: impl Future<Output = Result<Stream, E>>,
    ) -> Result<Stream, E> {
        let of_server = self.of(backend, server);
        while of_server.is_connecting.get() {
            of_server.settled.notified().await;
            if let Some(stream) = self.take(backend, server) {
                return Ok(stream);
            }
        }
        if of_server.lines.borrow().len() >= LINES_MAX {
            return Err(io::Error::from(io::ErrorKind::QuotaExceeded).into());
        }
        let _connecting = Connecting::begin(of_server);
        let line = shake(context, connecting.await?, scheme).await?;
        of_server.lines.borrow_mut().push(Rc::new(line));
        Ok(self.take(backend, server).ok_or(io::ErrorKind::ConnectionReset).map_err(io::Error::from)?)
    }

    /// Lets go of connections that have ended or have been idle for `keep_alive` of their backend.
    pub(crate) fn sweep(&self, config: &ProxyConfig, now: Instant) {
        for (of_backend, configured) in self.backends.iter().zip(&config.backends) {
            for of_server in of_backend {
                let keep_alive = configured.timeouts.keep_alive;
                of_server.lines.borrow_mut().retain(|line| {
                    let is_idle = line.streams.get() == 0 && now.duration_since(line.quiet_since.get()) >= keep_alive;
                    line.is_well() && !is_idle
                });
            }
        }
    }
}

/// Marks that a connection is being made, until it is or is given up.
struct Connecting<'a>(&'a OfServer);

impl Connecting<'_> {
    fn begin(of_server: &OfServer) -> Connecting<'_> {
        of_server.is_connecting.set(true);
        Connecting(of_server)
    }
}

impl Drop for Connecting<'_> {
    fn drop(&mut self) {
        self.0.is_connecting.set(false);
        self.0.settled.notify_waiters();
    }
}

/// Begins HTTP/2 on a connection, and has it driven until its last handle has gone.
async fn shake(context: &Context, stream: Stream, scheme: Scheme) -> io::Result<Line> {
    let gauge = Gauge::new(context.shared.clock());
    let io = Io::new(stream, Rc::clone(&gauge), context);
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .max_concurrent_streams(0)
        .initial_max_send_streams(STREAMS_MAX)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEADER_LIST_BYTES)
        .max_send_buffer_size(SEND_BYTES);
    let (send, mut connection) = builder.handshake::<_, Bytes>(io).await.map_err(io::Error::other)?;
    // Its settings are the first that a server says (RFC 9113 §3.4): how many requests it takes, and that it is one.
    poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
        Poll::Ready(ended) => {
            Poll::Ready(Err(ended.err().map_or(io::ErrorKind::UnexpectedEof.into(), io::Error::other)))
        }
        Poll::Pending if gauge.received.get() > 0 => Poll::Ready(Ok(())),
        Poll::Pending => Poll::Pending,
    })
    .await?;
    let watched = Rc::clone(&gauge);
    tokio::task::spawn_local(poll_fn(move |cx| {
        let ended = Pin::new(&mut connection).poll(cx).map(|_| ());
        // A server that does what none does is left at once.
        if watched.wrong.get().is_some() { Poll::Ready(()) } else { ended }
    }));
    Ok(Line {
        send: RefCell::new(send),
        scheme,
        gauge,
        streams: Cell::new(0),
        quiet_since: Cell::new(Instant::now()),
        retired: Cell::new(false),
    })
}

#[cfg(test)]
mod tests;
