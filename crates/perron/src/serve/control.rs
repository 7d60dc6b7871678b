//! The one place where servers change: what checks find and administrators want, published to the workers.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use admin::{Command, CommandError};
use balance::{Advised, Change, Pool, Quorum, ServerIndex, ServerState};
use check::{Check, CheckConfig, CheckIndex, Driver, Means, What};
use failover::Health;
use proxy::config::BackendIndex;
use proxy::{Clock, Shared};
use tokio::sync::mpsc;
use units::{AdminState, Status, Weight};

use super::assembly::Assembly;
use super::carry::{Carried, CarriedCheck, CarriedServer};
use super::links::Links;
use super::place::Place;
use crate::event::{Event, Kind};
use crate::log::Level;
use crate::messages::CheckPlace;

/// All pools, and the checks of their servers.
pub(super) struct Control {
    shared: Arc<Shared>,
    clock: Clock,
    pools: Vec<Pool>,
    /// By backend: whether its quorum was there when that was last told.
    quorums: Vec<Option<bool>>,
    notify: Vec<config::BackendNotify>,
    servers: Vec<Vec<Checked>>,
    links: Links,
    names: Vec<String>,
    configs: Vec<Vec<Vec<CheckConfig>>>,
    /// By check.
    owners: Vec<Owner>,
    driver: Driver,
    events: Vec<Event>,
    generation: u64,
}

/// Whose a check is.
#[derive(Clone, Copy, Debug)]
struct Owner {
    backend: BackendIndex,
    server: ServerIndex,
    asks: Asks,
}

/// What a check is about.
#[derive(Clone, Copy, Debug)]
enum Asks {
    /// The server; the check's place among the server's.
    Server(usize),
    /// Where its clients are redirected.
    Place,
}

/// A server and what its checks know.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    /// In the order of the configuration.
    pub(super) checks: Vec<health::Carried>,
    /// What the last outcome said.
    pub(super) last: Option<health::Outcome>,
    /// When its status or administrative state last changed, in seconds since 1970.
    pub(super) changed_unix: u64,
    /// Where its clients are redirected.
    pub(super) place: Option<Place>,
    first: u32,
}

impl Checked {
    /// What there is to say of its checks together: the last outcome of the first that is down, else of the first that
    /// knows nothing yet, else the last of all.
    pub(super) fn why(&self) -> Option<health::Outcome> {
        let of = |status| self.checks.iter().find(|check| check.status == status).and_then(|check| check.last);
        of(Status::Down).or_else(|| of(Status::Unknown)).or(self.last)
    }
}

impl Control {
    /// Starts the checks, whose events go to `events`.
    pub(super) fn new(assembly: &Assembly, means: &Means, events: mpsc::UnboundedSender<check::Event>) -> Control {
        let backends = &assembly.config.proxy.backends;
        let (mut servers, mut owners, mut checks) = (Vec::new(), Vec::new(), Vec::new());
        let configs = assembly.config.checks.clone();
        for (index, pool) in (0..).map(BackendIndex).zip(&assembly.pools) {
            let states = pool.states(units::Instant::ZERO);
            let known = (0..).map(ServerIndex).zip(&states).map(|(server, state)| {
                let mut list = List { checks: &mut checks, owners: &mut owners, backend: index, server };
                list.server(assembly, state)
            });
            servers.push(known.collect());
        }
        let clock = assembly.shared.clock();
        let driver = Driver::spawn(checks, means, Arc::new(move || clock.now()), events);
        watch_traffic(assembly, &driver, &servers);
        let mut control = Control {
            shared: Arc::clone(&assembly.shared),
            clock,
            quorums: assembly.pools.iter().map(Pool::quorum).collect(),
            notify: assembly.config.backend_notify.clone(),
            pools: assembly.pools.clone(),
            names: backends.iter().map(|backend| backend.name.clone()).collect(),
            servers,
            links: Links::new(assembly, clock.now()),
            configs,
            owners,
            driver,
            events: Vec::new(),
            generation: assembly.generation,
        };
        control.advise_all();
        (0..control.pools.len()).for_each(|backend| control.publish_places(backend));
        control
    }

    /// Which check of the configuration it is; `None`: one of a place for clients.
    pub(super) fn place_of(&self, check: CheckIndex) -> Option<CheckPlace> {
        let owner = self.owners.get(check.0 as usize)?;
        let Asks::Server(place) = owner.asks else { return None };
        Some(CheckPlace { backend: owner.backend.0.into(), server: owner.server.0.into(), check: place })
    }

