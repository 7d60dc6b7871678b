//! Captures that explain themselves: packets of a failover with a comment on each that means something, and the same as
//! a timeline.
//!
//! What adverts mean is decided by `vrrp-proto`: each router that is seen has a shadow that hears what is captured
//! (`explain`). Files are read and written (`file`), frames are taken from interfaces ([`Recorder`]); who calls brings the
//! two together.

mod event;
mod explain;
mod file;
mod filter;
mod frame;
mod record;

pub use event::{Event, Kind};
pub use explain::{ADDRESSES_MAX, Explainer, ROUTERS_MAX, Scope, Topics, Verdict};
pub use file::{BLOCK_MAX, INTERFACES_MAX, Interface, Packet, ReadError, Reader, Writer};
pub use filter::SERVERS_MAX;
pub use frame::Link;
pub use record::{RecordError, Recorder, Wake};
