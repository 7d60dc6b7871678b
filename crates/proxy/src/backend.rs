//! A backend as the workers share it: the published choice, the slots taken, and the line of those who wait for one.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use balance::{Account, Algorithm, Ask, ClassIndex, Pick, Queue, ServerIndex, Sizes, Snapshot, Stick, Ticket};
use tokio::sync::oneshot;
use units::Instant;

use crate::claim::{Claim, Size};
use crate::config::{Backend, DeliverMode, ServerAddress};
use crate::slots::{Room, View};
use crate::stick::{Known, Sticky};

/// A backend as the workers share it. Choosing takes no lock; waiting does.
pub struct BackendShared {
    snapshot: ArcSwap<Snapshot>,
    turn: AtomicU64,
    room: Room,
    /// What answers' lengths are expected to be; only where the balance goes by bytes.
    sizes: Option<Sizes>,
    /// The servers by their addresses; only where clients are redirected.
    addresses: BTreeMap<IpAddr, ServerIndex>,
    /// Only where clients stay with their servers.
    sticky: Option<Sticky>,
    waiting: AtomicU32,
    line: Mutex<Line>,
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
    pub(crate) claim: Claim,
    pub(crate) chance: u64,
    /// Servers that it was at already.
    pub(crate) tried: &'a [ServerIndex],
    /// How long it may wait.
    pub(crate) patience: Duration,
}

/// What a look at the servers found.
enum Look {
    /// This one, and its slot is taken.
    Taken(ServerIndex),
    /// This one, but others wait for it or for any.
    Behind(Option<ServerIndex>),
    Full(Option<ServerIndex>),
    NoneUp,
}

impl BackendShared {
    pub(crate) fn new(backend: &Backend, rates: &[u64], snapshot: Snapshot) -> BackendShared {
        let counts_bytes = backend.pool.algorithm == Algorithm::Bandwidth;
        let queue = Queue::new(backend.max_queue as usize);
        BackendShared {
            snapshot: ArcSwap::from_pointee(snapshot),
            turn: AtomicU64::new(0),
            room: Room::new(backend, rates),
            sizes: counts_bytes.then(Sizes::new),
            addresses: addresses(backend),
            sticky: None,
            waiting: AtomicU32::new(0),
            line: Mutex::new(Line { queue, waiters: BTreeMap::new() }),
        }
    }

    /// Has the backend's clients stay with the servers that this table says they have.
    pub(crate) fn stick_by(&mut self, backend: &Backend, table: Stick) {
        self.sticky = Sticky::new(backend, table);
    }

    /// Makes `snapshot` what every worker chooses from, and lets in whoever has a server now.
    pub fn publish(&self, snapshot: Snapshot, now: Instant) {
        let snapshot = Arc::new(snapshot);
        self.snapshot.store(Arc::clone(&snapshot));
        let mut line = self.lock();
        let is_gone = |wanted: &ServerIndex| !snapshot.has(*wanted) && !self.keeps(&snapshot, *wanted);
        let gone: Vec<ServerIndex> = line.queue.wanted().filter(is_gone).collect();
        for server in gone {
            line.queue.release(server);
        }
        self.admit_all(&mut line, &snapshot, now);
    }

    /// Time has passed: lets in whoever has a server now. To be called some times a second.
    pub fn tick(&self, now: Instant) {
        if self.waiting() > 0 {
            self.admit_all(&mut self.lock(), &self.snapshot.load(), now);
        }
    }

    /// Requests in flight at a server, over all workers, and those of clients that were redirected to it.
    pub fn in_flight(&self, server: ServerIndex) -> u32 {
        self.room.in_flight(server)
    }

    /// Those among them that are relayed.
    pub fn relayed(&self, server: ServerIndex) -> u32 {
        self.room.taken(server)
    }

    /// Requests in flight at the servers of a class; kept only where there are limits of several servers together.
    pub fn in_flight_of(&self, class: ClassIndex) -> u32 {
        self.room.class_in_flight(class)
    }

    /// How many requests the servers of a class may have in flight now; `None`: as many as come.
    pub fn class_limit(&self, class: ClassIndex) -> Option<u32> {
        let demand = self.room.total().saturating_add(self.waiting());
        Some(self.snapshot.load().class_limit(class, demand)).filter(|limit| *limit != u32::MAX)
    }

