//! From one plan to the next: roles stay with the virtual routers that both have.

use std::sync::Arc;
use std::time::Duration;

use rustix::event::epoll;
use units::Instant;
use vrrp_proto::{Action, Adopted, Config, Gone, Group, Priority, VirtualRouter};

use super::{Drive, Port, Squad};
use crate::clock;
use crate::ground::{Ground, Scope};
use crate::letters::Letters;
use crate::message::{Request, Seen, Sockets};
use crate::router::Running;
use crate::{Hold, Plan, Vip};

/// What ran before a plan.
struct Past {
    /// Of each vip of the new plan, the one that it was.
    was: Vec<Option<usize>>,
    /// Those that the new plan has not.
    vips: Vec<Option<Running>>,
    squads: Vec<Option<Squad>>,
}

impl Drive {
    /// The thread of the tables prepares for a plan; meanwhile the old one runs.
    pub(super) fn prepare(&mut self, plan: Plan) {
        self.asked += 1;
        let active = plan.vips.iter().map(|vip| match self.plan.vips.iter().position(|old| old.is_same_router(vip)) {
            Some(old) => self.vips[old].has,
            None => self.roles.iter().any(|role| role.vip == vip.name && role.active),
        });
        let active = active.collect();
        self.tables.say(Request::Prepare { number: self.asked, plan: Arc::new(plan), active });
    }

    /// All is prepared: from now on this plan is carried out.
    pub(super) fn settle(&mut self, number: u64, plan: Arc<Plan>, seen: Seen) {
        let now = clock::now();
        self.number = number;
        self.announcements.clear();
        let Seen { grounds, interfaces, opened, closed } = seen;
        self.see_sockets(opened, &[]);
        self.interfaces = interfaces;
        let old_plan = std::mem::replace(&mut self.plan, plan);
        let was = |vip: &Vip| old_plan.vips.iter().position(|old| old.is_same_router(vip));
        let mut past = Past {
            was: self.plan.vips.iter().map(was).collect(),
            vips: std::mem::take(&mut self.vips).into_iter().map(Some).collect(),
            squads: std::mem::take(&mut self.squads).into_iter().map(Some).collect(),
        };
        self.inherit(grounds, &mut past);
        self.form_squads(&mut past, now);
        self.bury(past, now);
        self.see_sockets(Vec::new(), &closed);
        self.roles.clear();
        self.assign_ports();
        for vip in 0..self.vips.len() {
            let source = self.vips[vip].ground.source;
            self.stand(vip, source, now);
        }
        self.forget_refused(now);
        self.beats_at = None;
        self.check_beats();
        self.track(now);
        self.wants = true;
    }

    /// What was counted and ordered of a vip stays with it.
    fn inherit(&mut self, grounds: Vec<Ground>, past: &mut Past) {
        let unix_ms = clock::unix_ms();
        for ((vip, ground), was) in self.plan.vips.iter().zip(grounds).zip(&past.was) {
            let mut running = match was.and_then(|was| past.vips[was].take()) {
                Some(running) => Running { ground, effect: None, ..running },
                None => Running::new(ground, unix_ms),
            };
            if let Some(role) = self.roles.iter().find(|role| role.vip == vip.name) {
                running.hold = role.hold;
            }
            running.letters.forget();
            // What is still so is noted again.
            running.notes.clear();
            self.vips.push(running);
        }
    }

    /// Groups of the plan, and of every other vip one of its own.
    fn form_squads(&mut self, past: &mut Past, now: Instant) {
        let plan = self.plan.clone();
        let mut lists: Vec<(Option<String>, Vec<usize>)> =
            plan.groups.iter().map(|group| (Some(group.name.clone()), group.members.clone())).collect();
        let alone = (0..plan.vips.len()).filter(|vip| !plan.groups.iter().any(|group| group.members.contains(vip)));
        lists.extend(alone.map(|vip| (None, vec![vip])));
        for (name, vips) in lists {
            let mut configs = Vec::new();
            for &vip in &vips {
                match plan.vips[vip].config(self.vips[vip].ground.source) {
                    Ok(config) => configs.push((vip, config)),
                    Err(error) => self.note(Some(vip), true, || format!("it does not run: {error}")),
                }
            }
            self.form_squad(name, configs, past, now);
        }
    }

    /// The squad that had the first of these vips goes on as this one. Another's that was active is so here.
    fn form_squad(&mut self, name: Option<String>, configs: Vec<(usize, Config)>, past: &mut Past, now: Instant) {
        let mut actions: Vec<(usize, Action)> = Vec::new();
        let vips: Vec<usize> = configs.iter().map(|(vip, _)| *vip).collect();
        let was: Vec<Option<usize>> = vips.iter().map(|&vip| past.was[vip]).collect();
        let has_one = |squad: &Squad| was.iter().flatten().any(|was| squad.vips.contains(was));
        let heir = past.squads.iter_mut().find(|squad| squad.as_ref().is_some_and(has_one));
        let group = match heir.and_then(Option::take) {
            Some(Squad { mut group, vips: old, .. }) => {
                let member = |was: Option<usize>| old.iter().position(|&old| Some(old) == was);
                let configs: Vec<_> =
                    was.iter().map(|&was| member(was)).zip(configs.into_iter().map(|(_, config)| config)).collect();
                for Gone { member, actions, router } in group.handle_config(now, configs, &mut actions) {
                    self.farewell(past.vips[old[member]].as_ref(), &router, &actions);
                }
                group
            }
            None => {
                let members: Vec<_> = configs.into_iter().map(|(vip, config)| (config, self.adopted(vip))).collect();
                Group::adopt(members, now, &mut actions)
            }
        };
        let place = self.squads.len();
        for (member, &vip) in vips.iter().enumerate() {
            (self.vips[vip].squad, self.vips[vip].member) = (place, member);
        }
        self.squads.push(Squad { name, group, vips, deadline: None });
        self.with_group(place, now, |_, waiting| waiting.append(&mut actions));
    }

