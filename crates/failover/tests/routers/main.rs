//! Directors in network namespaces: the kernel's addresses, interfaces and packets are real.

#![allow(clippy::unwrap_used, reason = "what these tests build is right, or they fail")]

mod addresses;
mod director;
mod network;
mod orders;
mod reload;
mod takeover;
