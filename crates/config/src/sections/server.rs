use std::collections::BTreeMap;

use ::tls::config::ClientTls;
use balance::{ClassIndex, ServerConfig, ZoneIndex};
use check::CheckConfig;
use proxy::config::{Protocol, Server, ServerAddress};
use units::{AdminState, Bandwidth, Weight};

use crate::context::Context;
use crate::names::{self, Kind};
use crate::read::{At, Line, Read, Whole, wrong};
use crate::schema::{Key, Schema, form, optional, required, says, with};
use crate::section::Section;
use crate::sections::check::{self as checks, Begun, Defaults, Template};
use crate::sections::class::{self, Class};
use crate::sections::deliver::{self, RedirectCheck};
use crate::sections::quorum::{self, Programs};
use crate::sections::{proxy_header, rate, tls};
use crate::sources::Span;
use crate::suggest;
use crate::tree::{Node, Value};

/// What a pool holds, so that an index fits its tables.
const SERVERS_MAX: usize = 16_384;

const KEYS: [Key; 19] = {
    let [on_up, on_down] = quorum::server_keys();
    let [redirect_to, redirect_check] = deliver::server_keys();
    [
        required("address", "`\"IP:port\"` or `\"unix:/path\"`", "Where it listens. Names are not looked up."),
        says("name", form::TEXT, "its address", "Unique in its backend; its clients stay with the name."),
        optional("class", "name of a class", "The kind of server that it is; see `class`."),
        optional("zone", "name of a zone", "Where it stands; see `zone`. With `balance = \"bandwidth\"`."),
        says("weight", "0 to 65535", "its class's, else 1", "Its share; 0 gets nothing new."),
        says(
            "bandwidth",
            class::BANDWIDTH,
            "its class's, else 1Gbit for each unit of its weight",
            "What its link takes. With `balance = \"bandwidth\"`.",
        ),
        says(
            "max-requests",
            form::NUMBER,
            "its class's, else no limit",
            "Requests in flight at once; further ones go elsewhere, or wait in the queue.",
        ),
        optional("max-connections", form::NUMBER, "The same in TCP mode's word; one of the two."),
        rate::server_key(),
        with(
            "backup",
            "true, false or 1 to 255",
            "false",
            "Serves when no other can (`true` is 1); n: when none of a lower number can.",
        ),
        with(
            "state",
            "`\"ready\"`, `\"drain\"`, `\"maintenance\"`",
            "\"ready\"",
            "What it starts as: serving; checked and given nothing new; left alone.",
        ),
        optional("checks", "list of tables", "How it is checked, instead of the backend's `check`; `[]`: not at all."),
        proxy_header::server_key(),
        redirect_to,
        redirect_check,
        protocol_key(),
        says("tls", "true, false or table", "the backend's, else as its checks have it", "TLS with it; see `tls`."),
        on_up,
        on_down,
    ]
};

/// What servers speak, as a backend or a server says.
pub(crate) fn protocol(section: &mut Section<'_>, cx: &mut Context) -> Option<Protocol> {
    section.optional_choice("protocol", &[("http1", Protocol::Http1), ("http2", Protocol::Http2)], cx)
}

pub(crate) const fn protocol_key() -> Key {
    optional(
        "protocol",
        "`\"http1\"`, `\"http2\"`",
        "What it is asked in; a server's word comes before its backend's, else it is `\"http1\"`. `\"http2\"`: many requests on one connection; over TLS it has to agree (ALPN), in clear text to expect it. Checks ask in HTTP/1 all the same.",
    )
}

pub(crate) static SERVER: Schema = Schema {
    path: "[backend.NAME.server]",
    about: "A server, written `[[backend.NAME.server]]`, once for each.",
    keys: &KEYS,
};

/// A server as each part of the program needs it.
pub(crate) struct Parts {
    pub(crate) pool: ServerConfig,
    pub(crate) proxy: Server,
    pub(crate) checks: Vec<CheckConfig>,
    pub(crate) redirect_check: Option<CheckConfig>,
    /// Who is told when it comes and goes.
    pub(crate) notify: scripts::Notify,
    /// Where its name or address stands.
    pub(crate) span: Span,
    /// Where its `redirect-to` stands.
    pub(crate) redirect_to: Option<Span>,
    /// Where its `zone` stands.
    pub(crate) zone: Option<Span>,
}

