//! Whatever other processes have left in a table of clients and their servers, it says what was recorded last, and says
//! it to all.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use balance::{NameHash, Stick, StickEntry};

/// The smallest table, that entries may get into each other's way.
const WORDS: usize = Stick::words(1);

/// What is done, a client, and three numbers.
const STEP: usize = 18;

thread_local! {
    static MEMORY: RefCell<&'static [AtomicU64]> = RefCell::new(Vec::leak((0..WORDS).map(|_| AtomicU64::new(0)).collect()));
}

/// Steps of 18 bytes each.
pub fn stick(bytes: &[u8]) {
    MEMORY.with_borrow_mut(|words| {
        words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        let table = Stick::new(words, Duration::from_secs(60));
        for step in bytes.as_chunks::<STEP>().0 {
            take(&table, words, step);
        }
    });
}

fn take(table: &Stick, words: &[AtomicU64], step: &[u8; STEP]) {
    let [what, client, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *step;
    let noise = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    let (name, now) = (NameHash(u32::from_le_bytes([i, j, k, l])), u32::from_le_bytes([m, n, o, p]));
    // Sixteen clients, two in each set.
    let key = u64::from(client % 16) * 0x1111_1111_1111_1111;
    match what % 5 {
        0 => words[usize::from(client) % WORDS].store(noise, Ordering::Relaxed),
        1 => {
            table.record(key, name, now);
            assert_eq!(table.look_up(key, now), Some(name));
        }
        2 => {
            if table.merge(StickEntry { key, name, used: noise as u32 }, now) {
                assert_eq!(table.look_up(key, now), Some(name));
            }
        }
        3 => {
            let (mut place, mut all) = (0, Vec::new());
            while !table.take_all(&mut place, usize::from(client).max(1), now, &mut all) {}
            assert!(all.len() <= table.len(now));
            assert!(all.iter().all(|entry| table.look_up(entry.key, now).is_some()));
        }
        _ => {
            table.mark_changed(key, now);
            let (mut place, mut changed) = (0, Vec::new());
            let is_known = table.look_up(key, now).is_some();
            while !table.take_changed(&mut place, 1, now, &mut changed) {}
            assert!(!is_known || changed.iter().any(|entry| entry.key == key));
            changed.clear();
            assert!(table.take_changed(&mut place, usize::MAX, now, &mut changed));
            assert!(changed.is_empty());
        }
    }
}
