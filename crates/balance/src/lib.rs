//! Which server gets a request: pools, algorithms, limits, slow start, queues, promised bytes, and how often a client
//! may come.
//!
//! Pure: no clock, no socket, no chance of its own; the caller gives `now`, the turn, the hash and the random number.
//! One thread owns a [`Pool`] and publishes its [`Snapshot`]; any number of threads pick from that without a lock.

mod account;
mod gauges;
mod limits;
mod maglev;
mod pool;
mod queue;
mod rates;
mod sizes;
mod snapshot;
mod stick;
mod turns;

pub use account::Account;
pub use gauges::Gauges;
pub use maglev::table as maglev_table;
pub use pool::{
    Advised, Algorithm, Change, ClassConfig, ClassIndex, Pool, PoolConfig, Quorum, ServerConfig, ServerIndex,
    ServerState, ZoneIndex,
};
pub use queue::{Queue, QueueFull, Ticket};
pub use rates::{RateCell, Rates};
pub use sizes::Sizes;
pub use snapshot::{Ask, Loads, Pick, Snapshot};
pub use stick::{NameHash, Stick, StickEntry};
