//! The thread that may wait for the kernel: it knows links and addresses, changes them, and opens sockets.
//!
//! Every change of the kernel's network waits until other programs' changes are through, which may take long. So adverts
//! are sent by a thread that does none, and is told here what has come of what it wants.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use linux::{PacketSocket, VrrpFilter, VrrpSocket};
use netlink::{Address, Change, Event, Interest, Kernel, Link, Watcher};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use units::Instant;

use crate::drive::PRIORITY;
use crate::ground::{MARK, Scope, ground};
use crate::message::{Ear, Input, Mouth, Request, Seen, Sockets, Told, Trouble};
use crate::wanted::{Ours, Place, Wanted, changes, is_same_route, our_addresses, place, wanted};
use crate::watch::Guarded;
use crate::{Plan, Subject};

mod claims;
mod links;

/// See the module.
pub(crate) struct Tables {
    kernel: Kernel,
    watcher: Watcher,
    ear: Ear<Request>,
    out: Mouth<Input>,
    plan: Arc<Plan>,
    number: u64,
    /// Which vips have their addresses.
    active: Vec<bool>,
    links: Vec<Link>,
    addresses: Vec<Address>,
    wanted: Wanted,
    ours: Ours,
    /// Wanted and seen to be there: if one of these goes, it was removed.
    placed: BTreeSet<Place>,
    /// With open sockets, and the virtual routers that are heard there.
    scopes: Vec<(Scope, Vec<u8>)>,
    /// Interfaces that have gone since. One of the same number may be there again, of which no open socket hears.
    gone: BTreeSet<u32>,
    told: Seen,
    prepared: bool,
    /// Something was missed: all is to be read anew.
    missed: bool,
    /// A link has come that is not prepared for yet.
    new_links: bool,
    /// A route or rule that is wanted was removed.
    routes_lost: bool,
    watches: Vec<(Guarded, PacketSocket)>,
    /// The last turn that was carried out, and what the kernel refused of it.
    turn: u64,
    troubles: Vec<Trouble>,
    interest: Interest,
    /// When a claim of an address was last told of, and how many have come since.
    claims: BTreeMap<IpAddr, (Option<Instant>, u64)>,
}

/// Between two tries of what the kernel has refused.
const RETRY: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

impl Tables {
    /// Belongs to the network namespace of the calling thread.
    pub(crate) fn open(ear: Ear<Request>, out: Mouth<Input>) -> Result<Tables, netlink::Error> {
        let interest = Interest::default();
        let watcher = Watcher::open(interest)?;
        let mut tables = Tables {
            kernel: Kernel::open()?,
            watcher,
            ear,
            out,
            plan: Arc::default(),
            number: 0,
            active: Vec::new(),
            links: Vec::new(),
            addresses: Vec::new(),
            wanted: Wanted::default(),
            ours: Ours::default(),
            placed: BTreeSet::new(),
            scopes: Vec::new(),
            gone: BTreeSet::new(),
            told: Seen::default(),
            prepared: false,
            missed: false,
            new_links: false,
            routes_lost: false,
            watches: Vec::new(),
            turn: 0,
            troubles: Vec::new(),
            interest,
            claims: BTreeMap::new(),
        };
        tables.read_anew()?;
        Ok(tables)
    }

    /// Until it is told to end, or nobody can tell it anything any more.
    pub(crate) fn run(mut self) {
        // A takeover is over when the addresses are there. Whether it may is told of the thread of adverts.
        let _ = linux::run_first(PRIORITY - 1);
        loop {
            let mut ready = vec![PollFd::new(&self.ear, PollFlags::IN), PollFd::new(&self.watcher, PollFlags::IN)];
            ready.extend(self.watches.iter().map(|(_, socket)| PollFd::new(socket, PollFlags::IN)));
            let retry = (self.missed || !self.troubles.is_empty() || self.has_strays()).then_some(&RETRY);
            let woken = match poll(&mut ready, retry) {
                Err(Errno::INTR) => continue,
                Err(error) => {
                    self.trouble(format!("waiting for the kernel: {error}"));
                    return;
                }
                Ok(count) => count > 0,
            };
            drop(ready);
            self.ear.hush();
            self.look();
            self.hear_claims();
            if !woken {
                self.try_again(self.has_strays());
            }
            let mut want = None;
            loop {
                match self.ear.next() {
                    Ok(Some(Request::Prepare { number, plan, active })) => self.prepare(number, plan, active),
                    // Of several only the last is wanted now.
                    Ok(Some(Request::Want { number, turn, active })) => want = Some((number, turn, active)),
                    Ok(Some(Request::Close(sockets))) => drop(sockets),
                    Ok(Some(Request::Leave)) | Err(()) => {
                        self.want(want);
                        return;
                    }
                    Ok(Some(Request::Stop)) => return self.release(),
                    Ok(None) => break,
                }
            }
            self.want(want);
            if self.new_links {
                // It came while something was changed.
                self.after_change();
            }
        }
    }

