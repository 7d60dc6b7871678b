//! A host whose addresses move.

use std::net::IpAddr;
use std::num::NonZeroU8;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use failover::{Engine, Event, Plan, Report, Setup, Vip, VipAddress, VipReport};
use lab::{Host, SOON, wait_for};
use vrrp_proto::{AnnouncePolicy, Centiseconds, Checksum, Peers, Preempt, Priority, Protocol, Vrid};

pub(crate) struct Director {
    pub(crate) host: Host,
    pub(crate) engine: Engine,
    pub(crate) events: Arc<Mutex<Vec<Event>>>,
}

impl Director {
    pub(crate) fn start(host: &Host) -> Director {
        Director::start_with(host, Setup::default())
    }

    pub(crate) fn start_with(host: &Host, setup: Setup) -> Director {
        let events = Arc::new(Mutex::new(Vec::new()));
        let log = events.clone();
        let engine = host.in_namespace(|| Engine::start(setup, move |event| log.lock().unwrap().push(event)).unwrap());
        Director { host: host.clone(), engine, events }
    }

    /// The same, with this plan.
    pub(crate) fn running(host: &Host, vips: Vec<Vip>) -> Director {
        let director = Director::start(host);
        director.plan(vips);
        director
    }

    pub(crate) fn plan(&self, vips: Vec<Vip>) {
        self.engine.plan(Plan { vips, groups: Vec::new() });
    }

    pub(crate) fn report(&self) -> Report {
        self.engine.report()
    }

    /// How the first vip is.
    pub(crate) fn vip(&self) -> VipReport {
        self.report().vips.into_iter().next().unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn wait_for_state(&self, state: &str) {
        self.wait_for(&format!("{} is {state}", self.host.name()), |director| director.vip().state == state);
    }

    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, mut condition: impl FnMut(&Director) -> bool) {
        let events = self.events.clone();
        let told = || format!("{what}; events: {:#?}; {:#?}", events.lock().unwrap(), self.report());
        if !lab::eventually(SOON, || condition(self)) {
            panic!("waited in vain: {}", told());
        }
    }

    #[track_caller]
    pub(crate) fn wait_for_address(&self, address: &str, there: bool) {
        let what = format!("{} {} {address}", self.host.name(), if there { "has" } else { "has not" });
        self.wait_for(&what, |director| has_address(&director.host, address) == there);
    }

    /// Sentences of all notes so far.
    pub(crate) fn notes(&self) -> Vec<String> {
        let events = self.events.lock().unwrap();
        let text = |event: &Event| match event {
            Event::Noted { text, .. } => Some(text.clone()),
            Event::Moved { .. } => None,
        };
        events.iter().filter_map(text).collect()
    }
}

/// As `ip -o address` lists it: with its prefix.
pub(crate) fn has_address(host: &Host, address: &str) -> bool {
    host.run(&["ip", "-o", "address", "show"]).text().split_whitespace().any(|word| word == address)
}

/// Version 3 at 10 ms on `eth0`, with one address.
pub(crate) fn vip(name: &str, vrid: u8, priority: u8, address: &str) -> Vip {
    Vip {
        name: name.to_owned(),
        interface: "eth0".to_owned(),
        vrid: Vrid::new(vrid).unwrap(),
        priority: Priority::new(priority).unwrap(),
        protocol: Protocol::V3 { interval: Centiseconds::new(1).unwrap(), checksum: Checksum::PseudoHeader },
        source: None,
        peers: Peers::Multicast,
        addresses: vec![vip_address(address)],
        excluded: Vec::new(),
        routes: Vec::new(),
        rules: Vec::new(),
        preempt: Preempt::After(Duration::ZERO),
        down_adverts: NonZeroU8::new(3).unwrap(),
        startup_delay: Duration::ZERO,
        announce: AnnouncePolicy::default(),
        virtual_mac: false,
        track: Vec::new(),
    }
}

pub(crate) fn vip_address(address: &str) -> VipAddress {
    let (ip, prefix) = address.split_once('/').unwrap();
    let (ip, prefix): (IpAddr, u8) = (ip.parse().unwrap(), prefix.parse().unwrap());
    VipAddress { ip, prefix, interface: None, label: None, scope: 0 }
}

pub(crate) fn two(name: &str) -> Result<(lab::Lab, Host, Host), lab::Skip> {
    let lab = lab::Lab::new(name)?;
    let (one, other) = (lab.host("one", "10.0.0.1/24"), lab.host("other", "10.0.0.2/24"));
    Ok((lab, one, other))
}

/// Both directors, the first of which is active.
#[track_caller]
pub(crate) fn active_and_backup(one: &Host, other: &Host, make: impl Fn(u8) -> Vip) -> (Director, Director) {
    let first = Director::running(one, vec![make(250)]);
    first.wait_for_state("active");
    let second = Director::running(other, vec![make(240)]);
    second.wait_for_state("backup");
    wait_for(SOON, "the backup hears the active one", || second.vip().active.is_some());
    (first, second)
}
