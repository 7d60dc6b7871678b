//! What the kernel is to forward, and what has to change so that it does.
//!
//! A [`Service`] is what clients reach; its [`Destination`]s are the servers that their packets go to. What is wanted is a
//! list of services, what an engine of the kernel has is another, and [`plan`] says in order what makes one of the other:
//! what is missing is added before anything is removed, what is not ours stays. What an engine cannot do is a [`Refusal`]
//! that names what it can.
//!
//! Pure: no clock, no socket, no kernel.

mod capability;
mod key;
mod plan;
mod service;
mod slots;

pub use capability::{Choice, Chosen, Engine, IPVS_RANGE_MAX, Refusal, check, choose, split};
pub use key::{Family, Key, KeyError, Ports, Protocol};
pub use plan::{Operation, Wanted, apply, plan};
pub use service::{Destination, Endpoint, EndpointError, Method, Persistence, Scheduler, Service, Settings};
pub use slots::{SLOTS_MAX, turns};
