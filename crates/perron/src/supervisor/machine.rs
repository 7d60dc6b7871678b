//! Which serving processes there should be: starts, restarts, reloads, drains, the end. It decides; the shell does.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use units::Instant;

/// A serving process that has not said it serves by then is ended.
pub(super) const START_PATIENCE: Duration = Duration::from_secs(30);

/// A serving process that has been silent for this long is hung: five times the interval of its beats.
pub(super) const BEAT_PATIENCE: Duration = Duration::from_secs(5);

/// A reload waits this long for the state of the process that serves, and then goes on with the last one known.
const STATE_PATIENCE: Duration = Duration::from_secs(1);

/// Between the end of a drain's time and the end of the process by force.
const DRAIN_GRACE: Duration = Duration::from_secs(2);

/// The wait before the second restart in a row; each further one doubles it.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);

/// The longest wait before a restart.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// A process that served this long was well: the next restart is the first again, and at once. Longer than a process
/// that falls over its first requests lives, shorter than an operator needs between two deeds.
const WELL_AFTER: Duration = Duration::from_secs(1);

/// Processes that finish their requests beside the one that serves. Frequent reloads under endless downloads end here.
pub(super) const DRAINING_MAX: usize = 32;

/// Those among them that may wait for clients' kept connections: the youngest.
const PATIENT_MAX: usize = 4;

/// Which serving process: they are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct ChildId(pub(super) u64);

impl fmt::Display for ChildId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Which of the two configurations at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// The one that is served.
    Current,
    /// The one that a reload brings.
    Candidate,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// The sockets are open: begin.
    Begin,
    /// A process serves.
    Ready(ChildId),
    /// A process said why it cannot serve.
    Failed(ChildId, String),
    /// A process is not hung.
    Beat(ChildId),
    /// A process sent its state.
    State(ChildId),
    /// A process ended; how, as text.
    Exited(ChildId, String),
    /// A candidate was checked and its sockets are open.
    Reload,
    /// The same, with a process of another program: when it serves, that program takes this one's place.
    Upgrade,
    /// The other program could not take this one's place, for this reason.
    NotReplaced(String),
    /// Finish what is under way and end; the second time, end at once.
    Terminate,
}

/// What the shell is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Start a process.
    Spawn(ChildId, Which),
    /// Ask it for its state.
    AskState(ChildId),
    /// Have it finish what is under way within this time; clients' kept connections have one more answer each.
    Drain(ChildId, Duration),
    /// The same, without regard to kept connections on which nothing is under way. May follow [`Action::Drain`].
    Hasten(ChildId, Duration),
    /// End it by force.
    Kill(ChildId),
    /// The candidate is the current configuration from now on.
    Commit,
    /// The candidate's program takes this one's place, or [`Input::NotReplaced`] says why it does not.
    Replace(ChildId),
    /// The candidate is dropped, for this reason.
    Reject(String),
    /// Clients are served: the first time, and after each restart or reload.
    Serving(ChildId),
    /// Tell an operator.
    Log(Notice),
    /// No process is left, and none is wanted: end, well or because of this.
    Finish(Result<(), String>),
}

/// What an operator is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// A process that was not told to end has ended; when the next is started.
    Died(ChildId, String, Duration),
    /// A process has been silent for too long.
    Hung(ChildId),
    /// A process did not begin to serve in time.
    TooSlow(ChildId),
    /// A process did not finish within its time.
    DrainOver(ChildId),
    /// More processes than [`DRAINING_MAX`] would finish their requests: this one is ended.
    TooMany(ChildId),
    /// A process ended as it was told.
    Ended(ChildId),
}

/// Why [`Machine::deadline`] is when it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wake {
    /// The wait before a restart is over.
    Restart,
    /// The state that a reload waits for did not come.
    StateLate,
    /// A process is late: with its start, its beat, or its end.
    ChildLate(ChildId),
}

