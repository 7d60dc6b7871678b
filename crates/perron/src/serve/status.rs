//! All the numbers, gathered when somebody asks.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use admin::model::{self, Classes, Histogram, Mode, ProcessStats, Status, Traffic};
use admin::{Command, CommandError, Source};
use balance::{Algorithm, ClassIndex, ServerIndex, ServerState};
use peers::Peers;
use proxy::config::{BackendIndex, DeliverMode, FrontendIndex};
use proxy::{BackendShared, Counter, Reason, ServerStats, Shared, WorkerStats};

use rustix::fs::Dir;

use super::assembly::Assembly;
use super::control::Control;
use super::level::Meter;
use super::names;
use super::sharing;

/// Answers the dashboard, the metrics and the control socket.
pub(super) struct StatusSource {
    control: Arc<Mutex<Control>>,
    shared: Arc<Shared>,
    config: Arc<config::Config>,
    generation: u64,
    started: SystemTime,
    meters: Mutex<Meters>,
    /// The other directors, while this process speaks with them.
    peers: OnceLock<Weak<Peers>>,
    /// The addresses that move, as the supervisor said last; `None`: there are none.
    vips: Mutex<Option<failover::Report>>,
    /// As the supervisor said last.
    applications: Mutex<Vec<model::Application>>,
    /// Whether somebody has looked since this was last asked.
    looked: AtomicBool,
    names: OnceLock<Arc<dns::Server>>,
    certificates: Mutex<Vec<model::Certificate>>,
    own: Arc<OwnFiles>,
}

/// What a process reads of itself: opened while it might still look at files that the configuration does not name.
pub(super) struct OwnFiles {
    descriptors: Mutex<Option<Dir>>,
    memory: Option<File>,
    page_bytes: u64,
}

impl OwnFiles {
    /// Opens them.
    pub(super) fn open() -> OwnFiles {
        let folder = File::open("/proc/self/fd").ok();
        OwnFiles {
            descriptors: Mutex::new(folder.and_then(|folder| Dir::new(folder).ok())),
            memory: File::open("/proc/self/statm").ok(),
            // The first to ask looks into a file as well, and those after it, wherever they are, into memory.
            page_bytes: rustix::param::page_size() as u64,
        }
    }

    /// Open descriptors.
    fn descriptors(&self) -> u64 {
        let mut folder = self.descriptors.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(folder) = &mut *folder else { return 0 };
        // Read anew each time; two entries are the folder itself and its parent.
        folder.rewind();
        folder.count().saturating_sub(2) as u64
    }

    /// Bytes of address space, and of memory in use.
    fn memory(&self) -> (u64, u64) {
        let mut text = [0; 256];
        let length = self.memory.as_ref().and_then(|file| file.read_at(&mut text, 0).ok()).unwrap_or(0);
        let text = String::from_utf8_lossy(&text[..length]);
        let mut pages = text.split_ascii_whitespace().map(|field| field.parse().unwrap_or(0) * self.page_bytes);
        (pages.next().unwrap_or(0), pages.next().unwrap_or(0))
    }
}

#[derive(Default)]
struct Meters {
    frontends: Vec<FrontendMeters>,
    backends: Vec<ServerMeters>,
    servers: Vec<Vec<ServerMeters>>,
}

#[derive(Clone, Default)]
struct FrontendMeters {
    connections: Meter,
    connection_rate: Meter,
    requests: Meter,
}

#[derive(Clone, Default)]
struct ServerMeters {
    requests: Meter,
    in_flight: Meter,
    queue: Meter,
}

impl StatusSource {
    pub(super) fn new(assembly: &Assembly, control: Arc<Mutex<Control>>) -> StatusSource {
        let proxy = &assembly.config.proxy;
        let meters = Meters {
            frontends: vec![FrontendMeters::default(); proxy.frontends.len()],
            backends: vec![ServerMeters::default(); proxy.backends.len()],
            servers: proxy.backends.iter().map(|b| vec![ServerMeters::default(); b.servers.len()]).collect(),
        };
        StatusSource {
            control,
            shared: Arc::clone(&assembly.shared),
            config: Arc::clone(&assembly.config),
            generation: assembly.generation,
            started: SystemTime::now(),
            meters: Mutex::new(meters),
            peers: OnceLock::new(),
            applications: Mutex::default(),
            vips: Mutex::new(assembly.vips.then(failover::Report::default)),
            looked: AtomicBool::new(false),
            names: OnceLock::new(),
            certificates: Mutex::default(),
            own: Arc::clone(&assembly.own),
        }
    }

