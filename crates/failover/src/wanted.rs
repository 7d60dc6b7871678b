//! What the kernel is to have, and what is to be changed for that. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use netlink::{Address, Change, Family as RuleFamily, Link, NewAddress, Scope};
use units::Network;

use crate::ground::{MACVLAN_PREFIX, MARK, macvlan_name};
use crate::{Plan, Route, Rule, Vip, VipAddress};

/// An address at an interface, by which the kernel knows it. The same address with another prefix is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) interface: u32,
    pub(crate) ip: IpAddr,
    pub(crate) prefix: u8,
}

/// What is to be there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Wanted {
    /// Macvlans that are up.
    pub(crate) up: BTreeSet<u32>,
    pub(crate) addresses: BTreeMap<Place, NewAddress>,
    pub(crate) routes: Vec<netlink::Route>,
    pub(crate) rules: Vec<netlink::Rule>,
}

/// What of it is there by us.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ours {
    pub(crate) addresses: BTreeSet<Place>,
    pub(crate) routes: Vec<netlink::Route>,
    pub(crate) rules: Vec<netlink::Rule>,
    /// Routes and rules may have gone: the kernel does not always tell. They are added anew, which changes nothing where
    /// they are there.
    pub(crate) unsure: bool,
}

impl Place {
    pub(crate) fn of(address: &Address) -> Place {
        Place { interface: address.interface, ip: address.ip, prefix: address.prefix }
    }
}

/// What the vips of `plan` that are active have. What stands on an interface that is not there is left out.
pub(crate) fn wanted(plan: &Plan, active: &[bool], links: &[Link]) -> Wanted {
    let mut wanted = Wanted::default();
    let active = plan.vips.iter().zip(active).filter_map(|(vip, &active)| active.then_some(vip));
    for vip in active {
        wanted.up.extend(macvlan(vip, links).map(|macvlan| macvlan.index));
        for address in vip.all_addresses() {
            if let Some(place) = place(vip, address, links) {
                wanted.addresses.entry(place).or_insert_with(|| new_address(address));
            }
        }
        wanted.routes.extend(vip.routes.iter().filter_map(|route| kernel_route(vip, route, links)));
        wanted.rules.extend(vip.rules.iter().filter_map(kernel_rule));
    }
    wanted
}

/// Where an address of a vip is put.
pub(crate) fn place(vip: &Vip, address: &VipAddress, links: &[Link]) -> Option<Place> {
    let named = |name: &str| links.iter().find(|link| link.name == *name);
    let link = match &address.interface {
        Some(name) => named(name)?,
        None if vip.virtual_mac => macvlan(vip, links)?,
        None => named(&vip.interface)?,
    };
    Some(Place { interface: link.index, ip: address.ip, prefix: address.prefix })
}

/// A vip's macvlan, if it has one and it is there.
pub(crate) fn macvlan<'a>(vip: &Vip, links: &'a [Link]) -> Option<&'a Link> {
    let parent = links.iter().find(|link| vip.virtual_mac && link.name == vip.interface)?;
    let name = macvlan_name(vip, parent.index);
    links.iter().find(|link| link.is_macvlan && link.name == name)
}

/// Those of the addresses that are there which no administrator has put there: they have our mark on an interface of the
/// plan, or the plan has them, or we have put them there.
///
/// What is written down for an owner is the administrator's. An address that a plan has with another prefix is not ours.
pub(crate) fn our_addresses(plan: &Plan, known: &Ours, links: &[Link], there: &[Address]) -> BTreeSet<Place> {
    let mut planned = BTreeSet::new();
    let mut interfaces = BTreeSet::new();
    for vip in &plan.vips {
        let name_of = |address: &VipAddress| address.interface.clone().unwrap_or_else(|| vip.interface.clone());
        interfaces.extend(vip.all_addresses().map(name_of));
        if !vip.is_owner() {
            planned.extend(vip.all_addresses().filter_map(|address| place(vip, address, links)));
        }
    }
    let is_planned_link = |index: u32| links.iter().any(|link| link.index == index && interfaces.contains(&link.name));
    let is_macvlan = |index: u32| links.iter().any(|link| link.index == index && is_our_macvlan(link));
    let marked = |address: &Address| {
        address.protocol == MARK && (is_planned_link(address.interface) || is_macvlan(address.interface))
    };
    let ours = there.iter().filter(|address| {
        let place = Place::of(address);
        marked(address) || planned.contains(&place) || known.addresses.contains(&place)
    });
    ours.map(Place::of).collect()
}

