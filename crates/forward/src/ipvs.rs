//! Forwarding by IPVS.
//!
//! IPVS has one table in each network namespace and no mark of who made what, so that a service is ours by its key: one that
//! is wanted, or that this program has made and noted. Such a service is ours whole; what `ipvsadm` or another program adds
//! to it goes, and services of other keys are never touched.
//!
//! Each change is one message. What is not of our making in a service of ours, as a scheduler that nobody can ask us for,
//! is not listed, or listed with a method that IPVS does not have, and so is wanted otherwise: what is to be added and is
//! there is changed into what it is to be, and what is to be changed and is not there is added.

mod sync;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;

use forward_plan::{
    Destination, Endpoint, Family, Key, Method, Operation, Persistence, Ports, Protocol, Scheduler, Service, Settings,
};
use netlink::ipvs::{self, Change, Encapsulation};
use netlink::{Error, Outcome};

use crate::{Count, Engine};
pub use sync::{SyncDaemon, SyncPlan};

/// Whether connections of destinations that are gone end with their next packet, so that they begin anew at another one.
/// Without it that packet is dropped, and so are all that follow.
const EXPIRE_NODEST: &str = "/proc/sys/net/ipv4/vs/expire_nodest_conn";

/// How a destination is listed that is not as we make them: by a method that nobody can ask IPVS for.
const FOREIGN: Method = Method::Masquerade;

/// ESRCH: no such service. ENOENT: no such destination.
const NO_SERVICE: i32 = 3;
const NO_DESTINATION: i32 = 2;

/// The engine.
#[derive(Debug)]
pub struct Ipvs {
    kernel: ipvs::Ipvs,
    /// As observed last: for counts, which name them, and for troubles.
    listed: Vec<Listed>,
}

#[derive(Debug)]
struct Listed {
    key: Key,
    destinations: Vec<ipvs::Listed>,
}

impl Ipvs {
    /// Opens it, in the network namespace of the calling thread. The kernel loads what it needs by itself.
    ///
    /// # Errors
    /// If the kernel has no IPVS.
    pub fn open() -> Result<Ipvs, Error> {
        Ok(Ipvs { kernel: ipvs::Ipvs::open()?, listed: Vec::new() })
    }

    /// The messages so far that asked the kernel for a change.
    pub fn changes(&self) -> u64 {
        self.kernel.changes()
    }

    /// Its services, with their destinations, as far as they could be ours.
    fn list(&mut self) -> Result<Vec<Service>, Error> {
        let mut services = Vec::new();
        self.listed.clear();
        for listed in self.kernel.services()? {
            let Some(key) = key_from(&listed.service.key) else { continue };
            let destinations = self.kernel.destinations(&listed.service.key)?;
            if let Some(settings) = settings_from(&key, &listed.service) {
                let mut known: Vec<Destination> =
                    destinations.iter().map(|one| destination_from(&one.destination)).collect();
                // The kernel lists the newest first.
                known.sort_by_key(|destination| destination.endpoint);
                services.push(Service { key, settings, destinations: known });
            }
            self.listed.push(Listed { key, destinations });
        }
        Ok(services)
    }

    /// Makes changes, and those once more, the other way, whose place was not as it was thought to be.
    fn make(&mut self, changes: &[Change]) -> Result<(), Error> {
        let (mut again, mut outcome) = (Vec::new(), Ok(()));
        for (change, result) in changes.iter().zip(self.kernel.apply(changes)) {
            match other_way(change, &result) {
                Some(other) => again.push(other),
                None => outcome = outcome.and(result.map(drop)),
            }
        }
        for result in self.kernel.apply(&again) {
            outcome = outcome.and(result.map(drop));
        }
        outcome
    }
}

impl Engine for Ipvs {
    fn kind(&self) -> forward_plan::Engine {
        forward_plan::Engine::Ipvs
    }

    fn observe(&mut self) -> Result<Vec<Service>, Error> {
        self.list()
    }

    fn is_all_ours(&self) -> bool {
        false
    }

    fn apply(&mut self, operations: &[Operation]) -> Result<(), Error> {
        let changes = operations.iter().map(change).collect::<Result<Vec<Change>, Error>>()?;
        self.make(&changes)
    }

