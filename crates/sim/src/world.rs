use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use units::Instant;
use vrrp_proto::{Action, Adopted, Fault, Group, Meta, Priority, Refusal, TTL, multicast_group, parse, write};

use crate::chance::Chance;
use crate::host::{Host, Pace};
use crate::queue::{Event, Packet, Queue};
use crate::setup::{HOSTS, LINKS, Setup, Wish};
use crate::trace::{Entry, Trace};
use crate::trouble::{Repair, Start, Trouble, make_up, pause_before};
use crate::watch::{Heard, Watch};

/// What a socket holds while nobody reads it. Adverts beyond are lost.
const SOCKET: usize = 64;

/// One link.
#[derive(Clone, Copy, Default)]
pub(crate) struct Link {
    pub(crate) loss_percent: u8,
    /// From whom, to whom.
    pub(crate) cut: [[bool; HOSTS]; HOSTS],
    /// When the last packet arrives, from whom, to whom.
    arrival: [[Instant; HOSTS]; HOSTS],
}

/// What was simulated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Adverts sent.
    pub adverts: u64,
    /// Troubles that happened.
    pub troubles: u64,
    /// How often a router became active.
    pub takeovers: u64,
    /// How often one became active by adoption.
    pub adoptions: u64,
}

/// Something does not hold.
#[derive(Debug)]
pub struct Broken {
    /// What.
    pub what: String,
    /// When, from the beginning.
    pub after: Duration,
    /// What happened last, one line for each.
    pub trace: Vec<String>,
    /// Who was there.
    pub setup: String,
}

impl std::error::Error for Broken {}

impl fmt::Display for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Broken { what, after, trace, setup } = self;
        write!(formatter, "{setup}\n{}\nafter {after:?}: {what}", trace.join("\n"))
    }
}

/// Hosts and links.
pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) setup: Setup,
    pub(crate) hosts: Vec<Host>,
    pub(crate) links: [Link; LINKS],
    pub(crate) watch: Watch,
    pub(crate) figures: Figures,
    /// What does not hold.
    pub(crate) broken: Option<String>,
    chance: Chance,
    queue: Queue,
    trace: Trace,
    scratch: Vec<(usize, Action)>,
    bytes: Vec<u8>,
}

/// Not the clock's zero, which would hide what reckons from it.
const BEGIN: Instant = Instant::from_millis(1_000_000);

impl World {
    /// Hosts by chance, to which things happen by chance.
    pub(crate) fn of_seed(seed: u64) -> World {
        let mut chance = Chance::new(seed);
        let setup = Setup::by_chance(&mut chance);
        let mut world = World::build(setup, chance);
        world.queue.push(BEGIN, Event::Trouble);
        world
    }

    fn build(setup: Setup, chance: Chance) -> World {
        let wishes = setup.priorities.iter().map(|&priority| Wish {
            priority,
            interval: setup.interval,
            more_addresses: false,
            added: 0,
            unable: false,
        });
        let mut world = World {
            now: BEGIN,
            hosts: wishes.map(Host::new).collect(),
            links: [Link::default(); LINKS],
            watch: Watch::new(BEGIN),
            figures: Figures::default(),
            broken: None,
            chance,
            queue: Queue::default(),
            trace: Trace::default(),
            scratch: Vec::new(),
            bytes: Vec::new(),
            setup,
        };
        for host in 0..world.hosts.len() {
            world.start(host, Start::New);
        }
        world.look();
        world
    }

    /// What was simulated until now.
    pub(crate) fn figures(&self) -> Figures {
        self.figures
    }

    /// Lets time go by.
    ///
    /// # Errors
    /// If something does not hold that must.
    pub(crate) fn go_on(&mut self, time: Duration) -> Result<(), Broken> {
        let end = self.now + time;
        while self.broken.is_none() {
            let due = self.hosts.iter().filter_map(|host| host.due);
            let Some(next) = due.chain(self.queue.next()).min().filter(|&next| next <= end) else {
                self.pass_to(end);
                break;
            };
            self.pass_to(next.max(self.now));
            self.step();
        }
        match self.broken.take() {
            None => Ok(()),
            Some(what) => Err(Broken {
                what,
                after: self.now.since(BEGIN),
                trace: self.trace.lines(),
                setup: format!("{:?}", self.setup),
            }),
        }
    }

