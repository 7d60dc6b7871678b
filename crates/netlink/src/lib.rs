//! The kernel's links, addresses, routes and rules: asked, changed, and heard of when they change (rtnetlink(7)); its load
//! balancer of connections ([`ipvs`]), its tables of packets ([`nft`]) and the connections that it tracks ([`Conntrack`]).
//!
//! [`Kernel`] asks and changes, and waits for the answer: a second at most for what the kernel has to say, and, as every
//! such call, until other changes of the network in the kernel are through. [`Watcher`] hears of changes and never waits.
//! Both belong to the network namespace of the thread that opened them. What is asked for twice is done once: a change
//! says whether anything had to change.
//!
//! The codec is our own: it knows the closed set of attributes that stands here and passes over all others, so that a newer
//! kernel's additions cannot make a list unreadable.

mod address;
mod answer;
mod codec;
mod conntrack;
mod error;
mod exchange;
mod generic;
pub mod ipvs;
mod kernel;
mod link;
mod netfilter;
pub mod nft;
mod route;
mod rule;
mod setting;
mod socket;
mod watcher;

pub use address::{Address, AddressFlags, NewAddress, Scope};
pub use conntrack::{Conntrack, Flow, Tuple};
pub use error::{Error, Outcome};
pub use kernel::{Change, Kernel};
pub use link::{HardwareAddress, Link, LinkKind};
pub use route::{Route, RouteKind, Way};
pub use rule::{Mark, Rule};
pub use setting::{Family, promotes_secondaries, set_promote_secondaries, set_setting, setting};
pub use watcher::{Event, Interest, Watcher};
