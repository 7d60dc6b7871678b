//! Asks servers whether they are well: TCP connects and HTTP requests, driven by `health`'s monitors.
//!
//! It decides neither when to ask nor what an answer means for a server.

mod config;

pub use config::{BodyMatch, CheckConfig, HttpCheck, Kind, Statuses, Target};
