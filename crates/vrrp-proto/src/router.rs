use std::net::IpAddr;
use std::time::Duration;

use units::Instant;

use crate::{
    Action, Advert, Config, Effect, Fault, Meta, Note, Peers, Priority, Protocol, Refusal, State, Timing, Wake, Why,
    timing,
};

mod hear;
mod phase;

use phase::{Active, Backup, Phase};

/// How often addresses that something else removed are put back within [`REPAIR_WINDOW`], before they are given up:
/// whoever removes them would go on for ever.
const REPAIRS_MAX: u8 = 3;

/// See [`REPAIRS_MAX`].
const REPAIR_WINDOW: Duration = Duration::from_secs(60);

/// One virtual router on one interface.
///
/// ```text
///                 start                  silence, left, preempting
/// initialize ───────────────▶ backup ───────────────────────────────▶ active
///     ▲                      ▲      ◀─────────────────────────────── │
///     │ stop                 │        higher, greater address, late   │
///     └── of all             │ recovered                              │
///                            fault ◀──────────── of all but initialize ┘
/// ```
///
/// An owner goes from initialize and fault to active at once.
#[derive(Clone, Debug)]
pub struct VirtualRouter {
    config: Config,
    /// The configuration's, moved by trackers.
    tracked: Priority,
    /// It cannot serve.
    unable: bool,
    /// Another of its group cannot serve.
    group_unable: bool,
    /// Takes over when its group does.
    grouped: bool,
    faults: u8,
    noted: u32,
    phase: Phase,
}

/// What the process before this one left behind, where it was active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// When its last advert was sent, by the same clock.
    pub sent_at: Instant,
    /// The interval that this advert named.
    pub interval: Duration,
    /// The priority that it named.
    pub priority: Priority,
}

impl VirtualRouter {
    /// A router that begins to listen after the configuration's delay. Addresses that a process before left behind are
    /// removed.
    pub fn new(config: Config, now: Instant, actions: &mut Vec<Action>) -> VirtualRouter {
        actions.push(Action::RemoveAddresses);
        let start_at = Some(now + config.settings().startup_delay);
        VirtualRouter::in_phase(config, Phase::Initialize { start_at })
    }

    /// Whether peers cannot have noticed that the process before is gone: the shortest that one of them waits is not over.
    pub(crate) fn is_adoptable(config: &Config, adopted: &Adopted, now: Instant) -> bool {
        let patience = adopted.interval * u32::from(config.settings().down_adverts.get());
        adopted.sent_at <= now && now.since(adopted.sent_at) < patience
    }

    /// A router that is active as the one of the process before was, and says so at once. Addresses are put right, and
    /// not announced: hosts have missed nothing.
    pub(crate) fn adopt(config: Config, adopted: &Adopted, now: Instant, actions: &mut Vec<Action>) -> VirtualRouter {
        let mut router = VirtualRouter::in_phase(config, Phase::Initialize { start_at: None });
        if adopted.priority == Priority::LAST_RESORT {
            router.unable = !router.config.is_owner();
        } else if !router.config.is_owner() {
            router.tracked = adopted.priority.clamp(Priority::LAST_RESORT, Priority::HIGHEST);
        }
        actions.extend([Action::SendAdvert { priority: router.own_priority() }, Action::AddAddresses]);
        let interval = router.own_interval();
        let mut active = Active::new(now, interval);
        active.refresh_at = router.config.settings().announce.refresh.map(|refresh| now + refresh);
        router.change_to(Phase::Active(active), Why::Adopted, actions);
        router
    }

    fn in_phase(config: Config, phase: Phase) -> VirtualRouter {
        let tracked = config.settings().priority;
        VirtualRouter {
            config,
            tracked,
            unable: false,
            group_unable: false,
            grouped: false,
            faults: 0,
            noted: 0,
            phase,
        }
    }

