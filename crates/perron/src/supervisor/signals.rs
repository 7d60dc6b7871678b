//! What the supervisor is told by signals.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy)]
pub(super) enum Word {
    Terminate,
    Reload,
    ReopenLogs,
    Upgrade,
}

impl Word {
    /// A signal that says so.
    pub(super) fn signal(self) -> rustix::process::Signal {
        match self {
            Word::Terminate => rustix::process::Signal::TERM,
            Word::Reload => rustix::process::Signal::HUP,
            Word::ReopenLogs => rustix::process::Signal::USR1,
            Word::Upgrade => rustix::process::Signal::USR2,
        }
    }
}

/// The signals that a service obeys.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user1: Signal,
    user2: Signal,
}

impl Signals {
    /// Catches them from now on.
    pub(super) fn new() -> anyhow::Result<Signals> {
        let catch = |kind| signal(kind).context("signals cannot be caught");
        Ok(Signals {
            terminate: catch(SignalKind::terminate())?,
            interrupt: catch(SignalKind::interrupt())?,
            hangup: catch(SignalKind::hangup())?,
            user1: catch(SignalKind::user_defined1())?,
            user2: catch(SignalKind::user_defined2())?,
        })
    }

    /// Waits for the next.
    pub(super) async fn next(&mut self) -> Word {
        tokio::select! {
            _ = self.terminate.recv() => Word::Terminate,
            _ = self.interrupt.recv() => Word::Terminate,
            _ = self.hangup.recv() => Word::Reload,
            _ = self.user1.recv() => Word::ReopenLogs,
            _ = self.user2.recv() => Word::Upgrade,
        }
    }
}
