use std::time::Duration;

use units::Instant;

/// Notes in a time, of all vips: a thousand machines that misbehave are told of as one is.
pub(crate) const NOTES_MAX: u32 = 50;

/// See [`NOTES_MAX`].
const WINDOW: Duration = Duration::from_secs(10);

/// How many notes may be told.
pub(crate) struct Allowance {
    left: u32,
    until: Instant,
    suppressed: u64,
}

impl Allowance {
    pub(crate) fn new(now: Instant) -> Allowance {
        Allowance { left: NOTES_MAX, until: now + WINDOW, suppressed: 0 }
    }

    /// Whether one more may be told; and how many were not before it, once.
    pub(crate) fn take(&mut self, now: Instant) -> (bool, u64) {
        let mut suppressed = 0;
        if self.until <= now {
            suppressed = self.suppressed;
            *self = Allowance::new(now);
        }
        let may = self.left > 0;
        self.left -= u32::from(may);
        self.suppressed += u64::from(!may);
        (may, suppressed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_in_a_time_and_then_how_many_more_there_were() {
        let mut allowance = Allowance::new(Instant::ZERO);
        let first: Vec<_> = (0..53).map(|_| allowance.take(Instant::from_millis(9_999))).collect();
        assert!(first[..50].iter().all(|&taken| taken == (true, 0)));
        assert!(first[50..].iter().all(|&taken| taken == (false, 0)));
        assert_eq!(allowance.take(Instant::from_millis(10_000)), (true, 3));
        assert_eq!(allowance.take(Instant::from_millis(20_000)), (true, 0));
    }
}
