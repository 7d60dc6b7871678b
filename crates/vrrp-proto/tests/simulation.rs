//! Routers on a network that loses, delays and cuts, and hosts that stand still or die: who has the addresses?
//!
//! Time and chance are of the test: a seed is a run, and a failure names it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::time::Duration;

use units::Instant;
use vrrp_proto::{
    Action, AddressList, Centiseconds, Checksum, Config, Family, Meta, Preempt, Priority, Protocol, Settings, State,
    TTL, VirtualRouter, Vrid, multicast_group, parse, write,
};

/// Between adverts.
const INTERVAL: Duration = Duration::from_millis(100);

/// No packet is longer under way.
const DELAY_MAX: Duration = Duration::from_millis(10);

/// So long after the last trouble all is settled: who stood still may wait a whole time, and then preempt a second one.
const SETTLED: Duration = Duration::from_millis(2000);

/// splitmix64, from the literature.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn in_hundred(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// A host with a router.
struct Host {
    source: IpAddr,
    priority: u8,
    /// `None`: it is dead.
    router: Option<VirtualRouter>,
    holds: bool,
    /// It stands still until then; its socket fills meanwhile.
    still_until: Instant,
    /// What has arrived, with its sender.
    socket: Vec<(usize, Vec<u8>)>,
    side: u8,
}

/// What may happen while there is trouble.
#[derive(Clone, Copy)]
struct Trouble {
    loss_percent: u64,
    cuts: bool,
    stands_still: bool,
    deaths: bool,
}

const NONE: Trouble = Trouble { loss_percent: 0, cuts: false, stands_still: false, deaths: false };

struct Network {
    now: Instant,
    chance: Chance,
    hosts: Vec<Host>,
    preempt: Preempt,
    protocol: Protocol,
    /// By arrival and order of sending: to whom, from whom, what.
    under_way: BTreeMap<(Instant, u64), (usize, usize, Vec<u8>)>,
    sent: u64,
    trouble: Trouble,
    /// Since when there is none.
    calm_since: Instant,
    /// Since when more than one host has the addresses, while there is no trouble.
    shared_since: Option<Instant>,
}

fn source(index: usize) -> IpAddr {
    IpAddr::from([10, 0, 0, index as u8 + 1])
}

impl Network {
    fn new(seed: u64, preempt: Preempt, priorities: &[u8]) -> Network {
        let protocol =
            Protocol::V3 { interval: Centiseconds::new(10).expect("not 0"), checksum: Checksum::PseudoHeader };
        let now = Instant::from_millis(1000);
        let mut network = Network {
            now,
            chance: Chance(seed),
            hosts: Vec::new(),
            preempt,
            protocol,
            under_way: BTreeMap::new(),
            sent: 0,
            trouble: NONE,
            calm_since: now,
            shared_since: None,
        };
        for (index, &priority) in priorities.iter().enumerate() {
            network.hosts.push(Host {
                source: source(index),
                priority,
                router: None,
                holds: false,
                still_until: now,
                socket: Vec::new(),
                side: 0,
            });
            network.boot(index);
        }
        network
    }

    fn boot(&mut self, index: usize) {
        let host = &self.hosts[index];
        let addresses = AddressList::V4(vec![[10, 0, 0, 100]]);
        let vrid = Vrid::new(1).expect("not 0");
        let settings = Settings {
            priority: Priority::new(host.priority).expect("not 0"),
            preempt: self.preempt,
            down_adverts: NonZeroU8::new(3).expect("not 0"),
            ..Settings::new(vrid, self.protocol, host.source, addresses)
        };
        let config = Config::new(settings).expect("it contradicts itself nowhere");
        let mut actions = Vec::new();
        self.hosts[index].router = Some(VirtualRouter::new(config, self.now, &mut actions));
        self.obey(index, &actions);
    }

    fn obey(&mut self, index: usize, actions: &[Action]) {
        for action in actions {
            match *action {
                Action::AddAddresses => self.hosts[index].holds = true,
                Action::RemoveAddresses => self.hosts[index].holds = false,
                Action::SendAdvert { priority } => self.send(index, priority),
                Action::Became { from, to, .. } => assert_ne!(from, to),
                Action::Announce { .. } | Action::AnnounceSource | Action::Note(_) => {}
            }
        }
    }

    fn send(&mut self, from: usize, priority: Priority) {
        let router = self.hosts[from].router.as_ref().expect("it lives");
        let mut packet = Vec::new();
        write(&mut packet, &router.advert(priority), self.hosts[from].source, multicast_group(Family::V4));
        for to in (0..self.hosts.len()).filter(|&to| to != from) {
            let is_lost = self.chance.in_hundred(self.trouble.loss_percent);
            if is_lost || self.hosts[to].side != self.hosts[from].side {
                continue;
            }
            let delay = Duration::from_micros(self.chance.below(DELAY_MAX.as_micros() as u64));
            self.sent += 1;
            self.under_way.insert((self.now + delay, self.sent), (to, from, packet.clone()));
        }
    }

