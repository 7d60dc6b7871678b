mod quorum;

use std::time::Duration;

use units::{AdminState, Bandwidth, Instant, Status, Weight};

use crate::Snapshot;
use crate::limits::SERVERS_MAX;

pub use quorum::Quorum;

/// A server's place in [`PoolConfig::servers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerIndex(pub u16);

/// A class's place in [`PoolConfig::classes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassIndex(pub u16);

/// A zone's place in the caller's list of zones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneIndex(pub u16);

/// How a pool chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Smooth weighted turns.
    RoundRobin,
    /// The fewest requests in flight for its weight; ties by turns.
    LeastConnections,
    /// The client's address, hashed (maglev).
    Source,
    /// The path and query, hashed (maglev).
    Uri,
    /// This header field (lower case), hashed (maglev); requests without it take turns.
    Header(String),
    /// The client's address and port, hashed (maglev).
    Maglev,
    /// The less loaded of two drawn by weight.
    Random,
    /// The first in the list that has room.
    First,
    /// The one whose link is expected to have sent the answer first, of the client's own zone unless that is busy.
    Bandwidth,
}

/// A pool as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolConfig {
    /// How it chooses.
    pub algorithm: Algorithm,
    /// How long a server that came back takes from a tenth of its weight to all of it; zero: at once.
    pub slow_start: Duration,
    /// In the order of the text; at most 16 384.
    pub servers: Vec<ServerConfig>,
    /// Kinds of servers; [`ServerConfig::class`] points here.
    pub classes: Vec<ClassConfig>,
    /// Requests in flight at once, over all servers; `None`: no limit.
    pub max_in_flight: Option<u32>,
    /// How much of it is enough.
    pub quorum: Quorum,
    /// Whether a server that is checked gets nothing until its checks have answered; else it is up until they say no.
    pub alpha: bool,
}

/// A kind of servers as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassConfig {
    /// Unique in its pool.
    pub name: String,
    /// Of all requests in flight and waiting at the pool, the per cent that its servers together may have in flight,
    /// 1 to 100, and never less than one request; `None`: no limit.
    pub max_share: Option<u8>,
}

/// A server as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// Unique in its pool; consistent hashes hang on it, so a server keeps its clients wherever it stands in the list.
    pub name: String,
    /// Its share.
    pub weight: Weight,
    /// Requests in flight at once (TCP mode: connections); `None`: no limit.
    pub max_in_flight: Option<u32>,
    /// 0: serves always; n: serves when no server of a lower tier can.
    pub tier: u8,
    /// Whether checks decide over it; without, it is up from the start.
    pub checked: bool,
    /// What it starts as.
    pub admin: AdminState,
    /// The kind of server that it is.
    pub class: Option<ClassIndex>,
    /// Where it stands.
    pub zone: Option<ZoneIndex>,
    /// What its link takes; `None`: 1 Gbit for each unit of its weight.
    pub bandwidth: Option<Bandwidth>,
    /// Whether it stands in for all others: it serves while the quorum is lost or no other can, and they do not then.
    pub sorry: bool,
}

impl ServerConfig {
    /// Bytes a second that its link takes: what is configured, else 1 Gbit a second for each unit of its weight
    /// (a weight of 0 counts as 1: it may be changed by hand). Never 0.
    pub fn rate(&self) -> u64 {
        let by_weight = u64::from(self.weight.get().max(1)) * (GBIT / 8);
        self.bandwidth.map_or(by_weight, |bandwidth| bandwidth.0 / 8).max(1)
    }

    /// The share that its weight in the text gives it; a weight of 0 counts as 1.
    pub(crate) fn full_share(&self) -> u32 {
        u32::from(self.weight.get().max(1)) * PARTS
    }
}

/// What became of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub server: ServerIndex,
    /// As it was.
    pub from: ServerState,
    /// As it is.
    pub to: ServerState,
}

/// What a server's checks say of it beside its status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Advised {
    /// Its share; `None`: nothing.
    pub weight: Option<Weight>,
    /// What is to be done with it.
    pub admin: AdminState,
}

