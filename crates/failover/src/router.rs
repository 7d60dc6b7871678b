//! A vip as it runs: what it stands on, what it has counted, and what was heard of others.

use std::net::IpAddr;
use std::time::Duration;

use units::Instant;
use vrrp_proto::{AddressList, AdvertError, Config, ConfigError, Effect, Family, Note, Priority, Refusal, Settings};

use wire::link::LinkAddress;

use crate::ground::Ground;
use crate::letters::Letters;
use crate::{Hold, Vip};

/// An advert of another router that was not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) from: IpAddr,
    pub(crate) priority: Priority,
    pub(crate) first_unix_ms: u64,
    pub(crate) first: Instant,
    pub(crate) last: Instant,
}

/// An advert that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) refusal: Refusal,
    pub(crate) from: IpAddr,
    pub(crate) last: Instant,
}

/// A vip as it runs.
#[derive(Debug)]
pub(crate) struct Running {
    /// Its group among [`crate::drive::Drive::squads`], and its place there.
    pub(crate) squad: usize,
    pub(crate) member: usize,
    pub(crate) ground: Ground,
    pub(crate) letters: Letters,
    /// It is to have its addresses.
    pub(crate) has: bool,
    /// Rounds of announcements that wait until the kernel has the addresses.
    pub(crate) announce: Option<u8>,
    pub(crate) hold: Option<Hold>,
    pub(crate) effect: Option<Effect>,
    /// The workers of a serving process give signs of life.
    pub(crate) serving: bool,
    pub(crate) since_unix_ms: u64,
    pub(crate) why: String,
    pub(crate) last_sent: Option<(Instant, Priority)>,
    pub(crate) last_heard: Option<Instant>,
    pub(crate) active: Option<(IpAddr, u8)>,
    /// While active: another that is as well.
    pub(crate) rival: Option<Heard>,
    pub(crate) refused_last: Option<Refused>,
    /// Another machine that has an address of ours.
    pub(crate) claimed: Option<(IpAddr, LinkAddress, Instant)>,
    /// When it was last answered.
    pub(crate) defended: Option<Instant>,
    /// In fault because the kernel has refused all of its addresses: what it said.
    pub(crate) lacking: Option<String>,
    /// Of each kind, since the last change of state.
    pub(crate) notes: Vec<Note>,
    pub(crate) counts: Counts,
}

/// What is counted of a vip, from the first plan that has it on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) not_sent: u64,
    pub(crate) received: u64,
    pub(crate) refused: [u64; Refusal::ALL.len()],
    pub(crate) malformed: [u64; AdvertError::ALL.len()],
    pub(crate) became_active: u64,
    pub(crate) announced: u64,
    pub(crate) repaired: u64,
    pub(crate) conflicts: u64,
}

impl Running {
    pub(crate) fn new(ground: Ground, now_unix_ms: u64) -> Running {
        Running {
            squad: 0,
            member: 0,
            ground,
            letters: Letters::default(),
            has: false,
            announce: None,
            hold: None,
            effect: None,
            serving: true,
            since_unix_ms: now_unix_ms,
            why: String::new(),
            last_sent: None,
            last_heard: None,
            active: None,
            rival: None,
            refused_last: None,
            claimed: None,
            defended: None,
            lacking: None,
            notes: Vec::new(),
            counts: Counts::default(),
        }
    }
}

impl Vip {
    /// What its virtual router is to be, with adverts from `source`. Without one it is not active, and the configuration
    /// has a place holder.
    pub(crate) fn config(&self, source: Option<IpAddr>) -> Result<Config, ConfigError> {
        let family = self.family();
        let addresses: Vec<IpAddr> = self.addresses.iter().map(|address| address.ip).collect();
        let nobody = match family {
            Family::V4 => IpAddr::from([0; 4]),
            Family::V6 => IpAddr::from([0; 16]),
        };
        let list = AddressList::new(family, &addresses)?;
        let settings = Settings::new(self.vrid, self.protocol, source.unwrap_or(nobody), list);
        Config::new(Settings {
            priority: self.priority,
            peers: self.peers.clone(),
            preempt: self.preempt,
            down_adverts: self.down_adverts,
            startup_delay: self.startup_delay,
            announce: self.announce,
            ..settings
        })
    }

    /// How long a serving process may be silent: as long as an active router may, and three beats at the most hurried.
    pub(crate) fn patience(&self) -> Duration {
        let down = self.protocol.interval() * u32::from(self.down_adverts.get());
        down.max(PATIENCE_MIN)
    }

    /// Whether it is the same virtual router as one of another plan: others know it by these.
    pub(crate) fn is_same_router(&self, other: &Vip) -> bool {
        self.interface == other.interface && self.vrid == other.vrid && self.family() == other.family()
    }
}

/// The shortest silence of a serving process that is taken for its death: shorter ones a busy machine makes.
const PATIENCE_MIN: Duration = Duration::from_millis(30);
