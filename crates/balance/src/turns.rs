//! Smooth weighted turns, laid out once so that threads share them by one counter.

use crate::limits::TURNS_MAX;

/// One round of turns, each the place of a server in `shares`: every server as often as its share says, and spread.
///
/// The order is that of smooth weighted round robin: before each turn every server gains its share, the richest
/// (of equals the first) takes the turn and pays the sum of all. Servers of one share gain alike, so of each such
/// group only the one next in line is looked at.
pub(crate) fn sequence(shares: &[u32]) -> Vec<u16> {
    let shares = bounded(shares);
    let total: i64 = shares.iter().sum::<u64>().cast_signed();
    let mut groups = groups(&shares);
    let mut turns = Vec::with_capacity(usize::try_from(total).unwrap_or(0));
    for turn in 1..=total {
        let next = groups.iter_mut().max_by_key(|group| (group.credit(turn, total), std::cmp::Reverse(group.next())));
        let Some(group) = next else { break };
        turns.push(group.next());
        group.taken += 1;
    }
    turns
}

/// Servers of one share.
struct Group {
    share: i64,
    members: Vec<u16>,
    taken: usize,
}

impl Group {
    fn next(&self) -> u16 {
        self.members[self.taken % self.members.len()]
    }

    /// What the member next in line has gained by `turn`, less what it paid.
    fn credit(&self, turn: i64, total: i64) -> i64 {
        let rounds = i64::try_from(self.taken / self.members.len()).unwrap_or(i64::MAX);
        turn * self.share - rounds * total
    }
}

fn groups(shares: &[u64]) -> Vec<Group> {
    let mut places: Vec<u16> = (0..=u16::MAX).take(shares.len()).collect();
    places.sort_by_key(|place| shares[usize::from(*place)]);
    places
        .chunk_by(|a, b| shares[usize::from(*a)] == shares[usize::from(*b)])
        .map(|members| Group {
            share: shares[usize::from(members[0])].cast_signed(),
            members: members.to_vec(),
            taken: 0,
        })
        .collect()
}

/// The same proportions in the smallest numbers, scaled down if their sum is beyond the bound.
fn bounded(shares: &[u32]) -> Vec<u64> {
    let divisor = shares.iter().fold(0, |divisor, share| gcd(divisor, *share)).max(1);
    let reduced: Vec<u64> = shares.iter().map(|share| u64::from(share / divisor)).collect();
    let total: u64 = reduced.iter().sum();
    if total <= TURNS_MAX {
        return reduced;
    }
    let scaled = reduced.iter().map(|share| (share * TURNS_MAX / total).max(1));
    scaled.collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters(shares: &[u32]) -> String {
        sequence(shares).iter().map(|place| char::from(b'a' + *place as u8)).collect()
    }

    #[test]
    fn turns_are_spread() {
        assert_eq!(letters(&[5, 1, 1]), "aabacaa");
        assert_eq!(letters(&[1, 1, 1]), "abc");
        assert_eq!(letters(&[3, 1]), "aaba");
        assert_eq!(letters(&[1, 2, 3]), "cbacbc");
        assert_eq!(letters(&[4, 2]), "aba");
        assert_eq!(letters(&[7]), "a");
        assert_eq!(letters(&[]), "");
    }

    #[test]
    fn great_weights_stay_within_the_bound() {
        let turns = sequence(&[65_535, 1]);
        assert_eq!(turns.len(), 16_384);
        assert_eq!(turns.iter().filter(|place| **place == 1).count(), 1);

        let equal = sequence(&[13_107_000; 16_384]);
        assert_eq!(equal, (0..16_384).collect::<Vec<u16>>());

        let mut shares = vec![200; 4096];
        shares[17] = 29;
        let turns = sequence(&shares);
        assert!(turns.len() <= 16_384 + 4096, "{}", turns.len());
        assert_eq!(turns.iter().filter(|place| **place == 16).count(), 4);
        assert_eq!(turns.iter().filter(|place| **place == 17).count(), 1);
    }
}