    /// These certificates are shown to clients and servers.
    pub(super) fn set_certificates(&self, shown: Vec<tls::Expiry>) {
        let certificates = shown.into_iter().map(|shown| model::Certificate {
            file: shown.path.display().to_string(),
            subject: shown.subject,
            names: shown.names,
            expires_unix: unix(shown.at),
        });
        *self.certificates.lock().unwrap_or_else(PoisonError::into_inner) = certificates.collect();
    }

    /// The other directors are these.
    pub(super) fn set_peers(&self, peers: &Arc<Peers>) {
        let _ = self.peers.set(Arc::downgrade(peers));
    }

    /// The addresses that move are like this.
    pub(super) fn set_vips(&self, report: failover::Report) {
        *self.vips.lock().unwrap_or_else(PoisonError::into_inner) = Some(report);
    }

    /// The applications that the service runs are like this.
    pub(super) fn set_applications(&self, applications: Vec<model::Application>) {
        *self.applications.lock().unwrap_or_else(PoisonError::into_inner) = applications;
    }

    /// Whether somebody has looked since this was last asked.
    pub(super) fn take_looked(&self) -> bool {
        self.looked.swap(false, Ordering::Relaxed)
    }

    /// The name service is this.
    pub(super) fn set_names(&self, names: &Arc<dns::Server>) {
        let _ = self.names.set(Arc::clone(names));
    }

