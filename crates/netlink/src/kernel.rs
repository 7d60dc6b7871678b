use std::net::IpAddr;

use rustix::io::Errno;
use rustix::net::netdevice::index_to_name;

use crate::answer::Answer;
use crate::codec::{
    DUMP, LIST_ADDRESSES, LIST_LINKS, LIST_ROUTES, LIST_RULES, Malformed, NEW_ADDRESS, NEW_LINK, NEW_ROUTE, NEW_RULE,
    Requests,
};
use crate::exchange::{BATCH_MAX, Exchange};
use crate::{Address, Error, HardwareAddress, Link, NewAddress, Outcome, Route, Rule, Way, address, link, route, rule};

/// A change of addresses, routes, rules or links, for [`Kernel::apply`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Gives a link an address.
    AddAddress {
        /// The link's index.
        interface: u32,
        /// The address.
        address: NewAddress,
    },
    /// Takes an address from a link: never the same one with another prefix.
    RemoveAddress {
        /// The link's index.
        interface: u32,
        /// The address.
        ip: IpAddr,
        /// How many of its leading bits name its network.
        prefix: u8,
    },
    /// Adds a route.
    AddRoute(Route),
    /// Removes a route: one with all that is said here, except for the scope.
    RemoveRoute(Route),
    /// Adds a rule.
    AddRule(Rule),
    /// Removes a rule: the first that has all that is said here. It may have more, so give rules a priority of their own.
    RemoveRule(Rule),
    /// Sets a link up or down; told as changed also if it was so.
    SetUp {
        /// The link's index.
        interface: u32,
        /// Up.
        up: bool,
    },
    /// Deletes a link that was made, as a macvlan.
    RemoveLink(u32),
}

/// The kernel's network in the namespace of the thread that opened it.
#[derive(Debug)]
pub struct Kernel {
    exchange: Exchange,
}

impl Kernel {
    /// A socket to ask and to change it by; changes need CAP_NET_ADMIN.
    ///
    /// # Errors
    /// If there is no descriptor left, or no netlink.
    pub fn open() -> Result<Kernel, Error> {
        let exchange =
            Exchange::open(None).map_err(|error| Error::refused("asking the kernel for its network", error))?;
        Ok(Kernel { exchange })
    }

    /// All links.
    ///
    /// # Errors
    /// If the kernel does not tell them.
    pub fn links(&mut self) -> Result<Vec<Link>, Error> {
        self.list("listing links", LIST_LINKS, 16, NEW_LINK, link::parse)
    }

