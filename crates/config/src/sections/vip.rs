mod addresses;
mod adverts;
mod notify;
mod routes;
mod track;

use std::net::IpAddr;
use std::num::NonZeroU8;
use std::time::Duration;

use failover::{Plan, Track, Vip, VipGroup};
use scripts::{Notify, Watch};
use vrrp_proto::{Family, Preempt, Priority, Vrid};

pub(crate) use addresses::ADDRESS;
pub(crate) use adverts::{ANNOUNCE, AUTHENTICATION, UNICAST};
pub(crate) use notify::NOTIFY;
pub(crate) use routes::{ROUTE, RULE};
pub(crate) use track::TRACK;

use crate::context::Context;
use crate::names::{self, Kind};
use crate::read::{At, Read, Some1, Whole};
use crate::schema::{Schema, form, optional, required, with};
use crate::section::Section;
use crate::sources::Span;
use crate::tree::{Entry, Node};
use addresses::Interface;

/// The longest delay before addresses are taken back, as keepalived has it.
const PREEMPT_DELAY_MAX: Duration = Duration::from_secs(1000);

/// The longest wait at a start: a network that is not ready after an hour never is.
const STARTUP_DELAY_MAX: Duration = Duration::from_secs(3600);

pub(crate) static VIP: Schema = Schema {
    path: "vip.NAME",
    about: "Addresses that move between directors: a virtual router (VRRP).",
    keys: &[
        required("interface", form::TEXT, "Where the adverts go, and the addresses are put. It need not be there yet."),
        required(
            "router-id",
            "1 to 255",
            "The virtual router's number (VRID): the same on all directors, used once on a network; IPv4 and IPv6 may \
             have the same.",
        ),
        with("priority", "1 to 255", "100", "The highest that is up is active; 255 is the addresses' owner."),
        with("version", "2 or 3", "3", "Of VRRP: RFC 3768 or RFC 9568."),
        with(
            "advert-interval",
            form::TIME,
            "\"1s\"",
            "Between adverts: whole seconds up to 255s in version 2, hundredths up to 40950ms in version 3.",
        ),
        with(
            "checksum",
            "`\"pseudo-header\"`, `\"message\"`",
            "\"pseudo-header\"",
            "What is summed in version 3 with IPv4: as keepalived does, or as RFC 9568 says. Both are understood.",
        ),
        required(
            "addresses",
            "`\"IP/prefix\"` or list",
            "The addresses that move: all IPv4 or all IPv6, 255 at most. A table says more of one; see `address`.",
        ),
        optional("excluded", "`\"IP/prefix\"` or list", "Addresses that move with them, and that adverts do not name."),
        optional("routes", form::TABLES, "Routes that are there while it is active; see `routes`."),
        optional("rules", form::TABLES, "Rules that are there while it is active; see `rules`."),
        with("preempt", form::BOOLEAN, "true", "Take the addresses back from a lower priority."),
        with("preempt-delay", form::TIME, "\"0s\"", "Wait so long before that; 1000s at most."),
        with("down-adverts", "1 to 100", "3", "So many adverts missed, and a little more: the active one is gone."),
        with("startup-delay", form::TIME, "\"0s\"", "Wait so long at the start before it takes part; 1h at most."),
        optional("announce", form::TABLE, "How often hosts are told where the addresses are; see `announce`."),
        optional("unicast", form::TABLE, "Adverts to these peers rather than to all; see `unicast`."),
        optional("authentication", form::TABLE, "Version 2 only; see `authentication`."),
        with(
            "virtual-mac",
            form::BOOLEAN,
            "false",
            "Use the virtual router's own MAC address, on an interface of its own (macvlan).",
        ),
        optional("track", form::TABLES, "What lowers the priority, or gives the addresses away; see `track`."),
        optional("notify", form::TABLE, "What is run when the state changes; see `notify`."),
    ],
};

pub(crate) static GROUP: Schema = Schema {
    path: "vip-group.NAME",
    about: "Virtual routers that move together: all are active here, or none. They should have the same priority.",
    keys: &[
        required("members", "list of names of vips", "At least two; a vip is in one group at most."),
        optional("notify", form::TABLE, "What is run when the group's state changes; see `vip.NAME.notify`."),
    ],
};

/// What was read of vips and groups.
#[derive(Default)]
pub(crate) struct Moving {
    /// In the order of the text; `None`: wrong.
    vips: Vec<Option<Vip>>,
    vip_notify: Vec<Notify>,
    groups: Vec<VipGroup>,
    group_notify: Vec<Notify>,
    watches: Vec<Watch>,
    routers: Vec<Router>,
    addresses: Vec<addresses::Known>,
    routes: Vec<routes::Known>,
    /// Vips that are in a group, by their places.
    grouped: Vec<(usize, Span)>,
}

