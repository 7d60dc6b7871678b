//! What is in the kernel, and whether that is as this engine makes it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use forward_plan::{Endpoint, Key, Method, Persistence, Scheduler, Settings};
use netlink::nft::{Element, Family, NewElement, Nft};
use netlink::{Error, Way};

use super::TABLE;
use super::built::{Built, Member};
use super::draw::{self, digest, header};
use crate::Count;

/// A table of ours as it is: comments of each chain's rules, and elements of each map but of those that packets change.
#[derive(Debug, Default)]
pub(super) struct Seen {
    chains: BTreeMap<String, Vec<Option<String>>>,
    maps: BTreeMap<String, Vec<NewElement>>,
}

/// What maps that packets change are called after.
const PINS: &str = "pins-";

impl Seen {
    /// The table of this family; `None` if there is none, or an empty one.
    pub(super) fn read(nft: &mut Nft, family: Family) -> Result<Option<Seen>, Error> {
        let mut seen = Seen::default();
        for chain in nft.chains(family, TABLE)? {
            seen.chains.insert(chain.name, Vec::new());
        }
        for set in nft.sets(family, TABLE)? {
            let elements =
                if set.name.starts_with(PINS) { Vec::new() } else { nft.elements(family, TABLE, &set.name)? };
            let plain = |element: Element| {
                let Element { key, data, comment, .. } = element;
                NewElement { key, data, comment }
            };
            seen.maps.insert(set.name, elements.into_iter().map(plain).collect());
        }
        if seen.chains.is_empty() && seen.maps.is_empty() {
            // Without anything in it, it is in nobody's way, and makes no difference.
            return Ok(None);
        }
        for rule in nft.rules(family, TABLE)? {
            seen.chains.entry(rule.chain).or_default().push(rule.comment);
        }
        Ok(Some(seen))
    }
}

/// The services, and the links whose frames are looked at; `None` if anything is not as this engine makes it.
pub(super) fn understand(seen: &BTreeMap<Family, Seen>) -> Option<(BTreeMap<Key, Built>, BTreeSet<String>)> {
    let (mut services, mut devices) = (BTreeMap::new(), BTreeSet::new());
    for (family, table) in seen {
        for (chain, rules) in &table.chains {
            if let Some(device) = draw::device_of(chain) {
                devices.insert(device.to_owned());
            }
            let Some(built) = rules.first().and_then(Option::as_deref).and_then(parse_header) else { continue };
            if built.name() == *chain && draw::family_of(&built) == *family {
                services.insert(built.key, members(built, table)?);
            }
        }
    }
    let mut expected: BTreeMap<Family, Seen> = seen.keys().map(|family| (*family, Seen::default())).collect();
    for ((family, chain), rules) in draw::dispatches(&services, &devices) {
        if let Some(table) = expected.get_mut(&family) {
            table.chains.insert(chain, rules.iter().map(|rule| Some(digest(rule))).collect());
        }
    }
    for built in services.values() {
        let table = expected.get_mut(&draw::family_of(built))?;
        let rules = built.rules();
        let comments = std::iter::once(header(built)).chain(rules.iter().map(|rule| digest(rule)));
        table.chains.insert(built.name(), comments.map(Some).collect());
        table.maps.extend(built.sets().into_iter().map(|set| (set.name, Vec::new())));
        table.maps.extend(built.elements());
    }
    let same = seen.iter().all(|(family, table)| expected[family].is_like(table));
    (same && services.values().all(Built::is_settled)).then_some((services, devices))
}

impl Seen {
    fn is_like(&self, other: &Seen) -> bool {
        let sorted = |elements: &[NewElement]| {
            let mut elements = elements.to_vec();
            elements.sort_by(|one, other| one.key.cmp(&other.key));
            elements
        };
        let same_elements = |(name, elements): (&String, &Vec<NewElement>)| {
            other.maps.get(name).is_some_and(|known| sorted(known) == sorted(elements))
        };
        self.chains == other.chains && self.maps.len() == other.maps.len() && self.maps.iter().all(same_elements)
    }
}

/// What [`header`] wrote.
fn parse_header(comment: &str) -> Option<Built> {
    let (method, rest) = comment.split_once(' ')?;
    let (scheduler, rest) = rest.split_once(' ')?;
    let methods = [Method::Nat, Method::Masquerade, Method::Direct];
    let method = methods.into_iter().find(|known| known.as_str() == method)?;
    let scheduler = Scheduler::ALL.into_iter().find(|known| known.as_str() == scheduler)?;
    let (key, persistence) = match rest.parse::<Key>() {
        Ok(key) => (key, None),
        Err(_) => {
            let (key, persistence) = rest.rsplit_once(' ')?;
            let (seconds, prefix) = persistence.split_once("s/")?;
            let persistence = Persistence { seconds: seconds.parse().ok()?, prefix: prefix.parse().ok()? };
            (key.parse().ok()?, Some(persistence))
        }
    };
    Some(Built::new(key, Settings { scheduler, persistence }, method))
}

