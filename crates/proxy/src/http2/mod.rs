//! HTTP/2 (RFC 9113). Frames, header compression and windows are the `h2` crate's; here are its connections, and what
//! makes of each stream a [`crate::stream::Layer`] that the relay takes for a connection of HTTP/1.
//!
//! `serve` drives a client's connection, `inbound` is one of its streams; `line` keeps connections to servers, `outbound`
//! is a stream on one. `reading` and `writing` are the two directions of a stream, `io` is the connection below, whose
//! frames it counts, and judges by their headers before the library sees them.

mod fault;
mod inbound;
mod io;
mod line;
mod outbound;
mod reading;
mod serve;
mod writing;

pub use fault::Http2Error;
pub(crate) use line::Lines;
pub(crate) use serve::serve;
