//! Forwarding by nf_tables, in tables of our own that are called `perron`.
//!
//! A service is a chain and a few maps: one of its servers, one from slots to where each has its server. A new connection
//! gets a slot, by turns or by a hash of its client, so that another weight, or a server that comes or goes, is a few
//! elements and never a rebuild. With method `nat` the kernel tracks connections and keeps each where it is; with `direct`,
//! and for clients that are to stay, there is a map for that too, whose elements packets themselves renew. All that changes
//! together is one transaction. No rule looks up in one map what another map gave, or remembers it, but for method `direct`,
//! which has no other way: nft(8), to its version 1.0.6 at least, ends itself where it is to show that.
//!
//! What stands in the kernel is what the next process goes on with: it reads the maps, and each chain's rules by a digest
//! in their comments. Where somebody else has changed anything of it, everything is made anew, in one transaction as well.

mod built;
mod draw;
mod seen;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use forward_plan::{Destination, Endpoint, Family as Addresses, Key, Method, Operation, Ports, Service, Settings};
use netlink::nft::{Family, Nft, Transaction};
use netlink::{Conntrack, Error, Flow, Kernel, LinkKind, Way};

use crate::{Count, Engine};
use built::{Built, Member};
use seen::Seen;

/// What our tables are called.
const TABLE: &str = "perron";

/// Attempts to forget clients whose time may be over meanwhile.
const FORGET_TRIES: u32 = 5;

/// ENOENT.
const NO_ENTRY: i32 = 2;

/// Observations between two looks at whether servers of method `direct` are still reached the same way.
const WAYS_EVERY: u32 = 5;

/// The engine.
#[derive(Debug)]
pub struct Nftables {
    nft: Nft,
    kernel: Kernel,
    conntrack: Conntrack,
    /// What is in the kernel, if it is known and as it should be.
    known: Option<Known>,
    /// Whether the tables are there, if not as they should be.
    wreck: Vec<Family>,
    /// Until the ways to servers are looked at again.
    ways_in: u32,
    /// There are other links than those whose frames are looked at.
    links_changed: bool,
    /// Servers of method `direct` that nothing leads to.
    unreachable: BTreeSet<Endpoint>,
}

/// What is in the kernel.
#[derive(Clone, Debug, Default)]
struct Known {
    services: BTreeMap<Key, Built>,
    /// The families that have a table of ours.
    tables: BTreeSet<Family>,
    /// Links whose frames are looked at.
    devices: BTreeSet<String>,
    /// nftables' number after our last change.
    generation: u32,
}

impl Nftables {
    /// Asks nothing and changes nothing yet.
    ///
    /// # Errors
    /// If the kernel has no nf_tables, or CAP_NET_ADMIN is missing.
    pub fn open() -> Result<Nftables, Error> {
        let mut nft = Nft::open()?;
        nft.generation()?;
        Ok(Nftables {
            nft,
            kernel: Kernel::open()?,
            conntrack: Conntrack::open()?,
            known: None,
            wreck: Vec::new(),
            ways_in: 0,
            links_changed: false,
            unreachable: BTreeSet::new(),
        })
    }

    /// Reads everything, and takes it over if it is as this engine makes it.
    fn look(&mut self) -> Result<(), Error> {
        self.known = None;
        let generation = self.nft.generation()?;
        let mut seen = BTreeMap::new();
        for family in [Family::Inet, Family::Netdev] {
            if let Some(found) = Seen::read(&mut self.nft, family)? {
                seen.insert(family, found);
            }
        }
        self.wreck = seen.keys().copied().collect();
        // What changed between two readings fits neither.
        if self.nft.generation()? != generation {
            return Ok(());
        }
        if let Some((mut services, devices)) = seen::understand(&seen) {
            for built in services.values_mut().filter(|built| built.method == Method::Direct) {
                for (endpoint, member) in built.members.iter_mut().filter(|(_, member)| member.way.is_none()) {
                    member.way = self.way(endpoint.address)?;
                }
            }
            let tables = std::mem::take(&mut self.wreck).into_iter().collect();
            self.known = Some(Known { services, tables, devices, generation });
        }
        Ok(())
    }

