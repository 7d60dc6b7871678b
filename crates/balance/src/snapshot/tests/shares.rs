//! Limits of classes and of the pool.

use super::*;

const WORKERS: ClassIndex = ClassIndex(0);

/// Two islands and two workers, which together may have a quarter of all requests.
fn islands(algorithm: Algorithm) -> PoolConfig {
    let mut config = config(algorithm, &[1, 1, 1, 1], None);
    config.classes = vec![
        ClassConfig { name: "worker".to_owned(), max_share: Some(25) },
        ClassConfig { name: "island".to_owned(), max_share: None },
    ];
    for (server, class) in config.servers.iter_mut().zip([1, 1, 0, 0]) {
        server.class = Some(ClassIndex(class));
    }
    config
}

#[test]
fn a_class_has_its_share_of_the_demand_and_at_least_one() {
    let snapshot = build(&islands(Algorithm::RoundRobin));
    let limits = [0, 6, 7, 10, 11, 399, u32::MAX].map(|demand| snapshot.class_limit(WORKERS, demand));
    assert_eq!(limits, [1, 1, 2, 2, 3, 100, 1_073_741_824]);
    assert_eq!(snapshot.class_limit(ClassIndex(1), 0), u32::MAX);
    assert_eq!(snapshot.class_limit(ClassIndex(9), 0), u32::MAX);
}

#[test]
fn every_algorithm_keeps_a_class_within_its_share() {
    for algorithm in ALGORITHMS {
        let snapshot = build(&islands(algorithm.clone()));
        let only_workers = |worker: u32, waiting| Table {
            in_flight: vec![0, 0, worker, 0],
            tried: [ServerIndex(0), ServerIndex(1)].into(),
            classes: vec![worker, 0],
            waiting,
            ..Table::default()
        };
        let ask = Ask { hash: None, ..turn(2) };
        let picked = |table: &Table| snapshot.pick(&ask, table);
        assert!(matches!(picked(&only_workers(0, 0)), Pick::Server(ServerIndex(2 | 3))), "{algorithm:?}");
        assert_eq!(picked(&only_workers(1, 5)), Pick::Full(None), "{algorithm:?}");
        assert!(matches!(picked(&only_workers(1, 6)), Pick::Server(ServerIndex(2 | 3))), "{algorithm:?}");
        for n in 0..4 {
            let full = Table { in_flight: vec![2, 2, 1, 0], classes: vec![1, 4], ..Table::default() };
            let ask = Ask { chance: n << 30 | n << 62, ..turn(n) };
            assert!(matches!(snapshot.pick(&ask, &full), Pick::Server(ServerIndex(0 | 1))), "{algorithm:?}");
        }
    }
}

#[test]
fn a_hash_waits_for_its_server_of_a_full_class() {
    let snapshot = build(&islands(Algorithm::Source));
    let idle = Table { classes: vec![0, 0], ..Table::default() };
    let full = Table { in_flight: vec![0, 0, 1, 0], classes: vec![1, 0], ..Table::default() };
    for key in 0..100 {
        let Pick::Server(chosen) = snapshot.pick(&hash(key), &idle) else { panic!("no server") };
        let expected = if chosen.0 < 2 { Pick::Server(chosen) } else { Pick::Full(Some(chosen)) };
        assert_eq!(snapshot.pick(&hash(key), &full), expected);
    }
}

#[test]
fn every_algorithm_keeps_the_pool_within_its_limit() {
    for algorithm in ALGORITHMS {
        let mut config = config(algorithm.clone(), &[1, 2], None);
        config.max_in_flight = Some(5);
        let pool = build(&config);
        assert_eq!(pool.limit(), Some(5));
        assert!(matches!(pool.pick(&turn(0), &loads(&[4, 0])), Pick::Server(_)), "{algorithm:?}");
        assert_eq!(pool.pick(&turn(0), &loads(&[5, 0])), Pick::Full(None), "{algorithm:?}");
        let gone = Table { in_flight: vec![5, 0], ..tried(&[0, 1]) };
        assert_eq!(pool.pick(&turn(0), &gone), Pick::None, "{algorithm:?}");
        assert_eq!(pool.pick(&hash(0), &gone), Pick::None, "{algorithm:?}");
    }
    let mut config = config(Algorithm::Source, &[1, 2], None);
    config.max_in_flight = Some(5);
    let Pick::Server(chosen) = build(&config).pick(&hash(3), &loads(&[])) else { panic!("no server") };
    assert_eq!(build(&config).pick(&hash(3), &loads(&[5, 0])), Pick::Full(Some(chosen)), "it waits for its own");
}
