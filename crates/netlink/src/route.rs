use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use units::Network;

use crate::Scope;
use crate::codec::{
    Attributes, CHANGE, CREATE, DELETE_ROUTE, IPV4, IPV6, LIST_ROUTES, Malformed, NEW_ROUTE, Requests, byte, family,
    ip, number,
};

/// struct rtmsg: family, lengths of destination and source, TOS, table, protocol, scope, kind, flags.
const FIXED: usize = 12;

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_TABLE: u16 = 15;
const RTA_VIA: u16 = 18;

const RTNH_F_ONLINK: u32 = 0x4;
/// Not in a table: learnt on the way to one destination.
const RTM_F_CLONED: u32 = 0x200;

/// RT_TABLE_MAIN.
const MAIN: u32 = 254;
/// RTPROT_STATIC: an administrator.
const STATIC: u8 = 4;

/// What happens to packets that a route is for (RTN_…).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// They go the route's way.
    Unicast,
    /// They are this machine's.
    Local,
    /// They go nowhere, and nobody is told.
    Blackhole,
    /// They go nowhere, and their sender is told that there is no way.
    Unreachable,
    /// They go nowhere, and their sender is told that it is forbidden.
    Prohibit,
    /// Another kind, by its number.
    Other(u8),
}

impl RouteKind {
    fn number(self) -> u8 {
        match self {
            RouteKind::Unicast => 1,
            RouteKind::Local => 2,
            RouteKind::Blackhole => 6,
            RouteKind::Unreachable => 7,
            RouteKind::Prohibit => 8,
            RouteKind::Other(number) => number,
        }
    }

    fn from_number(number: u8) -> RouteKind {
        match number {
            1 => RouteKind::Unicast,
            2 => RouteKind::Local,
            6 => RouteKind::Blackhole,
            7 => RouteKind::Unreachable,
            8 => RouteKind::Prohibit,
            other => RouteKind::Other(other),
        }
    }
}

/// A route: where packets to a network go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The network; of 0 bits: everything.
    pub destination: Network,
    /// What happens to the packets.
    pub kind: RouteKind,
    /// The router that takes them, if the network is not on the link itself.
    pub via: Option<IpAddr>,
    /// The link's index. A route over several links, as listed, has none, and no `via`.
    pub interface: Option<u32>,
    /// The source of connections that begin here.
    pub source: Option<IpAddr>,
    /// The table that it stands in; 254 is the main one.
    pub table: u32,
    /// The lower one wins; 0: what the kernel gives (0 for IPv4, 1024 for IPv6).
    pub metric: u32,
    /// IPv4: how far away the network can be; [`Scope::LINK`] without a router.
    pub scope: Scope,
    /// The router is on the link, even if no network of the link has it.
    pub onlink: bool,
    /// Who added it, as those who add routes mark them (RTPROT_…); 4 is an administrator.
    pub protocol: u8,
}

/// Where packets from here to an address go next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    /// The link's index.
    pub interface: u32,
    /// Who takes them there: a router, or the address itself.
    pub next: IpAddr,
}

/// Asks for the way to an address.
pub(crate) fn ask_way(to: IpAddr, requests: &mut Requests) {
    let mut fixed = [0; FIXED];
    fixed[0] = family(to);
    fixed[1] = if to.is_ipv4() { 32 } else { 128 };
    requests.begin(LIST_ROUTES, CHANGE, &fixed).ip(RTA_DST, to);
}

/// `None` where they go nowhere, or stay here.
pub(crate) fn parse_way(body: &[u8]) -> Result<Option<Way>, Malformed> {
    if byte(body, 7)? != RouteKind::Unicast.number() {
        return Ok(None);
    }
    let (mut next, mut via, mut interface) = (None, None, None);
    for attribute in Attributes::after(body, FIXED) {
        match attribute? {
            (RTA_DST, value) => next = Some(ip(value)?),
            (RTA_GATEWAY, value) => via = Some(ip(value)?),
            (RTA_OIF, value) => interface = Some(number(value, 0)?),
            _ => {}
        }
    }
    Ok(interface.zip(via.or(next)).map(|(interface, next)| Way { interface, next }))
}

impl Route {
    /// A route of the main table that does not say yet where to.
    pub fn to(destination: Network) -> Route {
        Route {
            destination,
            kind: RouteKind::Unicast,
            via: None,
            interface: None,
            source: None,
            table: MAIN,
            metric: 0,
            scope: Scope::GLOBAL,
            onlink: false,
            protocol: STATIC,
        }
    }

