use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a service's packets carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// Ports in a row, none of them 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ports {
    first: u16,
    last: u16,
}

/// Which packets are a service's. No two services have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// Those to an address and port.
    Address {
        /// What they carry.
        protocol: Protocol,
        /// Whom they are for.
        address: IpAddr,
        /// One port, or several.
        ports: Ports,
    },
    /// Those that a firewall has marked, whomever they are for.
    Mark {
        /// The mark.
        mark: NonZeroU32,
        /// Of these addresses.
        family: Family,
    },
}

/// A text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyError;

impl Protocol {
    /// As in an IP header (IANA's protocol numbers).
    pub fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
        }
    }

    /// `tcp` or `udp`.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }
}

impl Family {
    /// An address's.
    pub fn of(address: IpAddr) -> Family {
        if address.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 }
    }

    /// How long an address is, in bits.
    pub fn bits(self) -> u8 {
        match self {
            Family::Ipv4 => 32,
            Family::Ipv6 => 128,
        }
    }
}

impl Ports {
    /// From the first to the last; `None` if the first is 0 or beyond the last.
    pub fn new(first: u16, last: u16) -> Option<Ports> {
        (first > 0 && first <= last).then_some(Ports { first, last })
    }

    /// The first.
    pub fn first(self) -> u16 {
        self.first
    }

    /// The last, which may be the first.
    pub fn last(self) -> u16 {
        self.last
    }

    /// The port, if it is only one.
    pub fn single(self) -> Option<u16> {
        (self.first == self.last).then_some(self.first)
    }

    /// How many there are.
    pub fn count(self) -> u32 {
        u32::from(self.last - self.first) + 1
    }

    /// Whether any port is in both.
    pub fn overlap(self, other: Ports) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl Key {
    /// The family of its packets' addresses.
    pub fn family(&self) -> Family {
        match self {
            Key::Address { address, .. } => Family::of(*address),
            Key::Mark { family, .. } => *family,
        }
    }

    /// The port, if there is only one.
    pub fn port(&self) -> Option<u16> {
        match self {
            Key::Address { ports, .. } => ports.single(),
            Key::Mark { .. } => None,
        }
    }

    /// Whether some packets would be of both.
    pub fn overlaps(&self, other: &Key) -> bool {
        match (self, other) {
            (
                Key::Address { protocol, address, ports },
                Key::Address { protocol: with, address: at, ports: others },
            ) => protocol == with && address == at && ports.overlap(*others),
            (one, other) => one == other,
        }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.single() {
            Some(port) => port.fmt(formatter),
            None => write!(formatter, "{}-{}", self.first, self.last),
        }
    }
}

impl FromStr for Ports {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Ports, KeyError> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |text: &str| text.parse().map_err(|_| KeyError);
        Ports::new(port(first)?, port(last)?).ok_or(KeyError)
    }
}

/// As `tcp 192.0.2.1:80`, `udp [2001:db8::1]:5000-5010`, `mark 5`, `mark 5 ipv6`.
impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Address { protocol, address: IpAddr::V4(address), ports } => {
                write!(formatter, "{} {address}:{ports}", protocol.as_str())
            }
            Key::Address { protocol, address: IpAddr::V6(address), ports } => {
                write!(formatter, "{} [{address}]:{ports}", protocol.as_str())
            }
            Key::Mark { mark, family: Family::Ipv4 } => write!(formatter, "mark {mark}"),
            Key::Mark { mark, family: Family::Ipv6 } => write!(formatter, "mark {mark} ipv6"),
        }
    }
}

impl FromStr for Key {
    type Err = KeyError;

    /// Reads what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Key, KeyError> {
        let (word, rest) = text.split_once(' ').ok_or(KeyError)?;
        let protocol = match word {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "mark" => {
                let (mark, family) = match rest.strip_suffix(" ipv6") {
                    Some(mark) => (mark, Family::Ipv6),
                    None => (rest, Family::Ipv4),
                };
                return Ok(Key::Mark { mark: mark.parse().map_err(|_| KeyError)?, family });
            }
            _ => return Err(KeyError),
        };
        let (address, ports) = rest.rsplit_once(':').ok_or(KeyError)?;
        let address = match address.strip_prefix('[').and_then(|address| address.strip_suffix(']')) {
            Some(inside) => IpAddr::V6(inside.parse().map_err(|_| KeyError)?),
            None => IpAddr::V4(address.parse().map_err(|_| KeyError)?),
        };
        Ok(Key::Address { protocol, address, ports: ports.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_as_an_operator_reads_them_and_read_again() {
        for text in [
            "tcp 192.168.10.100:80",
            "udp 192.168.10.100:8000-8010",
            "tcp [2001:db8::1]:443",
            "udp [2001:db8::1]:1-65535",
            "mark 5",
            "mark 4294967295 ipv6",
        ] {
            assert_eq!(text.parse::<Key>().unwrap().to_string(), text);
        }
        assert_eq!("tcp 10.0.0.1:80-80".parse::<Key>().unwrap().to_string(), "tcp 10.0.0.1:80");
    }

    #[test]
    fn what_is_no_key_is_none() {
        for text in [
            "",
            "tcp",
            "tcp 10.0.0.1",
            "tcp 10.0.0.1:0",
            "tcp 10.0.0.1:9-8",
            "tcp 2001:db8::1:80",
            "mark 0",
            "sctp 10.0.0.1:1",
        ] {
            assert_eq!(text.parse::<Key>(), Err(KeyError), "{text}");
        }
    }

    #[test]
    fn keys_overlap_where_a_packet_would_be_of_both() {
        let key = |text: &str| text.parse::<Key>().unwrap();
        assert!(key("tcp 10.0.0.1:80-90").overlaps(&key("tcp 10.0.0.1:90-91")));
        assert!(!key("tcp 10.0.0.1:80-89").overlaps(&key("tcp 10.0.0.1:90")));
        assert!(!key("tcp 10.0.0.1:80").overlaps(&key("udp 10.0.0.1:80")));
        assert!(!key("tcp 10.0.0.1:80").overlaps(&key("tcp 10.0.0.2:80")));
        assert!(key("mark 5").overlaps(&key("mark 5")));
        assert!(!key("mark 5").overlaps(&key("mark 5 ipv6")));
    }
}
