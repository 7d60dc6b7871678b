//! A program that runs: started in a group of its own, listened to, ended with all that it has started.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use linux::User;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::Unfit;
use crate::path;

/// What programs find each other by; nothing else of the service's environment is theirs.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// So much of what it says last is kept.
const SAID_MAX: usize = 4096;

/// So much of its last line is told.
const LINE_MAX: usize = 256;

/// How often a program that is being written is tried again, and how much later: an editor takes no longer.
const BUSY_TRIES: usize = 50;
const BUSY_WAIT: Duration = Duration::from_millis(10);

/// A process that was started. Dropped, it is ended by force, with all that it has started.
pub(crate) struct Started {
    /// `None`: waited for.
    child: Option<Child>,
    group: Pid,
    /// Readable when it has ended.
    pub(crate) end: OwnedFd,
    /// Its output and its errors; does not wait.
    pub(crate) output: OwnedFd,
}

/// What a program said last.
#[derive(Default)]
pub(crate) struct Said(Vec<u8>);

/// Starts a program, as `user` if it is another than this process's.
///
/// # Errors
/// If it is not to be run, or the system does not start it.
pub(crate) fn start(words: &[String], user: &User, other: bool) -> Result<Started, Unfit> {
    let program = PathBuf::from(&words[0]);
    path::check(&program, user)?;
    spawn(words, user, other).map_err(|source| Unfit::Start { path: program, source })
}

fn spawn(words: &[String], user: &User, other: bool) -> io::Result<Started> {
    let (output, writer) = io::pipe()?;
    let output = OwnedFd::from(output);
    rustix::fs::fcntl_setfl(&output, rustix::fs::fcntl_getfl(&output)? | rustix::fs::OFlags::NONBLOCK)?;
    let mut command = std::process::Command::new(&words[0]);
    command.args(&words[1..]).env_clear().env("PATH", PATH).current_dir("/").process_group(0);
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    linux::isolate(&mut command, other.then_some(user));
    let mut child = spawn_when_written(&mut command)?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
    match pidfd_open(group, PidfdFlags::NONBLOCK) {
        Ok(end) => Ok(Started { child: Some(child), group, end, output }),
        Err(errno) => {
            let _ = child.kill();
            reap(child);
            Err(errno.into())
        }
    }
}

/// A program that another process holds open for writing is not started. So does, for a moment, each process that is
/// begun while someone here writes one.
fn spawn_when_written(command: &mut std::process::Command) -> io::Result<Child> {
    for _ in 0..BUSY_TRIES {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => std::thread::sleep(BUSY_WAIT),
            result => return result,
        }
    }
    command.spawn()
}

impl Started {
    /// Sends a signal to it and to all that it has started and that has not left its group.
    pub(crate) fn signal(&self, signal: Signal) {
        // As long as it is not waited for, its number is nobody else's. One that has ended by itself is fine too.
        if self.child.is_some() {
            let _ = kill_process_group(self.group, signal);
        }
    }

    /// How it has ended; to be called once `end` is readable.
    pub(crate) fn wait(&mut self) -> io::Result<ExitStatus> {
        match self.child.take() {
            Some(mut child) => child.wait(),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        if let Some(child) = self.child.take() {
            reap(child);
        }
    }
}

/// Waits for one that was killed. It may take its time, if the kernel has it wait for a disk.
fn reap(mut child: Child) {
    if !matches!(child.try_wait(), Ok(None)) {
        return;
    }
    // Without a thread it stays a zombie until this process ends: there is nothing better to be done.
    let _ = std::thread::Builder::new().name("reap".to_owned()).spawn(move || child.wait());
}

impl Said {
    /// Takes more; of much, the last.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let tail = &bytes[bytes.len().saturating_sub(SAID_MAX)..];
        let beyond = (self.0.len() + tail.len()).saturating_sub(SAID_MAX);
        self.0.drain(..beyond);
        self.0.extend_from_slice(tail);
    }

    /// Takes what is there already. Whatever the program has started may still hold the other end, so that no end comes.
    pub(crate) fn drain(&mut self, output: impl AsFd) {
        let mut buffer = [0; SAID_MAX];
        // A pipe holds 64 KiB, and who writes faster than this is not waited for.
        for _ in 0..16 {
            match rustix::io::read(&output, &mut buffer) {
                Ok(length @ 1..) => self.push(&buffer[..length]),
                Err(Errno::INTR) => continue,
                _ => return,
            }
        }
    }

    /// The last line that says something, without control characters.
    pub(crate) fn last_line(&self) -> String {
        let text = String::from_utf8_lossy(&self.0);
        let line = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
        line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LINE_MAX).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_last_is_kept_and_its_last_line_told() {
        let mut said = Said::default();
        assert_eq!(said.last_line(), "");
        said.push(b"one\ntw");
        said.push(b"o\x1b[1m\n\n  \n");
        assert_eq!(said.last_line(), "two [1m");
        said.push(&vec![b'x'; 10_000]);
        said.push(b"y");
        assert_eq!(said.0.len(), SAID_MAX);
        assert_eq!(said.last_line(), "x".repeat(LINE_MAX));
        said.push(b"\n\xff\n");
        assert_eq!((said.0.len(), said.last_line().as_str()), (SAID_MAX, "\u{fffd}"));
    }
}
