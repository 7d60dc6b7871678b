//! Two directors that move addresses, and a client, on one network.

use std::time::Duration;

use lab::{Host, Keepalived, Lab, Perron, Skip, VirtualRouter, eventually, wait_for};

/// Longer than version 2 takes, whose intervals are whole seconds, on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) struct Site {
    /// 10.0.0.1, fd00::1.
    pub(crate) one: Host,
    /// 10.0.0.2, fd00::2.
    pub(crate) other: Host,
    /// 10.0.0.9, fd00::9.
    pub(crate) client: Host,
    _lab: Lab,
}

impl Site {
    pub(crate) fn new(name: &str) -> Result<Site, Skip> {
        let lab = Lab::new(name)?;
        let host = |name: &str, last: u8| {
            let host = lab.host(name, &format!("10.0.0.{last}/24"));
            host.add_address(&format!("fd00::{last}/64"));
            host
        };
        let (one, other, client) = (host("one", 1), host("other", 2), host("client", 9));
        Ok(Site { one, other, client, _lab: lab })
    }
}

/// Perron with these virtual routers and `more` of its own words.
#[track_caller]
pub(crate) fn perron(host: &Host, routers: &[VirtualRouter], more: &str) -> Perron {
    let perron = Perron::start(host, &config(routers, more));
    for router in routers {
        let listed = || perron.ask(&["vip", "list"]).text().contains(&router.name);
        wait_for(LONG, "the virtual router is at work", listed);
    }
    perron
}

/// A configuration with a frontend on all addresses.
pub(crate) fn config(routers: &[VirtualRouter], more: &str) -> String {
    let routers: String = routers.iter().map(VirtualRouter::for_perron).collect();
    format!("[frontend.web]\nbind = \"0.0.0.0:80\"\nrespond = {{ body = \"here\" }}\n\n{routers}{more}")
}

/// Perron or keepalived.
pub(crate) enum Director {
    Perron(Box<Perron>),
    Keepalived(Keepalived),
}

impl Director {
    pub(crate) fn stop(&mut self) {
        match self {
            Director::Perron(perron) => perron.stop(),
            Director::Keepalived(keepalived) => keepalived.stop(),
        }
    }

    pub(crate) fn kill(&mut self) {
        match self {
            Director::Perron(perron) => perron.kill(),
            Director::Keepalived(keepalived) => keepalived.kill(),
        }
    }
}

/// Waits until the first host has the address, and the second has it not.
#[track_caller]
pub(crate) fn moves(address: &str, to: &Host, from: &Host) {
    let what = format!("{address} is at {} and not at {}", to.name(), from.name());
    wait_for(LONG, &what, || to.has_address(address) && !from.has_address(address));
}

/// Waits until both hosts have the address.
#[track_caller]
pub(crate) fn both_have(address: &str, one: &Host, other: &Host) {
    let what = format!("{address} is at {} and at {}", one.name(), other.name());
    wait_for(LONG, &what, || one.has_address(address) && other.has_address(address));
}

/// Waits until a virtual router of Perron's has heard so many more adverts.
#[track_caller]
pub(crate) fn hears(perron: &Perron, vip: &str, more: u64) {
    grows(perron, vip, "adverts_received", more);
}

/// Waits until a virtual router of Perron's has sent so many more adverts.
#[track_caller]
pub(crate) fn sends(perron: &Perron, vip: &str, more: u64) {
    grows(perron, vip, "adverts_sent", more);
}

#[track_caller]
fn grows(perron: &Perron, vip: &str, counter: &str, more: u64) {
    let count = || perron.vip(vip)[counter].as_u64().expect("a count");
    let enough = count() + more;
    assert!(eventually(LONG, || count() >= enough), "waited in vain for {more} more of {counter}: {}", perron.vip(vip));
}
