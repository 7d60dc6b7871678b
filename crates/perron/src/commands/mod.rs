//! The commands, each a function from its options to an exit code.

mod ask;
mod check;
mod manual;
mod serve;
mod status;

pub(crate) use ask::{reload, server, stop};
pub(crate) use check::check;
pub(crate) use manual::{completions, man};
pub(crate) use serve::serve;
pub(crate) use status::status;
