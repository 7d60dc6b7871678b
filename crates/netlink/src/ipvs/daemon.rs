use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::codec::{Attributes, Malformed, Requests, byte, number, short, text};

/// IPVS_DAEMON_ATTR_*.
const STATE: u16 = 1;
const INTERFACE: u16 = 2;
const ID: u16 = 3;
const LENGTH: u16 = 4;
const GROUP: u16 = 5;
const GROUP6: u16 = 6;
const PORT: u16 = 7;
const TTL: u16 = 8;

/// What a daemon does. A director has the one or the other; the kernel would run both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Tells the others of connections.
    Master,
    /// Hears of them.
    Backup,
}

/// A thread of the kernel's that synchronises connections by multicast. Who sends is not checked: it belongs on a network of
/// the directors' alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// Whether it tells or hears.
    pub role: Role,
    /// Over this link; at most 15 bytes.
    pub interface: String,
    /// Of those that share a group: 0 to 255, and a backup with 0 hears all.
    pub id: u8,
    /// The longest message in bytes; the link's, unless it is said.
    pub length: Option<u16>,
    /// 224.0.0.81, unless it is said.
    pub group: Option<IpAddr>,
    /// 8848, unless it is said.
    pub port: Option<u16>,
    /// How many networks it goes over: 1, unless it is said.
    pub ttl: Option<u8>,
}

impl Role {
    fn number(self) -> u32 {
        match self {
            Role::Master => 1,
            Role::Backup => 2,
        }
    }

    pub(super) fn encode_stop(self, requests: &mut Requests) {
        requests.number(STATE, self.number());
    }
}

impl Daemon {
    pub(super) fn encode(&self, requests: &mut Requests) {
        requests.number(STATE, self.role.number());
        requests.text(INTERFACE, &self.interface);
        requests.number(ID, u32::from(self.id));
        if let Some(length) = self.length {
            requests.attribute(LENGTH, &length.to_ne_bytes());
        }
        match self.group {
            Some(IpAddr::V4(group)) => requests.attribute(GROUP, &group.octets()),
            Some(IpAddr::V6(group)) => requests.attribute(GROUP6, &group.octets()),
            None => requests,
        };
        if let Some(port) = self.port {
            requests.attribute(PORT, &port.to_ne_bytes());
        }
        if let Some(ttl) = self.ttl {
            requests.attribute(TTL, &[ttl]);
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Role::Master => "master of synchronised connections",
            Role::Backup => "backup of synchronised connections",
        })
    }
}

/// `None` of a daemon that does not run.
pub(super) fn parse(nested: &[u8]) -> Result<Option<Daemon>, Malformed> {
    let mut state = 0;
    let mut daemon = Daemon {
        role: Role::Master,
        interface: String::new(),
        id: 0,
        length: None,
        group: None,
        port: None,
        ttl: None,
    };
    for attribute in Attributes::after(nested, 0) {
        match attribute? {
            (STATE, value) => state = number(value, 0)?,
            (INTERFACE, value) => daemon.interface = text(value),
            (ID, value) => daemon.id = u8::try_from(number(value, 0)?).map_err(|_| Malformed)?,
            (LENGTH, value) => daemon.length = Some(short(value, 0)?),
            (GROUP, value) => {
                let &four: &[u8; 4] = value.first_chunk().ok_or(Malformed)?;
                daemon.group = Some(Ipv4Addr::from(four).into());
            }
            (GROUP6, value) => {
                let &sixteen: &[u8; 16] = value.first_chunk().ok_or(Malformed)?;
                daemon.group = Some(Ipv6Addr::from(sixteen).into());
            }
            (PORT, value) => daemon.port = Some(short(value, 0)?),
            (TTL, value) => daemon.ttl = Some(byte(value, 0)?),
            _ => {}
        }
    }
    daemon.role = match state {
        1 => Role::Master,
        2 => Role::Backup,
        _ => return Ok(None),
    };
    Ok(Some(daemon))
}