    /// The kernel ends each when its next packet comes. It has no other way, and does so for all services from then on.
    fn end_connections(&mut self, _gone: &[(Key, Endpoint)]) -> Result<u64, Error> {
        let set = || -> io::Result<()> {
            if fs::read_to_string(EXPIRE_NODEST)?.trim() == "0" {
                fs::write(EXPIRE_NODEST, "1")?;
            }
            Ok(())
        };
        set().map_err(|reason| Error::Refused { tried: format!("setting {EXPIRE_NODEST}"), reason })?;
        Ok(0)
    }

    fn counts(&mut self) -> Result<Vec<Count>, Error> {
        self.list()?;
        Ok(self.listed.iter().flat_map(|listed| listed.destinations.iter().map(|one| count(listed.key, one))).collect())
    }

    fn troubles(&mut self) -> Vec<String> {
        let mut troubles = Vec::new();
        let families = [
            (Family::Ipv4, "net.ipv4.ip_forward", "/proc/sys/net/ipv4/ip_forward"),
            (Family::Ipv6, "net.ipv6.conf.all.forwarding", "/proc/sys/net/ipv6/conf/all/forwarding"),
        ];
        for (family, setting, path) in families {
            let rewritten = self
                .listed
                .iter()
                .filter(|listed| listed.key.family() == family)
                .any(|listed| listed.destinations.iter().any(|one| one.destination.method == ipvs::Method::Nat));
            if rewritten && fs::read_to_string(path).is_ok_and(|text| text.trim() == "0") {
                troubles.push(format!(
                    "answers of servers behind IPVS do not come back while {setting} is 0: run sysctl -w {setting}=1"
                ));
            }
        }
        troubles
    }
}

/// The change that an operation asks for.
fn change(operation: &Operation) -> Result<Change, Error> {
    Ok(match operation {
        Operation::AddService { key, settings } => Change::AddService(service_of(key, settings)?),
        Operation::EditService { key, settings } => Change::SetService(service_of(key, settings)?),
        Operation::AddDestination { key, destination } => {
            Change::AddDestination(key_of(key)?, destination_of(destination)?)
        }
        Operation::EditDestination { key, destination } => {
            Change::SetDestination(key_of(key)?, destination_of(destination)?)
        }
        Operation::RemoveDestination { key, endpoint } => Change::RemoveDestination(key_of(key)?, target_of(endpoint)),
        Operation::RemoveService { key } => Change::RemoveService(key_of(key)?),
    })
}

/// What is to be done instead where something is there or is not, unlike what was observed.
fn other_way(change: &Change, result: &Result<Outcome, Error>) -> Option<Change> {
    let errno = result.as_ref().err().and_then(Error::errno);
    match (change, result, errno) {
        (Change::AddService(service), Ok(Outcome::AlreadySo), _) => Some(Change::SetService(service.clone())),
        (Change::AddDestination(key, destination), Ok(Outcome::AlreadySo), _) => {
            Some(Change::SetDestination(*key, *destination))
        }
        (Change::SetService(service), _, Some(NO_SERVICE)) => Some(Change::AddService(service.clone())),
        (Change::SetDestination(key, destination), _, Some(NO_DESTINATION)) => {
            Some(Change::AddDestination(*key, *destination))
        }
        _ => None,
    }
}

/// What IPVS cannot be told: `forward_plan::check` refuses it, and ranges come here as ports.
fn refused(what: &dyn std::fmt::Display) -> Error {
    let reason = io::Error::new(io::ErrorKind::Unsupported, "IPVS has no such thing");
    Error::Refused { tried: format!("telling IPVS of {what}"), reason }
}

fn key_of(key: &Key) -> Result<ipvs::Key, Error> {
    match key {
        Key::Address { protocol, address, ports } => {
            let port = ports.single().ok_or_else(|| refused(key))?;
            let protocol = match protocol {
                Protocol::Tcp => ipvs::Protocol::Tcp,
                Protocol::Udp => ipvs::Protocol::Udp,
            };
            Ok(ipvs::Key::Address { protocol, address: SocketAddr::new(*address, port) })
        }
        Key::Mark { mark, family } => {
            let family = match family {
                Family::Ipv4 => netlink::Family::Ipv4,
                Family::Ipv6 => netlink::Family::Ipv6,
            };
            Ok(ipvs::Key::Mark { family, mark: mark.get() })
        }
    }
}

