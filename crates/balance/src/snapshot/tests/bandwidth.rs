//! The least expected finish.

use super::*;

const MBIT10: u64 = 1_250_000;

fn links(links: &[(u64, u64)]) -> Table {
    Table { links: links.to_vec(), ..Table::default() }
}

fn ask(turn: u64, size: u64, zone: Option<u16>) -> Ask {
    Ask { hash: None, turn, chance: 0, zone: zone.map(ZoneIndex), size, now: NOW }
}

/// Equal servers in these zones.
fn zoned(zones: &[Option<u16>]) -> Snapshot {
    let mut config = config(Algorithm::Bandwidth, &vec![1; zones.len()], None);
    for (server, zone) in config.servers.iter_mut().zip(zones) {
        server.zone = zone.map(ZoneIndex);
    }
    build(&config)
}

#[test]
fn the_one_that_will_have_sent_first_is_chosen() {
    let pool = zoned(&[None; 3]);
    let pick = |size, table: &[(u64, u64)]| pool.pick(&ask(0, size, None), &links(table));
    // 10 MB take 8 s, 0.8 s and 1 s.
    assert_eq!(pick(10_000_000, &[(0, MBIT10), (0, 10 * MBIT10), (0, 10_000_000)]), server(1));
    assert_eq!(pick(10_000_000, &[(0, MBIT10), (201, 10 * MBIT10), (0, 10_000_000)]), server(2));
    assert_eq!(pick(10_000_000, &[(0, MBIT10), (7_201, 10 * MBIT10), (7_001, 10_000_000)]), server(0));
    assert_eq!(pick(0, &[(5, 1), (4, 1), (6, u64::MAX)]), server(1), "nothing to send: who is free first");
    // 2^40 s beside a nanosecond less of them.
    assert_eq!(pick(1 << 40, &[(1, 1), (1, 1), (0, 1)]), server(2));
    assert_eq!(pick(u64::MAX, &[(u64::MAX / 1_000_000, 1), (0, 2), (0, 1)]), server(1));
}

#[test]
fn of_equals_it_is_the_one_whose_turn_it_is() {
    let pool = zoned(&[None; 4]);
    let table = links(&[(0, 7), (0, 7), (1, 7), (0, 7)]);
    let picks: Vec<Pick> = (0..6).map(|n| pool.pick(&ask(n, 100, None), &table)).collect();
    assert_eq!(picks, [0, 1, 3, 0, 1, 3].map(server));
}

#[test]
fn the_own_zone_comes_first_until_it_is_busy() {
    let pool = zoned(&[Some(1), Some(2), Some(2), None]);
    let pick = |zone, table: &[(u64, u64)]| pool.pick(&ask(0, 1_000, zone), &links(table));
    assert_eq!(pick(Some(1), &[(200, 1_000), (0, 1_000_000), (0, 1_000), (0, 1_000)]), server(0), "not busy yet");
    assert_eq!(pick(Some(1), &[(201, 1_000), (0, 1_000), (0, 900), (0, 900)]), server(1));
    assert_eq!(pick(Some(1), &[(201, 1_000), (0, 900), (0, 900), (0, 1_000)]), server(3), "of no zone");
    assert_eq!(
        pick(Some(1), &[(900, 1_000), (901, 1_000), (901, 1_000), (901, 1_000)]),
        server(0),
        "elsewhere is later"
    );
    assert_eq!(pick(Some(2), &[(0, 1_000_000), (150, 1_000), (0, 1_000), (0, 1_000_000)]), server(2));
    assert_eq!(pick(Some(3), &[(1, 1_000), (0, 1_000), (1, 1_000), (1, 1_000)]), server(1), "a zone without servers");
    assert_eq!(pick(None, &[(1, 1_000), (1, 1_000), (1, 1_000), (0, 1_000)]), server(3), "a client of no zone");
    let full = Table { tried: [ServerIndex(0)].into(), ..links(&[(0, 9), (1, 9), (0, 9), (1, 9)]) };
    assert_eq!(pool.pick(&ask(0, 1, Some(1)), &full), server(2), "the own zone was tried");
}

