//! From a configuration's text to everything that a serving process is handed.

mod apps;
mod held;
mod tables;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io;
use std::net::UdpSocket;
use std::num::NonZero;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use check::{Kind, Target};
use config::{AccessLog, Config, Sources};
use linux::{Bind, CapabilitySet, Listener};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::geteuid;
use scripts::Fifo;
use tls::{Material, TicketSecret};

use super::looks;
use crate::beats;
use crate::certificates::{self, Found};
use crate::log;
use crate::messages::{Secrets, Socket, Start, Texts};
use crate::quickstart;

pub(super) use apps::{AppSocket, HeldApp};
pub(super) use held::Held;
use tables::{Table, tables};

/// Whom the serving process becomes when root starts it and the configuration names nobody.
const UNPRIVILEGED: &str = "nobody";

/// A configuration that is right for this machine.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) config: Config,
    sources: Sources,
    user: Option<String>,
    found: Found,
}

/// A configuration that can be run: checked, its sockets open.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) config: Config,
    sources: Sources,
    workers: usize,
    user: Option<String>,
    /// In step with `config.listens`.
    listens: Vec<Arc<Group>>,
    admin: Option<Arc<Group>>,
    peers: Option<Arc<Group>>,
    /// Of the name service: for each bind one for TCP and one for UDP.
    names: Vec<Arc<Group>>,
    /// By backend.
    tables: Vec<Option<Arc<Table>>>,
    access_log: Option<OwnedFd>,
    /// What TLS is made of; in the place of what is wrong by now, what was there before.
    pub(super) found: Found,
    /// In step with `config.applications`.
    apps: Vec<Arc<AppSocket>>,
    /// For checks by echo requests: whether it is of ICMPv6, and the socket.
    pings: Vec<(bool, UdpSocket)>,
}

/// The sockets of one bind. They stay open while any configuration that is held has the bind.
#[derive(Debug)]
struct Group {
    bind: Bind,
    listeners: Vec<Listener>,
    /// Whether the service manager opened it: then its path is not ours to remove.
    inherited: bool,
}

/// What a configuration listens at.
#[derive(Debug)]
struct Groups {
    /// In step with `config.listens`.
    listens: Vec<Arc<Group>>,
    admin: Option<Arc<Group>>,
    peers: Option<Arc<Group>>,
    names: Vec<Arc<Group>>,
}

/// Why a configuration is not run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is wrong; the text has lines of its own.
    Wrong(String),
    /// It is right, but this machine does not let it run.
    Failed(String),
}

/// Where configurations come from.
#[derive(Debug)]
pub(super) struct Origin {
    /// A file or folder; `None`: the folder that the command was started in.
    pub(super) path: Option<PathBuf>,
    /// Kinds of parts that are left out.
    pub(super) without: Vec<String>,
    inherited: Vec<Arc<Group>>,
    /// What tickets are made of where no file says it: as long as the service lasts, so that its clients resume.
    tickets: TicketSecret,
    apps: RefCell<apps::Sockets>,
}

impl Origin {
    /// Lets go of what the service manager opened.
    pub(super) fn close(&mut self) {
        self.inherited.clear();
    }

    /// Takes over what the service manager opened.
    pub(super) fn new(path: Option<PathBuf>, without: Vec<String>) -> anyhow::Result<Origin> {
        let inherited = linux::inherited_listeners().into_iter().filter_map(|listener| {
            let bind = bind_of(&listener)?;
            Some(Arc::new(Group { bind, listeners: vec![listener], inherited: true }))
        });
        Ok(Origin { inherited: inherited.collect(), ..Origin::of_successor(path, without)? })
    }

    /// For a supervisor that takes the place of another: nothing comes from the service manager.
    pub(super) fn of_successor(path: Option<PathBuf>, without: Vec<String>) -> anyhow::Result<Origin> {
        Ok(Origin { path, without, inherited: Vec::new(), tickets: TicketSecret::random()?, apps: RefCell::default() })
    }

    /// Has sockets of applications beside the control socket; none is left of a service that has died.
    pub(super) fn begin_apps(&mut self, control: &Path) {
        self.apps = RefCell::new(apps::Sockets::beside(control));
        self.apps.get_mut().sweep();
    }

    /// Likewise, and those that are there are taken over.
    pub(super) fn take_over_apps(&mut self, control: &Path) {
        self.apps = RefCell::new(apps::Sockets::beside(control));
    }

