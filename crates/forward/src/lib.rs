//! Forwarding by the kernel: what services it has, in which engine, and that they stay as they are wanted.
//!
//! What is wanted is a [`Table`], whole each time; what comes of it, a [`Report`] and [`Event`]s. `forward-plan` decides
//! what has to change; this crate changes it, on a thread of its own, and looks again and again whether it is still so.
//! Packets never come through here, and go on while nobody looks.

mod config;
mod engine;
mod engines;
mod forwarder;
mod ipvs;
mod nftables;
mod reconcile;
mod report;
mod syncing;
mod table;

pub use config::{Frontend, Plan, Sync};
pub use engine::{Count, Engine};
pub use forwarder::Forwarder;
pub use ipvs::{Ipvs, SyncDaemon, SyncPlan};
pub use nftables::Nftables;
pub use report::{DestinationReport, Event, Report, ServiceReport};
pub use table::{Asked, Table};
