use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use units::Instant;

use crate::ServerIndex;

/// Requests that wait for a server with room, fair among clients: who has waited longest goes first, but a client's
/// second waiting request stands behind every other client's first, and so on. The caller wakes them; this only keeps
/// their order.
///
/// The order is that of start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996) with requests of equal length:
/// a request stands in the round that is served now, or in the one after its client's last.
///
/// A request that waits for one server is passed over for others and stands in line with the rest for its own,
/// so nobody is overtaken by who came later and could go where he can.
#[derive(Debug)]
pub struct Queue {
    max: usize,
    next: u64,
    /// The round of the last request that was given a server.
    round: u64,
    waiting: BTreeMap<Ticket, Waiting>,
    /// The rounds in which each client that waits has a request.
    rounds: BTreeMap<u64, BTreeSet<u64>>,
    for_any: BTreeSet<Place>,
    for_one: BTreeMap<ServerIndex, BTreeSet<Place>>,
}

/// A place in a queue; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// As many wait as may: the request is answered at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFull;

#[derive(Debug)]
struct Waiting {
    since: Instant,
    deadline: Instant,
    wants: Option<ServerIndex>,
    client: u64,
    round: u64,
}

/// Who goes first: of one round the first who came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    round: u64,
    ticket: Ticket,
}

impl Queue {
    /// An empty queue in which at most `max` requests wait.
    pub fn new(max: usize) -> Queue {
        Queue {
            max,
            next: 0,
            round: 0,
            waiting: BTreeMap::new(),
            rounds: BTreeMap::new(),
            for_any: BTreeSet::new(),
            for_one: BTreeMap::new(),
        }
    }

    /// Puts a request at the end of its round; from `deadline` on it is given no server. `wants`: the only server that
    /// it waits for. `client`: a hash of whose it is.
    ///
    /// # Errors
    /// If as many wait as may.
    pub fn push(
        &mut self,
        now: Instant,
        deadline: Instant,
        wants: Option<ServerIndex>,
        client: u64,
    ) -> Result<Ticket, QueueFull> {
        if self.waiting.len() >= self.max {
            return Err(QueueFull);
        }
        let ticket = Ticket(self.next);
        self.next += 1;
        let rounds = self.rounds.entry(client).or_default();
        let round = rounds.last().map_or(self.round, |last| self.round.max(last + 1));
        rounds.insert(round);
        self.waiting.insert(ticket, Waiting { since: now, deadline, wants, client, round });
        let place = Place { round, ticket };
        match wants {
            Some(server) => self.for_one.entry(server).or_default().insert(place),
            None => self.for_any.insert(place),
        };
        Ok(ticket)
    }

    /// Takes out the first request that may go to `server`, which has room. Those whose deadline has come
    /// are dropped on the way; their owners know it by their own timers.
    pub fn next_for(&mut self, server: ServerIndex, now: Instant) -> Option<Ticket> {
        self.next(now, |queue| {
            let for_one = queue.for_one.get(&server).and_then(BTreeSet::first);
            for_one.into_iter().chain(queue.for_any.first()).min().copied()
        })
    }

    /// The same among those who wait for `server` alone.
    pub fn next_wanting(&mut self, server: ServerIndex, now: Instant) -> Option<Ticket> {
        self.next(now, |queue| queue.for_one.get(&server)?.first().copied())
    }

    /// Takes out a request that no longer waits. False: it was given a server already (which the caller must hand
    /// on to [`Queue::next_for`]), or dropped.
    pub fn cancel(&mut self, ticket: Ticket) -> bool {
        self.remove(ticket).is_some()
    }

    /// Lets those who wait for `server` alone go anywhere, in their old places: it is no longer usable.
    pub fn release(&mut self, server: ServerIndex) {
        for place in self.for_one.remove(&server).unwrap_or_default() {
            if let Some(waiting) = self.waiting.get_mut(&place.ticket) {
                waiting.wants = None;
            }
            self.for_any.insert(place);
        }
    }

    /// The servers that somebody waits for alone.
    pub fn wanted(&self) -> impl Iterator<Item = ServerIndex> + '_ {
        self.for_one.keys().copied()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many wait for `server` alone.
    pub fn len_for(&self, server: ServerIndex) -> usize {
        self.for_one.get(&server).map_or(0, BTreeSet::len)
    }

    /// How long the one has waited that came first.
    pub fn longest_wait(&self, now: Instant) -> Option<Duration> {
        self.waiting.first_key_value().map(|(_, waiting)| now.since(waiting.since))
    }

    fn next(&mut self, now: Instant, first: impl Fn(&Queue) -> Option<Place>) -> Option<Ticket> {
        loop {
            let place = first(self)?;
            let waiting = self.remove(place.ticket)?;
            if now < waiting.deadline {
                self.round = self.round.max(place.round);
                return Some(place.ticket);
            }
        }
    }

    fn remove(&mut self, ticket: Ticket) -> Option<Waiting> {
        let waiting = self.waiting.remove(&ticket)?;
        let place = Place { round: waiting.round, ticket };
        match waiting.wants {
            None => {
                self.for_any.remove(&place);
            }
            Some(server) => {
                if let Some(places) = self.for_one.get_mut(&server) {
                    places.remove(&place);
                }
                if self.len_for(server) == 0 {
                    self.for_one.remove(&server);
                }
            }
        }
        if let Some(rounds) = self.rounds.get_mut(&waiting.client) {
            rounds.remove(&waiting.round);
            if rounds.is_empty() {
                self.rounds.remove(&waiting.client);
            }
        }
        Some(waiting)
    }
}

#[cfg(test)]
mod tests;