    /// Its state.
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Initialize { .. } => State::Initialize,
            Phase::Backup(_) => State::Backup,
            Phase::Active(_) => State::Active,
            Phase::Fault => State::Fault,
        }
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Its priority, with what trackers made of it.
    pub fn priority(&self) -> Priority {
        match self.phase {
            Phase::Backup(Backup { yielded: true, .. }) => Priority::HIGHEST,
            _ => self.own_priority(),
        }
    }

    /// Whether it, or another of its group, cannot serve.
    pub fn is_last_resort(&self) -> bool {
        self.unable || self.group_unable
    }

    /// The times that it goes by now.
    pub fn timing(&self) -> Timing {
        Timing { interval: self.active_interval(), skew: self.skew(), down: self.down_interval() }
    }

    /// The active router that a backup last heard.
    pub fn active_router(&self) -> Option<IpAddr> {
        match &self.phase {
            Phase::Backup(backup) => backup.active,
            Phase::Active(_) => Some(self.config.settings().source),
            Phase::Initialize { .. } | Phase::Fault => None,
        }
    }

    /// What [`Action::SendAdvert`] sends.
    pub fn advert(&self, priority: Priority) -> Advert<'_> {
        let settings = self.config.settings();
        let addresses = settings.addresses.as_addresses();
        Advert { vrid: settings.vrid, priority, protocol: settings.protocol, addresses }
    }

    /// When to call [`VirtualRouter::handle_deadline`], once all adverts are handed in that have arrived by then.
    pub fn deadline(&self) -> Option<(Instant, Wake)> {
        match &self.phase {
            Phase::Initialize { start_at } => start_at.map(|at| (at, Wake::Start)),
            Phase::Backup(backup) => (!backup.ripe).then_some((backup.down_at, Wake::TakeOver)),
            Phase::Active(active) => {
                let rounds = active.again_at.into_iter().chain(active.refresh_at).map(|at| (at, Wake::Announce));
                rounds.chain([(active.advert_at, Wake::Advert)]).min_by_key(|&(at, _)| at)
            }
            Phase::Fault => None,
        }
    }

    /// The deadline has come. One that comes much too late makes a backup, and no second active router.
    pub fn handle_deadline(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.step_down_if_late(now, actions);
        let down = self.down_interval();
        match &mut self.phase {
            Phase::Initialize { start_at: Some(at) } if *at <= now => self.start(now, Why::Started, actions),
            Phase::Backup(backup) if backup.down_at <= now && !backup.ripe => {
                let late = now.since(backup.down_at);
                if late > backup.interval && !backup.was_late {
                    backup.was_late = true;
                    backup.down_at = now + down;
                    self.note(Note::Late(late), actions);
                } else if self.grouped {
                    backup.ripe = true;
                } else {
                    let why = backup.why;
                    self.become_active(now, why, actions);
                }
            }
            Phase::Active(_) => self.continue_active(now, actions),
            _ => {}
        }
    }

    /// An advert has arrived, and [`crate::parse`] took it.
    ///
    /// # Errors
    /// If it is not of this virtual router, or not to be believed; nothing was made of it then.
    pub fn handle_advert(
        &mut self,
        now: Instant,
        advert: &Advert<'_>,
        meta: &Meta,
        actions: &mut Vec<Action>,
    ) -> Result<(), Refusal> {
        if matches!(self.phase, Phase::Initialize { .. } | Phase::Fault) {
            return self.screen(advert, meta).and(Err(Refusal::NotListening));
        }
        self.step_down_if_late(now, actions);
        if let Err(refusal) = self.screen(advert, meta) {
            self.note(Note::Refused(refusal, meta.source), actions);
            return Err(refusal);
        }
        if self.state() == State::Active {
            self.hear_as_active(now, advert, meta.source, actions);
        } else {
            self.hear_as_backup(now, advert, meta.source);
        }
        self.compare(advert, meta.source, actions);
        Ok(())
    }

    /// What trackers make of it: see [`crate::effective_priority`]. An owner's priority stays, so a last resort is a
    /// fault for it: it could not stand behind others.
    pub fn handle_priority(&mut self, now: Instant, effect: Effect, actions: &mut Vec<Action>) {
        match effect {
            Effect::Priority(priority) => {
                if !self.config.is_owner() {
                    let tracked = priority.clamp(Priority::LAST_RESORT, Priority::HIGHEST);
                    self.shift(|router| (router.tracked, router.unable) = (tracked, false));
                }
                self.handle_recovered(now, Fault::Tracker, actions);
            }
            Effect::LastResort if !self.config.is_owner() => {
                self.stand_by(now, |router| router.unable = true, actions);
                self.handle_recovered(now, Fault::Tracker, actions);
            }
            Effect::LastResort | Effect::Fault => self.handle_fault(now, Fault::Tracker, actions),
        }
    }

    /// It leaves the addresses to another, if it has them. When nobody has taken them after a whole wait it does, and
    /// with the higher priority it takes them back as its preemption says.
    pub fn handle_give_up(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.give_up(now, Why::GivenUp, actions);
    }

    /// It lacks something from now on.
    pub fn handle_fault(&mut self, _now: Instant, fault: Fault, actions: &mut Vec<Action>) {
        self.faults |= fault.bit();
        if !matches!(self.phase, Phase::Initialize { .. } | Phase::Fault) {
            self.leave(Phase::Fault, Why::Fault(fault), actions);
        }
    }

    /// It does not lack that any more.
    pub fn handle_recovered(&mut self, now: Instant, fault: Fault, actions: &mut Vec<Action>) {
        self.faults &= !fault.bit();
        if matches!(self.phase, Phase::Fault) && self.faults == 0 {
            self.start(now, Why::Recovered, actions);
        }
    }

    /// It begins again after a stop, without the start's delay.
    pub fn handle_start(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if matches!(self.phase, Phase::Initialize { .. }) {
            self.start(now, Why::Started, actions);
        }
    }

    /// It stops, and says so if it was active (RFC 9568 §6.4.3).
    pub fn handle_stop(&mut self, _now: Instant, actions: &mut Vec<Action>) {
        let stopped = Phase::Initialize { start_at: None };
        if self.state() == State::Initialize {
            self.phase = stopped;
        } else {
            self.leave(stopped, Why::Stopped, actions);
        }
    }

    /// Something else has removed an address. It is put back, or given up if that goes on.
    pub fn handle_addresses_lost(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.step_down_if_late(now, actions);
        let Phase::Active(active) = &mut self.phase else {
            return;
        };
        if now.since(active.repairs_since) > REPAIR_WINDOW {
            active.repairs = 0;
        }
        if active.repairs == 0 {
            active.repairs_since = now;
        }
        if active.repairs < REPAIRS_MAX {
            active.repairs += 1;
            let repeat = self.config.settings().announce.repeat;
            actions.extend([Action::AddAddresses, Action::Announce { repeat }]);
            return;
        }
        self.give_up(now, Why::AddressesTaken, actions);
    }

    /// Hosts may have forgotten or confused where the addresses are: the link came back, or addresses of the same
    /// group were announced. At most once in an advert's interval.
    pub fn handle_confusion(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.step_down_if_late(now, actions);
        self.heal(now, actions);
    }

    fn heal(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let interval = self.own_interval();
        let policy = self.config.settings().announce;
        if let Phase::Active(active) = &mut self.phase
            && active.healed_until <= now
        {
            active.healed_until = now + interval;
            active.again_at = policy.heal_again.map(|delay| now + delay);
            active.again_repeat = policy.heal_repeat;
            actions.push(Action::Announce { repeat: policy.heal_repeat });
        }
    }

    /// Whether a configuration is of this router: number, family and version are the same.
    pub(crate) fn is_of(&self, config: &Config) -> bool {
        let (old, new) = (self.config.settings(), config.settings());
        old.vrid == new.vrid
            && old.addresses.as_addresses().family() == new.addresses.as_addresses().family()
            && std::mem::discriminant(&old.protocol) == std::mem::discriminant(&new.protocol)
    }

    /// Takes another configuration, in its state and without a new wait. Trackers add what they did,
    /// and are to be told of again. Returns `false`, and changes nothing, if number, family or version are others: that is another router.
    pub fn handle_config(&mut self, now: Instant, config: Config, actions: &mut Vec<Action>) -> bool {
        if !self.is_of(&config) {
            return false;
        }
        self.step_down_if_late(now, actions);
        let (old, new) = (self.config.settings(), config.settings());
        let moved = old.addresses != new.addresses || old.source != new.source;
        let before = self.timing();
        self.tracked = if new.priority == Priority::OWNER {
            new.priority
        } else {
            let added = i16::from(self.tracked.get()) - i16::from(old.priority.get());
            let sum = i16::from(new.priority.get()) + added;
            Priority::from_wire(sum.clamp(1, i16::from(Priority::HIGHEST.get())) as u8)
        };
        self.config = config;
        self.noted = 0;
        let interval = self.own_interval();
        if let Phase::Backup(backup) = &mut self.phase {
            backup.yielded = false;
            // Version 2 believes no other interval, and in version 3 it is learnt.
            if backup.active.is_none() || matches!(self.config.settings().protocol, Protocol::V2 { .. }) {
                backup.interval = interval;
            }
        }
        let (after, priority) = (self.timing(), self.own_priority());
        let announce = self.config.settings().announce;
        match &mut self.phase {
            Phase::Backup(backup) if backup.why == Why::Left => {
                backup.down_at = backup.down_at - before.skew + after.skew
            }
            Phase::Backup(backup) => backup.down_at = backup.down_at - before.down + after.down,
            Phase::Active(active) => {
                active.advert_at = active.advert_at.min(now + interval);
                active.refresh_at = announce.refresh.map(|refresh| now + refresh);
                if moved {
                    active.again_at = announce.again.map(|delay| now + delay);
                    active.again_repeat = announce.repeat;
                    active.sent(now, interval);
                    let repeat = announce.repeat;
                    actions.extend([
                        Action::SendAdvert { priority },
                        Action::AddAddresses,
                        Action::Announce { repeat },
                    ]);
                }
            }
            Phase::Initialize { .. } | Phase::Fault => {}
        }
        if self.config.is_owner() && self.unable {
            self.unable = false;
            self.handle_fault(now, Fault::Tracker, actions);
        }
        true
    }

    fn own_interval(&self) -> Duration {
        self.config.settings().protocol.interval()
    }

    /// The interval of the active router, as far as it is known.
    fn active_interval(&self) -> Duration {
        match &self.phase {
            Phase::Backup(backup) => backup.interval,
            _ => self.own_interval(),
        }
    }

    fn own_priority(&self) -> Priority {
        if self.is_last_resort() { Priority::LAST_RESORT } else { self.tracked }
    }

    fn skew(&self) -> Duration {
        let settings = self.config.settings();
        let of = |priority| timing::skew(&settings.protocol, self.active_interval(), priority);
        of(self.priority()) + if self.is_last_resort() { of(settings.priority) } else { Duration::ZERO }
    }

    fn down_interval(&self) -> Duration {
        timing::down(self.active_interval(), self.skew(), self.config.settings().down_adverts)
    }

    fn is_unicast(&self) -> bool {
        matches!(self.config.settings().peers, Peers::Unicast(_))
    }

    fn note(&mut self, note: Note, actions: &mut Vec<Action>) {
        if self.noted & note.bit() == 0 {
            self.noted |= note.bit();
            actions.push(Action::Note(note));
        }
    }
}

#[cfg(test)]
mod tests;
