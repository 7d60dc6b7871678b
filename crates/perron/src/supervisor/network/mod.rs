//! The process that moves addresses, as the supervisor has it: what it is told, what it says, who asks for it.

mod asked;
mod edges;
mod forwarding;
mod machine;
mod programs;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::time::Duration;

use failover::{Beats, Event, Facts, Report, Role};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use units::Instant;

use super::child::{self, Handle, Paused, THIS_PROGRAM};
use super::handover::CarriedChild;
use super::machine::ChildId;
use super::{Incoming, Supervisor};
use crate::control::Answer;
use crate::event::{self, Kind};
use crate::log::Level;
use crate::messages::{FromNetwork, Prepare, ToNetwork, ToServe};
use asked::Asked;
pub(super) use edges::are_told;
use forwarding::Forwarding;
pub(super) use machine::Input;
use machine::{Action, Carried, Machine, Notice};
use programs::Programs;

/// For how long somebody who has looked is expected to look again: metrics are asked for every minute at the rarest.
const LOOK_PATIENCE: Duration = Duration::from_secs(60);

/// What is said of each vip while no process moves it.
const NOBODY_MOVES: &str = "the process that moves addresses does not run just now; the log says why";

/// The process and what is known of it.
pub(super) struct Network {
    machine: Machine,
    children: Vec<Handle<child::Network>>,
    /// What a process that takes the place of the last one goes on with.
    roles: Vec<Role>,
    /// As the process said last.
    report: Report,
    /// What the serving process said last.
    served: Facts,
    /// What was told last of quorums and servers.
    told: edges::Told,
    /// What an administrator's programs have found out.
    watched: Facts,
    programs: Option<Programs>,
    /// At the end: programs that are told so.
    telling: Option<JoinHandle<()>>,
    /// The memory that serving processes beat in, once a vip has depended on them.
    beats: Option<OwnedFd>,
    /// Whether the process was ended for its silence.
    hung: bool,
    forwarding: Forwarding,
    orders: BTreeMap<u64, oneshot::Sender<Answer>>,
    next_order: u64,
    asked: Asked,
}

/// What the next supervisor is handed. Descriptors are told by their numbers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CarriedNetwork {
    machine: Carried,
    children: Vec<CarriedChild>,
    roles: Vec<Role>,
    report: Report,
    served: Facts,
    watched: Facts,
    beats: Option<RawFd>,
    #[serde(default)]
    forwarding: Forwarding,
    #[serde(default)]
    told: edges::Told,
}

/// The same, with its descriptors taken.
#[derive(Debug)]
pub(super) struct TakenNetwork {
    carried: CarriedNetwork,
    children: Vec<Paused>,
    beats: Option<OwnedFd>,
}

impl Network {
    /// Nothing moves yet.
    pub(super) fn new() -> Network {
        Network {
            machine: Machine::new(),
            children: Vec::new(),
            roles: Vec::new(),
            report: Report::default(),
            served: Facts::default(),
            told: edges::Told::new(),
            watched: Facts::default(),
            programs: None,
            telling: None,
            beats: None,
            hung: false,
            forwarding: Forwarding::default(),
            orders: BTreeMap::new(),
            next_order: 1,
            asked: Asked::default(),
        }
    }

