use std::time::Duration;

use crate::context::Context;
use crate::read::{Line, Period, Whole};
use crate::schema::{Schema, form, optional, required, with};
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

/// Whether a duration is a whole number of `unit`s.
pub(crate) fn is_multiple(duration: Duration, unit: Duration) -> bool {
    duration.as_micros().is_multiple_of(unit.as_micros())
}
