//! The tables of `balance` under threads, which that crate has none of.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use balance::{NameHash, Stick};

#[test]
fn threads_that_fight_over_one_set_never_hand_out_another_clients_server() {
    let words: Vec<_> = (0..Stick::words(64)).map(|_| AtomicU64::new(0)).collect();
    let stick = Stick::new(words.leak(), Duration::from_secs(64));
    let name_of = |key: u64| NameHash(key as u32 % 5);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3u64)
            .map(|writer| {
                scope.spawn(move || {
                    for turn in 0..40_000u64 {
                        let key = (turn * 7 + writer * 3) % 24;
                        stick.record(key, name_of(key), 100 + (turn / 4000) as u32);
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Relaxed) {
                for key in 0..24 {
                    if let Some(name) = stick.look_up(key, 110) {
                        assert_eq!(name, name_of(key));
                    }
                }
            }
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Relaxed);
    });
    let mut left = Vec::new();
    assert!(stick.take_all(&mut 0, usize::MAX, 110, &mut left));
    for kept in left {
        assert_eq!(kept.name, name_of(kept.key), "{kept:?}");
    }
    // The table still works.
    stick.record(1000, NameHash(9), 110);
    assert_eq!(stick.look_up(1000, 110), Some(NameHash(9)));
}