    /// When [`Supervisor::network_on_time`] is due next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        [self.machine.deadline(), self.asked.deadline()].into_iter().flatten().min()
    }

    /// The memory that serving processes beat in.
    pub(super) fn beats(&mut self) -> io::Result<OwnedFd> {
        let beats = match self.beats.take() {
            Some(beats) => beats,
            None => linux::shared_memory("perron-beats", Beats::WORDS)?,
        };
        self.beats.insert(beats).try_clone()
    }

    /// What the end of the process waits for.
    pub(super) fn take_telling(&mut self) -> Option<JoinHandle<()>> {
        self.telling.take()
    }

    /// Whether nothing runs and nothing will.
    pub(super) fn is_idle(&self) -> bool {
        self.machine.is_idle()
    }

    /// Its processes, for the time of a handover.
    pub(super) fn children(&mut self) -> &mut Vec<Handle<child::Network>> {
        &mut self.children
    }

    /// What the next supervisor is handed, and the descriptors that it tells the numbers of but for the children's.
    pub(super) fn carried(&self, children: &[Paused]) -> (CarriedNetwork, Vec<BorrowedFd<'_>>) {
        let carried = CarriedNetwork {
            machine: self.machine.carried(),
            children: children.iter().map(CarriedChild::new).collect(),
            roles: self.roles.clone(),
            report: self.report.clone(),
            served: self.served.clone(),
            watched: self.watched.clone(),
            beats: self.beats.as_ref().map(AsRawFd::as_raw_fd),
            forwarding: self.forwarding.clone(),
            told: self.told.clone(),
        };
        (carried, self.beats.iter().map(AsFd::as_fd).collect())
    }

    fn current(&self) -> Option<&Handle<child::Network>> {
        let id = self.machine.current()?;
        self.children.iter().find(|child| child.id == id)
    }

    fn tell(&self, message: ToNetwork) {
        if let Some(child) = self.current() {
            child.send(message, Vec::new());
        }
    }

    fn pid(&self, id: ChildId) -> u32 {
        self.children.iter().find(|child| child.id == id).map_or(0, |child| child.pid)
    }

    /// What is known of the service, whole.
    fn facts(&self) -> Facts {
        let both = [&self.served, &self.watched].into_iter().flat_map(|facts| facts.known.clone());
        Facts { known: both.collect() }
    }

    /// What the process has said of itself is what its successor goes on with. While it goes, an advert is as old as
    /// its interval at most.
    fn note_roles(&mut self, now_ns: u64) {
        // Of one that hung nobody knows when it sent its last.
        let now_ns = if std::mem::take(&mut self.hung) { 0 } else { now_ns };
        let role = |vip: &failover::VipReport| Role {
            vip: vip.name.clone(),
            active: vip.state == "active",
            last_advert_ns: now_ns.saturating_sub(vip.advert_interval_ms.saturating_mul(1_000_000)),
            priority: vip.priority,
            advert_interval_ms: vip.advert_interval_ms,
            hold: vip.hold,
        };
        for told in self.report.vips.iter().map(role) {
            match self.roles.iter_mut().find(|known| known.vip == told.vip) {
                Some(known) => *known = told,
                None => self.roles.push(told),
            }
        }
    }
}

impl CarriedNetwork {
    /// Takes the descriptors over.
    pub(super) fn take_over(mut self) -> io::Result<TakenNetwork> {
        let mut children = Vec::new();
        for child in std::mem::take(&mut self.children) {
            children.push(child.take_over()?);
        }
        let beats = self.beats.map(linux::inherited_descriptor).transpose()?;
        Ok(TakenNetwork { carried: self, children, beats })
    }
}

impl Supervisor {
    /// Whether this director has addresses to move.
    pub(super) fn has_vips(&self) -> bool {
        !self.current.config.failover.vips.is_empty()
    }

    /// Goes on with the process of the program before this one, until one of this program is ready.
    pub(super) fn network_go_on(&mut self, taken: TakenNetwork) {
        let TakenNetwork { carried, children, beats } = taken;
        self.network = Network {
            machine: Machine::take_over(carried.machine, self.clock.now()),
            roles: carried.roles,
            report: carried.report,
            served: carried.served,
            watched: carried.watched,
            told: carried.told,
            forwarding: carried.forwarding,
            beats,
            ..Network::new()
        };
        for child in children {
            self.network_resume(child);
        }
    }

    /// Listens to a process again.
    pub(super) fn network_resume(&mut self, child: Paused) {
        let id = child.id;
        match child.resume(self.incoming.clone()) {
            Ok(child) => self.network.children.push(child),
            Err(error) => self.network_exited(id, &error),
        }
    }

    fn network_exited(&self, id: ChildId, why: &dyn std::fmt::Display) {
        let how = format!("it could not be reached: {why}");
        let _ = self.incoming.send(Incoming::NetworkHappened(Input::Exited(id, how)));
    }

    /// What is served now says what is moved.
    pub(super) fn network_follow(&mut self) {
        self.follow_programs();
        self.give_network(Input::Want(self.has_vips() || self.forwards()));
    }

