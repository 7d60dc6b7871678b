//! IPVS, the kernel's load balancer of connections: its services, their destinations, its time-outs and the daemons that
//! synchronise connections (linux/ip_vs.h, generic netlink's family IPVS).
//!
//! [`Ipvs`] asks and changes. Each change is one message; a table of thousands goes to the kernel in few datagrams. It has no
//! mark of who made what.

mod counters;
mod daemon;
mod destination;
mod service;

use std::fmt;

use rustix::io::Errno;
use rustix::net::netlink::GENERIC;

use crate::answer::Answer;
use crate::codec::{Attributes, CHANGE, DUMP, Malformed, Requests, number};
use crate::exchange::{BATCH_MAX, Exchange};
use crate::{Error, Outcome, generic};

pub use counters::{Counters, Rates};
pub use daemon::{Daemon, Role};
pub use destination::{Checksum, Connections, Destination, Encapsulation, Listed, Method, Target};
pub use service::{Key, ListedService, Persistence, Protocol, Service};

const FAMILY: &str = "IPVS";
const VERSION: u8 = 1;

const NEW_SERVICE: u8 = 1;
const SET_SERVICE: u8 = 2;
const DELETE_SERVICE: u8 = 3;
const LIST_SERVICES: u8 = 4;
const NEW_DESTINATION: u8 = 5;
const SET_DESTINATION: u8 = 6;
const DELETE_DESTINATION: u8 = 7;
const LIST_DESTINATIONS: u8 = 8;
const NEW_DAEMON: u8 = 9;
const DELETE_DAEMON: u8 = 10;
const LIST_DAEMONS: u8 = 11;
const SET_CONFIG: u8 = 12;
const ASK_CONFIG: u8 = 13;

/// IPVS_CMD_ATTR_*.
const SERVICE: u16 = 1;
const DESTINATION: u16 = 2;
const DAEMON: u16 = 3;
const TIMEOUT_TCP: u16 = 4;
const TIMEOUT_TCP_FIN: u16 = 5;
const TIMEOUT_UDP: u16 = 6;

/// How long connections are remembered without a packet, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP's, established.
    pub tcp_seconds: u32,
    /// TCP's, after a FIN.
    pub tcp_fin_seconds: u32,
    /// UDP's.
    pub udp_seconds: u32,
}

/// A change of the table, for [`Ipvs::apply`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Adds a service.
    AddService(Service),
    /// Makes of a service what is said here; its destinations and connections stay.
    SetService(Service),
    /// Removes a service with its destinations. Its connections end, unless another of the same key comes first.
    RemoveService(Key),
    /// Adds a destination to a service.
    AddDestination(Key, Destination),
    /// Makes of a service's destination what is said here; its connections stay.
    SetDestination(Key, Destination),
    /// Takes a destination from a service. What becomes of its connections net.ipv4.vs.expire_nodest_conn says.
    RemoveDestination(Key, Target),
}

/// The kernel's IPVS in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Ipvs {
    exchange: Exchange,
    family: u16,
    changes: u64,
}

impl Ipvs {
    /// A socket to ask and to change it by; both need CAP_NET_ADMIN. A kernel that has the module `ip_vs` and has not loaded
    /// it is made to load it: it does so by itself when asked for the family, and needs no right of the caller's.
    ///
    /// # Errors
    /// If the kernel has no IPVS.
    pub fn open() -> Result<Ipvs, Error> {
        let tried = "asking the kernel for IPVS";
        let mut exchange = Exchange::open(Some(GENERIC)).map_err(|error| Error::refused(tried, error))?;
        let family = generic::family(&mut exchange, tried, FAMILY)
            .map_err(|error| if error.errno() == Some(Errno::NOENT.raw_os_error()) { no_ipvs() } else { error })?;
        Ok(Ipvs { exchange, family, changes: 0 })
    }

    /// The changes that the kernel was asked for by this value, each of them one message.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// All services, without their destinations.
    ///
    /// # Errors
    /// If the kernel does not tell them.
    pub fn services(&mut self) -> Result<Vec<ListedService>, Error> {
        self.list("listing services of IPVS", LIST_SERVICES, |_| (), parse_service)
    }

    /// A service's destinations; none also if there is no such service.
    ///
    /// # Errors
    /// If the kernel does not tell them.
    pub fn destinations(&mut self, service: &Key) -> Result<Vec<Listed>, Error> {
        let tried = format!("listing destinations of {service}");
        self.list(&tried, LIST_DESTINATIONS, |requests| key(service, requests), parse_destination)
    }

