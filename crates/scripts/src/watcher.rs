//! Looks again and again.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep_until, timeout};

use crate::judge::Judge;
use crate::runner::Runner;
use crate::{Watch, What, look};

/// A look at /proc or at a file that takes longer counts as a failure: the file lies where nothing answers.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// What is known of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It was not looked at yet.
    Unknown,
    /// It is well.
    Well,
    /// It is not.
    Unwell,
    /// A file's number.
    Number(i32),
}

/// What is known of a watch, and what said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Whether it is well.
    pub health: Health,
    /// A phrase about the look that made it so; empty while nobody has looked.
    pub why: String,
}

/// Of every watch, by its key.
pub type Facts = BTreeMap<String, Fact>;

/// Looks at things, each on its own: one that hangs holds up no other. Dropped, it ends what it has running.
pub struct Watcher {
    runner: Runner,
    facts: Arc<watch::Sender<Facts>>,
    tasks: Vec<(Watch, Task)>,
}

/// Ends with its owner.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What one look has found.
enum Found {
    Passed(bool, String),
    Number(i32),
}

impl fmt::Debug for Watcher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.tasks.iter().map(|(watch, _)| &watch.key)).finish()
    }
}

impl Watcher {
    /// Begins to look, at once and on the runtime of the caller. Scripts that name nobody are run as `user`, or if there
    /// is none as whoever this is.
    pub fn start(user: Option<String>, watches: Vec<Watch>) -> Watcher {
        let facts = Arc::new(watch::Sender::new(Facts::new()));
        let mut watcher = Watcher { runner: Runner::new(user.clone()), facts, tasks: Vec::new() };
        watcher.change(user, watches);
        watcher
    }

    /// What is known of all, always whole, and when it changes.
    pub fn facts(&self) -> watch::Receiver<Facts> {
        self.facts.subscribe()
    }

    /// Looks at these from now on. What is known of those that stay stays known.
    pub fn change(&mut self, user: Option<String>, watches: Vec<Watch>) {
        let same_user = self.runner.user() == user.as_deref();
        self.runner = self.runner.with_user(user);
        let known = self.facts.borrow().clone();
        let mut before = std::mem::take(&mut self.tasks);
        let (mut facts, mut begin) = (Facts::new(), Vec::new());
        for watch in watches {
            let place = before.iter().position(|(old, _)| looks_alike(&old.what, &watch.what));
            let kept = place.map(|place| before.swap_remove(place));
            let fact = kept.as_ref().and_then(|(old, _)| known.get(&old.key)).cloned();
            let fact = fact.unwrap_or(Fact { health: Health::Unknown, why: String::new() });
            let health = fact.health;
            facts.insert(watch.key.clone(), fact);
            match kept {
                Some((old, task)) if old == watch && same_user => self.tasks.push((old, task)),
                _ => begin.push((watch, health)),
            }
        }
        drop(before);
        // Before those that begin tell of themselves.
        self.facts.send_replace(facts);
        for (watch, health) in begin {
            let task = tokio::spawn(look_on(self.runner.clone(), watch.clone(), health, Arc::clone(&self.facts)));
            self.tasks.push((watch, Task(task)));
        }
    }
}

/// Whether two find out the same, be it at other times.
fn looks_alike(one: &What, other: &What) -> bool {
    match (one, other) {
        (What::Script(one), What::Script(other)) => (&one.words, &one.user) == (&other.words, &other.user),
        (one, other) => one == other,
    }
}

async fn look_on(runner: Runner, watch: Watch, health: Health, facts: Arc<watch::Sender<Facts>>) {
    let well = match health {
        Health::Well => Some(true),
        Health::Unwell => Some(false),
        Health::Unknown | Health::Number(_) => None,
    };
    let mut judge = Judge::new(watch.rise, watch.fall, well);
    loop {
        let begun = Instant::now();
        let (found, hanging) = look(&runner, &watch.what).await;
        let fact = match found {
            Found::Number(number) => Some(Fact { health: Health::Number(number), why: format!("it holds {number}") }),
            Found::Passed(passed, why) => {
                judge.hear(passed).map(|well| Fact { health: if well { Health::Well } else { Health::Unwell }, why })
            }
        };
        if let Some(fact) = fact {
            tell(&facts, &watch.key, fact);
        }
        if let Some(hanging) = hanging {
            // However it ends, it does not hang any more.
            let _ = hanging.await;
        }
        sleep_until(begun + watch.interval).await;
    }
}

fn tell(facts: &watch::Sender<Facts>, key: &str, fact: Fact) {
    facts.send_if_modified(|facts| {
        let changes = facts.get(key).is_some_and(|known| known.health != fact.health);
        if changes {
            facts.insert(key.to_owned(), fact);
        }
        changes
    });
}

/// Looks once. What is handed back hangs still: looking again would hang as well.
async fn look(runner: &Runner, what: &What) -> (Found, Option<JoinHandle<()>>) {
    match what {
        What::Script(command) => {
            let mut run = runner.run(command, &[]).await;
            let hanging = run.hanging.take();
            (Found::Passed(run.ended.is_good(), run.to_string()), hanging)
        }
        What::Process { name, at_least } => {
            let (wanted, enough) = (name.clone(), *at_least);
            let (running, hanging) = on_a_thread(move || look::processes(&wanted, enough)).await;
            let found = match running {
                None => Found::Passed(false, "/proc does not answer".to_owned()),
                Some(number) if number >= enough => Found::Passed(true, format!("{name} runs")),
                Some(0) => Found::Passed(false, format!("no {name} runs")),
                Some(number) => Found::Passed(false, format!("{number} of {enough} {name} run")),
            };
            (found, hanging)
        }
        What::File(path) => {
            let path = path.clone();
            let (number, hanging) = on_a_thread(move || look::number(&path)).await;
            (Found::Number(number.unwrap_or(0)), hanging)
        }
    }
}

async fn on_a_thread<T: Send + 'static>(
    look: impl FnOnce() -> T + Send + 'static,
) -> (Option<T>, Option<JoinHandle<()>>) {
    let mut looking = spawn_blocking(look);
    match timeout(LOOK_MAX, &mut looking).await {
        Ok(found) => (found.ok(), None),
        Err(_) => (None, Some(tokio::spawn(async move { drop(looking.await) }))),
    }
}

#[cfg(test)]
mod tests;
