//! The control socket's server: who may ask, and the way of a request to the supervisor and back.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use linux::{Bind, Listener, OpenReason, Peer};
use rustix::process::geteuid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Incoming;
use crate::control::{self, Answer, REQUEST_MAX, Request};

/// Clients at once; further ones wait.
const CLIENTS_MAX: usize = 32;

/// A client says what it wants within this time, and takes its answer.
const CLIENT_PATIENCE: Duration = Duration::from_secs(5);

/// The serving process answers within this time.
const SERVE_PATIENCE: Duration = Duration::from_secs(5);

/// The control socket, open; its path is removed at the end.
#[derive(Debug)]
pub(super) struct Socket {
    path: PathBuf,
    listener: std::os::unix::net::UnixListener,
}

impl Socket {
    /// Opens it; a stale one is replaced, a live one is an error that names its process.
    pub(super) fn open(path: PathBuf) -> anyhow::Result<Socket> {
        if let Some(folder) = path.parent()
            && path == control::default_path()
        {
            control::make_folder(folder)?;
        }
        match (Bind::Unix { path: path.clone(), mode: 0o660 }).open(1) {
            Ok(mut opened) => match opened.pop() {
                Some(Listener::Unix(listener)) => Ok(Socket { path, listener }),
                _ => bail!("{} is no unix socket", path.display()),
            },
            Err(error) if matches!(error.reason, OpenReason::InUse(_)) => {
                let pid = control::listening_pid(&path).map_or_else(String::new, |pid| format!(" (pid {pid})"));
                bail!(
                    "already running{pid}: it answers at {}; `perron reload` gives it a new configuration, \
                     --control PATH lets a second one run beside it",
                    path.display()
                )
            }
            Err(error) => Err(error).context("the control socket"),
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The socket that an earlier program opened at `path`.
    pub(super) fn take_over(path: PathBuf, listener: OwnedFd) -> anyhow::Result<Socket> {
        match Listener::from_fd(listener)? {
            Listener::Unix(listener) => Ok(Socket { path, listener }),
            Listener::Tcp(_) | Listener::Udp(_) => bail!("{} is no unix socket", path.display()),
        }
    }

    /// Serves clients; what they ask arrives as [`Incoming`].
    pub(super) fn serve(&self, incoming: mpsc::UnboundedSender<Incoming>) -> anyhow::Result<Accepting> {
        let listener = UnixListener::from_std(self.listener.try_clone()?)?;
        // Nobody else can become a member of the group while this runs and be meant.
        let group = std::fs::metadata(&self.path)?.gid();
        let places = Arc::new(Semaphore::new(CLIENTS_MAX));
        let task = tokio::spawn(accept(listener, group, incoming, Arc::clone(&places)));
        Ok(Accepting { task, places })
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// What takes clients in.
#[derive(Debug)]
pub(super) struct Accepting {
    task: JoinHandle<()>,
    places: Arc<Semaphore>,
}

impl Accepting {
    /// Takes in no further clients: they wait for whoever serves the socket next.
    pub(super) fn pause(&self) {
        self.task.abort();
    }

    /// Whether nobody waits for an answer.
    pub(super) fn is_idle(&self) -> bool {
        self.places.available_permits() == CLIENTS_MAX
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn accept(listener: UnixListener, group: u32, incoming: mpsc::UnboundedSender<Incoming>, places: Arc<Semaphore>) {
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, _)) => {
                let incoming = incoming.clone();
                tokio::spawn(async move {
                    // A client that goes away early has no use for its answer.
                    let _ = converse(stream, group, incoming).await;
                    drop(place);
                });
            }
            // Out of descriptors: those of other clients come back.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn converse(stream: UnixStream, group: u32, incoming: mpsc::UnboundedSender<Incoming>) -> std::io::Result<()> {
    let peer = linux::peer_credentials(stream.as_fd())?;
    let mut stream = BufReader::new(stream);
    let answer = if may_ask(&peer, geteuid().as_raw(), group) {
        match timeout(CLIENT_PATIENCE, read_line(&mut stream)).await {
            Ok(line) => {
                let line = line?;
                if let Ok(Request::Upgrade { binary }) = control::parse(&line) {
                    let asker = stream.into_inner().into_std()?;
                    let asked = Incoming::UpgradeAsked { binary, uid: peer.uid, asker: Some(asker) };
                    let _ = incoming.send(asked);
                    return Ok(());
                }
                answer(&line, peer.uid, &incoming).await
            }
            Err(_) => Answer::Wrong("no whole line came within five seconds".to_owned()),
        }
    } else {
        Answer::Failed(format!("user {} may not ask this service", peer.uid))
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    match timeout(CLIENT_PATIENCE, stream.get_mut().write_all(&line)).await {
        Ok(result) => result,
        Err(elapsed) => Err(elapsed.into()),
    }
}

fn may_ask(peer: &Peer, owner: u32, group: u32) -> bool {
    peer.uid == 0 || peer.uid == owner || peer.gid == group || peer.groups.contains(&group)
}

async fn read_line(stream: &mut BufReader<UnixStream>) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::new();
    stream.take(REQUEST_MAX as u64 + 1).read_until(b'\n', &mut line).await?;
    Ok(line)
}

async fn answer(line: &[u8], uid: u32, incoming: &mpsc::UnboundedSender<Incoming>) -> Answer {
    if line.len() > REQUEST_MAX {
        return Answer::Wrong(format!("a request has at most {REQUEST_MAX} bytes"));
    }
    let request = match control::parse(line) {
        Ok(request) => request,
        Err(answer) => return answer,
    };
    let forwarded = matches!(request, Request::Status | Request::Server(_) | Request::Vips | Request::Vip { .. });
    let (reply, answered) = oneshot::channel();
    if incoming.send(Incoming::Asked { request, uid, reply }).is_err() {
        return Answer::Failed("the service is ending".to_owned());
    }
    let answered =
        async { answered.await.unwrap_or_else(|_| Answer::Failed("the process that was asked ended".to_owned())) };
    if !forwarded {
        return answered.await;
    }
    let late = || Answer::Failed("the process that was asked did not answer within five seconds".to_owned());
    timeout(SERVE_PATIENCE, answered).await.unwrap_or_else(|_| late())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(uid: u32, gid: u32, groups: &[u32]) -> Peer {
        Peer { pid: 1, uid, gid, groups: groups.to_vec() }
    }

    #[test]
    fn root_the_owner_and_the_group_may_ask_and_nobody_else() {
        let asks = |peer| may_ask(&peer, 500, 70);
        assert!(asks(peer(0, 0, &[])));
        assert!(asks(peer(500, 500, &[])));
        assert!(asks(peer(600, 70, &[])));
        assert!(asks(peer(600, 600, &[10, 70])));
        assert!(!asks(peer(600, 600, &[500])));
    }

    #[tokio::test]
    async fn bad_requests_are_answered_and_passed_on_to_nobody() {
        let (incoming, mut asked) = mpsc::unbounded_channel();
        let long = vec![b' '; REQUEST_MAX + 1];
        for line in [&b"status\n"[..], b"", &long] {
            assert!(matches!(answer(line, 0, &incoming).await, Answer::Wrong(_)));
        }
        assert!(asked.try_recv().is_err());
    }

    #[test]
    fn a_live_socket_is_told_with_its_process_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let first = Socket::open(path.clone()).unwrap();
        let error = Socket::open(path.clone()).unwrap_err().to_string();
        assert!(error.contains(&format!("already running (pid {})", std::process::id())), "{error}");
        drop(first);
        assert!(!path.exists());
    }
}
