use super::*;

mod quorum;

const A: ServerIndex = ServerIndex(0);
const B: ServerIndex = ServerIndex(1);

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn server(name: &str, weight: u16) -> ServerConfig {
    ServerConfig {
        name: name.to_owned(),
        weight: Weight::new(weight),
        max_in_flight: None,
        tier: 0,
        checked: true,
        admin: AdminState::Ready,
        class: None,
        zone: None,
        bandwidth: None,
        sorry: false,
    }
}

fn config(servers: &[(&str, u16)]) -> PoolConfig {
    PoolConfig {
        algorithm: Algorithm::RoundRobin,
        slow_start: Duration::from_secs(20),
        servers: servers.iter().map(|(name, weight)| server(name, *weight)).collect(),
        classes: Vec::new(),
        max_in_flight: None,
        quorum: Quorum::default(),
        alpha: true,
    }
}

fn up(servers: &[(&str, u16)]) -> Pool {
    let mut pool = Pool::new(config(servers), at(0));
    for index in 0..servers.len() {
        pool.handle_status(ServerIndex(index as u16), Status::Up, at(0));
    }
    pool
}

fn usable(pool: &Pool) -> Vec<u16> {
    pool.snapshot(at(0)).servers().map(|server| server.0).collect()
}

fn effective(pool: &Pool, place: usize, now: Instant) -> (u16, Option<u8>) {
    let state = pool.states(now)[place];
    (state.effective.get(), state.throttle)
}

fn carried(pool: &Pool, now: Instant) -> Vec<(String, ServerState)> {
    let names = pool.config().servers.iter().map(|server| server.name.clone());
    names.zip(pool.states(now)).collect()
}

/// Whose word counts: an administrator's, else that of the checks, else the configuration's; and of what is to be done,
/// the stricter.
#[test]
fn what_checks_say_gives_way_to_an_administrator() {
    use AdminState::{Drain, Maintenance, Ready};
    let said = |weight: Option<u16>, admin| Advised { weight: weight.map(Weight::new), admin };
    let table = [
        // Configured with 3: set by an administrator, said by checks, and what comes of it.
        (3, said(None, Ready), 3, true),
        (3, said(Some(7), Ready), 7, true),
        (3, said(Some(0), Ready), 0, false),
        (5, said(Some(7), Ready), 5, true),
        (5, said(Some(0), Ready), 5, true),
        (0, said(Some(7), Ready), 0, false),
        (3, said(Some(7), Drain), 7, false),
        (3, said(None, Maintenance), 3, false),
    ];
    for (set, advised, weight, usable) in table {
        let mut pool = up(&[("a", 3)]);
        pool.handle_weight(A, Weight::new(set), at(0));
        pool.handle_advised(A, advised, at(0));
        let state = pool.states(at(0))[0];
        assert_eq!((state.weight, state.usable), (Weight::new(weight), usable), "{set} {advised:?}");
        assert_eq!((state.own_weight, state.advised), (Weight::new(set), advised));
        // The configured weight gives it back to its checks.
        pool.handle_weight(A, Weight::new(3), at(0));
        assert_eq!(pool.states(at(0))[0].weight, advised.weight.unwrap_or(Weight::new(3)));
    }
    for own in [Ready, Drain, Maintenance] {
        for of_checks in [Ready, Drain, Maintenance] {
            let mut pool = up(&[("a", 3)]);
            pool.handle_admin(A, own, at(0));
            pool.handle_advised(A, said(None, of_checks), at(0));
            let expected = match (own, of_checks) {
                (Maintenance, _) | (_, Maintenance) => Maintenance,
                (Ready, Ready) => Ready,
                _ => Drain,
            };
            let state = pool.states(at(0))[0];
            assert_eq!((state.admin, state.own_admin, state.usable), (expected, own, expected == Ready));
        }
    }
}

