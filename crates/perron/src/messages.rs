//! What the supervisor and the processes that it starts say to each other.
//!
//! JSON bodies, with descriptors beside them. Both are this very program, but at an upgrade (see
//! `supervisor::upgrade`), when the older supervisor starts the newer process and the newer supervisor lets the older
//! process finish: a change that the other version would not understand raises [`FORMAT`].

mod network;
mod secrets;

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::event::Event;
pub(crate) use network::{FromNetwork, Prepare, Texts, ToNetwork};
pub(crate) use secrets::{FromAuthority, Secret, Secrets};

/// The version of these messages and of what one supervisor hands to the next. A running service can be upgraded to a
/// program of the same format, and must be started anew for another. Fields may be added with a default, and messages
/// that the older side never gets.
pub(crate) const FORMAT: u32 = 1;

/// How often a serving process says [`FromServe::Beat`].
pub(crate) const BEAT_INTERVAL: Duration = Duration::from_secs(1);

/// From the supervisor to a serving process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum ToServe {
    /// The first message, with one descriptor for each of [`Start::sockets`].
    Start(Box<Start>),
    /// Take no new connections, finish what is under way, then say [`FromServe::Drained`] and end; at the latest
    /// after this long.
    Drain {
        /// In milliseconds.
        timeout_ms: u64,
        /// Whether clients' kept connections count as under way, until each has had one more answer, which tells it
        /// that the connection ends. True when another process takes over, false when the service ends.
        kept_connections: bool,
    },
    /// End now, whatever is under way.
    Stop,
    /// Say [`FromServe::State`] now.
    Snapshot,
    /// Answer with [`FromServe::Reply`].
    Question {
        /// The number that the answer carries.
        id: u64,
        /// What is asked.
        question: Question,
    },
    /// Write the access log to the descriptor that comes with this.
    Reopen,
    /// Files of TLS have changed: what is in all of them.
    Secrets(Box<Secrets>),
    /// How the applications are that the service runs.
    Applications(Vec<admin::model::Application>),
    /// What was found out for a [`FromServe::Look`].
    Looked {
        /// Its number.
        id: u64,
        /// What was seen.
        report: LookReport,
    },
    /// What was asked for by [`FromServe::Look`] so far is not answered any more.
    LooksLost,
    /// How the addresses are that move. Sent to processes whose [`Start::vips`] is true.
    Vips(Box<failover::Report>),
}

/// From a serving process to the supervisor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum FromServe {
    /// Clients are being served.
    Ready,
    /// It cannot serve, and ends.
    Failed {
        /// A sentence.
        why: String,
    },
    /// What the next serving process should know. Sent when asked, and by itself every few seconds.
    State {
        /// Only serving processes look into it.
        state: serde_json::Value,
    },
    /// The answer to a [`ToServe::Question`].
    Reply {
        /// The question's number.
        id: u64,
        /// What came of it; an error is a sentence.
        answer: Result<serde_json::Value, String>,
    },
    /// Something happened to a server. It is not logged here: the supervisor does that, and keeps it.
    Event(Event),
    /// A check wants to know how its program ends, or what its file says.
    Look {
        /// The number that the answer carries.
        id: u64,
        /// Which check of the configuration that this process was started with.
        place: CheckPlace,
    },
    /// An authority has given a certificate, or has not.
    Authority(FromAuthority),
    /// After [`ToServe::Drain`]: nothing is under way any more.
    Drained,
    /// It is not hung. Every [`BEAT_INTERVAL`], from [`ToServe::Start`] to its end.
    Beat,
    /// What serves here, whole: as it changes, if [`Start::vips`] or [`Start::told`] is true.
    Facts(failover::Facts),
    /// What the kernel is to forward, whole: as it changes, if [`Start::forwards`] is true.
    Forward(forward::Table),
    /// Somebody has looked at the addresses that move since the last beat; if [`Start::vips`] is true.
    Looked,
}

/// A check's place in `config::Config::checks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct CheckPlace {
    /// Its backend's.
    pub(crate) backend: usize,
    /// Its server's.
    pub(crate) server: usize,
    /// Its own.
    pub(crate) check: usize,
}

/// What was seen for a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum LookReport {
    /// The program ended by itself, with this status.
    Ended(i32),
    /// It was killed by a signal.
    Killed,
    /// It, or reading the file, took too long.
    TimedOut,
    /// It was not run, or the file not read.
    NotRun,
    /// There is no such file.
    Missing,
    /// The file holds this number, or nothing at all.
    Holds(Option<i64>),
    /// The file holds something else, or cannot be read.
    Unclear,
}

