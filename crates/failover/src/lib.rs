//! Addresses that move between directors: virtual routers (VRRP) on this machine's interfaces.
//!
//! What a director is to move is a [`Plan`]; what it should know of the service, [`Facts`]; what comes of it, a
//! [`Report`] and [`Event`]s. `vrrp-proto` decides who is active; this crate does what it decides, with sockets and the
//! kernel's tables, on a thread of its own that waits for nobody.

mod facts;
mod plan;
mod report;

pub use facts::{Facts, Health};
pub use plan::{Plan, Route, Rule, Subject, Track, Vip, VipAddress, VipGroup};
pub use report::{Event, Hold, LATENESS_BOUNDS_US, Order, Report, Role, TrackReport, VipReport};
