//! keepalived's equations: a quorum is gained at `quorum + hysteresis`, and lost at nothing or under
//! `quorum - hysteresis`.

use super::*;

const SERVERS: usize = 4;

fn pool(weights: [u16; SERVERS], quorum: Quorum) -> Pool {
    let servers: Vec<_> = ["a", "b", "c", "d"].into_iter().zip(weights).collect();
    Pool::new(PoolConfig { quorum, ..config(&servers) }, at(0))
}

fn with_sorry(servers: &[(&str, u16)], quorum: Quorum) -> Pool {
    let mut config = PoolConfig { quorum, ..config(servers) };
    config.servers.push(ServerConfig { checked: false, sorry: true, tier: u8::MAX, ..server("sorry-server", 1) });
    Pool::new(config, at(0))
}

fn tell(pool: &mut Pool, place: usize, status: Status) {
    pool.handle_status(ServerIndex(place as u16), status, at(0));
}

/// Every set of servers that are up, from every other, one server after the other, for all weights and quorums.
#[test]
fn it_is_gained_and_lost_where_the_equations_say() {
    let weights = || [0, 1, 3];
    for a in weights() {
        for b in weights() {
            for c in weights() {
                for d in weights() {
                    for quorum in 1..=7 {
                        for hysteresis in 0..quorum {
                            walk([a, b, c, d], Quorum { weight: quorum, hysteresis });
                        }
                    }
                }
            }
        }
    }
}

fn walk(weights: [u16; SERVERS], quorum: Quorum) {
    let mut pool = pool(weights, quorum);
    let mut is_up = [false; SERVERS];
    // Nobody knows of a quorum before the last has answered: then it is there from both together on.
    for (place, is_up) in is_up.iter_mut().enumerate() {
        *is_up = true;
        tell(&mut pool, place, Status::Up);
    }
    let weight = |is_up: &[bool]| {
        weights.iter().zip(is_up).filter(|(_, up)| **up).map(|(weight, _)| i64::from(*weight)).sum::<i64>()
    };
    let (wanted, hysteresis) = (i64::from(quorum.weight), i64::from(quorum.hysteresis));
    let mut there = weight(&is_up) >= wanted + hysteresis;
    assert_eq!(pool.quorum(), Some(there), "{weights:?} {quorum:?}, all up");
    for from in 0..1 << SERVERS {
        for to in 0..1 << SERVERS {
            for set in [from, to] {
                for place in 0..SERVERS {
                    let up = set & (1 << place) != 0;
                    tell(&mut pool, place, if up { Status::Up } else { Status::Down });
                    is_up[place] = up;
                    let weight = weight(&is_up);
                    if there && (weight == 0 || weight < wanted - hysteresis) {
                        there = false;
                    } else if !there && weight >= wanted + hysteresis {
                        there = true;
                    }
                    assert_eq!(pool.quorum(), Some(there), "{weights:?} {quorum:?} {is_up:?}");
                }
            }
        }
    }
}

#[test]
fn it_is_unknown_until_it_is_reached_or_all_have_answered() {
    let quorum = Quorum { weight: 2, hysteresis: 0 };
    let mut pool = pool([1, 1, 1, 0], quorum);
    assert_eq!(pool.quorum(), None);
    tell(&mut pool, 0, Status::Down);
    tell(&mut pool, 1, Status::Up);
    assert_eq!(pool.quorum(), None);
    tell(&mut pool, 2, Status::Up);
    assert_eq!(pool.quorum(), Some(true));

    let mut pool = Pool::new(PoolConfig { quorum, ..config(&[("a", 1), ("b", 1)]) }, at(0));
    pool.handle_admin(B, AdminState::Maintenance, at(0));
    assert_eq!(pool.quorum(), None, "the first is awaited, the second is not");
    tell(&mut pool, 0, Status::Up);
    assert_eq!(pool.quorum(), Some(false));
}

