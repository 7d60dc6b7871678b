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
}

impl Account {
    /// A server with nothing to send, whose link takes `rate` bytes a second.
    pub fn new(rate: u64) -> Account {
        Account { free_at: AtomicU64::new(0), rate: AtomicU64::new(rate.max(1)), promised: AtomicU64::new(0) }
    }

    /// Some client will have this many bytes of the server.
    pub fn promise(&self, now: Instant, bytes: u64) {
        self.promised.fetch_add(bytes, Relaxed);
        let takes = self.time_for(bytes);
        let later = |free_at| Some((Instant::from_nanos(free_at).max(now) + takes).as_nanos());
        let _ = self.free_at.fetch_update(Relaxed, Relaxed, later);
    }

    /// An earlier promise was for fewer bytes than it said, or will not be kept.
    pub fn take_back(&self, bytes: u64) {
        let takes = self.time_for(bytes);
        let sooner = |free_at| Some((Instant::from_nanos(free_at) - takes).as_nanos());
        let _ = self.free_at.fetch_update(Relaxed, Relaxed, sooner);
    }

    /// The server's link is known to be free at `free_at`, and to take `rate` bytes a second.
    pub fn settle(&self, free_at: Instant, rate: u64) {
        self.free_at.store(free_at.as_nanos(), Relaxed);
        self.rate.store(rate.max(1), Relaxed);
    }

    /// When the link will have sent what was promised; in the past if it has.
    pub fn free_at(&self) -> Instant {
        Instant::from_nanos(self.free_at.load(Relaxed))
    }

    /// Bytes a second that one more client may expect.
    pub fn rate(&self) -> u64 {
        self.rate.load(Relaxed)
    }

    /// All bytes ever promised.
    pub fn promised(&self) -> u64 {
        self.promised.load(Relaxed)
    }

    /// How long the link takes for so many bytes.
    fn time_for(&self, bytes: u64) -> Duration {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.rate());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}
