use std::net::SocketAddr;

use crate::binds::{Claim, Transport};
use crate::context::Context;
use crate::read::{At, Period, Some1};
use crate::schema::{Schema, form, required, with};
use crate::section::Section;
use crate::sections::http::Host;
use crate::sections::vip::VipOrAddress;

pub(crate) static DNS: Schema = Schema {
    path: "dns",
    about: "Answers authoritatively for one name: the addresses that are up, in turns.",
    keys: &[
        required("bind", form::ADDRESSES, "Where it listens, by UDP and TCP.").later(),
        required("name", form::TEXT, "The name.").later(),
        required("addresses", "name of a vip, `\"IP\"`, or list", "What it answers.").later(),
        with("ttl", form::TIME, "\"5s\"", "How long others may keep the answer.").later(),
    ],
};

/// Reads `[dns]`.
pub(crate) fn dns(mut section: Section<'_>, cx: &mut Context) {
    cx.later("dns: name service", section.span);
    let binds = section.required::<Some1<At<SocketAddr>>>("bind", cx).map_or(Vec::new(), |Some1(binds)| binds);
    for bind in &binds {
        cx.claims.push(Claim::ip(Transport::Tcp, bind));
        cx.claims.push(Claim::ip(Transport::Udp, bind));
    }
    let _: Option<Host> = section.required("name", cx);
    let _: Option<Some1<VipOrAddress>> = section.required("addresses", cx);
    let _: Period = section.value("ttl", cx);
}
