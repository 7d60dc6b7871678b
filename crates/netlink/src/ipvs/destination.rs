use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::counters::{self, Counters};
use super::service::{encode_address, family_number, parse_address, parse_family, parse_port};
use crate::codec::{Attributes, Malformed, Requests, byte, number, short};
use crate::setting::Family;

/// IPVS_DEST_ATTR_*.
const ADDRESS: u16 = 1;
const PORT: u16 = 2;
const METHOD: u16 = 3;
const WEIGHT: u16 = 4;
const UPPER: u16 = 5;
const LOWER: u16 = 6;
const ACTIVE: u16 = 7;
const INACTIVE: u16 = 8;
const PERSISTENT: u16 = 9;
const STATS: u16 = 10;
const FAMILY: u16 = 11;
const STATS64: u16 = 12;
const TUNNEL_TYPE: u16 = 13;
const TUNNEL_PORT: u16 = 14;
const TUNNEL_FLAGS: u16 = 15;

/// IP_VS_CONN_F_*: the methods' numbers, and what masks them.
const METHOD_MASK: u32 = 0x07;
const NAT: u32 = 0;
const LOCAL: u32 = 1;
const TUNNEL: u32 = 2;
const DIRECT: u32 = 3;

/// Where a destination is: a service has one of each.
pub type Target = SocketAddr;

/// How packets come to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// With its address and port instead of the service's; its answers have to come back through here.
    Nat,
    /// Unchanged, over a link that both are on: it has the service's address itself, without telling so (direct routing).
    Direct,
    /// Unchanged, within packets to it.
    Tunnel(Encapsulation),
    /// It is this machine: kernels before 2.6.37 say so of destinations at its own addresses, whatever method they were given.
    Local,
}

/// How packets go within packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encapsulation {
    /// IP in IP.
    Ipip,
    /// Generic UDP encapsulation (a kernel of 5.3 or later).
    Gue {
        /// To this port.
        port: u16,
        /// How it is summed.
        checksum: Checksum,
    },
    /// GRE (a kernel of 5.3 or later).
    Gre {
        /// How it is summed; remote ones are for the former only.
        checksum: Checksum,
    },
}

/// A tunnel's checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// None.
    None,
    /// Over all.
    Full,
    /// Left to the receiver.
    Remote,
}

/// A destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Where it is. Its port is the service's, or 0 of a mark's, for all methods but NAT.
    pub target: Target,
    /// How packets come to it.
    pub method: Method,
    /// Its share beside the others'; 0: no new connections. More than 2³¹ - 1 is refused.
    pub weight: u32,
    /// From this many connections on it gets no more; 0: without limit.
    pub upper: u32,
    /// Below this many it gets some again; 0: below three quarters of the former.
    pub lower: u32,
}

/// Connections that the kernel remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Connections {
    /// Established, and open at both ends.
    pub active: u32,
    /// In any other state.
    pub inactive: u32,
    /// Clients that are to come back here.
    pub persistent: u32,
}

/// A destination as the kernel lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What it is.
    pub destination: Destination,
    /// Its connections.
    pub connections: Connections,
    /// What went to it.
    pub counters: Counters,
}

impl Destination {
    /// Without thresholds.
    pub fn new(target: Target, method: Method, weight: u32) -> Destination {
        Destination { target, method, weight, upper: 0, lower: 0 }
    }

    pub(super) fn encode(&self, requests: &mut Requests) {
        encode_target(&self.target, requests);
        let (method, tunnel) = match self.method {
            Method::Nat => (NAT, None),
            Method::Local => (LOCAL, None),
            Method::Direct => (DIRECT, None),
            Method::Tunnel(encapsulation) => (TUNNEL, Some(encapsulation)),
        };
        requests.number(METHOD, method).number(WEIGHT, self.weight);
        if let Some(encapsulation) = tunnel {
            let (kind, port, checksum) = match encapsulation {
                Encapsulation::Ipip => (0, 0, Checksum::None),
                Encapsulation::Gue { port, checksum } => (1, port, checksum),
                Encapsulation::Gre { checksum } => (2, 0, checksum),
            };
            let flags: u16 = match checksum {
                Checksum::None => 0,
                Checksum::Full => 1,
                Checksum::Remote => 2,
            };
            requests.attribute(TUNNEL_TYPE, &[kind]);
            requests.attribute(TUNNEL_PORT, &port.to_be_bytes());
            requests.attribute(TUNNEL_FLAGS, &flags.to_ne_bytes());
        }
        requests.number(UPPER, self.upper).number(LOWER, self.lower);
    }
}

