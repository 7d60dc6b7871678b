//! Linux, wrapped: listening sockets, raw sockets of VRRP and of frames, descriptors handed between processes and over an
//! exec, privileges, priority, shared memory, splice and sendfile.
//!
//! The only crate with `unsafe`. It decides nothing.

#![allow(unsafe_code)]
#![warn(clippy::undocumented_unsafe_blocks)]

mod channel;
#[cfg(test)]
mod child;
mod confine;
mod counted;
mod exec;
mod filter;
mod interface;
mod listen;
mod memory;
mod message;
mod owner;
mod packet;
mod ping;
mod process;
mod realtime;
mod sandbox;
mod socket;
mod systemd;
mod transfer;
mod vrrp;

pub use channel::{Channel, Received, Receiver, Sender};
pub use confine::{Confinement, confine, listen_for};
pub use counted::CountedMemory;
pub use exec::{hold_signals, inherited_descriptor, release_signals, replace_program};
pub use filter::{FILTER_MAX, Filter, Instruction};
pub use listen::{Bind, Listener, OpenError, OpenReason};
pub use memory::{map_words, shared_memory};
pub use packet::{Direction, EVERY_PROTOCOL, Frame, PacketSocket};
pub use ping::ping_socket;
pub use process::{
    Peer, PrivilegeError, User, drop_privileges, drop_privileges_except, end_with_parent, is_capable, isolate,
    peer_credentials, raise_descriptor_limit,
};
pub use realtime::{boot_clock, limit_run, lock_memory, may_lift_limits, run_first};
pub use rustix::thread::CapabilitySet;
pub use sandbox::{Refused, SandboxError, Seen, call_only_what_serving_needs, see_only, show};
pub use socket::{set_keepalive, set_linger_zero, set_nodelay, set_user_timeout, shutdown_write, tcp_bytes_acked};
pub use systemd::{inherited_listeners, monotonic_seconds, monotonic_usec, notify, watchdog_interval};
pub use transfer::{Pipe, sendfile, splice};
pub use vrrp::{VrrpFilter, VrrpPacket, VrrpScope, VrrpSocket};
