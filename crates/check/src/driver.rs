use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use health::{Action, Carried, Monitor, Outcome, Why};
use tls::Connector;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use units::{Instant, Status};
use wire::load_report::LoadReport;

use crate::config::{CheckConfig, Kind};
use crate::lookup::Lookup;
use crate::means::Means;
use crate::outside;
use crate::probe::{Probed, probe};

/// A check's place in the list that [`Driver::spawn`] was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckIndex(pub u32);

/// A check to be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// What, whom, when.
    pub config: CheckConfig,
    /// What the same check knew before a reload.
    pub carried: Option<Carried>,
    /// Whether its server is in maintenance.
    pub suspended: bool,
}

/// What a check has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Which check.
    pub check: CheckIndex,
    /// What happened.
    pub what: What,
    /// All that the check knows then: for status pages, and for its successor.
    pub known: Carried,
}

/// What happened to a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A probe has ended; and what its answer said of the server's load.
    Probed(Outcome, Option<LoadReport>),
    /// It changed its mind.
    Became {
        /// Never the same as `to`.
        from: Status,
        /// What it thinks now.
        to: Status,
        /// What changed it.
        why: Why,
    },
}

/// This moment, on the clock that [`Carried::changed`] is read by.
pub type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// Runs checks, one task for each; they end when it is dropped.
#[derive(Debug)]
pub struct Driver {
    handle: Handle,
    _tasks: JoinSet<()>,
}

/// Tells running checks what others know. Cheap to clone, for any thread.
#[derive(Clone, Debug)]
pub struct Handle {
    checks: Arc<[Line]>,
}

/// The way to one check's task.
#[derive(Debug)]
struct Line {
    suspended: watch::Sender<bool>,
    traffic: mpsc::Sender<bool>,
    connector: watch::Sender<Option<Connector>>,
    /// Whether the last request failed; a success is news only then.
    failing: AtomicBool,
}

/// Requests' results on their way to one check. When so many wait, further ones add nothing.
const TRAFFIC_MAX: usize = 64;

/// Within this the first probes of checks that know nothing go out: until they are answered nobody is served.
const START_SPREAD_MAX: Duration = Duration::from_secs(1);

impl Driver {
    /// Starts all checks, their first probes spread. To be called within a tokio runtime.
    pub fn spawn(checks: Vec<Check>, means: &Means, clock: Clock, events: mpsc::UnboundedSender<Event>) -> Driver {
        let mut tasks = JoinSet::new();
        let mut lines = Vec::with_capacity(checks.len());
        let lookup = Lookup::new();
        let (begun, count) = (clock(), u32::try_from(checks.len()).unwrap_or(u32::MAX));
        for (index, check) in (0..).zip(checks) {
            let (suspended, suspensions) = watch::channel(check.suspended);
            let (traffic, results) = mpsc::channel(TRAFFIC_MAX);
            let (connector, connectors) = watch::channel(None);
            let first_probe = begun + spread(&check, index, count);
            let monitor = Monitor::new(check.config.policy, check.carried, first_probe);
            tasks.spawn(
                Task {
                    check: CheckIndex(index),
                    config: check.config,
                    lookup: lookup.sibling(),
                    means: means.clone(),
                    connectors,
                    monitor,
                    probing: None,
                    clock: Arc::clone(&clock),
                    events: events.clone(),
                }
                .run(suspensions, results),
            );
            lines.push(Line { suspended, traffic, connector, failing: AtomicBool::new(false) });
        }
        Driver { handle: Handle { checks: lines.into() }, _tasks: tasks }
    }

    /// A way to tell the checks what others know.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Handle {
    /// The check's server goes into maintenance: it is probed no more and nothing is known of it.
    pub fn suspend(&self, check: CheckIndex) {
        self.set_suspended(check, true);
    }

    /// The check's server comes out of maintenance: it is probed at once.
    pub fn resume(&self, check: CheckIndex) {
        self.set_suspended(check, false);
    }

    /// The next probes of a check through TLS begin so. Until this is called it cannot probe.
    pub fn connect_by(&self, check: CheckIndex, connector: Connector) {
        if let Some(line) = self.line(check) {
            line.connector.send_replace(Some(connector));
        }
    }

