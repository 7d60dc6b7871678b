//! What the supervisor and the process that moves addresses say to each other.

use std::path::PathBuf;

use failover::{Event, Facts, Order, Report, Role};
use serde::{Deserialize, Serialize};

/// From the supervisor to the process that moves addresses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum ToNetwork {
    /// The first message, with the descriptor of the memory of serving processes' beats: give up every privilege but
    /// those that it takes, and be ready.
    Start(Box<Prepare>),
    /// Go on with these roles: from now on the addresses are this process's.
    Go {
        /// Of the process before this one; empty: there is none.
        roles: Vec<Role>,
        /// See [`ToNetwork::Facts`].
        facts: Facts,
        /// See [`ToNetwork::Forward`]; `None`: it is not known yet, and what is there stays.
        #[serde(default)]
        forwarding: Option<forward::Table>,
        /// Services that a process before this one has made.
        #[serde(default)]
        forwarded: Vec<forward_plan::Key>,
    },
    /// Another configuration.
    Plan(Texts),
    /// What is known of the service, whole.
    Facts(Facts),
    /// What the kernel is to forward, whole.
    Forward(forward::Table),
    /// Answer with [`FromNetwork::Reply`].
    Order {
        /// The number that the answer carries.
        id: u64,
        /// A vip's name; `None`: all.
        vip: Option<String>,
        /// What an operator says.
        order: Order,
    },
    /// Say [`FromNetwork::Report`] now, and [`FromNetwork::Forwarding`] where the kernel forwards.
    Report,
    /// Let go of everything, but leave the addresses, and what is forwarded, as they are: say [`FromNetwork::Left`] and
    /// end.
    Leave,
    /// Give the addresses away, have nothing forwarded any more, and end.
    Stop,
}

/// From the process that moves addresses to the supervisor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum FromNetwork {
    /// [`ToNetwork::Go`] would be obeyed at once.
    Ready,
    /// It has begun.
    Began,
    /// It cannot do what it is there for, and ends.
    Failed {
        /// A sentence.
        why: String,
    },
    /// Something happened.
    Event(Event),
    /// How everything is: when something has changed, and when asked.
    Report(Report),
    /// How forwarding is: when something has changed, and when asked.
    Forwarding(forward::Report),
    /// Something happened to forwarding.
    Forwarded(forward::Event),
    /// An answer.
    Reply {
        /// The order's number.
        id: u64,
        /// What came of it; an error is a sentence.
        answer: Result<(), String>,
    },
    /// After [`ToNetwork::Leave`]: what the next one goes on with.
    Left(Vec<Role>),
    /// It is not hung. Every [`super::BEAT_INTERVAL`].
    Beat,
}

/// What the process needs to be ready.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Prepare {
    /// The configuration.
    pub(crate) texts: Texts,
    /// Whom to become; `None`: it stays who it is.
    pub(crate) user: Option<String>,
}

/// A configuration that the supervisor has checked, as `config::Sources::from_texts` takes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Texts {
    /// By file.
    pub(crate) texts: Vec<(String, String)>,
    /// What paths are relative to.
    pub(crate) base: PathBuf,
}
