//! Linux, wrapped: listening sockets, descriptors handed between processes, privileges, splice and sendfile.
//!
//! The only crate with `unsafe`. It decides nothing.

#![allow(unsafe_code)]
#![warn(clippy::undocumented_unsafe_blocks)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod listen;
mod socket;
mod transfer;

pub use listen::Bind;
pub use socket::{set_keepalive, set_linger_zero, set_nodelay, shutdown_write, tcp_bytes_acked};
pub use transfer::{Pipe, sendfile, splice};
