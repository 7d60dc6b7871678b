//! Runs programs, some at once.

use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use linux::User;
use rustix::process::{Signal, geteuid};
use tokio::net::unix::pipe::Receiver;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::process::{Said, Started, start};
use crate::{Command, Notify, Unfit, Watch, What, path};

/// Programs that run at once, of all watches together, and as many of all who are told: each is a process of an
/// administrator's, and hundreds of them at the same second would take the machine from who serves. Further ones wait.
pub const SCRIPTS_MAX: usize = 32;

/// From the request to end (SIGTERM) to the end by force (SIGKILL), to put things in order.
const GRACE: Duration = Duration::from_secs(1);

/// From there to when it is given up: the kernel holds a process that waits for a disk that is gone.
const REAP: Duration = Duration::from_secs(1);

/// How a run ended.
#[derive(Debug)]
pub enum Ended {
    /// By itself, with this status.
    Status(i32),
    /// By this signal.
    Signal(i32),
    /// It took longer than it may.
    TimedOut(Duration),
    /// It was not begun.
    Unfit(Unfit),
    /// What became of it cannot be told.
    Lost(io::Error),
}

/// A run that is over.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) ended: Ended,
    /// The last line that it said.
    pub(crate) said: String,
    /// Its start hangs, and goes on hanging: nothing of the kind is begun before this is over.
    pub(crate) hanging: Option<JoinHandle<()>>,
}

/// Who runs programs.
#[derive(Clone)]
pub(crate) struct Runner {
    user: Option<String>,
    room: Arc<Semaphore>,
}

impl Ended {
    /// Whether it said yes.
    pub fn is_good(&self) -> bool {
        matches!(self, Ended::Status(0))
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Status(status) => write!(formatter, "it ended with status {status}"),
            Ended::Signal(number) => write!(formatter, "it was killed by {}", signal_name(*number)),
            Ended::TimedOut(after) => write!(formatter, "it took longer than {after:?} and was ended"),
            Ended::Unfit(unfit) => unfit.fmt(formatter),
            Ended::Lost(error) => write!(formatter, "it is not known how it ended: {error}"),
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ended.fmt(formatter)?;
        if self.said.is_empty() { Ok(()) } else { write!(formatter, ": {}", self.said) }
    }
}

/// Looks at every program of a configuration, as it would be run: as `user` where the configuration names nobody, or if
/// there is none as whoever this is.
///
/// # Errors
/// Each command that would not be run, and why.
pub fn check<'a>(
    user: Option<&str>,
    watches: &'a [Watch],
    notified: impl IntoIterator<Item = &'a Notify>,
) -> Result<(), Vec<(&'a Command, Unfit)>> {
    let watched = watches.iter().filter_map(|watch| match &watch.what {
        What::Script(command) => Some(command),
        _ => None,
    });
    let told = notified
        .into_iter()
        .flat_map(|notify| {
            [&notify.active, &notify.backup, &notify.fault, &notify.stop, &notify.up, &notify.down, &notify.any]
        })
        .flatten();
    let mut unfit = Vec::new();
    for command in watched.chain(told) {
        let checked = runs_as(command.user.as_deref().or(user))
            .and_then(|(user, _)| path::check(Path::new(&command.words[0]), &user));
        if let Err(error) = checked {
            unfit.push((command, error));
        }
    }
    if unfit.is_empty() { Ok(()) } else { Err(unfit) }
}

impl Runner {
    /// Runs as `user` what names nobody.
    pub(crate) fn new(user: Option<String>) -> Runner {
        Runner { user, room: Arc::new(Semaphore::new(SCRIPTS_MAX)) }
    }

    /// The same room, another user.
    pub(crate) fn with_user(&self, user: Option<String>) -> Runner {
        Runner { user, room: Arc::clone(&self.room) }
    }

