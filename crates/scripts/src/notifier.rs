//! Tells programs and readers of a FIFO what has happened to vips and groups, and to backends and their servers.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::runner::Runner;
use crate::{Command, Fifo, Notify};

/// Changes of one of them that wait for its programs. Of more the oldest are not told: who must know where the
/// addresses are wants the last.
const CHANGES_MAX: usize = 16;

/// Notes that wait to be read; of more, the newest are dropped.
const NOTES_MAX: usize = 256;

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A vip.
    Vip,
    /// A group of them.
    Group,
    /// A backend, which has its quorum or not.
    Backend,
    /// A server, called `BACKEND/SERVER`, which is usable or not.
    Server,
}

/// What it has become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has the addresses.
    Active,
    /// Another has them.
    Backup,
    /// It lacks something.
    Fault,
    /// It is stopped.
    Stop,
    /// It has its quorum, or is usable.
    Up,
    /// It has not, or is not.
    Down,
}

/// A change that is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What kind of thing it is.
    pub subject: Subject,
    /// Its name.
    pub name: String,
    /// What it has become.
    pub state: State,
    /// The priority in effect, of a vip or a group.
    pub priority: Option<u8>,
    /// Who is told, beside readers of the FIFO.
    pub notify: Notify,
}

/// What is to be said of the telling itself: a sentence without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What was told of.
    pub subject: Subject,
    /// Its name.
    pub name: String,
    /// Whether something has gone wrong.
    pub trouble: bool,
    /// What.
    pub text: String,
}

/// Tells of changes: those of one subject in their order, one after the other, and those of others at the same time.
pub struct Notifier {
    fifo: Option<Fifo>,
    /// Lines that did not go into the FIFO since the last one that did.
    lost_lines: u64,
    shared: Arc<Shared>,
}

struct Shared {
    queues: Mutex<Queues>,
    notes: mpsc::Sender<Note>,
    /// How many have changes that are not told yet.
    busy: watch::Sender<usize>,
}

struct Queues {
    runner: Runner,
    /// Of those alone that are being told of. The first is no longer in it.
    waiting: BTreeMap<(Subject, String), VecDeque<Change>>,
}

impl State {
    /// keepalived's word.
    const fn word(self) -> &'static str {
        match self {
            State::Active => "MASTER",
            State::Backup => "BACKUP",
            State::Fault => "FAULT",
            State::Stop => "STOP",
            State::Up => "UP",
            State::Down => "DOWN",
        }
    }
}

impl Subject {
    /// keepalived's word.
    const fn word(self) -> &'static str {
        match self {
            Subject::Vip => "INSTANCE",
            Subject::Group => "GROUP",
            Subject::Backend => "VS",
            Subject::Server => "RS",
        }
    }
}

impl Change {
    /// The FIFO's line.
    fn line(&self) -> String {
        let priority = self.priority.map_or_else(String::new, |priority| format!(" {priority}"));
        format!("{} \"{}\" {}{priority}\n", self.subject.word(), self.name, self.state.word())
    }

    /// What is run, in this order, and with which arguments more.
    fn commands(&self) -> Vec<(&Command, Vec<String>)> {
        let own = match self.state {
            State::Active => &self.notify.active,
            State::Backup => &self.notify.backup,
            State::Fault => &self.notify.fault,
            State::Stop => &self.notify.stop,
            State::Up => &self.notify.up,
            State::Down => &self.notify.down,
        };
        let words = [self.subject.word(), &self.name, self.state.word()].map(str::to_owned);
        let more = words.into_iter().chain(self.priority.map(|priority| priority.to_string())).collect();
        let own = own.as_ref().map(|command| (command, Vec::new()));
        let any = self.notify.any.as_ref().map(|command| (command, more));
        own.into_iter().chain(any).collect()
    }

    fn note(&self, trouble: bool, text: String) -> Note {
        Note { subject: self.subject, name: self.name.clone(), trouble, text }
    }
}

impl fmt::Debug for Notifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Notifier").field("fifo", &self.fifo).finish_non_exhaustive()
    }
}

