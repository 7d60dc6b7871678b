mod field;

use std::cmp::Ordering;
use std::time::Duration;

use units::Instant;

use crate::pool::{Algorithm, ClassIndex, PoolConfig, ServerConfig, ServerIndex, ZoneIndex};
use crate::{maglev, turns};

use field::{Field, drawn, sums};

/// How long a server of the client's own zone may be busy before one elsewhere is taken that would have sent the
/// answer earlier. Accounts are settled every quarter of a second or less often, so a shorter wait may be none; and
/// the links between zones are shared by all, so that who crosses them should gain what a user can notice.
const NEAR_WAIT_MAX: Duration = Duration::from_millis(200);

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

    /// Requests in flight at all servers; asked for only where the pool has a limit.
    fn in_flight_total(&self) -> u32;

    /// Requests in flight at all servers of a class; asked for only where it has a share.
    fn in_flight_of(&self, class: ClassIndex) -> u32;

    /// Requests in flight at all servers, and waiting for one, without the one that asks; asked for only where a class
    /// has a share.
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
    /// Whom the algorithm may choose is at its limit, or at its class's or the pool's: to the queue, for this server
    /// (the one that the hash chose) or for any. Where a class or the pool is full, a slot given back at one server
    /// is room at the others.
    Full(Option<ServerIndex>),
    /// Nowhere: no server is usable, or the request was at each.
    None,
}

/// The servers that may be chosen, laid out for choosing. Never changes; all that moves comes with [`Ask`] and [`Loads`].
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    algorithm: Algorithm,
    limit: Option<u32>,
    /// Per cent of the demand, in the order of the pool's classes.
    class_shares: Vec<Option<u8>>,
    /// In the order of the pool's servers.
    choices: Vec<Choice>,
    /// In the order of the servers, as the choices are.
    kept: Vec<Choice>,
    order: Order,
}

/// A usable server of the tier that serves.
#[derive(Clone, Debug, PartialEq)]
struct Choice {
    server: ServerIndex,
    share: u64,
    /// The share that its weight in the text gives it.
    full_share: u64,
    limit: u32,
    /// Its class, if that has a share.
    class: Option<ClassIndex>,
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
    LeastLoaded(Field),
    SoonestSent {
        all: Field,
        /// In the order of the zones.
        zones: Vec<(ZoneIndex, Field)>,
    },
    /// The sum of the shares up to and with each choice.
    Drawn(Vec<u64>),
    Listed,
}

/// The loads, and what of them is the same for all choices.
struct View<'a, L> {
    loads: &'a L,
    class_shares: &'a [Option<u8>],
    demand: u32,
    is_full: bool,
}

/// A number of requests for a share; 2 for 4 equals 1 for 2.
#[derive(Clone, Copy)]
struct Load {
    requests: u64,
    share: u64,
}

impl Snapshot {
    /// Lays out the lowest tier that has any share. `shares` run in step with the servers; 0: not usable.
    pub(crate) fn build(config: &PoolConfig, shares: &[u32]) -> Snapshot {
        let usable = || config.servers.iter().zip(shares).filter(|(_, share)| **share > 0);
        let tier = usable().map(|(server, _)| server.tier).min();
        let class_shares: Vec<Option<u8>> = config.classes.iter().map(|class| class.max_share).collect();
        let mut choices = Vec::new();
        let mut servers = Vec::new();
        let mut weights = Vec::new();
        for ((server, share), index) in config.servers.iter().zip(shares).zip(0..) {
            if *share == 0 || Some(server.tier) != tier {
                continue;
            }
            choices.push(Choice::new(server, ServerIndex(index), *share, &class_shares));
            servers.push(server);
            weights.push(*share);
        }
        let order = match &config.algorithm {
            Algorithm::RoundRobin => Order::Turns(turns::sequence(&weights)),
            Algorithm::LeastConnections => {
                let all = (0..=u16::MAX).take(choices.len()).collect();
                Order::LeastLoaded(Field::new(all, |place| choices[usize::from(place)].share))
            }
            Algorithm::First => Order::Listed,
            Algorithm::Bandwidth => soonest_sent(&choices, &servers),
            Algorithm::Random => Order::Drawn(sums(weights.iter().map(|weight| u64::from(*weight)))),
            Algorithm::Source | Algorithm::Uri | Algorithm::Header(_) | Algorithm::Maglev => {
                let names: Vec<&str> = servers.iter().map(|server| server.name.as_str()).collect();
                let table = maglev::table(&names, &weights, maglev::size_for(config.servers.len()));
                Order::Hashed { table, turns: turns::sequence(&weights) }
            }
        };
        let (algorithm, limit) = (config.algorithm.clone(), config.max_in_flight);
        Snapshot { algorithm, limit, class_shares, choices, kept: Vec::new(), order }
    }