/// `None` of one that nobody can ask us for.
fn key_from(listed: &ipvs::Key) -> Option<Key> {
    match listed {
        ipvs::Key::Address { protocol, address } => {
            let protocol = match protocol {
                ipvs::Protocol::Tcp => Protocol::Tcp,
                ipvs::Protocol::Udp => Protocol::Udp,
                ipvs::Protocol::Sctp => return None,
            };
            let ports = Ports::new(address.port(), address.port())?;
            Some(Key::Address { protocol, address: address.ip(), ports })
        }
        ipvs::Key::Mark { family, mark } => {
            let family = match family {
                netlink::Family::Ipv4 => Family::Ipv4,
                netlink::Family::Ipv6 => Family::Ipv6,
            };
            Some(Key::Mark { mark: NonZeroU32::new(*mark)?, family })
        }
    }
}

/// Who hashes falls back on another destination when the one of its hash gets nothing new: its clients would be refused.
fn service_of(key: &Key, settings: &Settings) -> Result<ipvs::Service, Error> {
    let scheduler = settings.scheduler;
    let hashes = matches!(scheduler, Scheduler::SourceHash | Scheduler::Maglev { .. });
    let ports = scheduler == Scheduler::Maglev { ports: true };
    let persistence = settings.persistence.map(|Persistence { seconds, prefix }| ipvs::Persistence { seconds, prefix });
    Ok(ipvs::Service {
        scheduler_flags: [hashes, ports, false],
        persistence,
        ..ipvs::Service::new(key_of(key)?, scheduler.ipvs_name())
    })
}

/// `None` of what nobody can ask us for.
fn settings_from(key: &Key, listed: &ipvs::Service) -> Option<Settings> {
    let persistence = listed.persistence.map(|ipvs::Persistence { seconds, prefix }| Persistence { seconds, prefix });
    let all = Scheduler::ALL.into_iter().map(|scheduler| Settings { scheduler, persistence });
    all.into_iter().find(|settings| service_of(key, settings).is_ok_and(|service| service == *listed))
}

fn destination_of(destination: &Destination) -> Result<ipvs::Destination, Error> {
    let method = match destination.method {
        Method::Nat => ipvs::Method::Nat,
        Method::Direct => ipvs::Method::Direct,
        Method::Tunnel => ipvs::Method::Tunnel(Encapsulation::Ipip),
        Method::Masquerade => return Err(refused(&destination.endpoint)),
    };
    let upper = destination.max_connections.unwrap_or(0);
    let target = target_of(&destination.endpoint);
    Ok(ipvs::Destination { upper, ..ipvs::Destination::new(target, method, u32::from(destination.weight)) })
}

fn destination_from(listed: &ipvs::Destination) -> Destination {
    let method = match listed.method {
        ipvs::Method::Nat => Method::Nat,
        ipvs::Method::Direct => Method::Direct,
        ipvs::Method::Tunnel(Encapsulation::Ipip) => Method::Tunnel,
        ipvs::Method::Tunnel(_) | ipvs::Method::Local => FOREIGN,
    };
    // One that gets connections again at a number of its own is not as we make them.
    let method = if listed.lower == 0 { method } else { FOREIGN };
    Destination {
        endpoint: endpoint_from(listed.target),
        method,
        weight: u16::try_from(listed.weight).unwrap_or(u16::MAX),
        max_connections: (listed.upper != 0).then_some(listed.upper),
    }
}

/// Port 0 of a mark's: the one that the client asked for.
fn target_of(endpoint: &Endpoint) -> SocketAddr {
    SocketAddr::new(endpoint.address, endpoint.port.unwrap_or(0))
}

fn endpoint_from(target: SocketAddr) -> Endpoint {
    Endpoint { address: target.ip(), port: Some(target.port()).filter(|port| *port != 0) }
}

fn count(key: Key, listed: &ipvs::Listed) -> Count {
    let counters = listed.counters;
    // Servers that answer clients themselves do it past this machine.
    let answers_here = listed.destination.method == ipvs::Method::Nat;
    Count {
        key,
        endpoint: endpoint_from(listed.destination.target),
        active: u64::from(listed.connections.active),
        inactive: u64::from(listed.connections.inactive),
        connections: Some(counters.connections),
        packets_in: Some(counters.packets_in),
        packets_out: answers_here.then_some(counters.packets_out),
        bytes_in: Some(counters.bytes_in),
        bytes_out: answers_here.then_some(counters.bytes_out),
    }
}

#[cfg(test)]
mod tests;
