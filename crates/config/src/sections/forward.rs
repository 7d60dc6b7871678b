use std::net::SocketAddr;
use std::time::Duration;

use crate::context::Context;
use crate::read::{Command, Line, Period, Whole};
use crate::schema::{Key, Schema, form, optional, required, with};
use crate::section::Section;

pub(crate) static FORWARD: Schema = Schema {
    path: "frontend.NAME.forward",
    about: "How the kernel forwards packets, with `mode = \"forward\"`.",
    keys: &[
        with("method", "`\"nat\"`, `\"direct\"`, `\"tunnel\"`", "\"nat\"", "How a packet reaches its server.").later(),
        with("engine", "`\"auto\"`, `\"ipvs\"`, `\"nftables\"`", "\"auto\"", "What in the kernel does it.").later(),
        optional("persistence", form::TIME, "How long a client stays with its server.").later(),
    ],
};

pub(crate) static SYNC: Schema = Schema {
    path: "frontend.NAME.sync",
    about: "Connection tables copied to the other director, with `mode = \"forward\"`.",
    keys: &[
        required("interface", form::TEXT, "Where the other director is reached.").later(),
        with("id", "0 to 255", "0", "The same on both.").later(),
    ],
};

/// The keys of a backend that belong to forwarding.
pub(crate) const fn backend_keys() -> [Key; 5] {
    [
        optional("quorum", form::NUMBER, "Fewer servers (by weight) than this: the quorum is lost.").later(),
        optional("hysteresis", form::NUMBER, "So much more than the quorum brings it back.").later(),
        optional("on-quorum-up", form::COMMAND, "Run when the quorum is there again.").later(),
        optional("on-quorum-down", form::COMMAND, "Run when the quorum is lost.").later(),
        optional("sorry-server", form::ADDRESS, "Gets everything while the quorum is lost.").later(),
    ]
}

/// Reads `forward` and `sync` of a frontend.
pub(crate) fn frontend(owner: &mut Section<'_>, cx: &mut Context) {
    let mut section = owner.section("forward", &FORWARD, cx);
    section.choice("method", &[("nat", ()), ("direct", ()), ("tunnel", ())], cx);
    section.choice("engine", &[("auto", ()), ("ipvs", ()), ("nftables", ())], cx);
    let _: Option<Period> = section.optional("persistence", cx);
    if let Some(mut section) = owner.optional_section("sync", &SYNC, cx) {
        cx.later(format!("{}: synchronised connection tables", section.path), section.span);
        let _: Option<Line> = section.required("interface", cx);
        let _: Whole<0, 255> = section.value("id", cx);
    }
}

/// Reads the keys of [`backend_keys`].
pub(crate) fn backend(owner: &mut Section<'_>, cx: &mut Context) {
    let _: Option<Whole<1, 65535>> = owner.optional("quorum", cx);
    let _: Option<Whole<0, 65535>> = owner.optional("hysteresis", cx);
    let _: Option<Command> = owner.optional("on-quorum-up", cx);
    let _: Option<Command> = owner.optional("on-quorum-down", cx);
    let _: Option<SocketAddr> = owner.optional("sorry-server", cx);
    if let Some(entry) = owner.entry("quorum") {
        cx.later(format!("{}.quorum: quorum", owner.path), entry.span);
    }
    if let Some(entry) = owner.entry("sorry-server") {
        cx.later(format!("{}.sorry-server: sorry server", owner.path), entry.span);
    }
    for key in ["hysteresis", "on-quorum-up", "on-quorum-down"] {
        if let Some(entry) = owner.entry(key)
            && !owner.has("quorum")
        {
            cx.error(entry.span, format!("{key} without a quorum")).help("write quorum = 1");
        }
    }
}

/// Whether a duration is a whole number of `unit`s.
pub(crate) fn is_multiple(duration: Duration, unit: Duration) -> bool {
    duration.as_micros().is_multiple_of(unit.as_micros())
}