    /// Measures rates and peaks; to be called once a second.
    pub(super) fn sample(&self) {
        let mut meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, meter) in meters.frontends.iter_mut().enumerate() {
            meter.connections.gauge(u64::from(self.shared.connections(FrontendIndex(index as u16))));
            meter.connection_rate.count(self.sum(|worker| &worker.frontends[index].connections));
            meter.requests.count(self.sum(|worker| &worker.frontends[index].requests));
        }
        let Meters { backends, servers, .. } = &mut *meters;
        for (index, (of_backend, of_servers)) in backends.iter_mut().zip(servers).enumerate() {
            let shared = self.shared.backend(BackendIndex(index as u16));
            of_backend.requests.count(self.sum(|worker| &worker.backends[index].requests));
            of_backend.queue.gauge(u64::from(shared.waiting()));
            let mut all = 0;
            for (place, meter) in of_servers.iter_mut().enumerate() {
                let in_flight = u64::from(shared.in_flight(ServerIndex(place as u16)));
                all += in_flight;
                meter.in_flight.gauge(in_flight);
                meter.requests.count(self.sum(|worker| &worker.servers[index][place].requests));
            }
            of_backend.in_flight.gauge(all);
        }
    }

    fn sum<'a>(&'a self, pick: impl Fn(&'a WorkerStats) -> &'a Counter) -> u64 {
        self.shared.workers().iter().map(|worker| pick(worker).value()).sum()
    }

    fn frontend(&self, index: usize, meters: &FrontendMeters) -> model::Frontend {
        let configured = &self.config.proxy.frontends[index];
        let binds = self.config.listens.iter().filter(|listen| usize::from(listen.frontend.0) == index);
        let now = u64::from(self.shared.connections(FrontendIndex(index as u16)));
        model::Frontend {
            name: configured.name.clone(),
            mode: mode_of(configured.mode),
            binds: binds.map(|listen| listen.text.clone()).collect(),
            connections: meters.connections.level(now, configured.max_connections.map(u64::from)),
            connections_total: self.sum(|worker| &worker.frontends[index].connections),
            connection_rate: meters.connection_rate.rate(),
            requests: self.sum(|worker| &worker.frontends[index].requests),
            request_rate: meters.requests.rate(),
            responses: self.classes(|worker| &worker.frontends[index].answers),
            bytes_in: self.sum(|worker| &worker.frontends[index].bytes_in),
            bytes_out: self.sum(|worker| &worker.frontends[index].bytes_out),
            refused: self.refused(index),
            total_time: self.histogram(|worker| &worker.frontends[index].total),
            streams: configured.routes.iter().any(|route| route.stream.is_some()).then(|| model::Streams {
                at_once: self.held(|worker| &worker.frontends[index].streams.at_once),
                after_client: self.held(|worker| &worker.frontends[index].streams.after_client),
            }),
            handshakes: configured.tls.as_ref().map(|_| self.handshakes(|worker| &worker.frontends[index].handshakes)),
        }
    }

    fn held<'a>(&'a self, pick: impl Fn(&'a WorkerStats) -> &'a proxy::Held) -> model::Held {
        let mut held = model::Held::default();
        for (index, count) in held.counts.iter_mut().enumerate() {
            *count = self.sum(|worker| &pick(worker).buckets[index]);
        }
        held.sum_us = self.sum(|worker| &pick(worker).sum_nanos) / 1000;
        let longest = self.shared.workers().iter().map(|worker| pick(worker).max_nanos.value()).max();
        held.max_us = longest.unwrap_or(0).div_ceil(1000);
        held
    }

    fn backend(&self, index: usize, control: &Control, meters: (&ServerMeters, &[ServerMeters])) -> model::Backend {
        let configured = &self.config.proxy.backends[index];
        let shared = self.shared.backend(BackendIndex(index as u16));
        let states = control.states(index);
        let servers: Vec<_> = states
            .iter()
            .zip(meters.1)
            .enumerate()
            .map(|(place, (state, meters))| self.server((index, place), state, control, meters))
            .collect();
        let in_flight = servers.iter().map(|server| server.in_flight.now).sum();
        let is_up = control.pool(index).usable().0 > 0;
        let is_known = states.iter().any(|state| state.status != units::Status::Unknown);
        model::Backend {
            name: configured.name.clone(),
            mode: self.mode_of_backend(BackendIndex(index as u16)),
            algorithm: word_of(&configured.pool.algorithm),
            status: match (is_up, is_known) {
                (true, _) => units::Status::Up,
                (false, true) => units::Status::Down,
                (false, false) => units::Status::Unknown,
            },
            queue: meters.0.queue.level(u64::from(shared.waiting()), Some(u64::from(configured.max_queue))),
            queued_us: self.sum(|worker| &worker.backends[index].queued_micros),
            in_flight: meters.0.in_flight.level(in_flight, configured.pool.max_in_flight.map(u64::from)),
            deliver: word_of_mode(configured.deliver.mode).to_owned(),
            traffic: self.traffic(meters.0, |worker| &worker.backends[index]),
            stick: self.stick(index, shared),
            classes: classes_of(configured, shared),
            quorum: quorum_of(control.pool(index), self.config.backend_notify[index].counts),
            servers,
        }
    }

    fn server(
        &self,
        (backend, place): (usize, usize),
        state: &ServerState,
        control: &Control,
        meters: &ServerMeters,
    ) -> model::Server {
        let checked = &control.checked(backend)[place];
        let configured = &self.config.proxy.backends[backend];
        let pooled = &configured.pool.servers[place];
        let shared = self.shared.backend(BackendIndex(backend as u16));
        let index = ServerIndex(place as u16);
        let in_flight = shared.in_flight(index);
        let redirect = checked.place.as_ref().map(|to| model::Redirect {
            to: to.base.clone(),
            why_not: to.why_not(state),
            in_flight: u64::from(in_flight.saturating_sub(shared.relayed(index))),
            check: to.check.as_ref().map(|check| check_of(&[check.known], check.last)),
        });
        let class = pooled.class.map(|class| configured.pool.classes[usize::from(class.0)].name.clone());
        model::Server {
            name: pooled.name.clone(),
            address: configured.servers[place].address.to_string(),
            status: state.status,
            admin: state.admin,
            weight: u64::from(state.weight.get()),
            effective_weight: u64::from(state.effective.get()),
            tier: pooled.tier,
            sorry: pooled.sorry,
            class,
            zone: pooled.zone.map(|zone| self.config.proxy.zones[usize::from(zone.0)].name.clone()),
            in_flight: meters.in_flight.level(u64::from(in_flight), pooled.max_in_flight.map(u64::from)),
            idle_connections: self.sum(|worker| &worker.servers[backend][place].idle),
            traffic: self.traffic(meters, |worker| &worker.servers[backend][place]),
            last_change_s: unix(SystemTime::now()).saturating_sub(checked.changed_unix),
            check: (!checked.checks.is_empty()).then(|| check_of(&checked.checks, checked.why())),
            redirect,
            link: control.link(backend, place),
            handshakes: configured.servers[place]
                .tls
                .as_ref()
                .map(|_| self.handshakes(|worker| &worker.servers[backend][place].handshakes)),
        }
    }

    fn handshakes<'a>(&'a self, pick: impl Fn(&'a WorkerStats) -> &'a proxy::Handshakes) -> model::Handshakes {
        model::Handshakes {
            full: self.sum(|worker| &pick(worker).full),
            resumed: self.sum(|worker| &pick(worker).resumed),
        }
    }

    fn traffic<'a>(&'a self, meters: &ServerMeters, pick: impl Fn(&'a WorkerStats) -> &'a ServerStats) -> Traffic {
        Traffic {
            requests: self.sum(|worker| &pick(worker).requests),
            request_rate: meters.requests.rate(),
            responses: self.classes(|worker| &pick(worker).answers),
            bytes_in: self.sum(|worker| &pick(worker).bytes_in),
            bytes_out: self.sum(|worker| &pick(worker).bytes_out),
            connection_errors: self.sum(|worker| &pick(worker).connect_errors),
            response_errors: self.sum(|worker| &pick(worker).response_errors),
            retries: self.sum(|worker| &pick(worker).retries),
            redispatches: self.sum(|worker| &pick(worker).redispatches),
            redirects: self.sum(|worker| &pick(worker).redirected),
            client_aborts: self.sum(|worker| &pick(worker).aborted),
            connections_opened: self.sum(|worker| &pick(worker).opened),
            connections_reused: self.sum(|worker| &pick(worker).reused),
            first_byte: self.histogram(|worker| &pick(worker).first_byte),
            total_time: self.histogram(|worker| &pick(worker).total),
        }
    }

    fn classes<'a>(&'a self, pick: impl Fn(&'a WorkerStats) -> &'a proxy::Classes) -> Classes {
        let of = |class: usize| self.sum(|worker| &pick(worker).0[class]);
        Classes {
            informational: of(0),
            success: of(1),
            redirection: of(2),
            client_error: of(3),
            server_error: of(4),
            other: of(5),
        }
    }

    fn histogram<'a>(&'a self, pick: impl Fn(&'a WorkerStats) -> &'a proxy::Histogram) -> Histogram {
        let mut histogram = Histogram::default();
        for (index, count) in histogram.counts.iter_mut().enumerate() {
            *count = self.sum(|worker| &pick(worker).buckets[index]);
        }
        histogram.sum_us = self.sum(|worker| &pick(worker).sum_micros);
        histogram
    }

    fn stick(&self, backend: usize, shared: &BackendShared) -> Option<model::Stick> {
        let (entries, capacity) = shared.remembered()?;
        Some(model::Stick {
            entries: entries as u64,
            capacity: capacity as u64,
            hits: self.sum(|worker| &worker.backends[backend].stick_hits),
            misses: self.sum(|worker| &worker.backends[backend].stick_misses),
        })
    }

    fn refused(&self, frontend: usize) -> BTreeMap<String, u64> {
        let counted = Reason::all().enumerate().filter(|(_, reason)| reason.is_refusal());
        let counted = counted.map(|(index, reason)| (reason, self.sum(|w| &w.frontends[frontend].reasons[index])));
        named(counted)
    }

    fn reasons(&self) -> BTreeMap<String, u64> {
        let frontends = 0..self.config.proxy.frontends.len();
        let of_all = |index: usize| frontends.clone().map(|f| self.sum(|w| &w.frontends[f].reasons[index])).sum();
        named(Reason::all().enumerate().map(|(index, reason)| (reason, of_all(index))))
    }

    fn mode_of_backend(&self, backend: BackendIndex) -> Mode {
        let serves = |frontend: &&proxy::config::Frontend| {
            frontend.default == Some(proxy::config::Answer::Backend(backend))
                && frontend.mode == proxy::config::Mode::Tcp
        };
        match self.config.proxy.frontends.iter().find(serves) {
            Some(_) => Mode::Tcp,
            None => Mode::Http,
        }
    }

    fn process(&self) -> ProcessStats {
        let (all, resident) = self.own.memory();
        let usage = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        ProcessStats {
            workers: self.shared.workers().len() as u64,
            virtual_bytes: all,
            rss_bytes: resident,
            open_fds: self.own.descriptors(),
            max_fds: rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX),
            cpu_us: usage.tv_sec.unsigned_abs() * 1_000_000 + usage.tv_nsec.unsigned_abs() / 1000,
            log_lost: self.sum(|worker| &worker.log_lost),
        }
    }
}