    /// Whatever is next: a packet arrives, a timer runs out, a host goes on.
    fn step(&mut self, end: Instant) -> bool {
        let arrival = self.under_way.keys().next().map(|&(at, _)| at);
        let hosts = self.hosts.iter().filter_map(|host| {
            let (due, _) = host.router.as_ref()?.deadline()?;
            Some(due.max(host.still_until))
        });
        let waiting = self.hosts.iter().filter(|host| !host.socket.is_empty()).map(|host| host.still_until);
        let Some(next) = arrival.into_iter().chain(hosts).chain(waiting).min().filter(|&next| next <= end) else {
            self.now = end;
            return false;
        };
        self.now = self.now.max(next);
        while let Some(entry) = self.under_way.first_entry()
            && entry.key().0 <= self.now
        {
            let (to, from, packet) = entry.remove();
            self.hosts[to].socket.push((from, packet));
        }
        for index in 0..self.hosts.len() {
            if self.hosts[index].still_until <= self.now {
                self.run(index);
            }
        }
        true
    }

    /// What a shell does: first what has arrived, then the timer.
    fn run(&mut self, index: usize) {
        let received = std::mem::take(&mut self.hosts[index].socket);
        for (from, packet) in received {
            let meta = Meta {
                source: self.hosts[from].source,
                destination: multicast_group(Family::V4),
                ttl: TTL,
                ttl_min: TTL,
            };
            let advert = parse(&packet, &meta).expect("it was written by us");
            let mut actions = Vec::new();
            if let Some(router) = &mut self.hosts[index].router {
                let _ = router.handle_advert(self.now, &advert, &meta, &mut actions);
            }
            self.obey(index, &actions);
        }
        let mut actions = Vec::new();
        if let Some(router) = &mut self.hosts[index].router
            && router.deadline().is_some_and(|(due, _)| due <= self.now)
        {
            router.handle_deadline(self.now, &mut actions);
        }
        self.obey(index, &actions);
    }

    /// Lets time go by, and looks at each moment at which something happens.
    fn go_on(&mut self, time: Duration, seed: u64) {
        let end = self.now + time;
        while self.step(end) {
            self.look(seed);
        }
        self.look(seed);
    }

    fn look(&mut self, seed: u64) {
        let holders = self.hosts.iter().filter(|host| host.holds).count();
        for host in &self.hosts {
            let is_active = host.router.as_ref().is_some_and(|router| router.state() == State::Active);
            assert_eq!(host.holds, is_active, "seed {seed}");
        }
        let is_calm = self.now.since(self.calm_since) > Duration::ZERO;
        self.shared_since = (is_calm && holders > 1).then(|| self.shared_since.unwrap_or(self.now));
        if let Some(since) = self.shared_since {
            let shared = self.now.since(since);
            assert!(shared <= INTERVAL + DELAY_MAX, "seed {seed}: shared for {shared:?} while messages pass");
        }
    }

    fn begin_trouble(&mut self, trouble: Trouble) {
        self.trouble = trouble;
        let index = self.chance.below(self.hosts.len() as u64) as usize;
        if trouble.cuts {
            for host in 0..self.hosts.len() {
                self.hosts[host].side = self.chance.below(2) as u8;
            }
        }
        if trouble.stands_still && self.chance.in_hundred(50) {
            let still = Duration::from_millis(self.chance.below(1500));
            self.hosts[index].still_until = self.now + still;
        }
        if trouble.deaths && self.chance.in_hundred(30) {
            let mut actions = Vec::new();
            let host = &mut self.hosts[index];
            host.socket.clear();
            match &mut host.router {
                // Addresses left behind are removed by the next start, or vanish with the host.
                Some(_) if self.chance.in_hundred(50) => (host.router, host.holds) = (None, false),
                Some(router) => {
                    router.handle_stop(self.now, &mut actions);
                    self.obey(index, &actions);
                    self.hosts[index].router = None;
                }
                None => self.boot(index),
            }
        }
    }

    fn end_trouble(&mut self) {
        self.trouble = NONE;
        for host in &mut self.hosts {
            host.side = 0;
            host.still_until = host.still_until.min(self.now);
        }
        for index in 0..self.hosts.len() {
            if self.hosts[index].router.is_none() {
                self.boot(index);
            }
        }
        self.calm_since = self.now;
        self.shared_since = None;
    }

    fn active(&self) -> Vec<usize> {
        (0..self.hosts.len()).filter(|&index| self.hosts[index].holds).collect()
    }

    /// The highest priority, and of equal ones the greater address.
    fn best(&self) -> usize {
        let rank = |&index: &usize| (self.hosts[index].priority, self.hosts[index].source);
        (0..self.hosts.len()).max_by_key(rank).expect("there are hosts")
    }
}