/// The processes, and what is wanted.
#[derive(Debug)]
pub(super) struct Machine {
    drain_timeout: Duration,
    next: u64,
    children: Vec<Child>,
    /// Restarts since a process was last well.
    restarts: u32,
    restart_at: Option<Instant>,
    reload: Option<Reload>,
    /// Whether the candidate is another program's.
    replacing: bool,
    begun: bool,
    ending: bool,
    failed: Option<String>,
}

#[derive(Debug)]
struct Child {
    id: ChildId,
    phase: Phase,
    /// Whether its end is wanted, so that nothing is started in its place.
    leaving: bool,
    last_beat: Instant,
    /// What it, or its judge, said before its end.
    why: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting { until: Instant },
    Serving { since: Instant },
    Draining { until: Instant },
    Killed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reload {
    WaitingForState { until: Instant },
    Starting(ChildId),
}

impl Machine {
    /// Nothing runs yet.
    pub(super) fn new(drain_timeout: Duration) -> Machine {
        Machine {
            drain_timeout,
            next: 1,
            children: Vec::new(),
            restarts: 0,
            restart_at: None,
            reload: None,
            replacing: false,
            begun: false,
            ending: false,
            failed: None,
        }
    }

    /// The time that drains get from now on.
    pub(super) fn set_drain_timeout(&mut self, timeout: Duration) {
        self.drain_timeout = timeout;
    }

    /// The process that clients are served by.
    pub(super) fn serving(&self) -> Option<ChildId> {
        let serves = |child: &&Child| matches!(child.phase, Phase::Serving { .. });
        self.children.iter().rev().find(serves).map(|child| child.id)
    }

    /// Whether a reload can begin: none is under way, and this is not the end.
    pub(super) fn may_reload(&self) -> Result<(), &'static str> {
        match () {
            () if self.ending => Err("the service is ending"),
            () if self.reload.is_some() => Err("another reload is under way; try again in a moment"),
            () if !self.begun => Err("the service has not begun to serve; try again in a moment"),
            () => Ok(()),
        }
    }

    /// Something happened.
    pub(super) fn handle(&mut self, input: Input, now: Instant, actions: &mut Vec<Action>) {
        match input {
            Input::Begin => self.spawn(Which::Current, now, actions),
            Input::Ready(id) => self.ready(id, now, actions),
            Input::Failed(id, why) => {
                if let Some(child) = self.child(id) {
                    child.why = Some(why);
                }
            }
            Input::Beat(id) => {
                if let Some(child) = self.child(id) {
                    child.last_beat = now;
                }
            }
            Input::State(id) => {
                let awaited = matches!(self.reload, Some(Reload::WaitingForState { .. }));
                if awaited && self.serving() == Some(id) {
                    self.start_candidate(now, actions);
                }
            }
            Input::Exited(id, how) => self.exited(id, how, now, actions),
            Input::Reload => self.begin_reload(false, now, actions),
            Input::Upgrade => self.begin_reload(true, now, actions),
            Input::NotReplaced(why) => self.not_replaced(why, now, actions),
            Input::Terminate => self.terminate(now, actions),
        }
    }

    /// When [`handle_deadline`](Machine::handle_deadline) is due next.
    pub(super) fn deadline(&self) -> Option<(Instant, Wake)> {
        let restart = self.restart_at.map(|at| (at, Wake::Restart));
        let state = match self.reload {
            Some(Reload::WaitingForState { until }) => Some((until, Wake::StateLate)),
            _ => None,
        };
        let children = self.children.iter().filter_map(|child| Some((child.late_at()?, Wake::ChildLate(child.id))));
        children.chain(restart).chain(state).min_by_key(|(at, _)| *at)
    }

