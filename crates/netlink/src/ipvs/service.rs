use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::counters::{self, Counters};
use crate::codec::{Attributes, IPV4, IPV6, Malformed, Requests, number, short, text};
use crate::setting::Family;

/// IPVS_SVC_ATTR_*.
const FAMILY: u16 = 1;
const PROTOCOL: u16 = 2;
const ADDRESS: u16 = 3;
const PORT: u16 = 4;
const MARK: u16 = 5;
const SCHEDULER: u16 = 6;
const FLAGS: u16 = 7;
const TIMEOUT: u16 = 8;
const NETMASK: u16 = 9;
const STATS: u16 = 10;
const ENGINE: u16 = 11;
const STATS64: u16 = 12;

/// IP_VS_SVC_F_*.
const PERSISTENT: u32 = 0x01;
const ONE_PACKET: u32 = 0x04;
const SCHEDULER_FLAGS: [u32; 3] = [0x08, 0x10, 0x20];

/// A protocol above IP that connections are told apart in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// Which packets are a service's: there is one service of each key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Those to an address and port; port 0 is every port that no other service has, and wants persistence.
    Address {
        /// Of this protocol.
        protocol: Protocol,
        /// To this address and port.
        address: SocketAddr,
    },
    /// Those that were marked so, by nftables or iptables, whatever their protocol and port.
    Mark {
        /// Of this family.
        family: Family,
        /// With this mark; 0 is none, and refused.
        mark: u32,
    },
}

/// Clients stay with the destination that they were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Persistence {
    /// For this long without a connection.
    pub seconds: u32,
    /// All clients of a network whose prefix is of this length together: 32 or 128 is each client alone.
    pub prefix: u8,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Which packets are its.
    pub key: Key,
    /// Who chooses a destination: as in `wlc`, the kernel's module `ip_vs_wlc`. At most 15 bytes.
    pub scheduler: String,
    /// What the scheduler makes of its three flags: of `sh` and `mh` the first is another destination when the chosen one is
    /// not to be had, and the second that the client's port counts as well.
    pub scheduler_flags: [bool; 3],
    /// Whether each packet goes where it would as a connection's first: UDP only.
    pub one_packet: bool,
    /// Whether clients stay where they were.
    pub persistence: Option<Persistence>,
    /// What tells clients apart for persistence, instead of their addresses: `sip`.
    pub persistence_engine: Option<String>,
}

/// A service as the kernel lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedService {
    /// What it is.
    pub service: Service,
    /// What went to it.
    pub counters: Counters,
}

impl Protocol {
    /// Its number in IP's header.
    pub fn number(self) -> u16 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Sctp => 132,
        }
    }

    fn parse(number: u16) -> Option<Protocol> {
        [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].into_iter().find(|protocol| protocol.number() == number)
    }
}

impl Key {
    /// The family of the packets.
    pub fn family(&self) -> Family {
        match self {
            Key::Address { address, .. } if address.is_ipv4() => Family::Ipv4,
            Key::Address { .. } => Family::Ipv6,
            Key::Mark { family, .. } => *family,
        }
    }

    pub(super) fn encode(&self, requests: &mut Requests) {
        requests.attribute(FAMILY, &family_number(self.family()).to_ne_bytes());
        match self {
            Key::Address { protocol, address } => {
                requests.attribute(PROTOCOL, &protocol.number().to_ne_bytes());
                encode_address(ADDRESS, address.ip(), requests);
                requests.attribute(PORT, &address.port().to_be_bytes());
            }
            Key::Mark { mark, .. } => {
                requests.number(MARK, *mark);
            }
        }
    }
}

impl Service {
    /// Without persistence and flags.
    pub fn new(key: Key, scheduler: &str) -> Service {
        Service {
            key,
            scheduler: scheduler.to_owned(),
            scheduler_flags: [false; 3],
            one_packet: false,
            persistence: None,
            persistence_engine: None,
        }
    }

    pub(super) fn encode(&self, requests: &mut Requests) {
        self.key.encode(requests);
        requests.text(SCHEDULER, &self.scheduler);
        if let Some(engine) = &self.persistence_engine {
            requests.text(ENGINE, engine);
        }
        // struct ip_vs_flags: the flags, and which of them are said.
        let mut flags = self.flags().to_ne_bytes().to_vec();
        flags.extend_from_slice(&u32::MAX.to_ne_bytes());
        requests.attribute(FLAGS, &flags);
        requests.number(TIMEOUT, self.persistence.map_or(0, |persistence| persistence.seconds));
        let prefix = self.persistence.map_or(u8::MAX, |persistence| persistence.prefix);
        requests.attribute(NETMASK, &netmask(self.key.family(), prefix));
    }

    /// What of the kernel's could be missing for it, for an error.
    pub(super) fn modules(&self) -> String {
        let engine = self.persistence_engine.as_ref().map(|engine| format!(" or no ip_vs_pe_{engine}"));
        let (scheduler, engine) = (&self.scheduler, engine.unwrap_or_default());
        format!("this kernel has no scheduler {scheduler}: no module ip_vs_{scheduler}{engine}")
    }

