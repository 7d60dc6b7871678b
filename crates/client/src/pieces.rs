//! Which parts of a file are here, and which are to be fetched next. Pure.

use std::ops::Range;

/// The part of a file that is asked for at once: large enough that its head and the wait for it do not matter, small
/// enough that what is lost when this program dies does not either.
pub(crate) const PIECE_BYTES: u64 = 32 << 20;

/// A file in parts.
#[derive(Debug)]
pub(crate) struct Pieces {
    length: u64,
    state: Vec<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Missing,
    Taken,
    Done,
}

impl Pieces {
    /// Of a file of `length`; those of these numbers are here.
    pub(crate) fn new(length: u64, done: &[u64]) -> Pieces {
        let mut state = vec![State::Missing; usize::try_from(length.div_ceil(PIECE_BYTES)).unwrap_or(usize::MAX)];
        for index in done.iter().filter_map(|&index| usize::try_from(index).ok()) {
            if let Some(state) = state.get_mut(index) {
                *state = State::Done;
            }
        }
        Pieces { length, state }
    }

    /// The first that nobody fetches, for whoever asks.
    pub(crate) fn take(&mut self) -> Option<(usize, Range<u64>)> {
        let index = self.state.iter().position(|&state| state == State::Missing)?;
        self.state[index] = State::Taken;
        Some((index, self.span(index)))
    }

    /// It is here.
    pub(crate) fn finish(&mut self, index: usize) {
        self.state[index] = State::Done;
    }

    /// The numbers of those that are here.
    pub(crate) fn done(&self) -> Vec<u64> {
        let done = self.state.iter().enumerate().filter(|(_, state)| **state == State::Done);
        done.map(|(index, _)| index as u64).collect()
    }

    /// The bytes of those.
    pub(crate) fn done_bytes(&self) -> u64 {
        self.done().into_iter().map(|index| self.span(index as usize)).map(|span| span.end - span.start).sum()
    }

    fn span(&self, index: usize) -> Range<u64> {
        let start = index as u64 * PIECE_BYTES;
        start..(start + PIECE_BYTES).min(self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_is_taken_once_and_the_last_is_what_is_left() {
        const MIB: u64 = 1 << 20;
        let mut pieces = Pieces::new(100 * MIB, &[1, 7]);
        assert_eq!(pieces.done_bytes(), 32 * MIB);
        assert_eq!(pieces.take(), Some((0, 0..32 * MIB)));
        assert_eq!(pieces.take(), Some((2, 64 * MIB..96 * MIB)));
        assert_eq!(pieces.take(), Some((3, 96 * MIB..100 * MIB)));
        assert_eq!(pieces.take(), None);
        pieces.finish(3);
        assert_eq!((pieces.done(), pieces.done_bytes()), (vec![1, 3], 36 * MIB));
        assert_eq!(Pieces::new(0, &[]).take(), None);
    }
}
