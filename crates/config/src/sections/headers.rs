use http_proto::{Forwarded, HeaderEdits};
use units::Network;

use crate::context::Context;
use crate::read::{At, Read, wrong};
use crate::schema::{Schema, form, optional, with};
use crate::section::Section;
use crate::sections::http::{FieldValue, check_field_name};
use crate::tree::Value;

pub(crate) static EDITS: Schema = Schema {
    path: "request-headers",
    about: "Changes to header fields, in a frontend (first) or a route (then), as `request-headers` or \
            `response-headers`. Removals come first, then replacements, then additions. The fields that frame a \
            message or belong to one connection (Content-Length, Transfer-Encoding, Connection, Keep-Alive, \
            Proxy-Connection, TE, Trailer, Upgrade) are not for changing; Host can be set, not removed.",
    keys: &[
        optional("remove", form::TEXTS, "Names of fields to take away."),
        optional("set", "table of texts", "Fields to replace, or to add if they are not there: `{ X-Site = \"a\" }`."),
        optional("add", "table of texts or lists", "Fields to put beside what is there."),
    ],
};

pub(crate) static FORWARDED: Schema = Schema {
    path: "forwarded",
    about: "What servers are told of the client, in a frontend. Such fields of the client's own are removed unless it \
            is trusted: what a server reads was written by a front door.",
    keys: &[
        with("x-forwarded", form::BOOLEAN, "true", "Send X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host."),
        with("forwarded", form::BOOLEAN, "false", "Send Forwarded (RFC 7239)."),
        with(
            "trusted",
            form::NETWORKS,
            "[]",
            "Clients, such as other proxies, whose own fields are kept and added to.",
        ),
    ],
};

/// What belongs to a message's framing or to one connection (RFC 9110 section 7.6.1, RFC 9112 section 6).
const FRAMING: [&str; 8] =
    ["connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

/// Reads `[frontend.NAME.forwarded]`.
pub(crate) fn forwarded(mut section: Section<'_>, cx: &mut Context) -> Forwarded {
    Forwarded {
        x_forwarded: section.value("x-forwarded", cx),
        forwarded: section.value("forwarded", cx),
        trusted: section.value::<Vec<Network>>("trusted", cx),
    }
}

/// Reads `request-headers` or `response-headers` of `owner`.
pub(crate) fn edits(owner: &mut Section<'_>, key: &str, cx: &mut Context) -> HeaderEdits {
    let Some(mut section) = owner.optional_section(key, &EDITS, cx) else {
        return HeaderEdits::default();
    };
    let mut edits = HeaderEdits::default();
    for name in section.optional::<Vec<At<String>>>("remove", cx).unwrap_or_default() {
        if name.value.eq_ignore_ascii_case("host") {
            cx.error(name.span, "a request without Host is refused by every server").help("set it instead");
        } else if may_change(&name, cx) {
            edits.remove.push(name.value);
        }
    }
    for (name, mut values) in fields(&mut section, "set", cx) {
        if values.len() > 1 {
            cx.error(name.span, "a field is set to one value").help("write one text, or use add");
        }
        if edits.set.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name.value)) {
            cx.error(name.span, format!("{} is set already", name.value)).help("names differ in more than case");
        }
        edits.set.extend(values.pop().map(|value| (name.value, value)));
    }
    for (name, values) in fields(&mut section, "add", cx) {
        if name.value.eq_ignore_ascii_case("host") {
            cx.error(name.span, "a request with two Hosts is refused by every server").help("set it instead");
        }
        edits.add.extend(values.into_iter().map(|value| (name.value.clone(), value)));
    }
    edits
}

fn fields(section: &mut Section<'_>, key: &str, cx: &mut Context) -> Vec<(At<String>, Vec<String>)> {
    let Some(entry) = section.entry(key) else {
        return Vec::new();
    };
    let Value::Table(table) = &entry.node.value else {
        let _: Option<()> = wrong(&entry.node, "a table", &format!("write {key} = {{ X-Name = \"value\" }}"), cx);
        return Vec::new();
    };
    let mut fields = Vec::new();
    for entry in &table.entries {
        let name = At { value: entry.key.clone(), span: entry.span };
        let values: Option<Vec<FieldValue>> = Vec::read(&entry.node, cx);
        if may_change(&name, cx) {
            let values = values.unwrap_or_default().into_iter().map(|FieldValue(value)| value);
            fields.push((name, values.collect()));
        }
    }
    fields
}

fn may_change(name: &At<String>, cx: &mut Context) -> bool {
    if !check_field_name(&name.value, name.span, cx) {
        return false;
    }
    let framing = FRAMING.contains(&name.value.to_ascii_lowercase().as_str());
    if framing {
        cx.error(name.span, format!("{} belongs to the message's framing or its connection", name.value))
            .help("remove this line: the relay writes the field as each message needs it");
    }
    !framing
}
