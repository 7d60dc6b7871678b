use std::fmt;
use std::time::Duration;

use units::{Instant, Status};

use crate::{Advice, Outcome, Verdict};

/// How often a server is probed, and how many answers change one's mind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Between probes of a server whose state is settled.
    pub interval: Duration,
    /// Between probes while a change is under way.
    pub fast_interval: Duration,
    /// Between probes of a server that is down for good.
    pub down_interval: Duration,
    /// A probe not answered by then has failed.
    pub timeout: Duration,
    /// Further tries of a server that is up, before a probe has failed.
    pub retries: u32,
    /// Before each of them.
    pub retry_delay: Duration,
    /// Within this the first probes go out, each at its own moment; `None`: within a second.
    pub warmup: Option<Duration>,
    /// Passes in a row that bring a server up. (The very first answer decides alone.)
    pub rise: u32,
    /// Failures in a row that take a server down.
    pub fall: u32,
    /// Failures of real requests in a row that take it down at once; `None`: traffic is not observed.
    pub observe_failures: Option<u32>,
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The next probe.
    Probe,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Probe now, and hand in the outcome, a time-out too; nothing more is asked before.
    Probe,
    /// The check has changed its mind.
    Became {
        /// Never the same as `to`.
        from: Status,
        /// What it thinks now.
        to: Status,
        /// What changed it.
        why: Why,
    },
}

/// What changed a check's mind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// This probe, being the first or the last of enough in a row.
    Probed(Outcome),
    /// So many real requests in a row that failed.
    Traffic(u32),
    /// It was suspended, and knows nothing from then on.
    Suspended,
}

impl fmt::Display for Why {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Probed(outcome) => outcome.fmt(formatter),
            Why::Traffic(failures) => write!(formatter, "{failures} requests in a row failed"),
            Why::Suspended => formatter.write_str("checks are suspended"),
        }
    }
}

/// What a check knows: for status pages, and for the check of the same server after a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Carried {
    /// Its mind.
    pub status: Status,
    /// Outcomes in a row that spoke against `status`.
    pub streak: u32,
    /// When `status` was last changed.
    pub changed: Option<Instant>,
    /// The last outcome, of a try too.
    pub last: Option<Outcome>,
    /// What outcomes have said beside; each part holds until another is said.
    pub advice: Advice,
    /// Probes that were answered for, in whatever way.
    pub probes: u64,
    /// Those among them that failed.
    pub failures: u64,
    /// How often it went from up to down.
    pub downs: u64,
}

/// One check of one server.
///
/// ```text
///            the first answer            fall failures in a row, or observed traffic
/// unknown ───────────────────▶ up / down ◀──────────────────────────────────────────▶ down / up
///    ▲                                            rise passes in a row
///    └── suspend
/// ```
#[derive(Clone, Debug)]
pub struct Monitor {
    policy: Policy,
    known: Carried,
    traffic_failures: u32,
    phase: Phase,
    /// Of the probe that is under way: when it began, and its tries that have failed.
    tried: Option<(Instant, u32)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Waiting { due: Instant },
    Probing { since: Instant },
    Suspended,
}

impl Monitor {
    /// A check that probes first at `first_probe`, and knows what an earlier one knew.
    pub fn new(policy: Policy, carried: Option<Carried>, first_probe: Instant) -> Monitor {
        let known = carried.unwrap_or_default();
        Monitor { policy, known, traffic_failures: 0, phase: Phase::Waiting { due: first_probe }, tried: None }
    }

    /// When to call [`Monitor::handle_deadline`]; `None` while a probe is out or the check is suspended.
    pub fn deadline(&self) -> Option<(Instant, Wake)> {
        match self.phase {
            Phase::Waiting { due } => Some((due, Wake::Probe)),
            Phase::Probing { .. } | Phase::Suspended => None,
        }
    }

    /// All it knows.
    pub fn known(&self) -> &Carried {
        &self.known
    }

    /// The deadline has come.
    pub fn handle_deadline(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if let Phase::Waiting { due } = self.phase
            && due <= now
        {
            self.phase = Phase::Probing { since: now };
            actions.push(Action::Probe);
        }
    }