/// A virtual router's number, where it is used, and where that is said.
struct Router {
    interface: String,
    family: Family,
    id: At<u8>,
}

/// Vips, groups, watches, and who is told of vips and of groups.
pub(crate) type Found = (Plan, Vec<Watch>, Vec<Notify>, Vec<Notify>);

impl Moving {
    /// The addresses that adverts of the vip at `place` name, if it was read.
    pub(crate) fn advertised(&self, place: usize) -> Option<(&str, Vec<IpAddr>)> {
        let vip = self.vips.get(place)?.as_ref()?;
        Some((&vip.name, vip.addresses.iter().map(|address| address.ip).collect()))
    }

    /// All that was read.
    pub(crate) fn finish(self) -> Found {
        let plan = Plan { vips: self.vips.into_iter().flatten().collect(), groups: self.groups };
        (plan, self.watches, self.vip_notify, self.group_notify)
    }
}

/// Reads `[vip.NAME]`.
pub(crate) fn vip(entry: &Entry, mut section: Section<'_>, moving: &mut Moving, cx: &mut Context) {
    cx.part(format!("{}: floating addresses (VRRP)", section.path), section.span);
    let interface: Option<Interface> = section.required("interface", cx);
    let interface = interface.map(|Interface(name)| name);
    let id: Option<At<Whole<1, 255>>> = section.required("router-id", cx);
    let priority: At<Whole<1, 255>> = section.value("priority", cx);
    let read = addresses::read(&mut section, interface.as_deref(), &mut moving.addresses, cx);
    let addresses = read.as_ref().map(|(addresses, _)| addresses.as_slice());
    let family = addresses.map(addresses::family);
    if let (Some(interface), Some(id), Some(family)) = (&interface, &id, family) {
        check_unique(interface, id, family, &mut moving.routers, cx);
    }
    let protocol = adverts::protocol(&mut section, family, cx);
    let (source, peers) = adverts::peers(&mut section, addresses, &moving.addresses, cx);
    let routes = routes::routes(&mut section, addresses, &mut moving.routes, cx);
    let rules = routes::rules(&mut section, cx);
    let number: u8 = priority.value.get();
    let preempt = preempt(&mut section, number, cx);
    let down_adverts: Whole<1, 100> = section.value("down-adverts", cx);
    let startup_delay = at_most(&mut section, "startup-delay", STARTUP_DELAY_MAX, cx);
    let announce = adverts::announce(&mut section, cx);
    let virtual_mac: bool = section.value("virtual-mac", cx);
    let mut track = Vec::new();
    for (index, node) in section.list("track").into_iter().enumerate() {
        let path = format!("{}.track[{index}]", section.path);
        track.extend(track::track(node, path, &mut moving.watches, cx));
    }
    check_weights(number, preempt, &track, cx);
    moving.vip_notify.push(notify::notify(&mut section, cx));
    let vip = || {
        let (addresses, excluded) = read?;
        Some(Vip {
            name: entry.key.clone(),
            interface: interface?,
            vrid: Vrid::new(id?.value.get())?,
            priority: Priority::new(number)?,
            protocol: protocol?,
            source,
            peers,
            addresses,
            excluded,
            routes,
            rules,
            preempt,
            down_adverts: NonZeroU8::new(down_adverts.get())?,
            startup_delay,
            announce,
            virtual_mac,
            track: track.into_iter().map(|track| track.value).collect(),
        })
    };
    moving.vips.push(vip());
}

/// A number is used once on a network; IPv4's and IPv6's virtual routers are others (RFC 9568 section 5.2.3).
fn check_unique(interface: &str, id: &At<Whole<1, 255>>, family: Family, known: &mut Vec<Router>, cx: &mut Context) {
    let id = At { value: id.value.get(), span: id.span };
    let same = |first: &&Router| first.interface == interface && first.id.value == id.value && first.family == family;
    if let Some(first) = known.iter().find(same) {
        cx.error(id.span, format!("{interface} has a virtual router {} already", id.value))
            .help("give each its own router-id")
            .note(first.id.span, "first here");
    }
    known.push(Router { interface: interface.to_owned(), family, id });
}

