//! The best of many: of a few by looking at each, of thousands by looking at some that are drawn.
//!
//! The best of d drawn by their shares is nearly the best of all: of n servers the fullest stands about
//! ln ln n / ln d requests above the mean, less than one for 16 of 16 384 (Azar, Broder, Karlin and Upfal,
//! *Balanced Allocations*, SIAM J. Comput. 29, 1999), and a choice costs the same however many there are.

use crate::limits::{DRAWS, EXACT_MAX};

/// Choices among which the best is looked for, as places in the snapshot's list.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    places: Vec<u16>,
    draw: Draw,
}

/// Which of the places are looked at.
#[derive(Clone, Debug, PartialEq)]
enum Draw {
    All,
    /// Some; each is as likely as any other.
    Even,
    /// Some, by their shares: the sum of the shares up to and with each.
    Weighted(Vec<u64>),
}

impl Field {
    /// Of these choices; `share` says how often each is drawn.
    pub(super) fn new(places: Vec<u16>, share: impl Fn(u16) -> u64) -> Field {
        let first = places.first().map(|place| share(*place));
        let draw = if places.len() <= EXACT_MAX {
            Draw::All
        } else if places.iter().all(|place| Some(share(*place)) == first) {
            Draw::Even
        } else {
            Draw::Weighted(sums(places.iter().map(|place| share(*place))))
        };
        Field { places, draw }
    }

    /// The place that `chance` falls on.
    fn drawn(&self, chance: u32) -> u16 {
        self.places[match &self.draw {
            Draw::Weighted(sums) => drawn(sums, chance),
            Draw::All | Draw::Even => ((self.places.len() as u64 * u64::from(chance)) >> 32) as usize,
        }]
    }

    /// One that is free and whose key is the least of those looked at; of equals the one whose turn it is.
    pub(super) fn best<K: Ord + Copy>(
        &self,
        turn: u64,
        chance: u64,
        is_free: impl Fn(u16) -> bool,
        key: impl Fn(u16) -> K,
    ) -> Option<(u16, K)> {
        if !matches!(self.draw, Draw::All) {
            let drawn = chances(chance).take(DRAWS).map(|chance| self.drawn(chance));
            let best =
                drawn.filter(|place| is_free(*place)).map(|place| (place, key(place))).min_by_key(|(_, key)| *key);
            if best.is_some() {
                return best;
            }
        }
        let free = || self.places.iter().copied().filter(|place| is_free(*place)).map(|place| (place, key(place)));
        let mut best: Option<(u16, K)> = None;
        let mut equals = 0;
        for (place, key) in free() {
            let order = best.map_or(std::cmp::Ordering::Less, |(_, least)| key.cmp(&least));
            if order.is_lt() {
                (best, equals) = (Some((place, key)), 0);
            }
            equals += u64::from(order.is_le());
        }
        let (first, least) = best?;
        if equals == 1 {
            return Some((first, least));
        }
        // Loads move meanwhile, so there may be fewer equals than were counted.
        let nth = (turn % equals) as usize;
        free().filter(|(_, key)| *key <= least).nth(nth).or(Some((first, least)))
    }
}

/// Running sums.
pub(super) fn sums(shares: impl Iterator<Item = u64>) -> Vec<u64> {
    let running = shares.scan(0, |sum, share| {
        *sum += share;
        Some(*sum)
    });
    running.collect()
}

/// The place that `chance`, as a part of the whole range, falls on.
pub(super) fn drawn(sums: &[u64], chance: u32) -> usize {
    let whole = sums.last().copied().unwrap_or(0);
    let point = (u128::from(whole) * u128::from(chance)) >> 32;
    sums.partition_point(|sum| u128::from(*sum) <= point)
}

/// Many random numbers of one (SplitMix64: Steele, Lea and Flood, *Fast Splittable Pseudorandom Number Generators*,
/// OOPSLA 2014).
fn chances(seed: u64) -> impl Iterator<Item = u32> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 32) as u32
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_random_number_makes_many() {
        // The first outputs for the seed 1234567, as the authors' C program prints them (its upper halves).
        let expected: [u64; 3] = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        let upper: Vec<u32> = expected.iter().map(|number| (number >> 32) as u32).collect();
        assert_eq!(chances(1_234_567).take(3).collect::<Vec<u32>>(), upper);
    }
}
