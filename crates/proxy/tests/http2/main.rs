//! HTTP/2 with clients of a worker (RFC 9113), and with servers behind it.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod bounds;
mod client;
mod conformance;
mod foreign;
mod limits;
mod messages;
mod raw;
mod server;
mod servers;
mod site;
