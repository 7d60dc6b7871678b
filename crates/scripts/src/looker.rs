//! Looks once, when it is asked to: what checks of servers want to know.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, timeout_at};

use crate::look::{self, Content};
use crate::runner::{Ended, Runner, runs_as};
use crate::{Command, Unfit, path};

/// Files that are read at once: each takes a thread, which hangs where the file's disk does. Of more than these nothing is
/// found out meanwhile.
pub const FILES_MAX: usize = 32;

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// How a program ends.
    Script(Command),
    /// What a file says, within this time.
    File(PathBuf, Duration),
}

/// What was seen.
#[derive(Debug)]
pub enum Seen {
    /// How the program ended.
    Ended(Ended),
    /// There is no such file.
    Missing,
    /// The file holds this number, or nothing at all.
    Holds(Option<i64>),
    /// The file holds something else, or cannot be read.
    Unclear,
    /// The file could not be read in time.
    TimedOut,
    /// There was no room to look.
    NoRoom,
}

/// Who looks. Of its programs [`SCRIPTS_MAX`](crate::SCRIPTS_MAX) run at once, beside those of a [`Watcher`](crate::Watcher),
/// and further ones wait for their turn.
#[derive(Clone)]
pub struct Looker {
    runner: Runner,
    files: Arc<Semaphore>,
}

impl fmt::Debug for Looker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Looker").field("user", &self.runner.user()).finish_non_exhaustive()
    }
}

impl Looker {
    /// Scripts that name nobody are run as `user`, or if there is none as whoever this is.
    pub fn new(user: Option<String>) -> Looker {
        Looker { runner: Runner::new(user), files: Arc::new(Semaphore::new(FILES_MAX)) }
    }

    /// The same room, another user.
    #[must_use]
    pub fn with_user(&self, user: Option<String>) -> Looker {
        Looker { runner: self.runner.with_user(user), files: Arc::clone(&self.files) }
    }

    /// Looks, tells what was seen, and goes on as long as something of the look hangs. Dropped, it ends what runs.
    pub async fn look(&self, look: Look, tell: impl FnOnce(Seen)) {
        let hanging = match look {
            Look::Script(command) => {
                let mut run = self.runner.run(&command, &[]).await;
                let hanging = run.hanging.take();
                tell(Seen::Ended(run.ended));
                hanging
            }
            Look::File(path, patience) => self.read(path, patience, tell).await,
        };
        if let Some(hanging) = hanging {
            let _ = hanging.await;
        }
    }

    async fn read(&self, path: PathBuf, patience: Duration, tell: impl FnOnce(Seen)) -> Option<JoinHandle<()>> {
        let deadline = Instant::now() + patience;
        let Ok(Ok(room)) = timeout_at(deadline, Arc::clone(&self.files).acquire_owned()).await else {
            tell(Seen::NoRoom);
            return None;
        };
        // The room is given back once nothing of it hangs any more.
        let mut reading = spawn_blocking(move || (look::content(&path), room));
        match timeout_at(deadline, &mut reading).await {
            Ok(Ok((content, _room))) => tell(match content {
                Content::Missing => Seen::Missing,
                Content::Empty => Seen::Holds(None),
                Content::Number(number) => Seen::Holds(Some(number)),
                Content::Other => Seen::Unclear,
            }),
            Ok(Err(_)) => tell(Seen::NoRoom),
            Err(_) => {
                tell(Seen::TimedOut);
                return Some(tokio::spawn(async move { drop(reading.await) }));
            }
        }
        None
    }
}

/// Looks at every program that is to be run, each once, as it would be run: as `user` where nobody is named.
///
/// # Errors
/// Each command that would not be run, and why.
pub fn check_looks<'a>(
    user: Option<&str>,
    looks: impl IntoIterator<Item = &'a Look>,
) -> Result<(), Vec<(&'a Command, Unfit)>> {
    let (mut seen, mut unfit) = (BTreeSet::new(), Vec::new());
    for look in looks {
        let Look::Script(command) = look else { continue };
        let as_whom = command.user.as_deref().or(user);
        let program = command.words[0].as_str();
        if !seen.insert((program, as_whom)) {
            continue;
        }
        let checked = runs_as(as_whom).and_then(|(user, _)| path::check(program.as_ref(), &user));
        if let Err(error) = checked {
            unfit.push((command, error));
        }
    }
    if unfit.is_empty() { Ok(()) } else { Err(unfit) }
}

#[cfg(test)]
mod tests;
