//! A backend as the workers share it: the published choice, the slots taken, and the line of those who wait for one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use balance::{Ask, ClassIndex, Loads, Pick, Queue, ServerIndex, Snapshot, Ticket};
use tokio::sync::oneshot;
use units::Instant;

use crate::config::Backend;

/// A backend as the workers share it. Choosing takes no lock; waiting does.
pub struct BackendShared {
    snapshot: ArcSwap<Snapshot>,
    turn: AtomicU64,
    servers: Vec<Slots>,
    waiting: AtomicU32,
    line: Mutex<Line>,
}

struct Slots {
    taken: AtomicU32,
    limit: Option<u32>,
}

/// The requests that wait, and whom to tell.
struct Line {
    queue: Queue,
    waiters: BTreeMap<Ticket, oneshot::Sender<ServerIndex>>,
}

/// Why a request got no server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoServer {
    /// None is up, or the request was at each.
    NoneUp,
    /// All are at their limit and as many requests as may wait do.
    QueueFull,
}

/// What came of asking for a server.
pub(crate) enum Turn {
    /// This one, and its slot is taken.
    Now(ServerIndex),
    /// The answer comes when one is free.
    Wait(Waiting),
}

/// A place in the line.
pub(crate) struct Waiting {
    ticket: Ticket,
    granted: oneshot::Receiver<ServerIndex>,
}

impl Waiting {
    /// Resolves when a server is free, whose slot is then taken; `None` if the backend is gone.
    pub(crate) async fn granted(&mut self) -> Option<ServerIndex> {
        (&mut self.granted).await.ok()
    }
}

/// What a request asks with.
#[derive(Clone, Copy)]
pub(crate) struct Wish<'a> {
    pub(crate) hash: Option<u64>,
    pub(crate) chance: u64,
    /// Servers that it was at already.
    pub(crate) tried: &'a [ServerIndex],
    /// How long it may wait.
    pub(crate) patience: Duration,
}

struct View<'a> {
    servers: &'a [Slots],
    tried: &'a [ServerIndex],
}

impl Loads for View<'_> {
    fn in_flight(&self, server: ServerIndex) -> u32 {
        self.servers[usize::from(server.0)].taken.load(Ordering::Relaxed)
    }

    fn may_take(&self, server: ServerIndex) -> bool {
        !self.tried.contains(&server)
    }

    fn in_flight_total(&self) -> u32 {
        self.servers.iter().map(|slots| slots.taken.load(Ordering::Relaxed)).sum()
    }

    fn in_flight_of(&self, _class: ClassIndex) -> u32 {
        0
    }

    fn demand(&self) -> u32 {
        0
    }

    fn free_at(&self, _server: ServerIndex) -> Instant {
        Instant::ZERO
    }

    fn rate(&self, _server: ServerIndex) -> u64 {
        1
    }
}

