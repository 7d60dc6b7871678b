use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::rc::Rc;

use units::Instant;

use crate::trouble::Repair;

/// An advert under way.
#[derive(Clone)]
pub(crate) struct Packet {
    pub(crate) from: usize,
    pub(crate) link: usize,
    pub(crate) bytes: Rc<[u8]>,
}

pub(crate) enum Event {
    Arrives(usize, Packet),
    Repair(Repair),
    /// The next trouble is made up.
    Trouble,
}

/// What is to happen, in its order.
#[derive(Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    pushed: u64,
}

struct Entry {
    key: (Instant, u64),
    event: Event,
}

impl Queue {
    pub(crate) fn push(&mut self, at: Instant, event: Event) {
        self.pushed += 1;
        self.heap.push(Reverse(Entry { key: (at, self.pushed), event }));
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(entry)| entry.key.0)
    }

    pub(crate) fn pop(&mut self, now: Instant) -> Option<Event> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry.event)
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> Ordering {
        self.key.cmp(&other.key)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.key == other.key
    }
}

impl Eq for Entry {}
