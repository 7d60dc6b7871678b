//! Asks servers whether they are well: TCP connects and HTTP requests, driven by `health`'s monitors.
//!
//! It decides neither when to ask nor what an answer means for a server.

mod answer;
mod config;
mod driver;
mod lookup;
mod probe;
mod secure;
mod size;

pub use answer::{Head, judge};
pub use config::{BodyMatch, CheckConfig, HttpCheck, Kind, Statuses, Target};
pub use driver::{Check, CheckIndex, Clock, Driver, Event, Handle, What};
pub use size::content_length;
