//! The monotonic clock in the cores' own units.

use std::time::Instant as StdInstant;

use units::Instant;

/// Translates the system's monotonic clock into [`units::Instant`]s that begin at its start.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    zero: StdInstant,
}

impl Clock {
    /// A clock whose zero is now.
    pub fn start() -> Clock {
        Clock { zero: StdInstant::now() }
    }

    /// This moment.
    pub fn now(&self) -> Instant {
        self.at(StdInstant::now())
    }

    /// The moment that the system calls `instant`.
    pub fn at(&self, instant: StdInstant) -> Instant {
        let nanos = instant.saturating_duration_since(self.zero).as_nanos();
        Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// What the system calls `instant`.
    pub fn to_std(&self, instant: Instant) -> StdInstant {
        self.zero + instant.since(Instant::ZERO)
    }
}