    /// What has arrived comes before what is due, as a shell has it.
    fn step(&mut self) {
        while let Some(event) = self.queue.pop(self.now) {
            match event {
                Event::Arrives(host, packet) => self.arrive(host, packet),
                Event::Repair(repair) => self.repair(repair),
                Event::Trouble => {
                    let (trouble, repair) = make_up(&mut self.chance, &self.setup);
                    self.trouble(trouble);
                    if let Some((after, repair)) = repair {
                        self.queue.push(self.now + after, Event::Repair(repair));
                    }
                    let interval = crate::setup::wait(self.setup.interval);
                    self.queue.push(self.now + pause_before(&mut self.chance, interval), Event::Trouble);
                }
            }
        }
        for host in 0..self.hosts.len() {
            if self.hosts[host].due.is_some_and(|due| due <= self.now) {
                self.drive(host, |group, now, actions| group.handle_deadline(now, actions));
            }
        }
        self.look();
    }

    fn drive<T>(
        &mut self,
        host: usize,
        change: impl FnOnce(&mut Group, Instant, &mut Vec<(usize, Action)>) -> T,
    ) -> Option<T> {
        let mut actions = std::mem::take(&mut self.scratch);
        let local = self.hosts[host].clock(self.now);
        let result = self.hosts[host].process.as_mut().map(|group| change(group, local, &mut actions));
        self.obey(host, &actions);
        actions.clear();
        self.scratch = actions;
        self.hosts[host].set_due();
        result
    }

    fn obey(&mut self, host: usize, actions: &[(usize, Action)]) {
        for (index, &(link, action)) in actions.iter().enumerate() {
            match action {
                Action::AddAddresses => self.hosts[host].holds[link] = true,
                Action::RemoveAddresses => {
                    self.hosts[host].holds[link] = false;
                    self.hosts[host].record[link] = None;
                }
                Action::SendAdvert { priority } => self.send(host, link, priority),
                Action::Became { to, why, .. } => {
                    self.trace.push(self.now, Entry::Becomes { host, link, to, why });
                    self.became(host, link, to, why, &actions[..index]);
                }
                Action::Announce { .. } | Action::AnnounceSource | Action::Note(_) => {}
            }
        }
    }

    fn send(&mut self, host: usize, link: usize, priority: Priority) {
        self.figures.adverts += 1;
        self.trace.push(self.now, Entry::Sends { host, link, priority });
        let sent_at = self.hosts[host].clock(self.now);
        let interval = self.hosts[host].interval();
        let is_active = priority != Priority::LEAVING;
        if let Some(last) = self.hosts[host].record[link].filter(|_| is_active && !self.hosts[host].is_owner()) {
            let silence = sent_at.since(last.sent_at);
            if silence >= last.interval * u32::from(self.setup.down_adverts) {
                self.fail(|| format!("{host} goes on as active after {silence:?} without an advert"));
            }
        }
        self.hosts[host].record[link] = is_active.then_some(Adopted { sent_at, interval, priority });
        let group = multicast_group(self.setup.family);
        let mut bytes = None;
        for to in (0..self.hosts.len()).filter(|&to| to != host) {
            if !self.is_open(host, to, link) || self.chance.in_hundred(self.links[link].loss_percent.into()) {
                continue;
            }
            self.watch.sent(to, self.now);
            let packet = match &bytes {
                Some(bytes) if !self.setup.is_unicast => Rc::clone(bytes),
                _ => {
                    let to = if self.setup.is_unicast { self.setup.source(to, link) } else { group };
                    self.encode(host, link, priority, to)
                }
            };
            bytes = Some(Rc::clone(&packet));
            let mut at = self.now + self.chance.within(self.setup.delay_max);
            let arrival = &mut self.links[link].arrival[host][to];
            if self.setup.in_order {
                at = at.max(*arrival);
            }
            *arrival = at;
            self.queue.push(at, Event::Arrives(to, Packet { from: host, link, bytes: packet }));
        }
    }

    fn encode(&mut self, host: usize, link: usize, priority: Priority, to: IpAddr) -> Rc<[u8]> {
        let member = &self.hosts[host].process.as_ref().expect("it sends").members()[link];
        self.bytes.clear();
        write(&mut self.bytes, &member.advert(priority), self.setup.source(host, link), to);
        Rc::from(self.bytes.as_slice())
    }

    /// Whether packets pass.
    pub(crate) fn is_open(&self, from: usize, to: usize, link: usize) -> bool {
        !self.links[link].cut[from][to] && !self.hosts[from].unplugged[link] && !self.hosts[to].unplugged[link]
    }

    fn arrive(&mut self, host: usize, packet: Packet) {
        let receiver = &mut self.hosts[host];
        if receiver.unplugged[packet.link] {
            return;
        }
        match (&receiver.process, receiver.pace) {
            (Some(_), Pace::Runs) => self.hear(host, &packet),
            (Some(_), Pace::Paused) if receiver.socket.len() < SOCKET => receiver.socket.push(packet),
            _ => {}
        }
    }

