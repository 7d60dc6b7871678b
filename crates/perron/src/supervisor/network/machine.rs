//! Which process moves the addresses: starts, restarts, another program's in its place, the end. It decides; the shell
//! does.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use units::Instant;

use crate::supervisor::machine::{ChildId, backoff};

/// A process that is not ready, or has not begun, by then is ended.
pub(super) const START_PATIENCE: Duration = Duration::from_secs(10);

/// A process that has been silent for this long is hung: five times the interval of its beats. The thread that its
/// adverts come from has other judges: the other directors.
pub(super) const BEAT_PATIENCE: Duration = Duration::from_secs(5);

/// A process gives its addresses away, or leaves them, within this time: two hundred of them take a tenth of it.
pub(super) const END_PATIENCE: Duration = Duration::from_secs(2);

/// A process that went this long was well: its successor is started at once.
const WELL_AFTER: Duration = Duration::from_secs(1);

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::supervisor) enum Input {
    /// Whether there are addresses to move.
    Want(bool),
    /// The process is to be another program's from now on.
    Replace,
    /// A process could begin at once.
    Ready(ChildId),
    /// A process has begun.
    Began(ChildId),
    /// A process said why it cannot go on.
    Failed(ChildId, String),
    /// A process is not hung.
    Beat(ChildId),
    /// A process has let go of what it had.
    Left(ChildId),
    /// A process ended; how, as text.
    Exited(ChildId, String),
    /// Give the addresses away and end.
    Terminate,
}

/// What the shell is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::supervisor) enum Action {
    /// Start a process.
    Spawn(ChildId),
    /// It goes on with the last known roles.
    Go(ChildId),
    /// It leaves the addresses as they are, and ends.
    Leave(ChildId),
    /// It gives the addresses away, and ends.
    Stop(ChildId),
    /// End it by force.
    Kill(ChildId),
    /// The addresses were given away: nobody has a role any more.
    Forget,
    /// Tell an operator.
    Log(Notice),
    /// No process is left, and none is wanted.
    Ended,
}

/// What an operator is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::supervisor) enum Notice {
    /// A process moves the addresses.
    Began(ChildId),
    /// A process that was not told to end has ended; when the next is started.
    Died(ChildId, String, Duration),
    /// A process has been silent for too long.
    Hung(ChildId),
    /// A process did not begin, or did not end, in time.
    TooSlow(ChildId),
    /// A process of another program could not take the place of the one that goes on.
    NotReplaced(ChildId, String),
    /// A process ended as it was told.
    Ended(ChildId),
}

/// The process, at times its successor too, and what is wanted.
#[derive(Debug)]
pub(in crate::supervisor) struct Machine {
    next: u64,
    wanted: bool,
    ending: bool,
    current: Option<Child>,
    successor: Option<Child>,
    /// Restarts since a process was last well.
    restarts: u32,
    restart_at: Option<Instant>,
    /// Another process was started to give away what one had that was too slow for it. It is the last.
    swept: bool,
}

#[derive(Debug)]
struct Child {
    id: ChildId,
    phase: Phase,
    last_beat: Instant,
    /// Whether it was ended by force: its end is all that comes of it.
    killed: bool,
    /// What it, or its judge, said before its end.
    why: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Until it is ready or, told to go, has begun.
    Starting {
        until: Instant,
    },
    /// Only a successor is.
    Ready,
    Going {
        since: Instant,
    },
    Leaving {
        until: Instant,
    },
    Stopping {
        until: Instant,
    },
}

/// What a machine knows at the moment of an upgrade.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::supervisor) struct Carried {
    next: u64,
    current: Option<ChildId>,
}

impl Machine {
    /// Nothing runs, and nothing is wanted.
    pub(in crate::supervisor) fn new() -> Machine {
        Machine {
            next: 1,
            wanted: false,
            ending: false,
            current: None,
            successor: None,
            restarts: 0,
            restart_at: None,
            swept: false,
        }
    }

    /// The process that has the addresses, or is to have them.
    pub(in crate::supervisor) fn current(&self) -> Option<ChildId> {
        self.current.as_ref().map(|child| child.id)
    }

    /// The process that can be asked: it has begun, and is not to end.
    pub(in crate::supervisor) fn going(&self) -> Option<ChildId> {
        self.current.as_ref().filter(|child| matches!(child.phase, Phase::Going { .. })).map(|child| child.id)
    }

    /// Whether nothing runs and nothing will.
    pub(in crate::supervisor) fn is_idle(&self) -> bool {
        self.current.is_none() && self.successor.is_none() && self.restart_at.is_none()
    }

