//! Adverts that have come.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::ops::Bound;
use std::time::Duration;

use units::Instant;
use vrrp_proto::{Meta, Priority, Refusal, State, parse};

use super::Drive;
use crate::clock;
use crate::ground::Scope;
use crate::router::{Heard, Refused};

/// Adverts of one socket that are read before our own are looked after.
const BATCH: usize = 32;

/// Adverts that are read before timers are looked at, however many more have come. More than a socket's room holds, so
/// that whatever had come before a timer ran out is read before it is obeyed.
const BATCHES: usize = 128;

/// Other routers' adverts that are looked at, of each socket in each [`STRANGERS_PAUSE`].
const STRANGERS_BATCH: usize = 8;

/// See [`STRANGERS_BATCH`].
const STRANGERS_PAUSE: Duration = Duration::from_millis(200);

/// Named peers may be behind routers, and keepalived sends to them over IPv6 with the kernel's own hop limit.
const UNICAST_TTL_MIN: u8 = 1;

/// Another virtual router's advert.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stranger {
    pub(super) from: IpAddr,
    pub(super) last: Instant,
}

impl Drive {
    /// All that has come by now, within bounds.
    pub(super) fn hear(&mut self) {
        for _ in 0..BATCHES {
            let Some(scope) = next_ready(&self.ports, self.heard, |port| port.ready) else {
                return;
            };
            self.heard = Some(scope);
            self.hear_batch(scope);
            let now = clock::now();
            self.fire_adverts(now);
        }
        // More is there, and is read the next time: the socket is ready still.
        for port in self.ports.values_mut() {
            port.ready = false;
        }
    }

    fn hear_batch(&mut self, scope: Scope) {
        for _ in 0..BATCH {
            if !self.hear_one(scope) {
                if let Some(port) = self.ports.get_mut(&scope) {
                    port.ready = false;
                }
                return;
            }
        }
    }

    /// `false`: there are no more, or the socket is broken, of which netlink will tell.
    fn hear_one(&mut self, scope: Scope) -> bool {
        let Some(port) = self.ports.get(&scope) else {
            return false;
        };
        let mut buffer = std::mem::take(&mut self.packet);
        let packet = match port.sockets.ours.receive(&mut buffer[..]) {
            Ok(Some(packet)) => packet,
            Ok(None) => {
                self.packet = buffer;
                return false;
            }
            Err(error) => {
                self.packet = buffer;
                // Behind one that is no packet there may be others.
                return error.kind() == io::ErrorKind::InvalidData;
            }
        };
        let now = clock::now();
        let vip = packet.payload.get(1).and_then(|&vrid| port.vips[usize::from(vrid)]).map(usize::from);
        let meta =
            Meta { source: packet.source, destination: packet.destination, ttl: packet.ttl, ttl_min: UNICAST_TTL_MIN };
        match (parse(packet.payload, &meta), vip) {
            (Err(error), Some(vip)) => self.vips[vip].counts.malformed[error as usize] += 1,
            (Err(error), None) => self.counts.malformed[error as usize] += 1,
            (Ok(_), None) => self.counts.refused[Refusal::Vrid as usize] += 1,
            (Ok(advert), Some(vip)) => {
                let (squad, member) = (self.vips[vip].squad, self.vips[vip].member);
                let heard = self
                    .with_group(squad, now, |group, actions| group.handle_advert(now, member, &advert, &meta, actions));
                self.remember(vip, meta.source, advert.priority, heard, now);
            }
        }
        self.packet = buffer;
        true
    }

    /// For the report.
    fn remember(&mut self, vip: usize, from: IpAddr, priority: Priority, heard: Result<(), Refusal>, now: Instant) {
        let running = &mut self.vips[vip];
        if let Err(refusal) = heard {
            running.counts.refused[refusal as usize] += 1;
            if refusal != Refusal::NotListening {
                running.refused_last = Some(Refused { refusal, from, last: now });
                return;
            }
        } else {
            running.counts.received += 1;
        }
        // Who is active is worth knowing for one that takes no part as well.
        running.last_heard = Some(now);
        let state = self.squads[running.squad].group.members()[running.member].state();
        if priority == Priority::LEAVING {
            running.active = None;
            running.rival = None;
        } else if state == State::Active {
            match &mut running.rival {
                Some(rival) if rival.from == from => (rival.last, rival.priority) = (now, priority),
                rival => {
                    let first_unix_ms = clock::unix_ms();
                    *rival = Some(Heard { from, priority, first_unix_ms, first: now, last: now });
                }
            }
        } else {
            running.active = Some((from, priority.get()));
        }
    }

    /// Few of them, and seldom: that they are there is what matters, and the kernel counts the rest.
    pub(super) fn hear_strangers(&mut self, now: Instant) {
        if now < self.strangers_at {
            return;
        }
        self.strangers_at = now + STRANGERS_PAUSE;
        for port in self.ports.values_mut() {
            let Some(socket) = &port.sockets.strangers else { continue };
            for _ in 0..STRANGERS_BATCH {
                let Ok(Some(packet)) = socket.receive(&mut self.packet[..]) else { break };
                let meta = Meta {
                    source: packet.source,
                    destination: packet.destination,
                    ttl: packet.ttl,
                    ttl_min: UNICAST_TTL_MIN,
                };
                match parse(packet.payload, &meta) {
                    Err(error) => self.counts.malformed[error as usize] += 1,
                    Ok(advert) => {
                        self.counts.refused[Refusal::Vrid as usize] += 1;
                        // 255 numbers there are.
                        port.strangers.insert(advert.vrid.get(), Stranger { from: meta.source, last: now });
                    }
                }
            }
        }
    }
}

/// The next in turn: a flood on one network keeps none of another from being heard.
fn next_ready<T>(ports: &BTreeMap<Scope, T>, last: Option<Scope>, is_ready: impl Fn(&T) -> bool) -> Option<Scope> {
    let after = ports.range((last.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded));
    after.chain(ports).find(|(_, port)| is_ready(port)).map(|(scope, _)| *scope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_heard_in_turns() {
        let scope = |interface| Scope::Group(interface, true);
        let ports = BTreeMap::from([(scope(1), true), (scope(2), true), (scope(3), false), (scope(4), true)]);
        let mut last = None;
        let mut heard = Vec::new();
        for _ in 0..5 {
            last = next_ready(&ports, last, |&ready| ready);
            heard.push(last);
        }
        assert_eq!(heard, [1, 2, 4, 1, 2].map(|interface| Some(scope(interface))));
        assert_eq!(next_ready(&ports, Some(scope(9)), |&ready| ready), Some(scope(1)));
        assert_eq!(next_ready(&ports, last, |_| false), None);
    }
}