    /// Goes on with a socket that another supervisor opened.
    pub(super) fn know_app(&self, socket: &Arc<AppSocket>) {
        self.apps.borrow_mut().know(socket);
    }

    /// Reads and checks; opens nothing.
    pub(super) fn check(&self) -> Result<Checked, Refusal> {
        let sources = match &self.path {
            Some(path) => Sources::read(path)
                .map_err(|error| Refusal::Wrong(format!("perron: {:#}\n", anyhow::Error::new(error))))?,
            None => quickstart::sources().map_err(|error| Refusal::Failed(error.to_string()))?,
        };
        self.check_sources(sources, None)
    }

    /// `held` is what another supervisor had of the files, which are read otherwise.
    fn check_sources(&self, sources: Sources, held: Option<Material>) -> Result<Checked, Refusal> {
        let loaded = config::load(&sources).map_err(|wrong| Refusal::Wrong(wrong.to_string()))?;
        for warning in &loaded.warnings.0 {
            log::warn(&warning.message, &[("at", &warning.at.place)]);
        }
        let mut config = loaded.config;
        self.leave_out(&mut config)?;
        see_capabilities(&config)?;
        let user = choose_user(&config)?;
        see_programs(&config, user.as_deref())?;
        see_applications(&config)?;
        see_looks(&config, user.as_deref())?;
        let found = see_certificates(&config, held)?;
        Ok(Checked { config, sources, user, found })
    }

    /// Opens what the configuration needs; what `before` holds open is taken over as it is.
    pub(super) fn open(&self, checked: Checked, before: Option<&Prepared>) -> Result<Prepared, Refusal> {
        let Checked { config, sources, user, found } = checked;
        let workers = config.process.workers.map_or_else(cores, usize::from);
        let held: Vec<Arc<Table>> = before.into_iter().flat_map(Prepared::tables).cloned().collect();
        let before: Vec<Arc<Group>> = before.into_iter().flat_map(Prepared::groups).cloned().collect();
        let Groups { listens, admin, peers, names } = self.groups(&config, workers, &before)?;
        let tables = tables(&config, &held)?;
        let access_log = open_access_log(&config.process.access_log)?;
        if let Some(path) = &config.notify_fifo {
            Fifo::open(path).map_err(|error| Refusal::Failed(format!("notify-fifo: {error}")))?;
        }
        let apps = self.apps.borrow_mut().open(&config, user.as_deref())?;
        let pings = pings(&config)?;
        Ok(Prepared {
            config,
            sources,
            workers,
            user,
            listens,
            admin,
            peers,
            names,
            tables,
            access_log,
            found,
            apps,
            pings,
        })
    }

    /// The sockets of a configuration's binds, of its dashboard, for its peers and of its name service, of those held or
    /// new ones.
    fn groups(&self, config: &Config, workers: usize, held: &[Arc<Group>]) -> Result<Groups, Refusal> {
        let mut listens = Vec::with_capacity(config.listens.len());
        for listen in &config.listens {
            listens.push(self.group(&listen.bind, workers, held)?);
        }
        let admin = match config.admin.bind {
            Some(address) => Some(self.group(&Bind::Ip(address), 1, held)?),
            None => None,
        };
        let peers = match &config.peers {
            Some(peers) => Some(self.group(&Bind::Ip(peers.bind), 1, held)?),
            None => None,
        };
        let mut names = Vec::new();
        for address in config.dns.iter().flat_map(|dns| &dns.binds) {
            names.push(self.group(&Bind::Ip(*address), 1, held)?);
            names.push(self.group(&Bind::Udp(*address), 1, held)?);
        }
        Ok(Groups { listens, admin, peers, names })
    }

    /// Refuses parts that this version cannot run, unless they were left out by choice.
    fn leave_out(&self, config: &mut Config) -> Result<(), Refusal> {
        for part in config.leave_out(&self.without) {
            log::warn("left out, as asked for by --without", &[("part", &part.part), ("at", &part.place)]);
        }
        let mut refused = String::new();
        for later in &config.later {
            let or = later.kind().map_or(String::new(), |kind| format!(", or start with --without {kind}"));
            refused +=
                &format!("{}: error: {}: this version cannot run it yet; take it out{or}\n", later.place, later.part);
        }
        if refused.is_empty() { Ok(()) } else { Err(Refusal::Wrong(refused)) }
    }