    fn hear(&mut self, host: usize, packet: &Packet) {
        let &Packet { from, link, ref bytes } = packet;
        let source = self.setup.source(from, link);
        let destination = match self.setup.is_unicast {
            true => self.setup.source(host, link),
            false => multicast_group(self.setup.family),
        };
        let meta = Meta { source, destination, ttl: TTL, ttl_min: TTL };
        let advert = parse(bytes, &meta).expect("it was written by us");
        let priority = advert.priority;
        self.trace.push(self.now, Entry::Hears { host, link, from, priority });
        let was = self.hosts[host].process.as_ref().map(|group| group.members()[link].state());
        let heard = self.drive(host, |group, now, actions| group.handle_advert(now, link, &advert, &meta, actions));
        match heard {
            Some(Ok(())) => {
                let interval = advert.protocol.interval();
                self.heard(host, &Heard { from, link, priority: priority.get(), interval, was });
            }
            Some(Err(Refusal::NotListening)) | None => {}
            Some(Err(Refusal::Interval)) if self.setup.is_v2 => {}
            Some(Err(refusal)) => self.fail(|| format!("{host} refuses an advert of {from}: {refusal}")),
        }
    }

    /// Makes something go wrong.
    pub(crate) fn trouble(&mut self, trouble: Trouble) {
        self.figures.troubles += 1;
        self.trace.push(self.now, Entry::Trouble(trouble));
        match trouble {
            Trouble::Split { link, sides } => {
                for (from, to) in pairs(self.hosts.len()) {
                    self.links[link].cut[from][to] |= (sides >> from ^ sides >> to) & 1 == 1;
                }
            }
            Trouble::OneWay { link, from, to } => self.links[link].cut[from][to] = true,
            Trouble::Loss { link, percent } => {
                self.links[link].loss_percent = percent;
                self.watch.lossy(link, self.now);
            }
            Trouble::Pause { host } => self.set_pace(host, Pace::Paused),
            Trouble::Suspend { host } => self.set_pace(host, Pace::Suspended),
            Trouble::Jump { host, by } => {
                self.hosts[host].ahead += by;
                self.hosts[host].set_due();
                self.watch.disturb(host, self.now);
            }
            Trouble::Crash { host } => self.end(host),
            Trouble::PowerOff { host } => {
                self.end(host);
                self.hosts[host].holds = [false; LINKS];
                self.hosts[host].record = [None; LINKS];
            }
            Trouble::Stop { host } if self.hosts[host].runs() => {
                self.drive(host, Group::handle_stop);
                self.end(host);
            }
            Trouble::Priority { host, priority } if !self.hosts[host].is_owner() => {
                self.reload(host, |wish| wish.priority = priority);
            }
            Trouble::Addresses { host, more } => self.reload(host, |wish| wish.more_addresses = more),
            Trouble::Interval { host, interval } if self.hosts[host].wish.interval != interval => {
                self.reload(host, |wish| wish.interval = interval);
                self.watch.disturb(host, self.now);
            }
            Trouble::Weight { host, added } => self.track(host, |wish| wish.added = added),
            Trouble::Unable { host } => self.track(host, |wish| wish.unable = true),
            Trouble::Unplug { host, link } => {
                self.hosts[host].unplugged[link] = true;
                if self.hosts[host].pace == Pace::Runs {
                    self.drive(host, |group, now, actions| group.handle_fault(now, link, Fault::Interface, actions));
                }
            }
            Trouble::GiveUp { host } if self.hosts[host].runs() => {
                self.drive(host, Group::handle_give_up);
            }
            Trouble::AddressesLost { host, link, times } if self.hosts[host].runs() => {
                for _ in 0..times {
                    self.hosts[host].holds[link] = false;
                    self.drive(host, |group, now, actions| group.handle_addresses_lost(now, link, actions));
                }
            }
            _ => {}
        }
        self.watch.is_stale = true;
    }

    /// Ends a trouble.
    pub(crate) fn repair(&mut self, repair: Repair) {
        self.trace.push(self.now, Entry::Repair(repair));
        match repair {
            Repair::Join { link } => self.links[link].cut = [[false; HOSTS]; HOSTS],
            Repair::NoLoss { link } => {
                self.links[link].loss_percent = 0;
                self.watch.lossy(link, self.now);
            }
            Repair::Resume { host } => self.resume(host),
            Repair::Start { host, how } if self.hosts[host].process.is_none() => self.start(host, how),
            Repair::Start { .. } => {}
            Repair::Well { host } => self.track(host, |wish| (wish.added, wish.unable) = (0, false)),
            Repair::Plug { host, link } => {
                self.hosts[host].unplugged[link] = false;
                if self.hosts[host].pace == Pace::Runs {
                    self.drive(host, |group, now, actions| {
                        group.handle_recovered(now, link, Fault::Interface, actions)
                    });
                }
            }
        }
        self.watch.is_stale = true;
    }

