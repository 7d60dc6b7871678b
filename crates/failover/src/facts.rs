use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a director knows of its own service. Always whole: what is not there is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// By a subject's key, as in [`crate::Subject`].
    pub known: BTreeMap<String, Health>,
}

/// Whether something is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It was not found out yet.
    Unknown,
    /// It is.
    Well,
    /// It is not.
    Unwell,
    /// A file's number: times the weight it is added to the priority.
    Number(i32),
}