    /// What happened to servers since this was last asked.
    pub(super) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// When [`Control::handle_deadline`] is due.
    pub(super) fn deadline(&self) -> Option<tokio::time::Instant> {
        let next = self.pools.iter().filter_map(Pool::deadline).min()?;
        Some(self.clock.to_std(next).into())
    }

    /// Takes a slow start's next step, and says whether any server's share has changed by it.
    pub(super) fn handle_deadline(&mut self) -> bool {
        let now = self.clock.now();
        let mut stepped = false;
        for backend in 0..self.pools.len() {
            if self.pools[backend].handle_deadline(now) {
                self.publish(backend);
                stepped = true;
            }
        }
        stepped
    }

    /// Some time has passed; to be called every [`super::links::TICK`].
    pub(super) fn handle_tick(&mut self) {
        self.links.handle_tick(&self.shared, self.clock.now());
    }

    /// Notes what a check has to say.
    pub(super) fn handle_check(&mut self, event: check::Event) {
        let Some(&Owner { backend, server, asks }) = self.owners.get(event.check.0 as usize) else { return };
        let Asks::Server(place) = asks else {
            return self.handle_place(backend, server, event);
        };
        let checked = &mut self.servers[usize::from(backend.0)][usize::from(server.0)];
        let before = std::mem::replace(&mut checked.checks[place], event.known);
        let why = match event.what {
            What::Probed(outcome, report) => {
                checked.last = Some(outcome);
                if let Some(report) = report {
                    self.links.handle_report(&self.shared, (backend, server), report, self.clock.now());
                }
                if before.advice != event.known.advice {
                    self.advise(backend, server, &outcome.to_string());
                }
                return;
            }
            What::Became { why, .. } => why,
        };
        let all: Vec<_> = checked.checks.iter().map(|check| check.status).collect();
        let status = health::combine(&all);
        let now = self.clock.now();
        let change = self.pools[usize::from(backend.0)].handle_status(server, status, now);
        if change.as_ref().is_some_and(|change| change.to.status != Status::Up && change.from.status == Status::Up) {
            self.links.handle_down(&self.shared, (backend, server), now);
        }
        self.apply(backend, change, &why.to_string());
    }

    /// The checks of a server say something else of its weight, or of what is to be done with it.
    fn advise(&mut self, backend: BackendIndex, server: ServerIndex, why: &str) {
        let advised = self.advised(backend, server);
        let change = self.pools[usize::from(backend.0)].handle_advised(server, advised, self.clock.now());
        self.follow_admin(backend, server);
        self.apply(backend, change, why);
    }

    /// What the checks of each server have said before holds still.
    fn advise_all(&mut self) {
        let now = self.clock.now();
        for (backend, count) in (0..).map(BackendIndex).zip(self.servers.iter().map(Vec::len).collect::<Vec<_>>()) {
            let index = usize::from(backend.0);
            let mut changed = false;
            for server in (0..).map(ServerIndex).take(count) {
                let advised = self.advised(backend, server);
                changed |= self.pools[index].handle_advised(server, advised, now).is_some();
            }
            if changed {
                self.publish(index);
            }
        }
    }

    fn advised(&self, backend: BackendIndex, server: ServerIndex) -> Advised {
        let (index, place) = (usize::from(backend.0), usize::from(server.0));
        let said = self.servers[index][place].checks.iter().map(|check| check.advice);
        let (weight, admin) = health::advise(self.pools[index].config().servers[place].weight, said);
        Advised { weight, admin }
    }

    /// Notes what the check of a place for clients has to say.
    fn handle_place(&mut self, backend: BackendIndex, server: ServerIndex, event: check::Event) {
        let (index, at) = (usize::from(backend.0), usize::from(server.0));
        let Some(place) = &mut self.servers[index][at].place else { return };
        let Some(check) = &mut place.check else { return };
        check.known = event.known;
        let (to, why) = match event.what {
            What::Probed(outcome, _) => {
                check.last = Some(outcome);
                return;
            }
            What::Became { to, why, .. } => (to, why),
        };
        let subject = format!("{}/{}", self.names[index], self.pools[index].config().servers[at].name);
        if let Some((level, kind, what)) = place.describe(&subject, to) {
            self.events.push(Event::new(level, kind, &subject, self.generation, &format!("{what}: {why}")));
        }
        self.publish_places(index);
    }

