//! What packets mean: for each a comment or none, and the events that they are, or that no packet was.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use units::Instant;
use vrrp_proto::{AdvertError, Meta, TTL, Vrid, parse};

use crate::frame::{Frame, Neighbour, Vrrp, What, decode};
use crate::{Event, Kind, Link, Packet};

mod connections;
mod names;
mod neighbours;
mod router;
mod shadow;
mod words;

use connections::Connections;
use names::Names;
use neighbours::Neighbours;
use router::{Finding, Followed};
use shadow::Said;

/// Virtual routers that are followed. Of more, the one that was heard longest ago is forgotten.
pub const ROUTERS_MAX: usize = 1024;

/// Addresses of them by which announcements are told to be theirs. Of more, the others' are explained without their router.
pub const ADDRESSES_MAX: usize = 4096;

/// Senders of packets that nobody takes, each reason by itself: so often one is worth a line.
const IGNORED_MAX: usize = 256;

/// An interface of the capture, and a VLAN on it.
type Network = (u32, Option<u16>);

/// What is explained. Empty lists: all there are.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Scope {
    /// Virtual routers by their number.
    pub routers: Vec<Vrid>,
    /// Virtual routers, announcements and questions by their address.
    pub addresses: Vec<IpAddr>,
    /// Servers whose connections are explained; without any, none are.
    pub servers: Vec<SocketAddr>,
    /// Of which kind.
    pub topics: Topics,
}

/// Kinds of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topics {
    /// Adverts.
    pub vrrp: bool,
    /// ARP and neighbour discovery.
    pub arp: bool,
    /// The name service.
    pub dns: bool,
    /// Connections to servers.
    pub checks: bool,
}

impl Default for Topics {
    fn default() -> Topics {
        Topics { vrrp: true, arp: true, dns: true, checks: true }
    }
}

/// What a packet is to the explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// None of what is explained, or not within the scope.
    Other,
    /// Within the scope, and nothing new.
    Plain,
    /// This is to be said of it.
    Comment(String),
}

/// Explains packets in the order in which they were captured.
#[derive(Clone, Debug)]
pub struct Explainer {
    scope: Scope,
    now: Instant,
    packets: u64,
    routers: BTreeMap<(Network, IsV6, Vrid), Followed>,
    addresses: BTreeMap<(Network, IpAddr), (IsV6, Vrid)>,
    /// No deadline is earlier.
    wake: Option<Instant>,
    ignored: BTreeSet<(IpAddr, &'static str)>,
    neighbours: Neighbours,
    connections: Connections,
    names: Names,
}

/// Whether it is IPv6.
type IsV6 = bool;

impl Explainer {
    /// One that has heard nothing yet.
    pub fn new(scope: Scope) -> Explainer {
        Explainer {
            scope,
            now: Instant::ZERO,
            packets: 0,
            routers: BTreeMap::new(),
            addresses: BTreeMap::new(),
            wake: None,
            ignored: BTreeSet::new(),
            neighbours: Neighbours::default(),
            connections: Connections::default(),
            names: Names::default(),
        }
    }

    /// A packet, which counts under its number from 1 if it is kept: always, if `keeps_others`, else unless the verdict is
    /// [`Verdict::Other`]. What should have come before it and has not is told first.
    pub fn explain(&mut self, link: Link, packet: &Packet<'_>, keeps_others: bool, events: &mut Vec<Event>) -> Verdict {
        // A packet that was captured before its predecessor is taken to have come with it.
        self.now = self.now.max(packet.time);
        self.settle(events);
        let found = decode(link, packet.bytes).and_then(|frame| self.frame(packet.interface, &frame));
        if found.is_some() || keeps_others {
            self.packets += 1;
        }
        let Some((subject, findings)) = found else { return Verdict::Other };
        let mut comment = String::new();
        for finding in findings {
            if !comment.is_empty() {
                comment.push_str("; ");
            }
            comment.push_str(&finding.text);
            events.push(event(packet.interface, Some(self.packets), &subject, finding));
        }
        if comment.is_empty() { Verdict::Plain } else { Verdict::Comment(comment) }
    }

    /// When something may have to be told though no packet comes: never before then.
    pub fn deadline(&self) -> Option<Instant> {
        self.wake
    }

    /// Time has passed, and all packets that were captured until then are explained.
    pub fn handle_deadline(&mut self, now: Instant, events: &mut Vec<Event>) {
        self.now = self.now.max(now);
        self.settle(events);
    }

    fn settle(&mut self, events: &mut Vec<Event>) {
        if self.wake.is_none_or(|wake| wake > self.now) {
            return;
        }
        let start = events.len();
        let mut findings = Vec::new();
        for (&((interface, vlan), family, vrid), router) in &mut self.routers {
            router.settle(self.now, &mut findings);
            let subject = subject(vlan, family, vrid);
            events.extend(findings.drain(..).map(|finding| event(interface, None, &subject, finding)));
        }
        events[start..].sort_by_key(|event| event.time);
        self.wake = self.routers.values().filter_map(Followed::deadline).min();
    }

