use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU8;
use std::time::Duration;

use vrrp_proto::{
    AddressList, Centiseconds, Checksum, Config, Effect, Family, Peers, Preempt, Priority, Protocol, Settings, Vrid,
};

use crate::chance::Chance;

/// The most hosts and links of a world.
pub(crate) const HOSTS: usize = 5;
pub(crate) const LINKS: usize = 2;

/// What is the same on all hosts, and does not change.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// How many hosts, 2 to 5, and each one's priority at first.
    pub(crate) priorities: Vec<u8>,
    /// 1, or 2 on which each host's routers move together.
    pub(crate) links: usize,
    /// Version 2, in which the interval is of whole seconds.
    pub(crate) is_v2: bool,
    /// Of the addresses.
    pub(crate) family: Family,
    /// Adverts go to each of the others by itself.
    pub(crate) is_unicast: bool,
    /// Whether addresses are taken back.
    pub(crate) preempt: Preempt,
    /// Adverts missed before taking over.
    pub(crate) down_adverts: u8,
    /// Between adverts, at first.
    pub(crate) interval: Centiseconds,
    /// No packet is longer under way.
    pub(crate) delay_max: Duration,
    /// Packets do not overtake each other.
    pub(crate) in_order: bool,
    /// From a start to the first listening.
    pub(crate) startup_delay: Duration,
    /// Whether a lower priority is answered at once.
    pub(crate) answer_lower: bool,
}

/// What a process goes by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) priority: u8,
    pub(crate) interval: Centiseconds,
    /// Two, and not one.
    pub(crate) more_addresses: bool,
    /// What trackers with a weight add.
    pub(crate) added: i16,
    /// A tracker without a weight is not well.
    pub(crate) unable: bool,
}

impl Wish {
    pub(crate) fn is_owner(&self) -> bool {
        self.priority == Priority::OWNER.get()
    }

    /// What its trackers tell its routers.
    pub(crate) fn effect(&self) -> Effect {
        if self.unable { Effect::LastResort } else { Effect::Priority(Priority::from_wire(self.weighed())) }
    }

    /// The priority that its adverts should have.
    pub(crate) fn advertised(&self) -> u8 {
        if self.unable && !self.is_owner() { 1 } else { self.weighed() }
    }

    fn weighed(&self) -> u8 {
        if self.is_owner() { 255 } else { (i16::from(self.priority) + self.added).clamp(1, 254) as u8 }
    }
}

impl Setup {
    #[cfg(test)]
    /// Hosts on one link, version 3 with IPv4, an advert every 100 ms, packets that take 10 ms at most.
    pub(crate) fn new(priorities: &[u8], preempt: Preempt) -> Setup {
        Setup {
            priorities: priorities.to_vec(),
            links: 1,
            is_v2: false,
            family: Family::V4,
            is_unicast: false,
            preempt,
            down_adverts: 3,
            interval: Centiseconds::new(10).expect("it is not 0"),
            delay_max: Duration::from_millis(10),
            in_order: true,
            startup_delay: Duration::ZERO,
            answer_lower: true,
        }
    }

    /// Most have an advert each second, as most have in the field.
    pub(crate) fn by_chance(chance: &mut Chance) -> Setup {
        let is_v2 = chance.in_hundred(35);
        let hosts = chance.of(&[2, 2, 2, 3, 3, 4, HOSTS]);
        let interval = match (is_v2, chance.below(20)) {
            (false, 0) => 10 + chance.below(40) as u16,
            (false, 1) => 4095,
            (true, 0) => 300,
            _ => 100,
        };
        let interval = Centiseconds::new(interval).expect("all are allowed");
        let mut priorities: Vec<u8> = match chance.below(3) {
            0 => vec![100; hosts],
            _ => (0..hosts).map(|_| 20 + 10 * chance.below(18) as u8).collect(),
        };
        for owner in priorities.iter_mut().take(chance.of(&[0, 0, 0, 0, 0, 0, 1, 1, 2])) {
            *owner = Priority::OWNER.get();
        }
        Setup {
            priorities,
            links: chance.of(&[1, 1, LINKS]),
            is_v2,
            family: if is_v2 || chance.in_hundred(60) { Family::V4 } else { Family::V6 },
            is_unicast: chance.in_hundred(30),
            preempt: match chance.below(6) {
                0 | 1 => Preempt::No,
                2 => Preempt::After(Duration::from_secs(1 + chance.below(30) as u64)),
                _ => Preempt::After(Duration::ZERO),
            },
            down_adverts: chance.of(&[3, 3, 3, 3, 2, 5]),
            interval,
            delay_max: chance.of(&[Duration::from_micros(100), Duration::from_millis(1), wait(interval) / 10]),
            in_order: chance.in_hundred(70),
            startup_delay: chance.of(&[0, 0, 0, 1, 10]) * Duration::from_secs(1),
            answer_lower: chance.in_hundred(80),
        }
    }

    pub(crate) fn hosts(&self) -> usize {
        self.priorities.len()
    }

    /// A greater number has a greater address on all links.
    pub(crate) fn source(&self, host: usize, link: usize) -> IpAddr {
        match self.family {
            Family::V4 => Ipv4Addr::new(10, link as u8, 0, host as u8 + 1).into(),
            Family::V6 => Ipv6Addr::new(0xfe80, 0, 0, link as u16, 0, 0, 0, host as u16 + 1).into(),
        }
    }

    pub(crate) fn config(&self, host: usize, link: usize, wish: &Wish) -> Config {
        let protocol = if self.is_v2 {
            let seconds = NonZeroU8::new((wish.interval.get() / 100) as u8).expect("it is whole seconds");
            Protocol::V2 { seconds, password: None }
        } else {
            Protocol::V3 { interval: wish.interval, checksum: Checksum::default() }
        };
        let addresses: Vec<IpAddr> = (0..1 + usize::from(wish.more_addresses))
            .map(|index| match self.family {
                Family::V4 => Ipv4Addr::new(10, link as u8, 1, index as u8).into(),
                Family::V6 => Ipv6Addr::new(0xfe80, 0, 0, link as u16, 0, 0, 1, index as u16).into(),
            })
            .collect();
        let list = AddressList::new(self.family, &addresses).expect("they are few and of one family");
        let others = (0..self.hosts()).filter(|&other| other != host).map(|other| self.source(other, link));
        let vrid = Vrid::new(51 + link as u8).expect("it is not 0");
        let settings = Settings {
            priority: Priority::new(wish.priority).expect("it is not 0"),
            peers: if self.is_unicast { Peers::Unicast(others.collect()) } else { Peers::Multicast },
            preempt: self.preempt,
            down_adverts: NonZeroU8::new(self.down_adverts).expect("it is not 0"),
            startup_delay: self.startup_delay,
            answer_lower: self.answer_lower,
            ..Settings::new(vrid, protocol, self.source(host, link), list)
        };
        Config::new(settings).expect("it contradicts itself nowhere")
    }
}

pub(crate) fn wait(interval: Centiseconds) -> Duration {
    Duration::from_millis(u64::from(interval.get()) * 10)
}
