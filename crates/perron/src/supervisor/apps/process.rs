//! One process of an application: what it says, its end, and how it is ended.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process_group, pidfd_open, waitpid};
use scripts::Launched;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::mpsc;

use super::output::{Lines, Told};
use super::{End, Input, ProcessId};
use crate::log;
use crate::supervisor::{Clock, Incoming};

/// Read at once of what a process says.
const READ_MAX: usize = 16 * 1024;

/// Between two reads: one that says more than 1.6 MB a second waits for its pipe.
const READ_PAUSE: Duration = Duration::from_millis(10);

/// Reads of what is left in the pipe when a process has ended: it holds 64 KiB, unless it was made larger.
const LAST_READS: usize = 8;

/// A process; dropped, it is not listened to any more, but goes on.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) id: ProcessId,
    pub(super) pid: u32,
    group: Pid,
    /// For the next supervisor.
    output: OwnedFd,
    /// Whether it was waited for, so that its number may be another's.
    ended: Arc<AtomicBool>,
}

impl Process {
    /// Listens to a process; its end arrives as [`Incoming`].
    pub(super) fn listen(
        name: &str,
        id: ProcessId,
        launched: Launched,
        clock: Clock,
        incoming: mpsc::UnboundedSender<Incoming>,
    ) -> io::Result<Process> {
        let Launched { pid, output } = launched;
        let group = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
        let ended = Arc::new(AtomicBool::new(false));
        let watch = || -> io::Result<Watch> {
            // It is no pipe, and nothing is read from it: it becomes readable, and that is all that is asked of it.
            let end = Receiver::from_file_unchecked(pidfd_open(group, PidfdFlags::NONBLOCK)?.into())?;
            let output = Receiver::from_owned_fd(output.try_clone()?)?;
            let lines = Lines::new(clock.now());
            Ok(Watch { name: name.to_owned(), pid, group, end, output, lines, clock, ended: Arc::clone(&ended) })
        };
        match watch() {
            Ok(watch) => {
                let name = name.to_owned();
                tokio::spawn(async move {
                    let end = watch.run().await;
                    let _ = incoming.send(Incoming::AppHappened(name, Input::Exited(id, end)));
                });
                Ok(Process { id, pid, group, output, ended })
            }
            Err(error) => {
                // Nobody would see its end.
                let _ = kill_process_group(group, Signal::KILL);
                let _ = waitpid(Some(group), WaitOptions::empty());
                Err(error)
            }
        }
    }

    /// Asks it and all that it has started to end.
    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends it by force, likewise.
    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        if !self.ended.load(Ordering::Relaxed) {
            // One that has ended by itself just now is fine too.
            let _ = kill_process_group(self.group, signal);
        }
    }

    pub(super) fn output(&self) -> RawFd {
        self.output.as_raw_fd()
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.output.as_fd()
    }
}

/// What listens to a process.
struct Watch {
    name: String,
    pid: u32,
    group: Pid,
    /// Readable when it has ended.
    end: Receiver,
    output: Receiver,
    lines: Lines,
    clock: Clock,
    ended: Arc<AtomicBool>,
}

impl Watch {
    /// Passes on what the process says until it has ended: how.
    async fn run(mut self) -> End {
        let mut speaks = true;
        loop {
            tokio::select! {
                biased;
                _ = self.end.readable() => break,
                ready = self.output.readable(), if speaks => {
                    speaks = ready.is_ok() && self.lines.read(&self.output, self.clock, &self.name, self.pid);
                    tokio::time::sleep(READ_PAUSE).await;
                }
            }
        }
        // Before it is waited for: until then its number is nobody else's.
        let _ = kill_process_group(self.group, Signal::KILL);
        self.ended.store(true, Ordering::Relaxed);
        let status = waitpid(Some(self.group), WaitOptions::empty());
        for _ in 0..LAST_READS {
            if !speaks {
                break;
            }
            speaks = self.lines.read(&self.output, self.clock, &self.name, self.pid);
        }
        let mut told = Vec::new();
        self.lines.finish(self.clock.now(), &mut told);
        tell(&told, &self.name, self.pid);
        match status {
            Ok(Some((_, status))) => match ExitStatus::from_raw(status.as_raw()) {
                status if status.success() => End::Well,
                status => End::Badly(status.to_string()),
            },
            Ok(None) => End::Badly("nobody knows how".to_owned()),
            Err(error) => End::Badly(format!("it could not be waited for: {error}")),
        }
    }
}

impl Lines {
    /// Reads once, without waiting; `false`: nothing will come any more.
    fn read(&mut self, output: &Receiver, clock: Clock, name: &str, pid: u32) -> bool {
        let mut buffer = [0; READ_MAX];
        match output.try_read(&mut buffer) {
            Ok(0) => false,
            Ok(length) => {
                let mut told = Vec::new();
                self.push(&buffer[..length], clock.now(), &mut told);
                tell(&told, name, pid);
                true
            }
            Err(error) => matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
        }
    }
}

fn tell(told: &[Told], name: &str, pid: u32) {
    for told in told {
        match told {
            Told::Line(line) => {
                log::info("an application says", &[("application", &name), ("pid", &pid), ("line", line)]);
            }
            Told::LeftOut(lines) => {
                let fields: log::Fields<'_> = &[("application", &name), ("pid", &pid), ("lines", lines)];
                log::warn("an application says too much, so that lines were left out", fields);
            }
        }
    }
}
