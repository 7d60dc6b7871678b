//! Directors that tell each other which servers their clients were given.
//!
//! Each director has one connection to each other one, on which it only speaks: a hello, all that its tables hold, then
//! what changes. So it has one from each, on which it only listens. There is no order among them and no vote: the latest
//! use of an entry wins everywhere. Who may connect is decided by addresses alone, so the network between directors must
//! be trusted; what somebody on it could forge is which server clients are sent to, no more.

mod driver;
mod inbox;
mod outbox;

use std::net::SocketAddr;

use balance::Stick;
use wire::peer::TableKind;

pub use driver::{Event, Peers, Status, What};
pub use inbox::Refusal;

/// A director and its peers as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeersConfig {
    /// What it is called among them.
    pub name: String,
    /// Where it listens, and what it connects from.
    pub bind: SocketAddr,
    /// Where the others listen; at most [`PEERS_MAX`].
    pub peers: Vec<SocketAddr>,
}

/// Peers of one director at the most: each change is sent to each of them.
pub const PEERS_MAX: usize = 16;

/// What the clients of a table are known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Their addresses.
    Source,
    /// The value of the cookie of this name.
    Cookie(String),
}

/// A table that is shared.
#[derive(Clone, Debug)]
pub struct Table {
    /// The backend's name: tables of the same name and kind are one.
    pub name: String,
    /// What its clients are known by.
    pub kind: Kind,
    /// The table.
    pub stick: Stick,
}

impl Table {
    fn wire(&self) -> wire::peer::Table<'_> {
        let kind = match &self.kind {
            Kind::Source => TableKind::Source,
            Kind::Cookie(name) => TableKind::Cookie(name),
        };
        wire::peer::Table { name: &self.name, kind, ttl: self.stick.ttl() }
    }
}
