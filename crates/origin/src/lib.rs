//! Serves files from a tree, and says whether the tree can be read.
//!
//! It parses no request and owns no connection: the caller gives a request's head, and sends what comes back.

mod config;

pub use config::{FilesConfig, HealthConfig};
