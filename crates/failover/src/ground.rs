//! What a vip stands on: its interface and the address that its adverts come from. Pure.

use std::net::IpAddr;

use linux::VrrpScope;
use netlink::{Address, Link, LinkKind};
use vrrp_proto::{Family, Peers, Priority, virtual_mac};

use crate::{Plan, Vip, VipAddress};

/// How the kernel marks addresses, routes and rules that are ours (IFA_PROTO, RTPROT, FRA_PROTOCOL): the number of VRRP
/// among IP's protocols, which nobody has taken among theirs.
pub(crate) const MARK: u8 = vrrp_proto::PROTOCOL_NUMBER;

/// Where adverts are exchanged. Of one scope there is one socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    /// All on the network of an interface.
    Group(u32, bool),
    /// Those that name this address.
    Address(IpAddr),
    /// Likewise; link-local, so of an interface.
    AddressOn(IpAddr, u32),
}

/// What a vip stands on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ground {
    /// Its interface's index; `None`: it is not there.
    pub(crate) interface: Option<u32>,
    /// The interface can carry traffic.
    pub(crate) running: bool,
    /// Where adverts come from.
    pub(crate) source: Option<IpAddr>,
    /// Where they are exchanged.
    pub(crate) scope: Option<Scope>,
    /// Where adverts are heard besides: those that have our virtual MAC address as their source come in there.
    pub(crate) also: Option<Scope>,
    /// The interface that adverts and the announcement of the source go out on.
    pub(crate) here: Option<Spot>,
    /// Of each address, those that adverts name first: where it is put.
    pub(crate) spots: Vec<Option<Spot>>,
}

/// An interface as announcements need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    /// Its index.
    pub(crate) interface: u32,
    /// Its own link address, and that of all. `None`: it does without ARP and neighbour discovery.
    pub(crate) link: Option<wire::link::Link>,
}

impl Spot {
    fn of(link: &Link) -> Spot {
        Spot {
            interface: link.index,
            link: wire::link::Link::new(link.hardware.bytes(), link.broadcast.bytes())
                .filter(|_| !link.no_arp && link.kind != LinkKind::Loopback),
        }
    }
}

impl Scope {
    /// Without which its socket hears nothing any more.
    pub(crate) fn interface(self) -> Option<u32> {
        match self {
            Scope::Group(interface, _) | Scope::AddressOn(_, interface) => Some(interface),
            Scope::Address(_) => None,
        }
    }

    pub(crate) fn for_kernel(self) -> VrrpScope {
        match self {
            Scope::Group(interface, true) => VrrpScope::GroupV4(interface),
            Scope::Group(interface, false) => VrrpScope::GroupV6(interface),
            Scope::Address(address) => VrrpScope::Address(address),
            Scope::AddressOn(IpAddr::V6(address), interface) => VrrpScope::AddressOn(address, interface),
            Scope::AddressOn(address, _) => VrrpScope::Address(address),
        }
    }
}

impl Vip {
    /// The family of what its adverts name.
    pub(crate) fn family(&self) -> Family {
        self.addresses.first().map_or(Family::V4, |address| Family::of(address.ip))
    }

    /// All addresses: those that adverts name first.
    pub(crate) fn all_addresses(&self) -> impl Iterator<Item = &VipAddress> {
        self.addresses.iter().chain(&self.excluded)
    }

    /// Where adverts come from on the link, if not from the interface's own address.
    pub(crate) fn virtual_mac(&self) -> Option<[u8; 6]> {
        self.virtual_mac.then(|| virtual_mac(self.family(), self.vrid))
    }

    /// Whether the addresses are this machine's own, put there by an administrator.
    pub(crate) fn is_owner(&self) -> bool {
        self.priority == Priority::OWNER
    }
}

/// What the names of our macvlans begin with.
pub(crate) const MACVLAN_PREFIX: &str = "prn";

/// The name of a vip's macvlan on an interface: 15 characters at most, as the kernel has it.
pub(crate) fn macvlan_name(vip: &Vip, interface: u32) -> String {
    let family = if vip.family() == Family::V4 { 4 } else { 6 };
    format!("{MACVLAN_PREFIX}{family}-{interface}-{}", vip.vrid)
}

/// What `vip` stands on, with these links and addresses.
pub(crate) fn ground(plan: &Plan, vip: &Vip, links: &[Link], addresses: &[Address]) -> Ground {
    let named = |name: &str| links.iter().find(|link| link.name == name);
    let link = named(&vip.interface);
    let source = link.and_then(|link| source(plan, vip, link, addresses));
    let scope = link.and_then(|link| match (&vip.peers, source.or(vip.source)) {
        (Peers::Multicast, _) => Some(Scope::Group(link.index, vip.family() == Family::V4)),
        (Peers::Unicast(_), Some(IpAddr::V6(source))) if source.is_unicast_link_local() => {
            Some(Scope::AddressOn(source.into(), link.index))
        }
        (Peers::Unicast(_), source) => source.map(Scope::Address),
    });
    let macvlan = link.filter(|_| vip.virtual_mac).and_then(|link| named(&macvlan_name(vip, link.index)));
    let spots = vip.all_addresses().map(|address| match &address.interface {
        Some(name) => named(name).map(Spot::of),
        None if vip.virtual_mac => macvlan.map(Spot::of),
        None => link.map(Spot::of),
    });
    let also = macvlan.filter(|_| vip.peers == Peers::Multicast);
    Ground {
        interface: link.map(|link| link.index),
        running: link.is_some_and(|link| link.up && link.running),
        source,
        scope,
        also: also.map(|macvlan| Scope::Group(macvlan.index, vip.family() == Family::V4)),
        here: link.map(Spot::of),
        spots: spots.collect(),
    }
}

/// Where adverts come from: the address that is written down if this machine has it, else the first of the interface that
/// moves with no vip; of IPv6 the first that is link-local.
fn source(plan: &Plan, vip: &Vip, link: &Link, addresses: &[Address]) -> Option<IpAddr> {
    let usable = |address: &&Address| !address.flags.tentative && !address.flags.dad_failed;
    if let Some(source) = vip.source {
        return addresses.iter().filter(usable).any(|address| address.ip == source).then_some(source);
    }
    let moves = |ip: IpAddr| plan.vips.iter().any(|vip| vip.all_addresses().any(|address| address.ip == ip));
    let fits = |address: &&Address| match (address.ip, vip.family()) {
        (IpAddr::V4(_), Family::V4) => true,
        (IpAddr::V6(ip), Family::V6) => ip.is_unicast_link_local(),
        _ => false,
    };
    let here = || addresses.iter().filter(|address| address.interface == link.index).filter(usable).filter(fits);
    let own = here().find(|address| address.protocol != MARK && !moves(address.ip));
    // An owner's address may be the only one.
    let owned = || here().find(|address| vip.is_owner() && vip.all_addresses().any(|own| own.ip == address.ip));
    own.or_else(owned).map(|address| address.ip)
}

#[cfg(test)]
mod tests;