    /// Does what an administrator wants.
    pub(super) fn handle_command(&mut self, command: Command) -> Result<(), CommandError> {
        let now = self.clock.now();
        match command {
            Command::SetAdmin { backend, server, admin } => {
                let (backend, server) = self.find(&backend, &server)?;
                let change = self.pools[usize::from(backend.0)].handle_admin(server, admin, now);
                self.follow_admin(backend, server);
                self.apply(backend, change, "an administrator's command");
            }
            Command::SetWeight { backend, server, weight } => {
                let (backend, server) = self.find(&backend, &server)?;
                let change = self.pools[usize::from(backend.0)].handle_weight(server, Weight::new(weight), now);
                self.apply(backend, change, "an administrator's command");
            }
        }
        Ok(())
    }

    /// The servers of a backend, now.
    pub(super) fn states(&self, backend: usize) -> Vec<ServerState> {
        self.pools[backend].states(self.clock.now())
    }

    /// A backend's pool.
    pub(super) fn pool(&self, backend: usize) -> &Pool {
        &self.pools[backend]
    }

    /// What is known of a backend's servers beside their states.
    pub(super) fn checked(&self, backend: usize) -> &[Checked] {
        &self.servers[backend]
    }

    /// What a server's link has to carry; `None` where nobody counts.
    pub(super) fn link(&self, backend: usize, server: usize) -> Option<admin::model::Link> {
        let shared = self.shared.backend(BackendIndex(backend as u16));
        self.links.link(shared, (backend, server), self.clock.now())
    }

    /// What the next serving process should know.
    pub(super) fn carried(&self) -> Carried {
        let mut carried = Carried::default();
        for (backend, name) in self.names.iter().enumerate() {
            let servers = &self.pools[backend].config().servers;
            for (place, state) in self.states(backend).iter().enumerate() {
                let checked = &self.servers[backend][place];
                let configs = &self.configs[backend][place];
                let checks = configs.iter().zip(&checked.checks);
                let checks = checks.map(|(config, known)| CarriedCheck::new(config, known)).collect();
                let shared = self.shared.backend(BackendIndex(backend as u16));
                let mut server = CarriedServer::new(state, checked.changed_unix, checks);
                server.place = checked.place.as_ref().and_then(Place::carried);
                server.link = self.links.carried(shared, (backend, place), self.clock.now());
                carried.insert(name, &servers[place].name, server);
            }
            carried.insert_quorum(name, self.pools[backend].quorum());
        }
        carried
    }

    /// What serves here: every frontend, as this process takes clients, and each backend that has a usable server.
    pub(super) fn facts(&self, config: &config::Config) -> failover::Facts {
        let mut facts = failover::Facts::default();
        let forwarding = config.forward.frontends.iter().map(|frontend| &frontend.name);
        for name in config.proxy.frontends.iter().map(|frontend| &frontend.name).chain(forwarding) {
            facts.known.insert(format!("frontend/{name}"), Health::Well);
        }
        for (backend, name) in self.names.iter().enumerate() {
            facts.known.insert(format!("backend/{name}"), health(self.pools[backend].quorum()));
            let told = self.notify[backend].servers.iter().zip(&self.pools[backend].config().servers);
            for ((notify, server), state) in told.zip(self.states(backend)) {
                if *notify != scripts::Notify::default() {
                    let usable = (state.usable || state.status != Status::Unknown).then_some(state.usable);
                    facts.known.insert(format!("server/{name}/{}", server.name), health(usable));
                }
            }
        }
        facts
    }

    /// What the kernel is to forward.
    pub(super) fn forwarding(&self, config: &config::Config) -> forward::Table {
        super::forwarding::table(&config.forward, &config.proxy.backends, &self.pools, self.clock.now())
    }

    /// What `map` makes of each check that it makes something of.
    pub(super) fn map_checks<T>(
        &self,
        config: &config::Config,
        mut map: impl FnMut(&CheckConfig) -> Option<T>,
    ) -> Vec<(CheckIndex, T)> {
        let asked = |owner: &Owner| {
            let (backend, server) = (usize::from(owner.backend.0), usize::from(owner.server.0));
            match owner.asks {
                Asks::Server(place) => map(&self.configs[backend][server][place]),
                Asks::Place => config.redirect_checks[backend][server].as_ref().and_then(&mut map),
            }
        };
        let asked: Vec<Option<T>> = self.owners.iter().map(asked).collect();
        (0..).map(CheckIndex).zip(asked).filter_map(|(check, made)| Some((check, made?))).collect()
    }