    /// Does what is due.
    pub(super) fn handle_deadline(&mut self, now: Instant, actions: &mut Vec<Action>) {
        while let Some((at, wake)) = self.deadline()
            && at <= now
        {
            match wake {
                Wake::Restart => self.spawn(Which::Current, now, actions),
                Wake::StateLate => self.start_candidate(now, actions),
                Wake::ChildLate(id) => self.give_up(id, actions),
            }
        }
    }

    fn child(&mut self, id: ChildId) -> Option<&mut Child> {
        self.children.iter_mut().find(|child| child.id == id)
    }

    fn spawn(&mut self, which: Which, now: Instant, actions: &mut Vec<Action>) {
        if which == Which::Current {
            self.restart_at = None;
        }
        let id = ChildId(self.next);
        self.next += 1;
        let phase = Phase::Starting { until: now + START_PATIENCE };
        self.children.push(Child { id, phase, leaving: false, last_beat: now, why: None });
        actions.push(Action::Spawn(id, which));
    }

    fn ready(&mut self, id: ChildId, now: Instant, actions: &mut Vec<Action>) {
        let replaces = self.replacing && self.reload == Some(Reload::Starting(id));
        let Some(child) = self.child(id) else { return };
        if !matches!(child.phase, Phase::Starting { .. }) {
            return;
        }
        child.last_beat = now;
        if replaces {
            actions.push(Action::Replace(id));
            return;
        }
        child.phase = Phase::Serving { since: now };
        self.begun = true;
        if self.reload == Some(Reload::Starting(id)) {
            self.reload = None;
            self.restart_at = None;
            self.restarts = 0;
            actions.push(Action::Commit);
        }
        actions.push(Action::Serving(id));
        let candidate = match self.reload {
            Some(Reload::Starting(candidate)) => Some(candidate),
            _ => None,
        };
        for at in 0..self.children.len() {
            let other = &self.children[at];
            if other.id != id && Some(other.id) != candidate {
                self.send_away(at, now, actions);
            }
        }
        self.limit_draining(actions);
    }

    /// The child at this place is not wanted any more; one that serves finishes its requests.
    fn send_away(&mut self, at: usize, now: Instant, actions: &mut Vec<Action>) {
        let timeout = self.drain_timeout;
        let child = &mut self.children[at];
        child.leaving = true;
        match child.phase {
            Phase::Starting { .. } => {
                child.phase = Phase::Killed;
                actions.push(Action::Kill(child.id));
            }
            Phase::Serving { .. } => {
                child.phase = Phase::Draining { until: now + timeout + DRAIN_GRACE };
                actions.push(match self.ending {
                    false => Action::Drain(child.id, timeout),
                    true => Action::Hasten(child.id, timeout),
                });
            }
            Phase::Draining { .. } if self.ending => actions.push(Action::Hasten(child.id, timeout)),
            Phase::Draining { .. } | Phase::Killed => {}
        }
    }

    /// Of the processes that drain, the youngest few may wait for kept connections; of those that may not, a few more
    /// may finish their requests.
    fn limit_draining(&mut self, actions: &mut Vec<Action>) {
        let draining = |child: &&mut Child| matches!(child.phase, Phase::Draining { .. });
        let count = self.children.iter_mut().filter(draining).count();
        for (place, child) in self.children.iter_mut().filter(draining).enumerate() {
            let younger = count - place - 1;
            if younger >= DRAINING_MAX {
                child.phase = Phase::Killed;
                actions.push(Action::Log(Notice::TooMany(child.id)));
                actions.push(Action::Kill(child.id));
            } else if younger == PATIENT_MAX {
                actions.push(Action::Hasten(child.id, self.drain_timeout));
            }
        }
    }

    fn begin_reload(&mut self, replacing: bool, now: Instant, actions: &mut Vec<Action>) {
        assert!(self.may_reload().is_ok(), "the shell asks before it checks a candidate");
        self.replacing = replacing;
        match self.serving() {
            Some(id) => {
                self.reload = Some(Reload::WaitingForState { until: now + STATE_PATIENCE });
                actions.push(Action::AskState(id));
            }
            None => self.start_candidate(now, actions),
        }
    }

