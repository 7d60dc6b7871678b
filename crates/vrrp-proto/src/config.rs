use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU8;
use std::time::Duration;

use crate::{ADDRESSES_MAX, Addresses, Family, Priority, Protocol, Vrid};

/// Adverts that a backup misses before it takes over (RFC 3768 §6.1, RFC 9568 §6.1).
const DOWN_ADVERTS: NonZeroU8 = NonZeroU8::new(3).expect("it is 3");

/// Addresses of one family, for an advert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressList {
    /// IPv4.
    V4(Vec<[u8; 4]>),
    /// IPv6; the first should be link-local (RFC 9568 §5.2.9).
    V6(Vec<[u8; 16]>),
}

impl AddressList {
    /// Those of `addresses`, in their order.
    ///
    /// # Errors
    /// If one is not of `family`, or they are more than [`ADDRESSES_MAX`].
    pub fn new(family: Family, addresses: &[IpAddr]) -> Result<AddressList, ConfigError> {
        if addresses.len() > ADDRESSES_MAX {
            return Err(ConfigError::TooManyAddresses);
        }
        let list = match family {
            Family::V4 => {
                let each = addresses.iter().map(|address| match address {
                    IpAddr::V4(address) => Some(address.octets()),
                    IpAddr::V6(_) => None,
                });
                each.collect::<Option<_>>().map(AddressList::V4)
            }
            Family::V6 => {
                let each = addresses.iter().map(|address| match address {
                    IpAddr::V4(_) => None,
                    IpAddr::V6(address) => Some(address.octets()),
                });
                each.collect::<Option<_>>().map(AddressList::V6)
            }
        };
        list.ok_or(ConfigError::Family)
    }

    fn put_link_local_first(&mut self) {
        if let AddressList::V6(list) = self
            && let Some(index) = list.iter().position(|&bytes| Ipv6Addr::from(bytes).is_unicast_link_local())
        {
            list[..=index].rotate_right(1);
        }
    }

    /// As an advert has them.
    pub fn as_addresses(&self) -> Addresses<'_> {
        match self {
            AddressList::V4(list) => Addresses::V4(list),
            AddressList::V6(list) => Addresses::V6(list),
        }
    }
}

/// Whether addresses are taken back from a lower priority. The owner always does, and from
/// [`Priority::LAST_RESORT`] everyone does at once: who says it cannot serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preempt {
    /// Whoever has them keeps them.
    No,
    /// Once a lower priority has been active for so long.
    After(Duration),
}

/// Who gets the adverts, and whose are heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peers {
    /// All on the network, by multicast.
    Multicast,
    /// These alone.
    Unicast(Vec<IpAddr>),
}

/// How often the network is told where the addresses are: rounds of gratuitous ARP or unsolicited neighbour
/// advertisements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnouncePolicy {
    /// Packets of a round for each address.
    pub repeat: u8,
    /// From the first round to the second; `None`: there is no second.
    pub again: Option<Duration>,
    /// As `repeat`, after another one that believed to be active was heard.
    pub heal_repeat: u8,
    /// As `again`, then.
    pub heal_again: Option<Duration>,
    /// Between further rounds while active; `None`: there are none.
    pub refresh: Option<Duration>,
    /// Packets of such a round for each address.
    pub refresh_repeat: u8,
}

impl Default for AnnouncePolicy {
    /// keepalived's: five packets, five more after five seconds, and no refresh.
    fn default() -> AnnouncePolicy {
        let again = Some(Duration::from_secs(5));
        AnnouncePolicy { repeat: 5, again, heal_repeat: 5, heal_again: again, refresh: None, refresh_repeat: 1 }
    }
}

/// What a virtual router is to be, as it is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The same on all routers.
    pub vrid: Vrid,
    /// Before trackers; [`Priority::OWNER`] becomes active at once and is moved by no tracker.
    pub priority: Priority,
    /// The version.
    pub protocol: Protocol,
    /// This router's primary address, which adverts come from.
    pub source: IpAddr,
    /// The addresses that adverts name.
    pub addresses: AddressList,
    /// Who hears.
    pub peers: Peers,
    /// Whether they are taken back.
    pub preempt: Preempt,
    /// Adverts missed before taking over.
    pub down_adverts: NonZeroU8,
    /// From the start to the first listening: for a network that is not ready when its link is.
    pub startup_delay: Duration,
    /// Whether a lower priority that believes to be active is answered at once (RFC 9568 §6.4.3), not at the next advert.
    pub answer_lower: bool,
    /// Where the addresses are.
    pub announce: AnnouncePolicy,
}

impl Settings {
    /// With everything else as it usually is.
    pub fn new(vrid: Vrid, protocol: Protocol, source: IpAddr, addresses: AddressList) -> Settings {
        Settings {
            vrid,
            priority: Priority::DEFAULT,
            protocol,
            source,
            addresses,
            peers: Peers::Multicast,
            preempt: Preempt::After(Duration::ZERO),
            down_adverts: DOWN_ADVERTS,
            startup_delay: Duration::ZERO,
            answer_lower: true,
            announce: AnnouncePolicy::default(),
        }
    }
}

/// Settings that a [`crate::VirtualRouter`] can run with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config(Settings);

