//! Connections to servers: made, kept, and handed out again.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::task::{Context as TaskContext, Waker};
use std::time::Duration;

use balance::ServerIndex;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;

use crate::config::{Backend, BackendIndex, Protocol, ProxyConfig, ServerAddress};
use crate::stats::WorkerStats;
use crate::stream::Stream;
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

/// A new connection to a server.
///
/// # Errors
/// What the kernel says, or `TimedOut` after the backend's connect time-out.
pub(crate) async fn connect(context: &Context, backend: BackendIndex, server: ServerIndex) -> io::Result<Stream> {
    let configured = &context.shared.config.backends[usize::from(backend.0)];
    if configured.servers[usize::from(server.0)].protocol != Protocol::Http1 {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let connecting = async {
        match &configured.servers[usize::from(server.0)].address {
            ServerAddress::Ip(address) => {
                let stream = TcpStream::connect(address).await?;
                prepare(&stream, configured.tcp_keepalive);
                Ok(Stream::Tcp(stream))
            }
            ServerAddress::Unix(path) => UnixStream::connect(path).await.map(Stream::Unix),
        }
    };
    match tokio::time::timeout(configured.timeouts.connect, connecting).await {
        Ok(connected) => connected,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}
