//! Connections to servers: made, kept, and handed out again.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context as TaskContext, Waker};
use std::time::Duration;

use balance::ServerIndex;
use http::uri::Scheme;
use tls::{Peer, SessionError};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;

use crate::config::{Backend, BackendIndex, Protocol, ProxyConfig, ServerAddress};
use crate::stats::WorkerStats;
use crate::stream::{FastCgi, NoSession, Stream, Tls};
use crate::worker::{Context, prepare};

/// Idle server connections of one worker.
pub(crate) struct IdlePool {
    backends: Vec<IdleBackend>,
    stats: Arc<WorkerStats>,
}

struct IdleBackend {
    keep_alive: Duration,
    max_idle: usize,
    servers: Vec<RefCell<Vec<Idle>>>,
}

struct Idle {
    stream: Stream,
    since: Instant,
}

impl IdlePool {
    pub(crate) fn new(config: &ProxyConfig, stats: Arc<WorkerStats>) -> IdlePool {
        let of_backend = |backend: &Backend| IdleBackend {
            keep_alive: backend.timeouts.keep_alive,
            max_idle: backend.max_idle as usize,
            servers: backend.servers.iter().map(|_| RefCell::new(Vec::new())).collect(),
        };
        IdlePool { backends: config.backends.iter().map(of_backend).collect(), stats }
    }

    /// A connection that has not ended as far as is known; the last one put back, so that the others may age out.
    pub(crate) fn take(&self, backend: BackendIndex, server: ServerIndex) -> Option<Stream> {
        let mut kept = self.of(backend, server).borrow_mut();
        let mut quiet = None;
        while let Some(idle) = kept.pop() {
            if is_quiet(&idle.stream) {
                quiet = Some(idle.stream);
                break;
            }
        }
        self.count(backend, server, kept.len());
        quiet
    }

    /// Keeps a connection whose answer is whole, unless there is more on it.
    pub(crate) fn put(&self, backend: BackendIndex, server: ServerIndex, stream: Stream, now: Instant) {
        if !is_quiet(&stream) && !is_drained(&stream) {
            return;
        }
        let mut kept = self.of(backend, server).borrow_mut();
        if kept.len() < self.backends[usize::from(backend.0)].max_idle {
            kept.push(Idle { stream, since: now });
            self.count(backend, server, kept.len());
        }
    }

    /// Closes what has ended or has been idle for too long.
    pub(crate) fn sweep(&self, now: Instant) {
        for (backend, of_backend) in (0..).zip(&self.backends) {
            for (server, of_server) in (0..).zip(&of_backend.servers) {
                let mut kept = of_server.borrow_mut();
                if !kept.is_empty() {
                    kept.retain(|idle| {
                        now.duration_since(idle.since) < of_backend.keep_alive && is_quiet(&idle.stream)
                    });
                    self.count(BackendIndex(backend), ServerIndex(server), kept.len());
                }
            }
        }
    }

    fn count(&self, backend: BackendIndex, server: ServerIndex, kept: usize) {
        self.stats.servers[usize::from(backend.0)][usize::from(server.0)].idle.set(kept as u64);
    }

    fn of(&self, backend: BackendIndex, server: ServerIndex) -> &RefCell<Vec<Idle>> {
        &self.backends[usize::from(backend.0)].servers[usize::from(server.0)]
    }
}

/// Whether nothing has come on an idle connection: no end, and no bytes that nobody asked for.
/// It asks the runtime, which heard of it from the kernel, so it costs no system call.
fn is_quiet(stream: &Stream) -> bool {
    stream.poll_read_ready(&mut TaskContext::from_waker(Waker::noop())).is_pending()
}

/// Whether the kernel holds nothing of a connection. The runtime does not know that when the last bytes were moved by
/// the kernel, or just filled the buffer; asking makes it know.
fn is_drained(stream: &Stream) -> bool {
    matches!(stream.peek(), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Why a server could not be reached.
#[derive(Debug)]
pub(crate) enum Unreached {
    /// What the kernel says; `TimedOut` after the backend's connect time-out.
    Failed(io::Error),
    /// TLS was not agreed on.
    Refused(SessionError),
}

impl From<io::Error> for Unreached {
    fn from(error: io::Error) -> Unreached {
        Unreached::Failed(error)
    }
}

impl From<NoSession> for Unreached {
    fn from(why: NoSession) -> Unreached {
        match why {
            NoSession::Refused(error) => Unreached::Refused(error),
            NoSession::Gone => Unreached::Failed(io::ErrorKind::ConnectionReset.into()),
        }
    }
}

/// A new connection to a server, within the backend's connect time-out; with TLS, it begins with `preface` in clear.
///
/// # Errors
/// Why there is none.
pub(crate) async fn connect(
    context: &Context,
    backend: BackendIndex,
    server: ServerIndex,
    preface: Option<Vec<u8>>,
) -> Result<Stream, Unreached> {
    let configured = &context.shared.config.backends[usize::from(backend.0)];
    let of_server = &configured.servers[usize::from(server.0)];
    let connecting = async {
        let stream = match &of_server.address {
            ServerAddress::Ip(address) => {
                let stream = TcpStream::connect(address).await?;
                prepare(&stream, configured.tcp_keepalive);
                Stream::Tcp(stream)
            }
            ServerAddress::Unix(path) => Stream::Unix(UnixStream::connect(path).await?),
        };
        if of_server.tls.is_none() {
            return Ok(stream);
        }
        let connector = context.shared.connector(backend, server).ok_or(io::ErrorKind::NotFound);
        let session = connector.map_err(io::Error::from)?.begin(&name_of(&of_server.address));
        let tls = Tls::to_server(stream, session.map_err(io::Error::other)?);
        let peer = Box::pin(begin(context, &tls, preface.as_deref().unwrap_or_default())).await?;
        for stats in context.stats.of_server(backend, server) {
            stats.handshakes.count(&peer);
        }
        if of_server.protocol == Protocol::Http2 && !peer.is_http2 {
            return Err(io::Error::from(io::ErrorKind::Unsupported).into());
        }
        Ok(Stream::Layer(Box::new(tls)))
    };
    let connecting = async {
        match of_server.protocol {
            Protocol::Http1 | Protocol::FastCgi => connecting.await,
            Protocol::Http2 => {
                let scheme = if of_server.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
                Box::pin(context.lines.connect(context, (backend, server), scheme, connecting)).await
            }
        }
    };
    match tokio::time::timeout(configured.timeouts.connect, connecting).await {
        Ok(Ok(stream)) if of_server.protocol == Protocol::FastCgi => {
            let keeps = configured.application.as_ref().is_some_and(|application| application.keep_connection);
            let shared = Arc::clone(&context.shared);
            Ok(Stream::Layer(Box::new(FastCgi::new(stream, keeps, shared, backend, server))))
        }
        Ok(connected) => connected,
        Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
    }
}

/// Sends `preface` in clear, and shakes hands.
async fn begin(context: &Context, tls: &Tls, mut preface: &[u8]) -> Result<Peer, Unreached> {
    while !preface.is_empty() {
        poll_fn(|cx| tls.below().poll_write_ready(cx)).await?;
        match tls.below().try_write(preface) {
            Ok(written) => preface = &preface[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(tls.shake_hands(&[], &context.turns).await?)
}

/// Who is at an address, if the configuration does not say it.
fn name_of(address: &ServerAddress) -> String {
    match address {
        ServerAddress::Ip(address) => address.ip().to_string(),
        ServerAddress::Unix(_) => "localhost".to_owned(),
    }
}