    /// The link of this name, or with it as another of its names; `None` if there is none.
    ///
    /// # Errors
    /// If the kernel does not tell it.
    pub fn link(&mut self, name: &str) -> Result<Option<Link>, Error> {
        let tried = format!("looking for the link {name}");
        let mut requests = Requests::default();
        link::find(name, &mut requests);
        match self.exchange.ask(&tried, requests, NEW_LINK, link::parse) {
            Ok((links, _)) => Ok(links.into_iter().next()),
            Err(error) if error.errno() == Some(Errno::NODEV.raw_os_error()) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The addresses of a link by its index, or of all.
    ///
    /// # Errors
    /// If the kernel does not tell them.
    pub fn addresses(&mut self, interface: Option<u32>) -> Result<Vec<Address>, Error> {
        let mut addresses = self.list("listing addresses", LIST_ADDRESSES, 8, NEW_ADDRESS, address::parse)?;
        addresses.retain(|address| interface.is_none_or(|index| index == address.interface));
        Ok(addresses)
    }

    /// All routes of all tables, IPv4's and IPv6's.
    ///
    /// # Errors
    /// If the kernel does not tell them.
    pub fn routes(&mut self) -> Result<Vec<Route>, Error> {
        self.list("listing routes", LIST_ROUTES, 12, NEW_ROUTE, route::parse)
    }

    /// The way that packets from here to an address go; `None` if there is none, or they stay here.
    ///
    /// # Errors
    /// If the kernel does not tell it.
    pub fn way(&mut self, to: IpAddr) -> Result<Option<Way>, Error> {
        let tried = format!("asking for the way to {to}");
        let mut requests = Requests::default();
        route::ask_way(to, &mut requests);
        let none = [Errno::NETUNREACH, Errno::HOSTUNREACH, Errno::ACCESS, Errno::INVAL].map(Errno::raw_os_error);
        match self.exchange.ask(&tried, requests, NEW_ROUTE, route::parse_way) {
            Ok((ways, _)) => Ok(ways.into_iter().next()),
            Err(error) if error.errno().is_some_and(|errno| none.contains(&errno)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All rules, IPv4's and IPv6's.
    ///
    /// # Errors
    /// If the kernel does not tell them.
    pub fn rules(&mut self) -> Result<Vec<Rule>, Error> {
        self.list("listing rules", LIST_RULES, 12, NEW_RULE, rule::parse)
    }

    /// Gives a link an address.
    ///
    /// # Errors
    /// If the kernel refuses, or the link has the address with another prefix (IPv6).
    pub fn add_address(&mut self, interface: u32, address: NewAddress) -> Result<Outcome, Error> {
        self.change(Change::AddAddress { interface, address })
    }

    /// Takes an address from a link: never the same one with another prefix. Of IPv4, other addresses of the same network
    /// may go with it: see [`set_promote_secondaries`](crate::set_promote_secondaries).
    ///
    /// # Errors
    /// If the kernel refuses; that there is no such address or link is none.
    pub fn remove_address(&mut self, interface: u32, ip: IpAddr, prefix: u8) -> Result<Outcome, Error> {
        self.change(Change::RemoveAddress { interface, ip, prefix })
    }

    /// Makes a change.
    ///
    /// # Errors
    /// If the kernel refuses, or another one with the same key stands in the way.
    pub fn change(&mut self, change: Change) -> Result<Outcome, Error> {
        let mut results = self.apply(std::slice::from_ref(&change));
        results.pop().expect("each change has its result")
    }

    /// Makes many changes at once, in their order. One that fails does not keep the others from being made; the results are
    /// in the order of the changes.
    pub fn apply(&mut self, changes: &[Change]) -> Vec<Result<Outcome, Error>> {
        let mut answers = Vec::with_capacity(changes.len());
        for batch in changes.chunks(BATCH_MAX) {
            let encode = batch.iter().map(|change| |requests: &mut Requests| change.encode(requests));
            answers.extend(self.exchange.order_all(encode));
        }
        let mut present = Present::default();
        changes.iter().zip(answers).map(|(change, answer)| self.judge(change, answer, &mut present)).collect()
    }

    /// Makes a macvlan in private mode: it sees what comes to its hardware address at the parent's, is never sent to by
    /// its siblings, makes up no address of its own, and is down.
    ///
    /// # Errors
    /// If the kernel refuses, or another link has the name.
    pub fn create_macvlan(&mut self, name: &str, parent: u32, hardware: HardwareAddress) -> Result<Outcome, Error> {
        let tried = format!("making the macvlan {name} with {hardware} on {}", self.name(parent));
        let answer = self.exchange.order(|requests| {
            link::add_macvlan(name, parent, hardware, requests);
        });
        let exists = matches!(answer, Answer::Errno(errno) if errno == Errno::EXIST);
        if !exists {
            answer.of(&tried)?;
        }
        let Some(link) = self.link(name)? else {
            return Err(Error::refused(tried, Errno::NODEV));
        };
        if exists && !(link.is_macvlan && link.parent == Some(parent) && link.hardware == hardware) {
            return Err(Error::Occupied { tried, present: format!("another link of that name, {}", link.hardware) });
        }
        let quiet = self.exchange.order(|requests| {
            link::without_own_addresses(link.index, requests);
        });
        quiet.of(&tried)?;
        Ok(if exists { Outcome::AlreadySo } else { Outcome::Changed })
    }

    fn judge(&mut self, change: &Change, answer: Answer, present: &mut Present) -> Result<Outcome, Error> {
        match answer {
            Answer::Errno(errno) if change.is_absent(errno) => Ok(Outcome::AlreadySo),
            Answer::Errno(errno) if errno == Errno::EXIST => self.judge_existing(change, present),
            answer => answer.of(&self.describe(change)).map(|()| Outcome::Changed),
        }
    }

    /// The kernel says that it is there by a key that is less than what was asked for.
    fn judge_existing(&mut self, change: &Change, present: &mut Present) -> Result<Outcome, Error> {
        match change {
            Change::AddAddress { interface, address } => {
                let (ip, prefix) = (address.ip, address.prefix);
                let known = Present::fill(&mut present.addresses, || self.addresses(None))?;
                let same = |known: &&Address| known.interface == *interface && known.ip == ip;
                if known.iter().filter(same).any(|known| known.prefix == prefix) {
                    return Ok(Outcome::AlreadySo);
                }
                match known.iter().find(same).map(|known| format!("{}/{}", known.ip, known.prefix)) {
                    Some(present) => Err(Error::Occupied { tried: self.describe(change), present }),
                    None => Err(Error::refused(self.describe(change), Errno::EXIST)),
                }
            }
            Change::AddRoute(route) => {
                let known = Present::fill(&mut present.routes, || self.routes())?;
                if known.iter().any(|known| route.is_met_by(known)) {
                    return Ok(Outcome::AlreadySo);
                }
                match known.iter().find(|known| route.has_key_of(known)).map(ToString::to_string) {
                    Some(present) => Err(Error::Occupied { tried: self.describe(change), present }),
                    None => Err(Error::refused(self.describe(change), Errno::EXIST)),
                }
            }
            // Rules are compared whole.
            Change::AddRule(_) => Ok(Outcome::AlreadySo),
            _ => Err(Error::refused(self.describe(change), Errno::EXIST)),
        }
    }

    /// What was tried, for errors.
    fn describe(&self, change: &Change) -> String {
        match change {
            Change::AddAddress { interface, address } => format!("adding {address} to {}", self.name(*interface)),
            Change::RemoveAddress { interface, ip, prefix } => {
                format!("removing {ip}/{prefix} from {}", self.name(*interface))
            }
            Change::AddRoute(route) => format!("adding {route}"),
            Change::RemoveRoute(route) => format!("removing {route}"),
            Change::AddRule(rule) => format!("adding {rule}"),
            Change::RemoveRule(rule) => format!("removing {rule}"),
            Change::SetUp { interface, up } => {
                format!("setting {} {}", self.name(*interface), if *up { "up" } else { "down" })
            }
            Change::RemoveLink(index) => format!("deleting {}", self.name(*index)),
        }
    }

    fn name(&self, index: u32) -> String {
        index_to_name(&self.exchange, index).unwrap_or_else(|_| format!("interface {index}"))
    }

    /// The whole list, of a request whose fixed part is `fixed` zeros: of every family.
    fn list<T>(
        &mut self,
        tried: &str,
        kind: u16,
        fixed: usize,
        answers: u16,
        parse: fn(&[u8]) -> Result<Option<T>, Malformed>,
    ) -> Result<Vec<T>, Error> {
        self.exchange.list(
            tried,
            answers,
            |requests| {
                requests.begin(kind, DUMP, &[0; 16][..fixed]);
            },
            parse,
        )
    }
}

/// What is there, read when it is first needed.
#[derive(Debug, Default)]
struct Present {
    addresses: Option<Vec<Address>>,
    routes: Option<Vec<Route>>,
}

impl Present {
    fn fill<T>(place: &mut Option<Vec<T>>, read: impl FnOnce() -> Result<Vec<T>, Error>) -> Result<&[T], Error> {
        if place.is_none() {
            *place = Some(read()?);
        }
        Ok(place.as_deref().unwrap_or_default())
    }
}

impl Change {
    fn encode(&self, requests: &mut Requests) {
        match self {
            Change::AddAddress { interface, address } => address.add(*interface, requests),
            Change::RemoveAddress { interface, ip, prefix } => address::remove(*interface, *ip, *prefix, requests),
            Change::AddRoute(route) => route.add(requests),
            Change::RemoveRoute(route) => route.remove(requests),
            Change::AddRule(rule) => rule.add(requests),
            Change::RemoveRule(rule) => rule.remove(requests),
            Change::SetUp { interface, up } => link::set_up(*interface, *up, requests),
            Change::RemoveLink(index) => link::remove(*index, requests),
        };
    }

    /// Whether the errno says that what was to be removed is not there.
    fn is_absent(&self, errno: Errno) -> bool {
        match self {
            Change::RemoveAddress { .. } => [Errno::ADDRNOTAVAIL, Errno::NODEV, Errno::NXIO].contains(&errno),
            Change::RemoveRoute(_) => [Errno::SRCH, Errno::NODEV].contains(&errno),
            Change::RemoveRule(_) => errno == Errno::NOENT,
            Change::RemoveLink(_) => errno == Errno::NODEV,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
