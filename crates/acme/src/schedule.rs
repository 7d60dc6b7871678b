//! When a certificate is asked for: pure.

use std::time::{Duration, SystemTime};

/// The first failure is followed by another try after this long, and each further one after twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(60);

/// The longest pause: authorities count failures by the hour, and a certificate that runs out must not wait for days.
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 3600);

/// From when to when a certificate is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Not before.
    pub from: SystemTime,
    /// Not after.
    pub until: SystemTime,
}

/// When to ask for a certificate: at once where there is none, when two thirds of its time are over where there is one,
/// and later after `failures` in a row, the last of them at `failed`.
pub fn next_try(held: Option<Validity>, failures: u32, failed: Option<SystemTime>) -> SystemTime {
    let due = held.map_or(SystemTime::UNIX_EPOCH, |held| {
        let lifetime = held.until.duration_since(held.from).unwrap_or_default();
        held.from + lifetime / 3 * 2
    });
    let Some(failed) = failed.filter(|_| failures > 0) else {
        return due;
    };
    let pause = FIRST_PAUSE.saturating_mul(1 << (failures - 1).min(16)).min(LONGEST_PAUSE);
    due.max(failed + pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(hours * 3600)
    }

    #[test]
    fn two_thirds_of_its_time_are_used() {
        let held = Validity { from: at(1000), until: at(1000 + 90 * 24) };
        assert_eq!(next_try(Some(held), 0, None), at(1000 + 60 * 24));
        assert_eq!(next_try(None, 0, None), at(0), "at once");
    }

    #[test]
    fn failures_are_followed_by_ever_longer_pauses_of_six_hours_at_most() {
        let minute = Duration::from_secs(60);
        let failed = at(5000);
        let pauses: Vec<u64> = (1..=12)
            .map(|failures| next_try(None, failures, Some(failed)).duration_since(failed).unwrap().as_secs() / 60)
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360, 360]);
        let held = Validity { from: at(0), until: at(9000) };
        assert_eq!(next_try(Some(held), 1, Some(at(1))), at(6000), "what is not yet due is not hurried");
        assert_eq!(next_try(Some(held), 1, Some(at(6000))), at(6000) + minute);
        assert_eq!(next_try(None, u32::MAX, Some(failed)), failed + LONGEST_PAUSE);
    }
}