    /// The same with servers that may not be chosen but that keep the clients they have: those for which `keeps`, in
    /// step with the servers, says so and that may not be chosen anyway.
    pub(crate) fn with_kept(mut self, config: &PoolConfig, keeps: impl Iterator<Item = bool>) -> Snapshot {
        let servers = config.servers.iter().zip((0..).map(ServerIndex)).zip(keeps);
        let kept = servers.filter(|((_, index), keeps)| *keeps && !self.has(*index));
        self.kept = kept.map(|((server, index), _)| Choice::new(server, index, 0, &self.class_shares)).collect();
        self
    }

    /// How it chooses: tells what to hash.
    pub fn algorithm(&self) -> &Algorithm {
        &self.algorithm
    }

    /// The servers that may be chosen: the usable ones of the tier that serves.
    pub fn servers(&self) -> impl Iterator<Item = ServerIndex> + '_ {
        self.choices.iter().map(|choice| choice.server)
    }

    /// Whether a server is one of [`Snapshot::servers`].
    pub fn has(&self, server: ServerIndex) -> bool {
        place_of(&self.choices, server).is_some()
    }

    /// The servers that may not be chosen but still have those clients who are theirs: up, and drained, without weight or
    /// of another tier.
    pub fn kept(&self) -> impl Iterator<Item = ServerIndex> + '_ {
        self.kept.iter().map(|choice| choice.server)
    }

    /// Whether a server is one of [`Snapshot::kept`].
    pub fn keeps(&self, server: ServerIndex) -> bool {
        place_of(&self.kept, server).is_some()
    }

    /// What a client gets that `server` has served before: it, or a place in the queue for it. `None`: it serves nobody
    /// any more, or has failed this request, so that another is to be chosen.
    pub fn pick_known(&self, server: ServerIndex, loads: &impl Loads) -> Option<Pick> {
        let choice = place_of(&self.choices, server).or_else(|| place_of(&self.kept, server))?;
        let view = self.view(loads);
        match loads.may_take(server) {
            true if !view.is_full && view.is_free(choice) => Some(Pick::Server(server)),
            true => Some(Pick::Full(Some(server))),
            false => None,
        }
    }

    /// How many requests all servers together may have in flight.
    pub fn limit(&self) -> Option<u32> {
        self.limit
    }

    /// How many requests a class's servers together may have in flight, the one that asks included, while `demand`
    /// others are in flight or wait at the pool: its share of them all, rounded down, and at least one.
    pub fn class_limit(&self, class: ClassIndex, demand: u32) -> u32 {
        class_limit(&self.class_shares, class, demand)
    }

    /// Chooses a server. Allocates nothing, takes no lock.
    pub fn pick(&self, ask: &Ask, loads: &impl Loads) -> Pick {
        if self.choices.is_empty() {
            return Pick::None;
        }
        let view = self.view(loads);
        let found = match (&self.order, ask.hash) {
            (Order::Hashed { table, .. }, Some(hash)) => return self.by_hash(table, hash, &view),
            _ if view.is_full => None,
            (Order::Turns(turns) | Order::Hashed { turns, .. }, _) => self.by_turn(turns, ask.turn, &view),
            (Order::LeastLoaded(all), _) => self.by_load(all, ask, &view),
            (Order::SoonestSent { all, zones }, _) => self.by_finish(all, zones, ask, &view),
            (Order::Drawn(sums), _) => self.by_draw(sums, ask.chance, &view),
            (Order::Listed, _) => self.choices.iter().find(|choice| view.is_free(choice)),
        };
        match found {
            Some(choice) => Pick::Server(choice.server),
            None if self.servers().any(|server| loads.may_take(server)) => Pick::Full(None),
            None => Pick::None,
        }
    }

    fn view<'a, L: Loads>(&'a self, loads: &'a L) -> View<'a, L> {
        View {
            loads,
            class_shares: &self.class_shares,
            demand: if self.class_shares.iter().any(Option::is_some) { loads.demand() } else { 0 },
            is_full: self.limit.is_some_and(|limit| loads.in_flight_total() >= limit),
        }
    }

    /// The choice whose turn it is, else the next in turn that is free.
    fn by_turn(&self, turns: &[u16], turn: u64, view: &View<'_, impl Loads>) -> Option<&Choice> {
        let length = turns.len();
        let first = (turn % length as u64) as usize;
        // A sequence can be much longer than the list of those who stand in it, and all of them full.
        let tries = self.choices.len().min(length);
        let (before, after) = turns.split_at(first);
        let next = after.iter().chain(before).take(tries);
        next.map(|place| &self.choices[usize::from(*place)])
            .find(|choice| view.is_free(choice))
            .or_else(|| self.free_from(usize::from(turns[first]), view))
    }

    /// The free choice that would be the least loaded with this request; of equals the one whose turn it is.
    fn by_load(&self, all: &Field, ask: &Ask, view: &View<'_, impl Loads>) -> Option<&Choice> {
        let choice = |place: u16| &self.choices[usize::from(place)];
        let load = |place| {
            let load = view.load(choice(place));
            Load { requests: load.requests + 1, ..load }
        };
        all.best(ask.turn, ask.chance, |place| view.is_free(choice(place)), load).map(|(place, _)| choice(place))
    }

    /// The free choice whose link will have sent the answer first; one of the client's own zone unless that is busy.
    fn by_finish(
        &self,
        all: &Field,
        zones: &[(ZoneIndex, Field)],
        ask: &Ask,
        view: &View<'_, impl Loads>,
    ) -> Option<&Choice> {
        let choice = |place: u16| &self.choices[usize::from(place)];
        let best = |field: &Field| {
            let is_free = |place| view.is_free(choice(place));
            field.best(ask.turn, ask.chance, is_free, |place| view.nanos_until_sent(choice(place), ask))
        };
        let own = ask.zone.and_then(|zone| zones.binary_search_by_key(&zone, |(zone, _)| *zone).ok());
        let near = own.and_then(|own| best(&zones[own].1));
        if let Some((place, _)) = near
            && view.wait(choice(place), ask) <= NEAR_WAIT_MAX
        {
            return Some(choice(place));
        }
        let found = [near, best(all)].into_iter().flatten().min_by_key(|(_, nanos)| *nanos);
        found.map(|(place, _)| choice(place))
    }

    /// The less loaded of two drawn by their shares; of equals the first drawn.
    fn by_draw(&self, sums: &[u64], chance: u64, view: &View<'_, impl Loads>) -> Option<&Choice> {
        let first = drawn(sums, chance as u32);
        let second = drawn(sums, (chance >> 32) as u32);
        let (one, other) = (&self.choices[first], &self.choices[second]);
        match (view.is_free(one), view.is_free(other)) {
            (true, true) if view.load(other) < view.load(one) => Some(other),
            (true, _) => Some(one),
            (false, true) => Some(other),
            (false, false) => self.free_from(first, view),
        }
    }

    /// The server that has the hash's place in the table, or if the request was there, the next one in the table.
    /// If that one is full the request waits for it: its neighbours have no part in its clients.
    fn by_hash(&self, table: &[u16], hash: u64, view: &View<'_, impl Loads>) -> Pick {
        let first = (hash % table.len() as u64) as usize;
        let (before, after) = table.split_at(first);
        // In so many places all but the lightest servers stand; whoever is left is found in the list.
        let next = after.iter().chain(before).take(8 * self.choices.len());
        let may_take = |choice: &&Choice| view.loads.may_take(choice.server);
        let found = next
            .map(|place| &self.choices[usize::from(*place)])
            .find(may_take)
            .or_else(|| self.choices.iter().find(may_take));
        match found {
            Some(choice) if !view.is_full && view.has_room(choice) => Pick::Server(choice.server),
            Some(choice) => Pick::Full(Some(choice.server)),
            None => Pick::None,
        }
    }

    /// The first free choice from this place on, around the list.
    fn free_from(&self, place: usize, view: &View<'_, impl Loads>) -> Option<&Choice> {
        let (before, after) = self.choices.split_at(place);
        after.iter().chain(before).find(|choice| view.is_free(choice))
    }
}