    /// Makes changes, in their order. One that fails does not keep the others from being made; the results are in the order
    /// of the changes. One that finds what it is to add, or does not find what it is to remove or to change, says so:
    /// [`Outcome::AlreadySo`] means of an addition that something of this key is there, and not that it is the same;
    /// a change of what is not there is [refused](Error::Refused) with ESRCH for its service and ENOENT for a destination.
    pub fn apply(&mut self, changes: &[Change]) -> Vec<Result<Outcome, Error>> {
        let mut results = Vec::with_capacity(changes.len());
        for batch in changes.chunks(BATCH_MAX) {
            let family = self.family;
            let encode = batch.iter().map(|change| move |requests: &mut Requests| change.encode(family, requests));
            let answers = self.exchange.order_all(encode);
            self.changes += batch.len() as u64;
            results.extend(batch.iter().zip(answers).map(|(change, answer)| change.judge(answer)));
        }
        results
    }

    /// How long connections are remembered.
    ///
    /// # Errors
    /// If the kernel does not tell it.
    pub fn timeouts(&mut self) -> Result<Timeouts, Error> {
        let tried = "asking for the time-outs of IPVS";
        let mut requests = Requests::default();
        requests.begin(self.family, CHANGE, &generic::fixed(ASK_CONFIG, VERSION));
        let (found, _) = self.exchange.ask(tried, requests, self.family, parse_timeouts)?;
        found.into_iter().next().ok_or_else(|| Error::Malformed { tried: tried.to_owned() })
    }

    /// Says how long connections are remembered, those that are there from their next packet on. Zero leaves one as it is.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn set_timeouts(&mut self, timeouts: Timeouts) -> Result<(), Error> {
        let family = self.family;
        let answer = self.exchange.order(|requests| set_timeouts(family, timeouts, requests));
        self.changes += 1;
        answer.of("setting the time-outs of IPVS")
    }

    /// The daemons that synchronise connections: one at most of each role.
    ///
    /// # Errors
    /// If the kernel does not tell them.
    pub fn daemons(&mut self) -> Result<Vec<Daemon>, Error> {
        self.list("listing daemons of IPVS", LIST_DAEMONS, |_| (), parse_daemon)
    }

    /// Starts a daemon; one that runs in its role goes on as it was.
    ///
    /// # Errors
    /// If the kernel refuses, as without the interface (ENODEV), or with a length that does not fit it (EINVAL).
    pub fn start_daemon(&mut self, daemon: &Daemon) -> Result<Outcome, Error> {
        let family = self.family;
        let answer = self.exchange.order(|requests| start_daemon(family, daemon, requests));
        self.changes += 1;
        let tried = format!("starting the {} of IPVS on {}", daemon.role, daemon.interface);
        outcome(answer, &tried, Errno::EXIST)
    }

    /// Stops the daemon of a role.
    ///
    /// # Errors
    /// If the kernel refuses; that none runs is none.
    pub fn stop_daemon(&mut self, role: Role) -> Result<Outcome, Error> {
        let family = self.family;
        let answer = self.exchange.order(|requests| stop_daemon(family, role, requests));
        self.changes += 1;
        outcome(answer, &format!("stopping the {role} of IPVS"), Errno::SRCH)
    }

    fn list<T>(
        &mut self,
        tried: &str,
        command: u8,
        of: impl Fn(&mut Requests),
        parse: fn(&[u8]) -> Result<Option<T>, Malformed>,
    ) -> Result<Vec<T>, Error> {
        let family = self.family;
        let encode = |requests: &mut Requests| {
            requests.begin(family, DUMP, &generic::fixed(command, VERSION));
            of(requests);
        };
        self.exchange.list(tried, family, encode, parse)
    }
}

impl Change {
    fn encode(&self, family: u16, requests: &mut Requests) {
        let command = match self {
            Change::AddService(_) => NEW_SERVICE,
            Change::SetService(_) => SET_SERVICE,
            Change::RemoveService(_) => DELETE_SERVICE,
            Change::AddDestination(..) => NEW_DESTINATION,
            Change::SetDestination(..) => SET_DESTINATION,
            Change::RemoveDestination(..) => DELETE_DESTINATION,
        };
        requests.begin(family, CHANGE, &generic::fixed(command, VERSION));
        match self {
            Change::AddService(service) | Change::SetService(service) => {
                requests.nest(SERVICE, |inside| service.encode(inside));
            }
            Change::RemoveService(service) => key(service, requests),
            Change::AddDestination(service, destination) | Change::SetDestination(service, destination) => {
                key(service, requests);
                requests.nest(DESTINATION, |inside| destination.encode(inside));
            }
            Change::RemoveDestination(service, target) => {
                key(service, requests);
                requests.nest(DESTINATION, |inside| destination::encode_target(target, inside));
            }
        }
    }

