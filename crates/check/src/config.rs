use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use wire::proxy_header;

/// One check of one server.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckConfig {
    /// What is asked.
    pub kind: Kind,
    /// Whom.
    pub target: Target,
    /// The PROXY header that the connection begins with; it says that nobody is relayed.
    pub send_proxy: Option<proxy_header::Version>,
    /// What the connection begins with. The wiring makes a connector of it, with what the files hold.
    pub tls: Option<tls::config::ClientTls>,
    /// When, and what answers mean.
    pub policy: health::Policy,
}

/// Where a probe goes: the server's own address unless the check names another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// IPv4 or IPv6.
    Ip(SocketAddr),
    /// A unix stream socket.
    Unix(PathBuf),
    /// A name that is looked up at each probe, as clients do, or an address without brackets; and a port.
    Name {
        /// The name.
        host: String,
        /// The port.
        port: u16,
    },
}

/// What a probe asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// That the connection is taken.
    Tcp,
    /// That a request is answered as expected.
    Http(HttpCheck),
}

/// An HTTP request and what its answer must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCheck {
    /// The method.
    pub method: String,
    /// The path and query.
    pub path: String,
    /// The Host field; `None`: the target's address and port.
    pub host: Option<String>,
    /// Statuses that pass.
    pub statuses: Statuses,
    /// What the first 64 KiB of the body must hold.
    pub body: Option<BodyMatch>,
}

/// Statuses that pass: any of these ranges. HAProxy's and our default is 200 to 399.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(pub Vec<RangeInclusive<u16>>);

impl Default for Statuses {
    fn default() -> Statuses {
        Statuses(vec![200..=399])
    }
}

/// What a body must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyMatch {
    /// These bytes, somewhere.
    Contains(String),
}
