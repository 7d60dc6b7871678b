//! What an operator sees and sets: the HTTP API, metrics, HAProxy's CSV, the dashboard.
//!
//! It measures nothing itself: the wiring gives it a [`Source`]. Over TCP it only shows; changes are
//! [`Command`]s, which come through the control socket.

mod csv;
mod haproxy;
mod http;
mod metrics;
pub mod model;
mod patience;
mod source;

pub use http::{router, serve};
pub use source::{Command, CommandError, Source};
