//! The connections from peers, on which this director listens.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use wire::peer::{Parsed, parse_frame};

use super::{Shared, What, lock, now};
use crate::inbox::{Heard, Inbox, Refusal};

/// A connection without a frame for so long is ended: five heartbeats.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// Connections for each peer: the one that is listened to, its successor, and two that have not said who they are.
const CONNECTIONS_OF_PEER: usize = 4;

/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;

/// What the kernel could not give now it may give later.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts peers, and nobody else.
pub(super) async fn listen(shared: Arc<Shared>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(_) => {
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let ip = address.ip().to_canonical();
        if !shared.config.peers.iter().any(|peer| peer.ip().to_canonical() == ip) {
            shared.refuse(Refusal::Stranger);
        } else if connections.len() >= CONNECTIONS_OF_PEER * shared.lines.len() {
            shared.refuse(Refusal::TooMany);
        } else {
            connections.spawn(converse(Arc::clone(&shared), stream, address));
        }
    }
}

/// Listens to one connection to its end.
async fn converse(shared: Arc<Shared>, stream: TcpStream, address: SocketAddr) {
    let mut name = None;
    let superseded = Arc::new(Notify::new());
    let ended = tokio::select! {
        ended = hear(&shared, stream, address, &superseded, &mut name) => ended,
        () = superseded.notified() => Ok(()),
    };
    if let Some(name) = name {
        let mut heard = lock(&shared.heard);
        let key = (address.ip(), name);
        if heard.get(&key).is_some_and(|heard| heard.from == address) {
            heard.remove(&key);
        }
    }
    if let Err(reason) = ended {
        shared.refuse(reason);
        shared.say(address, What::Refused(reason));
    }
}

/// Reads frames until the peer ends the connection, or has to be refused.
pub(super) async fn hear(
    shared: &Shared,
    mut stream: impl AsyncRead + Unpin,
    address: SocketAddr,
    superseded: &Arc<Notify>,
    name: &mut Option<String>,
) -> Result<(), Refusal> {
    let mut inbox = Inbox::default();
    let mut bytes = Vec::new();
    loop {
        bytes.reserve(READ_BYTES);
        match timeout(SILENCE_MAX, stream.read_buf(&mut bytes)).await {
            Ok(Ok(0) | Err(_)) => return Ok(()),
            Ok(Ok(_)) => {}
            Err(_) => return Err(Refusal::Silent),
        }
        let mut at = 0;
        while let Parsed::Whole(frame, length) = parse_frame(&bytes[at..]).map_err(Refusal::Malformed)? {
            at += length;
            match inbox.handle(&frame, &shared.config.name, &shared.tables, now())? {
                Heard::Hello(said) => {
                    *name = Some(said.clone());
                    shared.greeted(address, said, superseded);
                }
                Heard::Entries { received, news } => {
                    shared.counters.received.fetch_add(received as u64, Relaxed);
                    shared.counters.news.fetch_add(news as u64, Relaxed);
                }
                Heard::Dumped => {
                    shared.learned.send_replace(true);
                }
                Heard::Heartbeat => {}
            }
        }
        bytes.drain(..at);
    }
}

impl Shared {
    /// A peer has said who it is. An older connection of the same is of a process that is gone; and one that has
    /// connected can be connected to.
    fn greeted(&self, address: SocketAddr, name: String, superseded: &Arc<Notify>) {
        let heard = super::Heard { from: address, superseded: Arc::clone(superseded) };
        if let Some(older) = lock(&self.heard).insert((address.ip(), name), heard) {
            older.superseded.notify_one();
        }
        let ip = address.ip().to_canonical();
        for line in self.lines.iter().filter(|line| line.address.ip().to_canonical() == ip) {
            if lock(&line.outbox).is_none() {
                line.is_there.notify_one();
            }
        }
    }
}
