//! One serving process: started, spoken with, waited for.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Stdio};

use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};

use super::Incoming;
use super::machine::{ChildId, Input};
use crate::messages::{FromServe, LinkReceiver, LinkSender, ToServe, link};

/// What the service manager told the supervisor alone.
const PRIVATE_VARIABLES: [&str; 6] =
    ["NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC"];

/// A serving process.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) id: ChildId,
    pub(super) pid: u32,
    to: mpsc::UnboundedSender<(ToServe, Vec<OwnedFd>)>,
    kill: Option<oneshot::Sender<()>>,
}

impl Handle {
    /// Starts a process; what it says and its end arrive as [`Incoming`].
    ///
    /// Its standard input is the channel, and it stands in a process group of its own: Ctrl-C is for the supervisor.
    pub(super) fn spawn(id: ChildId, incoming: mpsc::UnboundedSender<Incoming>) -> io::Result<Handle> {
        let (ours, theirs) = linux::Channel::pair()?;
        let (sender, receiver) = link(ours)?;
        let mut command = Command::new("/proc/self/exe");
        command.arg0("perron: serve").arg("serve").stdin(Stdio::from(theirs.into_fd())).process_group(0);
        for variable in PRIVATE_VARIABLES {
            command.env_remove(variable);
        }
        let child = command.spawn()?;
        let pid = child.id().expect("a child that was just started has not been waited for");
        let (to, queue) = mpsc::unbounded_channel();
        let (kill, killed) = oneshot::channel();
        tokio::spawn(write(sender, queue));
        tokio::spawn(watch(id, child, receiver, killed, incoming));
        Ok(Handle { id, pid, to, kill: Some(kill) })
    }

    /// Sends a message; one to a process that is gone is lost with it.
    pub(super) fn send(&self, message: ToServe, fds: Vec<OwnedFd>) {
        let _ = self.to.send((message, fds));
    }

    /// Ends it by force.
    pub(super) fn kill(&mut self) {
        if let Some(kill) = self.kill.take() {
            let _ = kill.send(());
        }
    }
}

async fn write(mut sender: LinkSender, mut queue: mpsc::UnboundedReceiver<(ToServe, Vec<OwnedFd>)>) {
    while let Some((message, fds)) = queue.recv().await {
        if sender.send(&message, fds).await.is_err() {
            break;
        }
    }
}

/// Passes on what the process says, to its last word, and then how it ended.
async fn watch(
    id: ChildId,
    mut child: Child,
    mut receiver: LinkReceiver,
    mut killed: oneshot::Receiver<()>,
    incoming: mpsc::UnboundedSender<Incoming>,
) {
    let say = |word| {
        let _ = incoming.send(word);
    };
    let status = loop {
        tokio::select! {
            biased;
            _ = &mut killed => {
                // One that has ended by itself just now is fine too.
                let _ = child.start_kill();
                break child.wait().await;
            }
            message = receiver.receive::<FromServe>() => match message {
                Ok(Some((message, _))) => say(Incoming::Said(id, message)),
                // It is about to end, or hangs without a beat and is ended.
                Ok(None) | Err(_) => {
                    tokio::select! {
                        status = child.wait() => break status,
                        _ = &mut killed => {
                            let _ = child.start_kill();
                            break child.wait().await;
                        }
                    }
                }
            },
        }
    };
    say(Incoming::Happened(Input::Exited(id, describe(status))));
}

fn describe(status: io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(error) => format!("it could not be waited for: {error}"),
    }
}
