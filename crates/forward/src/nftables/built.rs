//! A service as this engine makes it: what stands in its maps, and which rules its chain has.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use forward_plan::{Destination, Endpoint, Family, Key, Method, Persistence, Scheduler, Service, Settings, turns};
use netlink::Way;
use netlink::nft::{Base, Expression, NewElement, NewSet, Register, SetKind};

/// How long a connection of method `direct` is remembered after its last packet: as long as IPVS remembers one of TCP.
const FLOW_TIME: Duration = Duration::from_secs(900);

/// Clients, or connections, of a service that are remembered; further ones go where the balance says each time.
pub(super) const PINS_MAX: u32 = 1 << 20;

/// Places of a table that hashes point into (see `balance::maglev_table`): the second where there are more than forty
/// servers. With more than 655 the parts of equal servers differ by more than a hundredth.
const HASH_PLACES: [u32; 2] = [4_093, 65_537];
const FEW_SERVERS: usize = 40;

/// The same on every director, so that each decides the same.
const HASH_SEED: u32 = 0x7065_7272;

/// AF_INET and AF_INET6.
const IPV4: u8 = 2;
const IPV6: u8 = 10;

// Where each value of a rule lies.
const CLIENT: Register = Register(0);
const NUMBER: Register = Register(5);
const WHERE: Register = Register(6);
const MASKED: Register = Register(12);

/// A service as it is in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Built {
    pub(super) key: Key,
    pub(super) settings: Settings,
    pub(super) method: Method,
    pub(super) members: BTreeMap<Endpoint, Member>,
    /// Who has each slot, by number.
    pub(super) slots: Vec<u32>,
}

/// A destination as it is in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Its own, while it is there.
    pub(super) number: u32,
    pub(super) weight: u16,
    /// Of method `direct`: who takes its packets.
    pub(super) way: Option<Way>,
}

impl Built {
    /// A service without destinations.
    pub(super) fn new(key: Key, settings: Settings, method: Method) -> Built {
        Built { key, settings, method, members: BTreeMap::new(), slots: Vec::new() }
    }

    /// The service that this is.
    pub(super) fn service(&self) -> Service {
        let destination = |(endpoint, member): (&Endpoint, &Member)| Destination {
            endpoint: *endpoint,
            method: self.method,
            weight: member.weight,
            max_connections: None,
        };
        Service { key: self.key, settings: self.settings, destinations: self.members.iter().map(destination).collect() }
    }

    /// What its chain is called, and its maps after a word.
    pub(super) fn name(&self) -> String {
        self.key.to_string().replace(['[', ']'], "").replace(':', "_").replace(' ', "-")
    }

    /// The slots that it should have.
    pub(super) fn settle(&mut self) {
        let scheduler = self.settings.scheduler;
        let reached = |member: &Member| self.method != Method::Direct || member.way.is_some();
        let weight = |member: &Member| match reached(member) {
            false => 0,
            true if scheduler.weighs() => member.weight,
            true => member.weight.min(1),
        };
        let servers: Vec<(u32, u16)> = self.members.values().map(|member| (member.number, weight(member))).collect();
        self.slots = match scheduler {
            Scheduler::Failover => {
                let first = self.members.values().filter(|member| weight(member) > 0);
                // The first of those that have the greatest weight.
                let first = first.rev().max_by_key(|member| member.weight);
                first.map(|member| member.number).into_iter().collect()
            }
            Scheduler::SourceHash | Scheduler::Maglev { .. } => self.hashed(),
            _ => turns(&self.slots, &servers),
        };
    }