/// What a serving process needs to begin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Start {
    /// Counts the configurations of this service: 1 until the first reload.
    pub(crate) generation: u64,
    /// The configuration, as `config::Sources::from_texts` takes it; the supervisor has checked it.
    pub(crate) texts: Vec<(String, String)>,
    /// See `texts`.
    pub(crate) base: PathBuf,
    /// Worker threads.
    pub(crate) workers: usize,
    /// Whom to become before anything else; `None`: there is nothing to give up.
    pub(crate) user: Option<String>,
    /// What each descriptor is.
    pub(crate) sockets: Vec<Socket>,
    /// The last [`FromServe::State`] of the serving process before this one.
    pub(crate) state: Option<serde_json::Value>,
    /// Whether this director moves addresses.
    #[serde(default)]
    pub(crate) vips: bool,
    /// Whether anybody else depends on [`FromServe::Facts`].
    #[serde(default)]
    pub(crate) told: bool,
    /// Whether the kernel forwards for some frontends.
    #[serde(default)]
    pub(crate) forwards: bool,
    /// What TLS is made of.
    #[serde(default)]
    pub(crate) secrets: Secrets,
    /// Where the applications listen; in step with `config::Config::applications`.
    #[serde(default)]
    pub(crate) applications: Vec<PathBuf>,
}

/// What a descriptor that comes with [`ToServe::Start`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Socket {
    /// A listening socket of a frontend's bind. A TCP bind has as many as there are workers, or fewer; a unix one, one.
    Listen {
        /// The bind's place in `config::Config::listens`.
        listen: usize,
    },
    /// The listening socket of the dashboard.
    Admin,
    /// The access log, open for appending.
    AccessLog,
    /// The listening socket for other directors.
    Peers,
    /// The memory in which workers say that they are not hung. Only where an address depends on it.
    Beats,
    /// A socket of the name service for datagrams.
    NameUdp,
    /// A listening socket of the name service.
    NameTcp,
    /// A socket for echo requests.
    Ping {
        /// Of ICMPv6, otherwise of ICMP.
        v6: bool,
    },
    /// The memory of a table of who has which server.
    Table {
        /// The backend's place in the configuration.
        backend: usize,
    },
}

/// What the control socket passes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Question {
    /// An `admin::model::Status`.
    Status,
    /// Do this; the answer is null.
    Server(admin::Command),
}

/// The sending half of the connection, for a tokio runtime.
#[derive(Debug)]
pub(crate) struct LinkSender {
    sender: linux::Sender,
    readiness: Arc<UnixStream>,
}

/// The receiving half of the connection, for a tokio runtime.
#[derive(Debug)]
pub(crate) struct LinkReceiver {
    receiver: linux::Receiver,
    readiness: Arc<UnixStream>,
}

/// Splits a channel into two halves that wait without blocking their runtime.
///
/// `received` is the beginning of a message that an earlier receiver had; see [`LinkReceiver::into_parts`].
pub(crate) fn link(channel: linux::Channel, received: Vec<u8>) -> io::Result<(LinkSender, LinkReceiver)> {
    let socket = channel.into_fd();
    let stream = std::os::unix::net::UnixStream::from(socket.try_clone()?);
    stream.set_nonblocking(true)?;
    let readiness = Arc::new(UnixStream::from_std(stream)?);
    let (sender, receiver) = linux::Channel::from_fd(socket).resume(received)?;
    let sender = LinkSender { sender, readiness: Arc::clone(&readiness) };
    Ok((sender, LinkReceiver { receiver, readiness }))
}

impl LinkSender {
    /// Sends a message; dropped before its end, the rest goes out with the next one.
    pub(crate) async fn send<T: Serialize>(&mut self, message: &T, fds: Vec<OwnedFd>) -> io::Result<()> {
        self.sender.queue(serde_json::to_vec(message)?, fds)?;
        loop {
            match self.readiness.try_io(Interest::WRITABLE, || self.sender.try_flush()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readiness.writable().await?,
                done => return done,
            }
        }
    }
}

impl LinkReceiver {
    /// The next message; `None` when the other end is gone. Nothing is lost if it is dropped before its end.
    pub(crate) async fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        loop {
            match self.readiness.try_io(Interest::READABLE, || self.receiver.try_receive()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readiness.readable().await?,
                Err(error) => return Err(error),
                Ok(None) => return Ok(None),
                Ok(Some(received)) => return Ok(Some((serde_json::from_slice(&received.body)?, received.fds))),
            }
        }
    }

    /// The socket, and the beginning of a message that is not here whole.
    pub(crate) fn into_parts(self) -> (OwnedFd, Vec<u8>) {
        self.receiver.into_parts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_pass_with_their_descriptors_and_the_end_is_seen() {
        let (here, there) = linux::Channel::pair().unwrap();
        let (mut to, _) = link(here, Vec::new()).unwrap();
        let (_, mut from) = link(there, Vec::new()).unwrap();
        let file = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let state = serde_json::json!("x".repeat(1 << 20));
        let sending = tokio::spawn(async move {
            to.send(&ToServe::Reopen, vec![file]).await.unwrap();
            to.send(&FromServe::State { state }, Vec::new()).await.unwrap();
        });
        let (message, fds): (ToServe, _) = from.receive().await.unwrap().unwrap();
        assert_eq!((message, fds.len()), (ToServe::Reopen, 1));
        let (message, _): (FromServe, _) = from.receive().await.unwrap().unwrap();
        assert!(matches!(message, FromServe::State { state } if state.as_str().unwrap().len() == 1 << 20));
        sending.await.unwrap();
        assert!(from.receive::<FromServe>().await.unwrap().is_none());
    }
}
