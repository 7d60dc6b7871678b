//! Which server a client was given: a table in memory that any number of threads and processes read and write at once.
//!
//! An entry is two words: a key beneath a mask that its server's name gives, and that name with the time of its last
//! use. No lock guards the pair, so a reader may see one word of an entry and the other of its successor. The mask is
//! what makes this harmless, whatever order the words become visible in: a key is found only where the mask of the name
//! that was read uncovers it. Halves of entries with the same name still say what was true of the key; halves
//! of entries with different names uncover a number that is nobody's key, save by a coincidence of 64 bits.
//! Keys are hashes themselves, so that coincidence is no likelier than two clients with the same key; and then both have
//! one server, which serves them as well as another.
//!
//! A process that is killed between the two words leaves an entry that nobody finds, and that ages like any other.
//! Two that write the same entry at the same moment may leave one like that too: most writers see it and write anew;
//! a client whose entry is lost all the same is recorded with its next request.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

/// Entries of one set: those that a key can be in. Two cache lines, read whole by each look-up.
const WAYS: usize = 8;

/// Sets that share a word of marks, one for each entry.
const SETS_OF_WORD: usize = 64 / WAYS;

/// How often a writer tries again after another has written the same entry.
const WRITE_TRIES: usize = 4;

/// A last use is written down once it is later by this part of the time to live: a busy client's entry is not written,
/// nor told to others, at each request. An entry lives longer by as much, so that none ends too soon.
const GRAINS: u32 = 32;

/// What a table knows a server by: a hash of its name, the same on every director.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameHash(pub u32);

impl NameHash {
    /// A name's hash. Two names of a pool have the same with a chance of one to four thousand million.
    pub fn of(name: &str) -> NameHash {
        NameHash(xxh3_64(name.as_bytes()) as u32)
    }
}

/// What a table says of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StickEntry {
    /// The hash of what the client is known by.
    pub key: u64,
    /// Its server.
    pub name: NameHash,
    /// Its last use, in seconds on the clock that all who share the memory go by.
    pub used: u32,
}

/// A table of clients and their servers over shared words; see the module for what readers may rely on.
#[derive(Clone, Copy, Debug)]
pub struct Stick {
    words: &'static [AtomicU64],
    sets: usize,
    ttl: u32,
}

/// An entry as it was read, and where.
#[derive(Clone, Copy)]
struct Seen {
    place: usize,
    masked: u64,
    value: u64,
}

impl Seen {
    fn name(self) -> NameHash {
        NameHash((self.value >> 32) as u32)
    }

    fn used(self) -> u32 {
        self.value as u32
    }

    fn key(self) -> u64 {
        self.masked ^ mask(self.name())
    }
}

impl Stick {
    /// How many words a table of at least so many entries takes.
    pub const fn words(entries: u32) -> usize {
        let marks = (entries as usize).div_ceil(64);
        let marks = if marks == 0 { 1 } else { marks };
        marks * (1 + SETS_OF_WORD * WAYS * 2)
    }

