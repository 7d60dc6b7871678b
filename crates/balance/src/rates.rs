//! Limits of rates: the generic cell rate algorithm (ITU-T I.371, its virtual scheduling form), without a lock.
//!
//! A client's whole past is one moment: when it would be entitled to its next request if it had always come in time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use units::Instant;

/// In how many places of the table a client may stand.
const WAYS: usize = 8;
const TIME_BITS: u32 = 44;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;
/// The longest time ahead that a word can tell from the past, in microseconds: 101 days.
const AHEAD_MAX: u64 = TIME_MASK / 2;

/// How often each of many clients may come.
///
/// Any number of threads ask, without a lock. There is room for so many clients and no more: who has been within its
/// rate longest is forgotten first, which costs nothing unless the part of the table where it stands is full of
/// clients that are not; then one of those begins anew. Two clients share a budget if they fall on the same part
/// and the same of 2^20 tags: a new client finds a stranger's budget once in 131 072 times at most.
#[derive(Debug)]
pub struct Rates {
    /// 20 bits of the key, not 0, above the moment in microseconds, of which 44 bits are kept; 0: nobody.
    words: Box<[AtomicU64]>,
    period: u64,
    tolerance: u64,
}

/// How often all clients together may come.
#[derive(Debug)]
pub struct RateCell {
    /// Nanoseconds on the caller's clock.
    entitled: AtomicU64,
    period: u64,
    tolerance: u64,
}

impl Rates {
    /// One request each `period` (whole microseconds, at least one) and up to `burst` at once, at least one, for each of
    /// at least `places` clients. `burst` periods that are longer than 101 days count as 101 days.
    pub fn new(period: Duration, burst: u32, places: usize) -> Rates {
        let sets = places.div_ceil(WAYS).next_power_of_two();
        let period = u64::try_from(period.as_micros()).unwrap_or(u64::MAX).clamp(1, AHEAD_MAX);
        let tolerance = period.saturating_mul(u64::from(burst.max(1) - 1)).min(AHEAD_MAX - period);
        Rates { words: (0..sets * WAYS).map(|_| AtomicU64::new(0)).collect(), period, tolerance }
    }

    /// Counts a request of the client of this hash, unless it comes too soon.
    ///
    /// # Errors
    /// If it does: how long until one may come.
    pub fn take(&self, key: u64, now: Instant) -> Result<(), Duration> {
        let now = now.as_nanos() / 1_000;
        let tag = (key & !TIME_MASK).max(TIME_MASK + 1);
        let sets = self.words.len() / WAYS;
        let first = key as usize % sets * WAYS;
        let ways = &self.words[first..first + WAYS];
        loop {
            let words: [u64; WAYS] = std::array::from_fn(|way| ways[way].load(Relaxed));
            let known = words.iter().position(|word| word & !TIME_MASK == tag);
            // What is ahead is the client's debt; a client that is not there has none.
            let ahead = known.map_or(0, |way| self.ahead(words[way], now));
            if ahead > self.tolerance {
                return Err(Duration::from_micros(ahead - self.tolerance));
            }
            let way = known.unwrap_or_else(|| self.dispensable(&words, now));
            let word = tag | (now + ahead + self.period) & TIME_MASK;
            if ways[way].compare_exchange(words[way], word, Relaxed, Relaxed).is_ok() {
                return Ok(());
            }
        }
    }

    /// How far after `now` a word's moment is; 0 if it is not. A moment that was 203 days ago looks like this one.
    fn ahead(&self, word: u64, now: u64) -> u64 {
        let ahead = word.wrapping_sub(now) & TIME_MASK;
        if ahead <= self.tolerance + self.period { ahead } else { 0 }
    }

    /// The place that nobody has, or whose client has been within its rate for the longest.
    fn dispensable(&self, words: &[u64; WAYS], now: u64) -> usize {
        let debt = |word: u64| {
            let ahead = self.ahead(word, now);
            let past = now.wrapping_sub(word) & TIME_MASK;
            if ahead > 0 { (ahead, 0) } else { (0, TIME_MASK - past) }
        };
        let least = (0..WAYS).min_by_key(|way| (words[*way] != 0, debt(words[*way])));
        least.unwrap_or(0)
    }
}

impl RateCell {
    /// One request each `period` and up to `burst` at once, at least one.
    pub fn new(period: Duration, burst: u32) -> RateCell {
        let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX).max(1);
        let tolerance = period.saturating_mul(u64::from(burst.max(1) - 1));
        RateCell { entitled: AtomicU64::new(0), period, tolerance }
    }

    /// Counts a request, unless it comes too soon.
    ///
    /// # Errors
    /// If it does: how long until one may come.
    pub fn take(&self, now: Instant) -> Result<(), Duration> {
        let now = now.as_nanos();
        let ahead = |entitled: u64| entitled.saturating_sub(now);
        let next =
            |entitled: u64| (ahead(entitled) <= self.tolerance).then(|| entitled.max(now).saturating_add(self.period));
        let taken = self.entitled.fetch_update(Relaxed, Relaxed, next);
        taken.map(|_| ()).map_err(|entitled| Duration::from_nanos(ahead(entitled) - self.tolerance))
    }

    /// Whether [`RateCell::take`] would count a request.
    pub fn is_ready(&self, now: Instant) -> bool {
        self.entitled.load(Relaxed).saturating_sub(now.as_nanos()) <= self.tolerance
    }
}

#[cfg(test)]
mod tests;
