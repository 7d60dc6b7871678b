use std::collections::HashMap;

use proxy::config::Zone;
use units::Network;

use crate::context::Context;
use crate::read::{At, Some1};
use crate::schema::{Schema, form, required};
use crate::section::Section;
use crate::sources::Span;
use crate::tree::Entry;

pub(crate) static ZONE: Schema = Schema {
    path: "zone.NAME",
    about: "Where clients and servers stand: an island, a room, a rack. A client stands where its address does, a server \
            where its `zone` says. With `balance = \"bandwidth\"`, clients get a server of their own zone unless \
            those are busy. Zones may overlap: an address in networks of several stands in that of the longest prefix. \
            One that is in none stands nowhere, and every server is equally near.",
    keys: &[required("networks", form::NETWORKS, "The addresses that stand there; each network in one zone only.")],
};

/// Reads `[zone.NAME]`; `known` are the networks of the zones before it.
pub(crate) fn zone(
    entry: &Entry,
    mut section: Section<'_>,
    known: &mut HashMap<Network, Span>,
    cx: &mut Context,
) -> Zone {
    let networks = section.required::<Some1<At<Network>>>("networks", cx).map_or(Vec::new(), |Some1(found)| found);
    for network in &networks {
        if let Some(first) = known.get(&network.value) {
            cx.error(network.span, format!("{} is in a zone already", network.value))
                .help("leave it in one of the two")
                .note(*first, "first here");
        }
        known.entry(network.value).or_insert(network.span);
    }
    Zone { name: entry.key.clone(), networks: networks.into_iter().map(|network| network.value).collect() }
}
