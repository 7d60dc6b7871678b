use units::Instant;

use crate::{Action, Advert, Config, Effect, Fault, Meta, Refusal, State, VirtualRouter, Wake, Why};

/// Virtual routers that move together: all are active or none, and the fault of one is the fault of all.
///
/// Members are numbered as in the list of their configurations; actions come with the number of their member. A member
/// whose timer runs out waits as a backup until all others' have.
///
/// On one host all members should have the same priority, whatever trackers make of it: where one host has the higher on
/// one network and another on the other, two that are active at once both give way, and may do so again and again.
#[derive(Clone, Debug)]
pub struct Group {
    members: Vec<VirtualRouter>,
    /// Of one member, before they get its number.
    scratch: Vec<Action>,
}

impl Group {
    /// A group of routers that begin as [`VirtualRouter::new`] says.
    pub fn new(configs: impl IntoIterator<Item = Config>, now: Instant, actions: &mut Vec<(usize, Action)>) -> Group {
        let mut scratch = Vec::new();
        let mut members = Vec::new();
        for (index, config) in configs.into_iter().enumerate() {
            let mut member = VirtualRouter::new(config, now, &mut scratch);
            member.join_group();
            members.push(member);
            actions.extend(scratch.drain(..).map(|action| (index, action)));
        }
        Group { members, scratch }
    }

    /// The routers.
    pub fn members(&self) -> &[VirtualRouter] {
        &self.members
    }

    /// When to call [`Group::handle_deadline`], once all adverts for all members are handed in.
    pub fn deadline(&self) -> Option<(Instant, Wake)> {
        self.members.iter().filter_map(VirtualRouter::deadline).min_by_key(|&(at, _)| at)
    }

    /// The deadline of one or more members has come.
    pub fn handle_deadline(&mut self, now: Instant, actions: &mut Vec<(usize, Action)>) {
        for index in 0..self.members.len() {
            self.with(index, actions, |member, actions| member.handle_deadline(now, actions));
        }
        self.settle(now, actions);
    }

    /// An advert for a member: see [`VirtualRouter::handle_advert`].
    ///
    /// # Errors
    /// If the member does not take it, or there is no such member.
    pub fn handle_advert(
        &mut self,
        now: Instant,
        member: usize,
        advert: &Advert<'_>,
        meta: &Meta,
        actions: &mut Vec<(usize, Action)>,
    ) -> Result<(), Refusal> {
        let before = actions.len();
        let heard = self
            .with(member, actions, |member, actions| member.handle_advert(now, advert, meta, actions))
            .unwrap_or(Err(Refusal::Vrid));
        // Whoever believed to be active has confused hosts about the other members' addresses as well.
        if actions[before..].iter().any(|(_, action)| matches!(action, Action::Announce { .. })) {
            for other in (0..self.members.len()).filter(|&other| other != member) {
                self.with(other, actions, |other, actions| other.handle_confusion(now, actions));
            }
        }
        self.settle(now, actions);
        heard
    }

    /// See [`VirtualRouter::handle_priority`].
    pub fn handle_priority(&mut self, now: Instant, member: usize, effect: Effect, actions: &mut Vec<(usize, Action)>) {
        self.with(member, actions, |member, actions| member.handle_priority(now, effect, actions));
        self.settle(now, actions);
    }

    /// See [`VirtualRouter::handle_fault`]. [`Fault::Group`] is the group's own business and passed over.
    pub fn handle_fault(&mut self, now: Instant, member: usize, fault: Fault, actions: &mut Vec<(usize, Action)>) {
        if fault != Fault::Group {
            self.with(member, actions, |member, actions| member.handle_fault(now, fault, actions));
            self.settle(now, actions);
        }
    }

    /// See [`VirtualRouter::handle_recovered`], and [`Group::handle_fault`].
    pub fn handle_recovered(&mut self, now: Instant, member: usize, fault: Fault, actions: &mut Vec<(usize, Action)>) {
        if fault != Fault::Group {
            self.with(member, actions, |member, actions| member.handle_recovered(now, fault, actions));
            self.settle(now, actions);
        }
    }

    /// See [`VirtualRouter::handle_addresses_lost`].
    pub fn handle_addresses_lost(&mut self, now: Instant, member: usize, actions: &mut Vec<(usize, Action)>) {
        self.with(member, actions, |member, actions| member.handle_addresses_lost(now, actions));
        self.settle(now, actions);
    }

    /// All begin again after a stop.
    pub fn handle_start(&mut self, now: Instant, actions: &mut Vec<(usize, Action)>) {
        for index in 0..self.members.len() {
            self.with(index, actions, |member, actions| member.handle_start(now, actions));
        }
        self.settle(now, actions);
    }

    /// All stop.
    pub fn handle_stop(&mut self, now: Instant, actions: &mut Vec<(usize, Action)>) {
        for index in 0..self.members.len() {
            self.with(index, actions, |member, actions| member.handle_stop(now, actions));
        }
    }

    fn with<T>(
        &mut self,
        index: usize,
        actions: &mut Vec<(usize, Action)>,
        change: impl FnOnce(&mut VirtualRouter, &mut Vec<Action>) -> T,
    ) -> Option<T> {
        let result = change(self.members.get_mut(index)?, &mut self.scratch);
        actions.extend(self.scratch.drain(..).map(|action| (index, action)));
        Some(result)
    }

    /// Makes of one member's move everyone's.
    fn settle(&mut self, now: Instant, actions: &mut Vec<(usize, Action)>) {
        let faulty: Vec<bool> = self.members.iter().map(VirtualRouter::has_own_fault).collect();
        for index in 0..self.members.len() {
            let others_fault = faulty.iter().enumerate().any(|(other, &faulty)| faulty && other != index);
            self.with(index, actions, |member, actions| {
                if others_fault {
                    member.handle_fault(now, Fault::Group, actions);
                } else {
                    member.handle_recovered(now, Fault::Group, actions);
                }
            });
        }
        // All become active at once, so one that is not has just left that state.
        if self.members.iter().any(|member| member.state() != State::Active) {
            for index in 0..self.members.len() {
                self.with(index, actions, |member, actions| {
                    if member.state() == State::Active {
                        member.step_down(now, Why::Group, actions);
                    }
                });
            }
        }
        if self.members.iter().all(VirtualRouter::is_ripe) {
            for index in 0..self.members.len() {
                self.with(index, actions, |member, actions| member.take_over(now, actions));
            }
        }
    }
}

#[cfg(test)]
mod tests;
