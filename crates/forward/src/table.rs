use forward_plan::{Choice, Wanted};
use serde::{Deserialize, Serialize};

/// Everything that the kernel is to forward. Always whole: what is not there goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Each with a key of its own.
    pub services: Vec<Asked>,
}

/// A service, and who asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The frontend's name.
    pub frontend: String,
    /// Who is to forward it.
    pub choice: Choice,
    /// Whether connections of a server that goes end at once, rather than wait for it to come back.
    pub end_connections: bool,
    /// The service.
    pub wanted: Wanted,
}