impl<L: Loads> View<'_, L> {
    fn is_free(&self, choice: &Choice) -> bool {
        self.loads.may_take(choice.server) && self.has_room(choice)
    }

    fn has_room(&self, choice: &Choice) -> bool {
        let class_has_room =
            |class| self.loads.in_flight_of(class) < class_limit(self.class_shares, class, self.demand);
        self.loads.in_flight(choice.server) < choice.limit && choice.class.is_none_or(class_has_room)
    }

    fn load(&self, choice: &Choice) -> Load {
        Load { requests: u64::from(self.loads.in_flight(choice.server)), share: choice.share }
    }

    /// How long its link is busy with what was promised.
    fn wait(&self, choice: &Choice, ask: &Ask) -> Duration {
        self.loads.free_at(choice.server).since(ask.now)
    }

    /// Nanoseconds until its link will have sent what was promised and this answer. Its rate counts by its share:
    /// less in a slow start, and as its weight was changed by hand.
    fn nanos_until_sent(&self, choice: &Choice, ask: &Ask) -> u128 {
        let rate = u128::from(self.loads.rate(choice.server)) * u128::from(choice.share);
        // Less than 2^64 · 2^30 · 2^24.
        let nanos = u128::from(ask.size) * 1_000_000_000 * u128::from(choice.full_share) / rate.max(1);
        self.wait(choice, ask).as_nanos() + nanos
    }
}

