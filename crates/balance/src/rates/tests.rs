use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

/// A key of this part of the table.
fn key(tag: u64, set: u64) -> u64 {
    tag << TIME_BITS | set
}

/// A bucket that holds `burst` requests and gains one each period, in microseconds of a request: the same rule
/// in its other form (ITU-T I.371's continuous-state leaky bucket).
struct Bucket {
    level: u64,
    seen: u64,
}

impl Bucket {
    fn take(&mut self, now: u64, period: u64, burst: u64) -> Result<(), u64> {
        self.level = self.level.saturating_sub(now - self.seen);
        self.seen = now;
        let room = period * (burst - 1);
        if self.level > room {
            return Err(self.level - room);
        }
        self.level += period;
        Ok(())
    }
}

#[test]
fn a_burst_and_then_one_each_period() {
    let rates = Rates::new(SECOND, 3, 100);
    for _ in 0..3 {
        assert_eq!(rates.take(1, at(5_000)), Ok(()));
    }
    assert_eq!(rates.take(1, at(5_000)), Err(SECOND));
    assert_eq!(rates.take(2, at(5_000)), Ok(()), "another client");
    assert_eq!(rates.take(1, at(5_400)), Err(Duration::from_millis(600)));
    assert_eq!(rates.take(1, at(6_000)), Ok(()));
    assert_eq!(rates.take(1, at(6_000)), Err(SECOND));
    assert_eq!(rates.take(1, at(8_000)), Ok(()));
    assert_eq!(rates.take(1, at(8_000)), Ok(()));
    assert_eq!(rates.take(1, at(8_999)), Err(Duration::from_millis(1)));
}

#[test]
fn one_cell_is_shared_by_all() {
    let cell = RateCell::new(Duration::from_nanos(500), 2);
    let now = Instant::from_nanos(1_000);
    assert_eq!((cell.take(now), cell.take(now)), (Ok(()), Ok(())));
    assert_eq!(cell.take(now), Err(Duration::from_nanos(500)));
    assert_eq!(cell.take(Instant::from_nanos(1_499)), Err(Duration::from_nanos(1)));
    assert_eq!(cell.take(Instant::from_nanos(1_500)), Ok(()));
    let never = RateCell::new(Duration::MAX, u32::MAX);
    assert_eq!((never.take(now), never.take(now)), (Ok(()), Ok(())));
    assert_eq!(RateCell::new(SECOND, 0).take(now), Ok(()));
}

#[test]
fn who_was_away_longest_makes_room() {
    let rates = Rates::new(SECOND, 1, 8);
    for tag in 1..=8 {
        assert_eq!(rates.take(key(tag, 0), at(tag)), Ok(()));
    }
    assert!(rates.take(key(1, 0), at(100)).is_err(), "all eight are remembered");
    assert_eq!(rates.take(key(9, 0), at(100)), Ok(()));
    assert_eq!(rates.words.len(), 8, "a ninth takes no room");
    assert!(rates.take(key(2, 0), at(100)).is_err());
    assert!(rates.take(key(9, 0), at(100)).is_err());
    assert_eq!(rates.take(key(1, 0), at(100)), Ok(()), "the one nearest to its right was forgotten");
    assert_eq!(rates.take(key(10, 0), at(5_000)), Ok(()));
    assert!(rates.take(key(1, 0), at(1_099)).is_err(), "now it was the second, who came before it");
}

#[test]
fn the_clock_of_a_word_turns_over() {
    let turn = (1u64 << TIME_BITS) * 1_000;
    let rates = Rates::new(SECOND, 2, 8);
    let before = Instant::from_nanos(turn - 500_000_000);
    assert_eq!((rates.take(1, before), rates.take(1, before)), (Ok(()), Ok(())));
    assert_eq!(rates.take(1, before), Err(SECOND));
    assert_eq!(rates.take(1, Instant::from_nanos(turn + 400_000_000)), Err(Duration::from_millis(100)));
    assert_eq!(rates.take(1, Instant::from_nanos(turn + 500_000_000)), Ok(()));
    assert_eq!(rates.take(1, Instant::from_nanos(turn * 3 / 2)), Ok(()), "a hundred days later");
}

#[test]
fn great_numbers_are_no_danger() {
    let rates = Rates::new(Duration::MAX, u32::MAX, 0);
    assert_eq!(rates.take(0, Instant::from_nanos(u64::MAX)), Ok(()));
    let rates = Rates::new(Duration::ZERO, 0, 1);
    assert_eq!(rates.take(0, at(0)), Ok(()));
    assert_eq!(rates.take(0, at(0)), Err(Duration::from_micros(1)));
}

proptest! {
    /// As long as no part of the table has more clients than places, every answer is the leaky bucket's.
    #[test]
    fn the_answers_are_a_leaky_buckets(
        period in 1u64..2_000,
        burst in 1u32..6,
        requests in vec((0u64..8, 0u64..3, 0u64..1_500), 1..300),
    ) {
        let rates = Rates::new(Duration::from_micros(period), burst, 64);
        let cell = RateCell::new(Duration::from_micros(period), burst);
        let mut buckets = BTreeMap::new();
        let mut all = Bucket { level: 0, seen: 0 };
        let mut now = 0;
        for (tag, set, later) in requests {
            now += later;
            let bucket = buckets.entry((tag, set)).or_insert(Bucket { level: 0, seen: 0 });
            let expected = bucket.take(now, period, u64::from(burst)).map_err(Duration::from_micros);
            prop_assert_eq!(rates.take(key(tag + 1, set), Instant::from_nanos(now * 1_000)), expected);
            let expected = all.take(now, period, u64::from(burst)).map_err(Duration::from_micros);
            prop_assert_eq!(cell.take(Instant::from_nanos(now * 1_000)), expected);
        }
    }
}