    /// `None` if it is out of scope.
    fn frame(&mut self, interface: u32, frame: &Frame<'_>) -> Option<(String, Vec<Finding>)> {
        let network = (interface, frame.vlan);
        let topics = self.scope.topics;
        match &frame.what {
            What::Vrrp(vrrp) if topics.vrrp => self.vrrp(network, frame, vrrp),
            What::Neighbour(neighbour) if topics.arp => self.neighbour(network, neighbour),
            What::Segment(segment) if topics.checks => {
                let servers = &self.scope.servers;
                let server = [segment.source, segment.destination].into_iter().find(|end| servers.contains(end))?;
                let finding = self.connections.hear(self.now, segment, servers);
                Some((format!("server {server}"), finding.into_iter().collect()))
            }
            What::Dns(datagram) if topics.dns => {
                let finding = self.names.hear(self.now, datagram)?;
                Some(("names".to_owned(), vec![finding]))
            }
            _ => None,
        }
    }

    fn vrrp(&mut self, network: Network, frame: &Frame<'_>, vrrp: &Vrrp<'_>) -> Option<(String, Vec<Finding>)> {
        let family = vrrp.source.is_ipv6();
        let vrid = vrrp.payload.get(1).copied().and_then(Vrid::new);
        let is_wanted = self.scope.routers.is_empty() || vrid.is_some_and(|vrid| self.scope.routers.contains(&vrid));
        if !is_wanted {
            return None;
        }
        let name = vrid.map_or("VRRP".to_owned(), |vrid| subject(network.1, family, vrid));
        let meta = Meta { source: vrrp.source, destination: vrrp.destination, ttl: vrrp.ttl, ttl_min: TTL };
        let advert = match parse(vrrp.payload, &meta) {
            _ if vrrp.is_cut => {
                return Some((name, vec![self.unread(vrrp.source, "cut", "the capture has cut it off")]));
            }
            _ if vrrp.is_fragment => {
                return Some((name, vec![self.unread(vrrp.source, "fragment", "it is a fragment of a packet")]));
            }
            Err(error) => return Some((name, vec![self.ignored(vrrp.source, error)])),
            Ok(advert) => advert,
        };
        let wanted = &self.scope.addresses;
        if !wanted.is_empty() && !advert.addresses.iter().any(|address| wanted.contains(&address)) {
            return None;
        }
        let key = (network, family, advert.vrid);
        for address in advert.addresses.iter() {
            if self.addresses.len() < ADDRESSES_MAX {
                self.addresses.insert((network, address), (family, advert.vrid));
            }
        }
        self.forget(&key);
        let followed = self.routers.entry(key).or_default();
        let mut findings = Vec::new();
        followed.hear(self.now, vrrp.source, frame.sender, Said::new(&advert), &mut findings);
        let deadline = followed.deadline();
        self.wake = self.wake.into_iter().chain(deadline).min();
        Some((name, findings))
    }

    fn ignored(&mut self, source: IpAddr, error: AdvertError) -> Finding {
        self.unread(source, error.reason(), &format!("ignored by all: {error}"))
    }

    /// Nothing can be made of it. The same of the same sender is worth a line once.
    fn unread(&mut self, source: IpAddr, reason: &'static str, text: &str) -> Finding {
        let is_new = self.ignored.len() < IGNORED_MAX && self.ignored.insert((source, reason));
        let text = format!("a packet of {source}: {text}");
        Finding { time: self.now, kind: Kind::Ignored, text, is_routine: !is_new }
    }

    fn forget(&mut self, coming: &(Network, IsV6, Vrid)) {
        if self.routers.len() >= ROUTERS_MAX
            && !self.routers.contains_key(coming)
            && let Some((&oldest, _)) = self.routers.iter().min_by_key(|(_, router)| router.heard())
        {
            self.routers.remove(&oldest);
            let (network, family, vrid) = oldest;
            self.addresses.retain(|&(of, _), &mut router| of != network || router != (family, vrid));
        }
    }

    fn neighbour(&mut self, network: Network, neighbour: &Neighbour) -> Option<(String, Vec<Finding>)> {
        let about = neighbour.about;
        let router = self.addresses.get(&(network, about));
        let router = router.and_then(|&(family, vrid)| self.routers.get(&(network, family, vrid)));
        let is_restricted = !self.scope.addresses.is_empty() || !self.scope.routers.is_empty();
        if is_restricted && !self.scope.addresses.contains(&about) && router.is_none() {
            return None;
        }
        let finding = self.neighbours.hear(self.now, network, neighbour, router);
        Some((about.to_string(), finding.into_iter().collect()))
    }
}

fn subject(vlan: Option<u16>, is_v6: bool, vrid: Vrid) -> String {
    let family = if is_v6 { " IPv6" } else { "" };
    let vlan = vlan.map(|vlan| format!(" vlan {vlan}")).unwrap_or_default();
    format!("router {vrid}{family}{vlan}")
}

fn event(interface: u32, packet: Option<u64>, subject: &str, finding: Finding) -> Event {
    let Finding { time, kind, text, is_routine } = finding;
    Event { time, packet, interface, kind, subject: subject.to_owned(), text, is_routine }
}

#[cfg(test)]
mod tests;
