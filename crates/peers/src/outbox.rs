//! What one peer has still to be told.

use std::collections::VecDeque;

use balance::StickEntry;
use wire::peer::{ENTRIES_MAX, Entry, write_dumped, write_entries};

use crate::Table;

/// Changes that wait for one peer. When there are more, the peer is told everything anew instead.
pub(crate) const QUEUE_MAX: usize = 16_384;

/// Places of a table that one step of a dump looks at: the entries found fit one frame.
const DUMP_STEP: usize = ENTRIES_MAX;

/// Steps of a dump at once: an empty table is passed over without holding up the others of this thread.
const STEPS_MAX: usize = 64;

/// The way to one peer: what it has still to be told, and no more of that than [`QUEUE_MAX`].
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Where a dump has come to.
    dump: Option<Dump>,
    queue: VecDeque<(u16, StickEntry)>,
    /// How often the queue was full.
    pub(crate) overflows: u64,
}

#[derive(Debug, Default)]
struct Dump {
    table: usize,
    place: usize,
    /// Whether it is the one after the hello, whose end is told.
    first: bool,
}

impl Outbox {
    /// A peer that has been told nothing yet.
    pub(crate) fn new() -> Outbox {
        Outbox { dump: Some(Dump { first: true, ..Dump::default() }), ..Outbox::default() }
    }

    /// Something has changed.
    pub(crate) fn push(&mut self, table: u16, entry: StickEntry) {
        if self.queue.len() == QUEUE_MAX {
            self.overflows += 1;
            self.queue.clear();
            let first = self.dump.take().is_some_and(|dump| dump.first);
            // What was queued is in the tables too.
            self.dump = Some(Dump { first, ..Dump::default() });
        } else {
            self.queue.push_back((table, entry));
        }
    }

    /// Whether there is nothing to tell.
    pub(crate) fn is_empty(&self) -> bool {
        self.dump.is_none() && self.queue.is_empty()
    }

    /// Appends the next frames, one or a few; none only if there is nothing to tell or a dump is passing over empty
    /// places. Returns how many entries they have.
    pub(crate) fn fill(&mut self, tables: &[Table], now: u32, out: &mut Vec<u8>) -> usize {
        if self.dump.is_some() { self.go_on_with_dump(tables, now, out) } else { self.drain_queue(now, out) }
    }

    /// The changes that were not told.
    pub(crate) fn untold(&self) -> impl Iterator<Item = (u16, StickEntry)> + '_ {
        self.queue.iter().copied()
    }

    fn go_on_with_dump(&mut self, tables: &[Table], now: u32, out: &mut Vec<u8>) -> usize {
        let mut entries = Vec::new();
        for _ in 0..STEPS_MAX {
            let Some(dump) = &mut self.dump else { break };
            let Some(table) = tables.get(dump.table) else {
                if dump.first {
                    write_dumped(out);
                }
                self.dump = None;
                break;
            };
            let at = dump.table as u16;
            if table.stick.take_all(&mut dump.place, DUMP_STEP, now, &mut entries) {
                dump.table += 1;
                dump.place = 0;
            }
            if !entries.is_empty() {
                return write_entries(out, at, entries.iter().map(|entry| told(*entry, now)));
            }
        }
        0
    }

    /// A frame for the first change's table, with the changes of the same table that follow it.
    fn drain_queue(&mut self, now: u32, out: &mut Vec<u8>) -> usize {
        let Some(&(table, _)) = self.queue.front() else { return 0 };
        let same = self.queue.iter().take_while(|(other, _)| *other == table);
        let written = write_entries(out, table, same.map(|(_, entry)| told(*entry, now)));
        self.queue.drain(..written);
        written
    }
}

