//! Asks servers whether they are well, in whatever they speak, driven by `health`'s monitors.
//!
//! It decides neither when to ask nor what an answer means for a server.

mod agent;
mod answer;
mod chance;
mod config;
mod datagram;
mod digest;
mod dns;
mod driver;
mod lookup;
mod means;
mod outside;
mod ping;
mod probe;
mod secure;
mod size;
mod smtp;

pub use answer::{Head, judge};
pub use config::{
    AgentCheck, BodyMatch, CheckConfig, FileCheck, HttpCheck, Kind, Page, PageDigest, ScriptCheck, SmtpCheck, Statuses,
    Target, UdpCheck,
};
pub use digest::Digests;
pub use dns::{DnsCheck, Record, WrongQuestion};
pub use driver::{Check, CheckIndex, Clock, Driver, Event, Handle, What};
pub use means::Means;
pub use outside::{Looked, Question};
pub use ping::Pinger;
pub use probe::digests;
pub use size::content_length;