impl PartialEq for Load {
    fn eq(&self, other: &Load) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Load {}

impl Ord for Load {
    fn cmp(&self, other: &Load) -> Ordering {
        (self.requests * other.share).cmp(&(other.requests * self.share))
    }
}

impl PartialOrd for Load {
    fn partial_cmp(&self, other: &Load) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// All choices, and those of each zone, drawn by what their links take.
fn soonest_sent(choices: &[Choice], servers: &[&ServerConfig]) -> Order {
    // As many as a pool may have of them are still a number of 64 bits; no link takes two petabits.
    const RATE_MAX: u128 = 1 << 48;
    let rate = |place: u16| {
        let (choice, server) = (&choices[usize::from(place)], servers[usize::from(place)]);
        let rate = u128::from(server.rate()) * u128::from(choice.share) / u128::from(choice.full_share);
        rate.clamp(1, RATE_MAX) as u64
    };
    let all: Vec<u16> = (0..=u16::MAX).take(choices.len()).collect();
    let zone = |place: &u16| servers[usize::from(*place)].zone;
    let mut zoned: Vec<(ZoneIndex, u16)> = all.iter().filter_map(|place| Some((zone(place)?, *place))).collect();
    zoned.sort();
    let zones = zoned.chunk_by(|one, other| one.0 == other.0).map(|members| {
        let places = members.iter().map(|(_, place)| *place).collect();
        (members[0].0, Field::new(places, rate))
    });
    Order::SoonestSent { zones: zones.collect(), all: Field::new(all, rate) }
}

impl Choice {
    fn new(server: &ServerConfig, index: ServerIndex, share: u32, class_shares: &[Option<u8>]) -> Choice {
        Choice {
            server: index,
            share: u64::from(share),
            full_share: u64::from(server.full_share()),
            limit: server.max_in_flight.unwrap_or(u32::MAX),
            class: server.class.filter(|class| share_of(class_shares, *class).is_some()),
        }
    }
}

fn place_of(choices: &[Choice], server: ServerIndex) -> Option<&Choice> {
    let place = choices.binary_search_by_key(&server, |choice| choice.server).ok()?;
    Some(&choices[place])
}

fn share_of(class_shares: &[Option<u8>], class: ClassIndex) -> Option<u8> {
    class_shares.get(usize::from(class.0)).copied().flatten()
}

fn class_limit(class_shares: &[Option<u8>], class: ClassIndex, demand: u32) -> u32 {
    let Some(share) = share_of(class_shares, class) else {
        return u32::MAX;
    };
    let limit = (u64::from(demand) + 1) * u64::from(share) / 100;
    u32::try_from(limit).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests;