impl Source for StatusSource {
    fn status(&self) -> Status {
        let meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
        let control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        self.looked.store(true, Ordering::Relaxed);
        let now = SystemTime::now();
        let taken = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let frontends = meters.frontends.iter().enumerate();
        let backends = meters.backends.iter().zip(&meters.servers).enumerate();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            generation: self.generation,
            pid: std::process::id(),
            started_unix: unix(self.started),
            uptime_s: now.duration_since(self.started).unwrap_or_default().as_secs(),
            taken_unix_ms: u64::try_from(taken.as_millis()).unwrap_or(u64::MAX),
            latency_bounds_us: units::latency::BOUNDS_MICROS.to_vec(),
            held_bounds_us: units::latency::HELD_BOUNDS_MICROS.to_vec(),
            frontends: frontends.map(|(index, meters)| self.frontend(index, meters)).collect(),
            backends: backends.map(|(index, (of, servers))| self.backend(index, &control, (of, servers))).collect(),
            reasons: self.reasons(),
            process: self.process(),
            peers: self.peers.get().and_then(Weak::upgrade).map(|peers| sharing::status(&peers)),
            applications: self.applications.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            vips: self.vips.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            certificates: self.certificates.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            name_service: self.names.get().map(|names| names::status(names)),
        }
    }

    fn command(&self, command: Command) -> Result<(), CommandError> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner).handle_command(command)
    }
}

