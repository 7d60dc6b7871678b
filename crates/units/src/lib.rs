//! The units everything else is written in: time, weights, sizes, networks, states.
//!
//! Values only: this crate reads no clock, opens no socket and depends on nothing but `std`.

mod instant;
pub mod latency;
mod network;
mod quantity;
mod status;
mod utc;
mod weight;

pub use instant::Instant;
pub use network::{Network, NetworkError};
pub use quantity::{Bandwidth, ByteSize, QuantityError, parse_duration, write_duration};
pub use status::{AdminState, Status};
pub use utc::Utc;
pub use weight::{Share, Weight};
