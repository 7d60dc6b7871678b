//! What the thread is told: by the process it belongs to, and by the thread of the kernel's tables.

use std::net::IpAddr;
use std::time::Duration;

use units::Instant;
use vrrp_proto::{Fault, State};
use wire::link::LinkAddress;

use super::{Drive, End};
use crate::message::{Input, Request, Seen, Told};
use crate::tracking::{Known, effect};
use crate::{Facts, Hold, Order, Role, Subject, clock};

/// Between two answers to machines that have an address of ours (RFC 5227 §1.1).
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);

/// From a refusal by the kernel of all of a vip's addresses to the next try: at each the director that has them gives
/// way, where this one is to be preferred.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

impl Drive {
    /// Obeys what was said; how to end, if it is the end.
    pub(super) fn obey(&mut self) -> Option<End> {
        self.ear.hush();
        loop {
            match self.ear.next() {
                Ok(Some(Input::Leave(reply))) => {
                    let _ = reply.send(self.roles());
                    self.tables.say(Request::Leave);
                    return Some(End::Left);
                }
                Ok(Some(Input::Stop)) | Err(()) => {
                    self.stop();
                    return Some(End::Stopped);
                }
                Ok(Some(input)) => self.take(input),
                Ok(None) => return None,
            }
            // However much is said, adverts are sent in time.
            self.fire_adverts(clock::now());
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Plan(plan) => self.prepare(plan),
            Input::Facts(facts) => self.know(facts),
            Input::Order { vip, order, reply } => {
                let _ = reply.send(self.order(vip.as_deref(), order));
            }
            Input::Report(reply) => {
                let _ = reply.send(self.report());
            }
            Input::Told(told) => self.hear_tables(told),
            Input::Leave(_) | Input::Stop => {}
        }
    }

    fn hear_tables(&mut self, told: Told) {
        match told {
            Told::Ready { number, plan, seen } => self.settle(number, plan, seen),
            Told::Changed { number, seen } if number == self.number => self.see(seen),
            Told::Changed { seen, .. } => self.see_sockets(seen.opened, &seen.closed),
            Told::Done { number, turn, troubles } if number == self.number => {
                self.done = turn;
                for trouble in &troubles {
                    self.note(None, true, || trouble.text.clone());
                }
                self.troubles = troubles;
                if turn == self.turn && !self.wants {
                    self.leave_refused();
                }
            }
            Told::Lost { number, vips } if number == self.number => {
                let now = clock::now();
                for vip in vips {
                    let (squad, member) = (self.vips[vip].squad, self.vips[vip].member);
                    self.vips[vip].counts.repaired += 1;
                    self.note(Some(vip), true, || {
                        "another program has removed an address, route or rule of it".to_owned()
                    });
                    self.with_group(squad, now, |group, actions| group.handle_addresses_lost(now, member, actions));
                }
                // What was lost is wanted as before.
                self.wants = true;
            }
            Told::Claimed { number, vips, ip, by, times } if number == self.number => {
                self.defend(&vips, ip, by, times);
            }
            Told::Done { .. } | Told::Lost { .. } | Told::Claimed { .. } => {}
            Told::Trouble(text) => self.note(None, true, || text),
        }
    }

    /// The network is another.
    pub(super) fn see(&mut self, seen: Seen) {
        self.see_sockets(seen.opened, &seen.closed);
        self.interfaces = seen.interfaces;
        let now = clock::now();
        for (vip, ground) in seen.grounds.into_iter().enumerate() {
            let before = std::mem::replace(&mut self.vips[vip].ground, ground);
            self.stand(vip, before.source, now);
            let ground = &self.vips[vip].ground;
            if ground.running && (!before.running || before.interface != ground.interface) {
                let (squad, member) = (self.vips[vip].squad, self.vips[vip].member);
                self.with_group(squad, now, |group, actions| group.handle_confusion(now, member, actions));
            }
        }
        self.assign_ports();
        self.track(now);
    }

    /// Tells a vip's router what it stands on.
    pub(super) fn stand(&mut self, vip: usize, source_before: Option<IpAddr>, now: Instant) {
        let (squad, member) = (self.vips[vip].squad, self.vips[vip].member);
        let ground = &self.vips[vip].ground;
        let (running, source) = (ground.running, ground.source);
        if source.is_some() && source != source_before {
            self.reconfigure(squad, now);
        }
        for (fault, lacks) in [(Fault::Interface, !running), (Fault::Source, source.is_none())] {
            self.with_group(squad, now, |group, actions| {
                if lacks {
                    group.handle_fault(now, member, fault, actions);
                } else {
                    group.handle_recovered(now, member, fault, actions);
                }
            });
        }
    }

    /// Another machine has an address of ours. Which of the two is to have it VRRP has decided: we have it, and say so
    /// again, seldom enough not to argue without end (RFC 5227 §2.4).
    fn defend(&mut self, vips: &[usize], ip: IpAddr, by: LinkAddress, times: u64) {
        let now = clock::now();
        for &vip in vips {
            let running = &mut self.vips[vip];
            if !running.has {
                continue;
            }
            running.counts.conflicts += times;
            running.claimed = Some((ip, by, now));
            if running.defended.is_some_and(|at| now.since(at) < DEFEND_INTERVAL) {
                continue;
            }
            running.defended = Some(now);
            let (squad, member) = (running.squad, running.member);
            self.note(Some(vip), true, || format!("{by} says that {ip} is its own"));
            self.with_group(squad, now, |group, actions| group.handle_confusion(now, member, actions));
        }
    }

