//! The front door's data path: accepts clients, routes their requests, relays them to servers.
//!
//! It opens no listening socket (they are handed to it), reads no configuration text and probes no server.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod backend;
mod claim;
mod clients;
mod clock;
pub mod config;
mod error_page;
mod handler;
mod held;
mod http;
mod http2;
mod log;
mod passwords;
mod proofs;
mod proxied;
mod quest;
mod rates;
mod reason;
mod secured;
mod shared;
mod slots;
mod splice;
mod stats;
mod stick;
mod stream;
mod tcp;
mod timer;
mod transfer;
mod tunnel;
mod upstream;
mod users;
mod worker;
mod zones;

pub use backend::BackendShared;
pub use clock::Clock;
pub use error_page::{ERROR_PAGE_BYTES_MAX, ErrorPage, ErrorPages, TooLong};
pub use handler::{
    Begun, Handler, HandlerAnswer, HandlerRequest, Intake, Part, Patience, Receipt, Storage, WouldBlock,
};
pub use held::{Held, StreamStats};
pub use http2::Http2Error;
pub use log::LogSink;
pub use passwords::{Passwords, PasswordsError, PasswordsFault};
pub use reason::Reason;
pub use shared::{Complaints, Observer, Shared, SizeAsker};
pub use stats::{Classes, Counter, FrontendStats, Handshakes, Histogram, Sending, ServerStats, WorkerStats};
pub use stream::Coding;
pub use users::AllowUsers;
pub use worker::{Listener, Pulse, Worker, WorkerHandle};