impl Notifier {
    /// Nothing is told yet. Programs that name nobody are run as `user`, or if there is none as whoever this is. What is
    /// to be said of the telling comes out of the channel.
    pub fn new(user: Option<String>, fifo: Option<Fifo>) -> (Notifier, mpsc::Receiver<Note>) {
        let (notes, said) = mpsc::channel(NOTES_MAX);
        let queues = Queues { runner: Runner::new(user), waiting: BTreeMap::new() };
        let shared = Shared { queues: Mutex::new(queues), notes, busy: watch::Sender::new(0) };
        (Notifier { fifo, lost_lines: 0, shared: Arc::new(shared) }, said)
    }

    /// The FIFO, if there is one.
    pub fn fifo(&self) -> Option<&Fifo> {
        self.fifo.as_ref()
    }

    /// From now on programs are run as `user`; what is being told is told as before.
    pub fn change_user(&mut self, user: Option<String>) {
        let mut queues = self.shared.queues();
        queues.runner = queues.runner.with_user(user);
    }

    /// From now on lines go into this FIFO.
    pub fn change_fifo(&mut self, fifo: Option<Fifo>) {
        (self.fifo, self.lost_lines) = (fifo, 0);
    }

    /// Tells of a change, and does not wait; to be called on a runtime.
    pub fn tell(&mut self, change: Change) {
        self.write(&change);
        if change.commands().is_empty() {
            return;
        }
        let key = (change.subject, change.name.clone());
        let mut queues = self.shared.queues();
        let Some(queue) = queues.waiting.get_mut(&key) else {
            queues.waiting.insert(key, VecDeque::new());
            self.shared.busy.send_modify(|busy| *busy += 1);
            tokio::spawn(Arc::clone(&self.shared).tell_all(change));
            return;
        };
        queue.push_back(change);
        let lost = if queue.len() > CHANGES_MAX { queue.pop_front() } else { None };
        drop(queues);
        if let Some(lost) = lost {
            let text = format!(
                "nobody was told that it became {}: the programs are slower than the changes",
                lost.state.word()
            );
            self.shared.say(lost.note(true, text));
        }
    }

    /// Waits until everything is told, but not longer than this; whether it is.
    pub async fn finish(&self, within: Duration) -> bool {
        let mut busy = self.shared.busy.subscribe();
        matches!(timeout(within, busy.wait_for(|busy| *busy == 0)).await, Ok(Ok(_)))
    }

    fn write(&mut self, change: &Change) {
        let Some(fifo) = &self.fifo else { return };
        match fifo.write(&change.line()) {
            Ok(()) if self.lost_lines > 0 => {
                let text = format!("lines that did not go into {} before: {}", fifo.path().display(), self.lost_lines);
                self.shared.say(change.note(true, text));
                self.lost_lines = 0;
            }
            Ok(()) => {}
            Err(error) => {
                self.lost_lines += 1;
                // Of many the first is told at once, and their number when there is room again.
                if self.lost_lines == 1 {
                    let text =
                        format!("a line did not go into {}, does nobody read it? {error}", fifo.path().display());
                    self.shared.say(change.note(true, text));
                }
            }
        }
    }
}

impl Shared {
    fn queues(&self) -> std::sync::MutexGuard<'_, Queues> {
        // Nothing is left half done under it.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, note: Note) {
        // Who does not read so many is not helped by more.
        let _ = self.notes.try_send(note);
    }

    /// Tells of a change, and of those of the same subject that come meanwhile.
    async fn tell_all(self: Arc<Shared>, mut change: Change) {
        loop {
            let runner = self.queues().runner.clone();
            for (command, more) in change.commands() {
                let mut run = runner.run(command, &more).await;
                if !run.ended.is_good() {
                    self.say(change.note(true, format!("{}, for {}: {run}", command.words[0], change.state.word())));
                }
                if let Some(hanging) = run.hanging.take() {
                    // However it ends, it does not hang any more.
                    let _ = hanging.await;
                }
            }
            let key = (change.subject, change.name.clone());
            let mut queues = self.queues();
            let Some(next) = queues.waiting.get_mut(&key).and_then(VecDeque::pop_front) else {
                queues.waiting.remove(&key);
                break;
            };
            change = next;
        }
        self.busy.send_modify(|busy| *busy -= 1);
    }
}

#[cfg(test)]
mod tests;
