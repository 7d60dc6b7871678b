//! The access log: what is kept of a request while it lasts, and the lines made of it.

mod format;
mod sink;

use std::time::{Duration, SystemTime};

use balance::ServerIndex;
use http_proto::Version;
use tokio::time::Instant;

pub(crate) use format::{Place, write_line};
pub use sink::LogSink;
pub(crate) use sink::WorkerLog;

use crate::config::BackendIndex;
use crate::reason::Reason;

/// What is kept of a request, or of a TCP connection, while it lasts.
#[derive(Debug)]
pub(crate) struct Record {
    /// When its first byte, or its connection, came.
    pub(crate) began: Instant,
    /// The same on the wall clock; only where a line will be written.
    pub(crate) wall: Option<SystemTime>,
    /// How long its head took to arrive.
    pub(crate) head_took: Duration,
    /// How long it waited for a server.
    pub(crate) queued: Option<Duration>,
    /// How long the connection to the server took; zero for one that was kept.
    pub(crate) connected: Option<Duration>,
    /// From the request sent to the head of the answer.
    pub(crate) first_byte: Option<Duration>,
    /// The method and the target as the client sent them, a space between; only where a line will be written.
    pub(crate) request: String,
    pub(crate) version: Option<Version>,
    /// Who asks, where that is known; only where a line will be written.
    pub(crate) user: Option<String>,
    /// It came by HTTP/2, whatever `version` it has become.
    pub(crate) is_http2: bool,
    pub(crate) backend: Option<BackendIndex>,
    pub(crate) server: Option<ServerIndex>,
    pub(crate) status: u16,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) retries: u16,
    pub(crate) redispatched: bool,
    /// Requests that stood before it in the line.
    pub(crate) queue_place: u32,
    /// Whether its server connection had served before.
    pub(crate) reused: bool,
    /// Why it ended before its time.
    pub(crate) reason: Option<Reason>,
    /// How far it had come.
    pub(crate) phase: Phase,
    /// Whether its client was sent to the server itself.
    pub(crate) redirected: bool,
    /// Version and suite of the client's TLS.
    pub(crate) tls: Option<(&'static str, &'static str)>,
}

/// How far a request has come: the second letter of HAProxy's termination state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its head is awaited.
    Request,
    /// It waits for a server.
    Queue,
    /// The server is being reached.
    Connect,
    /// The answer's head is awaited.
    Headers,
    /// Its answer is on its way.
    Data,
    /// Nothing was left to do.
    Ended,
}

impl Record {
    pub(crate) fn new(began: Instant, logged: bool) -> Record {
        Record {
            began,
            wall: logged.then(SystemTime::now),
            head_took: Duration::ZERO,
            queued: None,
            connected: None,
            first_byte: None,
            request: String::new(),
            version: None,
            user: None,
            is_http2: false,
            backend: None,
            server: None,
            status: 0,
            bytes_in: 0,
            bytes_out: 0,
            retries: 0,
            redispatched: false,
            queue_place: 0,
            reused: false,
            reason: None,
            phase: Phase::Request,
            redirected: false,
            tls: None,
        }
    }

    /// Notes that the client is sent to the server itself.
    pub(crate) fn redirect(&mut self, backend: BackendIndex, server: ServerIndex) {
        self.backend = Some(backend);
        self.server = Some(server);
        self.redirected = true;
    }

    /// Notes why it ends; the first reason stays.
    pub(crate) fn fail(&mut self, reason: Reason) {
        self.reason.get_or_insert(reason);
    }
}