    /// The next probes of a check through TLS begin so.
    pub(super) fn connect_by(&self, check: CheckIndex, connector: tls::Connector) {
        self.driver.handle().connect_by(check, connector);
    }

    fn find(&self, backend: &str, server: &str) -> Result<(BackendIndex, ServerIndex), CommandError> {
        let index = self.names.iter().position(|name| name == backend);
        let index = index.ok_or_else(|| CommandError::UnknownBackend(backend.to_owned()))?;
        let place = self.pools[index].config().servers.iter().position(|known| known.name == server);
        let place = place
            .ok_or_else(|| CommandError::UnknownServer { backend: backend.to_owned(), server: server.to_owned() })?;
        Ok((BackendIndex(index as u16), ServerIndex(place as u16)))
    }

    /// A server in maintenance is not checked. Who put it there by what its agent says is asked on, for nobody else
    /// would bring it back.
    fn follow_admin(&self, backend: BackendIndex, server: ServerIndex) {
        let (index, place) = (usize::from(backend.0), usize::from(server.0));
        let state = &self.states(index)[place];
        let handle = self.driver.handle();
        let checked = &self.servers[index][place];
        let of_place = checked.place.as_ref().and_then(|place| place.check.as_ref()).map(|check| (check.index, None));
        let own = checks_of(checked).zip(self.configs[index][place].iter().map(Some));
        for (check, config) in own.chain(of_place) {
            if is_suspended(state, config) {
                handle.suspend(check);
            } else {
                handle.resume(check);
            }
        }
    }

    /// Publishes and tells a change.
    fn apply(&mut self, backend: BackendIndex, change: Option<Change>, why: &str) {
        let Some(change) = change else { return };
        let index = usize::from(backend.0);
        self.publish(index);
        self.publish_places(index);
        let place = usize::from(change.server.0);
        let moved = change.from.status != change.to.status || change.from.admin != change.to.admin;
        if moved {
            self.servers[index][place].changed_unix = unix_now();
        }
        let (usable, all) = self.pools[index].usable();
        let (backend, server) = (&self.names[index], &self.pools[index].config().servers[place].name);
        let subject = format!("{backend}/{server}");
        let (kind, what) = describe(&subject, &change);
        let level = match (usable, kind) {
            (0, _) => Level::Error,
            (_, Kind::ServerDown) => Level::Warn,
            _ => Level::Info,
        };
        let text = format!("{what}: {why}; {usable} of {all} servers of {backend} usable");
        self.events.push(Event::new(level, kind, &subject, self.generation, &text));
        self.tell_quorum(index);
    }

    /// Tells that a backend's quorum has come or gone.
    fn tell_quorum(&mut self, backend: usize) {
        let pool = &self.pools[backend];
        let before = std::mem::replace(&mut self.quorums[backend], pool.quorum());
        let Some(is_there) = pool.quorum().filter(|now| before != Some(*now) && self.notify[backend].counts) else {
            return;
        };
        let (name, weight) = (&self.names[backend], pool.usable_weight());
        let Quorum { weight: wanted, hysteresis } = pool.config().quorum;
        let (level, kind, text) = match is_there {
            true => {
                let text =
                    format!("{name} has its quorum: usable servers weigh {weight}, {} is enough", wanted + hysteresis);
                (Level::Info, Kind::QuorumUp, text)
            }
            false => {
                let sorry = if pool.is_sorry() { ", the sorry server stands in" } else { "" };
                let text = format!("{name} has no quorum: usable servers weigh {weight} of {wanted}{sorry}");
                (Level::Error, Kind::QuorumDown, text)
            }
        };
        self.events.push(Event::new(level, kind, name, self.generation, &text));
    }

    fn publish(&self, backend: usize) {
        let now = self.clock.now();
        self.shared.backend(BackendIndex(backend as u16)).publish(self.pools[backend].snapshot(now), now);
    }

    /// Tells the workers which servers' clients may be redirected.
    fn publish_places(&self, backend: usize) {
        let shared = self.shared.backend(BackendIndex(backend as u16));
        let servers = (0..).map(ServerIndex).zip(&self.servers[backend]).zip(self.states(backend));
        for ((server, checked), state) in servers {
            if let Some(place) = &checked.place {
                shared.set_redirectable(server, place.why_not(&state).is_none());
            }
        }
    }
}