    /// The table in `words`, which were all zero before the first use; as many entries as they hold.
    /// `ttl`: how long an entry lives after its last use.
    ///
    /// # Panics
    /// If there are fewer words than the smallest table takes.
    pub fn new(words: &'static [AtomicU64], ttl: Duration) -> Stick {
        let marks = words.len() / Stick::words(1);
        assert!(marks > 0, "a table has at least {} words", Stick::words(1));
        let ttl = u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX).max(1);
        Stick { words, sets: marks * SETS_OF_WORD, ttl }
    }

    /// How long an entry lives after its last use, in seconds.
    pub fn ttl(&self) -> u32 {
        self.ttl
    }

    /// How many entries it can hold.
    pub fn capacity(&self) -> usize {
        self.sets * WAYS
    }

    /// How many entries live at this moment.
    pub fn len(&self, now: u32) -> usize {
        (0..self.capacity()).filter(|place| self.is_alive(self.read(*place), now)).count()
    }

    /// Whether no entry lives at this moment.
    pub fn is_empty(&self, now: u32) -> bool {
        !(0..self.capacity()).any(|place| self.is_alive(self.read(place), now))
    }

    /// The server of a client, which has used it now.
    pub fn look_up(&self, key: u64, now: u32) -> Option<NameHash> {
        let seen = self.find(key, now)?;
        if now.saturating_sub(seen.used()) >= self.grain() {
            self.refresh(seen, now);
            self.mark(seen.place);
        }
        Some(seen.name())
    }

    /// From now on the client has this server.
    pub fn record(&self, key: u64, name: NameHash, now: u32) {
        match self.find(key, now) {
            Some(seen) if seen.name() == name => {
                if now.saturating_sub(seen.used()) >= self.grain() {
                    self.refresh(seen, now);
                    self.mark(seen.place);
                }
            }
            _ => {
                if let Some(place) = self.write(StickEntry { key, name, used: now.max(1) }, now, u32::MAX) {
                    self.mark(place);
                }
            }
        }
    }

    /// Somebody else recorded this. The later use wins, of equal ones the greater name, so that all who exchange their
    /// entries come to say the same. Returns whether the table says something else now; nobody is told of that.
    pub fn merge(&self, entry: StickEntry, now: u32) -> bool {
        let entry = StickEntry { used: entry.used.clamp(1, now.max(1)), ..entry };
        if self.age(entry.used, now) > self.lifetime() {
            return false;
        }
        match self.find(entry.key, now) {
            // Between two clocks that count whole seconds a second is nothing.
            Some(seen) if seen.name() == entry.name => {
                let later = entry.used > seen.used().saturating_add(1);
                if later {
                    self.refresh(seen, entry.used);
                }
                later
            }
            Some(seen) if (entry.used, entry.name) < (seen.used(), seen.name()) => false,
            _ => self.write(entry, now, entry.used).is_some(),
        }
    }

    /// Appends entries that live, of up to `max` places from `*place` on, which is moved. True at the table's end.
    pub fn take_all(&self, place: &mut usize, max: usize, now: u32, out: &mut Vec<StickEntry>) -> bool {
        let end = self.capacity().min(place.saturating_add(max));
        for at in *place..end {
            out.extend(self.whole(at).filter(|seen| self.is_alive(*seen, now)).map(entry_of));
        }
        *place = end;
        end == self.capacity()
    }

    /// Appends entries that were recorded or used since somebody last took them, looking from the marks at `*place` on,
    /// which is moved, until there are `max` or up to 63 more. True at the table's end: the next look begins anew.
    pub fn take_changed(&self, place: &mut usize, max: usize, now: u32, out: &mut Vec<StickEntry>) -> bool {
        let marks = &self.words[self.capacity() * 2..];
        let end = self.sets / SETS_OF_WORD;
        while *place < end && out.len() < max {
            let word = &marks[*place];
            let mut marked = if word.load(Ordering::Relaxed) == 0 { 0 } else { word.swap(0, Ordering::Acquire) };
            while marked != 0 {
                let at = *place * 64 + marked.trailing_zeros() as usize;
                marked &= marked - 1;
                out.extend(self.whole(at).filter(|seen| self.is_alive(*seen, now)).map(entry_of));
            }
            *place += 1;
        }
        let ended = *place >= end;
        if ended {
            *place = 0;
        }
        ended
    }

    /// Has this client's entry taken again by [`Stick::take_changed`].
    pub fn mark_changed(&self, key: u64, now: u32) {
        if let Some(seen) = self.find(key, now) {
            self.mark(seen.place);
        }
    }

    /// Of the entries that say something of a key, the one used last.
    fn find(&self, key: u64, now: u32) -> Option<Seen> {
        let first = self.set_of(key) * WAYS;
        let of_key = (first..first + WAYS).map(|place| self.read(place)).filter(|seen| seen.key() == key);
        of_key.filter(|seen| self.is_alive(*seen, now)).max_by_key(|seen| (seen.used(), seen.name()))
    }

    /// Puts an entry in the place of the key's own, else of the one that was used least recently, unless that was after
    /// `than`. Returns where.
    fn write(&self, entry: StickEntry, now: u32, than: u32) -> Option<usize> {
        let value = u64::from(entry.name.0) << 32 | u64::from(entry.used);
        let masked = entry.key ^ mask(entry.name);
        for _ in 0..WRITE_TRIES {
            let victim = self.victim(entry.key, now);
            if self.is_alive(victim, now) && victim.key() != entry.key && victim.used() > than {
                return None;
            }
            let [mask_word, value_word] = self.pair(victim.place);
            // The value first: it is new, so that others look for another victim meanwhile.
            let swapped = value_word.compare_exchange(victim.value, value, Ordering::AcqRel, Ordering::Relaxed);
            let swapped = swapped
                .and_then(|_| mask_word.compare_exchange(victim.masked, masked, Ordering::AcqRel, Ordering::Relaxed));
            if swapped.is_ok() && value_word.load(Ordering::Acquire) >> 32 == value >> 32 {
                return Some(victim.place);
            }
        }
        None
    }

    /// Whose place an entry of this key takes. Further entries of the key, which two who recorded it at the same moment
    /// have left, are removed.
    fn victim(&self, key: u64, now: u32) -> Seen {
        let first = self.set_of(key) * WAYS;
        let seen: [Seen; WAYS] = std::array::from_fn(|way| self.read(first + way));
        let mut own = seen.into_iter().filter(|seen| seen.value != 0 && seen.key() == key);
        if let Some(victim) = own.next() {
            own.for_each(|further| self.clear(further));
            return victim;
        }
        // Writers of different keys begin at different places, so that few of them meet.
        let begin = key as usize % WAYS;
        let around = (0..WAYS).map(|way| seen[(begin + way) % WAYS]);
        let staleness = |seen: &Seen| if self.is_alive(*seen, now) { seen.used() } else { 0 };
        around.min_by_key(staleness).unwrap_or(seen[begin])
    }

    fn clear(&self, seen: Seen) {
        let [_, value] = self.pair(seen.place);
        // Who changed it meanwhile knows better.
        let _ = value.compare_exchange(seen.value, 0, Ordering::AcqRel, Ordering::Relaxed);
    }

    fn refresh(&self, seen: Seen, used: u32) {
        let [_, word] = self.pair(seen.place);
        let value = seen.value >> 32 << 32 | u64::from(used.max(1));
        // Who changed it meanwhile knows better.
        let _ = word.compare_exchange(seen.value, value, Ordering::AcqRel, Ordering::Relaxed);
    }

    fn mark(&self, place: usize) {
        let (word, bit) = (&self.words[self.capacity() * 2 + place / 64], 1 << (place % 64));
        word.fetch_or(bit, Ordering::Release);
    }

    fn read(&self, place: usize) -> Seen {
        let [masked, value] = self.pair(place);
        Seen { place, masked: masked.load(Ordering::Acquire), value: value.load(Ordering::Acquire) }
    }

    /// An entry as others may be told of it: `None` if it is half of one and half of another, as far as that can be
    /// seen without knowing its key.
    fn whole(&self, place: usize) -> Option<Seen> {
        let seen = self.read(place);
        (self.set_of(seen.key()) == place / WAYS).then_some(seen)
    }

    fn pair(&self, place: usize) -> [&AtomicU64; 2] {
        [&self.words[place * 2], &self.words[place * 2 + 1]]
    }

    fn set_of(&self, key: u64) -> usize {
        ((u128::from(key) * self.sets as u128) >> 64) as usize
    }

    fn is_alive(&self, seen: Seen, now: u32) -> bool {
        seen.value != 0 && self.age(seen.used(), now) <= self.lifetime()
    }

    fn age(&self, used: u32, now: u32) -> u32 {
        now.saturating_sub(used)
    }

    fn grain(&self) -> u32 {
        (self.ttl / GRAINS).max(1)
    }

    fn lifetime(&self) -> u32 {
        self.ttl.saturating_add(self.grain())
    }
}

fn entry_of(seen: Seen) -> StickEntry {
    StickEntry { key: seen.key(), name: seen.name(), used: seen.used() }
}

/// What covers the keys of a name: different for each name in about half of all bits (the finalizer of SplitMix64).
fn mask(name: NameHash) -> u64 {
    let mut bits = u64::from(name.0).wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests;
