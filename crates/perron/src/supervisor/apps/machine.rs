//! Which processes of one application there should be: starts, restarts, others in their place, the end. It decides; the
//! shell does.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use units::Instant;

use crate::supervisor::machine::backoff;

/// A process that lived this long was well: it is there, and the next in its place is started at once.
const WELL_AFTER: Duration = Duration::from_secs(1);

/// Deaths in a row of one place that are told: until the wait before the next start is the longest.
const TOLD_MAX: u32 = 8;

/// Which process of an application: they are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(in crate::supervisor) struct ProcessId(pub(in crate::supervisor) u64);

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::supervisor) enum Input {
    /// So many processes are to be there.
    Want {
        /// How many.
        processes: u16,
        /// Whether those that are there are of another kind: they end once these have lived.
        renewed: bool,
        /// What a process has to end by itself.
        stop_timeout: Duration,
    },
    /// A process ended, or could not be started.
    Exited(ProcessId, End),
    /// None is to be there any more.
    Retire,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::supervisor) enum End {
    /// By itself, with status 0.
    Well,
    /// Otherwise; how, as text.
    Badly(String),
}

/// What the shell is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::supervisor) enum Action {
    /// Start a process as it is configured now.
    Spawn(ProcessId),
    /// Ask it and all that it has started to end.
    Terminate(ProcessId),
    /// End it by force, likewise.
    Kill(ProcessId),
    /// Tell an operator.
    Log(Notice),
    /// Nothing is left of an application that is wanted no more.
    Gone,
}

/// What an operator is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::supervisor) enum Notice {
    /// So many processes are started; whether in the place of others.
    Begun {
        /// How many.
        processes: usize,
        /// Whether others end for them.
        renewed: bool,
    },
    /// A process that was not told to end has ended; when the next is started, and whether this is told for the last
    /// time.
    Died(ProcessId, String, Duration, bool),
    /// A process did not end in time.
    TooSlow(ProcessId),
}

/// The processes of one application, and what is wanted of it.
#[derive(Debug)]
pub(in crate::supervisor) struct Machine {
    next: u64,
    stop_timeout: Duration,
    places: Vec<Place>,
    /// Those that have no place any more.
    leaving: Vec<Leaving>,
    retired: bool,
    restarts: u64,
}

/// Where one process is to be.
#[derive(Debug, Default)]
struct Place {
    child: Option<Child>,
    /// Deaths since a process here was last well.
    deaths: u32,
    restart_at: Option<Instant>,
}

#[derive(Debug)]
struct Child {
    id: ProcessId,
    since: Instant,
}

#[derive(Debug)]
struct Leaving {
    id: ProcessId,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It serves until those that come in its place have lived.
    Serving,
    Ending {
        until: Instant,
    },
    Killed,
}

/// What a machine knows at the moment of an upgrade.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(in crate::supervisor) struct Carried {
    next: u64,
    places: Vec<Option<ProcessId>>,
    /// Those that serve still, and those that were told to end.
    leaving: Vec<(ProcessId, bool)>,
    restarts: u64,
}

impl Machine {
    /// Nothing runs, and nothing is wanted.
    pub(in crate::supervisor) fn new() -> Machine {
        Machine {
            next: 1,
            stop_timeout: Duration::ZERO,
            places: Vec::new(),
            leaving: Vec::new(),
            retired: false,
            restarts: 0,
        }
    }

    /// How many processes there are that serve.
    pub(in crate::supervisor) fn running(&self) -> usize {
        let serving = self.leaving.iter().filter(|child| child.phase == Phase::Serving).count();
        self.places.iter().filter(|place| place.child.is_some()).count() + serving
    }

    /// How many there should be.
    pub(in crate::supervisor) fn wanted(&self) -> usize {
        self.places.len()
    }

    /// How often a process was started in the place of one that had ended.
    pub(in crate::supervisor) fn restarts(&self) -> u64 {
        self.restarts
    }

    /// What the next supervisor's machine is made of.
    pub(in crate::supervisor) fn carried(&self) -> Carried {
        Carried {
            next: self.next,
            places: self.places.iter().map(|place| place.child.as_ref().map(|child| child.id)).collect(),
            leaving: self.leaving.iter().map(|child| (child.id, child.phase == Phase::Serving)).collect(),
            restarts: self.restarts,
        }
    }

    /// The next supervisor's. It is to be told what is [wanted](Input::Want).
    pub(in crate::supervisor) fn take_over(carried: Carried, stop_timeout: Duration, now: Instant) -> Machine {
        let place = |id: Option<ProcessId>| Place { child: id.map(|id| Child { id, since: now }), ..Place::default() };
        let leaving = |(id, serves)| {
            let phase = if serves { Phase::Serving } else { Phase::Ending { until: now + stop_timeout } };
            Leaving { id, phase }
        };
        Machine {
            next: carried.next,
            stop_timeout,
            places: carried.places.into_iter().map(place).collect(),
            leaving: carried.leaving.into_iter().map(leaving).collect(),
            retired: false,
            restarts: carried.restarts,
        }
    }

    /// Something happened.
    pub(in crate::supervisor) fn handle(&mut self, input: Input, now: Instant, actions: &mut Vec<Action>) {
        match input {
            Input::Want { processes, renewed, stop_timeout } => {
                self.stop_timeout = stop_timeout;
                self.want(usize::from(processes), renewed, now, actions);
            }
            Input::Exited(id, end) => self.exited(id, end, now, actions),
            Input::Retire => {
                self.retired = true;
                let places = std::mem::take(&mut self.places);
                self.leave(places, now, actions);
                self.send_away(now, actions);
                self.end_if_done(actions);
            }
        }
    }

