//! Two networks, and hosts whose routers on both move together, while one network or the other is cut.

use std::net::IpAddr;
use std::time::Duration;

use units::Instant;
use vrrp_proto::{
    Action, AddressList, Centiseconds, Checksum, Config, Family, Group, Meta, Priority, Protocol, Settings, State, TTL,
    Vrid, multicast_group, parse, write,
};

const NETWORKS: usize = 2;

/// Longer than a whole wait, a preemption after it, and the adverts in between.
const SETTLED: Duration = Duration::from_millis(2000);

/// splitmix64, from the literature.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

struct Host {
    group: Group,
    holds: [bool; NETWORKS],
    still_until: Instant,
    /// Of each network.
    connected: [bool; NETWORKS],
    /// Network, sender, packet.
    socket: Vec<(usize, usize, Vec<u8>)>,
}

struct World {
    now: Instant,
    hosts: Vec<Host>,
}

fn source(host: usize, network: usize) -> IpAddr {
    IpAddr::from([10, network as u8, 0, host as u8 + 1])
}

fn config(host: usize, network: usize, priority: u8) -> Config {
    let interval = Centiseconds::new(10).expect("not 0");
    let protocol = Protocol::V3 { interval, checksum: Checksum::Message };
    let addresses = AddressList::V4(vec![[10, network as u8, 0, 100]]);
    let vrid = Vrid::new(network as u8 + 1).expect("not 0");
    let priority = Priority::new(priority).expect("not 0");
    let settings = Settings { priority, ..Settings::new(vrid, protocol, source(host, network), addresses) };
    Config::new(settings).expect("it contradicts itself nowhere")
}

impl World {
    fn new(priorities: &[u8]) -> World {
        let now = Instant::from_millis(1000);
        let mut hosts = Vec::new();
        for (host, &priority) in priorities.iter().enumerate() {
            let configs = (0..NETWORKS).map(|network| config(host, network, priority));
            let group = Group::new(configs, now, &mut Vec::new());
            let holds = [false; NETWORKS];
            hosts.push(Host { group, holds, still_until: now, connected: [true; NETWORKS], socket: Vec::new() });
        }
        World { now, hosts }
    }

    fn obey(&mut self, from: usize, actions: &[(usize, Action)]) {
        for &(network, action) in actions {
            match action {
                Action::AddAddresses => self.hosts[from].holds[network] = true,
                Action::RemoveAddresses => self.hosts[from].holds[network] = false,
                Action::SendAdvert { priority } => {
                    let advert = self.hosts[from].group.members()[network].advert(priority);
                    let mut packet = Vec::new();
                    write(&mut packet, &advert, source(from, network), multicast_group(Family::V4));
                    for to in (0..self.hosts.len()).filter(|&to| to != from) {
                        if self.hosts[from].connected[network] && self.hosts[to].connected[network] {
                            self.hosts[to].socket.push((network, from, packet.clone()));
                        }
                    }
                }
                _ => {}
            }
        }
        let host = &self.hosts[from];
        let active = host.group.members().iter().filter(|member| member.state() == State::Active).count();
        assert!(active == 0 || active == NETWORKS, "{active} of {NETWORKS} are active");
        assert_eq!(host.holds, [active > 0; NETWORKS]);
    }

    /// A millisecond for all: it is as long as a packet takes.
    fn tick(&mut self) {
        self.now = self.now + Duration::from_millis(1);
        for index in 0..self.hosts.len() {
            if self.hosts[index].still_until > self.now {
                continue;
            }
            for (network, from, packet) in std::mem::take(&mut self.hosts[index].socket) {
                let destination = multicast_group(Family::V4);
                let meta = Meta { source: source(from, network), destination, ttl: TTL, ttl_min: TTL };
                let advert = parse(&packet, &meta).expect("it was written by us");
                let mut actions = Vec::new();
                let _ = self.hosts[index].group.handle_advert(self.now, network, &advert, &meta, &mut actions);
                self.obey(index, &actions);
            }
            let group = &mut self.hosts[index].group;
            if group.deadline().is_some_and(|(due, _)| due <= self.now) {
                let mut actions = Vec::new();
                group.handle_deadline(self.now, &mut actions);
                self.obey(index, &actions);
            }
        }
    }

    fn go_on(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.tick();
        }
    }

    fn active(&self) -> Vec<usize> {
        (0..self.hosts.len()).filter(|&index| self.hosts[index].holds[0]).collect()
    }
}

#[test]
fn groups_move_whole_and_end_with_the_highest() {
    for seed in 0..40 {
        let mut chance = Chance(seed);
        let mut world = World::new(&[100, 200, 150]);
        for _ in 0..4 {
            for _ in 0..6 {
                let host = chance.below(3) as usize;
                let network = chance.below(2) as usize;
                world.hosts[host].connected[network] = chance.below(2) == 0;
                if chance.below(3) == 0 {
                    world.hosts[host].still_until = world.now + Duration::from_millis(chance.below(1000));
                }
                let time = Duration::from_millis(chance.below(500));
                world.go_on(time);
            }
            for host in &mut world.hosts {
                host.connected = [true; NETWORKS];
                host.still_until = world.now;
            }
            world.go_on(SETTLED);
            assert_eq!(world.active(), [1], "seed {seed}");
        }
    }
}
