//! How much of each server, of each class and of the whole backend is taken.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use balance::{Account, ClassIndex, Loads, RateCell, ServerIndex, Snapshot};
use units::Instant;

use crate::config::Backend;

/// What the servers of one backend have under way. Taking and giving back takes no lock.
pub(crate) struct Room {
    servers: Vec<Slots>,
    classes: Vec<AtomicU32>,
    /// Requests under way at all servers; kept only where `is_shared`.
    total: AtomicU32,
    limit: Option<u32>,
    /// Whether some limit is of several servers together.
    is_shared: bool,
    /// Whether some server gets requests at a rate: what is taken of that cannot be given back.
    is_rated: bool,
}

struct Slots {
    /// Requests that are relayed.
    taken: AtomicU32,
    /// Clients that were redirected to it and have probably not had all of their answers yet.
    abroad: AtomicU32,
    limit: Option<u32>,
    class: Option<ClassIndex>,
    rate: Option<RateCell>,
    account: Account,
    redirectable: AtomicBool,
}

/// The same as one request sees it.
pub(crate) struct View<'a> {
    pub(crate) room: &'a Room,
    pub(crate) waiting: u32,
    pub(crate) now: Instant,
    /// Servers that it was at already.
    pub(crate) tried: &'a [ServerIndex],
    /// The server that its client is.
    pub(crate) home: Option<ServerIndex>,
}

impl Loads for View<'_> {
    fn in_flight(&self, server: ServerIndex) -> u32 {
        let slots = self.room.at(server);
        if slots.rate.as_ref().is_some_and(|rate| !rate.is_ready(self.now)) {
            return u32::MAX;
        }
        slots.in_flight()
    }

    fn may_take(&self, server: ServerIndex) -> bool {
        self.home != Some(server) && !self.tried.contains(&server)
    }

    fn in_flight_of(&self, class: ClassIndex) -> u32 {
        self.room.classes[usize::from(class.0)].load(Ordering::Relaxed)
    }

    fn in_flight_total(&self) -> u32 {
        self.room.total()
    }

    fn demand(&self) -> u32 {
        self.room.total().saturating_add(self.waiting)
    }

    fn free_at(&self, server: ServerIndex) -> Instant {
        self.room.at(server).account.free_at()
    }

    fn rate(&self, server: ServerIndex) -> u64 {
        self.room.at(server).account.rate()
    }
}

impl Slots {
    fn in_flight(&self) -> u32 {
        self.taken.load(Ordering::Relaxed).saturating_add(self.abroad.load(Ordering::Relaxed))
    }
}

impl Room {
    /// `rates` are what the servers' links take, in bytes a second.
    pub(crate) fn new(backend: &Backend, rates: &[u64]) -> Room {
        let pool = &backend.pool;
        let servers = pool.servers.iter().zip(&backend.servers).zip(rates).map(|((pooled, server), rate)| Slots {
            taken: AtomicU32::new(0),
            abroad: AtomicU32::new(0),
            limit: pooled.max_in_flight,
            class: pooled.class,
            rate: server.rate_limit.map(|rate| RateCell::new(rate.period, rate.burst)),
            account: Account::new(*rate),
            redirectable: AtomicBool::new(false),
        });
        Room {
            servers: servers.collect(),
            classes: pool.classes.iter().map(|_| AtomicU32::new(0)).collect(),
            total: AtomicU32::new(0),
            limit: pool.max_in_flight,
            is_rated: backend.servers.iter().any(|server| server.rate_limit.is_some()),
            is_shared: pool.max_in_flight.is_some() || pool.classes.iter().any(|class| class.max_share.is_some()),
        }
    }

    fn at(&self, server: ServerIndex) -> &Slots {
        &self.servers[usize::from(server.0)]
    }

    /// Whether a slot that is given back at one server can let in a request at another.
    pub(crate) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Whether a slot that is taken and given back leaves things as they were.
    pub(crate) fn may_try(&self) -> bool {
        !self.is_rated
    }

    /// Whether there is a slot at this server to wait for.
    pub(crate) fn is_limited(&self, server: ServerIndex) -> bool {
        let slots = self.at(server);
        self.is_shared || slots.limit.is_some() || slots.rate.is_some()
    }

    pub(crate) fn in_flight(&self, server: ServerIndex) -> u32 {
        self.at(server).in_flight()
    }

    /// Requests that are relayed to a server.
    pub(crate) fn taken(&self, server: ServerIndex) -> u32 {
        self.at(server).taken.load(Ordering::Relaxed)
    }