/// What a backend says for all its servers.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'b> {
    pub(crate) classes: &'b [Class],
    pub(crate) checks: &'b [Template],
    pub(crate) redirect_check: &'b RedirectCheck,
    pub(crate) defaults: Defaults,
    pub(crate) tls: Option<&'b tls::Wish>,
    pub(crate) protocol: Option<Protocol>,
    pub(crate) programs: &'b Programs,
}

/// A server's address, as the text has it.
pub(crate) struct Address(pub(crate) ServerAddress);

impl Read for Address {
    fn read(node: &Node, cx: &mut Context) -> Option<Address> {
        match &node.value {
            Value::Text(text) if text.starts_with("unix:") => {
                let path = cx.sources.base().join(text.trim_start_matches("unix:"));
                Some(Address(ServerAddress::Unix(path)))
            }
            _ => std::net::SocketAddr::read(node, cx).map(ServerAddress::Ip).map(Address),
        }
    }
}

/// A backup's tier: 0 for none.
struct Tier(u8);

impl Read for Tier {
    fn read(node: &Node, cx: &mut Context) -> Option<Tier> {
        match &node.value {
            Value::Boolean(backup) => Some(Tier(u8::from(*backup))),
            Value::Integer(Some(tier @ 0..=255)) => u8::try_from(*tier).ok().map(Tier),
            _ => wrong(node, "true, false or a number from 1 to 255", "write backup = true", cx),
        }
    }
}

/// Reads a backend's servers.
pub(crate) fn servers(owner: &mut Section<'_>, shared: Shared<'_>, cx: &mut Context) -> Vec<Parts> {
    let nodes = owner.list("server");
    if nodes.is_empty() && !cx.broken {
        cx.error(owner.span, "this backend has no server")
            .help(format!("write [[{}.server]] with address = \"IP:port\"", owner.path));
    }
    if let Some(beyond) = nodes.get(SERVERS_MAX) {
        cx.error(beyond.span, format!("a backend has at most {SERVERS_MAX} servers")).help("spread them over several");
    }
    let mut servers: Vec<Parts> = Vec::new();
    let mut names: BTreeMap<String, Span> = BTreeMap::new();
    for (index, node) in nodes.iter().enumerate() {
        let word = name_of(node).unwrap_or_else(|| format!("[{index}]"));
        let path = format!("{}.server.{word}", owner.path);
        let Some(server) = Section::open(node, &SERVER, path, cx).and_then(|section| server(section, shared, cx))
        else {
            continue;
        };
        if let Some(first) = names.get(&server.pool.name) {
            cx.error(server.span, format!("the backend has a server \"{}\" already", server.pool.name))
                .help("give each server its own name")
                .note(*first, "first here");
        } else {
            names.insert(server.pool.name.clone(), server.span);
        }
        servers.push(server);
    }
    if !servers.is_empty() && servers.iter().all(|server| server.pool.weight == Weight::ZERO) {
        cx.warn(owner.span, "every server's weight is 0: none gets anything").help("give one of them a weight");
    }
    servers
}

