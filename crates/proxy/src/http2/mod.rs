//! HTTP/2 (RFC 9113): connections that carry many requests at once, of which each becomes a
//! [`crate::stream::Layer`] that the relay takes for a connection of HTTP/1.
//!
//! With clients, `http_proto::http2::Server` knows all of the protocol: `serve` drives it, `link` is what the streams of a
//! connection share, `inbound` is one of them, `runners` are the tasks that serve them. With servers, frames, header
//! compression and windows are the `h2` crate's: `line` keeps connections, `outbound` is a stream on one, `reading` and
//! `writing` are its two directions, `io` is the connection below, whose frames it counts, and judges by their headers
//! before the library sees them.

mod fault;
mod inbound;
mod io;
mod line;
mod link;
mod outbound;
mod reading;
mod runners;
mod serve;
mod writing;

pub use fault::Http2Error;
pub(crate) use line::Lines;
pub(crate) use runners::Runners;
pub(crate) use serve::serve;
