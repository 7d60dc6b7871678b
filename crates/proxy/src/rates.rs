//! How many requests frontends and their routes take.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use balance::{RateCell, Rates};
use units::Instant;

use crate::claim::hash_of_address;
use crate::clock::Clock;
use crate::config::{Frontend, FrontendIndex, RateLimits};

/// Clients whose rates are kept at once, for each limit; of more, those of the longest silence are forgotten (512 KiB).
const CLIENTS: usize = 65_536;

/// What of each limit is used up.
pub(crate) struct RateStates(Vec<OfFrontend>);

struct OfFrontend {
    own: Option<State>,
    routes: Vec<Option<State>>,
}

struct State {
    client: Option<Rates>,
    total: Option<RateCell>,
}

impl RateStates {
    pub(crate) fn new(frontends: &[Frontend]) -> RateStates {
        let of_frontend = |frontend: &Frontend| OfFrontend {
            own: State::new(&frontend.rate_limits),
            routes: frontend.routes.iter().map(|route| State::new(&route.rate_limits)).collect(),
        };
        RateStates(frontends.iter().map(of_frontend).collect())
    }

    /// How long this request would have to wait; `None`: it may pass, and counts.
    pub(crate) fn refuses(
        &self,
        frontend: FrontendIndex,
        route: Option<u16>,
        peer: Option<SocketAddr>,
        clock: Clock,
    ) -> Option<Duration> {
        let of_frontend = &self.0[usize::from(frontend.0)];
        let of_route = route.and_then(|route| of_frontend.routes[usize::from(route)].as_ref());
        of_frontend.own.iter().chain(of_route).find_map(|state| state.refuses(peer, clock.now()))
    }
}

impl State {
    fn new(limits: &RateLimits) -> Option<State> {
        let state = State {
            client: limits.client.map(|rate| Rates::new(rate.period, rate.burst, CLIENTS)),
            total: limits.total.map(|rate| RateCell::new(rate.period, rate.burst)),
        };
        (state.client.is_some() || state.total.is_some()).then_some(state)
    }

    fn refuses(&self, peer: Option<SocketAddr>, now: Instant) -> Option<Duration> {
        let of_client = self.client.as_ref().and_then(|rates| rates.take(key_of(peer), now).err());
        of_client.or_else(|| self.total.as_ref().and_then(|rate| rate.take(now).err()))
    }
}

/// Who counts as one client: a host commonly has all addresses of an IPv6 network of 64 bits.
fn key_of(peer: Option<SocketAddr>) -> u64 {
    match peer.map(|peer| peer.ip().to_canonical()) {
        Some(IpAddr::V6(address)) => {
            let network = u128::from(address) >> 64 << 64;
            hash_of_address(IpAddr::V6(network.into()))
        }
        Some(address) => hash_of_address(address),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_an_address_or_an_ipv6_network_of_64_bits() {
        let key = |text: &str| key_of(Some(text.parse().unwrap()));
        assert_eq!(key("10.0.0.1:1"), key("10.0.0.1:2"));
        assert_eq!(key("10.0.0.1:1"), key("[::ffff:10.0.0.1]:1"));
        assert_ne!(key("10.0.0.1:1"), key("10.0.0.2:1"));
        assert_eq!(key("[2001:db8::1]:1"), key("[2001:db8::ffff:1]:1"));
        assert_ne!(key("[2001:db8::1]:1"), key("[2001:db8:0:1::1]:1"));
    }
}