    /// Takes in what has changed, and tells of it.
    fn look(&mut self) {
        let mut changed = false;
        loop {
            match self.watcher.next_event() {
                Ok(Some(event)) => changed |= self.take_in(event),
                Ok(None) => break,
                Err(error) => {
                    self.trouble(error.to_string());
                    break;
                }
            }
        }
        self.catch_up();
        if changed {
            self.after_change();
        }
    }

    fn take_in(&mut self, event: Event) -> bool {
        match event {
            Event::LinkChanged(link) => match self.links.iter_mut().find(|known| known.index == link.index) {
                Some(known) if *known == link => return false,
                Some(known) => {
                    // Of the routes that go with a link that is down the kernel does not tell.
                    self.ours.unsure |= known.up != link.up || known.running != link.running;
                    *known = link;
                }
                None => {
                    self.links.push(link);
                    self.new_links = true;
                }
            },
            Event::LinkGone(link) => {
                self.gone.insert(link.index);
                self.links.retain(|known| known.index != link.index);
                self.addresses.retain(|known| known.interface != link.index);
            }
            Event::AddressAdded(address) => {
                let place = Place::of(&address);
                match self.addresses.iter_mut().find(|known| Place::of(known) == place) {
                    Some(known) => *known = address,
                    None => self.addresses.push(address),
                }
            }
            Event::AddressGone(address) => {
                let place = Place::of(&address);
                self.addresses.retain(|known| Place::of(known) != place);
            }
            Event::Overrun => self.missed = true,
            Event::RouteGone(route) => {
                self.routes_lost |=
                    route.protocol == MARK && self.wanted.routes.iter().any(|own| is_same_route(own, &route));
                return self.routes_lost;
            }
            Event::RuleGone(rule) => {
                self.routes_lost |= self.wanted.rules.contains(&rule);
                return self.routes_lost;
            }
        }
        true
    }

    fn read_anew(&mut self) -> Result<(), netlink::Error> {
        self.links = self.kernel.links()?;
        self.addresses = self.kernel.addresses(None)?;
        Ok(())
    }

    /// What was missed may be anything: interfaces that were replaced, and routes that went. Tried until it is read.
    fn catch_up(&mut self) {
        if !self.missed {
            return;
        }
        self.gone.extend(self.links.iter().map(|link| link.index));
        self.new_links = true;
        self.ours.unsure = true;
        match self.read_anew() {
            Ok(()) => self.missed = false,
            Err(error) => self.trouble(error.to_string()),
        }
    }

    fn after_change(&mut self) {
        if self.prepared && std::mem::take(&mut self.new_links) {
            self.prepare_links();
        }
        self.tell_news();
        if !self.tell_lost() && self.prepared {
            // An interface may have come that wanted addresses belong to.
            self.try_again(false);
        }
    }

    fn tell_news(&mut self) {
        let (seen, news) = self.seen();
        if news {
            self.out.say(Input::Told(Told::Changed { number: self.number, seen }));
        }
    }

    /// What was there and is not any more, though it is wanted, somebody has removed; unless it went with its interface,
    /// or with its being up.
    fn tell_lost(&mut self) -> bool {
        let there: BTreeSet<Place> = self.addresses.iter().map(Place::of).collect();
        let removed = |place: &&Place| {
            !there.contains(place) && self.links.iter().any(|link| link.index == place.interface && link.up)
        };
        let lost: BTreeSet<Place> = self.placed.iter().filter(removed).copied().collect();
        self.placed = self.wanted.addresses.keys().filter(|place| there.contains(place)).copied().collect();
        let mut vips = self.owners_of(&lost);
        if std::mem::take(&mut self.routes_lost) {
            self.ours.unsure = true;
            vips.extend(
                (0..self.plan.vips.len())
                    .filter(|&at| {
                        let vip = &self.plan.vips[at];
                        self.active[at] && !(vip.routes.is_empty() && vip.rules.is_empty()) && !vips.contains(&at)
                    })
                    .collect::<Vec<_>>(),
            );
        }
        let is_lost = !vips.is_empty();
        if is_lost {
            self.out.say(Input::Told(Told::Lost { number: self.number, vips }));
        }
        is_lost
    }

