//! Linux, wrapped: listening sockets, descriptors handed between processes, privileges, splice and sendfile.
//!
//! The only crate with `unsafe`. It decides nothing.

mod listen;

pub use listen::Bind;
