//! The tables of who has which server, and the other directors that know of them.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use admin::model::Peer;
use anyhow::Context;
use balance::Stick;
use config::Config;
use peers::{Peers, PeersConfig, Table, What};
use proxy::config::StickBy;
use tokio::sync::mpsc;

use crate::event::{Event, Kind};
use crate::log::Level;

/// How long a process whose tables are empty waits for what another director knows, before it serves. A table of the
/// usual size takes some milliseconds on its way; who cannot be reached, or does not answer, must not keep clients
/// waiting for longer than a reload would.
const LEARN_PATIENCE: Duration = Duration::from_secs(1);

/// What it takes to share the tables, not yet moving.
pub(super) struct Sharing {
    config: PeersConfig,
    listener: TcpListener,
    tables: Vec<Table>,
}

/// The table in this memory.
pub(super) fn table(config: &Config, backend: usize, memory: &OwnedFd) -> anyhow::Result<Stick> {
    let stick = config.proxy.backends.get(backend).and_then(|backend| backend.stick.as_ref());
    let stick = stick.context("memory came that the configuration has no table for")?;
    let words = linux::map_words(memory.as_fd()).context("cannot map a table")?;
    anyhow::ensure!(words.len() >= Stick::words(stick.size), "memory came that is too small for its table");
    Ok(Stick::new(words, stick.ttl))
}

impl Sharing {
    /// `None`: there is nobody to share with.
    pub(super) fn new(config: &Config, listener: Option<TcpListener>, sticks: &[Option<Stick>]) -> Option<Sharing> {
        let backends = config.proxy.backends.iter().zip(sticks);
        let tables = backends.filter_map(|(backend, stick)| {
            let kind = match &backend.stick.as_ref()?.by {
                StickBy::Source => peers::Kind::Source,
                StickBy::Cookie(name) => peers::Kind::Cookie(name.clone()),
            };
            Some(Table { name: backend.name.clone(), kind, stick: (*stick)? })
        });
        Some(Sharing { config: config.peers.clone()?, listener: listener?, tables: tables.collect() })
    }

    /// Connects to the others. Tables that know nothing, as those of a director that starts have, are filled first.
    pub(super) async fn begin(self) -> anyhow::Result<(Arc<Peers>, mpsc::Receiver<peers::Event>)> {
        self.listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let now = linux::monotonic_seconds();
        let knows_nothing = self.tables.iter().all(|table| table.stick.is_empty(now));
        let (peers, events) = Peers::spawn(self.config, listener, self.tables);
        if knows_nothing {
            peers.learn(LEARN_PATIENCE).await;
        }
        Ok((Arc::new(peers), events))
    }
}

/// What happened between this director and another, for operators.
pub(super) fn event(event: &peers::Event, generation: u64) -> Event {
    let peer = event.peer;
    let (level, kind, text) = match &event.what {
        What::Connected => {
            (Level::Info, Kind::PeerConnected, format!("{peer} is told which servers clients are given"))
        }
        What::Lost(why) => {
            (Level::Warn, Kind::PeerLost, format!("{peer} is not told which servers clients are given: {why}"))
        }
        What::Refused(reason) => {
            (Level::Warn, Kind::PeerRefused, format!("{peer} is not listened to any more: {}", reason.reason()))
        }
    };
    Event::new(level, kind, &format!("peer/{peer}"), generation, &text)
}

/// What the status says of them.
pub(super) fn status(peers: &Peers) -> admin::model::Peers {
    let peers::Status { name, told, heard, sent, received, news, overflows, refused } = peers.status();
    let peer = |(address, connected): (SocketAddr, bool)| Peer { address: address.to_string(), connected };
    admin::model::Peers {
        name,
        peers: told.into_iter().map(peer).collect(),
        heard: heard.into_iter().map(|(name, _)| name).collect(),
        sent,
        received,
        news,
        overflows,
        refused: refused.into_iter().map(|(reason, count)| (reason.to_owned(), count)).collect(),
    }
}