    fn owners_of(&self, lost: &BTreeSet<Place>) -> Vec<usize> {
        let has_lost = |&(at, active): &(usize, &bool)| {
            let vip = &self.plan.vips[at];
            *active
                && vip.all_addresses().filter_map(|address| place(vip, address, &self.links)).any(|p| lost.contains(&p))
        };
        self.active.iter().enumerate().filter(has_lost).map(|(at, _)| at).collect()
    }

    fn prepare(&mut self, number: u64, plan: Arc<Plan>, active: Vec<bool>) {
        self.take_interest(&plan);
        self.plan = plan;
        self.number = number;
        self.active = active;
        self.prepare_links();
        if !self.prepared {
            self.prepared = true;
            self.take_left_overs();
            for trouble in self.reconcile(true) {
                self.trouble(trouble.text);
            }
        }
        let (seen, _) = self.seen();
        self.out.say(Input::Told(Told::Ready { number, plan: self.plan.clone(), seen }));
    }

    fn want(&mut self, want: Option<(u64, u64, Vec<bool>)>) {
        let Some((number, turn, active)) = want.filter(|(number, ..)| *number == self.number) else {
            return;
        };
        self.active = active;
        self.turn = turn;
        let troubles = self.reconcile(true);
        self.out.say(Input::Told(Told::Done { number, turn, troubles }));
        self.watch_over();
    }

    /// The end: whichever plan is wanted or prepared for, nothing of it stays.
    fn release(&mut self) {
        self.active.fill(false);
        for trouble in self.reconcile(true) {
            self.trouble(trouble.text);
        }
    }

    /// Whether an address of ours is there that is not wanted: another program has added it, and another director may
    /// have it. It is removed, but not so fast that two programs argue without end.
    fn has_strays(&self) -> bool {
        self.prepared
            && our_addresses(&self.plan, &self.ours, &self.links, &self.addresses)
                .iter()
                .any(|place| !self.wanted.addresses.contains_key(place))
    }

    /// Routes and rules are watched where the plan has some: there may be very many of others'.
    fn take_interest(&mut self, plan: &Plan) {
        let interest = Interest {
            routes: plan.vips.iter().any(|vip| !vip.routes.is_empty()),
            rules: plan.vips.iter().any(|vip| !vip.rules.is_empty()),
        };
        if interest == self.interest {
            return;
        }
        match Watcher::open(interest).and_then(|watcher| {
            self.watcher = watcher;
            self.read_anew()
        }) {
            Ok(()) => self.interest = interest,
            Err(error) => self.trouble(error.to_string()),
        }
    }

    /// Routes and rules that a process before has left.
    fn take_left_overs(&mut self) {
        match self.kernel.routes() {
            Ok(routes) => self.ours.routes = routes.into_iter().filter(|route| route.protocol == MARK).collect(),
            Err(error) => self.trouble(error.to_string()),
        }
        match self.kernel.rules() {
            Ok(rules) => self.ours.rules = rules.into_iter().filter(|rule| rule.protocol == MARK).collect(),
            Err(error) => self.trouble(error.to_string()),
        }
    }

    /// Makes the kernel's tables what is wanted. `anew`: what that is may have changed.
    fn reconcile(&mut self, anew: bool) -> Vec<Trouble> {
        let wanted = wanted(&self.plan, &self.active, &self.links);
        let is_same = wanted == self.wanted && !self.ours.unsure && self.troubles.is_empty();
        if !anew && is_same {
            return Vec::new();
        }
        self.ours.addresses = our_addresses(&self.plan, &self.ours, &self.links, &self.addresses);
        let mut changes = changes(&wanted, &self.ours, &self.links, &self.addresses);
        changes.extend(self.stale_macvlans().map(Change::RemoveLink));
        self.placed.retain(|place| wanted.addresses.contains_key(place));
        let results = self.kernel.apply(&changes);
        self.ours.routes.clone_from(&wanted.routes);
        self.ours.rules.clone_from(&wanted.rules);
        self.ours.unsure = false;
        self.wanted = wanted;
        let mut troubles = Vec::new();
        for (change, result) in changes.iter().zip(results) {
            match (change, result) {
                (Change::AddAddress { interface, address }, Ok(_)) => {
                    let (ip, prefix) = (address.ip, address.prefix);
                    self.ours.addresses.insert(Place { interface: *interface, ip, prefix });
                }
                (_, Ok(_)) => {}
                (change, Err(error)) => {
                    let ip = match change {
                        Change::AddAddress { address, .. } => Some(address.ip),
                        Change::RemoveAddress { ip, .. } => Some(*ip),
                        _ => None,
                    };
                    let lacking = matches!(change, Change::AddAddress { .. });
                    troubles.push(Trouble { ip, lacking, text: error.to_string() });
                    self.ours.unsure = true;
                }
            }
        }
        self.troubles.clone_from(&troubles);
        self.hear_own_changes();
        troubles
    }