    fn judge(&self, answer: Answer) -> Result<Outcome, Error> {
        match (self, answer) {
            (Change::AddService(_) | Change::AddDestination(..), Answer::Errno(Errno::EXIST))
            | (Change::RemoveService(_), Answer::Errno(Errno::SRCH))
            | (Change::RemoveDestination(..), Answer::Errno(Errno::SRCH | Errno::NOENT)) => Ok(Outcome::AlreadySo),
            // Of a service only its scheduler, or what reads persistence out of packets, can be missing.
            (Change::AddService(service) | Change::SetService(service), Answer::Errno(Errno::NOENT)) => {
                Err(Error::Absent { tried: self.to_string(), what: service.modules() })
            }
            (_, answer) => answer.of(&self.to_string()).map(|()| Outcome::Changed),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::AddService(service) => write!(formatter, "adding the service {} to IPVS", service.key),
            Change::SetService(service) => write!(formatter, "changing the service {} of IPVS", service.key),
            Change::RemoveService(service) => write!(formatter, "removing the service {service} from IPVS"),
            Change::AddDestination(service, destination) => {
                write!(formatter, "adding the destination {} to {service} in IPVS", destination.target)
            }
            Change::SetDestination(service, destination) => {
                write!(formatter, "changing the destination {} of {service} in IPVS", destination.target)
            }
            Change::RemoveDestination(service, target) => {
                write!(formatter, "removing the destination {target} from {service} in IPVS")
            }
        }
    }
}

fn no_ipvs() -> Error {
    Error::Absent {
        tried: "asking the kernel for IPVS".to_owned(),
        what: "this kernel has no IPVS: the module ip_vs is not loaded, and the kernel did not load it by itself \
               (`modprobe ip_vs` does, as root, where it is installed)"
            .to_owned(),
    }
}

fn outcome(answer: Answer, tried: &str, already: Errno) -> Result<Outcome, Error> {
    match answer {
        Answer::Errno(errno) if errno == already => Ok(Outcome::AlreadySo),
        answer => answer.of(tried).map(|()| Outcome::Changed),
    }
}

fn key(service: &Key, requests: &mut Requests) {
    requests.nest(SERVICE, |inside| service.encode(inside));
}

fn set_timeouts(family: u16, timeouts: Timeouts, requests: &mut Requests) {
    requests.begin(family, CHANGE, &generic::fixed(SET_CONFIG, VERSION));
    requests.number(TIMEOUT_TCP, timeouts.tcp_seconds);
    requests.number(TIMEOUT_TCP_FIN, timeouts.tcp_fin_seconds);
    requests.number(TIMEOUT_UDP, timeouts.udp_seconds);
}

fn start_daemon(family: u16, daemon: &Daemon, requests: &mut Requests) {
    requests.begin(family, CHANGE, &generic::fixed(NEW_DAEMON, VERSION));
    requests.nest(DAEMON, |inside| daemon.encode(inside));
}

fn stop_daemon(family: u16, role: Role, requests: &mut Requests) {
    requests.begin(family, CHANGE, &generic::fixed(DELETE_DAEMON, VERSION));
    requests.nest(DAEMON, |inside| role.encode_stop(inside));
}

/// What stands in the attribute of this kind, of a message of IPVS.
fn inside(body: &[u8], kind: u16) -> Result<Option<&[u8]>, Malformed> {
    for attribute in Attributes::after(body, generic::FIXED) {
        match attribute? {
            (found, value) if found == kind => return Ok(Some(value)),
            _ => {}
        }
    }
    Ok(None)
}

fn parse_service(body: &[u8]) -> Result<Option<ListedService>, Malformed> {
    inside(body, SERVICE)?.map_or(Ok(None), service::parse)
}

fn parse_destination(body: &[u8]) -> Result<Option<Listed>, Malformed> {
    inside(body, DESTINATION)?.map_or(Ok(None), destination::parse)
}

fn parse_daemon(body: &[u8]) -> Result<Option<Daemon>, Malformed> {
    inside(body, DAEMON)?.map_or(Ok(None), daemon::parse)
}

fn parse_timeouts(body: &[u8]) -> Result<Option<Timeouts>, Malformed> {
    let mut timeouts = Timeouts { tcp_seconds: 0, tcp_fin_seconds: 0, udp_seconds: 0 };
    for attribute in Attributes::after(body, generic::FIXED) {
        match attribute? {
            (TIMEOUT_TCP, value) => timeouts.tcp_seconds = number(value, 0)?,
            (TIMEOUT_TCP_FIN, value) => timeouts.tcp_fin_seconds = number(value, 0)?,
            (TIMEOUT_UDP, value) => timeouts.udp_seconds = number(value, 0)?,
            _ => {}
        }
    }
    Ok(Some(timeouts))
}

#[cfg(test)]
mod tests;
