use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use units::Instant;

/// What one server has been promised to send, as the moment at which its link will have sent it all.
///
/// Any number of threads promise, without a lock; one settles it with what is known.
#[derive(Debug)]
pub struct Account {
    /// Nanoseconds on the caller's clock.
    free_at: AtomicU64,
    /// Bytes a second; never 0.
    rate: AtomicU64,
    promised: AtomicU64,
    promises: AtomicU64,
    taken_back: AtomicU64,
}

impl Account {
    /// A server with nothing to send, whose link takes `rate` bytes a second.
    pub fn new(rate: u64) -> Account {
        Account {
            free_at: AtomicU64::new(0),
            rate: AtomicU64::new(rate.max(1)),
            promised: AtomicU64::new(0),
            promises: AtomicU64::new(0),
            taken_back: AtomicU64::new(0),
        }
    }

    /// Some client will have this many bytes of the server.
    pub fn promise(&self, now: Instant, bytes: u64) {
        self.promises.fetch_add(1, Relaxed);
        self.promise_more(now, bytes);
    }

    /// An earlier promise was for so many more bytes than it said.
    pub fn promise_more(&self, now: Instant, bytes: u64) {
        self.promised.fetch_add(bytes, Relaxed);
        let takes = self.time_for(bytes);
        let later = |free_at| Some((Instant::from_nanos(free_at).max(now) + takes).as_nanos());
        let _ = self.free_at.fetch_update(Relaxed, Relaxed, later);
    }

    /// An earlier promise was for fewer bytes than it said, or will not be kept.
    pub fn take_back(&self, bytes: u64) {
        self.taken_back.fetch_add(bytes, Relaxed);
        let takes = self.time_for(bytes);
        let sooner = |free_at| Some((Instant::from_nanos(free_at) - takes).as_nanos());
        let _ = self.free_at.fetch_update(Relaxed, Relaxed, sooner);
    }

    /// The server's link is known to be free at `free_at` but for what is promised from now on, and that counts as if
    /// it took `rate` bytes a second.
    pub fn settle(&self, free_at: Instant, rate: u64) {
        self.free_at.store(free_at.as_nanos(), Relaxed);
        self.rate.store(rate.max(1), Relaxed);
    }

    /// When the link will have sent what was promised; in the past if it has.
    pub fn free_at(&self) -> Instant {
        Instant::from_nanos(self.free_at.load(Relaxed))
    }

    /// Bytes a second that one more client may expect, and by which promises are counted.
    pub fn rate(&self) -> u64 {
        self.rate.load(Relaxed)
    }

    /// All bytes ever promised; turns over at the end.
    pub fn promised(&self) -> u64 {
        self.promised.load(Relaxed)
    }

    /// All bytes ever promised without those taken back; turns over at the end, and before the beginning.
    pub(crate) fn kept(&self) -> u64 {
        self.promised().wrapping_sub(self.taken_back.load(Relaxed))
    }

    /// How many promises were ever made.
    pub fn promises(&self) -> u64 {
        self.promises.load(Relaxed)
    }

    /// How long the link takes for so many bytes.
    fn time_for(&self, bytes: u64) -> Duration {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.rate());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_millis(10_000);

    #[test]
    fn promises_add_up_and_time_pays_them_off() {
        let account = Account::new(1_000);
        account.promise(NOW, 500);
        assert_eq!(account.free_at(), Instant::from_millis(10_500));
        account.promise(NOW + Duration::from_millis(100), 1_000);
        assert_eq!(account.free_at(), Instant::from_millis(11_500));
        account.take_back(1_000);
        assert_eq!(account.free_at(), Instant::from_millis(10_500));
        account.promise(Instant::from_millis(20_000), 2_000);
        assert_eq!(account.free_at(), Instant::from_millis(22_000), "nothing is left of the old ones");
        account.settle(Instant::from_millis(30_000), 0);
        assert_eq!((account.free_at(), account.rate()), (Instant::from_millis(30_000), 1));
        assert_eq!((account.promised(), account.promises(), account.kept()), (3_500, 3, 2_500));
    }

    #[test]
    fn more_of_an_earlier_promise_is_no_further_one() {
        let account = Account::new(1_000);
        account.promise(NOW, 500);
        account.promise_more(NOW, 250);
        assert_eq!(account.free_at(), Instant::from_millis(10_750));
        assert_eq!((account.promised(), account.promises(), account.kept()), (750, 1, 750));
    }

    #[test]
    fn what_is_beyond_the_clock_stays_at_its_end() {
        let account = Account::new(1);
        account.promise(NOW, u64::MAX);
        account.promise(NOW, u64::MAX);
        assert_eq!(account.free_at(), Instant::from_nanos(u64::MAX));
        account.take_back(u64::MAX);
        account.take_back(u64::MAX);
        assert_eq!(account.free_at(), Instant::ZERO);
    }
}
