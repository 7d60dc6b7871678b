//! What many threads do at once to what they share without a lock.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use balance::{Account, RateCell, Rates, Sizes};
use units::Instant;

const NOW: Instant = Instant::from_millis(10_000);

#[test]
fn threads_lose_no_promise() {
    let account = Account::new(1_000);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..1_000).for_each(|_| account.promise(NOW, 10)));
        }
    });
    assert_eq!(account.free_at(), NOW + Duration::from_secs(40));
    assert_eq!((account.promised(), account.promises()), (40_000, 4_000));
}

#[test]
fn threads_together_get_no_more_than_a_burst() {
    let (rates, cell) = (Rates::new(Duration::from_secs(1), 500, 64), RateCell::new(Duration::from_secs(1), 500));
    let (by_rates, by_cell) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    by_rates.fetch_add(u32::from(rates.take(77, NOW).is_ok()), Relaxed);
                    by_cell.fetch_add(u32::from(cell.take(NOW).is_ok()), Relaxed);
                }
            });
        }
    });
    assert_eq!((by_rates.into_inner(), by_cell.into_inner()), (500, 500));
}

#[test]
fn threads_read_what_some_thread_wrote() {
    let sizes = Sizes::new();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let sizes = &sizes;
            scope.spawn(move || {
                for round in 0..20_000u64 {
                    let tag = (round * 7 + thread) % 9 + 1;
                    sizes.learn(tag << 40 | 3, tag * 1_000 + round % 2);
                    let tag = round % 9 + 1;
                    let read = sizes.expect(tag << 40 | 3);
                    assert!(read.is_none_or(|bytes| bytes == tag * 1_000 || bytes == tag * 1_000 + 1), "{read:?}");
                }
            });
        }
    });
}