    pub(crate) fn class_in_flight(&self, class: ClassIndex) -> u32 {
        self.classes[usize::from(class.0)].load(Ordering::Relaxed)
    }

    pub(crate) fn total(&self) -> u32 {
        self.total.load(Ordering::Relaxed)
    }

    pub(crate) fn account(&self, server: ServerIndex) -> &Account {
        &self.at(server).account
    }

    pub(crate) fn is_redirectable(&self, server: ServerIndex) -> bool {
        self.at(server).redirectable.load(Ordering::Relaxed)
    }

    pub(crate) fn set_redirectable(&self, server: ServerIndex, redirectable: bool) {
        self.at(server).redirectable.store(redirectable, Ordering::Relaxed);
    }

    /// Takes a slot for a request that is relayed, unless the server, its class or the backend is full.
    pub(crate) fn take(&self, server: ServerIndex, snapshot: &Snapshot, waiting: u32, now: Instant) -> bool {
        let slots = self.at(server);
        let Some(limit) = slots.limit else {
            slots.taken.fetch_add(1, Ordering::Relaxed);
            return self.take_shared(slots, snapshot, waiting, now) || self.undo(&slots.taken);
        };
        let room = limit.saturating_sub(slots.abroad.load(Ordering::Relaxed));
        if !raise(&slots.taken, room) {
            return false;
        }
        self.take_shared(slots, snapshot, waiting, now) || self.undo(&slots.taken)
    }

    fn undo(&self, taken: &AtomicU32) -> bool {
        taken.fetch_sub(1, Ordering::AcqRel);
        false
    }

    /// What is taken beside the server's own slot: the class's share, the backend's, and the right to one more now.
    fn take_shared(&self, slots: &Slots, snapshot: &Snapshot, waiting: u32, now: Instant) -> bool {
        if self.is_shared && !self.take_of_many(slots, snapshot, waiting) {
            return false;
        }
        match &slots.rate {
            Some(rate) if rate.take(now).is_err() => {
                self.give_back_of_many(slots, 1);
                false
            }
            _ => true,
        }
    }

    fn take_of_many(&self, slots: &Slots, snapshot: &Snapshot, waiting: u32) -> bool {
        if !raise(&self.total, self.limit.unwrap_or(u32::MAX)) {
            return false;
        }
        let Some(class) = slots.class else { return true };
        // The demand that a class's share is of counts this request, which `total` holds by now.
        let demand = (self.total.load(Ordering::Relaxed) - 1).saturating_add(waiting);
        let limit = snapshot.class_limit(class, demand);
        raise(&self.classes[usize::from(class.0)], limit) || self.undo(&self.total)
    }

    fn give_back_of_many(&self, slots: &Slots, count: u32) {
        if self.is_shared {
            lower(&self.total, count);
            if let Some(class) = slots.class {
                lower(&self.classes[usize::from(class.0)], count);
            }
        }
    }

    /// Gives a slot back.
    pub(crate) fn give_back(&self, server: ServerIndex) {
        let slots = self.at(server);
        slots.taken.fetch_sub(1, Ordering::AcqRel);
        self.give_back_of_many(slots, 1);
    }

    /// The request's client goes to the server itself: its slot counts on until [`Room::set_abroad`] says otherwise.
    pub(crate) fn send_abroad(&self, server: ServerIndex) {
        let slots = self.at(server);
        slots.abroad.fetch_add(1, Ordering::AcqRel);
        slots.taken.fetch_sub(1, Ordering::AcqRel);
    }

    /// So many redirected clients are under way at the server. Returns whether that is fewer than was thought.
    pub(crate) fn set_abroad(&self, server: ServerIndex, clients: u32) -> bool {
        let slots = self.at(server);
        let before = slots.abroad.swap(clients, Ordering::AcqRel);
        if clients >= before {
            let more = clients - before;
            if self.is_shared && more > 0 {
                self.total.fetch_add(more, Ordering::AcqRel);
                if let Some(class) = slots.class {
                    self.classes[usize::from(class.0)].fetch_add(more, Ordering::AcqRel);
                }
            }
            return false;
        }
        self.give_back_of_many(slots, before - clients);
        true
    }
}

/// One more, unless that is beyond `limit`.
fn raise(count: &AtomicU32, limit: u32) -> bool {
    let one_more = |count: u32| (count < limit).then(|| count + 1);
    count.fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_more).is_ok()
}

fn lower(count: &AtomicU32, less: u32) {
    count.fetch_sub(less, Ordering::AcqRel);
}

#[cfg(test)]
mod tests;