    fn group(&self, bind: &Bind, count: usize, held: &[Arc<Group>]) -> Result<Arc<Group>, Refusal> {
        let mut held = held.iter().chain(&self.inherited);
        if let Some(group) = held.find(|group| same_place(&group.bind, bind)) {
            return adopt(group, bind);
        }
        let opened = bind.open(count).map_err(|error| Refusal::Failed(error.to_string()))?;
        Ok(Arc::new(Group { bind: bind.clone(), listeners: opened, inherited: false }))
    }
}

impl Prepared {
    /// The first message to a serving process, and its descriptors.
    pub(super) fn start(
        &self,
        origin: &Origin,
        generation: u64,
        state: Option<serde_json::Value>,
        beats: Option<OwnedFd>,
    ) -> io::Result<(Start, Vec<OwnedFd>)> {
        let mut sockets = Vec::new();
        let mut fds = Vec::new();
        let listens = self.listens.iter().enumerate().map(|(listen, group)| (Socket::Listen { listen }, group));
        let admin = self.admin.iter().map(|group| (Socket::Admin, group));
        let peers = self.peers.iter().map(|group| (Socket::Peers, group));
        let names = self.names.iter().map(|group| match group.bind {
            Bind::Udp(_) => (Socket::NameUdp, group),
            _ => (Socket::NameTcp, group),
        });
        for (socket, group) in listens.chain(admin).chain(peers).chain(names) {
            for listener in &group.listeners {
                sockets.push(socket);
                fds.push(listener.try_clone()?.into());
            }
        }
        for (backend, table) in self.tables.iter().enumerate() {
            if let Some(table) = table {
                sockets.push(Socket::Table { backend });
                fds.push(table.memory.try_clone()?);
            }
        }
        for (v6, socket) in &self.pings {
            sockets.push(Socket::Ping { v6: *v6 });
            fds.push(socket.try_clone()?.into());
        }
        if let Some(memory) = beats {
            sockets.push(Socket::Beats);
            fds.push(memory);
        }
        if let Some(file) = &self.access_log {
            sockets.push(Socket::AccessLog);
            fds.push(file.try_clone()?);
        }
        let start = Start {
            generation,
            texts: self.sources.texts(),
            base: self.sources.base().to_owned(),
            workers: self.workers,
            user: self.user.clone(),
            sockets,
            state,
            vips: !self.config.failover.vips.is_empty(),
            told: super::network::are_told(&self.config),
            forwards: !self.config.forward.frontends.is_empty(),
            secrets: self.secrets(origin),
            applications: self.apps.iter().map(|socket| socket.path.clone()).collect(),
        };
        Ok((start, fds))
    }

    /// What TLS is made of.
    pub(super) fn secrets(&self, origin: &Origin) -> Secrets {
        let account = self.config.acme.as_ref().and_then(super::authority::account);
        Secrets::new(&self.found.material, &origin.tickets).with_account(account)
    }

    /// The sockets of its applications.
    pub(super) fn apps(&self) -> &[Arc<AppSocket>] {
        &self.apps
    }

    /// Its text.
    pub(super) fn texts(&self) -> Texts {
        Texts { texts: self.sources.texts(), base: self.sources.base().to_owned() }
    }

    /// Whom processes become.
    pub(super) fn user(&self) -> Option<String> {
        self.user.clone()
    }

    /// Whether an address depends on a serving process that is not hung.
    pub(super) fn needs_beats(&self) -> bool {
        beats::interval(&self.config.failover).is_some()
    }

    /// Opens the access log anew, after someone renamed it. `None`: it has no name.
    pub(super) fn reopen_access_log(&mut self) -> Result<Option<OwnedFd>, String> {
        let AccessLog::File(_) = self.config.process.access_log else {
            return Ok(None);
        };
        let opened = open_access_log(&self.config.process.access_log);
        let Ok(Some(file)) = opened else {
            return Err("the access log could not be opened anew".to_owned());
        };
        let copy = file.try_clone().map_err(|error| error.to_string())?;
        self.access_log = Some(file);
        Ok(Some(copy))
    }

    /// Where it listens, for the log.
    pub(super) fn addresses(&self) -> String {
        let mut words: Vec<String> = self.listens.iter().map(|group| group.bind.to_string()).collect();
        words.dedup();
        words.join(" ")
    }

