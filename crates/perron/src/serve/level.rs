//! Numbers that only make sense over time: the highest seen, and events a second.

use admin::model::{Level, Rate};

/// What is remembered of one counter or gauge from sample to sample.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meter {
    last: u64,
    rate: u64,
    max: u64,
}

impl Meter {
    /// Takes a counter's value; to be called once a second.
    pub(super) fn count(&mut self, total: u64) {
        self.rate = total.saturating_sub(self.last);
        self.last = total;
        self.max = self.max.max(self.rate);
    }

    /// Takes a gauge's value.
    pub(super) fn gauge(&mut self, now: u64) {
        self.last = now;
        self.max = self.max.max(now);
    }

    /// The counter's rate.
    pub(super) fn rate(&self) -> Rate {
        Rate { now: self.rate, max: self.max }
    }

    /// The gauge, which is `now`, with the highest seen.
    pub(super) fn level(&self, now: u64, limit: Option<u64>) -> Level {
        Level { now, max: self.max.max(now), limit }
    }
}
