//! What checks of servers want to know that a serving process cannot find out: how programs end, what files say.
//!
//! A serving process says which check asks, never what is to be run: that is in the configuration that it was started
//! with. A check has one look under way; those of all processes together are limited as `scripts` says.

use std::collections::BTreeMap;
use std::sync::Arc;

use check::Kind;
use config::Config;
use scripts::{Ended, Look, Looker, Seen};
use tokio::task::JoinHandle;

use super::machine::ChildId;
use super::{Incoming, Supervisor};
use crate::log;
use crate::messages::{CheckPlace, LookReport, ToServe};

/// The looks of a configuration, by check.
pub(super) type Plan = BTreeMap<CheckPlace, Look>;

/// Who looks for serving processes.
pub(super) struct Looks {
    looker: Looker,
    /// Of each process that wants any.
    plans: BTreeMap<ChildId, Arc<Plan>>,
    under_way: BTreeMap<(ChildId, CheckPlace), UnderWay>,
}

/// Ends with its owner.
struct UnderWay(JoinHandle<()>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What the checks of a configuration want to know.
pub(super) fn plan(config: &Config) -> Plan {
    let mut plan = Plan::new();
    for (backend, servers) in config.checks.iter().enumerate() {
        for (server, checks) in servers.iter().enumerate() {
            for (check, wanted) in checks.iter().enumerate() {
                let timeout = wanted.policy.timeout;
                let look = match &wanted.kind {
                    Kind::Script(script) => Look::Script(scripts::Command {
                        words: script.words.clone(),
                        user: script.user.clone(),
                        timeout,
                    }),
                    Kind::File(file) => Look::File(file.path.clone(), timeout),
                    _ => continue,
                };
                plan.insert(CheckPlace { backend, server, check }, look);
            }
        }
    }
    plan
}

impl Looks {
    pub(super) fn new() -> Looks {
        Looks { looker: Looker::new(None), plans: BTreeMap::new(), under_way: BTreeMap::new() }
    }

    /// A process is started with this configuration; scripts that name nobody are run as `user`.
    pub(super) fn know(&mut self, child: ChildId, config: &Config, user: Option<String>) {
        let plan = plan(config);
        if !plan.is_empty() {
            self.looker = self.looker.with_user(user);
            self.plans.insert(child, Arc::new(plan));
        }
    }

    /// A process has ended: nobody waits for what it wanted to know.
    pub(super) fn forget(&mut self, child: ChildId) {
        self.plans.remove(&child);
        self.under_way.retain(|(of, _), _| *of != child);
    }

    /// Ends all that is under way.
    pub(super) fn end(&mut self) {
        self.under_way.clear();
    }
}

impl Supervisor {
    /// A process wants to know what a check asks for.
    pub(super) fn look(&mut self, child: ChildId, id: u64, place: CheckPlace) {
        // One that finishes its requests decides nothing any more.
        let is_old = self.machine.serving().is_some_and(|serving| child < serving);
        let look = self.looks.plans.get(&child).and_then(|plan| plan.get(&place)).filter(|_| !is_old).cloned();
        let busy = self.looks.under_way.get(&(child, place)).is_some_and(|under_way| !under_way.0.is_finished());
        let Some(look) = look.filter(|_| !busy) else {
            return self.send(child, ToServe::Looked { id, report: LookReport::NotRun }, Vec::new());
        };
        let (looker, incoming) = (self.looks.looker.clone(), self.incoming.clone());
        let looking = tokio::spawn(async move {
            looker.look(look, |seen| drop(incoming.send(Incoming::Looked(child, id, seen)))).await;
        });
        self.looks.under_way.insert((child, place), UnderWay(looking));
    }

    /// It is known.
    pub(super) fn looked_for(&mut self, child: ChildId, id: u64, seen: &Seen) {
        self.send(child, ToServe::Looked { id, report: report(seen) }, Vec::new());
    }

    /// What was under way is ended, and who waits for it is told so.
    pub(super) fn end_looks(&mut self) {
        self.looks.end();
        for child in self.looks.plans.keys() {
            self.send(*child, ToServe::LooksLost, Vec::new());
        }
    }
}

fn report(seen: &Seen) -> LookReport {
    match seen {
        Seen::Ended(Ended::Status(status)) => LookReport::Ended(*status),
        Seen::Ended(Ended::Signal(_)) => LookReport::Killed,
        Seen::Ended(Ended::TimedOut(_)) | Seen::TimedOut => LookReport::TimedOut,
        Seen::Ended(ended @ (Ended::Unfit(_) | Ended::Lost(_))) => {
            log::error("a check's script is not run", &[("why", ended)]);
            LookReport::NotRun
        }
        Seen::NoRoom => LookReport::NotRun,
        Seen::Missing => LookReport::Missing,
        Seen::Holds(number) => LookReport::Holds(*number),
        Seen::Unclear => LookReport::Unclear,
    }
}
