use std::ffi::CStr;
use std::process::ExitCode;

use anyhow::Context;

use crate::{network, serve};

/// `perron serve`: the supervisor's child, whose standard input is the channel to it.
pub(crate) fn serve() -> anyhow::Result<ExitCode> {
    child(c"perron-serve", serve::run)
}

/// `perron network`: likewise.
pub(crate) fn network() -> anyhow::Result<ExitCode> {
    child(c"perron-network", network::run)
}

fn child(name: &CStr, run: impl FnOnce(linux::Channel) -> anyhow::Result<()>) -> anyhow::Result<ExitCode> {
    let channel = take_stdin().context("only `perron run` starts this")?;
    rustix::thread::set_name(name)?;
    run(linux::Channel::from_fd(channel))?;
    Ok(ExitCode::SUCCESS)
}

/// Standard input's socket, which /dev/null takes the place of.
fn take_stdin() -> anyhow::Result<std::os::fd::OwnedFd> {
    use std::os::fd::AsFd;
    let stdin = std::io::stdin();
    rustix::net::sockopt::socket_type(stdin.as_fd())?;
    let channel = stdin.as_fd().try_clone_to_owned()?;
    let null = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    Ok(channel)
}