    /// Squads of which the plan has no vip any more.
    fn bury(&mut self, past: Past, now: Instant) {
        for mut squad in past.squads.into_iter().flatten() {
            let mut actions = Vec::new();
            squad.group.handle_stop(now, &mut actions);
            for (member, router) in squad.group.members().iter().enumerate() {
                let of_member = actions.iter().filter(|(of, _)| *of == member).map(|(_, action)| *action);
                self.farewell(past.vips[squad.vips[member]].as_ref(), router, &of_member.collect::<Vec<_>>());
            }
        }
    }

    /// Of a vip that is no more, what it says at its end. Its addresses are not among those that are wanted. `None`: it
    /// goes on elsewhere, and says nothing.
    fn farewell(&self, running: Option<&Running>, router: &VirtualRouter, actions: &[Action]) {
        let Some(ground) = running.map(|running| &running.ground) else { return };
        let port = ground.scope.and_then(|scope| self.ports.get(&scope));
        let (Some(source), Some(port)) = (ground.source, port) else { return };
        for action in actions {
            if let Action::SendAdvert { priority } = *action {
                for letter in Letters::default().of(router, priority, None) {
                    // It is the last, and nobody is left to count it.
                    let _ = port.sockets.ours.send(source, letter.to, &letter.bytes);
                }
            }
        }
    }

    /// What is known of a vip that a process before had, or another squad.
    fn adopted(&self, vip: usize) -> Option<Adopted> {
        let running = &self.vips[vip];
        if let Some((sent_at, priority)) = running.last_sent.filter(|_| running.has) {
            return Some(Adopted { sent_at, interval: self.plan.vips[vip].protocol.interval(), priority });
        }
        let role = self.roles.iter().find(|role| role.vip == self.plan.vips[vip].name && role.active)?;
        if role.hold == Some(Hold::Held) {
            return None;
        }
        Some(Adopted {
            sent_at: Instant::from_nanos(role.last_advert_ns),
            interval: Duration::from_millis(role.advert_interval_ms),
            priority: Priority::from_wire(role.priority),
        })
    }

    /// A source has changed, so all of the squad's configurations are told again.
    pub(super) fn reconfigure(&mut self, squad: usize, now: Instant) {
        let vips = self.squads[squad].vips.clone();
        let config = |(member, &vip): (usize, &usize)| {
            Some((Some(member), self.plan.vips[vip].config(self.vips[vip].ground.source).ok()?))
        };
        let configs: Option<Vec<_>> = vips.iter().enumerate().map(config).collect();
        // They were right with another source.
        let Some(configs) = configs else { return };
        for vip in vips {
            self.vips[vip].letters.forget();
            self.vips[vip].notes.clear();
            self.vips[vip].effect = None;
        }
        self.with_group(squad, now, |group, actions| group.handle_config(now, configs, actions));
    }

    pub(super) fn see_sockets(&mut self, opened: Vec<(Scope, Sockets)>, closed: &[Scope]) {
        let mut old: Vec<Sockets> =
            closed.iter().filter_map(|scope| self.ports.remove(scope)).map(|port| port.sockets).collect();
        for (scope, sockets) in opened {
            let token = self.next_token();
            let data = epoll::EventData::new_u64(token);
            if let Err(error) = epoll::add(&self.epoll, &sockets.ours, data, epoll::EventFlags::IN) {
                self.note(None, true, || format!("waiting for adverts: {error}"));
            }
            let vips = Box::new([None; 256]);
            let port = Port { sockets, vips, strangers: Default::default(), token, ready: false };
            old.extend(self.ports.insert(scope, port).map(|port| port.sockets));
        }
        for sockets in &old {
            // It is in the set.
            let _ = epoll::delete(&self.epoll, &sockets.ours);
        }
        if !old.is_empty() {
            self.tables.say(Request::Close(old));
        }
    }

    fn next_token(&self) -> u64 {
        self.ports.values().map(|port| port.token).max().map_or(0, |last| last + 1)
    }

    /// Which vip's an advert is.
    pub(super) fn assign_ports(&mut self) {
        for port in self.ports.values_mut() {
            port.vips.fill(None);
        }
        for (place, (vip, running)) in self.plan.vips.iter().zip(&self.vips).enumerate() {
            for scope in [running.ground.scope, running.ground.also].into_iter().flatten() {
                if let Some(port) = self.ports.get_mut(&scope) {
                    port.vips[usize::from(vip.vrid.get())] = u16::try_from(place).ok();
                }
            }
        }
    }
}
