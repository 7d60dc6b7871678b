//! Addresses that move between directors: virtual routers (VRRP) on this machine's interfaces.
//!
//! What a director is to move is a [`Plan`]; what it should know of the service, [`Facts`]; what comes of it, a
//! [`Report`] and [`Event`]s. `vrrp-proto` decides who is active; this crate does what it decides, with sockets and the
//! kernel's tables, on a thread of its own that waits for nobody.

mod allowance;
mod announce;
mod beats;
mod clock;
mod diagnosis;
mod drive;
mod engine;
#[cfg(test)]
mod example;
mod facts;
mod ground;
mod lateness;
mod letters;
mod message;
mod plan;
mod report;
mod router;
mod tables;
mod tracking;
mod wanted;
mod watch;

pub use beats::{BEATS_MAX, Beats};
pub use engine::{Engine, Setup};
pub use facts::{Facts, Health};
pub use plan::{Plan, Route, Rule, Subject, Track, Vip, VipAddress, VipGroup};
pub use report::{Event, Hold, LATENESS_BOUNDS_US, Order, Report, Role, TrackReport, VipReport};