    /// What the next supervisor's machine is made of.
    pub(in crate::supervisor) fn carried(&self) -> Carried {
        Carried { next: self.next, current: self.current() }
    }

    /// The next supervisor's. It is to be told what is [wanted](Input::Want), and to [replace](Input::Replace) the
    /// process of the program before it.
    pub(in crate::supervisor) fn take_over(carried: Carried, now: Instant) -> Machine {
        let going = |id| Child { phase: Phase::Going { since: now }, ..Child::new(id, now) };
        Machine {
            next: carried.next,
            wanted: carried.current.is_some(),
            current: carried.current.map(going),
            ..Machine::new()
        }
    }

    /// Something happened.
    pub(in crate::supervisor) fn handle(&mut self, input: Input, now: Instant, actions: &mut Vec<Action>) {
        match input {
            Input::Want(wanted) => self.want(wanted, now, actions),
            Input::Replace => self.replace(now, actions),
            Input::Ready(id) => self.ready(id, now, actions),
            Input::Began(id) => self.began(id, now, actions),
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
            // Its end comes next, and with it the successor's turn.
            Input::Left(id) => self.left(id, now, actions),
            Input::Exited(id, how) => self.exited(id, how, now, actions),
            Input::Terminate => self.terminate(now, actions),
        }
    }

    /// When [`handle_deadline`](Machine::handle_deadline) is due next.
    pub(in crate::supervisor) fn deadline(&self) -> Option<Instant> {
        let late = |child: &Option<Child>| child.as_ref().and_then(Child::late_at);
        [self.restart_at, late(&self.current), late(&self.successor)].into_iter().flatten().min()
    }

    /// Does what is due.
    pub(in crate::supervisor) fn handle_deadline(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.restart_at.is_some_and(|at| at <= now) {
            self.start(now, actions);
        }
        for child in [&mut self.current, &mut self.successor].into_iter().flatten() {
            if child.late_at().is_some_and(|at| at <= now) {
                child.give_up(actions);
            }
        }
    }

    fn child(&mut self, id: ChildId) -> Option<&mut Child> {
        [&mut self.current, &mut self.successor].into_iter().flatten().find(|child| child.id == id)
    }

    fn spawn(&mut self, now: Instant, actions: &mut Vec<Action>) -> Child {
        let id = ChildId(self.next);
        self.next += 1;
        actions.push(Action::Spawn(id));
        Child::new(id, now)
    }

    fn start(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.restart_at = None;
        let child = self.spawn(now, actions);
        actions.push(Action::Go(child.id));
        self.current = Some(child);
    }

    fn want(&mut self, wanted: bool, now: Instant, actions: &mut Vec<Action>) {
        if self.ending || self.wanted == wanted {
            return;
        }
        self.wanted = wanted;
        self.restarts = 0;
        match wanted {
            // One that is about to end is waited for.
            true if self.current.is_none() => self.start(now, actions),
            true => {}
            false => self.stop(now, actions),
        }
    }

    /// Gives the addresses away, also those of a process that has died just now.
    fn stop(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if let Some(successor) = &mut self.successor {
            successor.kill(actions);
        }
        if self.restart_at.is_some() {
            self.start(now, actions);
        }
        if let Some(child) = &mut self.current
            && !child.killed
        {
            child.phase = Phase::Stopping { until: now + END_PATIENCE };
            actions.push(Action::Stop(child.id));
        }
    }

    fn replace(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.going().is_some() && self.successor.is_none() {
            self.successor = Some(self.spawn(now, actions));
        }
    }

    fn ready(&mut self, id: ChildId, now: Instant, actions: &mut Vec<Action>) {
        let is_successor = self.successor.as_ref().is_some_and(|child| child.id == id);
        let Some(child) = self.child(id) else { return };
        child.last_beat = now;
        if !is_successor || !matches!(child.phase, Phase::Starting { .. }) {
            return;
        }
        child.phase = Phase::Ready;
        match &mut self.current {
            Some(current) => {
                current.phase = Phase::Leaving { until: now + END_PATIENCE };
                actions.push(Action::Leave(current.id));
            }
            None => self.succeed(now, actions),
        }
    }

    /// It is the successor's turn.
    fn succeed(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Some(mut child) = self.successor.take() else { return };
        child.phase = Phase::Starting { until: now + START_PATIENCE };
        actions.push(Action::Go(child.id));
        self.current = Some(child);
    }