    /// Another configuration is served.
    pub(super) fn network_plan(&mut self) {
        if self.has_vips() || self.forwards() {
            self.network.tell(ToNetwork::Plan(self.current.texts()));
        }
        self.forwarding_plan();
    }

    /// Something happened to a process.
    pub(super) fn give_network(&mut self, input: Input) {
        let gone = match &input {
            Input::Exited(id, _) => Some(*id),
            _ => None,
        };
        if gone.is_some() && gone == self.network.machine.going() {
            self.network.note_roles(linux::boot_clock().as_nanos());
        }
        let mut actions = Vec::new();
        self.network.machine.handle(input, self.clock.now(), &mut actions);
        self.perform_network(actions);
        if let Some(id) = gone {
            self.network.children.retain(|child| child.id != id);
        }
    }

    /// Does what is due.
    pub(super) fn network_on_time(&mut self) {
        let now = self.clock.now();
        let mut actions = Vec::new();
        self.network.machine.handle_deadline(now, &mut actions);
        self.perform_network(actions);
        self.handle_askers(now);
    }

    fn perform_network(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Spawn(id) => {
                    if let Err(error) = self.spawn_network(id) {
                        let how = format!("it could not be started: {error}");
                        let _ = self.incoming.send(Incoming::NetworkHappened(Input::Exited(id, how)));
                    }
                }
                Action::Go(id) => {
                    let Network { roles, forwarding, .. } = &self.network;
                    let go = ToNetwork::Go {
                        roles: roles.clone(),
                        facts: self.network.facts(),
                        forwarding: forwarding.table.clone(),
                        forwarded: forwarding.report.ours.clone(),
                    };
                    self.send_network(id, go);
                }
                Action::Leave(id) => self.send_network(id, ToNetwork::Leave),
                Action::Stop(id) => self.send_network(id, ToNetwork::Stop),
                Action::Kill(id) => {
                    if let Some(child) = self.network.children.iter().find(|child| child.id == id) {
                        child.kill();
                    }
                }
                Action::Forget => {
                    self.network.roles.clear();
                    self.network.forwarding.report = forward::Report::default();
                    self.take_report(Report::default());
                }
                Action::Log(notice) => {
                    let goes_on = matches!(notice, Notice::NotReplaced(..));
                    self.tell_network(notice);
                    if goes_on {
                        self.network_plan();
                    }
                }
                Action::Ended => self.network_ended(),
            }
        }
    }

    fn spawn_network(&mut self, id: ChildId) -> io::Result<()> {
        let beats = self.network.beats()?;
        let child = Handle::spawn(id, Path::new(THIS_PROGRAM), self.incoming.clone())?;
        let prepare = Prepare { texts: self.current.texts(), user: self.current.user() };
        child.send(ToNetwork::Start(Box::new(prepare)), vec![beats]);
        self.network.children.push(child);
        Ok(())
    }

    fn send_network(&self, id: ChildId, message: ToNetwork) {
        if let Some(child) = self.network.children.iter().find(|child| child.id == id) {
            child.send(message, Vec::new());
        }
    }

    /// A process said something.
    pub(super) fn hear_network(&mut self, id: ChildId, said: FromNetwork) {
        let is_current = self.network.machine.current() == Some(id);
        match said {
            FromNetwork::Ready => self.give_network(Input::Ready(id)),
            FromNetwork::Began => self.give_network(Input::Began(id)),
            FromNetwork::Failed { why } => self.give_network(Input::Failed(id, why)),
            FromNetwork::Beat => self.give_network(Input::Beat(id)),
            FromNetwork::Left(roles) => {
                if is_current {
                    self.network.roles = roles;
                }
                self.give_network(Input::Left(id));
            }
            FromNetwork::Reply { id: order, answer } => {
                if let Some(reply) = self.network.orders.remove(&order) {
                    let done = |()| Answer::Done(serde_json::Value::Null);
                    let _ = reply.send(answer.map_or_else(Answer::Failed, done));
                }
            }
            FromNetwork::Report(report) if is_current => self.take_report(report),
            FromNetwork::Event(event) if is_current => self.moved(&event),
            FromNetwork::Forwarding(report) if is_current => self.take_forwarding_report(report),
            FromNetwork::Forwarded(event) if is_current => self.forwarded(&event),
            FromNetwork::Report(_) | FromNetwork::Event(_) | FromNetwork::Forwarding(_) | FromNetwork::Forwarded(_) => {
            }
        }
    }

    /// The serving process said what serves.
    pub(super) fn take_served(&mut self, served: Facts) {
        if self.network.served != served {
            self.network.served = served;
            self.tell_edges();
            self.tell_facts();
        }
    }

    /// The process knows what is known of the service.
    pub(super) fn tell_facts(&self) {
        self.network.tell(ToNetwork::Facts(self.network.facts()));
    }

    fn take_report(&mut self, report: Report) {
        self.network.report = report;
        self.tell_report();
        self.answer_askers();
    }

    /// The serving process shows it.
    pub(super) fn tell_report(&self) {
        let serving = self.machine.serving().and_then(|id| self.children.iter().find(|child| child.id == id));
        if let Some(child) = serving.filter(|_| self.has_vips()) {
            child.send(ToServe::Vips(Box::new(self.network.report.clone())), Vec::new());
        }
    }

    /// An address has moved, or its process has something to say.
    fn moved(&mut self, event: &Event) {
        let generation = self.generation;
        let happened = match event {
            Event::Moved { vip, from, to, priority, why, .. } => {
                let (severity, kind) = match to.as_str() {
                    "active" => (Level::Info, Kind::VipActive),
                    "backup" => (Level::Info, Kind::VipBackup),
                    // At the start it is not known yet whether all is well.
                    "fault" if from == "initialize" => (Level::Info, Kind::VipFault),
                    "fault" => (Level::Error, Kind::VipFault),
                    _ => (Level::Info, Kind::VipStopped),
                };
                let text = format!("{vip} is {to}, was {from}: {why}; priority {priority}");
                event::Event::new(severity, kind, vip, generation, &text)
            }
            Event::Noted { vip, trouble, text } => {
                let severity = if *trouble { Level::Warn } else { Level::Info };
                event::Event::new(severity, Kind::VipNote, vip.as_deref().unwrap_or("vips"), generation, text)
            }
        };
        self.record.add(happened);
        self.tell_programs(event);
    }

    fn tell_network(&mut self, notice: Notice) {
        if let Notice::Hung(_) = notice {
            self.network.hung = true;
        }
        let process = |id| format!("process {}", self.network.pid(id));
        let (severity, kind, text) = match notice {
            Notice::Began(id) => (Level::Info, Kind::Network, format!("{} {}", process(id), self.duty())),
            Notice::Died(id, why, wait) => {
                let after =
                    if wait.is_zero() { "at once".to_owned() } else { format!("in {}", units::write_duration(wait)) };
                let text = format!(
                    "{}, which {}, died: {why}; they stay, and it is started again {after}",
                    process(id),
                    self.duty()
                );
                (Level::Error, Kind::NetworkDied, text)
            }
            Notice::Hung(id) => {
                let text = format!("{}, which {}, hangs; it is ended by force", process(id), self.duty());
                (Level::Error, Kind::NetworkHung, text)
            }
            Notice::TooSlow(id) => {
                let text = format!("{}, which {}, is not done in time; it is ended by force", process(id), self.duty());
                (Level::Error, Kind::NetworkHung, text)
            }
            Notice::NotReplaced(id, why) => {
                let text = format!(
                    "{} of this version cannot move the addresses, the one before it goes on: {why}",
                    process(id)
                );
                (Level::Error, Kind::NetworkDied, text)
            }
            Notice::Ended(id) => {
                (Level::Info, Kind::NetworkEnded, format!("{} moves addresses no more, as it was told", process(id)))
            }
        };
        if matches!(kind, Kind::NetworkDied) && self.network.machine.going().is_none() {
            self.network.orders.clear();
            for vip in &mut self.network.report.vips {
                if vip.diagnosis.last().is_none_or(|last| last != NOBODY_MOVES) {
                    vip.diagnosis.push(NOBODY_MOVES.to_owned());
                }
            }
            self.tell_report();
        }
        self.tell(severity, kind, &text);
    }
}
