//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

/// Long enough for anything that is expected at once, on a machine with other work.
pub const SOON: Duration = Duration::from_secs(10);

/// Between two looks at the condition: short beside everything that is waited for, long beside a look.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits until the condition holds; `what` is the sentence's subject in the failure.
///
/// # Panics
/// If it does not hold in time.
#[track_caller]
pub fn wait_for(limit: Duration, what: &str, condition: impl FnMut() -> bool) {
    assert!(eventually(limit, condition), "waited {limit:?} in vain: {what}");
}

/// Whether the condition held within the time.
pub fn eventually(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
