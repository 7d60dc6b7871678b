use std::sync::atomic::AtomicU64;

use balance::{NameHash, Stick};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use wire::peer::PeerError;

use super::*;
use crate::{Kind, outbox};

const DEADLINE: Duration = Duration::from_secs(20);

fn table(name: &str) -> Table {
    let words: Vec<_> = (0..Stick::words(65_536)).map(|_| AtomicU64::new(0)).collect();
    Table { name: name.to_owned(), kind: Kind::Source, stick: Stick::new(words.leak(), Duration::from_secs(100)) }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn config(name: &str, bind: SocketAddr, peer: SocketAddr) -> PeersConfig {
    PeersConfig { name: name.to_owned(), bind, peers: vec![peer] }
}

/// Half of a director: nothing runs.
fn shared(tables: Vec<Table>) -> (Shared, mpsc::Receiver<Event>) {
    let (events, received) = mpsc::channel(EVENTS_MAX);
    let address = "127.0.0.1:1".parse().unwrap();
    (Shared::new(config("d1", address, address), tables, events), received)
}

#[tokio::test]
async fn two_directors_tell_each_other_what_changes_and_a_new_one_everything() {
    let ((one, one_at), (other, other_at)) = (listener().await, listener().await);
    let (tables, others) = (vec![table("api"), table("app")], vec![table("app"), table("api")]);
    let now = now();
    tables[0].stick.record(1, NameHash(11), now);
    let (first, _events) = Peers::spawn(config("d1", one_at, other_at), one, tables.clone());
    let (second, _others_events) = Peers::spawn(config("d2", other_at, one_at), other, others.clone());
    assert!(second.learn(DEADLINE).await);
    assert_eq!(others[1].stick.look_up(1, now), Some(NameHash(11)));
    until("both are connected", || first.status().told[0].1 && second.status().told[0].1).await;
    others[0].stick.record(2, NameHash(12), now);
    tables[1].stick.record(3, NameHash(13), now);
    until("each knows what the other has recorded", || {
        tables[1].stick.look_up(2, now) == Some(NameHash(12)) && others[0].stick.look_up(3, now) == Some(NameHash(13))
    })
    .await;
    let status = first.status();
    assert_eq!((status.news, status.overflows), (1, 0));
    assert_eq!((status.name.as_str(), status.heard[0].0.as_str()), ("d1", "d2"));

    drop(second);
    until("the other is missed", || !first.status().told[0].1).await;
    tables[0].stick.record(4, NameHash(14), now);
    let again = TcpListener::bind(other_at).await.unwrap();
    let blank = vec![table("api"), table("app")];
    let (third, _) = Peers::spawn(config("d2", other_at, one_at), again, blank.clone());
    assert!(third.learn(DEADLINE).await);
    let known = [(0, 1, 11), (1, 2, 12), (1, 3, 13), (0, 4, 14)];
    for (table, key, name) in known {
        assert_eq!(blank[table].stick.look_up(key, now), Some(NameHash(name)), "{key}");
    }
}

#[tokio::test]
async fn a_director_without_others_learns_nothing_and_does_not_wait() {
    let ((one, one_at), (nobody, nobody_at)) = (listener().await, listener().await);
    drop(nobody);
    let (alone, _) = Peers::spawn(config("d1", one_at, nobody_at), one, vec![table("api")]);
    let learned = tokio::time::timeout(DEADLINE, alone.learn(Duration::MAX)).await;
    assert_eq!(learned, Ok(false));
    assert_eq!(alone.status().told, [(nobody_at, false)]);
}

#[tokio::test]
async fn only_peers_may_connect() {
    let (one, one_at) = listener().await;
    let (alone, _) = Peers::spawn(config("d1", one_at, "127.0.0.9:9".parse().unwrap()), one, Vec::new());
    let mut stranger = TcpStream::connect(one_at).await.unwrap();
    assert_eq!(stranger.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(alone.status().refused, [("peer_stranger", 1)]);
}

#[tokio::test]
async fn more_connections_than_peers_may_have_are_refused() {
    let ((one, one_at), (other, other_at)) = (listener().await, listener().await);
    let (director, _) = Peers::spawn(config("d1", one_at, other_at), one, Vec::new());
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(TcpStream::connect(one_at).await.unwrap());
    }
    let mut fifth = TcpStream::connect(one_at).await.unwrap();
    assert_eq!(fifth.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(director.status().refused, [("peer_connections", 1)]);
    drop((held, other));
}

#[tokio::test]
async fn a_peer_that_is_malformed_is_listened_to_no_more() {
    let ((one, one_at), (other, other_at)) = (listener().await, listener().await);
    let (director, mut events) = Peers::spawn(config("d1", one_at, other_at), one, Vec::new());
    let mut peer = TcpStream::connect(one_at).await.unwrap();
    peer.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    until("it is refused", || director.status().refused == [("peer_kind", 1)]).await;
    let refused = What::Refused(Refusal::Malformed(PeerError::Kind));
    while events.recv().await.unwrap().what != refused {}
    drop(other);
}

#[tokio::test]
async fn a_second_connection_of_a_peer_takes_the_place_of_the_first() {
    let ((one, one_at), (other, other_at)) = (listener().await, listener().await);
    let (director, _) = Peers::spawn(config("d1", one_at, other_at), one, Vec::new());
    let mut connections = Vec::new();
    for _ in 0..2 {
        let mut peer = TcpStream::connect(one_at).await.unwrap();
        peer.write_all(b"\0\x0b\x01PPST\x01\x02d2\0\0").await.unwrap();
        let from = peer.local_addr().unwrap();
        until("it is heard", || director.status().heard == [("d2".to_owned(), from)]).await;
        connections.push(peer);
    }
    assert_eq!(connections[0].read(&mut [0]).await.unwrap(), 0);
    drop(connections.pop());
    until("nobody is heard", || director.status().heard.is_empty()).await;
    assert_eq!(director.status().refused, []);
    drop(other);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_dropped_and_keeps_no_more_waiting_than_may() {
    let (shared, _events) = shared(vec![table("api")]);
    let shared = Arc::new(shared);
    *lock(&shared.lines[0].outbox) = Some(Outbox::new());
    let (here, there) = tokio::io::duplex(64);
    let (from, to) = tokio::io::split(here);
    tokio::spawn(collect(Arc::clone(&shared)));
    let telling = speak::tell(&shared, &shared.lines[0], from, to);
    let stick = shared.tables[0].stick;
    (0..40_000u64).for_each(|key| stick.record(key.wrapping_mul(0x9e37_79b9_7f4a_7c15), NameHash(1), now()));
    assert_eq!(telling.await, "it takes nothing");
    assert!(shared.counters.overflows.load(Relaxed) > 0);
    assert!(lock(&shared.lines[0].outbox).as_ref().unwrap().untold().count() <= outbox::QUEUE_MAX);
    drop(there);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_silent_is_listened_to_no_more() {
    let (shared, _events) = shared(Vec::new());
    let (mut here, there) = tokio::io::duplex(64);
    here.write_all(b"\0\x0b\x01PPST\x01\x02d2\0\0\0\x01\x04").await.unwrap();
    let (mut name, superseded) = (None, Arc::default());
    let address = "127.0.0.1:1".parse().unwrap();
    let heard = listen::hear(&shared, there, address, &superseded, &mut name).await;
    assert_eq!((heard, name.as_deref()), (Err(Refusal::Silent), Some("d2")));
}

#[tokio::test(start_paused = true)]
async fn who_has_nothing_to_say_says_so() {
    let (shared, _events) = shared(Vec::new());
    *lock(&shared.lines[0].outbox) = Some(Outbox::new());
    let (here, mut there) = tokio::io::duplex(1024);
    let (from, to) = tokio::io::split(here);
    let told = async {
        let mut bytes = [0; 22];
        there.read_exact(&mut bytes).await.unwrap();
        drop(there);
        bytes
    };
    let (why, bytes) = tokio::join!(speak::tell(&shared, &shared.lines[0], from, to), told);
    assert_eq!(&bytes, b"\0\x0b\x01PPST\x01\x02d1\0\0\0\x01\x03\0\x01\x04\0\x01\x04");
    assert_eq!(why, "it has closed the connection");
}

#[tokio::test]
async fn what_was_not_told_is_left_for_the_next() {
    let ((one, one_at), (other, other_at)) = (listener().await, listener().await);
    let tables = vec![table("api")];
    let (director, _) = Peers::spawn(config("d1", one_at, other_at), one, tables.clone());
    tables[0].stick.merge(balance::StickEntry { key: 5, name: NameHash(1), used: now() }, now());
    let mut outbox = Outbox::default();
    outbox.push(0, balance::StickEntry { key: 5, name: NameHash(1), used: now() });
    *lock(&director.shared.lines[0].outbox) = Some(outbox);
    drop(director);
    let mut changed = Vec::new();
    tables[0].stick.take_changed(&mut 0, 64, now(), &mut changed);
    assert_eq!(changed.iter().map(|entry| entry.key).collect::<Vec<_>>(), [5]);
    drop(other);
}