fn server(mut section: Section<'_>, shared: Shared<'_>, cx: &mut Context) -> Option<Parts> {
    let address: Option<At<Address>> = section.required("address", cx);
    let name: Option<At<Line>> = section.optional("name", cx);
    let class = class_of(&mut section, shared.classes, cx);
    let zone: Option<At<String>> = section.optional("zone", cx);
    let zone_index = zone.as_ref().and_then(|zone| names::resolve(Kind::Zone, zone, cx));
    let (weight, bandwidth) = share(&mut section, class.map(|class| &shared.classes[class]), cx);
    let class_limit = class.and_then(|class| shared.classes[class].max_in_flight);
    let max_in_flight = max_in_flight(&mut section, class_limit, cx);
    let rate_limit = rate::of_server(&mut section, cx);
    let Tier(tier) = section.value("backup", cx);
    let admin = [AdminState::Ready, AdminState::Drain, AdminState::Maintenance].map(|state| (state.as_str(), state));
    let admin = section.choice("state", &admin, cx);
    let defaults = shared.defaults;
    let send_proxy = proxy_header::send(&mut section, cx).unwrap_or(defaults.send_proxy);
    let own =
        section.entry("checks").map(|list| checks::list(&list.node, &format!("{}.checks", section.path), defaults, cx));
    let redirect = deliver::server(&mut section, defaults, cx);
    let wish = tls::server(&mut section, cx);
    let protocol = protocol(&mut section, cx).or(shared.protocol).unwrap_or_default();
    let notify = shared.programs.told(&mut section, ["on-up", "on-down"], cx);
    let At { value: Address(address), span } = address?;
    let name = match name {
        Some(name) => {
            names::check("server", &name.value.0, name.span, cx);
            At { value: name.value.0, span: name.span }
        }
        None => At { value: address.to_string(), span },
    };
    let templates = own.as_deref().unwrap_or(shared.checks);
    let tls = tls::of_server(wish.as_ref().map(|wish| &wish.value).or(shared.tls), templates, redirect.as_ref());
    tls::check_name(tls.as_ref(), &address, span, cx);
    if protocol == Protocol::Http2 && send_proxy.is_some() {
        cx.error(span, "a connection of HTTP/2 carries many clients, and a PROXY header names one")
            .help("write send-proxy = false, or protocol = \"http1\"");
    }
    let begun = Begun { send_proxy, tls: tls.as_ref(), span };
    let checks: Vec<_> = templates.iter().filter_map(|template| template.aim(&address, begun, cx)).collect();
    let pool = ServerConfig {
        name: name.value,
        weight,
        max_in_flight,
        tier,
        checked: !templates.is_empty(),
        admin,
        class: class.and_then(|class| u16::try_from(class).ok()).map(ClassIndex),
        zone: zone_index.and_then(|zone| u16::try_from(zone).ok()).map(ZoneIndex),
        bandwidth,
        sorry: false,
    };
    Some(Parts {
        pool,
        checks,
        notify,
        redirect_check: redirect
            .as_ref()
            .and_then(|to| deliver::aim(to, shared.redirect_check, templates, tls.as_ref())),
        span: name.span,
        redirect_to: redirect.as_ref().map(|redirect| redirect.span),
        zone: zone.map(|zone| zone.span),
        proxy: Server {
            address,
            send_proxy,
            redirect_to: redirect.map(|redirect| redirect.place.to),
            rate_limit,
            tls: tls.map(|tls| ClientTls { http2: protocol == Protocol::Http2, ..tls }),
            protocol,
        },
    })
}

/// The place of the server's class in `classes`.
fn class_of(section: &mut Section<'_>, classes: &[Class], cx: &mut Context) -> Option<usize> {
    let name: At<String> = section.optional("class", cx)?;
    let found = classes.iter().position(|class| class.name == name.value);
    if found.is_none() && !cx.broken {
        let known: Vec<&str> = classes.iter().map(|class| class.name.as_str()).collect();
        let help = suggest::instead(&name.value, &known, "write a table [backend.NAME.class.NAME]");
        cx.error(name.span, format!("the backend has no class \"{}\"", name.value.escape_debug())).help(help);
    }
    found
}

/// What it gets beside the others: its own word, its class's, or the language's.
fn share(section: &mut Section<'_>, class: Option<&Class>, cx: &mut Context) -> (Weight, Option<Bandwidth>) {
    let weight = class.map_or(Whole::of(1), |class| class.weight);
    let weight = section.computed::<Whole<0, 65535>>("weight", weight, weight.get::<u16>().to_string(), cx);
    let bandwidth = class.and_then(|class| class.bandwidth).map(|bandwidth| (bandwidth, format!("\"{bandwidth}\"")));
    (Weight::new(weight.get()), section.shared("bandwidth", bandwidth, cx))
}

/// Reads `max-requests`, or `max-connections`; `class` is what applies without.
pub(crate) fn max_in_flight(section: &mut Section<'_>, class: Option<Limit>, cx: &mut Context) -> Option<u32> {
    let connections: Option<At<Limit>> = section.optional("max-connections", cx);
    let Some(connections) = connections else {
        let class = class.map(|limit| (limit, limit.get::<u32>().to_string()));
        return section.shared("max-requests", class, cx).map(Limit::get);
    };
    if let Some(requests) = section.entry("max-requests") {
        cx.error(requests.span, "max-requests and max-connections are two words for one limit")
            .help("keep one of the two")
            .note(connections.span, "the other");
    }
    Some(connections.value.get())
}

/// Requests in flight at once.
pub(crate) type Limit = Whole<1, 100_000_000>;

/// The server's name, before it is read, for what is said of it.
fn name_of(node: &Node) -> Option<String> {
    let Value::Table(table) = &node.value else {
        return None;
    };
    match &table.entry("name").or(table.entry("address"))?.node.value {
        Value::Text(name) => Some(name.clone()),
        _ => None,
    }
}
