//! Which server gets a request: pools, algorithms, limits, slow start, queues.
//!
//! Pure: no clock, no socket, no chance of its own; the caller gives `now`, the turn, the hash and the random number.
//! One thread owns a [`Pool`] and publishes its [`Snapshot`]; any number of threads pick from that without a lock.

mod account;
mod limits;
mod maglev;
mod pool;
mod queue;
mod snapshot;
mod turns;

pub use account::Account;
pub use pool::{
    Algorithm, Change, ClassConfig, ClassIndex, Pool, PoolConfig, ServerConfig, ServerIndex, ServerState, ZoneIndex,
};
pub use queue::{Queue, QueueFull, Ticket};
pub use snapshot::{Ask, Loads, Pick, Snapshot};