    /// The dashboard's URL, for the log.
    pub(super) fn dashboard(&self) -> String {
        self.config.admin.bind.map_or_else(|| "off".to_owned(), |address| format!("http://{address}/"))
    }

    /// How many workers a serving process has, and whom it runs as.
    pub(super) fn describe(&self) -> (usize, &str) {
        (self.workers, self.user.as_deref().unwrap_or("whoever started it"))
    }

    /// Closes the sockets.
    pub(super) fn close(&mut self) {
        self.listens.clear();
        self.admin = None;
        self.peers = None;
        self.names.clear();
    }

    fn groups(&self) -> impl Iterator<Item = &Arc<Group>> {
        self.listens.iter().chain(&self.admin).chain(&self.peers).chain(&self.names)
    }

    fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.iter().flatten()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let (Bind::Unix { path, .. }, false) = (&self.bind, self.inherited) {
            // A path that is gone already is as good.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Permission bits do not make a unix socket another place.
fn same_place(one: &Bind, other: &Bind) -> bool {
    match (one, other) {
        (Bind::Unix { path: one, .. }, Bind::Unix { path: other, .. }) => one == other,
        _ => one == other,
    }
}

fn adopt(group: &Arc<Group>, bind: &Bind) -> Result<Arc<Group>, Refusal> {
    if let (Bind::Unix { path, mode }, false) = (bind, group.inherited) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(*mode))
            .map_err(|error| Refusal::Failed(format!("cannot set the mode of {}: {error}", path.display())))?;
    }
    Ok(Arc::clone(group))
}

fn bind_of(listener: &Listener) -> Option<Bind> {
    Some(match listener {
        Listener::Tcp(tcp) => Bind::Ip(tcp.local_addr().ok()?),
        Listener::Udp(udp) => Bind::Udp(udp.local_addr().ok()?),
        Listener::Unix(unix) => {
            let path = unix.local_addr().ok()?.as_pathname()?.to_owned();
            Bind::Unix { path, mode: 0o660 }
        }
    })
}

/// Whom to become; nobody when there is nothing to give up.
fn choose_user(config: &Config) -> Result<Option<String>, Refusal> {
    let named = config.process.user.as_deref();
    if !geteuid().is_root() {
        if let Some(user) = named {
            log::warn("only root can serve as another user; serving as whoever started this", &[("user", &user)]);
        }
        return Ok(None);
    }
    let user = named.unwrap_or(UNPRIVILEGED);
    match linux::User::named(user) {
        Ok(Some(_)) => Ok(Some(user.to_owned())),
        Ok(None) => Err(Refusal::Wrong(format!(
            "this system has no user {user}; make one, or name another: [process] user = \"…\"\n"
        ))),
        Err(error) => Err(Refusal::Failed(format!("cannot look up the user {user}: {error}"))),
    }
}

/// What is said where the right to it is missing.
const CANNOT_FORWARD: &str = "having the kernel forward needs CAP_NET_ADMIN, which this process lacks: start it as root, \
                              or have systemd grant it (AmbientCapabilities=CAP_NET_ADMIN)";

/// Addresses are moved, and what the kernel forwards is kept, by a process that this one starts, which can have no more than this one has.
fn see_capabilities(config: &Config) -> Result<(), Refusal> {
    if config.failover.vips.is_empty() {
        let lacks = !config.forward.frontends.is_empty() && !linux::is_capable(CapabilitySet::NET_ADMIN);
        return if lacks { Err(Refusal::Failed(CANNOT_FORWARD.to_owned())) } else { Ok(()) };
    }
    let needed = [("CAP_NET_ADMIN", CapabilitySet::NET_ADMIN), ("CAP_NET_RAW", CapabilitySet::NET_RAW)];
    let missing: Vec<&str> =
        needed.iter().filter(|(_, capability)| !linux::is_capable(*capability)).map(|(name, _)| *name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Refusal::Failed(format!(
        "moving addresses needs {}, which this process lacks: start it as root, have systemd grant it \
         (AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW), or start with --without vip",
        missing.join(" and ")
    )))
}

/// Programs that somebody else could have changed are not run.
fn see_programs(config: &Config, user: Option<&str>) -> Result<(), Refusal> {
    let backends = config.backend_notify.iter().flat_map(|of| of.servers.iter().chain([&of.quorum]));
    let told = config.vip_notify.iter().chain(&config.group_notify).chain(backends);
    scripts::check(user, &config.watches, told).map_err(|unfit| {
        let lines = unfit.iter().map(|(command, why)| format!("error: {}: {why}\n", command.words.join(" ")));
        Refusal::Wrong(lines.collect())
    })
}

