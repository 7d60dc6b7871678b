//! When an administrator is told that a certificate expires.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tls::Expiry;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long before the end it is told, the earliest first: a fortnight is when something keeps it from being renewed
/// (see [`tls::EXPIRES_SOON`]), three days are a weekend.
const BEFORE: [Duration; 3] = [tls::EXPIRES_SOON, Duration::from_secs(3 * 24 * 60 * 60), Duration::ZERO];

/// The clock is looked at so often at least, for it may be set.
const LOOK: Duration = Duration::from_secs(60 * 60);

/// Which certificates were told of.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// How many of [`BEFORE`] each has passed.
    told: BTreeMap<PathBuf, usize>,
}

impl Schedule {
    /// Those that are to be told of now, each with the time that is left; `None`: it has expired. One that is renewed is
    /// told of again when its new end comes near.
    pub(super) fn due<'e>(&mut self, shown: &'e [Expiry], now: SystemTime) -> Vec<(&'e Expiry, Option<Duration>)> {
        let mut due = Vec::new();
        let mut passed = BTreeMap::new();
        for expiry in shown {
            let left = left(expiry, now);
            let stage = BEFORE.iter().filter(|before| left <= **before).count();
            if stage > self.told.get(&expiry.path).copied().unwrap_or(0) {
                due.push((expiry, (!left.is_zero()).then_some(left)));
            }
            passed.insert(expiry.path.clone(), stage);
        }
        self.told = passed;
        due
    }

    /// After what time to ask again.
    pub(super) fn wait(shown: &[Expiry], now: SystemTime) -> Duration {
        let until = |expiry: &Expiry| {
            let left = left(expiry, now);
            BEFORE.iter().filter_map(move |before| left.checked_sub(*before)).filter(|wait| !wait.is_zero()).min()
        };
        shown.iter().filter_map(until).fold(LOOK, Duration::min)
    }
}

fn left(expiry: &Expiry, now: SystemTime) -> Duration {
    expiry.at.duration_since(now).unwrap_or_default()
}

/// Whole days.
pub(super) fn days(left: Duration) -> u64 {
    left.as_secs() / DAY.as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: i64 = 86_400;

    fn at(seconds: i64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000_u64.strict_add_signed(seconds))
    }

    fn expiry(seconds: i64) -> [Expiry; 1] {
        [Expiry { path: "a.pem".into(), subject: "CN=a".into(), names: Vec::new(), at: at(seconds) }]
    }

    #[test]
    fn each_of_three_times_is_told_once() {
        let (mut schedule, shown) = (Schedule::default(), expiry(90 * D));
        let mut told = Vec::new();
        for hour in 0..(91 * 24) {
            let due = schedule.due(&shown, at(hour * 3600));
            told.extend(due.into_iter().map(|(_, left)| (hour / 24, left.map(days))));
        }
        assert_eq!(told, [(76, Some(14)), (87, Some(3)), (90, None)]);
    }

    #[test]
    fn what_comes_late_is_told_at_once_and_only_the_last_of_it() {
        let mut schedule = Schedule::default();
        assert_eq!(schedule.due(&expiry(2 * D), at(0)).len(), 1);
        assert_eq!(schedule.due(&expiry(2 * D), at(3600)).len(), 0);
        assert_eq!(schedule.due(&expiry(-D), at(7200)), [(&expiry(-D)[0], None)]);
    }

    #[test]
    fn a_renewed_one_is_told_of_anew() {
        let mut schedule = Schedule::default();
        assert_eq!(schedule.due(&expiry(10 * D), at(0)).len(), 1);
        assert_eq!(schedule.due(&expiry(100 * D), at(D)).len(), 0);
        assert_eq!(schedule.due(&expiry(100 * D), at(90 * D)).len(), 1);
    }

    #[test]
    fn the_next_look_is_at_the_next_time_and_within_an_hour() {
        let wait = |left: i64| Schedule::wait(&expiry(left), at(0)).as_secs();
        assert_eq!(Schedule::wait(&[], at(0)), Duration::from_secs(3600));
        assert_eq!(wait(90 * D), 3600);
        assert_eq!(wait(14 * D + 1800), 1800);
        assert_eq!(wait(3 * D + 900), 900);
        assert_eq!(wait(1), 1);
        assert_eq!(wait(-5 * D), 3600);
    }
}