/// What makes of what is there what is wanted: it is added before anything is removed, except where the kernel has no
/// room for both.
///
/// Macvlans are up while they are wanted: one that is up takes for itself what others send from its address.
pub(crate) fn changes(wanted: &Wanted, ours: &Ours, links: &[Link], there: &[Address]) -> Vec<Change> {
    let there: BTreeSet<Place> = there.iter().map(Place::of).collect();
    let missing: Vec<_> = wanted.addresses.iter().filter(|(place, _)| !there.contains(place)).collect();
    let left_over: Vec<&Place> =
        ours.addresses.iter().filter(|place| there.contains(place) && !wanted.addresses.contains_key(place)).collect();
    // An IPv6 address is on an interface with one prefix only.
    let (in_the_way, late): (Vec<&Place>, Vec<&Place>) = left_over.into_iter().partition(|place| {
        place.ip.is_ipv6() && missing.iter().any(|(new, _)| new.interface == place.interface && new.ip == place.ip)
    });
    let remove = |place: &Place| {
        let Place { interface, ip, prefix } = *place;
        Change::RemoveAddress { interface, ip, prefix }
    };
    let mut changes: Vec<Change> = in_the_way.into_iter().map(remove).collect();
    let macvlans = || links.iter().filter(|link| is_our_macvlan(link));
    let rises = macvlans().filter(|link| !link.up && wanted.up.contains(&link.index));
    changes.extend(rises.map(|link| Change::SetUp { interface: link.index, up: true }));
    let added = missing.into_iter().map(|(place, address)| {
        let (interface, address) = (place.interface, address.clone());
        Change::AddAddress { interface, address }
    });
    changes.extend(added);
    let is_new = |new: &&netlink::Route| ours.unsure || !ours.routes.iter().any(|route| is_same_route(new, route));
    changes.extend(wanted.routes.iter().filter(is_new).cloned().map(Change::AddRoute));
    let is_new = |rule: &&netlink::Rule| ours.unsure || !ours.rules.contains(rule);
    changes.extend(wanted.rules.iter().filter(is_new).cloned().map(Change::AddRule));
    let is_old = |rule: &&netlink::Rule| !wanted.rules.contains(rule);
    changes.extend(ours.rules.iter().filter(is_old).cloned().map(Change::RemoveRule));
    let is_old = |old: &&netlink::Route| !wanted.routes.iter().any(|route| is_same_route(route, old));
    changes.extend(ours.routes.iter().filter(is_old).cloned().map(Change::RemoveRoute));
    changes.extend(late.into_iter().map(remove));
    let falls = macvlans().filter(|link| link.up && !wanted.up.contains(&link.index));
    changes.extend(falls.map(|link| Change::SetUp { interface: link.index, up: false }));
    changes
}

/// Whether a link was made by this program, now or before.
pub(crate) fn is_our_macvlan(link: &Link) -> bool {
    link.is_macvlan && link.name.starts_with(MACVLAN_PREFIX)
}

/// Whether a route that is there is the one that is wanted: the kernel fills in what a wish leaves open.
pub(crate) fn is_same_route(wanted: &netlink::Route, there: &netlink::Route) -> bool {
    wanted.destination == there.destination
        && wanted.table == there.table
        && wanted.via == there.via
        && (wanted.metric == 0 || wanted.metric == there.metric)
        && wanted.interface.is_none_or(|index| there.interface == Some(index))
        && wanted.source.is_none_or(|source| there.source == Some(source))
}

fn new_address(address: &VipAddress) -> NewAddress {
    let single = address.prefix == if address.ip.is_ipv4() { 32 } else { 128 };
    NewAddress {
        label: address.label.clone(),
        scope: Scope(address.scope),
        // Of a whole network's address the network has to be reached; one that stands alone brings no way anywhere, and is
        // no source of connections that this machine begins.
        deprecated: single && address.ip.is_ipv6(),
        no_prefix_route: single && address.ip.is_ipv6(),
        broadcast: None,
        protocol: MARK,
        ..NewAddress::new(address.ip, address.prefix)
    }
}

fn kernel_route(vip: &Vip, route: &Route, links: &[Link]) -> Option<netlink::Route> {
    let (to, prefix) = route.to;
    let name = match (&route.interface, route.via) {
        (Some(name), _) => Some(name),
        (None, None) => Some(&vip.interface),
        (None, Some(_)) => None,
    };
    let interface = match name {
        Some(name) => Some(links.iter().find(|link| link.name == *name)?.index),
        None => None,
    };
    let scope = if route.via.is_none() && to.is_ipv4() { Scope::LINK } else { Scope::GLOBAL };
    Some(netlink::Route {
        via: route.via,
        interface,
        source: route.source,
        table: route.table,
        metric: route.metric.unwrap_or(0),
        scope,
        protocol: MARK,
        ..netlink::Route::to(Network::new(to, prefix).ok()?)
    })
}

fn kernel_rule(rule: &Rule) -> Option<netlink::Rule> {
    let network = |end: Option<(IpAddr, u8)>| end.and_then(|(ip, prefix)| Network::new(ip, prefix).ok());
    let ip = rule.from.or(rule.to).map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |(ip, _)| ip);
    let family = if ip.is_ipv4() { RuleFamily::Ipv4 } else { RuleFamily::Ipv6 };
    Some(netlink::Rule {
        from: network(rule.from),
        to: network(rule.to),
        protocol: MARK,
        ..netlink::Rule::new(family, rule.priority, rule.table)
    })
}

#[cfg(test)]
mod tests;
