//! What the kernel is to forward, by what is known of the servers.

use balance::{Pool, ServerState};
use forward::{Asked, Frontend, Table};
use forward_plan::{Destination, Endpoint, Key, Service, Wanted};
use proxy::config::{Backend, ServerAddress};
use units::{AdminState, Instant, Status};

/// The services of all frontends that forward.
pub(super) fn table(plan: &forward::Plan, backends: &[Backend], pools: &[Pool], now: Instant) -> Table {
    let mut services = Vec::new();
    for frontend in &plan.frontends {
        let (Some(backend), Some(pool)) = (backends.get(frontend.backend), pools.get(frontend.backend)) else {
            continue;
        };
        let states = pool.states(now);
        for key in &frontend.keys {
            services.push(Asked {
                frontend: frontend.name.clone(),
                choice: frontend.choice,
                end_connections: frontend.end_connections,
                wanted: wanted(frontend, *key, backend, pool, &states),
            });
        }
    }
    Table { services }
}

fn wanted(frontend: &Frontend, key: Key, backend: &Backend, pool: &Pool, states: &[ServerState]) -> Wanted {
    // At the start, nobody knows yet whether it is needed.
    let sorry = pool.is_sorry() && pool.quorum().is_some();
    let servers = || pool.config().servers.iter().zip(&backend.servers).zip(states);
    let serving = servers().filter(|((config, _), state)| !config.sorry && state.usable);
    let tier = serving.map(|((config, _), _)| config.tier).min();
    let (mut destinations, mut undecided) = (Vec::new(), Vec::new());
    for ((config, server), state) in servers() {
        let ServerAddress::Ip(address) = &server.address else { continue };
        let endpoint = Endpoint { address: address.ip(), port: key.port().map(|_| address.port()) };
        let destination =
            |weight| Destination { endpoint, method: frontend.method, weight, max_connections: config.max_in_flight };
        let in_turn = tier.is_none_or(|tier| config.tier <= tier);
        match (state.admin, state.status) {
            _ if config.sorry != sorry => {}
            (AdminState::Maintenance, _) => {}
            (AdminState::Ready, Status::Up) if in_turn => destinations.push(destination(state.effective.get())),
            // It keeps the connections that it has.
            (_, Status::Up) => destinations.push(destination(0)),
            (_, Status::Unknown) => undecided.push(endpoint),
            (_, Status::Down) if frontend.inhibit => destinations.push(destination(0)),
            (_, Status::Down) => {}
        }
    }
    let service = Service { key, settings: frontend.settings, destinations };
    Wanted { service, undecided }
}
