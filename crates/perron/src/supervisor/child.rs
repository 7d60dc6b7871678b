//! One process of this program: started or taken over, spoken with, waited for.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Pid, PidfdFlags, WaitOptions, pidfd_open, pidfd_send_signal, waitpid};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Incoming;
use super::machine::{ChildId, Input};
use super::network;
use crate::messages::{FromNetwork, FromServe, LinkReceiver, LinkSender, ToNetwork, ToServe, link};

/// What the service manager told the supervisor alone.
pub(super) const PRIVATE_VARIABLES: [&str; 6] =
    ["NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC"];

/// This very program as it was started, even when another file has taken its place since: a process that is started
/// again is of the same version as the supervisor.
pub(super) const THIS_PROGRAM: &str = "/proc/self/exe";

/// What a process is for.
pub(super) trait Kind: std::fmt::Debug + 'static {
    /// What it is told.
    type To: Serialize + std::fmt::Debug + Send + Sync + 'static;
    /// What it says.
    type From: DeserializeOwned + Send + 'static;
    /// The subcommand.
    const WORD: &str;

    /// It said something.
    fn said(id: ChildId, said: Self::From) -> Incoming;

    /// It ended, like this.
    fn exited(id: ChildId, how: String) -> Incoming;
}

/// Processes that carry the traffic.
#[derive(Debug)]
pub(super) enum Serve {}

impl Kind for Serve {
    type To = ToServe;
    type From = FromServe;
    const WORD: &str = "serve";

    fn said(id: ChildId, said: FromServe) -> Incoming {
        Incoming::Said(id, said)
    }

    fn exited(id: ChildId, how: String) -> Incoming {
        Incoming::Happened(Input::Exited(id, how))
    }
}

/// Processes that move addresses.
#[derive(Debug)]
pub(super) enum Network {}

impl Kind for Network {
    type To = ToNetwork;
    type From = FromNetwork;
    const WORD: &str = "network";

    fn said(id: ChildId, said: FromNetwork) -> Incoming {
        Incoming::NetworkSaid(id, said)
    }

    fn exited(id: ChildId, how: String) -> Incoming {
        Incoming::NetworkHappened(network::Input::Exited(id, how))
    }
}

/// A process of this kind.
#[derive(Debug)]
pub(super) struct Handle<K: Kind> {
    pub(super) id: ChildId,
    pub(super) pid: u32,
    process: OwnedFd,
    to: mpsc::UnboundedSender<(K::To, Vec<OwnedFd>)>,
    /// Messages that are not wholly with the process yet.
    unsent: Arc<AtomicUsize>,
    pause: Option<oneshot::Sender<oneshot::Sender<LinkReceiver>>>,
}

/// A process to which nobody listens: it can be handed to another supervisor, or resumed.
#[derive(Debug)]
pub(super) struct Paused {
    pub(super) id: ChildId,
    pub(super) pid: u32,
    pub(super) socket: OwnedFd,
    /// The beginning of a message.
    pub(super) received: Vec<u8>,
}

impl<K: Kind> Handle<K> {
    /// Starts a process of this program; what it says and its end arrive as [`Incoming`].
    ///
    /// Its standard input is the channel, and it stands in a process group of its own: Ctrl-C is for the supervisor.
    pub(super) fn spawn(id: ChildId, program: &Path, incoming: mpsc::UnboundedSender<Incoming>) -> io::Result<Self> {
        let (ours, theirs) = linux::Channel::pair()?;
        let mut command = Command::new(program);
        let name = format!("perron: {}", K::WORD);
        command.arg0(name).arg(K::WORD).stdin(Stdio::from(theirs.into_fd())).process_group(0);
        for variable in PRIVATE_VARIABLES {
            command.env_remove(variable);
        }
        let pid = command.spawn()?.id();
        Paused { id, pid, socket: ours.into_fd(), received: Vec::new() }.resume(incoming)
    }