    /// Whether nobody has changed anything since our last change.
    fn is_current(&mut self) -> Result<bool, Error> {
        let Some(known) = &self.known else { return Ok(false) };
        Ok(self.nft.generation()? == known.generation)
    }

    /// Who takes packets to a server of method `direct`.
    fn way(&mut self, address: IpAddr) -> Result<Option<Way>, Error> {
        // A router would send the packet back: it is for an address of this machine's.
        Ok(self.kernel.way(address)?.filter(|way| way.next == address))
    }

    /// The links whose frames are to be looked at: all but loopback.
    fn devices(&mut self) -> Result<BTreeSet<String>, Error> {
        let links = self.kernel.links()?.into_iter();
        Ok(links.filter(|link| link.kind == LinkKind::Ethernet).map(|link| link.name).collect())
    }

    /// What the services would be after these operations.
    fn carry_out(&mut self, operations: &[Operation]) -> Result<BTreeMap<Key, Built>, Error> {
        let mut services = self.known.as_ref().map(|known| known.services.clone()).unwrap_or_default();
        let mut changed = BTreeSet::new();
        for operation in operations {
            match *operation {
                Operation::AddService { key, settings } => {
                    services.entry(key).or_insert_with(|| Built::new(key, settings, Method::Nat));
                    changed.insert(key);
                }
                Operation::EditService { key, settings } => {
                    if let Some(built) = services.get_mut(&key) {
                        edit(built, settings);
                        changed.insert(key);
                    }
                }
                Operation::AddDestination { key, destination } | Operation::EditDestination { key, destination } => {
                    let way = match destination.method {
                        Method::Direct => self.way(destination.endpoint.address)?,
                        _ => None,
                    };
                    if let Some(built) = services.get_mut(&key) {
                        put(built, &destination, way);
                        changed.insert(key);
                    }
                    if destination.method == Method::Direct && way.is_none() {
                        self.unreachable.insert(destination.endpoint);
                    }
                }
                Operation::RemoveDestination { key, endpoint } => {
                    if let Some(built) = services.get_mut(&key) {
                        built.members.remove(&endpoint);
                        changed.insert(key);
                    }
                    self.unreachable.remove(&endpoint);
                }
                Operation::RemoveService { key } => {
                    services.remove(&key);
                    changed.remove(&key);
                }
            }
        }
        for key in changed {
            if let Some(built) = services.get_mut(&key) {
                built.settle();
            }
        }
        Ok(services)
    }

    /// Looks anew at how servers of method `direct` are reached, and says which of them are reached otherwise.
    fn moved(&mut self) -> Result<BTreeSet<(Key, Endpoint)>, Error> {
        if self.ways_in > 0 {
            self.ways_in -= 1;
            return Ok(BTreeSet::new());
        }
        self.ways_in = WAYS_EVERY;
        let direct = self.known.iter().flat_map(|known| known.services.values());
        let direct = direct.filter(|built| built.method == Method::Direct);
        let members: Vec<(Key, Endpoint, Option<Way>)> = direct
            .flat_map(|built| built.members.iter().map(|(endpoint, member)| (built.key, *endpoint, member.way)))
            .collect();
        let mut moved = BTreeSet::new();
        self.unreachable.clear();
        if !members.is_empty() {
            let devices = self.devices()?;
            self.links_changed = self.known.as_ref().is_some_and(|known| known.devices != devices);
        }
        for (key, endpoint, way) in members {
            let now = self.way(endpoint.address)?;
            if now.is_none() {
                self.unreachable.insert(endpoint);
            }
            if now != way {
                moved.insert((key, endpoint));
            }
        }
        Ok(moved)
    }

