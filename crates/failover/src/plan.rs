use std::net::IpAddr;
use std::num::NonZeroU8;
use std::time::Duration;

use vrrp_proto::{AnnouncePolicy, Peers, Preempt, Priority, Protocol, Vrid};

/// All that a director is to move.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order of the configuration; their names are unique.
    pub vips: Vec<Vip>,
    /// Those that move together; a vip is in one at most.
    pub groups: Vec<VipGroup>,
}

/// Vips that move together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VipGroup {
    /// Unique among groups.
    pub name: String,
    /// Places in [`Plan::vips`].
    pub members: Vec<usize>,
}

/// A virtual router and its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vip {
    /// Its name in the configuration.
    pub name: String,
    /// Where adverts go; it need not be there yet.
    pub interface: String,
    /// Unique on its interface, among those of one family.
    pub vrid: Vrid,
    /// Before trackers.
    pub priority: Priority,
    /// Version, interval, and what belongs to them.
    pub protocol: Protocol,
    /// Where adverts come from; `None`: the interface's first address that is no vip's (IPv6: its link-local one).
    pub source: Option<IpAddr>,
    /// Who hears.
    pub peers: Peers,
    /// Named in adverts, all of one family, at least one.
    pub addresses: Vec<VipAddress>,
    /// Moved with them, not named in adverts, of any family.
    pub excluded: Vec<VipAddress>,
    /// There while it is active.
    pub routes: Vec<Route>,
    /// There while it is active.
    pub rules: Vec<Rule>,
    /// Whether the addresses are taken back.
    pub preempt: Preempt,
    /// Adverts missed before taking over.
    pub down_adverts: NonZeroU8,
    /// From the start to the first listening.
    pub startup_delay: Duration,
    /// Rounds of announcements.
    pub announce: AnnouncePolicy,
    /// Whether the addresses answer at the virtual router's own MAC address (a macvlan).
    pub virtual_mac: bool,
    /// What makes its priority.
    pub track: Vec<Track>,
}

/// An address that moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VipAddress {
    /// The address.
    pub ip: IpAddr,
    /// Its network's prefix, as the interface gets it.
    pub prefix: u8,
    /// Where it is put, if not on the vip's interface.
    pub interface: Option<String>,
    /// `eth0:web`, for tools that know addresses by labels. IPv4 only.
    pub label: Option<String>,
    /// As `ip address` has it: 0 global, 253 link, 254 host.
    pub scope: u8,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where to; the unspecified address and 0: everywhere.
    pub to: (IpAddr, u8),
    /// The next hop.
    pub via: Option<IpAddr>,
    /// Out of this interface; `None`: the kernel finds it, or the vip's without `via`.
    pub interface: Option<String>,
    /// The preferred source.
    pub source: Option<IpAddr>,
    /// 254: main.
    pub table: u32,
    /// Among routes to the same place, the least wins.
    pub metric: Option<u32>,
}

/// A rule that says which table routes a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Packets from here.
    pub from: Option<(IpAddr, u8)>,
    /// Packets to here.
    pub to: Option<(IpAddr, u8)>,
    /// Who decides.
    pub table: u32,
    /// Rules are asked in this order.
    pub priority: u32,
}

/// Something that a vip depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// What.
    pub subject: Subject,
    /// Added to the priority: a negative one while it is not well, a positive one while it is. `None`: while it is not
    /// well the addresses are given away, if any other director takes them; of an interface, in any case.
    pub weight: Option<i16>,
    /// Whether well and not well change places.
    pub reverse: bool,
}

/// What can be tracked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// An interface: it is up and has a carrier.
    Interface(String),
    /// One of [`Facts::known`], by its key: `script/NAME`, `process/NAME`, `file/NAME`.
    Fact(String),
    /// The same, `frontend/NAME` or `backend/NAME`, of which a serving process tells; worth nothing while none serves.
    Served(String),
}

impl Plan {
    /// How often workers are to give a sign of life, so that a vip that depends on them does not take one that is a little
    /// late for their death: three times in the shortest silence that counts. `None`: no vip depends on them.
    pub fn beat_interval(&self) -> Option<Duration> {
        let depends = |vip: &&Vip| vip.track.iter().any(|track| matches!(track.subject, Subject::Served(_)));
        self.vips.iter().filter(depends).map(Vip::patience).min().map(|shortest| shortest / 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{plan, vip};

    /// 3 × 100 ms, and 30 ms at the least.
    #[test]
    fn workers_beat_three_times_in_the_shortest_silence_that_counts() {
        let subject = Subject::Served("frontend/web".to_owned());
        let served =
            Vip { track: vec![Track { subject, weight: None, reverse: false }], ..vip("web", 51, &["10.0.0.9/32"]) };
        let Protocol::V3 { checksum, .. } = served.protocol else { panic!("it is version 3") };
        let interval = vrrp_proto::Centiseconds::new(1).unwrap();
        let hurried = Vip { protocol: Protocol::V3 { interval, checksum }, ..served.clone() };
        assert_eq!(plan(&[vip("web", 51, &["10.0.0.9/32"])]).beat_interval(), None);
        assert_eq!(plan(std::slice::from_ref(&served)).beat_interval(), Some(Duration::from_millis(100)));
        assert_eq!(plan(&[served, hurried]).beat_interval(), Some(Duration::from_millis(10)));
    }
}
