//! The commands, each a function from its options to an exit code.

use std::io::{ErrorKind, Write};

mod ask;
mod call;
mod capture;
mod cert;
mod check;
mod dial;
mod digest;
mod events;
mod forward;
mod manual;
mod serve;
mod status;
mod top;
mod transfer;
mod vip;

pub(crate) use ask::{reload, server, stop, upgrade};
pub(crate) use call::call;
pub(crate) use capture::capture;
pub(crate) use cert::cert;
pub(crate) use check::check;
pub(crate) use digest::digest;
pub(crate) use events::events;
pub(crate) use manual::{completions, man};
pub(crate) use serve::{network, serve};
pub(crate) use status::status;
pub(crate) use top::top;
pub(crate) use transfer::{export, import};
pub(crate) use vip::vip;

/// What a server says must not steer the terminal.
fn printable(text: &str) -> String {
    let is_steering = |letter: char| letter.is_control() && letter != '\n' && letter != '\t';
    text.chars().map(|letter| if is_steering(letter) { '\u{fffd}' } else { letter }).collect()
}

/// Writes to standard output. A reader that has seen enough, such as `head`, ends the command quietly.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        result => Ok(result?),
    }
}
