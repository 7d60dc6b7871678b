use std::time::Duration;

use units::{AdminState, Instant, Status, Weight};

use crate::Snapshot;

/// A server's place in [`PoolConfig::servers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerIndex(pub u16);

/// How a pool chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Smooth weighted turns.
    RoundRobin,
    /// The fewest requests in flight for its weight; ties by turns.
    LeastConnections,
    /// The client's address, hashed (maglev).
    Source,
    /// The path and query, hashed (maglev).
    Uri,
    /// This header field (lower case), hashed (maglev); requests without it take turns.
    Header(String),
    /// The client's address and port, hashed (maglev).
    Maglev,
    /// The less loaded of two drawn by weight.
    Random,
    /// The first in the list that has room.
    First,
}

/// A pool as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolConfig {
    /// How it chooses.
    pub algorithm: Algorithm,
    /// How long a server that came back takes from a tenth of its weight to all of it; zero: at once.
    pub slow_start: Duration,
    /// In the order of the text; at most 4096.
    pub servers: Vec<ServerConfig>,
}

/// A server as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// Unique in its pool; consistent hashes hang on it, so a server keeps its clients wherever it stands in the list.
    pub name: String,
    /// Its share.
    pub weight: Weight,
    /// Requests in flight at once (TCP mode: connections); `None`: no limit.
    pub max_in_flight: Option<u32>,
    /// 0: serves always; n: serves when no server of a lower tier can.
    pub tier: u8,
    /// Whether checks decide over it; without, it is up from the start.
    pub checked: bool,
    /// What it starts as.
    pub admin: AdminState,
}