#[test]
fn an_administrator_and_weights_count_as_checks_do() {
    let mut pool = pool([2, 1, 1, 1], Quorum { weight: 4, hysteresis: 0 });
    (0..SERVERS).for_each(|place| tell(&mut pool, place, Status::Up));
    assert_eq!((pool.quorum(), pool.usable_weight()), (Some(true), 5));
    pool.handle_weight(A, Weight::new(0), at(0));
    assert_eq!((pool.quorum(), pool.usable_weight()), (Some(false), 3));
    pool.handle_weight(A, Weight::new(1), at(0));
    assert_eq!(pool.quorum(), Some(true));
    pool.handle_admin(B, AdminState::Drain, at(0));
    assert_eq!((pool.quorum(), pool.usable()), (Some(false), (3, 4)));
}

#[test]
fn the_sorry_server_serves_alone_while_the_quorum_is_lost() {
    let mut pool = with_sorry(&[("a", 1), ("b", 1), ("c", 1)], Quorum { weight: 2, hysteresis: 1 });
    assert_eq!(usable(&pool), [3], "nobody else can yet");
    (0..3).for_each(|place| tell(&mut pool, place, Status::Up));
    assert_eq!((usable(&pool), pool.is_sorry()), (vec![0, 1, 2], false));
    tell(&mut pool, 0, Status::Down);
    tell(&mut pool, 1, Status::Down);
    assert_eq!(usable(&pool), [2], "1 is not under 2 - 1");
    tell(&mut pool, 2, Status::Down);
    assert_eq!((usable(&pool), pool.is_sorry()), (vec![3], true));
    assert_eq!(pool.usable(), (0, 3));
    tell(&mut pool, 1, Status::Up);
    tell(&mut pool, 2, Status::Up);
    let snapshot = pool.snapshot(at(0));
    assert_eq!(snapshot.servers().map(|server| server.0).collect::<Vec<_>>(), [3], "2 is not 2 + 1");
    assert_eq!(snapshot.kept().count(), 0, "it gets every request, those of clients with a server too");
    tell(&mut pool, 0, Status::Up);
    assert_eq!(usable(&pool), [0, 1, 2]);
}

#[test]
fn before_a_quorum_is_known_who_is_up_serves() {
    let mut pool = with_sorry(&[("a", 1), ("b", 1)], Quorum { weight: 2, hysteresis: 0 });
    tell(&mut pool, 0, Status::Up);
    assert_eq!((usable(&pool), pool.quorum()), (vec![0], None));
    tell(&mut pool, 1, Status::Down);
    assert_eq!((usable(&pool), pool.quorum()), (vec![2], Some(false)));
}

#[test]
fn without_alpha_servers_are_up_until_their_checks_say_no() {
    let mut pool = Pool::new(PoolConfig { alpha: false, ..config(&[("a", 1), ("b", 1)]) }, at(0));
    assert_eq!((usable(&pool), pool.quorum()), (vec![0, 1], Some(true)));
    tell(&mut pool, 0, Status::Down);
    assert_eq!(usable(&pool), [1]);
    tell(&mut pool, 0, Status::Unknown);
    assert_eq!(usable(&pool), [0, 1]);
}

#[test]
fn what_was_known_before_a_reload_decides_within_the_hysteresis() {
    let quorum = Quorum { weight: 2, hysteresis: 1 };
    let mut old = Pool::new(PoolConfig { quorum, ..config(&[("a", 1), ("b", 1), ("c", 1)]) }, at(0));
    (0..3).for_each(|place| tell(&mut old, place, Status::Up));
    tell(&mut old, 0, Status::Down);
    for known in [Some(true), Some(false), None] {
        let mut new = Pool::new(old.config().clone(), at(1));
        new.carry_from(&carried(&old, at(1)), at(1));
        new.carry_quorum(known);
        assert_eq!(new.quorum(), Some(known == Some(true)), "2 is between 1 and 3");
    }
}
