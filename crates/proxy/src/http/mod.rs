//! HTTP/1.1 clients: one task a connection, one exchange after the other.
//!
//! `client` reads requests and keeps the connection, `plan` decides what answers one, `exchange` takes it to a server
//! and `response` brings the answer back; `reply` sends what is answered here.

mod body;
mod client;
mod exchange;
mod plan;
mod reply;
mod response;
mod send;
mod upload;

pub(crate) use client::serve;
