//! What tests of several rooms need.

use std::fs::File;
use std::time::{Duration, Instant};

use rustix::fs::{Advice, fadvise};

/// Has the page cache let a file go, until that is seen.
///
/// A page that the kernel still holds elsewhere is not dropped, and a quick disk may have it back at once.
pub(crate) fn forget(file: &File, is_forgotten: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        fadvise(file, 0, None, Advice::DontNeed).unwrap();
        if is_forgotten() {
            return;
        }
        assert!(Instant::now() < deadline, "what was dropped from the page cache is said to be in memory");
        std::thread::yield_now();
    }
}