    /// What the kernel has refused is tried again, and told of if something else comes of it.
    fn try_again(&mut self, anew: bool) {
        let before = self.troubles.clone();
        let troubles = self.reconcile(anew);
        if self.troubles != before {
            let (number, turn) = (self.number, self.turn);
            self.out.say(Input::Told(Told::Done { number, turn, troubles }));
        }
        self.watch_over();
    }

    /// The kernel has told of our changes already.
    fn hear_own_changes(&mut self) {
        let mut changed = false;
        while let Ok(Some(event)) = self.watcher.next_event() {
            changed |= self.take_in(event);
        }
        self.catch_up();
        if changed {
            self.tell_news();
        }
        self.tell_lost();
    }

    /// How the network is, and whether that is news.
    fn seen(&mut self) -> (Seen, bool) {
        let plan = self.plan.clone();
        let grounds: Vec<_> = plan.vips.iter().map(|vip| ground(&plan, vip, &self.links, &self.addresses)).collect();
        let mut wanted: Vec<(Scope, Vec<u8>)> = Vec::new();
        for (ground, vip) in grounds.iter().zip(&plan.vips) {
            for scope in [ground.scope, ground.also].into_iter().flatten() {
                match wanted.iter_mut().find(|(known, _)| *known == scope) {
                    Some((_, vrids)) => vrids.push(vip.vrid.get()),
                    None => wanted.push((scope, vec![vip.vrid.get()])),
                }
            }
        }
        let gone = std::mem::take(&mut self.gone);
        self.watches.retain(|(guarded, _)| !gone.contains(&guarded.interface));
        let is_deaf = |scope: Scope| scope.interface().is_some_and(|interface| gone.contains(&interface));
        let is_stale = |known: &&(Scope, Vec<u8>)| !wanted.contains(known) || is_deaf(known.0);
        let stale: Vec<Scope> = self.scopes.iter().filter(is_stale).map(|(scope, _)| *scope).collect();
        self.scopes.retain(|(scope, _)| !stale.contains(scope));
        // Of one whose virtual routers are others the new socket takes the place of the old one.
        let closed: Vec<Scope> =
            stale.into_iter().filter(|stale| wanted.iter().all(|(scope, _)| scope != stale)).collect();
        let mut opened = Vec::new();
        for (scope, vrids) in wanted {
            if self.scopes.iter().any(|(known, _)| *known == scope) {
                continue;
            }
            match open_sockets(scope, &vrids) {
                Ok(sockets) => {
                    opened.push((scope, sockets));
                    self.scopes.push((scope, vrids));
                }
                Err(error) => self.trouble(format!("opening a socket for adverts: {error}")),
            }
        }
        let interfaces = self.tracked_interfaces();
        let news = grounds != self.told.grounds
            || interfaces != self.told.interfaces
            || !opened.is_empty()
            || !closed.is_empty();
        self.told.grounds.clone_from(&grounds);
        self.told.interfaces.clone_from(&interfaces);
        (Seen { grounds, interfaces, opened, closed }, news)
    }

    fn tracked_interfaces(&self) -> Vec<(String, bool)> {
        let mut names: Vec<&String> = Vec::new();
        for track in self.plan.vips.iter().flat_map(|vip| &vip.track) {
            if let Subject::Interface(name) = &track.subject
                && !names.contains(&name)
            {
                names.push(name);
            }
        }
        let runs = |name: &String| self.links.iter().any(|link| link.name == *name && link.up && link.running);
        names.into_iter().map(|name| (name.clone(), runs(name))).collect()
    }

    fn trouble(&self, text: String) {
        self.out.say(Input::Told(Told::Trouble(text)));
    }
}

fn open_sockets(scope: Scope, vrids: &[u8]) -> std::io::Result<Sockets> {
    let ours = VrrpSocket::open(scope.for_kernel(), VrrpFilter::Of(vrids))?;
    // That others are there is worth knowing, and not worth going without adverts.
    let strangers = VrrpSocket::open(scope.for_kernel(), VrrpFilter::NotOf(vrids)).ok();
    Ok(Sockets { ours, strangers })
}

#[cfg(test)]
mod tests;