/// What one or more checks found together; `last` is what the last outcome said.
fn check_of(known: &[health::Carried], last: Option<health::Outcome>) -> model::Check {
    let sum = |pick: fn(&health::Carried) -> u64| known.iter().map(pick).sum();
    let last = last.or(known.first().and_then(|first| first.last));
    model::Check {
        code: last.map_or("INI", |last| last.finding.haproxy_code()).to_owned(),
        http_status: last.and_then(|last| last.status),
        duration_us: last.map_or(0, |last| last.took.as_micros() as u64),
        failures: sum(|check| check.failures),
        downs: sum(|check| check.downs),
        text: last.map_or_else(|| "no answer yet".to_owned(), |last| last.to_string()),
    }
}

fn classes_of(backend: &proxy::config::Backend, shared: &BackendShared) -> Vec<model::Class> {
    let of_class = |(class, index): (&balance::ClassConfig, u16)| model::Class {
        name: class.name.clone(),
        in_flight: u64::from(shared.in_flight_of(ClassIndex(index))),
        limit: shared.class_limit(ClassIndex(index)).map(u64::from),
    };
    backend.pool.classes.iter().zip(0..).map(of_class).collect()
}

/// What is told of a quorum that the text speaks of.
fn quorum_of(pool: &balance::Pool, counts: bool) -> Option<model::Quorum> {
    let balance::Quorum { weight, hysteresis } = pool.config().quorum;
    counts.then(|| model::Quorum {
        is_there: pool.quorum(),
        weight: u64::from(pool.usable_weight()),
        wanted: u64::from(weight),
        hysteresis: u64::from(hysteresis),
        sorry: pool.is_sorry(),
    })
}

fn named(counted: impl Iterator<Item = (Reason, u64)>) -> BTreeMap<String, u64> {
    let mut named = BTreeMap::new();
    for (reason, count) in counted {
        *named.entry(reason.as_str().to_owned()).or_default() += count;
    }
    named
}

fn mode_of(mode: proxy::config::Mode) -> Mode {
    match mode {
        proxy::config::Mode::Http => Mode::Http,
        proxy::config::Mode::Tcp => Mode::Tcp,
    }
}

/// The configuration's word.
fn word_of_mode(deliver: DeliverMode) -> &'static str {
    match deliver {
        DeliverMode::Proxy => "proxy",
        DeliverMode::Redirect => "redirect",
        DeliverMode::Auto => "auto",
    }
}

/// The configuration's word.
fn word_of(algorithm: &Algorithm) -> String {
    match algorithm {
        Algorithm::RoundRobin => "round-robin".to_owned(),
        Algorithm::LeastConnections => "least-connections".to_owned(),
        Algorithm::Source => "source".to_owned(),
        Algorithm::Uri => "uri".to_owned(),
        Algorithm::Header(name) => format!("header:{name}"),
        Algorithm::Maglev => "maglev".to_owned(),
        Algorithm::Random => "random".to_owned(),
        Algorithm::First => "first".to_owned(),
        Algorithm::Bandwidth => "bandwidth".to_owned(),
    }
}

fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