    fn set_pace(&mut self, host: usize, pace: Pace) {
        if self.hosts[host].runs() {
            self.hosts[host].pace = pace;
            self.hosts[host].set_due();
        }
    }

    /// What it was told meanwhile it is told now: of its configuration, its trackers and its interfaces.
    fn resume(&mut self, host: usize) {
        if self.hosts[host].pace == Pace::Runs {
            return;
        }
        self.hosts[host].pace = Pace::Runs;
        self.watch.disturb(host, self.now);
        for packet in std::mem::take(&mut self.hosts[host].socket) {
            self.hear(host, &packet);
        }
        self.reload(host, |_| {});
        self.tell_interfaces(host);
    }

    fn end(&mut self, host: usize) {
        let host = &mut self.hosts[host];
        (host.process, host.pace) = (None, Pace::Runs);
        host.socket.clear();
        host.set_due();
    }

    fn start(&mut self, host: usize, how: Start) {
        let local = self.hosts[host].clock(self.now);
        let wish = self.hosts[host].wish;
        self.hosts[host].told = wish;
        let configs = (0..self.setup.links).map(|link| self.setup.config(host, link, &wish));
        let mut actions = Vec::new();
        let record = self.hosts[host].record;
        let group = match how {
            Start::New => Group::new(configs, local, &mut actions),
            Start::Adopt => Group::adopt(configs.zip(record), local, &mut actions),
        };
        self.hosts[host].process = Some(group);
        self.watch.disturb(host, self.now);
        self.obey(host, &actions);
        self.tell(host);
        self.tell_interfaces(host);
    }

    fn reload(&mut self, host: usize, change: impl FnOnce(&mut Wish)) {
        change(&mut self.hosts[host].wish);
        if !self.hosts[host].runs() {
            return;
        }
        self.hosts[host].told = self.hosts[host].wish;
        let configs: Vec<_> = (0..self.setup.links)
            .map(|link| (Some(link), self.setup.config(host, link, &self.hosts[host].wish)))
            .collect();
        let gone = self.drive(host, |group, now, actions| group.handle_config(now, configs, actions));
        if gone.is_some_and(|gone| !gone.is_empty()) {
            self.fail(|| format!("a router of {host} is gone, and its configuration is not"));
        }
        self.tell(host);
    }

    fn track(&mut self, host: usize, change: impl FnOnce(&mut Wish)) {
        change(&mut self.hosts[host].wish);
        if self.hosts[host].runs() {
            self.tell(host);
        }
    }

    fn tell(&mut self, host: usize) {
        let it = &mut self.hosts[host];
        it.told = it.wish;
        let effect = it.told.effect();
        for link in 0..self.setup.links {
            self.drive(host, |group, now, actions| group.handle_priority(now, link, effect, actions));
        }
    }

    fn tell_interfaces(&mut self, host: usize) {
        for link in 0..self.setup.links {
            let is_down = self.hosts[host].unplugged[link];
            self.drive(host, |group, now, actions| match is_down {
                true => group.handle_fault(now, link, Fault::Interface, actions),
                false => group.handle_recovered(now, link, Fault::Interface, actions),
            });
        }
    }

    pub(crate) fn fail(&mut self, what: impl FnOnce() -> String) {
        if self.broken.is_none() {
            self.broken = Some(what());
        }
    }
}

#[cfg(test)]
impl World {
    /// Hosts that start now, to which nothing happens by itself.
    pub(crate) fn new(setup: Setup, seed: u64) -> World {
        World::build(setup, Chance::new(seed))
    }

    /// The hosts whose processes believe to be active.
    pub(crate) fn active(&self) -> Vec<usize> {
        (0..self.hosts.len()).filter(|&host| self.hosts[host].is_active()).collect()
    }

    /// The hosts that have the addresses.
    pub(crate) fn holders(&self) -> Vec<usize> {
        (0..self.hosts.len()).filter(|&host| self.hosts[host].holds[0]).collect()
    }
}

/// Everyone with every other.
pub(crate) fn pairs(hosts: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..hosts).flat_map(move |one| (0..hosts).filter(move |&other| other != one).map(move |other| (one, other)))
}