/// The service with what its maps say.
fn members(mut built: Built, table: &Seen) -> Option<Built> {
    let slots: BTreeMap<u32, &Vec<u8>> = table
        .maps
        .get(&built.slots_map())?
        .iter()
        .map(|slot| Some((number(&slot.key)?, &slot.data)))
        .collect::<Option<_>>()?;
    let ways: BTreeSet<&Vec<u8>> = slots.values().copied().collect();
    let ways: Vec<Way> = ways.into_iter().filter_map(|place| way(place)).collect();
    for (number, server) in (0..).zip(table.maps.get(&built.weights_map())?) {
        let endpoint: Endpoint = server.comment.as_deref()?.parse().ok()?;
        let weight = u16::try_from(self::number(&server.data)?).ok()?;
        // Of one without slots it is asked for soon.
        let way = match built.method {
            Method::Direct => ways.iter().find(|way| way.next == endpoint.address).copied(),
            _ => None,
        };
        built.members.insert(endpoint, Member { number, weight, way });
    }
    let numbers: BTreeMap<Vec<u8>, u32> = built.places().into_iter().map(|(number, place)| (place, number)).collect();
    built.slots = slots.into_values().map(|place| numbers.get(place).copied()).collect::<Option<_>>()?;
    Some(built)
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_ne_bytes)
}

fn way(data: &[u8]) -> Option<Way> {
    let (interface, next) = data.split_at_checked(4)?;
    let next = match next.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(next).ok()?),
        _ => IpAddr::from(<[u8; 16]>::try_from(next).ok()?),
    };
    Some(Way { interface: number(interface)?, next })
}

/// What the service's destinations have had; `open` are tracked connections, active and others.
pub(super) fn counts(
    nft: &mut Nft,
    built: &Built,
    open: &BTreeMap<(Key, Endpoint), (u64, u64)>,
    counts: &mut Vec<Count>,
) -> Result<(), Error> {
    let family = draw::family_of(built);
    let direct = built.method == Method::Direct;
    let mut found: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    let places = built.places();
    if direct {
        for pin in nft.elements(family, TABLE, &built.pins_map())? {
            *found.entry(pin.data).or_default() += 1;
        }
    } else {
        let servers = nft.elements(family, TABLE, &built.servers_map())?;
        found.extend(servers.into_iter().map(|server| (server.key, server.packets)));
    }
    for (endpoint, member) in &built.members {
        let place = places.get(&member.number).cloned().unwrap_or_default();
        let key = if direct { place } else { built.server_key(endpoint) };
        let found = found.get(&key).copied().unwrap_or_default();
        let tracked = open.get(&(built.key, *endpoint)).copied().unwrap_or_default();
        let (active, inactive) = if direct { (found, 0) } else { tracked };
        counts.push(Count {
            key: built.key,
            endpoint: *endpoint,
            active,
            inactive,
            // What is not tracked is not counted one by one.
            connections: (!direct).then_some(found),
            packets_in: None,
            packets_out: None,
            bytes_in: None,
            bytes_out: None,
        });
    }
    Ok(())
}

/// The elements of what is remembered that lead to one of these places.
pub(super) fn pins_to(nft: &mut Nft, built: &Built, places: &BTreeSet<Vec<u8>>) -> Result<Vec<NewElement>, Error> {
    let pins = nft.elements(draw::family_of(built), TABLE, &built.pins_map())?;
    let there = pins.into_iter().filter(|pin| places.contains(&pin.data));
    Ok(there.map(|pin| NewElement { key: pin.key, data: Vec::new(), comment: None }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_chain_says_of_its_service_is_read_again() {
        for text in [
            "nat round-robin tcp 192.0.2.1:80",
            "direct maglev udp [2001:db8::1]:53 50s/64",
            "masquerade rr mark 5 ipv6",
            "nat source-hash mark 5 360s/24",
        ] {
            assert_eq!(header(&parse_header(text).unwrap()), text);
        }
        for text in ["", "nat", "nat round-robin", "nat round-robin tcp 192.0.2.1", "tunnel rr mark 5"] {
            assert_eq!(parse_header(text), None, "{text}");
        }
    }
}
