//! The connections between directors: one to each peer, to speak; one from each, to listen.

mod listen;
mod speak;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::inbox::Refusal;
use crate::outbox::Outbox;
use crate::{PEERS_MAX, PeersConfig, Table};

/// How often changes are collected: each is told at most so much later.
const BATCH: Duration = Duration::from_millis(100);

/// Entries that are collected in one go.
const BATCH_ENTRIES: usize = 1024;

/// News that wait to be told to an operator; further ones are dropped, and the counters know of them.
const EVENTS_MAX: usize = 64;

/// What happened between this director and a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its address.
    pub peer: SocketAddr,
    /// What.
    pub what: What,
}

/// What happened between this director and a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It can be told what changes.
    Connected,
    /// It cannot any more; why, in words.
    Lost(String),
    /// It was listened to no more.
    Refused(Refusal),
}

/// What there is to say of the peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// This director's name.
    pub name: String,
    /// Every peer, and whether it can be told what changes.
    pub told: Vec<(SocketAddr, bool)>,
    /// The names and addresses of those that are listened to.
    pub heard: Vec<(String, SocketAddr)>,
    /// Entries sent.
    pub sent: u64,
    /// Entries received.
    pub received: u64,
    /// Those of them that were news.
    pub news: u64,
    /// How often a peer was told everything anew because more changed than waits for one.
    pub overflows: u64,
    /// Connections ended from here, by reason.
    pub refused: Vec<(&'static str, u64)>,
}

/// This director's part among its peers; it ends when this is dropped.
#[derive(Debug)]
pub struct Peers {
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    config: PeersConfig,
    tables: Vec<Table>,
    lines: Vec<Line>,
    /// Those that are listened to, by their addresses and names.
    heard: Mutex<BTreeMap<(IpAddr, String), Heard>>,
    counters: Counters,
    refused: Mutex<BTreeMap<&'static str, u64>>,
    events: mpsc::Sender<Event>,
    /// Whether some peer has told all that it knew.
    learned: watch::Sender<bool>,
}

/// The way to one peer.
#[derive(Debug)]
struct Line {
    address: SocketAddr,
    /// While it is connected.
    outbox: Mutex<Option<Outbox>>,
    /// There is something to tell.
    filled: Notify,
    /// It is there, as it has connected itself: the next attempt need not wait.
    is_there: Notify,
    /// Whether the first attempt has failed.
    failed: AtomicBool,
}

/// A peer that is listened to.
#[derive(Debug)]
struct Heard {
    from: SocketAddr,
    /// Ends the connection.
    superseded: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    received: AtomicU64,
    news: AtomicU64,
    overflows: AtomicU64,
}

impl Peers {
    /// Begins to listen and to connect. To be called within a tokio runtime; peers beyond [`PEERS_MAX`] are left out.
    pub fn spawn(config: PeersConfig, listener: TcpListener, tables: Vec<Table>) -> (Peers, mpsc::Receiver<Event>) {
        let (events, received) = mpsc::channel(EVENTS_MAX);
        let shared = Arc::new(Shared::new(config, tables, events));
        let mut tasks = JoinSet::new();
        tasks.spawn(listen::listen(Arc::clone(&shared), listener));
        tasks.spawn(collect(Arc::clone(&shared)));
        for line in 0..shared.lines.len() {
            tasks.spawn(speak::speak(Arc::clone(&shared), line));
        }
        (Peers { shared, _tasks: tasks }, received)
    }

    /// Waits until some peer has told all that it knows, or none can be reached, but no longer than `patience`.
    /// Returns whether one has.
    pub async fn learn(&self, patience: Duration) -> bool {
        let mut learned = self.shared.learned.subscribe();
        let settled =
            learned.wait_for(|learned| *learned || self.shared.lines.iter().all(|line| line.failed.load(Relaxed)));
        tokio::time::timeout(patience, settled).await.is_ok_and(|settled| settled.is_ok_and(|learned| *learned))
    }

    /// What there is to say of the peers.
    pub fn status(&self) -> Status {
        let Shared { config, lines, heard, counters, refused, .. } = &*self.shared;
        let heard = lock(heard);
        Status {
            name: config.name.clone(),
            told: lines.iter().map(|line| (line.address, lock(&line.outbox).is_some())).collect(),
            heard: heard.iter().map(|((_, name), heard)| (name.clone(), heard.from)).collect(),
            sent: counters.sent.load(Relaxed),
            received: counters.received.load(Relaxed),
            news: counters.news.load(Relaxed),
            overflows: counters.overflows.load(Relaxed),
            refused: lock(refused).iter().map(|(reason, count)| (*reason, *count)).collect(),
        }
    }
}

impl Drop for Peers {
    /// What was taken and not told is left for whoever shares the memory and takes over.
    fn drop(&mut self) {
        let now = now();
        for line in &self.shared.lines {
            for (table, entry) in lock(&line.outbox).iter().flat_map(Outbox::untold) {
                self.shared.tables[usize::from(table)].stick.mark_changed(entry.key, now);
            }
        }
    }
}

impl Shared {
    fn new(mut config: PeersConfig, tables: Vec<Table>, events: mpsc::Sender<Event>) -> Shared {
        config.peers.truncate(PEERS_MAX);
        let lines = config.peers.iter().map(|address| Line {
            address: *address,
            outbox: Mutex::new(None),
            filled: Notify::new(),
            is_there: Notify::new(),
            failed: AtomicBool::new(false),
        });
        Shared {
            lines: lines.collect(),
            config,
            tables,
            heard: Mutex::default(),
            counters: Counters::default(),
            refused: Mutex::default(),
            events,
            learned: watch::Sender::new(false),
        }
    }

    fn say(&self, peer: SocketAddr, what: What) {
        // Nobody listens, or somebody has enough to read.
        let _ = self.events.try_send(Event { peer, what });
    }

    fn refuse(&self, reason: Refusal) {
        *lock(&self.refused).entry(reason.reason()).or_default() += 1;
    }
}

/// Collects what has changed, for all peers at once.
async fn collect(shared: Arc<Shared>) {
    let mut turns = tokio::time::interval(BATCH);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut entries = Vec::new();
    loop {
        turns.tick().await;
        // A peer that connects is told everything: until then changes may wait where they are.
        if shared.lines.iter().all(|line| lock(&line.outbox).is_none()) {
            continue;
        }
        for (table, at) in shared.tables.iter().zip(0..) {
            let mut place = 0;
            loop {
                entries.clear();
                let ended = table.stick.take_changed(&mut place, BATCH_ENTRIES, now(), &mut entries);
                for line in &shared.lines {
                    if let Some(outbox) = &mut *lock(&line.outbox) {
                        let before = outbox.overflows;
                        entries.iter().for_each(|entry| outbox.push(at, *entry));
                        shared.counters.overflows.fetch_add(outbox.overflows - before, Relaxed);
                    }
                }
                if ended {
                    break;
                }
            }
        }
        for line in &shared.lines {
            if lock(&line.outbox).as_ref().is_some_and(|outbox| !outbox.is_empty()) {
                line.filled.notify_one();
            }
        }
    }
}

/// What all processes that share the memory go by.
fn now() -> u32 {
    linux::monotonic_seconds()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
