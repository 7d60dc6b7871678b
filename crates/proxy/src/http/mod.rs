//! HTTP/1.1 clients: one task a connection, one exchange after the other.
//!
//! `client` reads requests and keeps the connection, `plan` decides what answers one, `exchange` takes it to a server
//! (`upload` sends the rest of its body) and `response` brings the answer back (`hold` waits for the rest of a small
//! one). `application` tells a request to a program; `reply` writes and `send` sends what is answered here, and `send_file` the
//! file that a program names; `receive` has a handler take a body in. `body` follows a body to its end, whichever way
//! that is told.

mod accept;
mod application;
mod body;
mod client;
mod exchange;
mod hold;
mod login;
mod plan;
mod receive;
mod redirect;
mod reply;
mod response;
mod rewrite;
mod send;
mod send_file;
mod upload;

pub(crate) use body::Body;
pub(crate) use client::{Visitor, refuse, serve, serve_one};
pub(crate) use login::Remembered;
