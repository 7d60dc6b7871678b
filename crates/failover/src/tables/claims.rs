//! Other machines that have our addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use netlink::LinkKind;

use super::Tables;
use crate::clock;
use crate::message::{Input, Told};
use crate::wanted::Place;
use crate::watch::{self, Guarded};

/// Frames of one interface's watch that are looked at in each turn.
const CLAIMS_BATCH: usize = 64;

/// Between two tellings of one address that another machine has.
const CLAIMS_PAUSE: Duration = Duration::from_secs(1);

impl Tables {
    /// Has sockets that hear who says that our addresses are its own, where there are some.
    pub(super) fn watch_over(&mut self) {
        let mut wanted: BTreeMap<(u32, bool), BTreeSet<IpAddr>> = BTreeMap::new();
        for place in self.wanted.addresses.keys() {
            let link = self.links.iter().find(|link| link.index == place.interface);
            if link.is_some_and(|link| link.kind == LinkKind::Ethernet && !link.no_arp) {
                wanted.entry((place.interface, place.ip.is_ipv4())).or_default().insert(place.ip);
            }
        }
        let mut old = std::mem::take(&mut self.watches);
        for ((interface, v4), addresses) in wanted {
            let guarded = Guarded { interface, v4, addresses };
            match old.iter().position(|(known, _)| *known == guarded) {
                Some(known) => self.watches.push(old.swap_remove(known)),
                None => match watch::open(&guarded) {
                    Ok(socket) => self.watches.push((guarded, socket)),
                    Err(error) => self.trouble(format!("watching who has our addresses: {error}")),
                },
            }
        }
    }

    /// Other machines that have our addresses; each is told of once in a while.
    pub(super) fn hear_claims(&mut self) {
        let mut buffer = [0; 256];
        let mut heard = Vec::new();
        for (_, socket) in &self.watches {
            for _ in 0..CLAIMS_BATCH {
                let Ok(Some(frame)) = socket.receive(&mut buffer) else { break };
                heard.extend(watch::claim(frame.link, frame.bytes));
            }
        }
        let now = clock::now();
        for (ip, by) in heard {
            let is_ours = self.links.iter().any(|link| link.hardware.bytes() == by.bytes());
            let places: BTreeSet<Place> =
                self.wanted.addresses.keys().filter(|place| place.ip == ip).copied().collect();
            if is_ours || places.is_empty() {
                continue;
            }
            // Those of addresses that are not wanted any more are forgotten with the next one.
            self.claims.retain(|known, _| self.wanted.addresses.keys().any(|place| place.ip == *known));
            let (told, times) = self.claims.entry(ip).or_insert((None, 0));
            *times += 1;
            if told.is_none_or(|told| now.since(told) >= CLAIMS_PAUSE) {
                *told = Some(now);
                let times = std::mem::take(times);
                let vips = self.owners_of(&places);
                self.out.say(Input::Told(Told::Claimed { number: self.number, vips, ip, by, times }));
            }
        }
    }
}
