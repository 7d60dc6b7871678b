//! Connections that the kernel forwards and that the other director knows as well: `sync` of a frontend.

use std::net::IpAddr;

use forward::{Sync, SyncPlan};
use forward_plan::{Choice, Engine, Key as ServiceKey};

use crate::context::Context;
use crate::read::{At, Line, Whole};
use crate::schema::{Schema, form, required, says, with};
use crate::section::Section;
use crate::sources::Span;

/// What the kernel takes for an interface's name.
const INTERFACE_MAX: usize = 15;

pub(crate) static SYNC: Schema = Schema {
    path: "frontend.NAME.sync",
    about: "Connections that the kernel forwards go on when another director takes the addresses: the one whose vip is active tells the \
            others of them, by IPVS. The kernel believes whoever sends there: let the interface's network be the directors' \
            alone. One of these, written in every frontend that has it, is for all of IPVS on this machine.",
    keys: &[
        required("interface", form::TEXT, "Where the other director is reached."),
        with("id", "0 to 255", "0", "The same on both; one with 0 hears all."),
        says("group", "`\"IP\"`", "224.0.0.81", "The multicast group that is told."),
        says("port", "1 to 65535", "8848", "To which port."),
        says("ttl", "1 to 255", "1", "Over how many networks."),
        says("max-length", "64 to 65535", "what the interface takes", "Bytes of a message."),
    ],
};

/// What a frontend says.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    plan: SyncPlan,
    /// Its first address; `None`: it has a mark.
    address: Option<IpAddr>,
    span: Span,
}

/// Reads `sync` of a frontend that forwards.
pub(crate) fn sync(owner: &mut Section<'_>, choice: Choice, keys: &[At<ServiceKey>], cx: &mut Context) {
    let Some(mut section) = owner.optional_section("sync", &SYNC, cx) else { return };
    let span = section.span;
    let interface: Option<At<Line>> = section.required("interface", cx);
    let id: Whole<0, 255> = section.value("id", cx);
    let group: Option<At<IpAddr>> = section.optional("group", cx);
    let port: Option<Whole<1, 65535>> = section.optional("port", cx);
    let ttl: Option<Whole<1, 255>> = section.optional("ttl", cx);
    let length: Option<Whole<64, 65535>> = section.optional("max-length", cx);
    if let Some(group) = group.as_ref().filter(|group| !group.value.is_multicast()) {
        cx.error(group.span, format!("{} is no multicast group", group.value))
            .help("write \"224.0.0.81\", or leave it out");
    }
    if choice == Choice::Only(Engine::Nftables) {
        cx.error(span, "nftables does not share its connections").help("write engine = \"ipvs\", or leave sync out");
    }
    let Some(At { value: Line(interface), span: at }) = interface else { return };
    if interface.is_empty() || interface.len() > INTERFACE_MAX {
        cx.error(at, "no interface has such a name")
            .help(format!("write 1 to {INTERFACE_MAX} bytes, such as \"eth0\""));
    }
    let plan = SyncPlan {
        interface,
        id: id.get(),
        length: length.map(Whole::get),
        group: group.map(|group| group.value),
        port: port.map(Whole::get),
        ttl: ttl.map(Whole::get),
    };
    let address = keys.iter().find_map(|key| match key.value {
        ServiceKey::Address { address, .. } => Some(address),
        ServiceKey::Mark { .. } => None,
    });
    cx.syncs.push(Wish { plan, address, span });
}

/// What all frontends together say, once the vips are known.
pub(crate) fn finish(failover: &failover::Plan, cx: &mut Context) -> Option<Sync> {
    let mut found: Option<(Sync, Span)> = None;
    for Wish { plan, address, span } in std::mem::take(&mut cx.syncs) {
        let holds = |vip: &&failover::Vip| vip.addresses.iter().any(|at| Some(at.ip) == address);
        let vip = match address {
            Some(_) => failover.vips.iter().find(holds),
            None => failover.vips.first(),
        };
        let Some(vip) = vip else {
            cx.error(span, "no vip has this frontend's address: nobody takes its connections over")
                .help("write a [vip.NAME] with that address, or leave sync out");
            continue;
        };
        let sync = Sync { plan, vip: vip.name.clone() };
        match &found {
            Some((first, at)) if *first != sync => {
                cx.error(
                    span,
                    "the kernel shares connections in one way, as one vip goes, and another frontend says another",
                )
                .help("write the same sync in both, of frontends whose addresses are of one vip")
                .note(*at, "the other");
            }
            Some(_) => {}
            None => found = Some((sync, span)),
        }
    }
    found.map(|(sync, _)| sync)
}
