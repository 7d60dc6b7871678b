use std::time::Duration;

use crate::LATENESS_BOUNDS_US;

/// How late timers were.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lateness([u64; LATENESS_BOUNDS_US.len() + 1]);

impl Lateness {
    pub(crate) fn add(&mut self, late: Duration) {
        let micros = late.as_micros();
        let at = LATENESS_BOUNDS_US.iter().position(|&bound| micros <= u128::from(bound));
        self.0[at.unwrap_or(LATENESS_BOUNDS_US.len())] += 1;
    }

    pub(crate) fn counts(&self) -> Vec<u64> {
        self.0.to_vec()
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
    }
}
