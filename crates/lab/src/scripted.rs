//! A server that does what a test tells it, connection by connection.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::net::{Shutdown, shutdown};

use crate::{Host, Wire};

/// How long a script waits for its client: longer than any test.
const PATIENCE: Duration = Duration::from_secs(60);

/// A listening socket and a script that runs on a thread for each connection. Dropping it cuts every connection and
/// waits for none: scripts end because their connections do.
#[derive(Debug)]
pub struct BadServer {
    listener: OwnedFd,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    accepted: AtomicUsize,
    requests: Arc<Mutex<Vec<String>>>,
    open: Mutex<BTreeMap<usize, OwnedFd>>,
}

impl BadServer {
    /// Serves connections to a port of the host's.
    #[track_caller]
    pub fn start(host: &Host, port: u16, script: impl Fn(&mut Wire) + Send + Sync + 'static) -> BadServer {
        let listener = host.listen(port);
        BadServer::accept_from(listener, TcpListener::accept, script)
    }

    /// Serves connections to a unix socket that everybody may use.
    pub fn start_unix(path: &Path, script: impl Fn(&mut Wire) + Send + Sync + 'static) -> BadServer {
        let listener = UnixListener::bind(path).expect("the path is free");
        fs::set_permissions(path, fs::Permissions::from_mode(0o666)).expect("the socket is ours");
        BadServer::accept_from(listener, UnixListener::accept, script)
    }

    /// Takes connections and never says anything.
    #[track_caller]
    pub fn silent(host: &Host, port: u16) -> BadServer {
        BadServer::start(host, port, |wire| while wire.request().is_ok() {})
    }

    /// Answers each request of a connection with these bytes, and keeps it.
    #[track_caller]
    pub fn answering(host: &Host, port: u16, answer: impl Into<Vec<u8>>) -> BadServer {
        let answer = answer.into();
        BadServer::start(host, port, move |wire| while wire.request().is_ok() && wire.try_send(&answer).is_ok() {})
    }

    /// Answers the first request of a connection with these bytes, one at a time with a pause between, and closes.
    #[track_caller]
    pub fn dripping(host: &Host, port: u16, answer: impl Into<Vec<u8>>, pause: Duration) -> BadServer {
        let answer = answer.into();
        BadServer::start(host, port, move |wire| {
            if wire.request().is_ok() {
                for byte in &answer {
                    if wire.try_send([*byte]).is_err() {
                        return;
                    }
                    std::thread::sleep(pause);
                }
            }
        })
    }

    /// Answers the first request of a connection with these bytes and closes: half a body, or garbage.
    #[track_caller]
    pub fn closing_after(host: &Host, port: u16, answer: impl Into<Vec<u8>>) -> BadServer {
        let answer = answer.into();
        BadServer::start(host, port, move |wire| {
            if wire.request().is_ok() {
                let _ = wire.try_send(&answer);
            }
        })
    }

    /// Connections taken so far.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Connections whose script still runs.
    pub fn open(&self) -> usize {
        self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The first lines of the requests that scripts have read so far.
    pub fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn accept_from<L, S, A>(
        listener: L,
        accept: impl Fn(&L) -> io::Result<(S, A)> + Send + 'static,
        script: impl Fn(&mut Wire) + Send + Sync + 'static,
    ) -> BadServer
    where
        L: AsFd + Send + 'static,
        S: Into<OwnedFd>,
    {
        let shared = Arc::new(Shared::default());
        let kept = listener.as_fd().try_clone_to_owned().expect("descriptors are left");
        let (serving, script) = (Arc::clone(&shared), Arc::new(script));
        std::thread::spawn(move || {
            while let Ok((stream, _)) = accept(&listener) {
                let (serving, script) = (Arc::clone(&serving), Arc::clone(&script));
                let socket = stream.into();
                std::thread::spawn(move || serving.converse(socket, &*script));
            }
        });
        BadServer { listener: kept, shared }
    }
}

impl Shared {
    fn converse(&self, socket: OwnedFd, script: &(impl Fn(&mut Wire) + Send + Sync)) {
        let number = self.accepted.fetch_add(1, Ordering::Relaxed);
        let copy = socket.try_clone().expect("descriptors are left");
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(number, copy);
        let mut wire = Wire::new(socket);
        wire.log_requests(Arc::clone(&self.requests));
        wire.set_limit(PATIENCE);
        script(&mut wire);
        // The copy goes first: the connection ends with the last descriptor.
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }
}

impl Drop for BadServer {
    fn drop(&mut self) {
        // Wakes the accepting thread, which ends and closes the port.
        let _ = shutdown(&self.listener, Shutdown::Both);
        for socket in self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).values() {
            let _ = shutdown(socket, Shutdown::Both);
        }
    }
}
