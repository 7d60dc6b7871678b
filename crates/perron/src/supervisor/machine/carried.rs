//! A machine from one supervisor to the next, whose clock is another: times are told from now.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use units::Instant;

use super::{Child, ChildId, Machine, Phase, Reload};

/// What a machine knows while its candidate waits to be the one that serves.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::supervisor) struct Carried {
    next: u64,
    restarts: u32,
    restart_in_ms: Option<u64>,
    candidate: ChildId,
    children: Vec<CarriedChild>,
}

#[derive(Debug, Serialize, Deserialize)]
struct CarriedChild {
    id: ChildId,
    phase: CarriedPhase,
    leaving: bool,
    why: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CarriedPhase {
    Starting { left_ms: u64 },
    Serving,
    Draining { left_ms: u64 },
    Killed,
}

impl Machine {
    /// What the next supervisor's machine is made of; `None` unless its program's candidate is here.
    pub(in crate::supervisor) fn carried(&self, now: Instant) -> Option<Carried> {
        let Some(Reload::Starting(candidate)) = self.reload else { return None };
        let known = self.replacing && self.children.iter().any(|child| child.id == candidate);
        known.then(|| Carried {
            next: self.next,
            restarts: self.restarts,
            restart_in_ms: self.restart_at.map(|at| left(at, now)),
            candidate,
            children: self.children.iter().map(|child| child.carried(now)).collect(),
        })
    }

    /// The next supervisor's, and its candidate: it is to be told that this one is ready.
    pub(in crate::supervisor) fn take_over(
        carried: Carried,
        drain_timeout: Duration,
        now: Instant,
    ) -> (Machine, ChildId) {
        let after = |millis| now + Duration::from_millis(millis);
        let machine = Machine {
            next: carried.next,
            restarts: carried.restarts,
            restart_at: carried.restart_in_ms.map(after),
            children: carried.children.into_iter().map(|child| Child::take_over(child, now)).collect(),
            reload: Some(Reload::Starting(carried.candidate)),
            begun: true,
            ..Machine::new(drain_timeout)
        };
        (machine, carried.candidate)
    }
}

impl Child {
    fn carried(&self, now: Instant) -> CarriedChild {
        let phase = match self.phase {
            Phase::Starting { until } => CarriedPhase::Starting { left_ms: left(until, now) },
            Phase::Serving { .. } => CarriedPhase::Serving,
            Phase::Draining { until } => CarriedPhase::Draining { left_ms: left(until, now) },
            Phase::Killed => CarriedPhase::Killed,
        };
        CarriedChild { id: self.id, phase, leaving: self.leaving, why: self.why.clone() }
    }

    fn take_over(carried: CarriedChild, now: Instant) -> Child {
        let until = |millis| now + Duration::from_millis(millis);
        let phase = match carried.phase {
            CarriedPhase::Starting { left_ms } => Phase::Starting { until: until(left_ms) },
            CarriedPhase::Serving => Phase::Serving { since: now },
            CarriedPhase::Draining { left_ms } => Phase::Draining { until: until(left_ms) },
            CarriedPhase::Killed => Phase::Killed,
        };
        Child { id: carried.id, phase, leaving: carried.leaving, last_beat: now, why: carried.why }
    }
}

fn left(until: Instant, now: Instant) -> u64 {
    u64::try_from(until.since(now).as_millis()).unwrap_or(u64::MAX)
}