    fn hashed(&self) -> Vec<u32> {
        let reached = |member: &Member| self.method != Method::Direct || member.way.is_some();
        let open = self.members.iter().filter(|(_, member)| member.weight > 0 && reached(member));
        let open: Vec<(&Endpoint, &Member)> = open.collect();
        let names: Vec<String> = open.iter().map(|(endpoint, _)| endpoint.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let shares: Vec<u32> = open.iter().map(|(_, member)| u32::from(member.weight)).collect();
        let places = HASH_PLACES[usize::from(self.members.len() > FEW_SERVERS)];
        let table = balance::maglev_table(&names, &shares, places);
        table.into_iter().map(|place| open[usize::from(place)].1.number).collect()
    }

    /// Whether the slots are as [`settle`](Built::settle) leaves them.
    pub(super) fn is_settled(&self) -> bool {
        let mut settled = self.clone();
        settled.settle();
        settled.slots == self.slots
    }

    fn is_ipv4(&self) -> bool {
        self.key.family() == Family::Ipv4
    }

    fn address(&self) -> SetKind {
        if self.is_ipv4() { SetKind::IPV4 } else { SetKind::IPV6 }
    }

    /// Whether servers are asked at a port of their own.
    fn has_port(&self) -> bool {
        self.key.port().is_some()
    }

    /// The client's port lies behind its address.
    fn client_port(&self) -> Register {
        Register(if self.is_ipv4() { 1 } else { 4 })
    }

    pub(super) fn slots_map(&self) -> String {
        format!("slots-{}", self.name())
    }

    pub(super) fn servers_map(&self) -> String {
        format!("servers-{}", self.name())
    }

    pub(super) fn weights_map(&self) -> String {
        format!("weights-{}", self.name())
    }

    pub(super) fn pins_map(&self) -> String {
        format!("pins-{}", self.name())
    }

    /// What is remembered of clients, if anything: under which key, and for how long.
    fn pins(&self) -> Option<(SetKind, Duration)> {
        match (self.settings.persistence, self.method) {
            (Some(Persistence { seconds, .. }), _) => Some((self.address(), Duration::from_secs(seconds.into()))),
            (None, Method::Direct) => Some((self.address().and(SetKind::PORT), FLOW_TIME)),
            (None, _) => None,
        }
    }

    /// Whether clients are remembered.
    pub(super) fn has_pins(&self) -> bool {
        self.pins().is_some()
    }

    /// Whether the maps of both are of the same kinds.
    pub(super) fn is_like(&self, other: &Built) -> bool {
        self.sets() == other.sets() && self.method == other.method
    }

    /// Where packets are sent: a server's address and port, or a link and who takes them there.
    fn place(&self) -> SetKind {
        match self.method {
            Method::Direct | Method::Tunnel => SetKind::LINK.and(self.address()),
            _ => self.server(),
        }
    }

    /// What tells the servers apart.
    fn server(&self) -> SetKind {
        if self.has_port() { self.address().and(SetKind::PORT) } else { self.address() }
    }

    /// Its maps.
    pub(super) fn sets(&self) -> Vec<NewSet> {
        let map = |name: String, key: SetKind, data: SetKind| NewSet { name, key, data, pins: None, counts: false };
        let mut sets = vec![
            map(self.slots_map(), SetKind::NUMBER, self.place()),
            map(self.weights_map(), self.server(), SetKind::NUMBER),
            // Apart from the weights, with which the counts would begin anew.
            NewSet { counts: true, ..map(self.servers_map(), self.server(), SetKind::NUMBER) },
        ];
        if let Some((key, _)) = self.pins() {
            sets.push(NewSet { pins: Some(PINS_MAX), ..map(self.pins_map(), key, self.place()) });
        }
        sets
    }

    /// The rules of its chain, in their order.
    pub(super) fn rules(&self) -> Vec<Vec<Expression>> {
        let mut rules = Vec::new();
        if let (Some((_, time)), false) = (self.pins(), self.members.is_empty()) {
            let remembered = Expression::Lookup { set: self.pins_map(), key: self.pin(), to: Some(WHERE) };
            let mut remembered = vec![remembered];
            // Of others it is done as they leave for their server.
            if self.method == Method::Direct {
                remembered.push(self.remember(time));
            }
            rules.push([self.client(), remembered, self.send()].concat());
            if !self.slots.is_empty() && self.method == Method::Direct {
                // Where no more can be remembered, the rule ends, and the next one sends.
                let chosen = [self.client(), self.choose(), vec![self.remember(time)], self.send()].concat();
                rules.push(chosen);
            }
        }
        if !self.slots.is_empty() {
            rules.push([self.client(), self.choose(), self.send()].concat());
        }
        rules
    }

    /// Loads the client's address and port, and what stands for the client.
    fn client(&self) -> Vec<Expression> {
        let (offset, length) = if self.is_ipv4() { (12, 4) } else { (8, 16) };
        let mut steps = vec![
            Expression::Payload { base: Base::Network, offset, length, to: CLIENT },
            Expression::Payload { base: Base::Transport, offset: 0, length: 2, to: self.client_port() },
        ];
        if let Some(Persistence { prefix, .. }) = self.settings.persistence {
            steps.push(Expression::Mask { from: CLIENT, to: MASKED, mask: mask(prefix, length as usize) });
        }
        steps
    }

    /// What stands for the client in the map of pins.
    fn pin(&self) -> Register {
        if self.settings.persistence.is_some() { MASKED } else { CLIENT }
    }

    /// Chooses a server.
    fn choose(&self) -> Vec<Expression> {
        let modulus = self.slots.len() as u32;
        let address = self.address().length;
        let hash = |length| Expression::Hash { from: CLIENT, length, modulus, seed: HASH_SEED, to: NUMBER };
        let number = match self.settings.scheduler {
            Scheduler::SourceHash | Scheduler::Maglev { ports: false } => hash(address),
            Scheduler::Maglev { ports: true } => hash(address + SetKind::PORT.length),
            _ => Expression::Count { modulus, to: NUMBER },
        };
        vec![number, Expression::Lookup { set: self.slots_map(), key: NUMBER, to: Some(WHERE) }]
    }

    fn remember(&self, timeout: Duration) -> Expression {
        Expression::Pin { set: self.pins_map(), key: self.pin(), data: WHERE, timeout }
    }

    /// Counts a new connection at its server, which its packet is already for.
    pub(super) fn count(&self) -> Vec<Expression> {
        let counted = Expression::Lookup { set: self.servers_map(), key: WHERE, to: Some(NUMBER) };
        [self.sent_to(), vec![counted]].concat()
    }

    /// Remembers which server a new connection's client has, which its packet is already for; `None` if nobody is.
    pub(super) fn pin_sent(&self) -> Option<Vec<Expression>> {
        let (_, time) = self.pins()?;
        Some([self.client(), self.sent_to(), vec![self.remember(time)]].concat())
    }

    /// Loads where the packet is sent.
    fn sent_to(&self) -> Vec<Expression> {
        let (offset, length) = if self.is_ipv4() { (16, 4) } else { (24, 16) };
        let mut steps = vec![Expression::Payload { base: Base::Network, offset, length, to: WHERE }];
        if self.has_port() {
            let to = Register(WHERE.0 + (length / 4) as u8);
            steps.push(Expression::Payload { base: Base::Transport, offset: 2, length: 2, to });
        }
        steps
    }

    fn send(&self) -> Vec<Expression> {
        let family = if self.is_ipv4() { IPV4 } else { IPV6 };
        let behind_address = Register(WHERE.0 + (self.address().length / 4) as u8);
        match self.method {
            Method::Direct | Method::Tunnel => {
                vec![Expression::Forward { device: WHERE, family, neighbour: Register(WHERE.0 + 1) }]
            }
            _ => {
                let port = self.has_port().then_some(behind_address);
                vec![Expression::RewriteDestination { family, address: WHERE, port }]
            }
        }
    }

    /// The elements of its maps but for what is remembered.
    pub(super) fn elements(&self) -> BTreeMap<String, Vec<NewElement>> {
        let places = self.places();
        let slot = |(slot, server): (u32, &u32)| {
            let data = places.get(server)?.clone();
            Some(NewElement { key: slot.to_ne_bytes().to_vec(), data, comment: None })
        };
        let server = |endpoint: &Endpoint, data: u32| NewElement {
            key: self.server_key(endpoint),
            data: data.to_ne_bytes().to_vec(),
            comment: Some(endpoint.to_string()),
        };
        let weights = self.members.iter().map(|(endpoint, member)| server(endpoint, member.weight.into()));
        BTreeMap::from([
            (self.slots_map(), (0u32..).zip(&self.slots).filter_map(slot).collect()),
            (self.weights_map(), weights.collect()),
            (self.servers_map(), self.members.keys().map(|endpoint| server(endpoint, 1)).collect()),
        ])
    }

    /// Where the packets of each server are sent, by its number.
    pub(super) fn places(&self) -> BTreeMap<u32, Vec<u8>> {
        let place = |(endpoint, member): (&Endpoint, &Member)| {
            let place = match self.method {
                Method::Direct | Method::Tunnel => {
                    let Way { interface, next } = member.way?;
                    [interface.to_ne_bytes().to_vec(), octets(next)].concat()
                }
                _ => self.server_key(endpoint),
            };
            Some((member.number, place))
        };
        self.members.iter().filter_map(place).collect()
    }

    /// A server's key in the map of servers.
    pub(super) fn server_key(&self, endpoint: &Endpoint) -> Vec<u8> {
        let mut key = octets(endpoint.address);
        if self.has_port() {
            key.extend_from_slice(&endpoint.port.unwrap_or_default().to_be_bytes());
            key.extend_from_slice(&[0; 2]);
        }
        key
    }

    /// A number that no server has.
    pub(super) fn free_number(&self) -> u32 {
        let last = self.members.values().map(|member| member.number).max();
        match last.and_then(|last| last.checked_add(1)) {
            Some(next) => next,
            None => (0..).find(|number| self.members.values().all(|member| member.number != *number)).unwrap_or(0),
        }
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// The first bits are set.
fn mask(prefix: u8, length: usize) -> Vec<u8> {
    let bits = |byte: usize| usize::from(prefix).saturating_sub(8 * byte).min(8);
    (0..length).map(|byte| !(0xffu16 >> bits(byte)) as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_the_first_bits() {
        assert_eq!(mask(32, 4), [255, 255, 255, 255]);
        assert_eq!(mask(20, 4), [255, 255, 240, 0]);
        assert_eq!(mask(0, 4), [0, 0, 0, 0]);
        assert_eq!(mask(57, 16), [255, 255, 255, 255, 255, 255, 255, 128, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn the_one_with_the_greatest_weight_gets_all_in_failover() {
        let settings = Settings { scheduler: Scheduler::Failover, persistence: None };
        let mut built = Built::new("tcp 192.0.2.1:80".parse().unwrap(), settings, Method::Nat);
        for (number, endpoint, weight) in [(1, "10.0.0.1:80", 5), (2, "10.0.0.2:80", 9), (3, "10.0.0.3:80", 9)] {
            built.members.insert(endpoint.parse().unwrap(), Member { number, weight, way: None });
        }
        built.settle();
        assert_eq!(built.slots, [2]);
        built.members.values_mut().for_each(|member| member.weight = 0);
        built.settle();
        assert_eq!(built.slots, [0; 0]);
    }
}