/// Which of a service's destinations it is.
pub(super) fn encode_target(target: &Target, requests: &mut Requests) {
    let family = if target.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
    requests.attribute(FAMILY, &family_number(family).to_ne_bytes());
    encode_address(ADDRESS, target.ip(), requests);
    requests.attribute(PORT, &target.port().to_be_bytes());
}

impl fmt::Display for Method {
    /// As `ipvsadm -Ln` has it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Method::Nat => "Masq",
            Method::Local => "Local",
            Method::Direct => "Route",
            Method::Tunnel(_) => "Tunnel",
        })
    }
}

/// `None` of a method or tunnel that is not ours, and of a family that is none.
pub(super) fn parse(nested: &[u8]) -> Result<Option<Listed>, Malformed> {
    let (mut family, mut address, mut port) = (None, None, None);
    let (mut method, mut weight, mut upper, mut lower) = (None, 0, 0, 0);
    let (mut kind, mut tunnel_port, mut flags) = (0, 0, 0);
    let (mut connections, mut counters) = (Connections::default(), None);
    for attribute in Attributes::after(nested, 0) {
        match attribute? {
            (FAMILY, value) => family = Some(short(value, 0)?),
            (ADDRESS, value) => address = Some(value),
            (PORT, value) => port = Some(parse_port(value)?),
            (METHOD, value) => method = Some(number(value, 0)? & METHOD_MASK),
            (WEIGHT, value) => weight = number(value, 0)?,
            (UPPER, value) => upper = number(value, 0)?,
            (LOWER, value) => lower = number(value, 0)?,
            (ACTIVE, value) => connections.active = number(value, 0)?,
            (INACTIVE, value) => connections.inactive = number(value, 0)?,
            (PERSISTENT, value) => connections.persistent = number(value, 0)?,
            (STATS, value) => counters = counters.or(Some(counters::parse(value)?)),
            (STATS64, value) => counters = Some(counters::parse(value)?),
            (TUNNEL_TYPE, value) => kind = byte(value, 0)?,
            (TUNNEL_PORT, value) => tunnel_port = parse_port(value)?,
            (TUNNEL_FLAGS, value) => flags = short(value, 0)?,
            _ => {}
        }
    }
    let Some(family) = parse_family(family.ok_or(Malformed)?) else {
        return Ok(None);
    };
    let ip: IpAddr = parse_address(family, address.ok_or(Malformed)?)?;
    let method = match method.ok_or(Malformed)? {
        NAT => Method::Nat,
        LOCAL => Method::Local,
        DIRECT => Method::Direct,
        TUNNEL => match encapsulation(kind, tunnel_port, flags) {
            Some(encapsulation) => Method::Tunnel(encapsulation),
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    let target = SocketAddr::new(ip, port.ok_or(Malformed)?);
    let destination = Destination { target, method, weight, upper, lower };
    Ok(Some(Listed { destination, connections, counters: counters.unwrap_or_default() }))
}

fn encapsulation(kind: u8, port: u16, flags: u16) -> Option<Encapsulation> {
    let checksum = match flags {
        0 => Checksum::None,
        1 => Checksum::Full,
        2 => Checksum::Remote,
        _ => return None,
    };
    match kind {
        0 => Some(Encapsulation::Ipip),
        1 => Some(Encapsulation::Gue { port, checksum }),
        2 => Some(Encapsulation::Gre { checksum }),
        _ => None,
    }
}
