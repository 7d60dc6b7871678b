use std::collections::BTreeSet;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use units::{AdminState, Weight};

use super::*;
use crate::pool::{ClassConfig, ServerConfig};

mod bandwidth;
mod shares;
mod thousands;

/// Requests in flight at each server, and who was tried.
#[derive(Default)]
struct Table {
    in_flight: Vec<u32>,
    tried: BTreeSet<ServerIndex>,
    /// Requests in flight at each class.
    classes: Vec<u32>,
    waiting: u32,
    /// Milliseconds that each link is busy, and what it takes.
    links: Vec<(u64, u64)>,
}

impl Loads for Table {
    fn in_flight(&self, server: ServerIndex) -> u32 {
        self.in_flight.get(usize::from(server.0)).copied().unwrap_or(0)
    }

    fn may_take(&self, server: ServerIndex) -> bool {
        !self.tried.contains(&server)
    }

    fn in_flight_total(&self) -> u32 {
        self.in_flight.iter().sum()
    }

    fn in_flight_of(&self, class: ClassIndex) -> u32 {
        self.classes[usize::from(class.0)]
    }

    fn demand(&self) -> u32 {
        self.in_flight_total() + self.waiting
    }

    fn free_at(&self, server: ServerIndex) -> Instant {
        self.links.get(usize::from(server.0)).map_or(Instant::ZERO, |(busy, _)| NOW + Duration::from_millis(*busy))
    }

    fn rate(&self, server: ServerIndex) -> u64 {
        self.links.get(usize::from(server.0)).map_or(1, |(_, rate)| *rate)
    }
}

const NOW: Instant = Instant::from_millis(50_000);

fn loads(in_flight: &[u32]) -> Table {
    Table { in_flight: in_flight.to_vec(), ..Table::default() }
}

fn tried(servers: &[u16]) -> Table {
    Table { tried: servers.iter().map(|server| ServerIndex(*server)).collect(), ..Table::default() }
}

/// Servers s0, s1 … of these weights, each with this limit.
fn config(algorithm: Algorithm, weights: &[u16], limit: Option<u32>) -> PoolConfig {
    let servers = weights.iter().enumerate().map(|(place, weight)| ServerConfig {
        name: format!("s{place}"),
        weight: Weight::new(*weight),
        max_in_flight: limit,
        tier: 0,
        checked: false,
        admin: AdminState::Ready,
        class: None,
        zone: None,
        bandwidth: None,
        sorry: false,
    });
    PoolConfig {
        algorithm,
        slow_start: Duration::ZERO,
        servers: servers.collect(),
        classes: Vec::new(),
        max_in_flight: None,
        quorum: crate::Quorum::default(),
        alpha: true,
    }
}

fn build(config: &PoolConfig) -> Snapshot {
    let shares: Vec<u32> = config.servers.iter().map(|server| u32::from(server.weight.get()) * 200).collect();
    Snapshot::build(config, &shares)
}

fn snapshot(algorithm: Algorithm, weights: &[u16], limit: Option<u32>) -> Snapshot {
    build(&config(algorithm, weights, limit))
}

fn server(index: u16) -> Pick {
    Pick::Server(ServerIndex(index))
}

fn turn(turn: u64) -> Ask {
    Ask { hash: None, turn, chance: 0, zone: None, size: 0, now: Instant::ZERO }
}

fn hash(hash: u64) -> Ask {
    Ask { hash: Some(hash), turn: 0, chance: 0, zone: None, size: 0, now: Instant::ZERO }
}

/// A draw's part of the range, in 1/1000, for each of the two draws.
fn chance(first: u64, second: u64) -> Ask {
    let part = |thousandths: u64| (thousandths << 32) / 1000;
    Ask { hash: None, turn: 0, chance: part(first) | part(second) << 32, zone: None, size: 0, now: Instant::ZERO }
}

