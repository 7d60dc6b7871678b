//! Certificates from an authority that gives them by ACME (RFC 8555): asked for, proved, and renewed in time.
//!
//! It speaks with the authority alone. What proves that a name is ours is answered elsewhere: whoever starts an
//! [`Agent`] is handed the [`Answer`]s, and the certificates as they come.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod agent;
mod client;
mod order;
mod schedule;

pub use agent::{Agent, Held, Told};
pub use order::{Answer, OrderError};
pub use schedule::{Validity, next_try};

/// Whom certificates come from, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeConfig {
    /// The URL of its directory (RFC 8555 §7.1.1).
    pub directory: String,
    /// Whom it may write to, such as `mailto:admin@example.org`.
    pub contact: Vec<String>,
    /// How a name is proved to be ours.
    pub challenge: Challenge,
    /// What is asked for.
    pub certificates: Vec<Wanted>,
}

/// How a name is proved to be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// By a file on port 80 (RFC 8555 §8.3).
    Http01,
    /// By a certificate on port 443 (RFC 8737).
    TlsAlpn01,
}

/// A certificate that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What it is called here: the first of its names.
    pub label: String,
    /// Host names, in lower case.
    pub names: Vec<String>,
}