    pub(crate) fn add<'a>(&self, requests: &'a mut Requests) -> &'a mut Requests {
        requests.begin(NEW_ROUTE, CREATE, &self.fixed(self.scope));
        self.attributes(requests)
    }

    /// The scope that the kernel shows is not always the one that was asked for; nowhere stands for any.
    pub(crate) fn remove<'a>(&self, requests: &'a mut Requests) -> &'a mut Requests {
        requests.begin(DELETE_ROUTE, CHANGE, &self.fixed(Scope::NOWHERE));
        self.attributes(requests)
    }

    /// Whether one that the kernel lists is what was asked for here.
    pub(crate) fn is_met_by(&self, listed: &Route) -> bool {
        let same_way = self.via == listed.via && self.source.is_none_or(|source| listed.source == Some(source));
        self.has_key_of(listed)
            && self.kind == listed.kind
            && same_way
            && self.interface.is_none_or(|index| listed.interface == Some(index))
    }

    /// Whether the kernel would take one for the other.
    pub(crate) fn has_key_of(&self, listed: &Route) -> bool {
        self.destination == listed.destination
            && self.table == listed.table
            && (self.metric == 0 || self.metric == listed.metric)
    }

    fn fixed(&self, scope: Scope) -> [u8; FIXED] {
        let mut fixed = [0; FIXED];
        fixed[0] = family(self.destination.address());
        fixed[1] = self.destination.prefix();
        // RT_TABLE_UNSPEC stands for the number in RTA_TABLE, which larger ones need.
        fixed[4] = u8::try_from(self.table).unwrap_or(0);
        fixed[5] = self.protocol;
        fixed[6] = scope.0;
        fixed[7] = self.kind.number();
        fixed[8..].copy_from_slice(&if self.onlink { RTNH_F_ONLINK } else { 0 }.to_ne_bytes());
        fixed
    }

    fn attributes<'a>(&self, requests: &'a mut Requests) -> &'a mut Requests {
        if self.destination.prefix() > 0 {
            requests.ip(RTA_DST, self.destination.address());
        }
        requests.number(RTA_TABLE, self.table);
        match self.via {
            Some(via) if via.is_ipv4() == self.destination.address().is_ipv4() => {
                requests.ip(RTA_GATEWAY, via);
            }
            Some(via) => {
                requests.attribute(RTA_VIA, &other_family(via));
            }
            None => {}
        }
        if let Some(index) = self.interface {
            requests.number(RTA_OIF, index);
        }
        if let Some(source) = self.source {
            requests.ip(RTA_PREFSRC, source);
        }
        if self.metric != 0 {
            requests.number(RTA_PRIORITY, self.metric);
        }
        requests
    }
}

impl fmt::Display for Route {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the route to {}/{}", self.destination.address(), self.destination.prefix())?;
        if let Some(via) = self.via {
            write!(formatter, " via {via}")?;
        }
        if self.table != MAIN {
            write!(formatter, " of table {}", self.table)?;
        }
        Ok(())
    }
}

/// A router of the other family than the route's: struct rtvia, family and address.
fn other_family(via: IpAddr) -> Vec<u8> {
    let mut value = u16::from(family(via)).to_ne_bytes().to_vec();
    match via {
        IpAddr::V4(v4) => value.extend_from_slice(&v4.octets()),
        IpAddr::V6(v6) => value.extend_from_slice(&v6.octets()),
    }
    value
}

/// The network of `prefix` bits, everything if there is no address.
pub(crate) fn network(family: u8, address: Option<IpAddr>, prefix: u8) -> Result<Network, Malformed> {
    let everything = if family == IPV4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    Network::new(address.unwrap_or(everything), prefix).map_err(|_| Malformed)
}

/// `None` for families that are not ours, and for what stands in no table.
pub(crate) fn parse(body: &[u8]) -> Result<Option<Route>, Malformed> {
    let family = byte(body, 0)?;
    let flags = number(body, 8)?;
    if !matches!(family, IPV4 | IPV6) || flags & RTM_F_CLONED != 0 {
        return Ok(None);
    }
    let (mut destination, mut via, mut interface, mut source) = (None, None, None, None);
    let (mut table, mut metric) = (u32::from(byte(body, 4)?), 0);
    for attribute in Attributes::after(body, FIXED) {
        match attribute? {
            (RTA_DST, value) => destination = Some(ip(value)?),
            (RTA_GATEWAY, value) => via = Some(ip(value)?),
            (RTA_VIA, value) => via = Some(ip(value.get(2..).ok_or(Malformed)?)?),
            (RTA_OIF, value) => interface = Some(number(value, 0)?),
            (RTA_PREFSRC, value) => source = Some(ip(value)?),
            (RTA_TABLE, value) => table = number(value, 0)?,
            (RTA_PRIORITY, value) => metric = number(value, 0)?,
            _ => {}
        }
    }
    Ok(Some(Route {
        destination: network(family, destination, byte(body, 1)?)?,
        kind: RouteKind::from_number(byte(body, 7)?),
        via,
        interface,
        source,
        table,
        metric,
        scope: Scope(byte(body, 6)?),
        onlink: flags & RTNH_F_ONLINK != 0,
        protocol: byte(body, 5)?,
    }))
}
