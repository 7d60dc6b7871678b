use units::Instant;

use crate::{Action, Adopted, Advert, Config, Effect, Fault, Meta, Refusal, State, VirtualRouter, Wake, Why};

/// Virtual routers that move together: all are active or none, and the fault of one is the fault of all. So is what makes
/// one a last resort, or, where a member is an owner, puts all in fault. A group of one is what its router is by itself.
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

/// A router that a new configuration does not have.
#[derive(Clone, Debug)]
pub struct Gone {
    /// Its number before.
    pub member: usize,
    /// Stopped.
    pub router: VirtualRouter,
    /// What that means. To be carried out after the group's: an address that has moved to another router is never missing
    /// then, if only those are removed that none has.
    pub actions: Vec<Action>,
}

impl Group {
    /// A group of routers that begin as [`VirtualRouter::new`] says.
    pub fn new(configs: impl IntoIterator<Item = Config>, now: Instant, actions: &mut Vec<(usize, Action)>) -> Group {
        let mut group = Group { members: Vec::new(), scratch: Vec::new() };
        for config in configs {
            group.push(actions, |actions| VirtualRouter::new(config, now, actions));
        }
        group.count();
        group
    }

    /// The routers of a process that has died or is replaced. Those that were active come with what is known of that.
    /// If all were, and no peer can have noticed, they are active at once and say so; if not, they begin as
    /// [`Group::new`] says.
    pub fn adopt(
        members: impl IntoIterator<Item = (Config, Option<Adopted>)>,
        now: Instant,
        actions: &mut Vec<(usize, Action)>,
    ) -> Group {
        let members: Vec<(Config, Option<Adopted>)> = members.into_iter().collect();
        let is_adopted = members
            .iter()
            .all(|(config, adopted)| adopted.is_some_and(|adopted| VirtualRouter::is_adoptable(config, &adopted, now)));
        let mut group = Group { members: Vec::new(), scratch: Vec::new() };
        for (config, adopted) in members {
            group.push(actions, |actions| match adopted {
                Some(adopted) if is_adopted => VirtualRouter::adopt(config, &adopted, now, actions),
                _ => VirtualRouter::new(config, now, actions),
            });
        }
        group.count();
        group
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

    /// Takes another configuration: of each member, in its new order, the number of the router that it was, and what it is
    /// to be. A router that stays keeps role, timers and addresses. One that comes listens first, or is active at once
    /// where the group is; one that was of another number, family or version comes, and the other goes. Trackers are to be
    /// told of again.
    pub fn handle_config(
        &mut self,
        now: Instant,
        configs: impl IntoIterator<Item = (Option<usize>, Config)>,
        actions: &mut Vec<(usize, Action)>,
    ) -> Vec<Gone> {
        let mut before: Vec<Option<VirtualRouter>> = self.members.drain(..).map(Some).collect();
        for (was, config) in configs {
            let router = was.and_then(|was| before.get_mut(was)?.take_if(|router| router.is_of(&config)));
            self.push(actions, |actions| match router {
                Some(mut router) => {
                    router.handle_config(now, config, actions);
                    router
                }
                None => VirtualRouter::new(config, now, actions),
            });
        }
        self.count();
        self.settle(now, actions);
        let gone = before.into_iter().enumerate().filter_map(|(member, router)| {
            let (mut router, mut actions) = (router?, Vec::new());
            router.handle_stop(now, &mut actions);
            Some(Gone { member, router, actions })
        });
        gone.collect()
    }

    /// All leave their addresses to another: see [`VirtualRouter::handle_give_up`].
    pub fn handle_give_up(&mut self, now: Instant, actions: &mut Vec<(usize, Action)>) {
        for index in 0..self.members.len() {
            self.with(index, actions, |member, actions| member.handle_give_up(now, actions));
        }
        self.settle(now, actions);
    }

    /// See [`VirtualRouter::handle_confusion`].
    pub fn handle_confusion(&mut self, now: Instant, member: usize, actions: &mut Vec<(usize, Action)>) {
        self.with(member, actions, |member, actions| member.handle_confusion(now, actions));
        self.settle(now, actions);
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

    /// See [`VirtualRouter::handle_addresses_lost`]. Where one gives up, all say so.
    pub fn handle_addresses_lost(&mut self, now: Instant, member: usize, actions: &mut Vec<(usize, Action)>) {
        let is_lost = self.with(member, actions, |member, actions| {
            let was = member.state();
            member.handle_addresses_lost(now, actions);
            was != member.state()
        });
        if is_lost == Some(true) {
            for index in 0..self.members.len() {
                self.with(index, actions, |member, actions| member.give_up(now, Why::Group, actions));
            }
        }
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

    fn push(&mut self, actions: &mut Vec<(usize, Action)>, make: impl FnOnce(&mut Vec<Action>) -> VirtualRouter) {
        let index = self.members.len();
        self.members.push(make(&mut self.scratch));
        actions.extend(self.scratch.drain(..).map(|action| (index, action)));
    }

    /// A router by itself waits for no group.
    fn count(&mut self) {
        let grouped = self.members.len() > 1;
        for member in &mut self.members {
            member.set_grouped(grouped);
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
        let count = |is: fn(&VirtualRouter) -> bool| self.members.iter().filter(|&member| is(member)).count();
        let (faulty, unable) = (count(VirtualRouter::has_own_fault), count(VirtualRouter::is_unable));
        // An owner cannot stand behind others, so a group with one does not.
        let stands_by = count(|member| member.config().is_owner()) == 0;
        for index in 0..self.members.len() {
            self.with(index, actions, |member, actions| {
                let others_faulty = faulty > usize::from(member.has_own_fault());
                let others_unable = unable > usize::from(member.is_unable());
                member.follow_unable(now, others_unable && stands_by, actions);
                if others_faulty || (unable > 0 && !stands_by) {
                    member.handle_fault(now, Fault::Group, actions);
                } else {
                    member.handle_recovered(now, Fault::Group, actions);
                }
            });
        }
        // All become active at once, so one that is not has just left that state, or has just come.
        let has_left = |member: &VirtualRouter| member.state() != State::Active && !member.is_joining();
        if self.members.iter().any(has_left) {
            for index in 0..self.members.len() {
                self.with(index, actions, |member, actions| {
                    if member.state() == State::Active {
                        member.step_down(now, Why::Group, actions);
                    }
                });
            }
        }
        let is_active = self.members.iter().any(|member| member.state() == State::Active);
        for index in 0..self.members.len() {
            self.with(index, actions, |member, actions| member.join(now, is_active, actions));
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
