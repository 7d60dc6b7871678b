use std::net::IpAddr;

use crate::context::Context;
use crate::names::{self, Kind};
use crate::read::{At, Line, Some1};
use crate::schema::{Schema, form, required, with};
use crate::section::Section;

pub(crate) static INVENTORY: Schema = Schema {
    path: "inventory",
    about: "Where the nodes and what is known of them are kept.",
    keys: &[with(
        "store",
        "URL",
        "\"sqlite:///var/lib/perron/inventory.db\"",
        "A file here (`sqlite:///path`), or `etcd://HOST:PORT,HOST:PORT…`.",
    )
    .later()],
};

pub(crate) static MASTERS: Schema = Schema {
    path: "masters",
    about: "Machines that run the boot services and stand in for each other.",
    keys: &[
        required("vip", "name of a vip", "Who has it is the current master.").later(),
        required("peers", "`\"IP\"` or list", "The masters' own addresses.").later(),
        with("services", form::TEXTS, "[]", "What only the current master runs, in this order: `drbd:NAME`, `mount:PATH`, `unit:NAME`, `boot.dhcp`, `boot.tftp`, `boot.nfs`.").later(),
    ],
};

/// Reads `[inventory]`.
pub(crate) fn inventory(mut section: Section<'_>, cx: &mut Context) {
    cx.later("inventory: nodes", section.span);
    let store: At<Line> = section.value("store", cx);
    let Line(url) = &store.value;
    let fine = match url.split_once("://") {
        Some(("sqlite", path)) => path.starts_with('/'),
        Some(("etcd", hosts)) => hosts.split(',').all(|host| {
            host.rsplit_once(':').is_some_and(|(name, port)| !name.is_empty() && port.parse::<u16>().is_ok())
        }),
        _ => false,
    };
    if !fine {
        cx.error(store.span, format!("\"{}\" is no store", url.escape_debug()))
            .help("write \"sqlite:///var/lib/perron/inventory.db\" or \"etcd://m1:2379,m2:2379,m3:2379\"");
    }
}

/// Reads `[masters]`.
pub(crate) fn masters(mut section: Section<'_>, cx: &mut Context) {
    cx.later("masters: masters that stand in for each other", section.span);
    if let Some(vip) = section.required::<At<String>>("vip", cx) {
        names::resolve(Kind::Vip, &vip, cx);
    }
    let _: Option<Some1<IpAddr>> = section.required("peers", cx);
    for service in section.value::<Vec<At<Line>>>("services", cx) {
        let Line(text) = &service.value;
        let named = ["drbd:", "mount:", "unit:"].iter().any(|kind| text.len() > kind.len() && text.starts_with(kind));
        if !named && !["boot.dhcp", "boot.tftp", "boot.nfs"].contains(&text.as_str()) {
            cx.error(service.span, format!("unknown service \"{}\"", text.escape_debug()))
                .help("known: drbd:NAME, mount:PATH, unit:NAME, boot.dhcp, boot.tftp, boot.nfs");
        }
    }
}