const ALGORITHMS: [Algorithm; 8] = [
    Algorithm::RoundRobin,
    Algorithm::LeastConnections,
    Algorithm::Source,
    Algorithm::Uri,
    Algorithm::Maglev,
    Algorithm::Random,
    Algorithm::First,
    Algorithm::Bandwidth,
];

#[test]
fn round_robin_takes_turns() {
    let equal = snapshot(Algorithm::RoundRobin, &[1, 1, 1], None);
    let picks: Vec<Pick> = (0..6).map(|n| equal.pick(&turn(n), &loads(&[]))).collect();
    assert_eq!(picks, [0, 1, 2, 0, 1, 2].map(server));

    let weighted = snapshot(Algorithm::RoundRobin, &[5, 1, 1], None);
    let picks: Vec<Pick> = (0..7).map(|n| weighted.pick(&turn(n), &loads(&[]))).collect();
    assert_eq!(picks, [0, 0, 1, 0, 2, 0, 0].map(server));
}

#[test]
fn a_counter_that_turns_over_is_no_danger() {
    let equal = snapshot(Algorithm::RoundRobin, &[1, 1, 1], None);
    assert_eq!(equal.pick(&turn(u64::MAX), &loads(&[])), server(0));
}

#[test]
fn who_is_full_or_tried_loses_his_turn_to_the_next() {
    let pool = snapshot(Algorithm::RoundRobin, &[5, 1, 1], Some(3));
    assert_eq!(pool.pick(&turn(0), &loads(&[2, 0, 0])), server(0));
    assert_eq!(pool.pick(&turn(0), &loads(&[3, 0, 0])), server(1));
    assert_eq!(pool.pick(&turn(3), &loads(&[3, 0, 0])), server(2));
    assert_eq!(pool.pick(&turn(5), &loads(&[3, 3, 0])), server(2), "found beyond the tries");
    assert_eq!(pool.pick(&turn(0), &tried(&[0])), server(1));
    assert_eq!(pool.pick(&turn(0), &tried(&[0, 1])), server(2));
}

#[test]
fn every_algorithm_says_full_and_none() {
    for algorithm in ALGORITHMS {
        let pool = snapshot(algorithm.clone(), &[1, 2], Some(2));
        let full = Table { in_flight: vec![2, 0], tried: [ServerIndex(1)].into(), ..Table::default() };
        assert_eq!(pool.pick(&turn(9), &loads(&[2, 2])), Pick::Full(None), "{algorithm:?}");
        assert_eq!(pool.pick(&turn(9), &full), Pick::Full(None), "{algorithm:?}");
        assert_eq!(pool.pick(&turn(9), &tried(&[0, 1])), Pick::None, "{algorithm:?}");
        assert_eq!(pool.pick(&hash(9), &tried(&[0, 1])), Pick::None, "{algorithm:?}");
        let last = Table { in_flight: vec![1, 0], tried: [ServerIndex(1)].into(), ..Table::default() };
        assert_eq!(pool.pick(&turn(9), &last), server(0), "{algorithm:?}");
        assert_eq!(pool.pick(&hash(9), &last), server(0), "{algorithm:?}");
        let nobody = snapshot(algorithm.clone(), &[0, 0], None);
        assert_eq!(nobody.pick(&turn(9), &loads(&[])), Pick::None, "{algorithm:?}");
        assert_eq!(nobody.pick(&hash(9), &loads(&[])), Pick::None, "{algorithm:?}");
        assert_eq!(nobody.servers().count(), 0, "{algorithm:?}");
    }
}

