//! Open sockets from one supervisor to the next.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;

use config::Sources;
use linux::{Bind, Listener};
use serde::{Deserialize, Serialize};

use super::apps::{AppSocket, HeldApp};
use super::tables::{HeldTable, tables};
use super::{Checked, Group, Groups, Origin, Prepared, Refusal, cores, pings};
use crate::messages::Secrets;

/// A configuration's text, and the numbers of the descriptors that are open for it.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::supervisor) struct Held {
    texts: Vec<(String, String)>,
    base: PathBuf,
    groups: Vec<HeldGroup>,
    access_log: Option<RawFd>,
    /// Programs before this one had none.
    #[serde(default)]
    tables: Vec<HeldTable>,
    /// What TLS is made of; programs before this one had nothing of it.
    #[serde(default)]
    secrets: Secrets,
    /// Likewise.
    #[serde(default)]
    apps: Vec<HeldApp>,
}

#[derive(Debug, Serialize, Deserialize)]
struct HeldGroup {
    bind: HeldBind,
    inherited: bool,
    listeners: Vec<RawFd>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum HeldBind {
    Ip(SocketAddr),
    Interface { name: String, port: u16 },
    Udp(SocketAddr),
    Unix { path: PathBuf, mode: u32 },
}

impl Prepared {
    /// Its text and its descriptors, those that the service manager opened among them.
    pub(in crate::supervisor) fn held<'a>(&'a self, origin: &'a Origin) -> (Held, Vec<BorrowedFd<'a>>) {
        let mut groups: Vec<&Arc<Group>> = Vec::new();
        for group in self.groups().chain(&origin.inherited) {
            if !groups.iter().any(|known| Arc::ptr_eq(known, group)) {
                groups.push(group);
            }
        }
        let mut fds: Vec<BorrowedFd<'_>> = groups.iter().flat_map(|group| &group.listeners).map(AsFd::as_fd).collect();
        fds.extend(self.access_log.iter().map(AsFd::as_fd));
        fds.extend(self.tables().map(|table| table.memory.as_fd()));
        fds.extend(self.apps.iter().map(|socket| socket.as_fd()));
        let held = Held {
            texts: self.sources.texts(),
            base: self.sources.base().to_owned(),
            groups: groups.into_iter().map(|group| HeldGroup::new(group)).collect(),
            access_log: self.access_log.as_ref().map(AsRawFd::as_raw_fd),
            tables: self.tables().map(|table| HeldTable::new(table)).collect(),
            secrets: self.secrets(origin),
            apps: self.apps.iter().map(|socket| HeldApp::new(socket)).collect(),
        };
        (held, fds)
    }

    /// The paths of its own sockets that `next` does not have.
    pub(in crate::supervisor) fn left_behind(&self, next: &Prepared) -> Vec<PathBuf> {
        let gone = self.groups().filter(|group| !next.groups().any(|other| Arc::ptr_eq(group, other)));
        gone.filter_map(|group| match (&group.bind, group.inherited) {
            (Bind::Unix { path, .. }, false) => Some(path.clone()),
            _ => None,
        })
        .collect()
    }
}

impl Held {
    /// Whether this version can run it; opens nothing.
    pub(in crate::supervisor) fn check(&self, origin: &Origin) -> Result<Checked, Refusal> {
        let sources = Sources::from_texts(self.texts.clone(), self.base.clone());
        origin.check_sources(sources, Some(self.secrets.material()))
    }

    /// Takes the descriptors over. What the configuration needs beside them is opened.
    pub(in crate::supervisor) fn take_over(self, origin: &mut Origin) -> Result<Prepared, Refusal> {
        let Checked { config, sources, user, found } = self.check(origin)?;
        if let Some(tickets) = self.secrets.tickets() {
            origin.tickets = tickets;
        }
        let failed = |error: io::Error| Refusal::Failed(format!("a descriptor was not handed over: {error}"));
        let mut groups = Vec::new();
        for group in self.groups {
            groups.push(Arc::new(group.take_over().map_err(failed)?));
        }
        let mut held = Vec::new();
        for table in self.tables {
            held.push(table.take_over().map_err(failed)?);
        }
        let tables = tables(&config, &held)?;
        let mut held: Vec<Arc<AppSocket>> = Vec::new();
        for app in self.apps {
            held.push(app.take_over().map_err(failed)?);
        }
        held.iter().for_each(|socket| origin.know_app(socket));
        let apps = origin.apps.get_mut().open(&config, user.as_deref())?;
        let access_log = self.access_log.map(linux::inherited_descriptor).transpose().map_err(failed)?;
        origin.inherited = groups.iter().filter(|group| group.inherited).cloned().collect();
        let workers = config.process.workers.map_or_else(cores, usize::from);
        let Groups { listens, admin, peers, names } = origin.groups(&config, workers, &groups)?;
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
}

impl HeldGroup {
    fn new(group: &Group) -> HeldGroup {
        let bind = match group.bind.clone() {
            Bind::Ip(address) => HeldBind::Ip(address),
            Bind::Interface { name, port } => HeldBind::Interface { name, port },
            Bind::Udp(address) => HeldBind::Udp(address),
            Bind::Unix { path, mode } => HeldBind::Unix { path, mode },
        };
        let listeners = group.listeners.iter().map(|listener| listener.as_fd().as_raw_fd()).collect();
        HeldGroup { bind, inherited: group.inherited, listeners }
    }

    fn take_over(self) -> io::Result<Group> {
        let bind = match self.bind {
            HeldBind::Ip(address) => Bind::Ip(address),
            HeldBind::Interface { name, port } => Bind::Interface { name, port },
            HeldBind::Udp(address) => Bind::Udp(address),
            HeldBind::Unix { path, mode } => Bind::Unix { path, mode },
        };
        let taken: io::Result<Vec<OwnedFd>> = self.listeners.into_iter().map(linux::inherited_descriptor).collect();
        let listeners: io::Result<Vec<Listener>> = taken?.into_iter().map(Listener::from_fd).collect();
        Ok(Group { bind, listeners: listeners?, inherited: self.inherited })
    }
}