    /// Requests that wait for a server.
    pub fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// What a server has been promised to send.
    pub fn account(&self, server: ServerIndex) -> &Account {
        self.room.account(server)
    }

    /// Whether clients may be redirected to a server; at first none may.
    pub fn set_redirectable(&self, server: ServerIndex, redirectable: bool) {
        self.room.set_redirectable(server, redirectable);
    }

    /// Whether clients may be redirected to a server.
    pub fn is_redirectable(&self, server: ServerIndex) -> bool {
        self.room.is_redirectable(server)
    }

    /// So many clients that were redirected to a server are thought to be under way there.
    pub fn set_abroad(&self, server: ServerIndex, clients: u32, now: Instant) {
        if self.room.set_abroad(server, clients) && self.waiting() > 0 {
            self.admit_at(server, now);
        }
    }

    /// The answer to the request of this key has so many bytes.
    pub fn learn(&self, key: u64, bytes: u64) {
        if let Some(sizes) = &self.sizes {
            sizes.learn(key, bytes);
        }
    }

    /// What is known of a whole answer's length, and what they have on average.
    pub(crate) fn expect(&self, key: u64) -> (Option<u64>, u64) {
        self.sizes.as_ref().map_or((None, 0), |sizes| (sizes.expect(key), sizes.mean()))
    }

    /// Whether answers' lengths matter.
    pub(crate) fn counts_bytes(&self) -> bool {
        self.sizes.is_some()
    }

    /// The server that has this address, where clients are redirected.
    pub(crate) fn server_at(&self, address: IpAddr) -> Option<ServerIndex> {
        self.addresses.get(&address).copied()
    }

    /// Who stays with whom; `None`: nobody does.
    pub(crate) fn sticky(&self) -> Option<&Sticky> {
        self.sticky.as_ref()
    }

    /// A client has been given a server.
    pub(crate) fn remember(&self, known: &mut Known, server: ServerIndex) {
        if let Some(sticky) = self.sticky.as_ref().filter(|_| known.server != Some(server)) {
            sticky.record(known.key, server);
            known.server = Some(server);
        }
    }

    /// How many clients are remembered, and how many can be; `None`: none stays with its server.
    pub fn remembered(&self) -> Option<(usize, usize)> {
        let table = self.sticky.as_ref()?.table();
        Some((table.len(linux::monotonic_seconds()), table.capacity()))
    }

