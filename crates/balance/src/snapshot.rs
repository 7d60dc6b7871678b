use units::Instant;

use crate::pool::{Algorithm, ClassIndex, PoolConfig, ServerIndex, ZoneIndex};
use crate::{maglev, turns};

/// What a request brings to the choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The hash of what the algorithm goes by; `None` if the request has no such thing, or the algorithm needs none.
    pub hash: Option<u64>,
    /// The pool's next turn: one counter for all threads, one more each request.
    pub turn: u64,
    /// A random number.
    pub chance: u64,
    /// Where the client stands.
    pub zone: Option<ZoneIndex>,
    /// How many bytes the answer is expected to have.
    pub size: u64,
    /// This moment.
    pub now: Instant,
}

/// What the servers carry at this moment.
pub trait Loads {
    /// Requests in flight at a server, those of clients that were redirected to it included.
    fn in_flight(&self, server: ServerIndex) -> u32;

    /// Whether this request may go to a server; false if it was there already.
    fn may_take(&self, server: ServerIndex) -> bool;

    /// Requests in flight at all servers of a class.
    fn in_flight_of(&self, class: ClassIndex) -> u32;

    /// Requests in flight at all servers, and waiting for one.
    fn demand(&self) -> u32;

    /// When a server's link will have sent what it has to; see [`crate::Account`].
    fn free_at(&self, server: ServerIndex) -> Instant;

    /// Bytes a second that one more client may expect of a server; never 0.
    fn rate(&self, server: ServerIndex) -> u64;
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// To this server. It had room when it was looked at; other threads may have filled it since.
    Server(ServerIndex),
    /// Whom the algorithm may choose is at its limit: to the queue, for this server (the one that the hash chose)
    /// or for any.
    Full(Option<ServerIndex>),
    /// Nowhere: no server is usable, or the request was at each.
    None,
}

/// The servers that may be chosen, laid out for choosing. Never changes; all that moves comes with [`Ask`] and [`Loads`].
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    algorithm: Algorithm,
    choices: Vec<Choice>,
    order: Order,
}

/// A usable server of the tier that serves.
#[derive(Clone, Debug, PartialEq)]
struct Choice {
    server: ServerIndex,
    share: u64,
    limit: u32,
}

/// What an algorithm needs beside the choices. Numbers in it are places in [`Snapshot::choices`].
#[derive(Clone, Debug, PartialEq)]
enum Order {
    Turns(Vec<u16>),
    Hashed {
        table: Vec<u16>,
        /// For requests that have nothing to hash.
        turns: Vec<u16>,
    },
    LeastLoaded,
    /// The sum of the shares up to and with each choice.
    Drawn(Vec<u64>),
    Listed,
}

impl Snapshot {
    /// Lays out the lowest tier that has any share. `shares` run in step with the servers; 0: not usable.
    pub(crate) fn build(config: &PoolConfig, shares: &[u32]) -> Snapshot {
        let usable = || config.servers.iter().zip(shares).filter(|(_, share)| **share > 0);
        let tier = usable().map(|(server, _)| server.tier).min();
        let mut choices = Vec::new();
        let mut names = Vec::new();
        let mut weights = Vec::new();
        for ((server, share), index) in config.servers.iter().zip(shares).zip(0..) {
            if *share == 0 || Some(server.tier) != tier {
                continue;
            }
            let limit = server.max_in_flight.unwrap_or(u32::MAX);
            choices.push(Choice { server: ServerIndex(index), share: u64::from(*share), limit });
            names.push(server.name.as_str());
            weights.push(*share);
        }
        let order = match &config.algorithm {
            Algorithm::RoundRobin => Order::Turns(turns::sequence(&weights)),
            Algorithm::LeastConnections => Order::LeastLoaded,
            Algorithm::First | Algorithm::Bandwidth => Order::Listed,
            Algorithm::Random => Order::Drawn(sums(&weights)),
            Algorithm::Source | Algorithm::Uri | Algorithm::Header(_) | Algorithm::Maglev => {
                let size = maglev::size_for(config.servers.len());
                let table = maglev::table(&names, &weights, size);
                Order::Hashed { table, turns: turns::sequence(&weights) }
            }
        };
        Snapshot { algorithm: config.algorithm.clone(), choices, order }
    }

    /// How it chooses: tells what to hash.
    pub fn algorithm(&self) -> &Algorithm {
        &self.algorithm
    }