fn simulate(seed: u64, preempt: Preempt, priorities: &[u8], trouble: Trouble) {
    let mut network = Network::new(seed, preempt, priorities);
    for _ in 0..6 {
        for _ in 0..8 {
            network.begin_trouble(trouble);
            let time = Duration::from_millis(network.chance.below(500));
            network.calm_since = network.now + time;
            network.go_on(time, seed);
        }
        network.end_trouble();
        network.go_on(SETTLED, seed);
        let active = network.active();
        assert_eq!(active.len(), 1, "seed {seed}: {active:?} have the addresses");
        let best = network.best();
        let is_best = network.hosts[active[0]].priority == network.hosts[best].priority;
        assert!(is_best || preempt == Preempt::No, "seed {seed}: {active:?} is active, and {best} could be");
        network.go_on(SETTLED, seed);
        assert_eq!(network.active(), active, "seed {seed}: nothing has happened");
    }
}

const ALL: Trouble = Trouble { loss_percent: 30, cuts: true, stands_still: true, deaths: true };

const AT_ONCE: Preempt = Preempt::After(Duration::ZERO);

#[test]
fn the_highest_has_the_addresses_when_the_trouble_is_over() {
    for seed in 0..300 {
        simulate(seed, AT_ONCE, &[100, 150, 200], ALL);
        simulate(seed, AT_ONCE, &[254, 1, 50, 51, 52], ALL);
    }
}

#[test]
fn an_incumbent_has_them_without_preemption() {
    for seed in 0..300 {
        simulate(seed, Preempt::No, &[100, 150, 200], ALL);
        simulate(seed, Preempt::No, &[100, 100], ALL);
    }
}

#[test]
fn equal_priorities_end_with_one() {
    for seed in 0..300 {
        simulate(seed, AT_ONCE, &[100, 100, 100], ALL);
    }
}

#[test]
fn each_trouble_by_itself() {
    let alone = [
        Trouble { loss_percent: 60, ..NONE },
        Trouble { cuts: true, ..NONE },
        Trouble { stands_still: true, ..NONE },
        Trouble { deaths: true, ..NONE },
    ];
    for trouble in alone {
        for seed in 0..100 {
            simulate(seed, AT_ONCE, &[100, 150, 200], trouble);
            simulate(seed, Preempt::No, &[100, 150, 200], trouble);
        }
    }
}

/// Without preemption the one that has the addresses keeps them, whoever comes or comes back.
#[test]
fn who_comes_back_does_not_take_them() {
    let mut network = Network::new(1, Preempt::No, &[100, 200]);
    network.hosts[1].router = None;
    network.go_on(SETTLED, 1);
    assert_eq!(network.active(), [0]);
    network.boot(1);
    network.go_on(SETTLED, 1);
    assert_eq!(network.active(), [0]);

    network.hosts[0].still_until = network.now + Duration::from_secs(5);
    network.calm_since = network.hosts[0].still_until;
    network.go_on(Duration::from_secs(4), 1);
    assert_eq!(network.active(), [0, 1], "one stands still and knows nothing");
    network.go_on(SETTLED, 1);
    assert_eq!(network.active(), [1]);
}

/// An incumbent that stood still is none any more, even where nobody has a higher priority.
#[test]
fn who_stood_still_does_not_take_them_back() {
    let mut network = Network::new(1, Preempt::No, &[200, 100]);
    network.go_on(SETTLED, 1);
    assert_eq!(network.active(), [0]);
    network.hosts[0].still_until = network.now + Duration::from_secs(5);
    network.calm_since = network.hosts[0].still_until;
    network.go_on(Duration::from_secs(4), 1);
    assert_eq!(network.active(), [0, 1]);
    network.go_on(SETTLED, 1);
    assert_eq!(network.active(), [1]);
}

/// What came while a backup stood still did not fit its socket: it listens once more before it takes over.
#[test]
fn a_backup_that_stood_still_and_heard_nothing_listens_first() {
    let mut network = Network::new(1, AT_ONCE, &[200, 100]);
    network.go_on(SETTLED, 1);
    let until = network.now + Duration::from_secs(5);
    network.hosts[1].still_until = until;
    while network.step(until - INTERVAL / 2) {}
    network.hosts[1].socket.clear();
    let end = until + SETTLED;
    while network.step(end) {
        assert_eq!(network.active(), [0]);
    }
}

/// A leave is told: the others wait their skew and no more.
#[test]
fn a_stop_is_followed_at_once() {
    let mut network = Network::new(1, AT_ONCE, &[100, 200]);
    network.go_on(SETTLED, 1);
    assert_eq!(network.active(), [1]);
    let mut actions = Vec::new();
    let mut router = network.hosts[1].router.take().expect("it lives");
    router.handle_stop(network.now, &mut actions);
    network.hosts[1].router = Some(router);
    network.obey(1, &actions);
    // By hand: 156/256 of 100 ms are 60.9375 ms.
    network.go_on(Duration::from_micros(60_937), 1);
    assert_eq!(network.active(), []);
    network.go_on(DELAY_MAX, 1);
    assert_eq!(network.active(), [0]);
}
