//! TLS: the only crate that knows rustls.
//!
//! It opens no socket and reads no file: a [`Session`] turns bytes into bytes, and what certificates and keys are is
//! handed to it as [`Material`], of which only [`machine_authorities`] reads a part. What a frontend or a server asks
//! for is in [`config`], what is wrong with its files [`inspect`] finds.
//!
//! There is no 0-RTT, whose requests can be replayed (RFC 8446 §8), and no renegotiation, which rustls does not have.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod acceptor;
pub mod authority;
mod by_name;
mod challenge;
pub mod config;
mod connector;
mod dates;
pub mod describe;
mod error;
mod identity;
mod inspect;
mod material;
mod peer;
mod pem;
mod session;
mod subject;
#[cfg(test)]
mod testing;
mod ticket;
mod verify;

pub use acceptor::Acceptor;
pub use challenge::{Challenges, placeholder};
pub use connector::{Connector, MACHINE_AUTHORITIES, connect, machine_authorities};
pub use error::{ConnectError, SessionError, SetupError};
pub use inspect::{EXPIRES_SOON, Expiry, Finding, Issued, Severity, covers, expiries, inspect, inspect_client, issued};
pub use material::Material;
pub use peer::{Identity, Peer, variables};
pub use session::{Read, Session};
pub use ticket::TicketSecret;
