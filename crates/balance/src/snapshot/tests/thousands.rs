//! Pools so large that some are drawn and not all looked at.

use super::*;

/// Random numbers as a worker would give them.
struct Chances(u64);

impl Chances {
    fn next(&mut self) -> u64 {
        // xorshift64 (Marsaglia 2003).
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn pick(pool: &Snapshot, ask: Ask, table: &Table) -> usize {
    let Pick::Server(ServerIndex(place)) = pool.pick(&ask, table) else { panic!("no server") };
    usize::from(place)
}

#[test]
fn ten_thousand_equals_carry_nearly_the_same() {
    let pool = snapshot(Algorithm::LeastConnections, &[1; 10_000], None);
    let mut table = loads(&[0; 10_000]);
    let mut chances = Chances(1);
    for n in 0..100_000 {
        let place = pick(&pool, Ask { chance: chances.next(), ..turn(n) }, &table);
        table.in_flight[place] += 1;
    }
    let most = table.in_flight.iter().max().copied();
    // Azar et al.: less than one above the mean of 10, but for a constant.
    assert!(most <= Some(12), "{most:?}");
    assert!(table.in_flight.iter().all(|load| *load >= 5), "{:?}", table.in_flight.iter().min());
}

#[test]
fn weights_hold_among_thousands() {
    let weights: Vec<u16> = (0..4_000).map(|place| if place % 4 == 0 { 4 } else { 1 }).collect();
    let pool = snapshot(Algorithm::LeastConnections, &weights, None);
    let mut table = loads(&[0; 4_000]);
    let mut chances = Chances(2);
    for n in 0..70_000 {
        let place = pick(&pool, Ask { chance: chances.next(), ..turn(n) }, &table);
        table.in_flight[place] += 1;
    }
    // A thousand of weight 4 and three thousand of weight 1: 40 000 and 30 000 of 70 000.
    let heavy: u32 = table.in_flight.iter().step_by(4).sum();
    assert!((39_500..=40_500).contains(&heavy), "{heavy}");
    let (heaviest, lightest) = (0..4_000).fold((0, 0), |(heavy, light), place| match weights[place] {
        4 => (heavy.max(table.in_flight[place]), light),
        _ => (heavy, light.max(table.in_flight[place])),
    });
    assert!(heaviest <= 44 && lightest <= 12, "{heaviest} {lightest}");
}

#[test]
fn links_of_thousands_are_promised_by_what_they_take() {
    let mut config = config(Algorithm::Bandwidth, &[1; 2_000], None);
    for (place, server) in config.servers.iter_mut().enumerate() {
        server.bandwidth = Some(units::Bandwidth(if place < 200 { 80_000 } else { 8_000 }));
        server.zone = Some(ZoneIndex((place % 2) as u16));
    }
    let pool = build(&config);
    let accounts: Vec<crate::Account> =
        config.servers.iter().map(|server| crate::Account::new(server.rate())).collect();
    let mut chances = Chances(3);
    for n in 0..38_000u64 {
        // Half of the clients stand in a zone of a thousand servers, half in none.
        let zone = (n % 2 == 0).then_some(ZoneIndex((n % 4 / 2) as u16));
        let ask = Ask { zone, size: 1_000, now: NOW, chance: chances.next(), ..turn(n) };
        let Pick::Server(ServerIndex(place)) = pool.pick(&ask, &Links(&accounts)) else { panic!("no server") };
        accounts[usize::from(place)].promise(NOW, 1_000);
    }
    // 200 links of 10 000 bytes a second and 1800 of 1000 take 38 MB in 10 s.
    let waits: Vec<u64> = accounts.iter().map(|account| account.free_at().since(NOW).as_millis() as u64).collect();
    let last = waits.iter().max().copied();
    assert!(last <= Some(12_000), "{last:?}");
    let fast: u64 = waits[..200].iter().sum::<u64>() / 200;
    assert!((9_300..=10_700).contains(&fast), "{fast}");
}

#[test]
fn who_alone_is_free_among_thousands_is_found() {
    for algorithm in ALGORITHMS {
        let pool = snapshot(algorithm.clone(), &[1; 1_000], Some(1));
        let mut table = loads(&[1; 1_000]);
        assert_eq!(pool.pick(&turn(7), &table), Pick::Full(None), "{algorithm:?}");
        table.in_flight[777] = 0;
        assert_eq!(pool.pick(&turn(7), &table), server(777), "{algorithm:?}");
    }
}

#[test]
fn a_pool_may_have_as_many_as_there_are_places_for() {
    // One of those that hash stands for all: its table takes half a second to lay out.
    for algorithm in ALGORITHMS.into_iter().filter(|algorithm| !matches!(algorithm, Algorithm::Source | Algorithm::Uri))
    {
        let mut config = config(algorithm.clone(), &[1; 16_385], None);
        for server in &mut config.servers {
            server.checked = false;
        }
        let pool = crate::Pool::new(config, NOW);
        assert_eq!(pool.config().servers.len(), 16_384, "what is beyond is left out");
        let snapshot = pool.snapshot(NOW);
        assert_eq!(snapshot.servers().count(), 16_384);
        assert!(snapshot.has(ServerIndex(16_383)) && !snapshot.has(ServerIndex(16_384)));
        assert!(matches!(snapshot.pick(&turn(16_383), &loads(&[])), Pick::Server(_)), "{algorithm:?}");
    }
}

/// Nothing in flight; only the links count.
struct Links<'a>(&'a [crate::Account]);

impl Loads for Links<'_> {
    fn in_flight(&self, _server: ServerIndex) -> u32 {
        0
    }

    fn may_take(&self, _server: ServerIndex) -> bool {
        true
    }

    fn in_flight_total(&self) -> u32 {
        0
    }

    fn in_flight_of(&self, _class: ClassIndex) -> u32 {
        0
    }

    fn demand(&self) -> u32 {
        0
    }

    fn free_at(&self, server: ServerIndex) -> Instant {
        self.0[usize::from(server.0)].free_at()
    }

    fn rate(&self, server: ServerIndex) -> u64 {
        self.0[usize::from(server.0)].rate()
    }
}
