//! Where addresses are, as hosts say by ARP and neighbour discovery.

use std::collections::BTreeMap;
use std::net::IpAddr;

use units::Instant;

use super::Network;
use super::router::{Finding, Followed, Member};
use super::words::Span;
use crate::Kind;
use crate::frame::{Hardware, Neighbour, NeighbourSaid};

/// Addresses of which it is remembered where they are. Of more, who was heard of longest ago is forgotten.
pub(crate) const PLACES_MAX: usize = 4096;

#[derive(Clone, Debug, Default)]
pub(crate) struct Neighbours {
    places: BTreeMap<(Network, IpAddr), Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    hardware: Hardware,
    heard: Instant,
}

impl Neighbours {
    /// What it means; `router` is the virtual router that has the address, if one is known.
    pub(crate) fn hear(
        &mut self,
        now: Instant,
        network: Network,
        neighbour: &Neighbour,
        router: Option<&Followed>,
    ) -> Option<Finding> {
        let about = neighbour.about;
        let (kind, is_routine, text) = match neighbour.said {
            NeighbourSaid::Announced(hardware) => self.announced(now, network, about, hardware, router),
            NeighbourSaid::Answered(to, hardware) => {
                router?;
                match self.places.get(&(network, about)) {
                    Some(place) if place.hardware != hardware => {
                        let before = place.hardware;
                        let text = format!("{to} is told that {about} is at {hardware}, though it was at {before}");
                        (Kind::Conflict, false, text)
                    }
                    _ => (Kind::Asked, true, format!("{to} is told that {about} is at {hardware}")),
                }
            }
            NeighbourSaid::Asked(from) => {
                router?;
                (Kind::Asked, true, format!("{from} asks who has {about}"))
            }
            NeighbourSaid::Probed => {
                router?;
                (Kind::Asked, false, format!("a host asks whether anyone has {about}, in order to take it"))
            }
        };
        Some(Finding { time: now, kind, text, is_routine })
    }

    fn announced(
        &mut self,
        now: Instant,
        network: Network,
        about: IpAddr,
        hardware: Hardware,
        router: Option<&Followed>,
    ) -> (Kind, bool, String) {
        let how = if about.is_ipv4() { "gratuitous ARP" } else { "neighbour advertisement" };
        let before = self.places.insert((network, about), Place { hardware, heard: now });
        self.forget();
        if before.is_some_and(|place| place.hardware == hardware) {
            return (Kind::Announced, true, format!("{how} again: {about} is at {hardware}"));
        }
        let members = router.map_or(&[][..], Followed::members);
        let whose = members.iter().find(|member| member.hardware == Some(hardware));
        let active = members.iter().find(|member| member.since().is_some());
        let was = before.map(|place| format!(", and was at {}", place.hardware)).unwrap_or_default();
        let text = format!("{how}: {about} is at {hardware} now{was}");
        match (whose, active) {
            (Some(whose), Some(active)) if whose.since().is_none() => {
                let (whose, active) = (whose.source, active.source);
                (Kind::Conflict, false, format!("{text}; that is {whose}, though {active} is active"))
            }
            (Some(whose), _) => (Kind::Announced, false, format!("{text}, {}", place_of(now, whose))),
            (None, _) => (Kind::Announced, false, text),
        }
    }

    fn forget(&mut self) {
        if self.places.len() > PLACES_MAX
            && let Some((&oldest, _)) = self.places.iter().min_by_key(|(_, place)| place.heard)
        {
            self.places.remove(&oldest);
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }
}

fn place_of(now: Instant, member: &Member) -> String {
    match member.since() {
        Some(since) => format!("{} after {} became active", Span(now.since(since)), member.source),
        None => format!("at {}", member.source),
    }
}