    pub(crate) fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// The pool's next turn.
    pub(crate) fn next_turn(&self) -> u64 {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes a slot at a server, or a place in the line.
    pub(crate) fn ask(&self, wish: Wish<'_>, now: Instant) -> Result<Turn, NoServer> {
        let snapshot = self.snapshot.load();
        match self.look(&wish, &snapshot, now) {
            Look::Taken(server) => Ok(Turn::Now(server)),
            Look::Behind(wanted) | Look::Full(wanted) => self.stand_in_line(wish, wanted, &snapshot, now),
            Look::NoneUp => Err(NoServer::NoneUp),
        }
    }

    /// Takes a slot at a server if that can be done at once, and undone by [`BackendShared::give_up`].
    pub(crate) fn take_now(&self, wish: &Wish<'_>, now: Instant) -> Option<ServerIndex> {
        if !self.room.may_try() {
            return None;
        }
        match self.look(wish, &self.snapshot.load(), now) {
            Look::Taken(server) => Some(server),
            Look::Behind(_) | Look::Full(_) | Look::NoneUp => None,
        }
    }

    fn look(&self, wish: &Wish<'_>, snapshot: &Snapshot, now: Instant) -> Look {
        let claim = &wish.claim;
        let ask = Ask {
            hash: claim.hash,
            turn: claim.turn.unwrap_or_else(|| self.next_turn()),
            chance: wish.chance,
            zone: claim.zone,
            size: claim.size.map_or(0, |size| size.expected),
            now,
        };
        let mut view = View { room: &self.room, waiting: self.waiting(), now, tried: wish.tried, home: claim.home };
        loop {
            let known = claim.known.and_then(|known| known.server);
            let known = known.and_then(|server| Some((snapshot.pick_known(server, &view)?, Some(server))));
            let (pick, wanted) = known.unwrap_or_else(|| (snapshot.pick(&ask, &view), None));
            match pick {
                Pick::Server(server) => {
                    // Who came earlier and waits goes first, wherever there are slots to wait for.
                    if self.room.is_limited(server) && view.waiting > 0 {
                        return Look::Behind(wanted.or(claim.hash.map(|_| server)));
                    }
                    if self.room.take(server, snapshot, view.waiting, now) {
                        self.promise(server, claim.size, now);
                        return Look::Taken(server);
                    }
                    view.waiting = self.waiting();
                }
                Pick::Full(wanted) => return Look::Full(wanted),
                // The client is a server itself, and the only one.
                Pick::None if view.home.is_some() => view.home = None,
                Pick::None => return Look::NoneUp,
            }
        }
    }

    /// The server will send an answer of the expected size.
    pub(crate) fn promise(&self, server: ServerIndex, size: Option<Size>, now: Instant) {
        if let Some(size) = size {
            self.account(server).promise(now, size.expected);
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
        let ticket = line.queue.push(now, now + wish.patience, wanted, wish.claim.client);
        let ticket = ticket.map_err(|_| NoServer::QueueFull)?;
        let (sender, granted) = oneshot::channel();
        line.waiters.insert(ticket, sender);
        self.count(&line);
        // A slot may have been given back since it was looked for, by somebody who saw nobody waiting.
        self.admit_all(&mut line, snapshot, now);
        Ok(Turn::Wait(Waiting { ticket, granted }))
    }

    /// Gives a slot back, to the one who has waited longest for it if anyone waits.
    pub(crate) fn release(&self, server: ServerIndex, now: Instant) {
        self.room.give_back(server);
        if self.waiting.load(Ordering::Acquire) > 0 {
            self.admit_at(server, now);
        }
    }

    /// A slot that was taken just now is not used after all.
    pub(crate) fn give_up(&self, server: ServerIndex, size: Option<Size>, now: Instant) {
        if let Some(size) = size {
            self.account(server).take_back(size.expected);
        }
        self.release(server, now);
    }

    /// The request's client has been sent to the server itself.
    pub(crate) fn send_abroad(&self, server: ServerIndex) {
        self.room.send_abroad(server);
    }

    /// There may be room at this server, and so for others where they share a limit.
    fn admit_at(&self, server: ServerIndex, now: Instant) {
        let snapshot = self.snapshot.load();
        if self.room.is_shared() {
            self.admit_all(&mut self.lock(), &snapshot, now);
        } else if snapshot.has(server) || self.keeps(&snapshot, server) {
            self.admit(&mut self.lock(), server, &snapshot, now);
        }
    }

    fn admit_all(&self, line: &mut Line, snapshot: &Snapshot, now: Instant) {
        let kept = snapshot.kept().filter(|_| self.sticky.is_some());
        for server in snapshot.servers().chain(kept) {
            if line.waiters.is_empty() {
                break;
            }
            self.admit(line, server, snapshot, now);
        }
    }

    /// Whether a server that nobody is given any more goes on with its own clients.
    fn keeps(&self, snapshot: &Snapshot, server: ServerIndex) -> bool {
        self.sticky.is_some() && snapshot.keeps(server)
    }

    /// Grants the free slots of a server to those who wait, the longest waiting first.
    fn admit(&self, line: &mut Line, server: ServerIndex, snapshot: &Snapshot, now: Instant) {
        while !line.waiters.is_empty() {
            // Whoever is let in waits no longer.
            let still_waiting = (line.queue.len() as u32).saturating_sub(1);
            if !self.room.take(server, snapshot, still_waiting, now) {
                break;
            }
            let next = match snapshot.has(server) {
                true => line.queue.next_for(server, now),
                false => line.queue.next_wanting(server, now),
            };
            let granted = next.and_then(|ticket| line.waiters.remove(&ticket));
            let Some(sender) = granted else {
                self.room.give_back(server);
                break;
            };
            // Who has gone meanwhile leaves the slot to the next.
            if sender.send(server).is_err() {
                self.room.give_back(server);
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

fn addresses(backend: &Backend) -> BTreeMap<IpAddr, ServerIndex> {
    if backend.deliver.mode == DeliverMode::Proxy {
        return BTreeMap::new();
    }
    let servers = backend.servers.iter().zip(0..);
    let places = servers.filter_map(|(server, index)| match &server.address {
        // Of a loopback address every client of this machine would be.
        ServerAddress::Ip(address) if !address.ip().is_loopback() => {
            Some((address.ip().to_canonical(), ServerIndex(index)))
        }
        ServerAddress::Ip(_) | ServerAddress::Unix(_) => None,
    });
    places.collect()
}