/// Likewise those of checks.
fn see_looks(config: &Config, user: Option<&str>) -> Result<(), Refusal> {
    let plan = looks::plan(config);
    scripts::check_looks(user, plan.values()).map_err(|unfit| {
        let lines = unfit.iter().map(|(command, why)| format!("error: {}: {why}\n", command.words.join(" ")));
        Refusal::Wrong(lines.collect())
    })
}

/// A socket of each family in which checks send echo requests.
fn pings(config: &Config) -> Result<Vec<(bool, UdpSocket)>, Refusal> {
    let checks = config.checks.iter().flatten().flatten().filter(|check| check.kind == Kind::Ping);
    let families: BTreeSet<bool> = checks
        .filter_map(|check| match check.target {
            Target::Ip(address) => Some(address.is_ipv6()),
            _ => None,
        })
        .collect();
    let opened = families.into_iter().map(|v6| match linux::ping_socket(v6) {
        Ok(socket) => Ok((v6, socket)),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(Refusal::Failed(
            "checks of type ping need a group that may ping, which this process is not in (sysctl -w \
             net.ipv4.ping_group_range=\"0 2147483647\"), or CAP_NET_RAW, which it lacks: start it as root, or have \
             systemd grant it (AmbientCapabilities=CAP_NET_RAW)"
                .to_owned(),
        )),
        Err(error) => Err(Refusal::Failed(format!("no echo request can be sent: {error}"))),
    });
    opened.collect()
}

/// The files of TLS, which go together.
fn see_certificates(config: &Config, held: Option<Material>) -> Result<Found, Refusal> {
    let named = certificates::named(config);
    let found = match held.filter(|held| named.keys().all(|path| held.text(path).is_some())) {
        Some(material) => Found::held(material, &named),
        None => certificates::read_of(config).map_err(Refusal::Wrong)?,
    };
    let mut refused = String::new();
    for (part, finding) in certificates::judge(config, &found.material, SystemTime::now()) {
        match finding.severity {
            tls::Severity::Error => refused += &format!("error: {part}: {finding}\n"),
            tls::Severity::Warning => log::warn(&finding.to_string(), &[("in", &part)]),
            tls::Severity::Note => {}
        }
    }
    for path in &found.open_to_others {
        log::warn(certificates::OPEN_TO_OTHERS, &[("file", &path.display())]);
    }
    if refused.is_empty() { Ok(found) } else { Err(Refusal::Wrong(refused)) }
}

/// Applications that somebody else could have changed, or of which nobody said whom they run as, are not run.
fn see_applications(config: &Config) -> Result<(), Refusal> {
    let wrong = config.applications.iter().filter_map(|application| {
        let why = application.app.check().err()?;
        Some(format!("error: application {}: {why}\n", application.app.name))
    });
    let wrong: String = wrong.collect();
    if wrong.is_empty() { Ok(()) } else { Err(Refusal::Wrong(wrong)) }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

fn open_access_log(access_log: &AccessLog) -> Result<Option<OwnedFd>, Refusal> {
    let opened = match access_log {
        AccessLog::Off => return Ok(None),
        AccessLog::Stdout => io::stdout().as_fd().try_clone_to_owned(),
        AccessLog::Stderr => io::stderr().as_fd().try_clone_to_owned(),
        AccessLog::File(path) => {
            // A FIFO without a reader would have us wait for one.
            let at_once = OFlags::NONBLOCK.bits().cast_signed();
            let file = OpenOptions::new().append(true).create(true).mode(0o640).custom_flags(at_once).open(path);
            let file = file.and_then(|file| Ok(fcntl_setfl(&file, OFlags::APPEND).map(|()| file)?));
            return match file {
                Ok(file) => Ok(Some(file.into())),
                Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => {
                    Err(Refusal::Failed(format!(
                        "nobody reads the FIFO {}, which is to be the access log; start its reader first",
                        path.display()
                    )))
                }
                Err(error) => Err(Refusal::Failed(format!("cannot write the access log {}: {error}", path.display()))),
            };
        }
    };
    opened.map(Some).map_err(|error| Refusal::Failed(format!("cannot write the access log: {error}")))
}