    fn began(&mut self, id: ChildId, now: Instant, actions: &mut Vec<Action>) {
        let Some(child) = self.child(id) else { return };
        child.last_beat = now;
        if matches!(child.phase, Phase::Starting { .. }) {
            child.phase = Phase::Going { since: now };
            actions.push(Action::Log(Notice::Began(id)));
        }
    }

    /// The addresses are nobody's: its end is not waited for.
    fn left(&mut self, id: ChildId, now: Instant, actions: &mut Vec<Action>) {
        let ready = self.successor.as_ref().is_some_and(|child| child.phase == Phase::Ready);
        let leaving = self.current.as_ref().is_some_and(|child| child.id == id && child.is_leaving());
        if ready && leaving {
            self.succeed(now, actions);
            // It ends by itself, and nobody waits for it.
            actions.push(Action::Log(Notice::Ended(id)));
        }
    }

    fn exited(&mut self, id: ChildId, how: String, now: Instant, actions: &mut Vec<Action>) {
        if let Some(child) = self.successor.take_if(|child| child.id == id) {
            if !self.ending && self.wanted {
                actions.push(Action::Log(Notice::NotReplaced(id, child.why.unwrap_or(how))));
            }
            self.end_if_done(actions);
            return;
        }
        let Some(child) = self.current.take_if(|child| child.id == id) else { return };
        let (phase, why) = (child.phase, child.why.unwrap_or(how));
        let ready = self.successor.as_ref().is_some_and(|child| child.phase == Phase::Ready);
        match phase {
            // Whatever it had may still be there, and another director has it as well by now.
            Phase::Stopping { .. } if child.killed && !self.swept && (self.ending || !self.wanted) => {
                self.swept = true;
                self.start(now, actions);
                self.stop(now, actions);
            }
            Phase::Stopping { .. } => {
                self.swept = false;
                actions.extend([Action::Forget, Action::Log(Notice::Ended(id))]);
                if self.wanted && !self.ending {
                    self.start(now, actions);
                }
            }
            Phase::Leaving { .. } if ready => {
                actions.push(Action::Log(Notice::Ended(id)));
                self.succeed(now, actions);
            }
            phase => self.died(id, phase, why, now, actions),
        }
        self.end_if_done(actions);
    }

    /// A process ended that should not have: another goes on with what it had.
    fn died(&mut self, id: ChildId, phase: Phase, why: String, now: Instant, actions: &mut Vec<Action>) {
        if matches!(phase, Phase::Going { since } if now.since(since) >= WELL_AFTER) {
            self.restarts = 0;
        }
        let unwanted = self.ending || !self.wanted;
        let wait = if unwanted { Duration::ZERO } else { backoff(self.restarts) };
        actions.push(Action::Log(Notice::Died(id, why, wait)));
        if self.successor.as_ref().is_some_and(|child| child.phase == Phase::Ready) {
            self.succeed(now, actions);
        } else if unwanted {
            // What it had is still there, and is to be given away.
            self.restart_at = Some(now);
            self.stop(now, actions);
        } else if wait.is_zero() {
            self.restarts += 1;
            self.start(now, actions);
        } else {
            self.restarts += 1;
            self.restart_at = Some(now + wait);
        }
    }

    fn end_if_done(&self, actions: &mut Vec<Action>) {
        if self.ending && self.is_idle() {
            actions.push(Action::Ended);
        }
    }

    fn terminate(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.ending {
            return;
        }
        self.ending = true;
        self.stop(now, actions);
        self.end_if_done(actions);
    }
}

impl Child {
    fn new(id: ChildId, now: Instant) -> Child {
        Child { id, phase: Phase::Starting { until: now + START_PATIENCE }, last_beat: now, killed: false, why: None }
    }

    fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Leaving { .. })
    }

    fn late_at(&self) -> Option<Instant> {
        match self.phase {
            _ if self.killed => None,
            Phase::Starting { until } | Phase::Leaving { until } | Phase::Stopping { until } => Some(until),
            Phase::Ready | Phase::Going { .. } => Some(self.last_beat + BEAT_PATIENCE),
        }
    }

    fn kill(&mut self, actions: &mut Vec<Action>) {
        self.killed = true;
        actions.push(Action::Kill(self.id));
    }

    /// It did not do in time what it should.
    fn give_up(&mut self, actions: &mut Vec<Action>) {
        let (notice, why) = match self.phase {
            Phase::Going { .. } | Phase::Ready => (Notice::Hung(self.id), "it hung"),
            _ => (Notice::TooSlow(self.id), "it was too slow"),
        };
        self.why.get_or_insert_with(|| why.to_owned());
        actions.push(Action::Log(notice));
        self.kill(actions);
    }
}

#[cfg(test)]
mod tests;