/// All there is to say of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerState {
    /// What its checks say.
    pub status: Status,
    /// What is done with it: the stricter of what an administrator wants and what its checks say.
    pub admin: AdminState,
    /// Its share: what an administrator has set, else what its checks say, else what is configured.
    pub weight: Weight,
    /// What configuration and administrator want of it.
    pub own_admin: AdminState,
    /// Its share as configured or as an administrator has changed it.
    pub own_weight: Weight,
    /// What its checks say beside.
    pub advised: Advised,
    /// Its share now: less than `weight` in a slow start, but never 0 for that.
    pub effective: Weight,
    /// The per cent of its weight that a slow start has come to; `None`: it is in no slow start.
    pub throttle: Option<u8>,
    /// Whether it may get something new, if its tier is the one that serves.
    pub usable: bool,
    /// The weight in the text.
    pub configured_weight: Weight,
    /// The administrative state in the text.
    pub configured_admin: AdminState,
}

/// A pool's servers and what is known of each; the one place where that changes.
///
/// After a change, and after [`Pool::handle_deadline`] returned true, the workers want a new [`Pool::snapshot`].
#[derive(Clone, Debug)]
pub struct Pool {
    config: PoolConfig,
    servers: Vec<Server>,
    /// Whether the quorum is there; `None`: not all have answered that could bring it.
    quorum: Option<bool>,
}

#[derive(Clone, Debug)]
struct Server {
    status: Status,
    own_admin: AdminState,
    own_weight: Weight,
    /// Another own weight than this is an administrator's.
    configured: Weight,
    advised: Advised,
    /// Whether it was down or in maintenance since it last served.
    was_away: bool,
    warming: Option<Warming>,
}

#[derive(Clone, Copy, Debug)]
struct Warming {
    since: Instant,
    /// How many steps the snapshots have been told of.
    step: u32,
}

/// In how many steps a slow start goes from a tenth of the weight to all of it.
const STEPS: u32 = 20;
/// A share is its weight in this many parts: the least in which a step, 4.5 % of the weight, is a whole number.
const PARTS: u32 = 200;
/// Bits a second.
const GBIT: u64 = 1_000_000_000;

impl Pool {
    /// A pool in which nothing is known of any server that is checked. Servers beyond the 16 384th are left out.
    pub fn new(mut config: PoolConfig, now: Instant) -> Pool {
        config.servers.truncate(SERVERS_MAX);
        let alpha = config.alpha;
        let servers = config.servers.iter().map(|server| Server {
            status: if server.checked && alpha { Status::Unknown } else { Status::Up },
            own_admin: server.admin,
            own_weight: server.weight,
            configured: server.weight,
            advised: Advised::default(),
            was_away: server.admin == AdminState::Maintenance,
            warming: None,
        });
        let servers = servers.collect();
        let mut pool = Pool { config, servers, quorum: None };
        pool.settle(now);
        pool
    }

    /// What the pool was made from.
    pub fn config(&self) -> &PoolConfig {
        &self.config
    }

    /// Bytes a second that each server's link takes, in the order of the configuration; see [`ServerConfig::rate`].
    pub fn rates(&self) -> Vec<u64> {
        self.config.servers.iter().map(ServerConfig::rate).collect()
    }

    /// A server's checks changed their mind.
    pub fn handle_status(&mut self, server: ServerIndex, status: Status, now: Instant) -> Option<Change> {
        let status = self.taken_for(status);
        self.change(server, now, |server| server.status = status)
    }

    /// Whether enough of it is usable; `None`: not everybody has answered yet who could make it so.
    pub fn quorum(&self) -> Option<bool> {
        self.quorum
    }

    /// The weight of all usable servers, which the quorum goes by. The sorry server has no part in it.
    pub fn usable_weight(&self) -> u32 {
        self.regular().filter(|server| server.is_usable()).map(|server| u32::from(server.weight().get())).sum()
    }

    /// How many servers are usable, and how many there are. The sorry server is none of them.
    pub fn usable(&self) -> (usize, usize) {
        (self.regular().filter(|server| server.is_usable()).count(), self.regular().count())
    }

    /// Whether the sorry server serves in place of all others.
    pub fn is_sorry(&self) -> bool {
        let has_sorry = self.config.servers.iter().any(|server| server.sorry);
        has_sorry && (self.quorum == Some(false) || !self.regular().any(Server::is_usable))
    }