/// Why there can be no such virtual router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConfigError {
    /// Addresses, source and peers are not of one family.
    Family,
    /// Version 2 is of IPv4.
    Version,
    /// More than [`ADDRESSES_MAX`].
    TooManyAddresses,
    /// Version 3 does not do without an address (RFC 9568 §5.2.5).
    NoAddress,
    /// A priority of 0.
    Priority,
}

impl ConfigError {
    /// A stable name.
    pub const fn reason(self) -> &'static str {
        match self {
            ConfigError::Family => "config_family",
            ConfigError::Version => "config_version",
            ConfigError::TooManyAddresses => "config_too_many_addresses",
            ConfigError::NoAddress => "config_no_address",
            ConfigError::Priority => "config_priority",
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            ConfigError::Family => "the addresses, the source and the peers are not of one family",
            ConfigError::Version => "version 2 has no IPv6",
            ConfigError::TooManyAddresses => "an advert has 255 addresses at most",
            ConfigError::NoAddress => "version 3 needs an address",
            ConfigError::Priority => "a priority is 1 at least",
        })
    }
}

impl Config {
    /// Checked once, here. Of IPv6 addresses a link-local one becomes the first, if there is one (RFC 9568 §5.2.9).
    ///
    /// # Errors
    /// If the settings contradict each other.
    pub fn new(mut settings: Settings) -> Result<Config, ConfigError> {
        settings.addresses.put_link_local_first();
        let addresses = settings.addresses.as_addresses();
        let family = addresses.family();
        let peers = match &settings.peers {
            Peers::Multicast => &[][..],
            Peers::Unicast(peers) => peers,
        };
        if peers.iter().chain([&settings.source]).any(|&address| Family::of(address) != family) {
            return Err(ConfigError::Family);
        }
        if settings.priority == Priority::LEAVING {
            return Err(ConfigError::Priority);
        }
        if addresses.count() > ADDRESSES_MAX {
            return Err(ConfigError::TooManyAddresses);
        }
        match settings.protocol {
            Protocol::V2 { .. } if family == Family::V6 => Err(ConfigError::Version),
            Protocol::V3 { .. } if addresses.count() == 0 => Err(ConfigError::NoAddress),
            _ => Ok(Config(settings)),
        }
    }

    /// What was written down.
    pub fn settings(&self) -> &Settings {
        &self.0
    }

    pub(crate) fn is_owner(&self) -> bool {
        self.0.priority == Priority::OWNER
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Centiseconds, Checksum};

    const V3: Protocol = Protocol::V3 { interval: Centiseconds::MAX, checksum: Checksum::Message };
    const V2: Protocol = Protocol::V2 { seconds: NonZeroU8::MIN, password: None };

    fn settings(protocol: Protocol, source: &str, addresses: &[&str]) -> Settings {
        let source: IpAddr = source.parse().unwrap();
        let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let list = AddressList::new(Family::of(source), &addresses).unwrap();
        Settings::new(Vrid::new(1).unwrap(), protocol, source, list)
    }

    #[test]
    fn what_contradicts_itself_does_not_run() {
        let ok = settings(V3, "10.0.0.1", &["10.0.0.9"]);
        assert!(Config::new(ok.clone()).is_ok());
        assert!(Config::new(settings(V3, "fe80::1", &["fe80::9", "2001:db8::9"])).is_ok());
        assert!(Config::new(settings(V2, "10.0.0.1", &[])).is_ok());
        let v6: IpAddr = "fe80::1".parse().unwrap();
        let table = [
            (settings(V2, "fe80::1", &["fe80::9"]), ConfigError::Version),
            (settings(V3, "10.0.0.1", &[]), ConfigError::NoAddress),
            (Settings { source: v6, ..ok.clone() }, ConfigError::Family),
            (Settings { peers: Peers::Unicast(vec![ok.source, v6]), ..ok.clone() }, ConfigError::Family),
            (Settings { priority: Priority::LEAVING, ..ok.clone() }, ConfigError::Priority),
            (Settings { addresses: AddressList::V4(vec![[1; 4]; 256]), ..ok }, ConfigError::TooManyAddresses),
        ];
        for (wrong, expected) in table {
            assert_eq!(Config::new(wrong).unwrap_err(), expected);
        }
    }

    /// RFC 9568 §5.2.9; the others keep their order.
    #[test]
    fn a_link_local_address_is_sent_first() {
        let order = |addresses: &[&str]| {
            let config = Config::new(settings(V3, "fe80::1", addresses)).unwrap();
            config.settings().addresses.as_addresses().iter().map(|each| each.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            order(&["2001:db8::1", "2001:db8::2", "fe80::9", "fe80::8"]),
            ["fe80::9", "2001:db8::1", "2001:db8::2", "fe80::8"]
        );
        assert_eq!(order(&["2001:db8::1", "2001:db8::2"]), ["2001:db8::1", "2001:db8::2"]);
    }

    #[test]
    fn a_list_is_of_one_family_and_255_addresses() {
        let v4: IpAddr = "10.0.0.1".parse().unwrap();
        let v6: IpAddr = "fe80::1".parse().unwrap();
        assert_eq!(AddressList::new(Family::V4, &[v4, v6]), Err(ConfigError::Family));
        assert_eq!(AddressList::new(Family::V6, &[v4, v6]), Err(ConfigError::Family));
        assert_eq!(AddressList::new(Family::V4, &[v4; 255]).unwrap().as_addresses().count(), 255);
        assert_eq!(AddressList::new(Family::V4, &[v4; 256]), Err(ConfigError::TooManyAddresses));
    }
}
