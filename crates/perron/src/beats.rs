//! That workers are not hung: how often they say it, and where.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use anyhow::Context;
use failover::{Beats, Plan, Subject};

/// Workers say it no more often, however short the adverts' interval is: 200 wake-ups a second and worker cost 0.1 % of
/// a core.
const INTERVAL_MIN: Duration = Duration::from_millis(5);

/// Half the shortest interval of adverts among vips that depend on what is served; `None`: none does, and nobody is to
/// wake up for it.
pub(crate) fn interval(plan: &Plan) -> Option<Duration> {
    let depends = |vip: &&failover::Vip| vip.track.iter().any(|track| matches!(track.subject, Subject::Served(_)));
    let shortest = plan.vips.iter().filter(depends).map(|vip| vip.protocol.interval()).min()?;
    Some((shortest / 2).max(INTERVAL_MIN))
}

/// The memory that the supervisor holds.
pub(crate) fn of(memory: &OwnedFd) -> anyhow::Result<Beats> {
    let words = linux::map_words(memory.as_fd()).context("the memory of workers' beats")?;
    Beats::new(words).context("the memory of workers' beats is too small")
}
