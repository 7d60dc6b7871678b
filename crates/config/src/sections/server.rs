use balance::ServerConfig;
use check::CheckConfig;
use proxy::config::{Server, ServerAddress};
use units::{AdminState, Weight};

use crate::context::Context;
use crate::names::{self, Kind};
use crate::read::{At, Line, Read, Whole, wrong};
use crate::schema::{Schema, form, optional, required, says, with};
use crate::section::Section;
use crate::sections::check::{self as checks, Defaults, Template};
use crate::sections::{proxy_header, tls};
use crate::suggest;
use crate::tree::{Node, Value};

/// What a pool holds, so that an index fits its tables.
const SERVERS_MAX: usize = 4096;

pub(crate) static SERVER: Schema = Schema {
    path: "[backend.NAME.server]",
    about: "A server, written `[[backend.NAME.server]]`, once for each.",
    keys: &[
        required("address", "`\"IP:port\"` or `\"unix:/path\"`", "Where it listens. Names are not looked up."),
        says("name", form::TEXT, "its address", "Unique in its backend; its clients stay with the name."),
        with("weight", "0 to 65535", "1", "Its share; 0 gets nothing new."),
        says("max-requests", form::NUMBER, "no limit", "Requests in flight at once; further ones wait in the queue."),
        optional("max-connections", form::NUMBER, "The same in TCP mode's word; one of the two."),
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
        optional("class", "name of a class", "The kind of server that it is.").later(),
        optional("zone", "name of a zone", "Where it stands.").later(),
        optional("redirect-to", "URL", "Where clients are sent that follow redirects.").later(),
        optional("tls", "true or table", "TLS with it; see `tls`.").later(),
    ],
};

/// A server as each part of the program needs it.
pub(crate) struct Parts {
    pub(crate) pool: ServerConfig,
    pub(crate) proxy: Server,
    pub(crate) checks: Vec<CheckConfig>,
}

/// A server's address, as the text has it.
struct Address(ServerAddress);

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

/// Reads a backend's servers; `templates` are its own checks.
pub(crate) fn servers(
    owner: &mut Section<'_>,
    classes: &[String],
    templates: &[Template],
    defaults: Defaults,
    cx: &mut Context,
) -> Vec<Parts> {
    let nodes = owner.list("server");
    if nodes.is_empty() && !cx.broken {
        cx.error(owner.span, "this backend has no server")
            .help(format!("write [[{}.server]] with address = \"IP:port\"", owner.path));
    }
    if let Some(beyond) = nodes.get(SERVERS_MAX) {
        cx.error(beyond.span, format!("a backend has at most {SERVERS_MAX} servers")).help("spread them over several");
    }
    let mut servers: Vec<Parts> = Vec::new();
    let mut names: Vec<At<String>> = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let word = name_of(node).unwrap_or_else(|| format!("[{index}]"));
        let path = format!("{}.server.{word}", owner.path);
        let Some(section) = Section::open(node, &SERVER, path, cx) else {
            continue;
        };
        let Some((name, server)) = server(section, classes, templates, defaults, cx) else {
            continue;
        };
        if let Some(first) = names.iter().find(|first| first.value == name.value) {
            cx.error(name.span, format!("the backend has a server \"{}\" already", name.value))
                .help("give each server its own name")
                .note(first.span, "first here");
        }
        names.push(name);
        servers.push(server);
    }
    if !servers.is_empty() && servers.iter().all(|server| server.pool.weight == Weight::ZERO) {
        cx.warn(owner.span, "every server's weight is 0: none gets anything").help("give one of them a weight");
    }
    servers
}

fn server(
    mut section: Section<'_>,
    classes: &[String],
    templates: &[Template],
    defaults: Defaults,
    cx: &mut Context,
) -> Option<(At<String>, Parts)> {
    let address: Option<At<Address>> = section.required("address", cx);
    let name: Option<At<Line>> = section.optional("name", cx);
    let weight = section.value::<Whole<0, 65535>>("weight", cx).get();
    let max_in_flight = max_in_flight(&mut section, cx);
    let Tier(tier) = section.value("backup", cx);
    let admin = [AdminState::Ready, AdminState::Drain, AdminState::Maintenance].map(|state| (state.as_str(), state));
    let admin = section.choice("state", &admin, cx);
    let send_proxy = proxy_header::send(&mut section, cx).unwrap_or(defaults.send_proxy);
    let own =
        section.entry("checks").map(|list| checks::list(&list.node, &format!("{}.checks", section.path), defaults, cx));
    later_parts(&mut section, classes, cx);
    let At { value: Address(address), span } = address?;
    let name = match name {
        Some(name) => {
            names::check("server", &name.value.0, name.span, cx);
            At { value: name.value.0, span: name.span }
        }
        None => At { value: address.to_string(), span },
    };
    let templates = own.as_deref().unwrap_or(templates);
    let checks: Vec<_> = templates.iter().filter_map(|template| template.aim(&address, send_proxy, span, cx)).collect();
    let pool = ServerConfig {
        name: name.value.clone(),
        weight: Weight::new(weight),
        max_in_flight,
        tier,
        checked: !templates.is_empty(),
        admin,
        class: None,
        zone: None,
        bandwidth: None,
    };
    Some((name, Parts { pool, proxy: Server { address, send_proxy, redirect_to: None, rate_limit: None }, checks }))
}

fn max_in_flight(section: &mut Section<'_>, cx: &mut Context) -> Option<u32> {
    let connections: Option<At<Whole<1, 100_000_000>>> = section.optional("max-connections", cx);
    let Some(connections) = connections else {
        return section.optional::<Whole<1, 100_000_000>>("max-requests", cx).map(Whole::get);
    };
    if let Some(requests) = section.entry("max-requests") {
        cx.error(requests.span, "max-requests and max-connections are two words for one limit")
            .help("keep one of the two")
            .note(connections.span, "the other");
    }
    Some(connections.value.get())
}

fn later_parts(section: &mut Section<'_>, classes: &[String], cx: &mut Context) {
    if let Some(class) = section.optional::<At<String>>("class", cx)
        && !classes.contains(&class.value)
        && !cx.broken
    {
        let help = suggest::instead(&class.value, classes, "write a table [backend.NAME.class.NAME]");
        cx.error(class.span, format!("the backend has no class \"{}\"", class.value.escape_debug())).help(help);
    }
    if let Some(zone) = section.optional::<At<String>>("zone", cx) {
        names::resolve(Kind::Zone, &zone, cx);
    }
    if let Some(url) = section.optional::<At<Line>>("redirect-to", cx) {
        let backend = section.path.split(".server").next().unwrap_or_default().to_owned();
        cx.later(format!("{backend}: redirects to servers"), url.span);
        if !["http://", "https://"].iter().any(|scheme| url.value.0.starts_with(scheme)) {
            cx.error(url.span, "this is no URL").help("write \"https://server.example.org\"");
        }
    }
    tls::server(section, cx);
}

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
