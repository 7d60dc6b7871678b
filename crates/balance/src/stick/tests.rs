use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use proptest::prelude::*;

use super::{NameHash, Stick, StickEntry};

const A: NameHash = NameHash(1);
const B: NameHash = NameHash(2);
const TTL: u32 = 64;

fn words(entries: u32) -> &'static [AtomicU64] {
    (0..Stick::words(entries)).map(|_| AtomicU64::new(0)).collect::<Vec<_>>().leak()
}

fn table(entries: u32) -> Stick {
    Stick::new(words(entries), Duration::from_secs(u64::from(TTL)))
}

fn entry(key: u64, name: NameHash, used: u32) -> StickEntry {
    StickEntry { key, name, used }
}

fn all(stick: &Stick, now: u32) -> Vec<StickEntry> {
    let mut entries = Vec::new();
    assert!(stick.take_all(&mut 0, usize::MAX, now, &mut entries));
    entries.sort_by_key(|entry| entry.key);
    entries
}

fn changed(stick: &Stick, now: u32) -> Vec<StickEntry> {
    let mut entries = Vec::new();
    assert!(stick.take_changed(&mut 0, usize::MAX, now, &mut entries));
    entries.sort_by_key(|entry| entry.key);
    entries
}

#[test]
fn a_table_has_room_for_what_was_asked_for() {
    assert_eq!([1, 64, 65, 65_536].map(Stick::words), [129, 129, 258, 132_096]);
    assert_eq!([0, 1, 65, 65_536].map(|entries| table(entries).capacity()), [64, 64, 128, 65_536]);
}

#[test]
fn a_name_has_the_same_hash_on_every_director() {
    // XXH3 of the empty text is 2d06800538d394c2 (the algorithm's own test vectors).
    assert_eq!(NameHash::of(""), NameHash(0x38d3_94c2));
    assert_ne!(NameHash::of("a"), NameHash::of("b"));
}

#[test]
fn a_client_keeps_its_server_for_the_time_to_live_after_its_last_use() {
    let stick = table(64);
    assert_eq!(stick.look_up(7, 100), None);
    stick.record(7, A, 100);
    assert_eq!(stick.look_up(7, 164), Some(A));
    // Each use counts from there.
    assert_eq!(stick.look_up(7, 228), Some(A));
    // A use is noted to a thirty-second of the time to live: an entry lives longer by as much.
    assert_eq!(stick.look_up(7, 229), Some(A));
    assert_eq!((stick.len(294), stick.is_empty(294)), (1, false));
    assert_eq!((stick.len(295), stick.is_empty(295)), (0, true));
    assert_eq!(stick.look_up(7, 295), None);
    stick.record(7, B, 295);
    assert_eq!(stick.look_up(7, 295), Some(B));
    assert_eq!(all(&stick, 295), [entry(7, B, 295)]);
}

#[test]
fn another_server_takes_the_place_of_the_one_before() {
    let stick = table(64);
    for name in [A, B, A] {
        stick.record(7, name, 100);
        assert_eq!(stick.look_up(7, 100), Some(name));
        assert_eq!(stick.len(100), 1);
    }
}

#[test]
fn a_full_set_loses_the_entry_that_was_used_least_recently() {
    let stick = table(64);
    // Keys of the lowest eighth of the numbers are in the first of eight sets.
    for key in 0..8 {
        stick.record(key, A, 100 + key as u32);
    }
    assert_eq!(stick.look_up(0, 120), Some(A));
    stick.record(8, B, 120);
    let left: Vec<u64> = all(&stick, 120).iter().map(|entry| entry.key).collect();
    assert_eq!(left, [0, 2, 3, 4, 5, 6, 7, 8]);
    // What others have not used since is not worth one of ours.
    assert!(!stick.merge(entry(9, B, 101), 120));
    assert!(stick.merge(entry(9, B, 102), 120));
    assert_eq!(stick.look_up(2, 120), None);
}

/// Whatever two words of whichever entries a reader sees together, nobody gets the server of somebody else. As each
/// word is read once and judged with the other, this is every interleaving and every order of memory.
#[test]
fn no_two_halves_give_a_client_the_server_of_another() {
    const KEYS: u64 = 64;
    let name_of = |key: u64| NameHash([0, 1, 2, u32::MAX, 0x8000_0000][key as usize % 5]);
    let mut halves = vec![(0, 0)];
    for key in 0..KEYS {
        let words = words(64);
        let stick = Stick::new(words, Duration::from_secs(TTL.into()));
        for used in [100, 130, 131] {
            stick.record(key, name_of(key), used);
            let place = (0..8).find(|way| words[way * 2 + 1].load(Relaxed) != 0).unwrap();
            halves.push((words[place * 2].load(Relaxed), words[place * 2 + 1].load(Relaxed)));
        }
    }
    let words = words(64);
    let stick = Stick::new(words, Duration::from_secs(TTL.into()));
    let mut found = 0;
    for (mask, _) in &halves {
        for (_, value) in &halves {
            words[0].store(*mask, Relaxed);
            words[1].store(*value, Relaxed);
            for key in 0..KEYS {
                if let Some(name) = stick.look_up(key, 131) {
                    assert_eq!(name, name_of(key), "key {key} from {mask:x} and {value:x}");
                    found += 1;
                }
            }
        }
    }
    // Each key from its own halves, at the least.
    assert!(found >= KEYS * 3 * 3);
}

