use std::time::Duration;

/// How often a server is probed, and how many answers change one's mind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Between probes of a server whose state is settled.
    pub interval: Duration,
    /// Between probes while a change is under way.
    pub fast_interval: Duration,
    /// Between probes of a server that is down for good.
    pub down_interval: Duration,
    /// A probe not answered by then has failed.
    pub timeout: Duration,
    /// Passes in a row that bring a server up. (The very first answer decides alone.)
    pub rise: u32,
    /// Failures in a row that take a server down.
    pub fall: u32,
    /// Failures of real requests in a row that take it down at once; `None`: traffic is not observed.
    pub observe_failures: Option<u32>,
}
