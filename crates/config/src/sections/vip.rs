use std::net::IpAddr;
use std::time::Duration;

use crate::context::Context;
use crate::names::{self, Kind};
use crate::read::{At, Command, Line, Period, Read, Some1, Whole};
use crate::schema::{Schema, form, optional, required, with};
use crate::section::Section;
use crate::sections::forward::is_multiple;
use crate::tree::Node;

pub(crate) static VIP: Schema = Schema {
    path: "vip.NAME",
    about: "Addresses that move between directors: a virtual router (VRRP).",
    keys: &[
        required("interface", form::TEXT, "Where the adverts go, and the addresses are put.").later(),
        required(
            "router-id",
            "1 to 255",
            "The virtual router's number (VRID): the same on all directors, used once on a network.",
        )
        .later(),
        with("priority", "1 to 255", "100", "The highest that is up is active; 255 is the addresses' owner.").later(),
        with("version", "2 or 3", "3", "Of VRRP: RFC 3768 or RFC 9568.").later(),
        with(
            "advert-interval",
            form::TIME,
            "\"1s\"",
            "Between adverts: whole seconds up to 255s in version 2, hundredths up to 40950ms in version 3.",
        )
        .later(),
        required("addresses", "`\"IP/prefix\"` or list", "The addresses that move.").later(),
        with("preempt", form::BOOLEAN, "true", "Take the addresses back from a lower priority.").later(),
        with("preempt-delay", form::TIME, "\"0s\"", "Wait so long before that.").later(),
        optional("unicast", form::TABLE, "Adverts to these peers rather than to all; see `unicast`.").later(),
        optional("authentication", form::TABLE, "Version 2 only; see `authentication`.").later(),
        with("virtual-mac", form::BOOLEAN, "false", "Use the virtual router's own MAC address.").later(),
        optional("track", form::TABLES, "What lowers the priority, or gives the addresses away; see `track`.").later(),
        optional("notify", form::TABLE, "What is run when the state changes; see `notify`.").later(),
    ],
};

pub(crate) static UNICAST: Schema = Schema {
    path: "vip.NAME.unicast",
    about: "Adverts where multicast does not reach.",
    keys: &[
        required("source", "`\"IP\"`", "This director's address.").later(),
        required("peers", "`\"IP\"` or list", "The others'.").later(),
    ],
};

pub(crate) static AUTHENTICATION: Schema = Schema {
    path: "vip.NAME.authentication",
    about: "RFC 2338's, which version 3 no longer has. It keeps mistakes out, not attackers.",
    keys: &[
        with("type", "`\"pass\"`", "\"pass\"", "The password is in the advert.").later(),
        required("password", form::TEXT, "At most 8 bytes.").later(),
    ],
};

pub(crate) static TRACK: Schema = Schema {
    path: "vip.NAME.track",
    about: "One of `frontend`, `backend`, `interface`, `script`: while it is not well, the priority is lowered by \
            `weight`, or without one the addresses are given away.",
    keys: &[
        optional("frontend", "name of a frontend", "It cannot serve.").later(),
        optional("backend", "name of a backend", "It has no server.").later(),
        optional("interface", form::TEXT, "It is down.").later(),
        optional("script", form::COMMAND, "It fails.").later(),
        optional("weight", "-254 to 254", "What is added to the priority; a positive one while it is well.").later(),
        optional("interval", form::TIME, "script: between two runs.").later(),
        optional("timeout", form::TIME, "script: how long a run may take.").later(),
        optional("rise", "1 to 1000", "script: passes in a row.").later(),
        optional("fall", "1 to 1000", "script: failures in a row.").later(),
        optional("user", form::TEXT, "script: the user to run it as.").later(),
    ],
};

pub(crate) static NOTIFY: Schema = Schema {
    path: "vip.NAME.notify",
    about: "What is run when a virtual router changes its state.",
    keys: &[
        optional("active", form::COMMAND, "It has the addresses.").later(),
        optional("backup", form::COMMAND, "Another has them.").later(),
        optional("fault", form::COMMAND, "What it tracks is not well.").later(),
    ],
};

pub(crate) static GROUP: Schema = Schema {
    path: "vip-group.NAME",
    about: "Virtual routers that move together.",
    keys: &[required("members", "list of names of vips", "At least two.").later()],
};

/// An address and its network's prefix, as an interface has it.
struct InterfaceAddress;

impl Read for InterfaceAddress {
    fn read(node: &Node, cx: &mut Context) -> Option<InterfaceAddress> {
        let Line(text) = Line::read(node, cx)?;
        let parts = text
            .split_once('/')
            .and_then(|(ip, prefix)| Some((ip.parse::<IpAddr>().ok()?, prefix.parse::<u8>().ok()?)));
        match parts {
            Some((ip, prefix)) if prefix <= if ip.is_ipv4() { 32 } else { 128 } => Some(InterfaceAddress),
            _ => {
                cx.error(node.span, format!("\"{}\" is no address with its network's prefix", text.escape_debug()))
                    .help("write \"10.0.0.1/24\" or \"2001:db8::1/64\"");
                None
            }
        }
    }
}

/// A virtual router's number, where it is used, and where that is said.
pub(crate) struct Router {
    interface: String,
    id: At<u8>,
}

