//! The folder that the root's path leads to now.
//!
//! Walking the path may hang, so only threads that may wait do it, one at a time. A root that is due is used on while
//! one request walks its path anew; so nobody else waits, unless that takes long.

use crate::failure::Failure;
use crate::tree::Root;
use arc_swap::ArcSwapOption;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The age at which a root is due: one request walks its path again, the others go on with it.
const DUE: Duration = Duration::from_secs(1);

/// How old a root may be and still be used: as long may it take at most until one that was mounted over, or switched by
/// a symbolic link, is seen. Beyond it everybody waits, for an answer from what may be long gone is worse than a late
/// one; and five seconds let a slow server of the root's path be slow.
const AGE_MAX: Duration = Duration::from_secs(5);

/// A walk that takes so long is given up, and another begun beside it; with every further one that hangs, after twice
/// the time: so whatever comes back is found, and a day of hanging takes no more than a dozen threads.
const WALK_MAX: Duration = Duration::from_secs(10);

/// The root, kept current.
pub(crate) struct CurrentRoot {
    path: PathBuf,
    symlinks: bool,
    /// How long a walk by another thread is waited for.
    patience: Duration,
    known: ArcSwapOption<Root>,
    born: Instant,
    /// When somebody was last sent to walk a path that was due, in milliseconds since `born`.
    sent: AtomicU64,
    walks: Mutex<Walks>,
    walked: Condvar,
}

/// Who walks the path.
#[derive(Default)]
struct Walks {
    /// How many were ever begun; the number of the latest.
    begun: u64,
    /// When the latest was begun.
    latest: Option<Instant>,
    /// How many have not ended.
    under_way: u32,
    /// The highest number of those that have ended.
    ended: u64,
}

impl CurrentRoot {
    pub(crate) fn new(path: PathBuf, symlinks: bool, patience: Duration) -> CurrentRoot {
        CurrentRoot {
            path,
            symlinks,
            patience,
            known: ArcSwapOption::empty(),
            born: Instant::now(),
            sent: AtomicU64::new(0),
            walks: Mutex::default(),
            walked: Condvar::new(),
        }
    }

    /// The root without waiting; [`Failure::Wait`] sends the request to a thread that may.
    pub(crate) fn at_once(&self, now: Instant) -> Result<Arc<Root>, Failure> {
        match self.younger_than(AGE_MAX, now) {
            Some(root) if root.age(now) <= DUE || !self.is_first_to_go(now) => Ok(root),
            Some(_) => Err(Failure::Wait),
            None if self.walks().are_hopeless(self.patience, now) => Err(Failure::Unavailable),
            None => Err(Failure::Wait),
        }
    }

    /// The root, walked to if it is due; may wait, but for a walk by another thread no longer than the patience.
    pub(crate) fn waiting(&self, now: Instant) -> Result<Arc<Root>, Failure> {
        let mut walks = self.walks();
        if let Some(root) = self.younger_than(DUE, now) {
            return Ok(root);
        }
        if walks.may_begin(now) {
            let number = walks.begin(now);
            drop(walks);
            return self.walk(number, now);
        }
        if let Some(root) = self.younger_than(AGE_MAX, now) {
            return Ok(root);
        }
        if walks.are_hopeless(self.patience, now) {
            return Err(Failure::Unavailable);
        }
        let seen = walks.ended;
        let (walks, _) = self
            .walked
            .wait_timeout_while(walks, self.patience, |walks| walks.ended == seen)
            .unwrap_or_else(PoisonError::into_inner);
        drop(walks);
        self.younger_than(AGE_MAX, now).ok_or(Failure::Unavailable)
    }

    /// Lets go of a root that was replaced under our descriptor.
    pub(crate) fn forget(&self) {
        self.known.store(None);
    }

    fn walk(&self, number: u64, now: Instant) -> Result<Arc<Root>, Failure> {
        // A root that is missing is an outage, not a missing file.
        let outcome = Root::open(&self.path, self.symlinks, now).map(Arc::new).map_err(|_| Failure::Unavailable);
        let mut walks = self.walks();
        // One that hung may bring what a later one has already found replaced.
        if walks.end(number) {
            self.known.store(outcome.as_ref().ok().cloned());
        }
        drop(walks);
        self.walked.notify_all();
        outcome
    }

    fn younger_than(&self, age: Duration, now: Instant) -> Option<Arc<Root>> {
        self.known.load_full().filter(|root| root.age(now) <= age)
    }

    /// Whether this request is to walk the path; true for one in each [`DUE`], as the one before may be lost on its way.
    fn is_first_to_go(&self, now: Instant) -> bool {
        let now = u64::try_from(now.saturating_duration_since(self.born).as_millis()).unwrap_or(u64::MAX);
        let sent = self.sent.load(Ordering::Relaxed);
        u128::from(now.saturating_sub(sent)) >= DUE.as_millis()
            && self.sent.compare_exchange(sent, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn walks(&self) -> MutexGuard<'_, Walks> {
        self.walks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Walks {
    fn may_begin(&self, now: Instant) -> bool {
        let doublings = self.under_way.saturating_sub(1).min(16);
        self.under_way == 0 || self.latest_took(now) >= WALK_MAX * (1 << doublings)
    }

    /// Whether the walk under way has taken so long that nobody should begin to wait for it.
    fn are_hopeless(&self, patience: Duration, now: Instant) -> bool {
        !self.may_begin(now) && self.latest_took(now) >= patience
    }

    fn latest_took(&self, now: Instant) -> Duration {
        self.latest.map_or(Duration::ZERO, |latest| now.saturating_duration_since(latest))
    }

    fn begin(&mut self, now: Instant) -> u64 {
        self.begun += 1;
        self.under_way += 1;
        self.latest = Some(now);
        self.begun
    }

    /// Whether no later one has ended before.
    fn end(&mut self, number: u64) -> bool {
        self.under_way -= 1;
        let is_latest = number > self.ended;
        self.ended = self.ended.max(number);
        is_latest
    }
}

#[cfg(test)]
mod tests;
