//! What the virtual routers decide is carried out.

use units::Instant;
use vrrp_proto::{Action, Note, Priority, Refusal, State};

use super::{Drive, PACE};
use crate::announce::Announcement;
use crate::message::Request;
use crate::{Event, clock};

impl Drive {
    pub(super) fn act(&mut self, squad: usize, member: usize, vip: usize, action: Action, now: Instant) {
        match action {
            Action::SendAdvert { priority } => self.send(squad, member, vip, priority, now),
            Action::AddAddresses => {
                self.vips[vip].has = true;
                self.wants = true;
            }
            Action::RemoveAddresses => {
                self.vips[vip].has = false;
                self.vips[vip].announce = None;
                self.announcements.forget(vip);
                self.wants = true;
            }
            Action::Announce { repeat } => {
                let repeat = self.vips[vip].announce.map_or(repeat, |before| before.max(repeat));
                self.vips[vip].announce = Some(repeat);
            }
            Action::AnnounceSource => {
                let ground = &self.vips[vip].ground;
                if let (Some(ip), Some(spot)) = (ground.source, ground.here) {
                    self.announcements.add(&[Announcement { vip, ip, spot }], 1);
                }
            }
            Action::Became { from, to, why } => self.became(squad, member, vip, from, to, why.to_string()),
            Action::Note(note) => self.noted(vip, note),
        }
    }

    fn send(&mut self, squad: usize, member: usize, vip: usize, priority: Priority, now: Instant) {
        let router = &self.squads[squad].group.members()[member];
        let running = &mut self.vips[vip];
        let (Some(source), Some(scope)) = (running.ground.source, running.ground.scope) else {
            return;
        };
        let Some(port) = self.ports.get(&scope) else {
            return;
        };
        let interface = running.ground.interface.unwrap_or(0);
        let mut failed = None;
        for letter in running.letters.of(router, priority, self.plan.vips[vip].virtual_mac()) {
            let sent = match letter.ethertype {
                Some(ethertype) => self.frames.send(interface, ethertype, &letter.bytes),
                None => port.sockets.ours.send(source, letter.to, &letter.bytes),
            };
            if let Err(error) = sent {
                failed = Some((letter.to, error));
            }
        }
        running.last_sent = Some((now, priority));
        match failed {
            None => running.counts.sent += 1,
            Some((destination, error)) => {
                running.counts.not_sent += 1;
                // The first of a row is told, and the row is counted.
                if running.counts.not_sent.is_power_of_two() {
                    self.note(Some(vip), true, || format!("an advert to {destination} was not sent: {error}"));
                }
            }
        }
    }

    fn became(&mut self, squad: usize, member: usize, vip: usize, from: State, to: State, why: String) {
        let priority = self.squads[squad].group.members()[member].priority().get();
        let group = self.squads[squad].name.clone();
        let running = &mut self.vips[vip];
        running.since_unix_ms = clock::unix_ms();
        running.why.clone_from(&why);
        running.rival = None;
        running.notes.clear();
        running.refused_last = None;
        running.counts.became_active += u64::from(to == State::Active);
        let (from, to) = (from.word().to_owned(), to.word().to_owned());
        let name = self.plan.vips[vip].name.clone();
        self.tell(Event::Moved { vip: name, group, from, to, priority, why });
    }

    fn noted(&mut self, vip: usize, note: Note) {
        let notes = &mut self.vips[vip].notes;
        notes.retain(|known| std::mem::discriminant(known) != std::mem::discriminant(&note));
        notes.push(note);
        let is_trouble = !matches!(note, Note::EqualPriority(_) | Note::Refused(Refusal::OwnAddress, _));
        self.note(Some(vip), is_trouble, || note.to_string());
    }

    /// Tells the kernel's thread what is wanted now, once for all that has changed.
    pub(super) fn say_wants(&mut self) {
        if std::mem::take(&mut self.wants) {
            self.turn += 1;
            let active = self.vips.iter().map(|vip| vip.has).collect();
            self.tables.say(Request::Want { number: self.number, turn: self.turn, active });
        }
    }

    /// Sends some of the announcements that wait, and lets those begin whose addresses are there.
    pub(super) fn announce(&mut self) {
        if self.done == self.turn && !self.wants {
            for vip in 0..self.vips.len() {
                if let Some(repeat) = self.vips[vip].announce.take() {
                    let plan = self.plan.clone();
                    let each = plan.vips[vip].all_addresses().zip(&self.vips[vip].ground.spots);
                    let each =
                        each.filter_map(|(address, spot)| Some(Announcement { vip, ip: address.ip, spot: (*spot)? }));
                    let each: Vec<Announcement> = each.collect();
                    self.announcements.add(&each, repeat);
                }
            }
        }
        let now = clock::now();
        if self.announcements.is_empty() || now < self.pace_at {
            return;
        }
        self.pace_at = now + PACE;
        for announcement in self.announcements.burst() {
            let Some((frame, protocol)) = announcement.frame() else { continue };
            if self.frames.send(announcement.spot.interface, protocol, frame.bytes()).is_ok() {
                self.vips[announcement.vip].counts.announced += 1;
            }
        }
    }
}