#[test]
fn a_share_that_is_not_full_slows_a_link() {
    let config = config(Algorithm::Bandwidth, &[4, 4, 0], None);
    let pick = |shares: &[u32], table: &[(u64, u64)]| {
        Snapshot::build(&config, shares).pick(&ask(0, 1_000, None), &links(table))
    };
    // In a slow start at a tenth, 1000 bytes at 1000 a second take 10 s.
    assert_eq!(pick(&[80, 800, 0], &[(0, 1_000), (8_999, 1_000), (0, 0)]), server(1));
    assert_eq!(pick(&[80, 800, 0], &[(0, 1_000), (9_001, 1_000), (0, 0)]), server(0));
    assert_eq!(pick(&[0, 800, 0], &[(0, 1_000), (9_001, 1), (0, 1_000)]), server(1), "who has no share gets nothing");
    // A weight that was raised by hand counts too, also where the text has 0.
    assert_eq!(pick(&[1_600, 800, 0], &[(499, 1_000), (0, 1_000), (0, 0)]), server(0));
    assert_eq!(pick(&[0, 800, 1_600], &[(0, 0), (0, 1_000), (874, 1_000)]), server(2));
}

#[test]
fn backups_serve_when_no_other_can() {
    let mut config = config(Algorithm::Bandwidth, &[1, 1], None);
    config.servers[1].tier = 1;
    let table = links(&[(60_000, 1), (0, 1_000_000)]);
    assert_eq!(build(&config).pick(&ask(0, 1_000, None), &table), server(0));
    assert_eq!(Snapshot::build(&config, &[0, 200]).pick(&ask(0, 1_000, None), &table), server(1));
}

#[test]
fn rates_come_from_bandwidth_or_weight() {
    let mut servers = config(Algorithm::Bandwidth, &[1, 4, 0, 7, 1], None).servers;
    servers[3].bandwidth = Some(units::Bandwidth(25_000_000_000));
    servers[4].bandwidth = Some(units::Bandwidth(0));
    let rates: Vec<u64> = servers.iter().map(ServerConfig::rate).collect();
    assert_eq!(rates, [125_000_000, 500_000_000, 125_000_000, 3_125_000_000, 1]);
}

proptest! {
    /// Beside the plain rule, written once more in rational numbers.
    #[test]
    fn the_choice_is_the_rules(
        servers in vec((0u64..1_000, 1u64..50, 0u16..4), 1..8),
        size in 0u64..100,
        zone in 0u16..4,
    ) {
        let zones: Vec<Option<u16>> = servers.iter().map(|server| (server.2 > 0).then_some(server.2)).collect();
        let table: Vec<(u64, u64)> = servers.iter().map(|server| (server.0, server.1)).collect();
        let zone = (zone > 0).then_some(zone);
        let Pick::Server(ServerIndex(chosen)) = zoned(&zones).pick(&ask(1, size, zone), &links(&table)) else {
            return Err(TestCaseError::fail("no server"));
        };
        let chosen = usize::from(chosen);
        let finish = |place: usize| table[place].0 as f64 + 1_000.0 * size as f64 / table[place].1 as f64;
        let best = |places: &mut dyn Iterator<Item = usize>| places.map(finish).fold(f64::INFINITY, f64::min);
        let near = |place: usize| zone.is_some() && zones[place] == zone;
        let best_near = best(&mut (0..servers.len()).filter(|place| near(*place)));
        let best_of_all = best(&mut (0..servers.len()));
        if near(chosen) {
            prop_assert!(finish(chosen) <= best_near + 1e-5);
            prop_assert!(table[chosen].0 <= 200 || finish(chosen) <= best_of_all + 1e-5);
        } else {
            prop_assert!(finish(chosen) <= best_of_all + 1e-5);
        }
    }
}
