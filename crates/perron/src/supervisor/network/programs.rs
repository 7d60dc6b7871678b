//! An administrator's programs: what they find out is known of the service, and they are told what moves.

use std::collections::BTreeMap;
use std::time::Duration;

use config::Config;
use failover::{Event, Facts, Health};
use scripts::{Change, Fifo, Note, Notifier, Notify, State, Subject, Watcher};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::edges;
use crate::event::{self, Kind};
use crate::log::{self, Level};
use crate::supervisor::{Incoming, Supervisor};

/// At the end of the service programs have this long to be told of it.
const TOLD_PATIENCE: Duration = Duration::from_secs(5);

/// The programs of the configuration that is served.
pub(super) struct Programs {
    watcher: Watcher,
    notifier: Notifier,
    /// By vip.
    states: BTreeMap<String, State>,
    /// By group, as was told last.
    groups: BTreeMap<String, State>,
    listening: [JoinHandle<()>; 2],
}

impl Drop for Programs {
    fn drop(&mut self) {
        for task in &self.listening {
            task.abort();
        }
    }
}

impl Programs {
    fn start(config: &Config, user: Option<String>, incoming: &mpsc::UnboundedSender<Incoming>) -> Programs {
        let watcher = Watcher::start(user.clone(), config.watches.clone());
        let (notifier, mut notes) = Notifier::new(user, fifo(config));
        let (mut facts, watched) = (watcher.facts(), incoming.clone());
        let watching = tokio::spawn(async move {
            while facts.changed().await.is_ok() {
                let known = facts.borrow_and_update().clone();
                let _ = watched.send(Incoming::Watched(known));
            }
        });
        let noted = incoming.clone();
        let noting = tokio::spawn(async move {
            while let Some(note) = notes.recv().await {
                let _ = noted.send(Incoming::Noted(note));
            }
        });
        Programs { watcher, notifier, states: BTreeMap::new(), groups: BTreeMap::new(), listening: [watching, noting] }
    }

    fn change(&mut self, config: &Config, user: Option<String>) {
        self.watcher.change(user.clone(), config.watches.clone());
        self.notifier.change_user(user);
        if self.notifier.fifo().map(Fifo::path) != config.notify_fifo.as_deref() {
            self.notifier.change_fifo(fifo(config));
        }
    }

    /// Tells that a vip has moved, and its group once all of it has.
    fn tell(&mut self, config: &Config, event: &Event) {
        let Event::Moved { vip, to, priority, .. } = event else { return };
        let state = state_of(to);
        self.states.insert(vip.clone(), state);
        let plan = &config.failover;
        let Some(place) = plan.vips.iter().position(|known| known.name == *vip) else { return };
        let notify = config.vip_notify.get(place).cloned().unwrap_or_default();
        self.notifier.tell(Change {
            subject: Subject::Vip,
            name: vip.clone(),
            state,
            priority: Some(*priority),
            notify,
        });
        let Some(at) = plan.groups.iter().position(|group| group.members.contains(&place)) else { return };
        let group = &plan.groups[at];
        let members = group.members.iter().filter_map(|member| self.states.get(&plan.vips[*member].name));
        let Some(state) = state_of_all(members.copied()) else { return };
        if self.groups.insert(group.name.clone(), state) != Some(state) {
            let notify: Notify = config.group_notify.get(at).cloned().unwrap_or_default();
            let name = group.name.clone();
            self.notifier.tell(Change { subject: Subject::Group, name, state, priority: Some(*priority), notify });
        }
    }
}

/// The supervisor has tried it before.
fn fifo(config: &Config) -> Option<Fifo> {
    let opened = Fifo::open(config.notify_fifo.as_ref()?);
    opened.inspect_err(|error| log::error("changes of vips are not written", &[("why", error)])).ok()
}

fn state_of(word: &str) -> State {
    match word {
        "active" => State::Active,
        "backup" => State::Backup,
        "fault" => State::Fault,
        _ => State::Stop,
    }
}