/// The checks so far, and the server whose own are put to them.
struct List<'a> {
    checks: &'a mut Vec<Check>,
    owners: &'a mut Vec<Owner>,
    backend: BackendIndex,
    server: ServerIndex,
}

impl List<'_> {
    fn server(&mut self, assembly: &Assembly, state: &ServerState) -> Checked {
        let (backend, server) = (usize::from(self.backend.0), usize::from(self.server.0));
        let configured = &assembly.config.proxy.backends[backend];
        let carried = assembly.carried.server(&configured.name, &configured.pool.servers[server].name);
        let first = self.checks.len() as u32;
        let mut checks = Vec::new();
        for (place, config) in assembly.config.checks[backend][server].iter().enumerate() {
            let known = carried.and_then(|c| c.checks.get(place)).and_then(|c| c.known(config));
            checks.push(known.unwrap_or_default());
            self.push(Asks::Server(place), config, known, is_suspended(state, Some(config)));
        }
        let config = assembly.config.redirect_checks[backend][server].as_ref();
        let known = config.and_then(|config| carried?.place.as_ref()?.known(config));
        let index = CheckIndex(self.checks.len() as u32);
        let place = Place::of(configured, &configured.servers[server], config.map(|config| (index, config)), known);
        if let (Some(config), Some(_)) = (config, &place) {
            self.push(Asks::Place, config, known, is_suspended(state, None));
        }
        let changed_unix = carried.map_or_else(unix_now, |carried| carried.changed_unix);
        Checked { checks, last: None, changed_unix, place, first }
    }

    fn push(&mut self, asks: Asks, config: &CheckConfig, carried: Option<health::Carried>, suspended: bool) {
        self.owners.push(Owner { backend: self.backend, server: self.server, asks });
        self.checks.push(Check { config: config.clone(), carried, suspended });
    }
}

fn health(known: Option<bool>) -> Health {
    match known {
        None => Health::Unknown,
        Some(true) => Health::Well,
        Some(false) => Health::Unwell,
    }
}

/// Whether a check of a server in this state rests; `None`: that of its place for clients.
fn is_suspended(state: &ServerState, config: Option<&CheckConfig>) -> bool {
    let admin = match config.map(|config| &config.kind) {
        Some(check::Kind::Agent(_)) => state.own_admin,
        _ => state.admin,
    };
    admin == AdminState::Maintenance
}

/// The kind of a change, and the beginning of its sentence.
fn describe(subject: &str, change: &Change) -> (Kind, String) {
    let (from, to) = (&change.from, &change.to);
    if from.status != to.status {
        let kind = match to.status {
            Status::Up => Kind::ServerUp,
            Status::Down => Kind::ServerDown,
            Status::Unknown => Kind::ServerUnknown,
        };
        (kind, format!("{subject} is {}, was {}", to.status, from.status))
    } else if from.admin != to.admin {
        let kind = match to.admin {
            AdminState::Ready => Kind::ServerReady,
            AdminState::Drain => Kind::ServerDrain,
            AdminState::Maintenance => Kind::ServerMaintenance,
        };
        (kind, format!("{subject} is set to {}, was {}", to.admin, from.admin))
    } else {
        (Kind::ServerWeight, format!("{subject} has weight {}, had {}", to.weight, from.weight))
    }
}

/// Lets the workers tell the checks how real requests fare.
fn watch_traffic(assembly: &Assembly, driver: &Driver, servers: &[Vec<Checked>]) {
    let handle = driver.handle();
    let checks: Vec<Vec<Vec<CheckIndex>>> =
        servers.iter().map(|servers| servers.iter().map(|server| checks_of(server).collect()).collect()).collect();
    let watcher = move |backend: BackendIndex, server: ServerIndex, well: bool| {
        for check in &checks[usize::from(backend.0)][usize::from(server.0)] {
            handle.traffic(*check, well);
        }
    };
    let set = assembly.watcher.set(Box::new(watcher));
    debug_assert!(set.is_ok(), "the watcher is set once, here");
}

fn checks_of(server: &Checked) -> impl Iterator<Item = CheckIndex> + use<> {
    (server.first..server.first + server.checks.len() as u32).map(CheckIndex)
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