#[test]
fn what_changed_is_told_once_and_what_others_told_is_not() {
    let stick = table(256);
    let high = u64::MAX;
    stick.record(1, A, 100);
    stick.record(high, B, 100);
    assert!(stick.merge(entry(2, A, 100), 100));
    assert_eq!(changed(&stick, 100), [entry(1, A, 100), entry(high, B, 100)]);
    assert_eq!(changed(&stick, 100), []);
    // A use is told when it is noted: after two seconds of sixty-four.
    stick.look_up(1, 101);
    stick.record(1, A, 101);
    assert_eq!(changed(&stick, 101), []);
    stick.look_up(1, 102);
    assert_eq!(changed(&stick, 102), [entry(1, A, 102)]);
    stick.record(1, B, 102);
    assert_eq!(changed(&stick, 102), [entry(1, B, 102)]);
    stick.mark_changed(2, 102);
    stick.mark_changed(3, 102);
    assert_eq!(changed(&stick, 102), [entry(2, A, 100)]);
}

#[test]
fn changes_and_all_entries_are_taken_in_pieces() {
    let stick = table(65_536);
    let keys: Vec<u64> = (0..1000u64).map(|key| key.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    keys.iter().for_each(|key| stick.record(*key, A, 100));
    let (mut place, mut taken, mut pieces) = (0, Vec::new(), 0);
    loop {
        let mut piece = Vec::new();
        let ended = stick.take_changed(&mut place, 100, 100, &mut piece);
        assert!(piece.len() <= 100 + 63);
        taken.extend(piece);
        pieces += 1;
        if ended {
            break;
        }
    }
    assert!(pieces >= 7 && place == 0);
    let mut place = 0;
    let mut dumped = Vec::new();
    while !stick.take_all(&mut place, 1000, 100, &mut dumped) {}
    for mut told in [taken, dumped] {
        told.sort_by_key(|entry| entry.key);
        let mut expected = keys.clone();
        expected.sort_unstable();
        assert_eq!(told.iter().map(|entry| entry.key).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn of_two_that_say_different_things_the_later_use_wins() {
    let stick = table(64);
    stick.record(1, A, 100);
    let says = |name, used, now| (stick.merge(entry(1, name, used), now), stick.look_up(1, now));
    assert_eq!(says(B, 99, 100), (false, Some(A)));
    assert_eq!(says(B, 100, 100), (true, Some(B)));
    assert_eq!(says(A, 100, 100), (false, Some(B)));
    assert_eq!(says(A, 101, 101), (true, Some(A)));
    // The same, a second later by another's clock, is no news; two seconds are.
    assert_eq!(says(A, 102, 102), (false, Some(A)));
    assert_eq!(says(A, 103, 102), (false, Some(A)));
    assert_eq!(says(A, 103, 103), (true, Some(A)));
    // What has lived out its time elsewhere has here.
    assert!(!stick.merge(entry(2, A, 100), 167));
    assert!(stick.merge(entry(2, A, 101), 167));
    assert_eq!(all(&stick, 103), [entry(1, A, 103), entry(2, A, 101)]);
}

#[test]
fn what_two_recorded_at_once_is_one_entry_again_with_the_next() {
    let (one, other) = (words(64), words(64));
    for (words, name) in [(one, A), (other, B)] {
        Stick::new(words, Duration::from_secs(TTL.into())).record(5, name, 100);
    }
    let place = (0..8).find(|way| other[way * 2 + 1].load(Relaxed) != 0).unwrap();
    let further = (place + 1) % 8;
    for half in 0..2 {
        one[further * 2 + half].store(other[place * 2 + half].load(Relaxed), Relaxed);
    }
    let stick = Stick::new(one, Duration::from_secs(TTL.into()));
    assert_eq!((stick.len(100), stick.look_up(5, 100)), (2, Some(B)));
    stick.record(5, A, 100);
    assert_eq!((stick.len(100), stick.look_up(5, 100)), (1, Some(A)));
}

proptest! {
    /// Two directors that tell each other everything say the same of every client in the end.
    #[test]
    fn two_that_exchange_their_entries_agree(
        uses in proptest::collection::vec((any::<bool>(), 0..6u64, 0..3u32, 0..10u32), 0..40)
    ) {
        let (one, other) = (table(64), table(64));
        let mut now = 100;
        for (here, key, name, wait) in uses {
            now += wait;
            let stick = if here { one } else { other };
            match stick.look_up(key, now) {
                Some(_) if name > 0 => {}
                _ => stick.record(key, NameHash(name), now),
            }
        }
        for _ in 0..2 {
            all(&one, now).into_iter().for_each(|entry| { other.merge(entry, now); });
            all(&other, now).into_iter().for_each(|entry| { one.merge(entry, now); });
        }
        let names = |stick: &Stick| all(stick, now).into_iter().map(|entry| (entry.key, entry.name)).collect::<Vec<_>>();
        prop_assert_eq!(names(&one), names(&other));
    }
}