    /// Sends a message; one to a process that is gone is lost with it.
    pub(super) fn send(&self, message: K::To, fds: Vec<OwnedFd>) {
        self.unsent.fetch_add(1, Ordering::Relaxed);
        let _ = self.to.send((message, fds));
    }

    /// Whether the process has taken everything that was sent.
    pub(super) fn has_taken_all(&self) -> bool {
        self.unsent.load(Ordering::Relaxed) == 0
    }

    /// Ends it by force.
    pub(super) fn kill(&self) {
        // One that has ended by itself just now is fine too.
        let _ = pidfd_send_signal(&self.process, rustix::process::Signal::KILL);
    }

    /// Stops listening to it; to be called once it [has taken all](Handle::has_taken_all). `None`: it has ended.
    pub(super) async fn pause(&mut self) -> Option<Paused> {
        let (reply, paused) = oneshot::channel();
        self.pause.take()?.send(reply).ok()?;
        let (socket, received) = paused.await.ok()?.into_parts();
        Some(Paused { id: self.id, pid: self.pid, socket, received })
    }
}

impl Paused {
    /// Speaks and listens to it from now on.
    pub(super) fn resume<K: Kind>(self, incoming: mpsc::UnboundedSender<Incoming>) -> io::Result<Handle<K>> {
        let Paused { id, pid, socket, received } = self;
        let (sender, receiver) = link(linux::Channel::from_fd(socket), received)?;
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
        let process = pidfd_open(number, PidfdFlags::empty())?;
        let deaths = signal(SignalKind::child())?;
        let (to, queue) = mpsc::unbounded_channel();
        let (pause, paused) = oneshot::channel();
        let unsent = Arc::new(AtomicUsize::new(0));
        tokio::spawn(write::<K>(sender, queue, Arc::clone(&unsent)));
        tokio::spawn(async move {
            let watch = Watch { id, number, deaths, receiver };
            watch.run::<K>(paused, incoming).await;
        });
        Ok(Handle { id, pid, process, to, unsent, pause: Some(pause) })
    }
}

async fn write<K: Kind>(
    mut sender: LinkSender,
    mut queue: mpsc::UnboundedReceiver<(K::To, Vec<OwnedFd>)>,
    unsent: Arc<AtomicUsize>,
) {
    while let Some((message, fds)) = queue.recv().await {
        // Nothing more can be sent to a process that is gone.
        let _ = sender.send(&message, fds).await;
        unsent.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What listens to a process.
struct Watch {
    id: ChildId,
    number: Pid,
    deaths: Signal,
    receiver: LinkReceiver,
}

impl Watch {
    /// Passes on what the process says, to its last word, and then how it ended.
    async fn run<K: Kind>(
        mut self,
        mut paused: oneshot::Receiver<oneshot::Sender<LinkReceiver>>,
        incoming: mpsc::UnboundedSender<Incoming>,
    ) {
        let mut speaks = true;
        loop {
            tokio::select! {
                biased;
                asked = &mut paused => {
                    if let Ok(reply) = asked {
                        let _ = reply.send(self.receiver);
                    }
                    return;
                }
                message = self.receiver.receive::<K::From>(), if speaks => match message {
                    Ok(Some((message, _))) => {
                        let _ = incoming.send(K::said(self.id, message));
                    }
                    // It is about to end, or hangs without a beat and is ended.
                    Ok(None) | Err(_) => speaks = false,
                },
                status = end(&mut self.deaths, self.number), if !speaks => {
                    let _ = incoming.send(K::exited(self.id, describe(status)));
                    return;
                }
            }
        }
    }
}

/// Waits for the end of one child; `deaths` was there before the first look at it.
async fn end(deaths: &mut Signal, number: Pid) -> io::Result<ExitStatus> {
    loop {
        if let Some((_, status)) = waitpid(Some(number), WaitOptions::NOHANG)? {
            return Ok(ExitStatus::from_raw(status.as_raw()));
        }
        deaths.recv().await;
    }
}

fn describe(status: io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(error) => format!("it could not be waited for: {error}"),
    }
}