fn preempt(section: &mut Section<'_>, priority: u8, cx: &mut Context) -> Preempt {
    let preempt: At<bool> = section.value("preempt", cx);
    let delay_span = section.entry("preempt-delay").map(|entry| entry.span);
    let delay = at_most(section, "preempt-delay", PREEMPT_DELAY_MAX, cx);
    if let (false, false, Some(span)) = (preempt.value, delay.is_zero(), delay_span) {
        cx.error(span, "nothing is taken back, so nothing waits before it")
            .help("remove preempt-delay, or preempt = false");
    }
    if priority == Priority::OWNER.get() {
        let wrong = if preempt.value { delay_span.filter(|_| !delay.is_zero()) } else { Some(preempt.span) };
        if let Some(span) = wrong {
            cx.error(span, "the addresses' owner (priority 255) takes them back, and at once")
                .help("remove it, or write a priority of 254 at most");
        }
    }
    if preempt.value { Preempt::After(delay) } else { Preempt::No }
}

fn at_most(section: &mut Section<'_>, name: &str, most: Duration, cx: &mut Context) -> Duration {
    let span = section.entry(name).map_or(section.span, |entry| entry.node.span);
    let duration: Duration = section.value(name, cx);
    if duration > most {
        cx.error(span, "the time is too long").help(format!("write \"{}\" at most", units::write_duration(most)));
    }
    duration
}

/// Weights that move nothing.
fn check_weights(priority: u8, preempt: Preempt, track: &[At<Track>], cx: &mut Context) {
    if priority == Priority::OWNER.get() {
        if let Some(track) = track.iter().find(|track| track.value.weight.is_some()) {
            cx.error(track.span, "no weight moves the priority of the addresses' owner (255)")
                .help("leave weight out, so that the addresses are given away, or write a priority of 254 at most");
        }
        return;
    }
    let Some(weighted) = track.iter().find(|track| track.value.weight.is_some()) else {
        return;
    };
    if preempt == Preempt::No {
        cx.warn(
            weighted.span,
            "with preempt = false on all directors a lower priority moves nothing: who has the addresses keeps them",
        )
        .help("leave weight out, so that they are given away, or remove preempt = false");
    }
    let is_file =
        |track: &At<Track>| matches!(&track.value.subject, failover::Subject::Fact(key) if key.starts_with("file/"));
    if track.iter().any(is_file) {
        return;
    }
    let added = track.iter().map(|track| {
        let weight = i64::from(track.value.weight.unwrap_or_default());
        if track.value.reverse { -weight } else { weight }
    });
    let (up, down) = added.fold((0, 0), |(up, down), weight| (up + weight.max(0), down + weight.min(0)));
    let [best, worst] = [up, down].map(|sum| (i64::from(priority) + sum).clamp(1, i64::from(Priority::HIGHEST.get())));
    if best == worst {
        cx.warn(weighted.span, format!("the weights move nothing: the priority is {best} at best and at worst"))
            .help("a priority is 1 to 254: write one that leaves them room");
    }
}

/// Reads `[vip-group.NAME]`.
pub(crate) fn group(entry: &Entry, mut section: Section<'_>, moving: &mut Moving, cx: &mut Context) {
    cx.part(format!("{}: floating addresses that move together", section.path), section.span);
    let span = section.span;
    moving.group_notify.push(notify::notify(&mut section, cx));
    let Some(Some1(members)) = section.required::<Some1<At<String>>>("members", cx) else {
        return;
    };
    if members.len() < 2 {
        cx.error(span, "a group of one moves as it would alone").help("name two or more vips");
    }
    let mut places: Vec<usize> = Vec::new();
    for member in &members {
        let Some(place) = names::resolve(Kind::Vip, member, cx) else { continue };
        if let Some((_, first)) = moving.grouped.iter().find(|(known, _)| *known == place) {
            cx.error(member.span, format!("\"{}\" is in a group already", member.value))
                .help("remove one of the two")
                .note(*first, "first here");
        }
        moving.grouped.push((place, member.span));
        places.push(place);
    }
    let priority = |place: usize| moving.vips.get(place)?.as_ref().map(|vip| vip.priority);
    let mut known = places.iter().zip(&members).filter_map(|(place, member)| Some((priority(*place)?, member)));
    if let Some((first, _)) = known.next()
        && let Some((other, member)) = known.find(|(other, _)| *other != first)
    {
        cx.warn(member.span, format!("members of one group have priorities {first} and {other}")).help(
            "give all members the same: where one director is ahead by one and another by another, both give way",
        );
    }
    moving.groups.push(VipGroup { name: entry.key.clone(), members: places });
}

/// A vip's place, or an address of its own.
pub(crate) enum VipOrAddress {
    Vip(usize),
    Address(IpAddr),
}

impl Read for VipOrAddress {
    fn read(node: &Node, cx: &mut Context) -> Option<VipOrAddress> {
        let name = At::<String>::read(node, cx)?;
        match name.value.parse::<IpAddr>() {
            Ok(address) => Some(VipOrAddress::Address(address)),
            Err(_) => names::resolve(Kind::Vip, &name, cx).map(VipOrAddress::Vip),
        }
    }
}
