//! How long to wait before something that has failed is tried again. Pure.

use std::time::Duration;

/// The first wait, and the longest: each is twice the one before.
const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(15);

/// Waits that grow for as long as nothing moves.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    /// Waited since something moved.
    waited: Duration,
    patience: Duration,
}

impl Backoff {
    /// Gives up after waiting `patience` in all while nothing moves.
    pub(crate) fn new(patience: Duration) -> Backoff {
        Backoff { next: FIRST, waited: Duration::ZERO, patience }
    }

    /// Something has moved.
    pub(crate) fn moved(&mut self) {
        (self.next, self.waited) = (FIRST, Duration::ZERO);
    }

    /// How long to wait now, not less than the server `asked` for; `None`: no longer.
    pub(crate) fn wait(&mut self, asked: Option<Duration>) -> Option<Duration> {
        if self.waited >= self.patience {
            return None;
        }
        let wait = asked.unwrap_or(self.next).clamp(self.next, LONGEST.max(self.next)).min(self.patience);
        self.next = (self.next * 2).min(LONGEST);
        self.waited += wait;
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_until_something_moves_or_patience_ends() {
        let mut backoff = Backoff::new(Duration::from_secs(30));
        let mut millis = || backoff.wait(None).map(|wait| wait.as_millis());
        assert_eq!([millis(), millis(), millis()], [Some(200), Some(400), Some(800)]);
        backoff.moved();
        let waits: Vec<u128> = std::iter::from_fn(|| backoff.wait(None)).map(|wait| wait.as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 6400, 12_800, 15_000]);
        backoff.moved();
        assert_eq!(backoff.wait(Some(Duration::from_secs(5))), Some(Duration::from_secs(5)));
        assert_eq!(backoff.wait(Some(Duration::from_secs(3600))), Some(Duration::from_secs(15)));
    }
}
