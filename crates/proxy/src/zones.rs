//! Where clients stand.

use std::net::IpAddr;

use balance::ZoneIndex;
use units::Network;

use crate::config::Zone;

/// All networks of all zones, the longest prefix first.
#[derive(Debug)]
pub(crate) struct Zones(Vec<(Network, ZoneIndex)>);

impl Zones {
    pub(crate) fn new(zones: &[Zone]) -> Zones {
        let mut networks: Vec<_> = zones
            .iter()
            .enumerate()
            .flat_map(|(index, zone)| zone.networks.iter().map(move |network| (*network, ZoneIndex(index as u16))))
            .collect();
        networks.sort_by_key(|(network, _)| std::cmp::Reverse(network.prefix()));
        Zones(networks)
    }

    /// The zone of the narrowest network that holds the address.
    pub(crate) fn of(&self, address: IpAddr) -> Option<ZoneIndex> {
        self.0.iter().find(|(network, _)| network.contains(address)).map(|(_, zone)| *zone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_network_decides() {
        let zone = |name: &str, networks: &[&str]| Zone {
            name: name.to_owned(),
            networks: networks.iter().map(|network| network.parse().unwrap()).collect(),
        };
        let zones = Zones::new(&[
            zone("all", &["10.0.0.0/8", "2001:db8::/32"]),
            zone("island1", &["10.20.1.0/24"]),
            zone("rack", &["10.20.1.64/26"]),
        ]);
        let of = |address: &str| zones.of(address.parse().unwrap()).map(|zone| zone.0);
        assert_eq!(of("10.20.1.1"), Some(1));
        assert_eq!(of("10.20.1.65"), Some(2));
        assert_eq!(of("10.20.2.1"), Some(0));
        assert_eq!(of("::ffff:10.20.1.1"), Some(1));
        assert_eq!(of("2001:db8::1"), Some(0));
        assert_eq!(of("192.0.2.1"), None);
    }
}
