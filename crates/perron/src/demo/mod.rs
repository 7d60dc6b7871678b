//! `perron demo`: a whole cluster on this machine, to play with.

use std::process::ExitCode;

use crate::cli::Demo;

/// `perron demo`.
pub(crate) fn run(_options: &Demo) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not in this build")
}