    /// What a pool of this one's configuration knew of its quorum before a reload. To be told after
    /// [`Pool::carry_from`].
    pub fn carry_quorum(&mut self, quorum: Option<bool>) {
        self.quorum = quorum;
        self.weigh();
    }

    /// An administrator wants something else of a server.
    pub fn handle_admin(&mut self, server: ServerIndex, admin: AdminState, now: Instant) -> Option<Change> {
        self.change(server, now, |server| server.own_admin = admin)
    }

    /// An administrator gives a server another weight; the configured one is no other, and leaves it to the checks.
    pub fn handle_weight(&mut self, server: ServerIndex, weight: Weight, now: Instant) -> Option<Change> {
        self.change(server, now, |server| server.own_weight = weight)
    }

    /// A server's checks say something else of it.
    pub fn handle_advised(&mut self, server: ServerIndex, advised: Advised, now: Instant) -> Option<Change> {
        self.change(server, now, |server| server.advised = advised)
    }

    /// The next step of a slow start is due. Returns whether any share changed.
    pub fn handle_deadline(&mut self, now: Instant) -> bool {
        let slow_start = self.config.slow_start;
        let mut stepped = false;
        for server in &mut self.servers {
            let Some(warming) = &mut server.warming else {
                continue;
            };
            let step = warming.step_at(now, slow_start);
            stepped |= step != warming.step;
            warming.step = step;
            if step == STEPS {
                server.warming = None;
            }
        }
        stepped
    }

    /// When the next step of a slow start is due.
    pub fn deadline(&self) -> Option<Instant> {
        let warming = self.servers.iter().filter_map(|server| server.warming);
        warming.map(|warming| warming.step_ends(self.config.slow_start)).min()
    }

    /// What the workers choose by.
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let is_sorry = self.is_sorry();
        let serves = |config: &ServerConfig| config.sorry == is_sorry;
        let all = || self.servers.iter().zip(&self.config.servers);
        let share = |server: &Server| server.share(now, self.config.slow_start);
        let shares: Vec<u32> = all().map(|(server, config)| if serves(config) { share(server) } else { 0 }).collect();
        let keeps = all().map(|(server, config)| serves(config) && server.keeps_clients());
        Snapshot::build(&self.config, &shares).with_kept(&self.config, keeps)
    }

    /// Every server, in the order of the configuration.
    pub fn states(&self, now: Instant) -> Vec<ServerState> {
        (0..self.servers.len()).map(|place| self.state(place, now)).collect()
    }

    /// Takes over, before the first snapshot, what was known of servers of the same names before a reload:
    /// their status, their slow start, and what an administrator changed, unless the text says otherwise than it did.
    pub fn carry_from(&mut self, old: &[(String, ServerState)], now: Instant) {
        let slow_start = self.config.slow_start;
        for (server, config) in self.servers.iter_mut().zip(&self.config.servers) {
            let Some((_, old)) = old.iter().find(|(name, _)| *name == config.name) else {
                continue;
            };
            if config.checked && (self.config.alpha || old.status != Status::Unknown) {
                server.status = old.status;
            }
            if old.configured_admin == config.admin {
                server.own_admin = old.own_admin;
            }
            if old.configured_weight == config.weight {
                server.own_weight = old.own_weight;
            }
            if config.checked {
                server.advised = old.advised;
            }
            server.was_away = server.is_away();
            let throttle = old.throttle.filter(|_| server.is_serving() && !slow_start.is_zero());
            server.warming = throttle.map(|percent| {
                let since = now - slow_start * u32::from(percent.saturating_sub(10)) / 90;
                let warming = Warming { since, step: 0 };
                Warming { since, step: warming.step_at(now, slow_start) }
            });
        }
        self.settle(now);
    }

    fn change(&mut self, index: ServerIndex, now: Instant, change: impl FnOnce(&mut Server)) -> Option<Change> {
        let place = usize::from(index.0);
        self.servers.get(place)?;
        let from = self.state(place, now);
        change(&mut self.servers[place]);
        self.settle(now);
        let to = self.state(place, now);
        (from != to).then_some(Change { server: index, from, to })
    }

    /// Begins and ends slow starts as the servers' states demand.
    fn settle(&mut self, now: Instant) {
        for server in &mut self.servers {
            if server.is_away() {
                server.was_away = true;
            }
            if !server.is_serving() {
                server.warming = None;
            } else if server.was_away {
                server.was_away = false;
                let warms = !self.config.slow_start.is_zero();
                server.warming = warms.then_some(Warming { since: now, step: 0 });
            }
        }
        self.weigh();
    }

    /// Looks whether the quorum is there.
    fn weigh(&mut self) {
        let is_there = self.config.quorum.is_there(self.quorum, self.usable_weight());
        let awaited = self.quorum.is_none() && self.regular().any(Server::is_awaited);
        if is_there || !awaited {
            self.quorum = Some(is_there);
        }
    }

    /// All but the sorry server.
    fn regular(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().zip(&self.config.servers).filter(|(_, config)| !config.sorry).map(|(server, _)| server)
    }

    fn taken_for(&self, status: Status) -> Status {
        match status {
            Status::Unknown if !self.config.alpha => Status::Up,
            known => known,
        }
    }

    fn state(&self, place: usize, now: Instant) -> ServerState {
        let (server, config) = (&self.servers[place], &self.config.servers[place]);
        let parts = server.parts(now, self.config.slow_start);
        let effective = (u32::from(server.weight().get()) * parts).div_ceil(PARTS);
        ServerState {
            status: server.status,
            admin: server.admin(),
            weight: server.weight(),
            own_admin: server.own_admin,
            own_weight: server.own_weight,
            advised: server.advised,
            effective: Weight::new(effective as u16),
            throttle: server.warming.map(|_| (parts * 100).div_ceil(PARTS) as u8),
            usable: server.is_usable(),
            configured_weight: config.weight,
            configured_admin: config.admin,
        }
    }
}

