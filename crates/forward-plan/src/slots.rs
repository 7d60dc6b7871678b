//! Turns by weight as a list of slots, which a counter walks through: a server has as many as its weight says.

use std::collections::BTreeMap;

/// Slots that a service aims not to exceed: a table of a quarter of a MiB in the kernel. Weights whose sum is greater are
/// halved until it is not, none below one slot, so that there can be more by one slot for each server.
pub const SLOTS_MAX: u64 = 16_384;

/// Who has each slot, for servers and their weights; those of weight 0 have none.
///
/// Of what `previous` says as little changes as can be: a server that goes leaves its own slots, and the last ones move
/// there; one that comes has new ones, which lie between the others'.
pub fn turns(previous: &[u32], servers: &[(u32, u16)]) -> Vec<u32> {
    let mut missing = counts(servers);
    if previous.is_empty() {
        return spread(&missing);
    }
    let total: usize = missing.values().map(|count| *count as usize).sum();
    // Of those that have too many, the last ones go.
    let mut slots: Vec<Option<u32>> = previous.iter().map(|server| take(&mut missing, *server)).collect();
    let tail: Vec<u32> = slots.drain(total.min(slots.len())..).flatten().collect();
    let kept = slots.len();
    slots.resize(total, None);
    let mut homeless = tail.into_iter().chain(spread(&missing));
    for slot in slots.iter_mut().filter(|slot| slot.is_none()) {
        *slot = homeless.next();
    }
    let mut slots: Vec<u32> = slots.into_iter().flatten().collect();
    // What was put behind the others is put between them.
    let added = slots.len().saturating_sub(kept);
    for place in 0..added {
        let between = place * slots.len() / added;
        if between < kept {
            slots.swap(between, kept + place);
        }
    }
    slots
}

/// How many slots each server has.
fn counts(servers: &[(u32, u16)]) -> BTreeMap<u32, u32> {
    let sum: u64 = servers.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let mut halvings = 0;
    while sum >> halvings > SLOTS_MAX {
        halvings += 1;
    }
    let share = |weight: u16| u32::from(weight).div_ceil(1 << halvings);
    servers.iter().filter(|(_, weight)| *weight > 0).map(|(server, weight)| (*server, share(*weight))).collect()
}

/// One of the server's slots, if it has not all yet.
fn take(missing: &mut BTreeMap<u32, u32>, server: u32) -> Option<u32> {
    let left = missing.get_mut(&server).filter(|left| **left > 0)?;
    *left -= 1;
    Some(server)
}

/// All slots, each server's as far from each other as can be.
fn spread(counts: &BTreeMap<u32, u32>) -> Vec<u32> {
    // The middle of each part of the circle that a server's slots part it into.
    let mut places: Vec<(u64, u32)> = Vec::new();
    for (server, count) in counts {
        let middle = |turn: u32| (2 * u64::from(turn) + 1) * (1 << 32) / (2 * u64::from(*count));
        places.extend((0..*count).map(|turn| (middle(turn), *server)));
    }
    places.sort_unstable();
    places.into_iter().map(|(_, server)| server).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn count(slots: &[u32], server: u32) -> usize {
        slots.iter().filter(|holder| **holder == server).count()
    }

    #[test]
    fn servers_have_slots_by_weight_between_each_other() {
        assert_eq!(turns(&[], &[(1, 3), (2, 1)]), [1, 1, 2, 1]);
        assert_eq!(turns(&[], &[(1, 2), (2, 2)]), [1, 2, 1, 2]);
        assert_eq!(turns(&[], &[(1, 0), (2, 1)]), [2]);
        assert_eq!(turns(&[], &[]), [0; 0]);
        assert_eq!(turns(&[1, 2], &[]), [0; 0]);
    }

    #[test]
    fn a_server_that_goes_leaves_the_others_where_they_are() {
        // The last one moves to where the second was.
        assert_eq!(turns(&[1, 2, 3, 4], &[(1, 1), (3, 1), (4, 1)]), [1, 4, 3]);
    }

    #[test]
    fn a_server_that_comes_is_put_between_the_others() {
        assert_eq!(turns(&[1, 2, 1, 2], &[(1, 2), (2, 2), (3, 2)]), [3, 2, 1, 3, 1, 2]);
    }

    #[test]
    fn great_weights_are_halved_until_they_fit() {
        let slots = turns(&[], &[(1, 40_000), (2, 10_000), (3, 1)]);
        assert_eq!((count(&slots, 1), count(&slots, 2), count(&slots, 3)), (10_000, 2_500, 1));
        let all: Vec<(u32, u16)> = (0..16_384).map(|server| (server, u16::MAX)).collect();
        assert_eq!(turns(&[], &all).len(), 16_384);
    }

    #[test]
    fn one_of_five_thousand_changes_a_few_slots() {
        let mut servers: Vec<(u32, u16)> = (0..5000).map(|server| (server, 2)).collect();
        let before = turns(&[], &servers);
        servers[4000].1 = 0;
        let without = turns(&before, &servers);
        assert_eq!(without.len(), 9998);
        let changed = before.iter().zip(&without).filter(|(one, other)| one != other).count();
        assert!(changed <= 2, "{changed}");
        servers[4000].1 = 2;
        let again = turns(&without, &servers);
        let changed = without.iter().zip(&again).filter(|(one, other)| one != other).count();
        assert!(again.len() == 10_000 && changed <= 2, "{changed}");
    }

    proptest! {
        #[test]
        fn everyone_has_its_part_whatever_there_was(
            previous in prop::collection::vec(0u32..6, 0..40),
            weights in prop::collection::btree_map(0u32..6, 0u16..9, 0..6),
        ) {
            let servers: Vec<(u32, u16)> = weights.into_iter().collect();
            let slots = turns(&previous, &servers);
            for (server, weight) in &servers {
                prop_assert_eq!(count(&slots, *server), usize::from(*weight));
            }
            prop_assert_eq!(slots.len(), servers.iter().map(|(_, weight)| usize::from(*weight)).sum::<usize>());
        }
    }
}
