//! VRRP: which of some routers has the addresses that hosts send to. Version 2 (RFC 3768, IPv4) and version 3
//! (RFC 9568, IPv4 and IPv6), as bytes and as a machine.
//!
//! Pure: no clock and no socket. What the shell owes the machine:
//!
//! - `now` is of a clock that goes on while the host is suspended, as CLOCK_BOOTTIME does. One that stops would hide that
//!   others have taken over meanwhile.
//! - Adverts that have arrived are handed in before [`VirtualRouter::handle_deadline`] is called: a timer that has run
//!   out late may have been answered long ago, in the socket's buffer.
//! - A packet is handed to the router of its interface, family and number; one that fails [`parse`] to none.
//! - Actions are carried out in their order.

mod action;
mod advert;
mod config;
mod group;
mod identity;
mod note;
mod router;
mod timing;
mod tracker;
mod trailer;

pub use action::{Action, Fault, State, Wake, Why};
pub use advert::{ADDRESSES_MAX, Addresses, Advert, AdvertError, Checksum, Meta, Protocol, parse, write};
pub use config::{AddressList, AnnouncePolicy, Config, ConfigError, Peers, Preempt, Settings};
pub use group::{Gone, Group};
pub use identity::{
    Centiseconds, Family, PROTOCOL_NUMBER, Password, Priority, TTL, Vrid, multicast_group, virtual_mac,
};
pub use note::{Note, Refusal};
pub use router::{Adopted, VirtualRouter};
pub use timing::Timing;
pub use tracker::{Effect, Need, Tracked, Tracker, Weight, effective_priority};
pub use trailer::{Key, Sequence, TRAILER, TrailerError, sign, verify};
