//! So many seeds hold in every run of the tests; more by hand.

use std::time::Duration;

const SEEDS: u64 = 256;

const SPAN: Duration = Duration::from_secs(3600);

#[test]
fn seeds_hold() {
    let (mut adverts, mut troubles, mut takeovers, mut adoptions) = (0, 0, 0, 0);
    for seed in 0..SEEDS {
        let figures = sim::run(seed, SPAN).unwrap_or_else(|broken| {
            panic!("{broken}\nreplay: cargo run -p sim --release -- --seed {seed}");
        });
        adverts += figures.adverts;
        troubles += figures.troubles;
        takeovers += figures.takeovers;
        adoptions += figures.adoptions;
    }
    // What is tried is not nothing.
    let figures = [adverts / 1000, troubles / 100, takeovers / 10, adoptions];
    assert!(figures.iter().all(|&count| count > SEEDS), "{figures:?}");
}

/// The same seed is the same run.
#[test]
fn a_seed_is_a_run() {
    for seed in 0..8 {
        assert_eq!(sim::run(seed, SPAN).unwrap(), sim::run(seed, SPAN).unwrap());
    }
}
