use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A name and what it is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where it listens, by UDP and TCP.
    pub binds: Vec<SocketAddr>,
    /// The name, in lower case, without the last dot.
    pub name: String,
    /// In the order of the configuration.
    pub addresses: Vec<Answers>,
    /// How long others may keep an answer.
    pub ttl: Duration,
    /// Answers to one source (IPv4: an address, IPv6: a /64) in a second; more are not given.
    pub rate_limit: u32,
}

/// Addresses of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answers {
    /// Always.
    Address(IpAddr),
    /// While this vip is up on any director.
    Vip {
        /// Its name.
        name: String,
        /// Those of its addresses that adverts name.
        addresses: Vec<IpAddr>,
    },
}