#[test]
fn only_who_is_up_ready_and_has_weight_is_usable() {
    use AdminState::{Drain, Maintenance, Ready};
    use Status::{Down, Unknown, Up};
    for status in [Unknown, Up, Down] {
        for admin in [Ready, Drain, Maintenance] {
            for weight in [0, 1] {
                let mut pool = Pool::new(config(&[("a", 1)]), at(0));
                pool.handle_status(A, status, at(0));
                pool.handle_admin(A, admin, at(0));
                pool.handle_weight(A, Weight::new(weight), at(0));
                let expected = (status, admin, weight) == (Up, Ready, 1);
                assert_eq!(pool.states(at(0))[0].usable, expected, "{status} {admin:?} {weight}");
                assert_eq!(!usable(&pool).is_empty(), expected, "{status} {admin:?} {weight}");
            }
        }
    }
}

#[test]
fn servers_without_checks_are_up_from_the_start() {
    let mut config = config(&[("a", 1), ("b", 1)]);
    config.servers[1].checked = false;
    assert_eq!(usable(&Pool::new(config, at(0))), [1]);
}

#[test]
fn the_lowest_tier_that_can_serves() {
    let mut config = config(&[("a", 1), ("spare", 1), ("sorry", 1)]);
    config.servers[1].tier = 1;
    config.servers[2].tier = 2;
    let mut pool = Pool::new(config, at(0));
    for index in 0..3 {
        pool.handle_status(ServerIndex(index), Status::Up, at(0));
    }
    assert_eq!(usable(&pool), [0]);
    pool.handle_weight(A, Weight::ZERO, at(0));
    assert_eq!(usable(&pool), [1]);
    pool.handle_status(B, Status::Down, at(0));
    assert_eq!(usable(&pool), [2]);
    pool.handle_weight(A, Weight::ONE, at(0));
    assert_eq!(usable(&pool), [0]);
}

#[test]
fn changes_say_what_became_of_whom() {
    let mut pool = up(&[("a", 1)]);
    let change = pool.handle_admin(A, AdminState::Drain, at(1)).expect("a change");
    assert_eq!((change.from.admin, change.from.usable), (AdminState::Ready, true));
    assert_eq!((change.to.admin, change.to.usable), (AdminState::Drain, false));
    assert_eq!(pool.handle_admin(A, AdminState::Drain, at(2)), None);
    assert_eq!(pool.handle_status(ServerIndex(7), Status::Down, at(2)), None);
}

#[test]
fn a_server_that_comes_back_starts_slowly() {
    let mut pool = up(&[("a", 100), ("b", 100)]);
    assert_eq!(pool.deadline(), None, "no slow start at the start");
    pool.handle_status(A, Status::Down, at(1_000));
    pool.handle_status(A, Status::Up, at(10_000));
    assert_eq!(effective(&pool, 0, at(10_000)), (10, Some(10)));
    assert_eq!(effective(&pool, 1, at(10_000)), (100, None));

    let mut weights = Vec::new();
    while let Some(deadline) = pool.deadline() {
        assert!(pool.handle_deadline(deadline));
        weights.push((deadline, effective(&pool, 0, deadline).0));
    }
    assert_eq!(weights.len(), 20);
    assert_eq!(weights[0], (at(11_000), 15));
    assert_eq!(weights[1], (at(12_000), 19));
    assert_eq!(weights[9], (at(20_000), 55));
    assert_eq!(weights[19], (at(30_000), 100));
    assert_eq!(effective(&pool, 0, at(30_000)), (100, None));

    pool.handle_admin(A, AdminState::Drain, at(40_000));
    pool.handle_admin(A, AdminState::Ready, at(50_000));
    assert_eq!(pool.deadline(), None, "once for each return");
}

#[test]
fn a_slow_start_awaits_the_end_of_maintenance_and_drain() {
    let mut pool = up(&[("a", 100)]);
    pool.handle_admin(A, AdminState::Drain, at(0));
    pool.handle_admin(A, AdminState::Ready, at(0));
    assert_eq!(pool.deadline(), None, "it was never away");
    pool.handle_admin(A, AdminState::Maintenance, at(0));
    pool.handle_status(A, Status::Unknown, at(0));
    pool.handle_admin(A, AdminState::Drain, at(0));
    pool.handle_status(A, Status::Up, at(0));
    assert_eq!(pool.deadline(), None);
    pool.handle_admin(A, AdminState::Ready, at(5_000));
    assert_eq!(pool.deadline(), Some(at(6_000)));
    pool.handle_status(A, Status::Down, at(7_000));
    assert_eq!(pool.deadline(), None);
}

