use std::time::Duration;

use balance::{Algorithm, ClassConfig, Pool, PoolConfig, Quorum, ServerConfig};
use units::{AdminState, Weight};

use super::*;
use crate::config::{BackendTimeouts, Deliver, Rate, Server, ServerAddress};

const A: ServerIndex = ServerIndex(0);
const B: ServerIndex = ServerIndex(1);
const C: ServerIndex = ServerIndex(2);
const WORKERS: ClassIndex = ClassIndex(0);
const NOW: Instant = Instant::from_millis(1_000);

/// Three servers: the first an island's with `island` slots, the others workers, which may carry a quarter.
fn backend(island: Option<u32>, max_in_flight: Option<u32>) -> Backend {
    let server = |name: &str, class: Option<ClassIndex>, limit| ServerConfig {
        name: name.to_owned(),
        weight: Weight::new(1),
        max_in_flight: limit,
        tier: 0,
        checked: false,
        admin: AdminState::Ready,
        class,
        zone: None,
        bandwidth: None,
        sorry: false,
    };
    let servers = vec![server("a", None, island), server("b", Some(WORKERS), None), server("c", Some(WORKERS), None)];
    let address = ServerAddress::Ip(([127, 0, 0, 1], 80).into());
    let reached = Server {
        address,
        send_proxy: None,
        redirect_to: None,
        rate_limit: None,
        tls: None,
        protocol: Default::default(),
    };
    Backend {
        name: "mirrors".to_owned(),
        pool: PoolConfig {
            algorithm: Algorithm::RoundRobin,
            slow_start: Duration::ZERO,
            servers,
            classes: vec![ClassConfig { name: "worker".to_owned(), max_share: Some(25) }],
            max_in_flight,
            quorum: Quorum::default(),
            alpha: true,
        },
        servers: vec![reached; 3],
        timeouts: BackendTimeouts::default(),
        retries: 2,
        redispatch: true,
        tcp_keepalive: None,
        max_queue: 10,
        max_idle: 10,
        observe_failures: None,
        deliver: Deliver::default(),
        retry_after: Duration::from_secs(5),
        stick: None,
        application: None,
    }
}

fn room(backend: &Backend) -> (Room, Snapshot) {
    (Room::new(backend, &[1_000; 3]), Pool::new(backend.pool.clone(), NOW).snapshot(NOW))
}

#[test]
fn workers_carry_a_quarter_of_the_demand_together_and_never_less_than_one_request() {
    let (room, snapshot) = room(&backend(None, None));
    assert!(room.take(B, &snapshot, 0, NOW), "one request is always allowed");
    assert!(!room.take(C, &snapshot, 0, NOW), "a second one of two is half");
    for _ in 0..6 {
        assert!(room.take(A, &snapshot, 0, NOW));
    }
    assert!(room.take(C, &snapshot, 0, NOW), "the second of eight is a quarter");
    assert!(!room.take(B, &snapshot, 0, NOW), "the third of nine is more");
    assert!(room.take(B, &snapshot, 3, NOW), "with three more that wait it is a quarter of twelve");
    room.give_back(B);
    room.give_back(C);
    assert_eq!((room.total(), room.class_in_flight(WORKERS)), (7, 1));
}

#[test]
fn clients_that_were_sent_to_a_server_count_until_they_are_known_to_be_through() {
    let (room, snapshot) = room(&backend(Some(2), None));
    for _ in 0..2 {
        assert!(room.take(A, &snapshot, 0, NOW));
        room.send_abroad(A);
    }
    assert_eq!((room.in_flight(A), room.taken(A)), (2, 0));
    assert!(!room.take(A, &snapshot, 0, NOW), "both slots are taken by those who left");
    assert!(!room.set_abroad(A, 2));
    assert!(room.set_abroad(A, 1), "one has come to an end");
    assert!(room.take(A, &snapshot, 0, NOW));
    assert_eq!(room.total(), 2);
    assert!(!room.set_abroad(A, 5), "another director sends clients there too");
    assert_eq!((room.in_flight(A), room.total()), (6, 6));
}

#[test]
fn the_backend_as_a_whole_has_a_limit_too() {
    let (room, snapshot) = room(&backend(None, Some(3)));
    assert!((0..3).all(|_| room.take(A, &snapshot, 0, NOW)));
    assert!(!room.take(A, &snapshot, 0, NOW));
    assert_eq!(room.taken(A), 3, "what could not be taken whole was given back");
    room.give_back(A);
    assert!(room.take(B, &snapshot, 0, NOW));
}

#[test]
fn a_server_gets_requests_at_its_rate() {
    let mut backend = backend(None, None);
    backend.servers[0].rate_limit = Some(Rate { period: Duration::from_millis(100), burst: 2 });
    let (room, snapshot) = room(&backend);
    let later = NOW + Duration::from_millis(100);
    assert!(room.take(A, &snapshot, 0, NOW) && room.take(A, &snapshot, 0, NOW));
    assert!(!room.take(A, &snapshot, 0, NOW));
    assert_eq!((room.taken(A), room.total()), (2, 2));
    let view = |now| View { room: &room, waiting: 0, now, tried: &[], home: None };
    assert_eq!(view(NOW).in_flight(A), u32::MAX, "nobody chooses it meanwhile");
    assert_eq!(view(later).in_flight(A), 2);
    assert!(room.take(A, &snapshot, 0, later));
    assert!(!room.may_try(), "what was counted stays counted, so nothing is taken only to be given back");
}

#[test]
fn a_client_is_not_sent_to_where_it_stands() {
    let (room, _) = room(&backend(None, None));
    let view = View { room: &room, waiting: 0, now: NOW, tried: &[C], home: Some(B) };
    assert_eq!([A, B, C].map(|server| view.may_take(server)), [true, false, false]);
}