fn told(entry: StickEntry, now: u32) -> Entry {
    Entry { key: entry.key, name: entry.name.0, age: now.saturating_sub(entry.used) }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::time::Duration;

    use balance::{NameHash, Stick};
    use wire::peer::{Frame, Parsed, parse_frame};

    use super::*;
    use crate::Kind;

    fn table(name: &str, entries: u64) -> Table {
        let words: Vec<_> = (0..Stick::words(65_536)).map(|_| AtomicU64::new(0)).collect();
        let stick = Stick::new(words.leak(), Duration::from_secs(100));
        for key in 0..entries {
            stick.record(key.wrapping_mul(0x9e37_79b9_7f4a_7c15), NameHash(1), 50);
        }
        Table { name: name.to_owned(), kind: Kind::Source, stick }
    }

    fn entry(key: u64) -> StickEntry {
        StickEntry { key, name: NameHash(2), used: 58 }
    }

    /// What is told until there is nothing more: for each frame its table and how many entries it has.
    fn told_by(outbox: &mut Outbox, tables: &[Table]) -> (Vec<(u16, usize)>, usize, usize) {
        let (mut frames, mut dumped, mut count) = (Vec::new(), 0, 0);
        while !outbox.is_empty() {
            let mut out = Vec::new();
            count += outbox.fill(tables, 60, &mut out);
            let mut rest = out.as_slice();
            while !rest.is_empty() {
                let Ok(Parsed::Whole(frame, length)) = parse_frame(rest) else { panic!() };
                match frame {
                    Frame::Entries(entries) => frames.push((entries.table, entries.iter().len())),
                    Frame::Dumped => dumped += 1,
                    other => panic!("{other:?}"),
                }
                rest = &rest[length..];
            }
        }
        (frames, dumped, count)
    }

    #[test]
    fn a_new_peer_is_told_everything_and_that_it_was_everything() {
        let tables = [table("one", 3000), table("none", 0), table("two", 1)];
        let mut outbox = Outbox::new();
        let (frames, dumped, count) = told_by(&mut outbox, &tables);
        assert_eq!((dumped, count), (1, 3001));
        assert_eq!(frames.iter().filter(|(table, _)| *table == 0).map(|(_, entries)| entries).sum::<usize>(), 3000);
        assert_eq!(*frames.last().unwrap(), (2, 1));
        assert_eq!(outbox.fill(&tables, 60, &mut Vec::new()), 0);
    }

    #[test]
    fn no_tables_are_everything_too() {
        assert_eq!(told_by(&mut Outbox::new(), &[]), (vec![], 1, 0));
    }

    #[test]
    fn changes_of_one_table_share_a_frame_and_carry_their_age() {
        let mut outbox = Outbox::default();
        for (table, key) in [(0, 1), (0, 2), (1, 3), (0, 4)] {
            outbox.push(table, entry(key));
        }
        assert_eq!(outbox.untold().count(), 4);
        let mut out = Vec::new();
        assert_eq!(outbox.fill(&[], 60, &mut out), 2);
        let Ok(Parsed::Whole(Frame::Entries(entries), _)) = parse_frame(&out) else { panic!() };
        let expected = [1, 2].map(|key| Entry { key, name: 2, age: 2 });
        assert_eq!((entries.table, entries.iter().collect::<Vec<_>>()), (0, expected.to_vec()));
        assert_eq!(told_by(&mut outbox, &[]).0, [(1, 1), (0, 1)]);
    }

    #[test]
    fn a_queue_that_is_full_becomes_a_dump() {
        let tables = [table("one", 10)];
        let mut outbox = Outbox::default();
        (0..QUEUE_MAX as u64).for_each(|key| outbox.push(0, entry(key)));
        assert_eq!((outbox.untold().count(), outbox.overflows), (16_384, 0));
        outbox.push(0, entry(0));
        assert_eq!((outbox.untold().count(), outbox.overflows), (0, 1));
        outbox.push(0, entry(1));
        let (frames, dumped, count) = told_by(&mut outbox, &tables);
        // Everything, then what came meanwhile; a dump that does not follow a hello has no end to tell of.
        assert_eq!((dumped, count), (0, 11));
        assert_eq!(*frames.last().unwrap(), (0, 1));
    }

    #[test]
    fn a_first_dump_that_begins_anew_still_tells_its_end() {
        let tables = [table("one", 10)];
        let mut outbox = Outbox::new();
        outbox.fill(&tables, 60, &mut Vec::new());
        (0..=QUEUE_MAX as u64).for_each(|key| outbox.push(0, entry(key)));
        let (_, dumped, count) = told_by(&mut outbox, &tables);
        assert_eq!((dumped, count), (1, 10));
    }
}