/// A group lacks what one of its members lacks; else it is what they all are. `None`: they are on their way.
fn state_of_all(mut members: impl Iterator<Item = State>) -> Option<State> {
    let first = members.next()?;
    members.try_fold(first, |all, one| match (all, one) {
        (State::Fault, _) | (_, State::Fault) => Some(State::Fault),
        _ if all == one => Some(all),
        _ => None,
    })
}

impl Supervisor {
    /// What is served now says which programs are run.
    pub(super) fn follow_programs(&mut self) {
        let (config, user) = (&self.current.config, self.current.user());
        match &mut self.network.programs {
            programs if config.failover.vips.is_empty() && !edges::are_told(config) => *programs = None,
            Some(programs) => programs.change(config, user),
            programs => *programs = Some(Programs::start(config, user, &self.incoming)),
        }
        self.tell_edges();
    }

    /// Programs are told of quorums and servers that have come or gone.
    pub(super) fn tell_edges(&mut self) {
        let network = &mut self.network;
        if let Some(programs) = &mut network.programs {
            for change in edges::changes(&self.current.config, &network.served, &mut network.told) {
                programs.notifier.tell(change);
            }
        }
    }

    /// Programs have found something out.
    pub(in crate::supervisor) fn watched(&mut self, found: &scripts::Facts) {
        let mut known = Facts::default();
        for (key, fact) in found {
            let before = self.network.watched.known.get(key).copied();
            let health = match (fact.health, before) {
                // Another supervisor's programs knew it before.
                (scripts::Health::Unknown, before) => before.unwrap_or(Health::Unknown),
                (scripts::Health::Well, _) => Health::Well,
                (scripts::Health::Unwell, _) => Health::Unwell,
                (scripts::Health::Number(number), _) => Health::Number(number),
            };
            known.known.insert(key.clone(), health);
            let (severity, word) = match health {
                Health::Well => (Level::Info, "well"),
                Health::Unwell => (Level::Warn, "not well"),
                Health::Unknown | Health::Number(_) => continue,
            };
            if before != Some(health) {
                let text = format!("{key} is {word}: {}", fact.why);
                self.record.add(event::Event::new(severity, Kind::VipNote, key, self.generation, &text));
            }
        }
        self.network.watched = known;
        self.tell_facts();
    }

    /// There is something to say of programs that are told.
    pub(in crate::supervisor) fn noted(&mut self, note: &Note) {
        let severity = if note.trouble { Level::Warn } else { Level::Info };
        let event = event::Event::new(severity, Kind::VipNote, &note.name, self.generation, &note.text);
        self.record.add(event);
    }

    /// Programs are told that something has moved.
    pub(super) fn tell_programs(&mut self, event: &Event) {
        if let Some(programs) = &mut self.network.programs {
            programs.tell(&self.current.config, event);
        }
    }

    /// Nothing moves any more: the end of the process waits until programs are told so.
    pub(in crate::supervisor) fn end_programs(&mut self) {
        let last = edges::last_changes(&self.current.config, &self.network.told);
        self.network.telling = self.network.programs.take().map(|mut programs| {
            last.into_iter().for_each(|change| programs.notifier.tell(change));
            tokio::spawn(async move {
                // Those that take longer are ended with this process.
                let _ = programs.notifier.finish(TOLD_PATIENCE).await;
            })
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_what_all_of_it_is_and_lacks_what_one_lacks() {
        use State::{Active, Backup, Fault, Stop};
        let of = |members: &[State]| state_of_all(members.iter().copied());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[Active]), Some(Active));
        assert_eq!(of(&[Active, Backup]), None);
        assert_eq!(of(&[Backup, Backup]), Some(Backup));
        assert_eq!(of(&[Stop, Stop, Stop]), Some(Stop));
        assert_eq!(of(&[Active, Fault]), Some(Fault));
        assert_eq!(of(&[Fault, Backup]), Some(Fault));
    }
}