    pub(crate) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Runs a program with these arguments more, when there is room; its time begins then.
    pub(crate) async fn run(&self, command: &Command, more: &[String]) -> Run {
        let Ok(room) = Arc::clone(&self.room).acquire_owned().await else {
            unreachable!("nobody closes the semaphore");
        };
        let words: Vec<String> = command.words.iter().chain(more).cloned().collect();
        let user = command.user.clone().or_else(|| self.user.clone());
        let deadline = Instant::now() + command.timeout;
        // The room is given back once nothing of it hangs any more.
        let mut starting = spawn_blocking(move || {
            let started = runs_as(user.as_deref()).and_then(|(user, other)| start(&words, &user, other));
            (started, room)
        });
        let run = |ended| Run { ended, said: String::new(), hanging: None };
        match timeout_at(deadline, &mut starting).await {
            Ok(Ok((Ok(started), _room))) => match attend(started, deadline).await {
                Ok((status, said)) => Run { said, ..run(status.unwrap_or(Ended::TimedOut(command.timeout))) },
                Err(error) => run(Ended::Lost(error)),
            },
            Ok(Ok((Err(unfit), _room))) => run(Ended::Unfit(unfit)),
            Ok(Err(error)) => run(Ended::Lost(io::Error::other(error))),
            Err(_) => {
                let hanging = tokio::spawn(async move { drop(starting.await) });
                Run { hanging: Some(hanging), ..run(Ended::TimedOut(command.timeout)) }
            }
        }
    }
}

/// Who it is run as, and whether that is somebody else.
pub(crate) fn runs_as(name: Option<&str>) -> Result<(User, bool), Unfit> {
    let own = geteuid().as_raw();
    let Some(name) = name else {
        let gid = rustix::process::getegid().as_raw();
        let groups = rustix::process::getgroups().unwrap_or_default().iter().map(|group| group.as_raw()).collect();
        return Ok((User { name: format!("user {own}"), uid: own, gid, groups }, false));
    };
    match linux::User::named(name) {
        Ok(Some(user)) if user.uid == own => Ok((user, false)),
        Ok(Some(user)) if own == 0 => Ok((user, true)),
        Ok(Some(_)) => Err(Unfit::OtherUser { user: name.to_owned() }),
        Ok(None) => Err(Unfit::NoUser { user: name.to_owned() }),
        Err(source) => Err(Unfit::Lookup { user: name.to_owned(), source }),
    }
}

/// Waits for its end and hears what it says; `None`: it had to be ended.
async fn attend(mut started: Started, deadline: Instant) -> io::Result<(Option<Ended>, String)> {
    // It is no pipe, and nothing is read from it: it becomes readable, and that is all that is asked of it.
    let end = Receiver::from_file_unchecked(started.end.try_clone()?.into())?;
    let output = Receiver::from_owned_fd(started.output.try_clone()?)?;
    let mut said = Said::default();
    let (mut open, mut late) = (true, None);
    let mut until = deadline;
    loop {
        tokio::select! {
            ended = end.readable() => {
                ended?;
                break;
            }
            heard = output.readable(), if open => {
                heard?;
                open = hear(&output, &mut said);
            }
            () = sleep_until(until) => match late {
                None => {
                    started.signal(Signal::TERM);
                    (late, until) = (Some(Signal::TERM), Instant::now() + GRACE);
                }
                Some(Signal::TERM) => {
                    started.signal(Signal::KILL);
                    (late, until) = (Some(Signal::KILL), Instant::now() + REAP);
                }
                Some(_) => return Ok((None, said.last_line())),
            },
        }
    }
    if late.is_some() {
        // What it has started may not have obeyed.
        started.signal(Signal::KILL);
    }
    let status = started.wait()?;
    said.drain(&started.output);
    Ok((late.is_none().then(|| how(status)), said.last_line()))
}

/// Takes what there is; `false`: there will be no more.
fn hear(output: &Receiver, said: &mut Said) -> bool {
    let mut buffer = [0; 4096];
    match output.try_read(&mut buffer) {
        Ok(0) => false,
        Ok(length) => {
            said.push(&buffer[..length]);
            true
        }
        Err(error) => matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock),
    }
}

fn how(status: ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Status(code),
        (_, Some(signal)) => Ended::Signal(signal),
        _ => Ended::Lost(io::ErrorKind::InvalidData.into()),
    }
}

/// As signal(7) calls it.
fn signal_name(number: i32) -> String {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "IO", "PWR", "SYS",
    ];
    let name = usize::try_from(number - 1).ok().and_then(|index| NAMES.get(index));
    name.map_or_else(|| format!("signal {number}"), |name| format!("SIG{name}"))
}

#[cfg(test)]
mod tests;
