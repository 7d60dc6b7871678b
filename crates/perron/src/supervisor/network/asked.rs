//! Whoever wants to know how the addresses are, or wants something of them.

use std::time::Duration;

use failover::Order;
use tokio::sync::oneshot;
use units::Instant;

use super::{LOOK_PATIENCE, NOBODY_MOVES};
use crate::control::Answer;
use crate::messages::{Question, ToNetwork};
use crate::supervisor::Supervisor;

/// How long an answer waits for fresh numbers before it has the last ones.
const FRESH_PATIENCE: Duration = Duration::from_millis(500);

/// Between two questions for those who look again and again.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Who waits for fresh numbers.
#[derive(Debug, Default)]
pub(super) struct Asked {
    waiting: Vec<Waiting>,
    /// Somebody looks until then, and is to find numbers of the last second.
    look: Option<Look>,
}

#[derive(Debug)]
struct Waiting {
    until: Instant,
    wants: Wants,
    reply: oneshot::Sender<Answer>,
}

#[derive(Clone, Copy, Debug)]
enum Wants {
    /// A `failover::Report`.
    Report,
    /// An `admin::model::Status`, which the serving process knows.
    Status,
    /// A `forward::Report`.
    Forwarding,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    until: Instant,
    next: Instant,
}

impl Asked {
    pub(super) fn deadline(&self) -> Option<Instant> {
        let look = self.look.map(|look| look.next);
        self.waiting.iter().map(|waiting| waiting.until).chain(look).min()
    }
}

impl Supervisor {
    /// Somebody asks how the addresses are.
    pub(in crate::supervisor) fn ask_vips(&mut self, reply: oneshot::Sender<Answer>) {
        self.ask_fresh(Wants::Report, reply);
    }

    /// Somebody asks how forwarding is.
    pub(in crate::supervisor) fn ask_forwarding(&mut self, reply: oneshot::Sender<Answer>) {
        self.ask_fresh(Wants::Forwarding, reply);
    }

    /// Somebody asks how everything is.
    pub(in crate::supervisor) fn ask_status(&mut self, reply: oneshot::Sender<Answer>) {
        self.ask_fresh(Wants::Status, reply);
    }

    fn ask_fresh(&mut self, wants: Wants, reply: oneshot::Sender<Answer>) {
        if self.network.machine.going().is_none() {
            return self.answer_fresh(wants, reply);
        }
        let until = self.clock.now() + FRESH_PATIENCE;
        self.network.asked.waiting.push(Waiting { until, wants, reply });
        self.network.tell(ToNetwork::Report);
    }

    fn answer_fresh(&mut self, wants: Wants, reply: oneshot::Sender<Answer>) {
        match wants {
            Wants::Report => {
                let report = serde_json::to_value(&self.network.report);
                let _ = reply.send(report.map_or_else(|error| Answer::Failed(error.to_string()), Answer::Done));
            }
            Wants::Forwarding => {
                let report = serde_json::to_value(&self.network.forwarding.report);
                let _ = reply.send(report.map_or_else(|error| Answer::Failed(error.to_string()), Answer::Done));
            }
            Wants::Status => self.pass_on(Question::Status, reply),
        }
    }

    /// There are fresh numbers.
    pub(super) fn answer_askers(&mut self) {
        // Numbers of what is forwarded come behind the others.
        let forwarding = |waiting: &Waiting| matches!(waiting.wants, Wants::Forwarding);
        let waiting = std::mem::take(&mut self.network.asked.waiting);
        let (later, now): (Vec<_>, Vec<_>) = waiting.into_iter().partition(forwarding);
        self.network.asked.waiting = later;
        for waiting in now {
            self.answer_fresh(waiting.wants, waiting.reply);
        }
    }

    /// There are fresh numbers of what is forwarded.
    pub(super) fn answer_forwarding_askers(&mut self) {
        let forwarding = |waiting: &Waiting| matches!(waiting.wants, Wants::Forwarding);
        let waiting = std::mem::take(&mut self.network.asked.waiting);
        let (now, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(forwarding);
        self.network.asked.waiting = later;
        for waiting in now {
            self.answer_fresh(waiting.wants, waiting.reply);
        }
    }

    /// Those who have waited long enough have the last numbers; those who look have new ones.
    pub(super) fn handle_askers(&mut self, now: Instant) {
        let waiting = std::mem::take(&mut self.network.asked.waiting);
        let (late, waiting): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|waiting| waiting.until <= now);
        self.network.asked.waiting = waiting;
        for waiting in late {
            self.answer_fresh(waiting.wants, waiting.reply);
        }
        if let Some(look) = self.network.asked.look.filter(|look| look.next <= now) {
            self.network.tell(ToNetwork::Report);
            let next = Look { next: now + LOOK_INTERVAL, ..look };
            self.network.asked.look = Some(next).filter(|look| look.next <= look.until);
        }
    }

    /// Somebody has looked at what the serving process shows.
    pub(in crate::supervisor) fn looked(&mut self) {
        let now = self.clock.now();
        let next = self.network.asked.look.map_or(now, |look| look.next);
        self.network.asked.look = Some(Look { until: now + LOOK_PATIENCE, next });
    }

    /// An operator wants something of a vip; `None`: of all.
    pub(in crate::supervisor) fn order(&mut self, vip: Option<String>, order: Order, reply: oneshot::Sender<Answer>) {
        let vips = &self.current.config.failover.vips;
        let wrong = match &vip {
            _ if vips.is_empty() => {
                Some("this service moves no addresses: its configuration has no [vip.NAME]".to_owned())
            }
            Some(name) if !vips.iter().any(|known| known.name == *name) => {
                let names: Vec<&str> = vips.iter().map(|known| known.name.as_str()).collect();
                Some(format!("no vip is called {name}; there are {}", names.join(", ")))
            }
            _ => None,
        };
        if let Some(why) = wrong {
            let _ = reply.send(Answer::Wrong(why));
            return;
        }
        if self.network.machine.going().is_none() {
            let _ = reply.send(Answer::Failed(NOBODY_MOVES.to_owned()));
            return;
        }
        let id = self.network.next_order;
        self.network.next_order += 1;
        self.network.orders.retain(|_, reply| !reply.is_closed());
        self.network.orders.insert(id, reply);
        self.network.tell(ToNetwork::Order { id, vip, order });
    }
}
