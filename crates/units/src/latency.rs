//! The buckets that every latency is counted in: by the workers, in the metrics, on the dashboard.

use std::time::Duration;

/// Upper bounds in microseconds, each inclusive: 1, 2.5 and 5 a decade from 100 µs, then 10, 30 and 60 s.
///
/// The last two are the default time-outs of a queue and of a server, so a request that met one of them shows.
/// What took longer falls in one more bucket, which has no bound.
pub const BOUNDS_MICROS: [u64; 18] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// Upper bounds in microseconds, each inclusive, of how long the bytes of streams are held: finer where a front that
/// holds nothing has them, and with 5 ms, which is what streams are promised.
pub const HELD_BOUNDS_MICROS: [u64; 17] = [
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 10_000_000,
    60_000_000,
];

/// The bucket that `duration` counts in: the first whose bound it does not exceed, else `BOUNDS_MICROS.len()`.
pub fn bucket_of(duration: Duration) -> usize {
    bucket_within(&BOUNDS_MICROS, duration)
}

/// The same of any rising `bounds` in microseconds.
pub fn bucket_within(bounds: &[u64], duration: Duration) -> usize {
    bounds.partition_point(|&bound| Duration::from_micros(bound) < duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_own_bucket() {
        assert_eq!(bucket_of(Duration::ZERO), 0);
        assert_eq!(bucket_of(Duration::from_micros(100)), 0);
        assert_eq!(bucket_of(Duration::from_nanos(100_001)), 1);
        assert_eq!(bucket_of(Duration::from_millis(1)), 3);
        assert_eq!(bucket_of(Duration::from_secs(60)), 17);
    }

    #[test]
    fn what_is_longer_than_every_bound_counts_last() {
        assert_eq!(bucket_of(Duration::from_nanos(60_000_000_001)), 18);
        assert_eq!(bucket_of(Duration::MAX), 18);
    }

    #[test]
    fn bounds_rise() {
        assert!(BOUNDS_MICROS.is_sorted_by(|lower, upper| lower < upper));
        assert!(HELD_BOUNDS_MICROS.is_sorted_by(|lower, upper| lower < upper));
    }
}