/// Reads `[vip.NAME]`; `known` are the virtual routers before it.
pub(crate) fn vip(mut section: Section<'_>, known: &mut Vec<Router>, cx: &mut Context) {
    cx.later(format!("{}: floating addresses (VRRP)", section.path), section.span);
    let interface: Option<Line> = section.required("interface", cx);
    let id: Option<At<Whole<1, 255>>> = section.required("router-id", cx);
    if let (Some(Line(interface)), Some(id)) = (interface, id) {
        let id = At { value: id.value.get(), span: id.span };
        if let Some(first) = known.iter().find(|first| first.interface == interface && first.id.value == id.value) {
            cx.error(id.span, format!("{interface} has a virtual router {} already", id.value))
                .help("give each its own router-id")
                .note(first.id.span, "first here");
        }
        known.push(Router { interface, id });
    }
    let _: Whole<1, 255> = section.value("priority", cx);
    let version: Whole<2, 3> = section.value("version", cx);
    let interval: At<Period> = section.value("advert-interval", cx);
    check_interval(version.get(), interval, cx);
    let _: Option<Some1<InterfaceAddress>> = section.required("addresses", cx);
    let _: bool = section.value("preempt", cx);
    let _: Duration = section.value("preempt-delay", cx);
    let _: bool = section.value("virtual-mac", cx);
    if let Some(mut unicast) = section.optional_section("unicast", &UNICAST, cx) {
        let _: Option<IpAddr> = unicast.required("source", cx);
        let _: Option<Some1<IpAddr>> = unicast.required("peers", cx);
    }
    if let Some(authentication) = section.optional_section("authentication", &AUTHENTICATION, cx) {
        check_authentication(authentication, version.get(), cx);
    }
    for (index, node) in section.list("track").into_iter().enumerate() {
        track(node, format!("{}.track[{index}]", section.path), cx);
    }
    if let Some(mut notify) = section.optional_section("notify", &NOTIFY, cx) {
        for state in ["active", "backup", "fault"] {
            let _: Option<Command> = notify.optional(state, cx);
        }
    }
}

/// RFC 3768 section 5.3.7 counts seconds in 8 bits, RFC 9568 section 5.2.7 centiseconds in 12.
fn check_interval(version: u8, interval: At<Period>, cx: &mut Context) {
    let Period(duration) = interval.value;
    let (unit, most) = match version {
        2 => (Duration::from_secs(1), Duration::from_secs(255)),
        _ => (Duration::from_millis(10), Duration::from_millis(40_950)),
    };
    if !is_multiple(duration, unit) || duration > most {
        let help = if version == 2 {
            "write whole seconds, 1s to 255s, or version = 3"
        } else {
            "write 10ms to 40950ms, in tens"
        };
        cx.error(interval.span, format!("version {version} cannot send adverts at this interval")).help(help);
    }
}

fn check_authentication(mut section: Section<'_>, version: u8, cx: &mut Context) {
    section.choice("type", &[("pass", ())], cx);
    if let Some(password) = section.required::<At<Line>>("password", cx)
        && password.value.0.len() > 8
    {
        cx.error(password.span, "the password has more than 8 bytes").help("shorten it: the rest would not be sent");
    }
    if version != 2 {
        cx.error(section.span, "version 3 has no authentication").help("remove it, or write version = 2");
    }
}

fn track(node: &Node, path: String, cx: &mut Context) {
    const WHAT: [&str; 4] = ["frontend", "backend", "interface", "script"];
    let Some(mut section) = Section::open(node, &TRACK, path, cx) else {
        return;
    };
    if WHAT.iter().filter(|key| section.has(key)).count() != 1 {
        cx.error(section.span, "one thing is tracked by each table").help(format!("write one of {}", WHAT.join(", ")));
    }
    for (key, kind) in [("frontend", Kind::Frontend), ("backend", Kind::Backend)] {
        if let Some(name) = section.optional::<At<String>>(key, cx) {
            names::resolve(kind, &name, cx);
        }
    }
    let _: Option<Line> = section.optional("interface", cx);
    let _: Option<Command> = section.optional("script", cx);
    let _: Option<Whole<-254, 254>> = section.optional("weight", cx);
    if !section.has("script") {
        let help = "remove it, or track a script";
        section.refuse(&["interval", "timeout", "rise", "fall", "user"], "is for scripts", help, cx);
        return;
    }
    let _: Option<Period> = section.optional("interval", cx);
    let _: Option<Period> = section.optional("timeout", cx);
    let _: Option<Whole<1, 1000>> = section.optional("rise", cx);
    let _: Option<Whole<1, 1000>> = section.optional("fall", cx);
    let _: Option<Line> = section.optional("user", cx);
}

/// Reads `[vip-group.NAME]`.
pub(crate) fn group(mut section: Section<'_>, cx: &mut Context) {
    cx.later(format!("{}: floating addresses that move together", section.path), section.span);
    let span = section.span;
    let Some(Some1(members)) = section.required::<Some1<At<String>>>("members", cx) else {
        return;
    };
    if members.len() < 2 {
        cx.error(span, "a group of one moves as it would alone").help("name two or more vips");
    }
    let mut seen: Vec<&At<String>> = Vec::new();
    for member in &members {
        names::resolve(Kind::Vip, member, cx);
        if let Some(first) = seen.iter().find(|first| first.value == member.value) {
            cx.error(member.span, format!("\"{}\" is in the group already", member.value))
                .help("remove one of the two")
                .note(first.span, "first here");
        }
        seen.push(member);
    }
}

/// A vip's name, or an address of its own.
pub(crate) struct VipOrAddress;

impl Read for VipOrAddress {
    fn read(node: &Node, cx: &mut Context) -> Option<VipOrAddress> {
        let name = At::<String>::read(node, cx)?;
        if name.value.parse::<IpAddr>().is_err() {
            names::resolve(Kind::Vip, &name, cx)?;
        }
        Some(VipOrAddress)
    }
}
