use std::time::Duration;

use crate::LATENESS_BOUNDS_US;

/// How late timers were.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lateness {
    counts: [u64; LATENESS_BOUNDS_US.len() + 1],
    sum_us: u64,
}

impl Lateness {
    pub(crate) fn add(&mut self, late: Duration) {
        let micros = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        let at = LATENESS_BOUNDS_US.iter().position(|&bound| micros <= bound);
        self.counts[at.unwrap_or(LATENESS_BOUNDS_US.len())] += 1;
        self.sum_us = self.sum_us.saturating_add(micros);
    }

    pub(crate) fn counts(&self) -> Vec<u64> {
        self.counts.to_vec()
    }

    /// All of it together, in microseconds.
    pub(crate) fn sum_us(&self) -> u64 {
        self.sum_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_what_is_below_it() {
        let mut lateness = Lateness::default();
        for micros in [0, 50, 51, 100, 1_000_000, 1_000_001] {
            lateness.add(Duration::from_micros(micros));
        }
        assert_eq!(lateness.counts(), [2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(lateness.sum_us(), 2_000_202);
    }
}