    /// Forgets clients of servers that are gone, or are reached otherwise. Says how many transactions that took.
    fn forget(&mut self, before: Option<&Known>, services: &BTreeMap<Key, Built>) -> Result<u32, Error> {
        let mut transactions = 0;
        for before in before.iter().flat_map(|known| known.services.values()) {
            let Some(built) = services.get(&before.key).filter(|built| built.is_like(before) && built.has_pins())
            else {
                continue;
            };
            let places: BTreeSet<Vec<u8>> = built.places().into_values().collect();
            let gone: BTreeSet<Vec<u8>> =
                before.places().into_values().filter(|place| !places.contains(place)).collect();
            let mut tries = FORGET_TRIES;
            while !gone.is_empty() && tries > 0 {
                let pins = seen::pins_to(&mut self.nft, built, &gone)?;
                tries = if pins.is_empty() { 0 } else { tries - 1 };
                let mut transaction = Transaction::new();
                transaction.delete_elements(draw::family_of(built), TABLE, &built.pins_map(), &pins);
                if pins.is_empty() {
                    continue;
                }
                match self.nft.commit(transaction) {
                    Ok(()) => transactions += 1,
                    // The time of one was over: look again.
                    Err(error) if error.errno() == Some(NO_ENTRY) && tries > 0 => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(transactions)
    }

    /// Each tracked connection that a service of ours has rewritten, with whose it is.
    fn each_flow(&mut self, mut take: impl FnMut(&Flow, Key, Endpoint)) -> Result<(), Error> {
        let services = self.known.iter().flat_map(|known| known.services.values());
        let members = services.flat_map(|built| built.members.keys().map(|endpoint| (built.key, *endpoint)));
        let owners = Owners::new(members);
        self.conntrack.each(|flow| {
            if flow.rewritten
                && let Some((key, endpoint)) = owners.of(&flow)
            {
                take(&flow, key, endpoint);
            }
        })
    }
}

impl Engine for Nftables {
    fn kind(&self) -> forward_plan::Engine {
        forward_plan::Engine::Nftables
    }

    fn observe(&mut self) -> Result<Vec<Service>, Error> {
        if !self.is_current()? {
            self.look()?;
        }
        let moved = self.moved()?;
        let services = self.known.iter().flat_map(|known| known.services.values());
        let mut services: Vec<Service> = services.map(Built::service).collect();
        for service in &mut services {
            let key = service.key;
            service.destinations.retain(|destination| !moved.contains(&(key, destination.endpoint)));
        }
        Ok(services)
    }

    fn is_all_ours(&self) -> bool {
        true
    }

    fn is_stale(&self) -> bool {
        !self.wreck.is_empty() || self.links_changed
    }

    fn apply(&mut self, operations: &[Operation]) -> Result<(), Error> {
        let services = self.carry_out(operations)?;
        let direct = services.values().any(|built| built.method == Method::Direct);
        let devices = if direct { self.devices()? } else { BTreeSet::new() };
        let (transaction, tables) = match &self.known {
            Some(known) => draw::changes(known, &services, &devices),
            None => draw::anew(&self.wreck, &services, &devices),
        };
        self.links_changed = false;
        let before = self.known.take();
        if transaction.is_empty() {
            self.known = before.map(|before| Known { services, devices, ..before });
            return Ok(());
        }
        let number = self.nft.generation()?;
        // If it is refused, what is there is not known, and is read again.
        self.nft.commit(transaction)?;
        self.wreck.clear();
        let forgotten = self.forget(before.as_ref(), &services)?;
        let generation = self.nft.generation()?;
        // Another program's change in between is found by the next look.
        if generation == number.wrapping_add(1 + forgotten) {
            self.known = Some(Known { services, tables, devices, generation });
        }
        Ok(())
    }

    fn end_connections(&mut self, gone: &[(Key, Endpoint)]) -> Result<u64, Error> {
        let gone: BTreeSet<(Key, Endpoint)> = gone.iter().copied().collect();
        let owners = Owners::new(gone.iter().copied());
        let mut flows = Vec::new();
        self.conntrack.each(|flow| {
            if flow.rewritten && owners.of(&flow).is_some_and(|owner| gone.contains(&owner)) {
                flows.push(flow);
            }
        })?;
        for flow in &flows {
            self.conntrack.forget(flow)?;
        }
        Ok(flows.len() as u64)
    }

    fn counts(&mut self) -> Result<Vec<Count>, Error> {
        let mut open: BTreeMap<(Key, Endpoint), (u64, u64)> = BTreeMap::new();
        self.each_flow(|flow, key, endpoint| {
            let (active, inactive) = open.entry((key, endpoint)).or_default();
            *(if flow.active { active } else { inactive }) += 1;
        })?;
        let services: Vec<Built> = self.known.iter().flat_map(|known| known.services.values().cloned()).collect();
        let mut counts = Vec::new();
        for built in services.iter().filter(|built| !built.members.is_empty()) {
            seen::counts(&mut self.nft, built, &open, &mut counts)?;
        }
        Ok(counts)
    }

    fn troubles(&mut self) -> Vec<String> {
        let unreachable = self.unreachable.iter();
        let mut troubles: Vec<String> =
            unreachable.map(|endpoint| format!("nothing leads to {endpoint}: it has no route from here")).collect();
        let services = self.known.iter().flat_map(|known| known.services.values());
        let rewriting = services.filter(|built| built.method != Method::Direct && !built.members.is_empty());
        let families: BTreeSet<Addresses> = rewriting.map(|built| built.key.family()).collect();
        for family in families {
            let (setting, path) = match family {
                Addresses::Ipv4 => ("net.ipv4.ip_forward", "/proc/sys/net/ipv4/ip_forward"),
                Addresses::Ipv6 => ("net.ipv6.conf.all.forwarding", "/proc/sys/net/ipv6/conf/all/forwarding"),
            };
            if std::fs::read_to_string(path).is_ok_and(|text| text.trim() == "0") {
                troubles.push(format!(
                    "the kernel forwards no packets to servers while {setting} is 0: run sysctl -w {setting}=1"
                ));
            }
        }
        troubles
    }

    fn remove(&mut self, _ours: &[Key]) -> Result<(), Error> {
        self.look()?;
        let there = match &self.known {
            Some(known) => known.tables.iter().copied().collect(),
            None => std::mem::take(&mut self.wreck),
        };
        self.known = None;
        self.nft.commit(draw::nothing(&there))
    }
}

/// Other rules; whose turn it is is decided from the beginning.
fn edit(built: &mut Built, settings: Settings) {
    built.settings = settings;
    built.slots.clear();
}

/// A destination is there, or is as it is from now on.
fn put(built: &mut Built, destination: &Destination, way: Option<Way>) {
    // All have the same; the first says which.
    if built.members.is_empty() || built.method != destination.method {
        built.method = destination.method;
    }
    let (number, weight) = (built.free_number(), destination.weight);
    let member = built.members.entry(destination.endpoint).or_insert(Member { number, weight, way });
    (member.weight, member.way) = (weight, way);
}

/// Whose tracked connections are.
#[derive(Default)]
struct Owners {
    /// By transport and address.
    addressed: BTreeMap<(u8, IpAddr), Vec<(Ports, Key)>>,
    /// Services of marks, which connections do not have: their servers tell whose they are.
    marked: BTreeMap<IpAddr, Key>,
}

impl Owners {
    fn new(destinations: impl Iterator<Item = (Key, Endpoint)>) -> Owners {
        let mut owners = Owners::default();
        for (key, endpoint) in destinations {
            match key {
                Key::Address { protocol, address, ports } => {
                    let known = owners.addressed.entry((protocol.number(), address)).or_default();
                    if !known.contains(&(ports, key)) {
                        known.push((ports, key));
                    }
                }
                Key::Mark { .. } => {
                    owners.marked.insert(endpoint.address, key);
                }
            }
        }
        owners
    }

    /// The service and the destination of a connection whose destination was rewritten.
    fn of(&self, flow: &Flow) -> Option<(Key, Endpoint)> {
        let Flow { original, reply, .. } = flow;
        let of_address = self.addressed.get(&(original.protocol, original.destination));
        let has_port = |(ports, _): &&(Ports, Key)| (ports.first()..=ports.last()).contains(&original.destination_port);
        let key = match of_address.and_then(|known| known.iter().find(has_port)) {
            Some((_, key)) => *key,
            None => *self.marked.get(&reply.source)?,
        };
        // Answers come from where the client's packets were sent.
        Some((key, Endpoint { address: reply.source, port: key.port().map(|_| reply.source_port) }))
    }
}

#[cfg(test)]
mod tests;