#[test]
fn least_connections_goes_by_load_and_weight_and_turns() {
    let equal = snapshot(Algorithm::LeastConnections, &[1, 1, 1], None);
    assert_eq!(equal.pick(&turn(0), &loads(&[4, 2, 3])), server(1));
    let idle: Vec<Pick> = (0..4).map(|n| equal.pick(&turn(n), &loads(&[]))).collect();
    assert_eq!(idle, [0, 1, 2, 0].map(server));
    let ties: Vec<Pick> = (0..4).map(|n| equal.pick(&turn(n), &loads(&[1, 2, 1]))).collect();
    assert_eq!(ties, [0, 2, 0, 2].map(server));

    let weighted = snapshot(Algorithm::LeastConnections, &[3, 1], None);
    assert_eq!(weighted.pick(&turn(0), &loads(&[0, 0])), server(0));
    assert_eq!(weighted.pick(&turn(0), &loads(&[1, 0])), server(0));
    assert_eq!(weighted.pick(&turn(0), &loads(&[3, 0])), server(1));
    assert_eq!(weighted.pick(&turn(0), &loads(&[2, 0])), server(0), "a tie, first turn");
    assert_eq!(weighted.pick(&turn(1), &loads(&[2, 0])), server(1), "a tie, second turn");
    let huge = snapshot(Algorithm::LeastConnections, &[65_535, 65_534], None);
    assert_eq!(huge.pick(&turn(0), &loads(&[u32::MAX - 1, u32::MAX - 1])), server(0));
}

#[test]
fn random_takes_the_less_loaded_of_two() {
    let pool = snapshot(Algorithm::Random, &[3, 1], None);
    assert_eq!(pool.pick(&chance(0, 999), &loads(&[0, 0])), server(0), "of equals the first");
    assert_eq!(pool.pick(&chance(749, 0), &loads(&[0, 0])), server(0));
    assert_eq!(pool.pick(&chance(751, 0), &loads(&[0, 0])), server(1));
    assert_eq!(pool.pick(&chance(999, 0), &loads(&[0, 1])), server(0));
    assert_eq!(pool.pick(&chance(0, 999), &loads(&[3, 1])), server(0), "as loaded for its weight");
    assert_eq!(pool.pick(&chance(0, 999), &loads(&[4, 1])), server(1));
    assert_eq!(pool.pick(&chance(999, 0), &loads(&[2, 1])), server(0));
    assert_eq!(pool.pick(&chance(999, 999), &tried(&[1])), server(0), "drawn in vain");
    let busy = Table { in_flight: vec![4, 0], tried: [ServerIndex(1)].into(), ..Table::default() };
    let idle_was_tried = pool.pick(&chance(0, 999), &busy);
    assert_eq!(idle_was_tried, server(0));
    let top = Ask { hash: None, turn: 0, chance: u64::MAX, zone: None, size: 0, now: Instant::ZERO };
    assert_eq!(pool.pick(&top, &loads(&[])), server(1));
}

#[test]
fn first_fills_one_after_the_other() {
    let pool = snapshot(Algorithm::First, &[1, 9, 1], Some(2));
    assert_eq!(pool.pick(&turn(5), &loads(&[1, 0, 0])), server(0));
    assert_eq!(pool.pick(&turn(5), &loads(&[2, 1, 0])), server(1));
    assert_eq!(pool.pick(&turn(5), &loads(&[2, 2, 0])), server(2));
}

#[test]
fn a_hash_keeps_its_server_and_waits_for_it() {
    let pool = snapshot(Algorithm::Source, &[1, 1, 1], Some(1));
    let mut seen = BTreeSet::new();
    for key in 0..100 {
        let Pick::Server(chosen) = pool.pick(&hash(key), &loads(&[])) else { panic!("no server") };
        seen.insert(chosen);
        let full = pool.pick(&hash(key), &loads(&[1, 1, 1]));
        assert_eq!(full, Pick::Full(Some(chosen)));
        let Pick::Server(second) = pool.pick(&hash(key), &tried(&[chosen.0])) else { panic!("no second server") };
        assert_ne!(second, chosen);
        let Pick::Server(third) = pool.pick(&hash(key), &tried(&[chosen.0, second.0])) else {
            panic!("no third server")
        };
        assert!(third != chosen && third != second);
    }
    assert_eq!(seen.len(), 3, "a hundred keys reach every server");
}