    fn flags(&self) -> u32 {
        let mut flags = if self.persistence.is_some() { PERSISTENT } else { 0 };
        if self.one_packet {
            flags |= ONE_PACKET;
        }
        for (flag, set) in SCHEDULER_FLAGS.into_iter().zip(self.scheduler_flags) {
            flags |= if set { flag } else { 0 };
        }
        flags
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Address { protocol, address } => write!(formatter, "{protocol} {address}"),
            Key::Mark { family: Family::Ipv4, mark } => write!(formatter, "mark {mark} (IPv4)"),
            Key::Mark { family: Family::Ipv6, mark } => write!(formatter, "mark {mark} (IPv6)"),
        }
    }
}

pub(super) fn family_number(family: Family) -> u16 {
    u16::from(match family {
        Family::Ipv4 => IPV4,
        Family::Ipv6 => IPV6,
    })
}

pub(super) fn parse_family(number: u16) -> Option<Family> {
    match u8::try_from(number).ok()? {
        IPV4 => Some(Family::Ipv4),
        IPV6 => Some(Family::Ipv6),
        _ => None,
    }
}

/// Sixteen bytes for either family (union nf_inet_addr).
pub(super) fn encode_address(kind: u16, ip: IpAddr, requests: &mut Requests) {
    let mut bytes = [0; 16];
    match ip {
        IpAddr::V4(v4) => bytes[..4].copy_from_slice(&v4.octets()),
        IpAddr::V6(v6) => bytes = v6.octets(),
    }
    requests.attribute(kind, &bytes);
}

pub(super) fn parse_address(family: Family, value: &[u8]) -> Result<IpAddr, Malformed> {
    match family {
        Family::Ipv4 => value.first_chunk().map(|&four: &[u8; 4]| Ipv4Addr::from(four).into()),
        Family::Ipv6 => value.first_chunk().map(|&sixteen: &[u8; 16]| Ipv6Addr::from(sixteen).into()),
    }
    .ok_or(Malformed)
}

pub(super) fn parse_port(value: &[u8]) -> Result<u16, Malformed> {
    value.first_chunk().map(|&two| u16::from_be_bytes(two)).ok_or(Malformed)
}

/// Of IPv4 a mask in the network's order, of IPv6 a number of bits in the machine's.
fn netmask(family: Family, prefix: u8) -> [u8; 4] {
    match family {
        Family::Ipv4 => u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0).to_be_bytes(),
        Family::Ipv6 => u32::from(prefix.min(128)).to_ne_bytes(),
    }
}

fn parse_netmask(family: Family, value: &[u8]) -> Result<u8, Malformed> {
    let &four: &[u8; 4] = value.first_chunk().ok_or(Malformed)?;
    let prefix = match family {
        Family::Ipv4 => u32::from_be_bytes(four).leading_ones(),
        Family::Ipv6 => u32::from_ne_bytes(four),
    };
    u8::try_from(prefix).map_err(|_| Malformed)
}

/// `None` of a family or protocol that is not ours.
pub(super) fn parse(nested: &[u8]) -> Result<Option<ListedService>, Malformed> {
    let (mut family, mut protocol, mut address, mut port, mut mark) = (None, None, None, None, None);
    let (mut scheduler, mut engine) = (String::new(), None);
    let (mut flags, mut seconds, mut mask, mut counters) = (0, 0, None, None);
    for attribute in Attributes::after(nested, 0) {
        match attribute? {
            (FAMILY, value) => family = Some(short(value, 0)?),
            (PROTOCOL, value) => protocol = Some(short(value, 0)?),
            (ADDRESS, value) => address = Some(value),
            (PORT, value) => port = Some(parse_port(value)?),
            (MARK, value) => mark = Some(number(value, 0)?),
            (SCHEDULER, value) => scheduler = text(value),
            (ENGINE, value) => engine = Some(text(value)),
            (FLAGS, value) => flags = number(value, 0)?,
            (TIMEOUT, value) => seconds = number(value, 0)?,
            (NETMASK, value) => mask = Some(value),
            (STATS, value) => counters = counters.or(Some(counters::parse(value)?)),
            (STATS64, value) => counters = Some(counters::parse(value)?),
            _ => {}
        }
    }
    let Some(family) = parse_family(family.ok_or(Malformed)?) else {
        return Ok(None);
    };
    let key = match mark.filter(|&mark| mark != 0) {
        Some(mark) => Key::Mark { family, mark },
        None => {
            let Some(protocol) = Protocol::parse(protocol.ok_or(Malformed)?) else {
                return Ok(None);
            };
            let ip = parse_address(family, address.ok_or(Malformed)?)?;
            Key::Address { protocol, address: SocketAddr::new(ip, port.ok_or(Malformed)?) }
        }
    };
    let persistence = match mask {
        Some(mask) if flags & PERSISTENT != 0 => Some(Persistence { seconds, prefix: parse_netmask(family, mask)? }),
        _ => None,
    };
    let service = Service {
        key,
        scheduler,
        scheduler_flags: SCHEDULER_FLAGS.map(|flag| flags & flag != 0),
        one_packet: flags & ONE_PACKET != 0,
        persistence,
        persistence_engine: engine.filter(|engine| !engine.is_empty()),
    };
    Ok(Some(ListedService { service, counters: counters.unwrap_or_default() }))
}