impl Server {
    /// An administrator knows more than a check.
    fn weight(&self) -> Weight {
        if self.own_weight != self.configured {
            return self.own_weight;
        }
        self.advised.weight.unwrap_or(self.own_weight)
    }

    fn admin(&self) -> AdminState {
        self.own_admin.stricter(self.advised.admin)
    }

    fn is_serving(&self) -> bool {
        self.status == Status::Up && self.admin() == AdminState::Ready
    }

    fn is_usable(&self) -> bool {
        self.is_serving() && self.weight() != Weight::ZERO
    }

    /// Whether its checks have not answered yet.
    fn is_awaited(&self) -> bool {
        self.status == Status::Unknown && self.admin() != AdminState::Maintenance
    }

    /// Whether clients who are its own may go on with it.
    fn keeps_clients(&self) -> bool {
        self.status == Status::Up && self.admin() != AdminState::Maintenance
    }

    fn is_away(&self) -> bool {
        self.status == Status::Down || self.admin() == AdminState::Maintenance
    }

    /// Of [`PARTS`], how many its weight counts.
    fn parts(&self, now: Instant, slow_start: Duration) -> u32 {
        let step = self.warming.map_or(STEPS, |warming| warming.step_at(now, slow_start));
        PARTS / 10 + step * (PARTS - PARTS / 10) / STEPS
    }

    /// Its weight in parts; 0 if it may get nothing.
    fn share(&self, now: Instant, slow_start: Duration) -> u32 {
        if !self.is_serving() {
            return 0;
        }
        u32::from(self.weight().get()) * self.parts(now, slow_start)
    }
}

impl Warming {
    fn step_at(&self, now: Instant, slow_start: Duration) -> u32 {
        let elapsed = now.since(self.since).as_nanos() * u128::from(STEPS);
        let steps = elapsed.checked_div(slow_start.as_nanos()).unwrap_or(u128::from(STEPS));
        u32::try_from(steps).map_or(STEPS, |steps| steps.min(STEPS))
    }

    fn step_ends(&self, slow_start: Duration) -> Instant {
        let steps = u128::from(self.step + 1);
        let nanos = (slow_start.as_nanos() * steps).div_ceil(u128::from(STEPS));
        self.since + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests;
