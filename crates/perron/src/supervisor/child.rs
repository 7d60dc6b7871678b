//! One serving process: started or taken over, spoken with, waited for.

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

use super::Incoming;
use super::machine::{ChildId, Input};
use crate::messages::{FromServe, LinkReceiver, LinkSender, ToServe, link};

/// What the service manager told the supervisor alone.
pub(super) const PRIVATE_VARIABLES: [&str; 6] =
    ["NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC"];

/// This very program as it was started, even when another file has taken its place since: a process that is started
/// again is of the same version as the supervisor.
pub(super) const THIS_PROGRAM: &str = "/proc/self/exe";

/// A serving process.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) id: ChildId,
    pub(super) pid: u32,
    process: OwnedFd,
    to: mpsc::UnboundedSender<(ToServe, Vec<OwnedFd>)>,
    /// Messages that are not wholly with the process yet.
    unsent: Arc<AtomicUsize>,
    pause: Option<oneshot::Sender<oneshot::Sender<LinkReceiver>>>,
}

/// A serving process to which nobody listens: it can be handed to another supervisor, or resumed.
#[derive(Debug)]
pub(super) struct Paused {
    pub(super) id: ChildId,
    pub(super) pid: u32,
    pub(super) socket: OwnedFd,
    /// The beginning of a message.
    pub(super) received: Vec<u8>,
}

impl Handle {
    /// Starts a process of this program; what it says and its end arrive as [`Incoming`].
    ///
    /// Its standard input is the channel, and it stands in a process group of its own: Ctrl-C is for the supervisor.
    pub(super) fn spawn(id: ChildId, program: &Path, incoming: mpsc::UnboundedSender<Incoming>) -> io::Result<Handle> {
        let (ours, theirs) = linux::Channel::pair()?;
        let mut command = Command::new(program);
        command.arg0("perron: serve").arg("serve").stdin(Stdio::from(theirs.into_fd())).process_group(0);
        for variable in PRIVATE_VARIABLES {
            command.env_remove(variable);
        }
        let pid = command.spawn()?.id();
        Paused { id, pid, socket: ours.into_fd(), received: Vec::new() }.resume(incoming)
    }

    /// Sends a message; one to a process that is gone is lost with it.
    pub(super) fn send(&self, message: ToServe, fds: Vec<OwnedFd>) {
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
    pub(super) fn resume(self, incoming: mpsc::UnboundedSender<Incoming>) -> io::Result<Handle> {
        let Paused { id, pid, socket, received } = self;
        let (sender, receiver) = link(linux::Channel::from_fd(socket), received)?;
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
        let process = pidfd_open(number, PidfdFlags::empty())?;
        let deaths = signal(SignalKind::child())?;
        let (to, queue) = mpsc::unbounded_channel();
        let (pause, paused) = oneshot::channel();
        let unsent = Arc::new(AtomicUsize::new(0));
        tokio::spawn(write(sender, queue, Arc::clone(&unsent)));
        tokio::spawn(async move {
            let watch = Watch { id, number, deaths, receiver };
            watch.run(paused, incoming).await;
        });
        Ok(Handle { id, pid, process, to, unsent, pause: Some(pause) })
    }
}

async fn write(
    mut sender: LinkSender,
    mut queue: mpsc::UnboundedReceiver<(ToServe, Vec<OwnedFd>)>,
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
    async fn run(
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
                message = self.receiver.receive::<FromServe>(), if speaks => match message {
                    Ok(Some((message, _))) => {
                        let _ = incoming.send(Incoming::Said(self.id, message));
                    }
                    // It is about to end, or hangs without a beat and is ended.
                    Ok(None) | Err(_) => speaks = false,
                },
                status = end(&mut self.deaths, self.number), if !speaks => {
                    let _ = incoming.send(Incoming::Happened(Input::Exited(self.id, describe(status))));
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