impl Slots {
    /// Takes one unless all are taken.
    fn take(&self) -> bool {
        let Some(limit) = self.limit else {
            self.taken.fetch_add(1, Ordering::Relaxed);
            return true;
        };
        let one_more = |taken| (taken < limit).then_some(taken + 1);
        self.taken.fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_more).is_ok()
    }

    fn give_back(&self) {
        self.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

impl BackendShared {
    pub(crate) fn new(backend: &Backend, snapshot: Snapshot) -> BackendShared {
        let servers = backend.pool.servers.iter();
        let servers = servers.map(|server| Slots { taken: AtomicU32::new(0), limit: server.max_in_flight });
        let queue = Queue::new(backend.max_queue as usize);
        BackendShared {
            snapshot: ArcSwap::from_pointee(snapshot),
            turn: AtomicU64::new(0),
            servers: servers.collect(),
            waiting: AtomicU32::new(0),
            line: Mutex::new(Line { queue, waiters: BTreeMap::new() }),
        }
    }

    /// Makes `snapshot` what every worker chooses from, and lets in whoever has a server now.
    pub fn publish(&self, snapshot: Snapshot, now: Instant) {
        let snapshot = Arc::new(snapshot);
        self.snapshot.store(Arc::clone(&snapshot));
        let mut line = self.lock();
        for server in (0..self.servers.len()).map(|place| ServerIndex(place as u16)) {
            if !snapshot.servers().any(|usable| usable == server) {
                line.queue.release(server);
            }
        }
        for server in snapshot.servers() {
            self.admit(&mut line, server, now);
        }
    }

    /// Requests in flight at a server, over all workers.
    pub fn in_flight(&self, server: ServerIndex) -> u32 {
        self.servers[usize::from(server.0)].taken.load(Ordering::Relaxed)
    }

    /// Requests that wait for a server.
    pub fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(crate) fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// Takes a slot at a server, or a place in the line.
    pub(crate) fn ask(&self, wish: Wish<'_>, now: Instant) -> Result<Turn, NoServer> {
        let ask = Ask {
            hash: wish.hash,
            turn: self.turn.fetch_add(1, Ordering::Relaxed),
            chance: wish.chance,
            zone: None,
            size: 0,
            now,
        };
        let view = View { servers: &self.servers, tried: wish.tried };
        let snapshot = self.snapshot.load();
        loop {
            match snapshot.pick(&ask, &view) {
                Pick::Server(server) => {
                    let slots = &self.servers[usize::from(server.0)];
                    // Who came earlier and waits goes first, wherever there are slots to wait for.
                    if slots.limit.is_some() && self.waiting() > 0 {
                        return self.stand_in_line(wish, wish.hash.map(|_| server), &snapshot, now);
                    }
                    if slots.take() {
                        return Ok(Turn::Now(server));
                    }
                }
                Pick::Full(wanted) => return self.stand_in_line(wish, wanted, &snapshot, now),
                Pick::None => return Err(NoServer::NoneUp),
            }
        }
    }

    fn stand_in_line(
        &self,
        wish: Wish<'_>,
        wanted: Option<ServerIndex>,
        snapshot: &Snapshot,
        now: Instant,
    ) -> Result<Turn, NoServer> {
        let mut line = self.lock();
        let ticket = line.queue.push(now, now + wish.patience, wanted, 0).map_err(|_| NoServer::QueueFull)?;
        let (sender, granted) = oneshot::channel();
        line.waiters.insert(ticket, sender);
        self.count(&line);
        // A slot may have been given back since it was looked for, by somebody who saw nobody waiting.
        for server in snapshot.servers() {
            self.admit(&mut line, server, now);
        }
        Ok(Turn::Wait(Waiting { ticket, granted }))
    }

    /// Gives a slot back, to the one who has waited longest for it if anyone waits.
    pub(crate) fn release(&self, server: ServerIndex, now: Instant) {
        self.servers[usize::from(server.0)].give_back();
        if self.waiting.load(Ordering::Acquire) > 0 && self.snapshot.load().servers().any(|usable| usable == server) {
            self.admit(&mut self.lock(), server, now);
        }
    }

    /// Grants the free slots of a server to those who wait, the longest waiting first.
    fn admit(&self, line: &mut Line, server: ServerIndex, now: Instant) {
        let slots = &self.servers[usize::from(server.0)];
        while !line.waiters.is_empty() && slots.take() {
            let granted = line.queue.next_for(server, now).and_then(|ticket| line.waiters.remove(&ticket));
            let Some(sender) = granted else {
                slots.give_back();
                break;
            };
            // Who has gone meanwhile leaves the slot to the next.
            if sender.send(server).is_err() {
                slots.give_back();
            }
        }
        self.count(line);
    }

    /// Leaves the line. A slot that was granted at the same moment is given back.
    pub(crate) fn leave_line(&self, mut waiting: Waiting, now: Instant) {
        let mut line = self.lock();
        line.queue.cancel(waiting.ticket);
        line.waiters.remove(&waiting.ticket);
        self.count(&line);
        drop(line);
        if let Ok(server) = waiting.granted.try_recv() {
            self.release(server, now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, line: &Line) {
        self.waiting.store(line.queue.len() as u32, Ordering::Release);
    }
}
