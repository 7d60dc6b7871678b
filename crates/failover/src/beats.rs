//! That a serving process lives, in memory that two processes share.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use units::Instant;

/// Workers that can be told of. More than a machine's cores is no use, and no machine of this kind has more.
pub const BEATS_MAX: usize = 1024;

const WORKERS_BITS: u32 = 16;

/// Words of shared memory: whose beats count, then one word for each worker with the time of its last beat.
///
/// A frozen worker is one whose word grows old; a process that is gone is one whose words all do. Times are of
/// CLOCK_BOOTTIME, which all processes of a host share.
#[derive(Clone, Copy, Debug)]
pub struct Beats {
    words: &'static [AtomicU64],
    /// Of the process that beats here; 0: it reads only.
    generation: u64,
}

impl Beats {
    /// Words of the memory.
    pub const WORDS: usize = 1 + BEATS_MAX;

    /// A view of memory of [`Beats::WORDS`] words; `None` if it is less.
    pub fn new(words: &'static [AtomicU64]) -> Option<Beats> {
        (words.len() >= Beats::WORDS).then_some(Beats { words, generation: 0 })
    }

    /// From now on these workers' beats count, and no other process's: a reload's old workers finish their requests and
    /// say nothing of who accepts. Of more than [`BEATS_MAX`] workers the first count.
    pub fn begin(self, workers: usize, now: Instant) -> Beats {
        let workers = workers.min(BEATS_MAX);
        let generation = (self.words[0].load(Relaxed) >> WORKERS_BITS) + 1;
        for word in &self.words[1..=workers] {
            word.store(now.as_nanos(), Relaxed);
        }
        self.words[0].store(generation << WORKERS_BITS | workers as u64, Relaxed);
        Beats { generation, ..self }
    }

    /// `worker` is alive. Nothing comes of it before [`Beats::begin`] or after another process's.
    pub fn beat(&self, worker: usize, now: Instant) {
        let head = self.words[0].load(Relaxed);
        if head >> WORKERS_BITS != self.generation || worker as u64 >= head & ((1 << WORKERS_BITS) - 1) {
            return;
        }
        self.words[1 + worker].store(now.as_nanos(), Relaxed);
    }

    /// The last beat of the worker that has been silent the longest; `None` if none ever began.
    pub fn oldest(&self) -> Option<Instant> {
        let workers = (self.words[0].load(Relaxed) & ((1 << WORKERS_BITS) - 1)) as usize;
        let beats = self.words[1..=workers.min(BEATS_MAX)].iter().map(|word| word.load(Relaxed));
        beats.min().map(Instant::from_nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(words: usize) -> &'static [AtomicU64] {
        (0..words).map(|_| AtomicU64::new(0)).collect::<Vec<_>>().leak()
    }

    #[test]
    fn the_worker_that_is_silent_the_longest_counts() {
        let words = memory(Beats::WORDS);
        let seen = Beats::new(words).unwrap();
        assert_eq!(seen.oldest(), None);
        let serve = Beats::new(words).unwrap().begin(2, Instant::from_millis(10));
        assert_eq!(seen.oldest(), Some(Instant::from_millis(10)));
        serve.beat(0, Instant::from_millis(20));
        assert_eq!(seen.oldest(), Some(Instant::from_millis(10)));
        serve.beat(1, Instant::from_millis(30));
        assert_eq!(seen.oldest(), Some(Instant::from_millis(20)));
    }

    #[test]
    fn only_the_last_process_that_began_is_heard() {
        let words = memory(Beats::WORDS);
        let old = Beats::new(words).unwrap().begin(1, Instant::from_millis(10));
        let new = Beats::new(words).unwrap().begin(1, Instant::from_millis(20));
        old.beat(0, Instant::from_millis(30));
        assert_eq!(new.oldest(), Some(Instant::from_millis(20)));
        Beats::new(words).unwrap().beat(0, Instant::from_millis(40));
        assert_eq!(new.oldest(), Some(Instant::from_millis(20)));
    }

    #[test]
    fn there_is_room_for_so_many_workers_and_no_more() {
        assert!(Beats::new(memory(Beats::WORDS - 1)).is_none());
        let beats = Beats::new(memory(Beats::WORDS)).unwrap().begin(BEATS_MAX + 1, Instant::from_millis(1));
        (0..=BEATS_MAX).for_each(|worker| beats.beat(worker, Instant::from_millis(2)));
        assert_eq!(beats.oldest(), Some(Instant::from_millis(2)));
    }
}