    /// The servers that may be chosen: the usable ones of the tier that serves.
    pub fn servers(&self) -> impl Iterator<Item = ServerIndex> + '_ {
        self.choices.iter().map(|choice| choice.server)
    }

    /// Chooses a server. Allocates nothing, takes no lock.
    pub fn pick(&self, ask: &Ask, loads: &impl Loads) -> Pick {
        if self.choices.is_empty() {
            return Pick::None;
        }
        let found = match (&self.order, ask.hash) {
            (Order::Hashed { table, .. }, Some(hash)) => return self.by_hash(table, hash, loads),
            (Order::Turns(turns) | Order::Hashed { turns, .. }, _) => self.by_turn(turns, ask.turn, loads),
            (Order::LeastLoaded, _) => self.by_load(ask.turn, loads),
            (Order::Drawn(sums), _) => self.by_draw(sums, ask.chance, loads),
            (Order::Listed, _) => self.choices.iter().find(|choice| choice.is_free(loads)),
        };
        match found {
            Some(choice) => Pick::Server(choice.server),
            None if self.servers().any(|server| loads.may_take(server)) => Pick::Full(None),
            None => Pick::None,
        }
    }

    /// The choice whose turn it is, else the next in turn that is free.
    fn by_turn(&self, turns: &[u16], turn: u64, loads: &impl Loads) -> Option<&Choice> {
        let length = turns.len();
        let first = (turn % length as u64) as usize;
        // A sequence can be much longer than the list of those who stand in it, and all of them full.
        let tries = self.choices.len().min(length);
        let (before, after) = turns.split_at(first);
        let next = after.iter().chain(before).take(tries);
        next.map(|place| &self.choices[usize::from(*place)])
            .find(|choice| choice.is_free(loads))
            .or_else(|| self.free_from(usize::from(turns[first]), loads))
    }

    /// The free choice that would be the least loaded with this request; of equals the one whose turn it is.
    fn by_load(&self, turn: u64, loads: &impl Loads) -> Option<&Choice> {
        let mut best: Option<(&Choice, u64)> = None;
        let mut equals = 0;
        for choice in self.choices.iter().filter(|choice| choice.is_free(loads)) {
            let load = choice.load_with_one_more(loads);
            let order =
                best.map_or(std::cmp::Ordering::Less, |(best, least)| (load * best.share).cmp(&(least * choice.share)));
            if order.is_lt() {
                (best, equals) = (Some((choice, load)), 0);
            }
            equals += u64::from(order.is_le());
        }
        let (best, least) = best?;
        if equals == 1 {
            return Some(best);
        }
        // Loads move meanwhile, so there may be fewer equals than were counted.
        let is_equal = |choice: &&Choice| {
            choice.load_with_one_more(loads) * best.share <= least * choice.share && choice.is_free(loads)
        };
        let nth = (turn % equals) as usize;
        self.choices.iter().filter(is_equal).nth(nth).or(Some(best))
    }

    /// The less loaded of two drawn by their shares; of equals the first drawn.
    fn by_draw(&self, sums: &[u64], chance: u64, loads: &impl Loads) -> Option<&Choice> {
        let first = drawn(sums, chance as u32);
        let second = drawn(sums, (chance >> 32) as u32);
        let (one, other) = (&self.choices[first], &self.choices[second]);
        match (one.is_free(loads), other.is_free(loads)) {
            (true, true) if other.load(loads) * one.share < one.load(loads) * other.share => Some(other),
            (true, _) => Some(one),
            (false, true) => Some(other),
            (false, false) => self.free_from(first, loads),
        }
    }

    /// The server that has the hash's place in the table, or if the request was there, the next one in the table.
    /// If that one is full the request waits for it: its neighbours have no part in its clients.
    fn by_hash(&self, table: &[u16], hash: u64, loads: &impl Loads) -> Pick {
        let first = (hash % table.len() as u64) as usize;
        let (before, after) = table.split_at(first);
        // In so many places all but the lightest servers stand; whoever is left is found in the list.
        let next = after.iter().chain(before).take(8 * self.choices.len());
        let may_take = |choice: &&Choice| loads.may_take(choice.server);
        let found = next
            .map(|place| &self.choices[usize::from(*place)])
            .find(may_take)
            .or_else(|| self.choices.iter().find(may_take));
        match found {
            Some(choice) if loads.in_flight(choice.server) < choice.limit => Pick::Server(choice.server),
            Some(choice) => Pick::Full(Some(choice.server)),
            None => Pick::None,
        }
    }

    /// The first free choice from this place on, around the list.
    fn free_from(&self, place: usize, loads: &impl Loads) -> Option<&Choice> {
        let (before, after) = self.choices.split_at(place);
        after.iter().chain(before).find(|choice| choice.is_free(loads))
    }
}

impl Choice {
    fn is_free(&self, loads: &impl Loads) -> bool {
        loads.may_take(self.server) && loads.in_flight(self.server) < self.limit
    }

    fn load(&self, loads: &impl Loads) -> u64 {
        u64::from(loads.in_flight(self.server))
    }

    fn load_with_one_more(&self, loads: &impl Loads) -> u64 {
        self.load(loads) + 1
    }
}

fn sums(weights: &[u32]) -> Vec<u64> {
    let running = weights.iter().scan(0, |sum, weight| {
        *sum += u64::from(*weight);
        Some(*sum)
    });
    running.collect()
}

/// The place that `chance`, as a part of the whole range, falls on.
fn drawn(sums: &[u64], chance: u32) -> usize {
    let whole = sums.last().copied().unwrap_or(0);
    let point = (u128::from(whole) * u128::from(chance)) >> 32;
    sums.partition_point(|sum| u128::from(*sum) <= point)
}

#[cfg(test)]
mod tests;
