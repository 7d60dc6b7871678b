//! What happened, kept for as long as this process runs and within a limit: the oldest is forgotten first.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::event::Event;

/// Events that are kept: days of a quiet service, minutes of one whose hundred servers all go up and down.
const EVENTS_MAX: usize = 4096;

/// What they may take together, in bytes.
const BYTES_MAX: usize = 1 << 20;

/// What an event takes beside its texts: itself, and what an allocation costs.
const OVERHEAD: usize = 128;

/// The events of a service.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Record {
    events: VecDeque<Event>,
    last: u64,
    #[serde(skip)]
    bytes: usize,
}

/// What is answered to whoever asks for events.
#[derive(Debug, Serialize)]
pub(super) struct Found<'a> {
    /// The oldest first.
    events: Vec<&'a Event>,
    /// The sequence of the newest event that there is; 0 before the first.
    last: u64,
}

impl Record {
    /// Logs an event and keeps it.
    pub(super) fn add(&mut self, event: Event) {
        event.log();
        self.keep(event);
    }

    /// Those after the event of this sequence; of more than `limit`, the newest.
    pub(super) fn after(&self, sequence: u64, limit: usize) -> Found<'_> {
        let first = self.events.partition_point(|event| event.sequence <= sequence);
        let first = first.max(self.events.len().saturating_sub(limit));
        Found { events: self.events.range(first..).collect(), last: self.last }
    }

    /// As it was before it was written down.
    pub(super) fn restored(mut self) -> Record {
        self.bytes = self.events.iter().map(size).sum();
        self
    }

    fn keep(&mut self, mut event: Event) {
        self.last += 1;
        event.sequence = self.last;
        self.bytes += size(&event);
        self.events.push_back(event);
        while self.events.len() > EVENTS_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= size(&oldest);
        }
    }
}

fn size(event: &Event) -> usize {
    event.text.len() + event.subject.len() + event.kind.len() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Kind;
    use crate::log::Level;

    fn event(text: &str) -> Event {
        Event::new(Level::Info, Kind::ServerUp, "web/a", 1, text)
    }

    fn sequences(found: &Found<'_>) -> Vec<u64> {
        found.events.iter().map(|event| event.sequence).collect()
    }

    #[test]
    fn events_after_a_sequence_are_found_the_newest_of_too_many() {
        let mut record = Record::default();
        assert_eq!((sequences(&record.after(0, 10)), record.after(0, 10).last), (vec![], 0));
        for _ in 0..5 {
            record.keep(event("it is up"));
        }
        assert_eq!(sequences(&record.after(0, 10)), [1, 2, 3, 4, 5]);
        assert_eq!(sequences(&record.after(3, 10)), [4, 5]);
        assert_eq!(sequences(&record.after(1, 2)), [4, 5]);
        assert!(sequences(&record.after(5, 10)).is_empty());
        assert!(sequences(&record.after(u64::MAX, 10)).is_empty());
        assert_eq!(record.after(9, 10).last, 5);
    }

    #[test]
    fn the_oldest_of_more_than_4096_is_forgotten() {
        let mut record = Record::default();
        for _ in 0..4100 {
            record.keep(event("it is up"));
        }
        let kept = sequences(&record.after(0, usize::MAX));
        assert_eq!((kept.len(), kept[0], kept[4095]), (4096, 5, 4100));
    }

    #[test]
    fn long_texts_are_kept_within_a_mebibyte() {
        let mut record = Record::default();
        for _ in 0..2000 {
            record.keep(event(&"x".repeat(1000)));
        }
        let kept = sequences(&record.after(0, usize::MAX));
        // 1000 bytes of text, 5 of "web/a", 9 of "server-up" and 128: 918 of 1142 bytes fit into 1 048 576.
        assert_eq!((kept.len(), kept[917]), (918, 2000));
    }
}