#[test]
fn a_step_that_is_no_whole_number_of_nanoseconds_ends() {
    let mut config = config(&[("a", 1)]);
    config.slow_start = Duration::from_nanos(33);
    config.servers[0].admin = AdminState::Maintenance;
    config.servers[0].checked = false;
    let mut pool = Pool::new(config, at(0));
    pool.handle_admin(A, AdminState::Ready, at(0));
    let mut steps = 0;
    while let Some(deadline) = pool.deadline() {
        assert!(pool.handle_deadline(deadline));
        steps += 1;
    }
    assert_eq!(steps, 20);
}

#[test]
fn a_reload_keeps_what_was_learnt_and_what_was_changed_by_hand() {
    let mut old = up(&[("a", 1), ("b", 1), ("c", 1), ("d", 1)]);
    old.handle_admin(A, AdminState::Maintenance, at(0));
    old.handle_weight(B, Weight::new(7), at(0));
    old.handle_weight(ServerIndex(2), Weight::new(9), at(0));
    old.handle_status(ServerIndex(3), Status::Down, at(0));

    let mut new = Pool::new(config(&[("new", 1), ("d", 1), ("c", 2), ("b", 1), ("a", 1)]), at(0));
    new.carry_from(&carried(&old, at(0)), at(0));
    let states = new.states(at(0));
    assert_eq!(states[0].status, Status::Unknown);
    assert_eq!(states[1].status, Status::Down);
    assert_eq!(states[2].weight, Weight::new(2), "the text was changed");
    assert_eq!(states[3].weight, Weight::new(7));
    assert_eq!((states[4].admin, states[4].status), (AdminState::Maintenance, Status::Up));
    assert_eq!(new.deadline(), None, "nobody comes back by a reload");
    new.handle_status(B, Status::Up, at(0));
    assert_eq!(new.deadline(), Some(at(1_000)), "a server that was down before it does");
}

#[test]
fn a_reload_goes_on_with_a_slow_start() {
    let mut old = up(&[("a", 100)]);
    old.handle_status(A, Status::Down, at(0));
    old.handle_status(A, Status::Up, at(100_000));
    for second in 1..20 {
        let now = at(100_000 + second * 1_000);
        old.handle_deadline(now);
        let mut new = Pool::new(config(&[("a", 100)]), now);
        new.carry_from(&carried(&old, now), now);
        assert_eq!(new.states(now), old.states(now), "after {second} s");
    }
}

#[test]
fn who_is_up_keeps_its_clients_unless_it_is_in_maintenance() {
    use AdminState::{Drain, Maintenance, Ready};
    use Status::{Down, Unknown, Up};
    let mut servers = config(&[("a", 1), ("b", 0), ("c", 1), ("d", 1), ("e", 1), ("f", 1)]);
    servers.servers[2].tier = 1;
    let mut pool = Pool::new(servers, at(0));
    let states = [(Up, Ready), (Up, Ready), (Up, Ready), (Up, Drain), (Down, Drain), (Up, Maintenance)];
    for ((status, admin), index) in states.into_iter().zip(0..) {
        pool.handle_status(ServerIndex(index), status, at(0));
        pool.handle_admin(ServerIndex(index), admin, at(0));
    }
    let snapshot = pool.snapshot(at(0));
    assert_eq!(usable(&pool), [0]);
    assert_eq!(snapshot.kept().map(|server| server.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!([0, 1, 3, 4, 5].map(|index| snapshot.keeps(ServerIndex(index))), [false, true, true, false, false]);
    pool.handle_status(ServerIndex(3), Unknown, at(0));
    assert!(!pool.snapshot(at(0)).keeps(ServerIndex(3)));
}
