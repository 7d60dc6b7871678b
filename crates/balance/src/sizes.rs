use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How many lengths are kept (512 KiB).
const PLACES: usize = 65_536;
/// In how many places of the table a key's length may stand.
const WAYS: usize = 4;
const LENGTH_BITS: u32 = 40;
const LENGTH_MAX: u64 = (1 << LENGTH_BITS) - 1;
/// What an answer is expected to have before any was seen.
const MEAN_AT_FIRST: u64 = 1 << 20;
/// In how many asks the mean forgets two thirds of what it was.
const MEAN_OVER: u64 = 64;

/// How long the answers to requests were, by a hash of each: what a server is promised before it says.
///
/// Any number of threads learn and ask, without a lock. Each length stands in one word with 24 bits of its key, so that
/// none is ever read half. Of keys that were not learnt about one in four million gets another's length; what was
/// learnt longest ago in its part of the table makes room for what is new.
#[derive(Debug)]
pub struct Sizes {
    /// A tag that is not 0 above a length; 0: nothing.
    words: Box<[AtomicU64]>,
    mean: AtomicU64,
}

impl Default for Sizes {
    fn default() -> Sizes {
        Sizes::new()
    }
}

impl Sizes {
    /// Nothing is known.
    pub fn new() -> Sizes {
        Sizes { words: (0..PLACES).map(|_| AtomicU64::new(0)).collect(), mean: AtomicU64::new(MEAN_AT_FIRST) }
    }

    /// The answer to the request of this hash had so many bytes (1 TiB and more count as 1 TiB).
    pub fn learn(&self, key: u64, bytes: u64) {
        let bytes = bytes.min(LENGTH_MAX);
        let word = tag(key) | bytes;
        let ways = self.ways(key);
        if let Some(known) = find(ways, key) {
            if known.load(Relaxed) != word {
                known.store(word, Relaxed);
            }
            return;
        }
        self.count(bytes);
        // What two threads move at once may be lost or stand there twice; the newer is found first.
        for place in (1..ways.len()).rev() {
            ways[place].store(ways[place - 1].load(Relaxed), Relaxed);
        }
        ways[0].store(word, Relaxed);
    }

    /// How many bytes the answer to the request of this hash had when it was last seen.
    pub fn expect(&self, key: u64) -> Option<u64> {
        let word = find(self.ways(key), key)?.load(Relaxed);
        // Between two looks another thread may have put another key's there.
        let bytes = (word & !LENGTH_MAX == tag(key)).then_some(word & LENGTH_MAX)?;
        self.count(bytes);
        Some(bytes)
    }

    /// What to expect of a request whose answer is not known: the mean of late asks.
    pub fn mean(&self) -> u64 {
        self.mean.load(Relaxed)
    }

    /// Counts an ask. One of two that come at once may be lost, which a mean does not mind.
    fn count(&self, bytes: u64) {
        let mean = self.mean.load(Relaxed);
        let moved = (mean * (MEAN_OVER - 1) + bytes) / MEAN_OVER;
        if moved != mean {
            self.mean.store(moved, Relaxed);
        }
    }

    fn ways(&self, key: u64) -> &[AtomicU64] {
        let first = key as usize % (PLACES / WAYS) * WAYS;
        &self.words[first..first + WAYS]
    }
}

/// The key's upper bits where they stand in a word; never 0.
fn tag(key: u64) -> u64 {
    (key & !LENGTH_MAX).max(LENGTH_MAX + 1)
}

fn find(ways: &[AtomicU64], key: u64) -> Option<&AtomicU64> {
    ways.iter().find(|way| way.load(Relaxed) & !LENGTH_MAX == tag(key))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// A key of this part of the table.
    fn key(tag: u64, set: u64) -> u64 {
        tag << LENGTH_BITS | set
    }

    #[test]
    fn what_was_learnt_is_expected() {
        let sizes = Sizes::new();
        assert_eq!(sizes.expect(7), None);
        assert_eq!(sizes.expect(0), None);
        sizes.learn(0, 0);
        sizes.learn(7, 1_500_000_000);
        sizes.learn(u64::MAX, u64::MAX);
        assert_eq!(sizes.expect(0), Some(0));
        assert_eq!(sizes.expect(7), Some(1_500_000_000));
        assert_eq!(sizes.expect(u64::MAX), Some(1_099_511_627_775));
        sizes.learn(7, 3);
        assert_eq!(sizes.expect(7), Some(3));
    }

    #[test]
    fn the_fifth_of_a_set_takes_the_place_of_the_first() {
        let sizes = Sizes::new();
        (1..=5).for_each(|tag| sizes.learn(key(tag, 16_383), tag * 100));
        let expected: Vec<Option<u64>> = (1..=5).map(|tag| sizes.expect(key(tag, 16_383))).collect();
        assert_eq!(expected, [None, Some(200), Some(300), Some(400), Some(500)]);
        assert_eq!(sizes.expect(key(2, 0)), None, "another set");
    }

    #[test]
    fn the_mean_follows_what_is_asked_for() {
        let sizes = Sizes::new();
        assert_eq!(sizes.mean(), 1_048_576);
        sizes.learn(1, 65_536_000);
        assert_eq!(sizes.mean(), 2_056_192);
        sizes.learn(1, 65_536_000);
        assert_eq!(sizes.mean(), 2_056_192, "learnt again is not asked again");
        (0..2_000).for_each(|_| assert_eq!(sizes.expect(1), Some(65_536_000)));
        assert!((65_535_900..=65_536_000).contains(&sizes.mean()), "{}", sizes.mean());
    }

    proptest! {
        #[test]
        fn no_length_is_anothers(learnt in vec((1u64..40, 0u64..3, 0u64..LENGTH_MAX), 0..200)) {
            let sizes = Sizes::new();
            let mut model = std::collections::BTreeMap::new();
            for (tag, set, bytes) in learnt {
                sizes.learn(key(tag, set), bytes);
                model.insert(key(tag, set), bytes);
                prop_assert_eq!(sizes.expect(key(tag, set)), Some(bytes));
            }
            for (key, bytes) in model {
                prop_assert!(sizes.expect(key).is_none_or(|read| read == bytes));
            }
        }
    }
}