    fn start_candidate(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.reload = Some(Reload::Starting(ChildId(self.next)));
        self.spawn(Which::Candidate, now, actions);
    }

    /// The candidate takes clients already: it finishes their requests, and the others go on.
    fn not_replaced(&mut self, why: String, now: Instant, actions: &mut Vec<Action>) {
        let Some(Reload::Starting(id)) = self.reload else { return };
        self.reload = None;
        if let Some(at) = self.children.iter().position(|child| child.id == id) {
            self.children[at].phase = Phase::Serving { since: now };
            self.send_away(at, now, actions);
            self.limit_draining(actions);
        }
        actions.push(Action::Reject(why));
    }

    /// The child did not do in time what it should.
    fn give_up(&mut self, id: ChildId, actions: &mut Vec<Action>) {
        let child = self.child(id).expect("deadlines are of children that are here");
        let hung_at = child.last_beat + BEAT_PATIENCE;
        let (notice, why) = match child.phase {
            Phase::Starting { .. } => (Notice::TooSlow(id), "it did not begin to serve in time"),
            Phase::Draining { until } if until <= hung_at => (Notice::DrainOver(id), "its time was over"),
            _ => (Notice::Hung(id), "it hung"),
        };
        child.why.get_or_insert_with(|| why.to_owned());
        child.phase = Phase::Killed;
        actions.push(Action::Log(notice));
        actions.push(Action::Kill(id));
    }

    fn exited(&mut self, id: ChildId, how: String, now: Instant, actions: &mut Vec<Action>) {
        let Some(at) = self.children.iter().position(|child| child.id == id) else { return };
        let child = self.children.remove(at);
        let why = child.why.unwrap_or(how);
        if child.leaving {
            actions.push(Action::Log(Notice::Ended(id)));
        } else if self.reload == Some(Reload::Starting(id)) {
            self.reload = None;
            actions.push(Action::Reject(why));
        } else if self.begun {
            if matches!(child.phase, Phase::Serving { since } if now.since(since) >= WELL_AFTER) {
                self.restarts = 0;
            }
            let wait = backoff(self.restarts);
            self.restarts += 1;
            self.restart_at = Some(now + wait);
            actions.push(Action::Log(Notice::Died(id, why, wait)));
        } else {
            self.ending = true;
            self.failed = Some(why);
        }
        if self.ending && self.children.is_empty() {
            actions.push(Action::Finish(self.failed.take().map_or(Ok(()), Err)));
        }
    }

    fn terminate(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.ending {
            for child in &mut self.children {
                child.phase = Phase::Killed;
                child.leaving = true;
                actions.push(Action::Kill(child.id));
            }
            return;
        }
        self.ending = true;
        self.restart_at = None;
        if self.reload.take().is_some() {
            actions.push(Action::Reject("the service is ending".to_owned()));
        }
        for at in 0..self.children.len() {
            self.send_away(at, now, actions);
        }
        if self.children.is_empty() {
            actions.push(Action::Finish(Ok(())));
        }
    }
}

impl Child {
    fn late_at(&self) -> Option<Instant> {
        let hung_at = self.last_beat + BEAT_PATIENCE;
        match self.phase {
            Phase::Starting { until } => Some(until),
            Phase::Serving { .. } => Some(hung_at),
            Phase::Draining { until } => Some(hung_at.min(until)),
            Phase::Killed => None,
        }
    }
}

/// The wait before a restart, after so many in a row.
pub(super) fn backoff(restarts: u32) -> Duration {
    match restarts {
        0 => Duration::ZERO,
        // Beyond this many doublings it is at its longest anyway.
        n => (BACKOFF_FIRST * (1 << (n - 1).min(10))).min(BACKOFF_MAX),
    }
}

mod carried;
pub(super) use carried::Carried;

#[cfg(test)]
mod tests;
