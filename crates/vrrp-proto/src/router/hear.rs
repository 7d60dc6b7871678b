use std::net::IpAddr;
use std::time::Duration;

use units::Instant;

use super::phase::{Backup, Phase};
use crate::{Action, Advert, Family, Meta, Note, Peers, Preempt, Priority, Protocol, Refusal, VirtualRouter, Why};

/// Adverts of another owner before the one with the greater address believes them: one or two may have been under way
/// when the other stopped.
const OWNER_ADVERTS: u8 = 3;

impl VirtualRouter {
    /// RFC 3768 §7.1, RFC 9568 §7.1, as far as it needs the configuration.
    pub(super) fn screen(&self, advert: &Advert<'_>, meta: &Meta) -> Result<(), Refusal> {
        let settings = self.config.settings();
        if advert.vrid != settings.vrid {
            return Err(Refusal::Vrid);
        }
        if Family::of(meta.source) != settings.addresses.as_addresses().family() {
            return Err(Refusal::Family);
        }
        match (settings.protocol, advert.protocol) {
            (Protocol::V2 { seconds, password }, Protocol::V2 { seconds: their_seconds, password: theirs }) => {
                if password != theirs {
                    return Err(Refusal::Authentication);
                }
                if seconds != their_seconds {
                    return Err(Refusal::Interval);
                }
            }
            (Protocol::V3 { .. }, Protocol::V3 { .. }) => {}
            _ => return Err(Refusal::Version),
        }
        match &settings.peers {
            Peers::Multicast if !meta.destination.is_multicast() => Err(Refusal::Unicast),
            Peers::Unicast(_) if meta.destination.is_multicast() => Err(Refusal::Multicast),
            Peers::Unicast(peers) if !peers.contains(&meta.source) => Err(Refusal::Peer),
            _ if meta.source == settings.source && self.may_be_ours(advert.priority) => Err(Refusal::OwnAddress),
            _ => Ok(()),
        }
    }

    /// An advert with our address that came back, and not another router's: it can say no more than we do, and a backup
    /// has said nothing but that it leaves.
    fn may_be_ours(&self, priority: Priority) -> bool {
        match self.phase {
            Phase::Active(_) => priority <= self.own_priority(),
            _ => priority == Priority::LEAVING,
        }
    }

    /// What an operator should know of, though the advert is taken.
    pub(super) fn compare(&mut self, advert: &Advert<'_>, source: IpAddr, actions: &mut Vec<Action>) {
        if !advert.addresses.is_same_set(&self.config.settings().addresses.as_addresses()) {
            self.note(Note::OtherAddresses(source), actions);
        }
        let interval = advert.protocol.interval();
        if interval != self.own_interval() {
            self.note(Note::OtherInterval(source, interval), actions);
        }
        if advert.priority == Priority::OWNER && self.config.is_owner() {
            self.note(Note::TwoOwners(source), actions);
        } else if advert.priority == self.own_priority() {
            self.note(Note::EqualPriority(source), actions);
        }
    }

    /// RFC 9568 §6.4.2.
    pub(super) fn hear_as_backup(&mut self, now: Instant, advert: &Advert<'_>, source: IpAddr) {
        let (skew, priority, preempt) = (self.skew(), self.priority(), self.preempt());
        let Phase::Backup(backup) = &mut self.phase else {
            return;
        };
        if advert.priority == Priority::LEAVING {
            backup.down_at = now + skew;
            backup.why = Why::Left;
            return;
        }
        if advert.priority == Priority::LAST_RESORT && priority > Priority::LAST_RESORT {
            backup.why = Why::Preempted;
            return;
        }
        if advert.priority >= priority {
            backup.preempt_at = None;
        } else if let Preempt::After(delay) = preempt
            && *backup.preempt_at.get_or_insert(now + delay) <= now
        {
            backup.why = Why::Preempted;
            return;
        }
        backup.active = Some(source);
        backup.interval = advert.protocol.interval();
        backup.why = Why::Silence;
        backup.was_late = false;
        backup.ripe = false;
        let down = self.down_interval();
        if let Phase::Backup(backup) = &mut self.phase {
            backup.down_at = now + down;
        }
    }

    /// Of an owner it is always so (RFC 9568 §6.1).
    fn preempt(&self) -> Preempt {
        if self.config.is_owner() { Preempt::After(Duration::ZERO) } else { self.config.settings().preempt }
    }

    /// RFC 9568 §6.4.3.
    pub(super) fn hear_as_active(
        &mut self,
        now: Instant,
        advert: &Advert<'_>,
        source: IpAddr,
        actions: &mut Vec<Action>,
    ) {
        if advert.priority == Priority::LEAVING {
            self.answer(now, actions);
            self.heal(now, actions);
        } else if self.config.is_owner() && advert.priority == Priority::OWNER {
            self.hear_other_owner(now, advert, source, actions);
        } else if advert.priority > self.own_priority() {
            self.say_farewell(actions);
            self.give_way(now, advert, source, Why::Higher(source, advert.priority), actions);
        } else if advert.priority == self.own_priority() && source > self.config.settings().source {
            self.say_farewell(actions);
            self.give_way(now, advert, source, Why::GreaterAddress(source), actions);
        } else {
            if self.config.settings().answer_lower {
                self.answer(now, actions);
            }
            self.heal(now, actions);
        }
    }

    /// Who goes on being active has perhaps heard nothing of us: hosts that came to us need to be told where to go now.
    fn say_farewell(&self, actions: &mut Vec<Action>) {
        actions.push(Action::SendAdvert { priority: self.own_priority() });
    }

    /// Owners do not answer each other: they would never end.
    fn hear_other_owner(&mut self, now: Instant, advert: &Advert<'_>, source: IpAddr, actions: &mut Vec<Action>) {
        let is_greater = self.config.settings().source > source;
        let Phase::Active(active) = &mut self.phase else {
            return;
        };
        active.owners += u8::from(is_greater);
        if active.owners < OWNER_ADVERTS {
            return;
        }
        self.give_way(now, advert, source, Why::OtherOwner(source), actions);
    }

    fn answer(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let (interval, priority) = (self.own_interval(), self.own_priority());
        if let Phase::Active(active) = &mut self.phase {
            active.sent(now, interval);
            actions.push(Action::SendAdvert { priority });
        }
    }

    fn give_way(&mut self, now: Instant, advert: &Advert<'_>, source: IpAddr, why: Why, actions: &mut Vec<Action>) {
        let mut backup = Backup::new(now, advert.protocol.interval());
        backup.active = Some(source);
        backup.yielded = matches!(why, Why::OtherOwner(_));
        actions.push(Action::RemoveAddresses);
        self.change_to(Phase::Backup(backup), why, actions);
        let down = self.down_interval();
        if let Phase::Backup(backup) = &mut self.phase {
            backup.down_at = now + down;
        }
    }
}
