//! Numbers that nobody guesses.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A number that an outsider cannot guess: a keyed hash (SipHash) under a key of the system's chance, another one at each
/// call. It is no key itself; it keeps those away who do not see the packets.
pub(crate) fn unguessable() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn numbers_differ_in_their_least_bits_too() {
        let numbers: BTreeSet<u16> = (0..1_000).map(|_| (unguessable() & 0xffff) as u16).collect();
        // Of 1000 out of 65 536, 992 differ on the average.
        assert!(numbers.len() > 950, "{}", numbers.len());
    }
}
