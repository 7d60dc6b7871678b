use std::fmt::Write;

use crate::binds;
use crate::schema::{Fallback, Key, Schema, form, optional};
use crate::sections::{
    acme, answer, application, backend, basic_auth, boot, cgi, check, class, fastcgi, files, forward, frontend,
    headers, masters, name_service, process, rate, route, server, shape, stick, stream, sync, tls, vip, zone,
};

const PREFACE: &str = include_str!("reference.md");

pub(crate) static ROOT: Schema = Schema { path: "", about: "The tables at the top.", keys: &ROOT_KEYS };

const ROOT_KEYS: [Key; 13] = [
    optional("process", form::TABLE, "The program itself."),
    optional("admin", form::TABLE, "What operators and monitors see."),
    optional("frontend", "tables `[frontend.NAME]`", "What clients reach."),
    optional("backend", "tables `[backend.NAME]`", "Pools of servers."),
    optional("zone", "tables `[zone.NAME]`", "Where clients and servers stand."),
    optional("peers", form::TABLE, "The other directors."),
    optional("vip", "tables `[vip.NAME]`", "Addresses that move."),
    optional("vip-group", "tables `[vip-group.NAME]`", "Vips that move together."),
    optional("dns", form::TABLE, "Name service."),
    optional("acme", form::TABLE, "Certificates from an authority."),
    optional("inventory", form::TABLE, "Nodes.").later(),
    optional("masters", form::TABLE, "Machines that run the boot services.").later(),
    optional("boot", form::TABLE, "How nodes boot.").later(),
];

/// Every table of the language, in the order of the reference.
pub(crate) static SCHEMAS: [&Schema; 53] = [
    &ROOT,
    &process::PROCESS,
    &process::ADMIN,
    &frontend::FRONTEND,
    &binds::UNIX,
    &frontend::TIMEOUTS,
    &frontend::KEEPALIVE,
    &headers::FORWARDED,
    &headers::EDITS,
    &route::ROUTE,
    &rate::RATE_LIMIT,
    &basic_auth::BASIC_AUTH,
    &shape::REWRITE,
    &stream::STREAM,
    &answer::REDIRECT,
    &answer::RESPOND,
    &files::FILES,
    &answer::HEALTH,
    &fastcgi::FASTCGI,
    &cgi::CGI,
    &application::LIMITS,
    &backend::BACKEND,
    &backend::TIMEOUTS,
    &server::SERVER,
    &check::CHECK,
    &check::PAGE,
    &class::CLASS,
    &zone::ZONE,
    &stick::PEERS,
    &tls::SERVER_TLS,
    &tls::FRONTEND_TLS,
    &forward::FORWARD,
    &sync::SYNC,
    &vip::VIP,
    &vip::ADDRESS,
    &vip::ROUTE,
    &vip::RULE,
    &vip::ANNOUNCE,
    &vip::TRACK,
    &vip::UNICAST,
    &vip::AUTHENTICATION,
    &vip::NOTIFY,
    &vip::GROUP,
    &name_service::DNS,
    &acme::ACME,
    &masters::INVENTORY,
    &masters::MASTERS,
    &boot::BOOT,
    &boot::DHCP,
    &boot::TFTP,
    &boot::NFS,
    &boot::PROFILE,
    &boot::BOND,
];

/// The reference of the language, as Markdown.
pub fn reference() -> String {
    let mut text = PREFACE.to_owned();
    for schema in SCHEMAS {
        section(&mut text, schema);
    }
    text
}

/// Headers of the tables that have `key`, for who wrote it in another.
pub(crate) fn sections_with(key: &str) -> Vec<String> {
    let has = |schema: &&&Schema| schema.position(key).is_some();
    SCHEMAS.iter().filter(has).take(3).map(|schema| header(schema).replace('`', "")).collect()
}

fn section(text: &mut String, schema: &Schema) {
    let later = schema.keys.iter().all(|key| key.later);
    let note = if later { " (later)" } else { "" };
    let _ = write!(text, "\n## {}{note}\n\n{}\n\n", header(schema), schema.about);
    text.push_str("| key | value | default | meaning |\n| --- | --- | --- | --- |\n");
    for key in schema.keys {
        let default = match key.fallback {
            Fallback::Required => "**required**".to_owned(),
            Fallback::Value(default) => format!("`{default}`"),
            Fallback::Words(words) => words.to_owned(),
            Fallback::Nothing => "–".to_owned(),
        };
        let note = if key.later && !later { " (later)" } else { "" };
        let _ = writeln!(text, "| `{}` | {} | {default} | {}{note} |", key.name, key.form, key.meaning);
    }
}

fn header(schema: &Schema) -> String {
    match schema.path {
        "" => "The top".to_owned(),
        list if list.starts_with('[') => format!("`[{list}]`"),
        inline if !inline.contains('.') && !TOP.contains(&inline) => format!("`{inline}`"),
        table => format!("`[{table}]`"),
    }
}

/// Paths without a dot that are headers nevertheless.
const TOP: [&str; 8] = ["process", "admin", "peers", "dns", "acme", "inventory", "masters", "boot"];