    /// A real request went to the check's server, and failed by the server's fault or did not. Never waits; the
    /// successes of a server that is well cost one look at a shared flag.
    pub fn traffic(&self, check: CheckIndex, ok: bool) {
        let Some(line) = self.line(check) else { return };
        if ok && !line.failing.load(Ordering::Relaxed) {
            return;
        }
        line.failing.store(!ok, Ordering::Relaxed);
        // Full: the check has enough to go by. Closed: it has ended.
        let _ = line.traffic.try_send(ok);
    }

    fn set_suspended(&self, check: CheckIndex, suspended: bool) {
        if let Some(line) = self.line(check) {
            line.suspended.send_replace(suspended);
        }
    }

    fn line(&self, check: CheckIndex) -> Option<&Line> {
        self.checks.get(usize::try_from(check.0).ok()?)
    }
}

/// How long after the start a check probes first. Who knows something already can spare a whole interval.
fn spread(check: &Check, index: u32, count: u32) -> Duration {
    let knows = check.carried.is_some_and(|known| known.status != Status::Unknown);
    let interval = check.config.policy.interval;
    match check.config.policy.warmup {
        // Of any of them that stand together, a few or all, the places are far from each other.
        Some(warmup) => warmup.mul_f64((f64::from(index) * GOLDEN).fract()),
        None if knows => interval.mul_f64(f64::from(index) / f64::from(count.max(1))),
        None => interval.min(START_SPREAD_MAX).mul_f64(f64::from(index) / f64::from(count.max(1))),
    }
}

/// The part of a circle by which points are taken further so that they never come close to each other.
const GOLDEN: f64 = 0.618_033_988_749_894_8;

/// A probe under way.
type Probing = Pin<Box<dyn Future<Output = Probed> + Send>>;

/// One check.
struct Task {
    check: CheckIndex,
    config: CheckConfig,
    lookup: Lookup,
    means: Means,
    connectors: watch::Receiver<Option<Connector>>,
    monitor: Monitor,
    probing: Option<Probing>,
    clock: Clock,
    events: mpsc::UnboundedSender<Event>,
}

impl Task {
    /// Runs until nobody listens, or nobody holds the other ends of its lines.
    async fn run(mut self, mut suspensions: watch::Receiver<bool>, mut results: mpsc::Receiver<bool>) {
        suspensions.mark_changed();
        let mut actions = Vec::new();
        while !self.events.is_closed() {
            let mut probed = None;
            tokio::select! {
                biased;
                changed = suspensions.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let suspended = *suspensions.borrow_and_update();
                    self.set_suspended(suspended, &mut actions);
                }
                Some(ok) = results.recv() => {
                    self.monitor.handle_traffic((self.clock)(), ok, &mut actions);
                }
                Probed { outcome, report } = ended(&mut self.probing) => {
                    self.probing = None;
                    self.monitor.handle_outcome((self.clock)(), outcome, &mut actions);
                    probed = Some(What::Probed(outcome, report));
                }
                () = due(&self.monitor, &self.clock) => {
                    self.monitor.handle_deadline((self.clock)(), &mut actions);
                }
            }
            probed.into_iter().for_each(|what| self.tell(what));
            for action in actions.drain(..) {
                match action {
                    Action::Probe => {
                        let (config, lookup, means) = (self.config.clone(), self.lookup.clone(), self.means.clone());
                        let (check, connector) = (self.check, self.connectors.borrow().clone());
                        let probing = async move {
                            match &config.kind {
                                Kind::Script(_) | Kind::File(_) => {
                                    outside::ask(check, &config.kind, means.asker.as_ref()).await
                                }
                                _ => probe(&config, &lookup, &means, connector.as_ref()).await,
                            }
                        };
                        self.probing = Some(Box::pin(probing));
                    }
                    Action::Became { from, to, why } => self.tell(What::Became { from, to, why }),
                }
            }
        }
    }

    fn set_suspended(&mut self, suspended: bool, actions: &mut Vec<Action>) {
        if suspended {
            self.probing = None;
            self.monitor.suspend((self.clock)(), actions);
        } else {
            self.monitor.resume((self.clock)());
        }
    }

    fn tell(&self, what: What) {
        let event = Event { check: self.check, what, known: *self.monitor.known() };
        // If nobody listens any more the loop ends by itself.
        let _ = self.events.send(event);
    }
}

async fn ended(probing: &mut Option<Probing>) -> Probed {
    match probing {
        Some(probing) => probing.await,
        None => pending().await,
    }
}

/// Waits for the monitor's deadline.
async fn due(monitor: &Monitor, clock: &Clock) {
    match monitor.deadline() {
        Some((at, _)) => tokio::time::sleep(at.since(clock())).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests;
