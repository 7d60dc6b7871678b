//! How long the bytes of streams are here: from the read that brought them to the moment when the client's socket has
//! taken the last of them.
//!
//! PEP 333 demands of who stands between an application and its client that no block is delayed: these numbers tell
//! whether that is so. What a byte waits in the kernel before it is read, nobody here can see.

use std::time::{Duration, Instant};

use units::latency::{HELD_BOUNDS_MICROS, bucket_within};

use crate::stats::Counter;

/// How many reads fell below each of [`HELD_BOUNDS_MICROS`], and above the last.
#[derive(Debug, Default)]
pub struct Held {
    /// One a bound, and one for what is longer than the last.
    pub buckets: [Counter; HELD_BOUNDS_MICROS.len() + 1],
    /// All of them together, in nanoseconds.
    pub sum_nanos: Counter,
    /// The longest, in nanoseconds.
    pub max_nanos: Counter,
}

impl Held {
    fn record(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket_within(&HELD_BOUNDS_MICROS, duration)].add(1);
        self.sum_nanos.add(nanos);
        self.max_nanos.set(self.max_nanos.value().max(nanos));
    }
}

/// What one worker counted of the streams of one frontend.
#[derive(Debug, Default)]
pub struct StreamStats {
    /// Of reads whose bytes the client's socket took at once.
    pub at_once: Held,
    /// Of reads whose bytes had to wait for the client, who had not taken the ones before.
    pub after_client: Held,
}

/// The stay of one read's bytes.
pub(crate) struct Stay<'a> {
    /// `None`: it is not counted.
    stats: Option<&'a StreamStats>,
    since: Option<Instant>,
}

impl<'a> Stay<'a> {
    pub(crate) fn new(stats: Option<&'a StreamStats>) -> Stay<'a> {
        Stay { stats, since: None }
    }

    /// They have just been read.
    pub(crate) fn begin(&mut self) {
        self.since = self.stats.map(|_| Instant::now());
    }

    /// The client's socket has the last of them; `waited`: it did not take all of them at once.
    pub(crate) fn end(&mut self, waited: bool) {
        if let (Some(stats), Some(since)) = (self.stats, self.since.take()) {
            let of = if waited { &stats.after_client } else { &stats.at_once };
            of.record(since.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_is_kept_to_the_nanosecond() {
        let held = Held::default();
        for nanos in [9_000, 5_000_000, 5_000_001, 70] {
            held.record(Duration::from_nanos(nanos));
        }
        assert_eq!(held.max_nanos.value(), 5_000_001);
        assert_eq!(held.sum_nanos.value(), 10_009_071);
        let counts: Vec<u64> = held.buckets.iter().map(Counter::value).collect();
        // Up to 10 µs, up to 5 ms, up to 10 ms.
        assert_eq!(counts, [2, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn only_what_was_read_of_a_stream_is_counted() {
        let stats = StreamStats::default();
        let reads = |held: &Held| held.buckets.iter().map(Counter::value).sum::<u64>();
        let mut stay = Stay::new(Some(&stats));
        stay.end(false);
        stay.begin();
        stay.end(false);
        stay.end(false);
        stay.begin();
        stay.end(true);
        assert_eq!([reads(&stats.at_once), reads(&stats.after_client)], [1, 1]);
        let mut none = Stay::new(None);
        none.begin();
        assert_eq!(none.since, None);
    }
}
