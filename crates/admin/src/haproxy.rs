//! HAProxy's words for our states, as its CSV and its metrics use them.

use units::{AdminState, Status};

use crate::model::{Backend, Server};

/// A server's state in HAProxy's word: `UP`, `DOWN`, `DRAIN` or `MAINT`.
///
/// A server that no check has answered for is `DOWN`, as it takes no traffic; HAProxy would send it some.
pub(crate) fn server_state(server: &Server) -> &'static str {
    match (server.admin, server.status) {
        (AdminState::Maintenance, _) => "MAINT",
        (_, Status::Down | Status::Unknown) => "DOWN",
        (AdminState::Drain, Status::Up) => "DRAIN",
        (AdminState::Ready, Status::Up) if server.effective_weight == 0 => "DRAIN",
        (AdminState::Ready, Status::Up) => "UP",
    }
}

/// A backend's state in HAProxy's word: `UP` or `DOWN`.
pub(crate) fn backend_state(backend: &Backend) -> &'static str {
    match backend.status {
        Status::Up => "UP",
        Status::Down | Status::Unknown => "DOWN",
    }
}

/// How many servers of tier 0, and of the backup tiers, may be given new requests.
pub(crate) fn usable(backend: &Backend) -> (u64, u64) {
    let usable = backend.servers.iter().filter(|server| server.takes_traffic());
    let (active, backup): (Vec<_>, Vec<_>) = usable.partition(|server| server.tier == 0);
    (active.len() as u64, backup.len() as u64)
}

/// The weights of the servers that may be given new requests, added.
pub(crate) fn usable_weight(backend: &Backend) -> u64 {
    let usable = backend.servers.iter().filter(|server| server.takes_traffic());
    usable.map(|server| server.effective_weight).sum()
}
