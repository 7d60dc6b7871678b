use forward_plan::{Choice, Key, Method, Settings};

use crate::SyncPlan;

/// What is forwarded, as configured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// In the order of the text.
    pub frontends: Vec<Frontend>,
    /// Whether other directors know of the connections.
    pub sync: Option<Sync>,
}

/// Connections that other directors know as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync {
    /// How they are told.
    pub plan: SyncPlan,
    /// This director tells while this vip is active, and hears while it is not.
    pub vip: String,
}

/// A frontend whose packets the kernel forwards.
#[derive(Clone, Debug, PartialEq)]
pub struct Frontend {
    /// Unique.
    pub name: String,
    /// A service for each.
    pub keys: Vec<Key>,
    /// Of all its services.
    pub settings: Settings,
    /// How packets get to servers.
    pub method: Method,
    /// Who is to do it.
    pub choice: Choice,
    /// Whether a server that is down has weight 0 rather than no place.
    pub inhibit: bool,
    /// Whether connections of a server that goes end at once.
    pub end_connections: bool,
    /// The place of its backend in the configuration.
    pub backend: usize,
}