    /// Who is active without any of its addresses leaves them to another director, which may have better luck.
    fn leave_refused(&mut self) {
        let now = clock::now();
        for vip in 0..self.vips.len() {
            let Some(refusal) = self.refusal(vip) else { continue };
            self.vips[vip].lacking = Some(refusal);
            self.lacking_until = Some(now + REFUSED_PAUSE);
            let (squad, member) = (self.vips[vip].squad, self.vips[vip].member);
            self.with_group(squad, now, |group, actions| group.handle_fault(now, member, Fault::Addresses, actions));
        }
    }

    /// What the kernel says of a vip that is to have its addresses and has none.
    fn refusal(&self, vip: usize) -> Option<String> {
        let refused = |ip: IpAddr| self.troubles.iter().find(|trouble| trouble.lacking && trouble.ip == Some(ip));
        let mut each = self.plan.vips[vip].all_addresses().map(|address| refused(address.ip));
        let first = each.next().flatten().filter(|_| self.vips[vip].has)?;
        each.all(|trouble| trouble.is_some()).then(|| first.text.clone())
    }

    /// Those whose addresses the kernel has refused try their luck again once the pause is over.
    pub(super) fn retry_refused(&mut self) {
        let now = clock::now();
        if self.lacking_until.is_some_and(|until| until <= now) {
            self.forget_refused(now);
        }
    }

    pub(super) fn forget_refused(&mut self, now: Instant) {
        self.lacking_until = None;
        for vip in 0..self.vips.len() {
            if self.vips[vip].lacking.take().is_some() {
                let (squad, member) = (self.vips[vip].squad, self.vips[vip].member);
                let recovered = Fault::Addresses;
                self.with_group(squad, now, |group, actions| group.handle_recovered(now, member, recovered, actions));
            }
        }
    }

    fn know(&mut self, facts: Facts) {
        self.facts = facts;
        self.track(clock::now());
    }

    /// Looks at what every vip depends on.
    pub(super) fn track(&mut self, now: Instant) {
        for vip in 0..self.vips.len() {
            let running = &self.vips[vip];
            let (squad, member) = (running.squad, running.member);
            let known = Known { facts: &self.facts, interfaces: &self.interfaces };
            let effect = effect(&self.plan.vips[vip], &known, running.serving, running.hold);
            let held = running.hold == Some(Hold::Held);
            if running.effect != Some(effect) {
                self.vips[vip].effect = Some(effect);
                self.with_group(squad, now, |group, actions| group.handle_priority(now, member, effect, actions));
            }
            self.with_group(squad, now, |group, actions| {
                if held {
                    group.handle_fault(now, member, Fault::Held, actions);
                } else {
                    group.handle_recovered(now, member, Fault::Held, actions);
                }
            });
        }
    }

    /// Whether workers have shown signs of life lately.
    pub(super) fn check_beats(&mut self) {
        let Some(beats) = self.beats else { return };
        let now = clock::now();
        if self.beats_at.is_some_and(|at| now < at) {
            return;
        }
        let oldest = beats.oldest();
        let mut changed = false;
        let mut next: Option<Instant> = None;
        for (vip, running) in self.plan.vips.iter().zip(&mut self.vips) {
            if !vip.track.iter().any(|track| matches!(track.subject, Subject::Served(_))) {
                continue;
            }
            let patience = vip.patience();
            let serving = oldest.is_some_and(|oldest| now.since(oldest) <= patience);
            changed |= running.serving != serving;
            running.serving = serving;
            let at = match oldest.filter(|_| serving) {
                Some(oldest) => oldest + patience + Duration::from_millis(1),
                // So soon it is seen that they are back.
                None => now + patience / 4,
            };
            next = Some(next.map_or(at, |next| next.min(at)));
        }
        self.beats_at = next;
        if changed {
            self.track(now);
        }
    }

    fn order(&mut self, name: Option<&str>, order: Order) -> Result<(), String> {
        let chosen = |vip: &usize| name.is_none_or(|name| self.plan.vips[*vip].name == name);
        let vips: Vec<usize> = (0..self.vips.len()).filter(chosen).collect();
        if let (Some(name), []) = (name, &vips[..]) {
            return Err(format!("there is no vip {name}"));
        }
        for vip in vips {
            self.vips[vip].hold = match order {
                Order::GiveUp => Some(Hold::GivenUp),
                Order::Hold => Some(Hold::Held),
                Order::Resume => None,
            };
        }
        self.track(clock::now());
        Ok(())
    }

    /// What a process that takes this one's place goes on with.
    fn roles(&self) -> Vec<Role> {
        let role = |(vip, running): (&crate::Vip, &crate::router::Running)| {
            let router = &self.squads[running.squad].group.members()[running.member];
            let (sent, priority) = running.last_sent.unwrap_or((Instant::ZERO, router.priority()));
            Role {
                vip: vip.name.clone(),
                active: router.state() == State::Active,
                last_advert_ns: sent.as_nanos(),
                advert_interval_ms: vip.protocol.interval().as_millis() as u64,
                priority: priority.get(),
                hold: running.hold,
            }
        };
        // Those that no plan has taken up yet go on to the next process.
        self.plan.vips.iter().zip(&self.vips).map(role).chain(self.roles.iter().cloned()).collect()
    }

    /// Priority 0 first, of all; then the addresses are removed.
    fn stop(&mut self) {
        let now = clock::now();
        for squad in 0..self.squads.len() {
            self.with_group(squad, now, |group, actions| group.handle_stop(now, actions));
        }
        self.tables.say(Request::Stop);
    }
}
