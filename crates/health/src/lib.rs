//! Is a server well: when to probe it, and what its answers mean (rise, fall, intervals, observed traffic).
//!
//! Pure: no clock and no socket; the `check` crate probes, this crate decides.

mod advice;
mod monitor;
mod outcome;

pub use advice::{Advice, advise};
pub use monitor::{Action, Carried, Monitor, Policy, Wake, Why, combine};
pub use outcome::{Finding, Outcome, Verdict};