    /// The probe has ended. Ignored if none is out.
    pub fn handle_outcome(&mut self, now: Instant, outcome: Outcome, actions: &mut Vec<Action>) {
        let Phase::Probing { since } = self.phase else {
            return;
        };
        self.known.last = Some(outcome);
        self.known.advice = self.known.advice.or_as(outcome.advice);
        let verdict = outcome.finding.verdict();
        let (since, tries) = self.tried.take().unwrap_or((since, 0));
        // Nobody waits for a server that is down already, nor for one of which nothing is known.
        if verdict == Verdict::Fail && self.known.status == Status::Up && tries < self.policy.retries {
            self.tried = Some((since, tries + 1));
            self.phase = Phase::Waiting { due: now + self.policy.retry_delay };
            return;
        }
        self.known.probes += 1;
        let says = match verdict {
            Verdict::Pass => Some(Status::Up),
            Verdict::Fail => {
                self.known.failures += 1;
                Some(Status::Down)
            }
            Verdict::Keep => (self.known.status != Status::Down).then_some(Status::Up),
            Verdict::Nothing => None,
        };
        if let Some(says) = says {
            self.weigh(now, says, outcome, actions);
        }
        let due = (since + self.interval()).max(now);
        self.phase = Phase::Waiting { due };
    }

    /// A real request went to the server, and it failed by the server's fault or did not. Counts while the server is
    /// up, if the policy says so; probes alone bring it back.
    pub fn handle_traffic(&mut self, now: Instant, ok: bool, actions: &mut Vec<Action>) {
        let Some(enough) = self.policy.observe_failures else {
            return;
        };
        if self.known.status != Status::Up {
            return;
        }
        self.traffic_failures = if ok { 0 } else { self.traffic_failures + 1 };
        if ok || self.traffic_failures < enough {
            return;
        }
        self.change_to(now, Status::Down, Why::Traffic(self.traffic_failures), actions);
        self.tried = None;
        if let Phase::Waiting { due } = &mut self.phase {
            *due = (*due).min(now + self.policy.fast_interval);
        }
    }

    /// The server goes into maintenance: it is probed no more and nothing is known of it. The outcome of a probe
    /// that is out is not to be handed in.
    pub fn suspend(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.phase == Phase::Suspended {
            return;
        }
        self.phase = Phase::Suspended;
        self.tried = None;
        if self.known.status != Status::Unknown {
            self.change_to(now, Status::Unknown, Why::Suspended, actions);
        }
    }

    /// The server comes out of maintenance: it is probed at once, and that answer decides alone.
    pub fn resume(&mut self, now: Instant) {
        if self.phase == Phase::Suspended {
            self.phase = Phase::Waiting { due: now };
        }
    }

    fn weigh(&mut self, now: Instant, says: Status, outcome: Outcome, actions: &mut Vec<Action>) {
        if says == self.known.status {
            self.known.streak = 0;
            return;
        }
        self.known.streak += 1;
        let enough = match self.known.status {
            Status::Unknown => 1,
            Status::Up => self.policy.fall,
            Status::Down => self.policy.rise,
        };
        if self.known.streak >= enough {
            self.change_to(now, says, Why::Probed(outcome), actions);
        }
    }

    fn change_to(&mut self, now: Instant, to: Status, why: Why, actions: &mut Vec<Action>) {
        let from = self.known.status;
        self.known.status = to;
        self.known.streak = 0;
        self.known.changed = Some(now);
        self.known.downs += u64::from((from, to) == (Status::Up, Status::Down));
        self.traffic_failures = 0;
        actions.push(Action::Became { from, to, why });
    }

    fn interval(&self) -> Duration {
        match (self.known.status, self.known.streak) {
            (Status::Up, 0) => self.policy.interval,
            (Status::Down, 0) => self.policy.down_interval,
            (Status::Unknown, _) | (_, 1..) => self.policy.fast_interval,
        }
    }
}

/// A server's status by all its checks: down if any says so, else unknown if any knows nothing yet, else up.
pub fn combine(checks: &[Status]) -> Status {
    if checks.contains(&Status::Down) {
        Status::Down
    } else if checks.contains(&Status::Unknown) {
        Status::Unknown
    } else {
        Status::Up
    }
}

#[cfg(test)]
mod tests;