#[test]
fn without_a_hash_turns_are_taken() {
    let pool = snapshot(Algorithm::Header("x-user".to_owned()), &[1, 1, 1], None);
    let picks: Vec<Pick> = (0..3).map(|n| pool.pick(&turn(n), &loads(&[]))).collect();
    assert_eq!(picks, [0, 1, 2].map(server));
    assert_eq!(pool.algorithm(), &Algorithm::Header("x-user".to_owned()));
}

proptest! {
    /// Whatever the weights, the loads and who was tried: nobody gets a request who may not, and nobody waits in vain.
    #[test]
    fn a_pick_is_never_wrong(
        servers in vec((0u16..4, 0u32..4, any::<bool>()), 0..6),
        numbers in any::<(u64, u64, u64)>(),
        hashed in any::<bool>(),
    ) {
        let weights: Vec<u16> = servers.iter().map(|server| server.0).collect();
        let may_take = |place: usize| weights[place] > 0 && !servers[place].2;
        let has_room = |place: usize| servers[place].1 < 3;
        let tried = (0..servers.len()).filter(|place| servers[*place].2);
        let table = Table {
            in_flight: servers.iter().map(|server| server.1).collect(),
            tried: tried.map(|place| ServerIndex(place as u16)).collect(),
            ..Table::default()
        };
        let (hash, turn, chance) = numbers;
        let ask = Ask { hash: hashed.then_some(hash), turn, chance, zone: None, size: 0, now: Instant::ZERO };
        for algorithm in ALGORITHMS {
            match snapshot(algorithm, &weights, Some(3)).pick(&ask, &table) {
                Pick::Server(server) => {
                    let place = usize::from(server.0);
                    prop_assert!(may_take(place) && has_room(place));
                }
                Pick::Full(None) => {
                    prop_assert!((0..servers.len()).any(may_take));
                    prop_assert!(!(0..servers.len()).any(|place| may_take(place) && has_room(place)));
                }
                Pick::Full(Some(server)) => {
                    let place = usize::from(server.0);
                    prop_assert!(hashed && may_take(place) && !has_room(place));
                }
                Pick::None => prop_assert!(!(0..servers.len()).any(may_take)),
            }
        }
    }

    /// In one round every server has exactly as many turns as its weight.
    #[test]
    fn turns_are_exactly_proportional(weights in vec(1u16..20, 1..8), begin in 0u64..1_000_000) {
        let pool = snapshot(Algorithm::RoundRobin, &weights, None);
        let round = weights.iter().map(|weight| u64::from(*weight)).sum::<u64>();
        let mut turns = vec![0; weights.len()];
        for n in begin..begin + round {
            let Pick::Server(server) = pool.pick(&turn(n), &loads(&[])) else { panic!("no server") };
            turns[usize::from(server.0)] += 1;
        }
        prop_assert_eq!(turns, weights);
    }
}

#[test]
fn a_known_client_gets_its_server_or_a_place_in_its_queue() {
    let config = config(Algorithm::RoundRobin, &[1, 0, 0], Some(2));
    let snapshot = build(&config).with_kept(&config, [true, true, false].into_iter());
    let known = |place, loads: &Table| snapshot.pick_known(ServerIndex(place), loads);
    let full = |place| Some(Pick::Full(Some(ServerIndex(place))));
    assert_eq!([0, 1, 2].map(|place| known(place, &loads(&[1, 1, 1]))), [Some(server(0)), Some(server(1)), None]);
    assert_eq!([0, 1, 2].map(|place| known(place, &loads(&[2, 2, 2]))), [full(0), full(1), None]);
    assert_eq!([0, 1].map(|place| known(place, &tried(&[0, 1]))), [None, None]);
    assert_eq!(snapshot.pick(&turn(0), &loads(&[0, 0, 0])), server(0));
}
