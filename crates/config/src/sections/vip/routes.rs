//! Routes and rules that are there while a vip is active.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use failover::{Route, Rule, VipAddress};
use units::Network;

use super::addresses::Interface;
use crate::context::Context;
use crate::read::{At, Read, Whole};
use crate::schema::{Schema, form, optional, required, says, with};
use crate::section::Section;
use crate::tree::{Node, Value};

pub(crate) static ROUTE: Schema = Schema {
    path: "vip.NAME.routes",
    about: "A route that is there while the vip is active.",
    keys: &[
        required("to", "network or `\"default\"`", "Where to."),
        optional("via", "`\"IP\"`", "The next hop."),
        says("interface", form::TEXT, "found by `via`, or the vip's", "Out of this interface."),
        optional("source", "`\"IP\"`", "The source of packets that choose none; it may be one of the vip's addresses."),
        with("table", "1 to 4294967295", "254", "The routing table; 254 is the main one."),
        optional("metric", "0 to 4294967295", "Among routes to the same place the least wins."),
    ],
};

pub(crate) static RULE: Schema = Schema {
    path: "vip.NAME.rules",
    about: "A rule that is there while the vip is active: which table routes a packet.",
    keys: &[
        optional("from", "network or `\"IP\"`", "Packets from there."),
        optional("to", "network or `\"IP\"`", "Packets to there."),
        required("table", "1 to 4294967295", "The routing table that decides."),
        required("priority", "1 to 32765", "Rules are asked in this order; the main table comes at 32766."),
    ],
};

/// A route of some vip, to see that no two have the same.
pub(crate) type Known = (At<(IpAddr, u8)>, u32, Option<u32>);

/// A network; an address stands for itself alone.
struct Selector(IpAddr, u8);

/// Where a route leads; `None`: everywhere.
struct Destination(Option<(IpAddr, u8)>);

impl Read for Selector {
    fn read(node: &Node, cx: &mut Context) -> Option<Selector> {
        if let Value::Text(text) = &node.value
            && let Ok(ip) = text.parse::<IpAddr>()
        {
            return Some(Selector(ip, if ip.is_ipv4() { 32 } else { 128 }));
        }
        Network::read(node, cx).map(|network| Selector(network.address(), network.prefix()))
    }
}

impl Read for Destination {
    fn read(node: &Node, cx: &mut Context) -> Option<Destination> {
        if matches!(&node.value, Value::Text(word) if word == "default") {
            return Some(Destination(None));
        }
        Selector::read(node, cx).map(|Selector(ip, prefix)| Destination(Some((ip, prefix))))
    }
}

/// Reads `routes` of a vip; `known` are those of the vips before it.
pub(super) fn routes(
    vip: &mut Section<'_>,
    addresses: Option<&[VipAddress]>,
    known: &mut Vec<Known>,
    cx: &mut Context,
) -> Vec<Route> {
    let mut routes = Vec::new();
    for (index, node) in vip.list("routes").into_iter().enumerate() {
        let path = format!("{}.routes[{index}]", vip.path);
        let Some(section) = Section::open(node, &ROUTE, path, cx) else { continue };
        let Some((to, route)) = route(section, addresses, cx) else { continue };
        let same =
            |(other, table, metric): &&Known| (other.value, *table, *metric) == (route.to, route.table, route.metric);
        if let Some((first, ..)) = known.iter().find(same) {
            cx.error(to.span, "this route is there already: with one vip it would go from the other as well")
                .help("remove one of the two, or give it another metric or table")
                .note(first.span, "first here");
        }
        known.push((At { value: route.to, span: to.span }, route.table, route.metric));
        routes.push(route);
    }
    routes
}

fn route(
    mut section: Section<'_>,
    addresses: Option<&[VipAddress]>,
    cx: &mut Context,
) -> Option<(At<Destination>, Route)> {
    let to: Option<At<Destination>> = section.required("to", cx);
    let via: Option<At<IpAddr>> = section.optional("via", cx);
    let interface = section.optional("interface", cx).map(|Interface(name)| name);
    let source: Option<At<IpAddr>> = section.optional("source", cx);
    let table: Whole<1, 4_294_967_295> = section.value("table", cx);
    let metric = section.optional("metric", cx).map(Whole::<0, 4_294_967_295>::get);
    let to = to?;
    let hinted = [&via, &source].into_iter().flatten().next().map(|hint| hint.value);
    let (address, prefix) = to.value.0.unwrap_or_else(|| {
        let four = hinted.or(addresses.map(|addresses| addresses[0].ip)).is_none_or(|ip| ip.is_ipv4());
        (if four { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }, 0)
    });
    for other in [&via, &source].into_iter().flatten() {
        if other.value.is_ipv4() != address.is_ipv4() {
            cx.error(other.span, "a route is of one family").help("write an address of the family of `to`");
        }
    }
    let plain = |at: Option<At<IpAddr>>| at.map(|at| at.value);
    let route =
        Route { to: (address, prefix), via: plain(via), interface, source: plain(source), table: table.get(), metric };
    Some((to, route))
}

/// Reads `rules` of a vip.
pub(super) fn rules(vip: &mut Section<'_>, cx: &mut Context) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (index, node) in vip.list("rules").into_iter().enumerate() {
        let path = format!("{}.rules[{index}]", vip.path);
        let Some(mut section) = Section::open(node, &RULE, path, cx) else { continue };
        let from: Option<At<Selector>> = section.optional("from", cx);
        let to: Option<At<Selector>> = section.optional("to", cx);
        let table: Option<Whole<1, 4_294_967_295>> = section.required("table", cx);
        let priority: Option<Whole<1, 32_765>> = section.required("priority", cx);
        if !section.has("from") && !section.has("to") {
            cx.error(section.span, "the rule says nothing of the packets that it is for")
                .help("write from = \"IP\" or to = \"IP\", or \"0.0.0.0/0\" or \"::/0\" for all");
        }
        if let (Some(from), Some(to)) = (&from, &to)
            && from.value.0.is_ipv4() != to.value.0.is_ipv4()
        {
            cx.error(to.span, "a rule is of one family").help("make two rules, one for each");
        }
        let plain = |at: Option<At<Selector>>| at.map(|At { value: Selector(ip, prefix), .. }| (ip, prefix));
        if let (Some(table), Some(priority)) = (table, priority) {
            rules.push(Rule { from: plain(from), to: plain(to), table: table.get(), priority: priority.get() });
        }
    }
    rules
}
