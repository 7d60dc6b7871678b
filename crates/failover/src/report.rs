use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Upper bounds of [`Report::lateness`], in microseconds; a last count is of what was later.
pub const LATENESS_BOUNDS_US: [u64; 12] =
    [50, 100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 1_000_000];

/// How everything is, at one moment. Field names are stable: `perron vip list --json` and the API have them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// When, in milliseconds since 1970.
    pub taken_unix_ms: u64,
    /// In the order of the plan.
    pub vips: Vec<VipReport>,
    /// Adverts that belong to no vip or are none, by reason.
    pub refused: BTreeMap<String, u64>,
    /// How late timers were, one count for each of [`LATENESS_BOUNDS_US`] and one more.
    pub lateness: Vec<u64>,
    /// All of it together, in microseconds.
    #[serde(default)]
    pub lateness_sum_us: u64,
    /// Events that were lost because nobody took those before them.
    #[serde(default)]
    pub events_lost: u64,
    /// Whether the thread runs before others (SCHED_RR).
    pub realtime: bool,
    /// Whether the process's memory is held in place.
    pub memory_locked: bool,
}

/// How a vip is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VipReport {
    /// Its name in the configuration.
    pub name: String,
    /// Its group's name.
    pub group: Option<String>,
    /// Where adverts go.
    pub interface: String,
    /// The virtual router's number.
    pub vrid: u8,
    /// Of VRRP.
    pub version: u8,
    /// `initialize`, `backup`, `active` or `fault`.
    pub state: String,
    /// Since when, in milliseconds since 1970.
    pub since_unix_ms: u64,
    /// What brought it there, a phrase.
    pub why: String,
    /// Whether the addresses are up somewhere, as far as this director knows: here, or another's adverts are heard.
    pub up: bool,
    /// The active router's address and priority, if it is known.
    pub active: Option<(IpAddr, u8)>,
    /// In effect now.
    pub priority: u8,
    /// As it is written down.
    pub base_priority: u8,
    /// In milliseconds: this router's own.
    pub advert_interval_ms: u64,
    /// With their prefixes, excluded ones as well.
    pub addresses: Vec<String>,
    /// What an operator has said.
    pub hold: Option<Hold>,
    /// What it depends on.
    pub track: Vec<TrackReport>,
    /// Adverts sent.
    pub adverts_sent: u64,
    /// Adverts taken.
    pub adverts_received: u64,
    /// Adverts for this vip that were not believed, by reason.
    pub refused: BTreeMap<String, u64>,
    /// How often it became active.
    pub became_active: u64,
    /// Announcements sent: gratuitous ARP and unsolicited neighbour advertisements.
    pub announced: u64,
    /// Addresses, routes and rules that another program had removed and that were put back.
    pub repaired: u64,
    /// How often another machine was heard to say that an address is its own, while it was here.
    pub conflicts: u64,
    /// What is wrong, in sentences; empty when all is well.
    pub diagnosis: Vec<String>,
}

/// Something that a vip depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackReport {
    /// `interface/eth1`, `frontend/https`, …
    pub subject: String,
    /// `well`, `unwell` or `unknown`.
    pub state: String,
    /// See [`crate::Track::weight`].
    pub weight: Option<i16>,
}

/// What an operator has said of a vip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// Not active while any other director can be.
    GivenUp,
    /// Not active at all.
    Held,
}

/// What an operator says of a vip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// See [`Hold::GivenUp`].
    GiveUp,
    /// See [`Hold::Held`].
    Hold,
    /// As it is configured.
    Resume,
}

/// What a process that takes the place of another one goes on with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// The vip's name.
    pub vip: String,
    /// Whether it was active.
    pub active: bool,
    /// When the last advert was sent at the earliest, on CLOCK_BOOTTIME, in nanoseconds.
    pub last_advert_ns: u64,
    /// The interval that this advert named.
    pub advert_interval_ms: u64,
    /// The priority that this advert named.
    pub priority: u8,
    /// What an operator has said of it.
    pub hold: Option<Hold>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A vip changed its state.
    Moved {
        /// Its name.
        vip: String,
        /// Its group's name, if it is in one.
        group: Option<String>,
        /// The word of a state.
        from: String,
        /// The word of a state.
        to: String,
        /// The priority in effect.
        priority: u8,
        /// A phrase.
        why: String,
    },
    /// Something that an operator should know.
    Noted {
        /// The vip's name; `None`: of the whole.
        vip: Option<String>,
        /// Whether it is a trouble, and no mere news.
        trouble: bool,
        /// A sentence.
        text: String,
    },
}
