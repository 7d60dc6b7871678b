//! Heads onward: what ends at this hop is dropped, what is said of the client added, all else copied as it came.

mod fields;
mod request;
mod response;

use units::Network;

pub use request::{RequestForward, write_request};
pub use response::{Connection, ResponseForward, write_response};

/// What servers are told of the client, and whom to believe about it.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Forwarded {
    /// Send X-Forwarded-For, -Proto and -Host.
    pub x_forwarded: bool,
    /// Send Forwarded (RFC 7239).
    pub forwarded: bool,
    /// Clients whose own such fields are kept and added to; everyone else's are removed.
    pub trusted: Vec<Network>,
}

/// Changes to a message's header fields: first removals, then replacements, then additions.
///
/// What frames a message or ends at one hop is not theirs to change: Connection, Content-Length, Keep-Alive,
/// Proxy-Connection, TE, Trailer, Transfer-Encoding and Upgrade are passed over. Host can be set, not removed or added.
/// Names must satisfy [`crate::is_field_name`], values [`crate::is_field_value`].
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct HeaderEdits {
    /// Names whose every line goes.
    pub remove: Vec<String>,
    /// Names and values; other lines of that name go.
    pub set: Vec<(String, String)>,
    /// Names and values put beside what is there.
    pub add: Vec<(String, String)>,
}

impl HeaderEdits {
    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }
}

#[cfg(test)]
mod tests;
