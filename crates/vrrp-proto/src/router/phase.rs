use std::net::IpAddr;
use std::time::Duration;

use units::Instant;

use super::VirtualRouter;
use crate::{Action, Fault, Note, Priority, State, Why};

/// What a router is in, with the timers that run there.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// `None`: stopped.
    Initialize {
        start_at: Option<Instant>,
    },
    Backup(Backup),
    Active(Active),
    Fault,
}

#[derive(Clone, Debug)]
pub(super) struct Backup {
    /// Active_Down_Timer.
    pub(super) down_at: Instant,
    /// Active_Adver_Interval.
    pub(super) interval: Duration,
    /// Whom it last heard as active.
    pub(super) active: Option<IpAddr>,
    /// What the timer's end will mean.
    pub(super) why: Why,
    /// When a lower priority will be no longer believed.
    pub(super) preempt_at: Option<Instant>,
    /// The timer was handled too late and runs once more; not again and again, for a slow host may be the last one.
    pub(super) was_late: bool,
    /// The timer has run out, and the group has to be waited for.
    pub(super) ripe: bool,
    /// It began to listen just now, and its group has not looked at it yet.
    pub(super) begins: bool,
    /// An owner that lets another owner be active.
    pub(super) yielded: bool,
}

impl Backup {
    pub(super) fn new(down_at: Instant, interval: Duration) -> Backup {
        Backup {
            down_at,
            interval,
            active: None,
            why: Why::Silence,
            preempt_at: None,
            was_late: false,
            ripe: false,
            begins: false,
            yielded: false,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Active {
    /// Adver_Timer.
    pub(super) advert_at: Instant,
    /// When others last had reason to believe that we are.
    pub(super) sent_at: Instant,
    /// How long after that they expect the next.
    pub(super) sent_interval: Duration,
    /// The second round of announcements.
    pub(super) again_at: Option<Instant>,
    pub(super) again_repeat: u8,
    pub(super) refresh_at: Option<Instant>,
    /// Until then another confusion is no reason to announce again.
    pub(super) healed_until: Instant,
    /// Adverts of another owner.
    pub(super) owners: u8,
    pub(super) repairs: u8,
    pub(super) repairs_since: Instant,
}

impl Active {
    /// An advert is sent now, and nothing else is to be done but to send the next.
    pub(super) fn new(now: Instant, interval: Duration) -> Active {
        Active {
            advert_at: now + interval,
            sent_at: now,
            sent_interval: interval,
            again_at: None,
            again_repeat: 0,
            refresh_at: None,
            healed_until: now,
            owners: 0,
            repairs: 0,
            repairs_since: now,
        }
    }

    /// An advert is sent.
    pub(super) fn sent(&mut self, now: Instant, interval: Duration) {
        self.sent_at = now;
        self.sent_interval = interval;
        self.advert_at = now + interval;
    }
}

impl VirtualRouter {
    /// Whether it takes over when its group does.
    pub(crate) fn set_grouped(&mut self, grouped: bool) {
        self.grouped = grouped;
    }

    /// Whether it lacks something that is not its group's.
    pub(crate) fn has_own_fault(&self) -> bool {
        self.faults & !Fault::Group.bit() != 0
    }

    /// Whether its timer has run out, and only the group is waited for.
    pub(crate) fn is_ripe(&self) -> bool {
        matches!(self.phase, Phase::Backup(Backup { ripe: true, .. }))
    }

    /// Whether it has not begun to listen yet, or just now.
    pub(crate) fn is_joining(&self) -> bool {
        matches!(self.phase, Phase::Initialize { start_at: Some(_) } | Phase::Backup(Backup { begins: true, .. }))
    }

    /// What it has just begun is begun: as one of a group that is active it is active too.
    pub(crate) fn join(&mut self, now: Instant, is_active: bool, actions: &mut Vec<Action>) {
        if let Phase::Backup(backup) = &mut self.phase
            && std::mem::take(&mut backup.begins)
            && is_active
        {
            self.become_active(now, Why::Group, actions);
        }
    }

    /// Whether it cannot serve itself.
    pub(crate) fn is_unable(&self) -> bool {
        self.unable
    }

    /// Whether another of its group cannot serve.
    pub(crate) fn follow_unable(&mut self, now: Instant, is_unable: bool, actions: &mut Vec<Action>) {
        if is_unable {
            self.stand_by(now, |router| router.group_unable = true, actions);
        } else {
            self.shift(|router| router.group_unable = false);
        }
    }

    /// The group has not to be waited for any more.
    pub(crate) fn take_over(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if let Phase::Backup(Backup { why, ripe: true, .. }) = self.phase {
            self.become_active(now, why, actions);
        }
    }

    /// RFC 9568 §6.4.1, also when what was lacking is there again.
    pub(super) fn start(&mut self, now: Instant, why: Why, actions: &mut Vec<Action>) {
        if let Some(fault) = Fault::ALL.into_iter().find(|fault| self.faults & fault.bit() != 0) {
            self.change_to(Phase::Fault, Why::Fault(fault), actions);
            return;
        }
        if self.is_unicast() {
            actions.push(Action::AnnounceSource);
        }
        if self.config.is_owner() && !self.grouped {
            self.become_active(now, Why::Owner, actions);
            return;
        }
        let mut backup = Backup::new(now + self.down_interval(), self.own_interval());
        backup.ripe = self.config.is_owner();
        backup.begins = self.grouped && self.state() == State::Initialize;
        self.change_to(Phase::Backup(backup), why, actions);
    }

    /// The advert goes first: another that is active removes its addresses then.
    pub(super) fn become_active(&mut self, now: Instant, why: Why, actions: &mut Vec<Action>) {
        let policy = self.config.settings().announce;
        let interval = self.own_interval();
        actions.extend([
            Action::SendAdvert { priority: self.own_priority() },
            Action::AddAddresses,
            Action::Announce { repeat: policy.repeat },
        ]);
        let active = Active {
            again_at: policy.again.map(|delay| now + delay),
            again_repeat: policy.repeat,
            refresh_at: policy.refresh.map(|refresh| now + refresh),
            ..Active::new(now, interval)
        };
        self.change_to(Phase::Active(active), why, actions);
        if self.is_last_resort() {
            self.note(Note::LastResort, actions);
        }
    }

    /// What is due, each once however many times it was.
    pub(super) fn continue_active(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let policy = self.config.settings().announce;
        let (interval, priority) = (self.own_interval(), self.own_priority());
        let Phase::Active(active) = &mut self.phase else {
            return;
        };
        if active.advert_at <= now {
            active.sent(now, interval);
            actions.push(Action::SendAdvert { priority });
        }
        if active.again_at.is_some_and(|at| at <= now) {
            active.again_at = None;
            actions.push(Action::Announce { repeat: active.again_repeat });
        }
        if active.refresh_at.is_some_and(|at| at <= now) {
            active.refresh_at = policy.refresh.map(|refresh| now + refresh);
            actions.push(Action::Announce { repeat: policy.refresh_repeat });
        }
    }

    /// An active router that was silent for as long as backups wait is not active any more as far as it knows: it was
    /// stopped, or its host was suspended. An owner goes on, for others leave to it what it has.
    pub(super) fn step_down_if_late(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Phase::Active(active) = &self.phase else {
            return;
        };
        let patience = active.sent_interval * u32::from(self.config.settings().down_adverts.get());
        let silence = now.since(active.sent_at);
        if silence < patience {
            return;
        }
        if self.config.is_owner() {
            self.heal(now, actions);
        } else {
            self.step_down(now, Why::Late(silence), actions);
        }
    }

    /// From active to backup without a word to the others, who know already or will find out.
    pub(crate) fn step_down(&mut self, now: Instant, why: Why, actions: &mut Vec<Action>) {
        let backup = Backup::new(now + self.down_interval(), self.own_interval());
        actions.push(Action::RemoveAddresses);
        self.change_to(Phase::Backup(backup), why, actions);
    }

    /// From active to backup with a word to the others. The wait is a whole one, so that they come first.
    pub(crate) fn give_up(&mut self, now: Instant, why: Why, actions: &mut Vec<Action>) {
        if self.state() == State::Active {
            let backup = Backup::new(now + self.down_interval(), self.own_interval());
            self.leave(Phase::Backup(backup), why, actions);
        }
    }

    /// It becomes a last resort by `change`, unless it is one already: then it may be active as such.
    pub(super) fn stand_by(
        &mut self,
        now: Instant,
        change: impl FnOnce(&mut VirtualRouter),
        actions: &mut Vec<Action>,
    ) {
        let was = self.is_last_resort();
        self.shift(change);
        if !was {
            self.give_up(now, Why::LastResort, actions);
        }
    }

    /// Out of any state; out of active with a word to the others, who need not wait then.
    pub(super) fn leave(&mut self, to: Phase, why: Why, actions: &mut Vec<Action>) {
        if self.state() == State::Active {
            actions.extend([Action::SendAdvert { priority: Priority::LEAVING }, Action::RemoveAddresses]);
        }
        self.change_to(to, why, actions);
    }

    pub(super) fn change_to(&mut self, phase: Phase, why: Why, actions: &mut Vec<Action>) {
        let from = self.state();
        self.phase = phase;
        let to = self.state();
        if from != to {
            self.noted = 0;
            actions.push(Action::Became { from, to, why });
        }
    }

    /// Changes what its priority is made of. A running timer moves by what this moves the skew.
    pub(super) fn shift(&mut self, change: impl FnOnce(&mut VirtualRouter)) {
        let before = self.skew();
        change(self);
        let after = self.skew();
        if let Phase::Backup(backup) = &mut self.phase {
            backup.down_at = backup.down_at - before + after;
        }
    }
}