    /// When [`handle_deadline`](Machine::handle_deadline) is due next.
    pub(in crate::supervisor) fn deadline(&self) -> Option<Instant> {
        let restarts = self.places.iter().filter_map(|place| place.restart_at);
        let late = self.leaving.iter().filter_map(|child| match child.phase {
            Phase::Ending { until } => Some(until),
            Phase::Serving | Phase::Killed => None,
        });
        restarts.chain(late).chain(self.settled_at()).min()
    }

    /// Does what is due.
    pub(in crate::supervisor) fn handle_deadline(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for place in &mut self.places {
            if place.restart_at.is_some_and(|at| at <= now) {
                self.restarts += 1;
                place.start(&mut self.next, now, actions);
            }
        }
        for child in &mut self.leaving {
            if matches!(child.phase, Phase::Ending { until } if until <= now) {
                child.phase = Phase::Killed;
                actions.extend([Action::Log(Notice::TooSlow(child.id)), Action::Kill(child.id)]);
            }
        }
        if self.settled_at().is_some_and(|at| at <= now) {
            self.send_away(now, actions);
        }
    }

    /// When those that wait for it are to end; `None`: nobody waits, or it is not known yet.
    fn settled_at(&self) -> Option<Instant> {
        if !self.leaving.iter().any(|child| child.phase == Phase::Serving) {
            return None;
        }
        let lived = |place: &Place| place.child.as_ref().map(|child| child.since + WELL_AFTER);
        let settled: Option<Vec<Instant>> = self.places.iter().map(lived).collect();
        settled?.into_iter().max()
    }

    fn want(&mut self, processes: usize, renewed: bool, now: Instant, actions: &mut Vec<Action>) {
        self.retired = false;
        let before = self.places.iter().any(|place| place.child.is_some());
        if renewed {
            let places = std::mem::take(&mut self.places);
            // Those of the time before serve until these have lived: nobody has seen that the ones between are well.
            if self.leaving.iter().any(|child| child.phase == Phase::Serving) {
                self.leave(places, now, actions);
            } else {
                let serving = places.into_iter().filter_map(|place| place.child);
                self.leaving.extend(serving.map(|child| Leaving { id: child.id, phase: Phase::Serving }));
            }
        }
        if processes < self.places.len() {
            let beyond = self.places.split_off(processes);
            self.leave(beyond, now, actions);
        }
        self.places.resize_with(processes, Place::default);
        let mut begun = 0;
        for place in &mut self.places {
            if place.child.is_none() && place.restart_at.is_none() {
                place.start(&mut self.next, now, actions);
                begun += 1;
            }
        }
        if begun > 0 {
            actions.push(Action::Log(Notice::Begun { processes: begun, renewed: renewed && before }));
        }
    }

    /// The processes of these places are asked to end.
    fn leave(&mut self, places: Vec<Place>, now: Instant, actions: &mut Vec<Action>) {
        let until = now + self.stop_timeout;
        for child in places.into_iter().filter_map(|place| place.child) {
            actions.push(Action::Terminate(child.id));
            self.leaving.push(Leaving { id: child.id, phase: Phase::Ending { until } });
        }
    }

    /// Those that served for want of better ones are asked to end.
    fn send_away(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for child in &mut self.leaving {
            if child.phase == Phase::Serving {
                child.phase = Phase::Ending { until: now + self.stop_timeout };
                actions.push(Action::Terminate(child.id));
            }
        }
    }

    fn exited(&mut self, id: ProcessId, end: End, now: Instant, actions: &mut Vec<Action>) {
        if let Some(at) = self.leaving.iter().position(|child| child.id == id) {
            self.leaving.swap_remove(at);
            return self.end_if_done(actions);
        }
        let is_here = |place: &&mut Place| place.child.as_ref().is_some_and(|child| child.id == id);
        let Some(place) = self.places.iter_mut().find(is_here) else { return };
        let lived = place.child.take().is_some_and(|child| now.since(child.since) >= WELL_AFTER);
        if lived {
            place.deaths = 0;
        }
        let wait = backoff(place.deaths);
        place.deaths = place.deaths.saturating_add(1);
        match end {
            // One that has done its share ends, and another one does the next: no news.
            End::Well if lived => {}
            End::Well if place.deaths <= TOLD_MAX => {
                let why = "it ended with status 0, having lived for less than a second".to_owned();
                actions.push(Action::Log(Notice::Died(id, why, wait, place.deaths == TOLD_MAX)));
            }
            End::Badly(why) if place.deaths <= TOLD_MAX => {
                actions.push(Action::Log(Notice::Died(id, why, wait, place.deaths == TOLD_MAX)));
            }
            End::Well | End::Badly(_) => {}
        }
        if wait.is_zero() {
            self.restarts += 1;
            place.start(&mut self.next, now, actions);
        } else {
            place.restart_at = Some(now + wait);
        }
    }

    fn end_if_done(&self, actions: &mut Vec<Action>) {
        if self.retired && self.leaving.is_empty() {
            actions.push(Action::Gone);
        }
    }
}

impl Place {
    fn start(&mut self, next: &mut u64, now: Instant, actions: &mut Vec<Action>) {
        let id = ProcessId(*next);
        *next += 1;
        self.restart_at = None;
        self.child = Some(Child { id, since: now });
        actions.push(Action::Spawn(id));
    }
}

#[cfg(test)]
mod tests;
