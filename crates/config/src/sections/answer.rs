use origin::HealthConfig;
use proxy::config::{Answer, BackendIndex, HandlerIndex, Redirect, Respond};

use crate::Handler;
use crate::context::Context;
use crate::names::{self, Kind};
use crate::read::{At, Line, Period, Read, Whole};
use crate::schema::{Key, Schema, form, optional, required, with};
use crate::section::Section;
use crate::sections::{cgi, fastcgi, files};
use crate::sources::Span;
use crate::tree::{Node, Value};

/// The keys of which one answers.
pub(crate) const KEYS: [&str; 7] = ["backend", "redirect", "respond", "files", "health", "fastcgi", "cgi"];

/// Their schema, for a route and for a frontend.
pub(crate) const fn keys() -> [Key; 7] {
    [
        optional("backend", "name of a backend", "Answered by one of its servers."),
        optional("redirect", "text or table", "Answered with a redirect: its URL, or a table `redirect`."),
        optional("respond", form::TABLE, "Answered with a fixed text; see `respond`."),
        optional("files", "path or table", "Answered with files: their root, or a table `files`."),
        optional(
            "health",
            "path or table",
            "Answered 200 if the tree can be read, else 503; its root, or a table `health`.",
        ),
        optional("fastcgi", form::TABLE, "Answered by an application over FastCGI; see `fastcgi`."),
        optional("cgi", form::TABLE, "Answered by a program that is run for each request; see `cgi`."),
    ]
}

pub(crate) static REDIRECT: Schema = Schema {
    path: "redirect",
    about: "In a frontend or a route: `redirect = \"https://{host}{path}{query}\"`, or as a table with these keys.",
    keys: &[
        required(
            "to",
            "URL",
            "Where to; `{host}`, `{path}` and `{query}` (with its `?`, or empty) stand for the request's own.",
        ),
        with("status", "301, 302, 303, 307, 308", "302", "The answer's status."),
    ],
};

pub(crate) static RESPOND: Schema = Schema {
    path: "respond",
    about: "In a frontend or a route: `respond = { status = 503, body = \"back at noon\\n\" }`.",
    keys: &[
        with("status", "200 to 599", "200", "The answer's status."),
        with("body", form::TEXT, "\"\"", "What is sent."),
        with("content-type", form::TEXT, "\"text/plain; charset=utf-8\"", "What that is."),
    ],
};

pub(crate) static HEALTH: Schema = Schema {
    path: "health",
    about: "In a frontend or a route: `health = \"/srv/www\"`, or as a table with these keys. A tree on a file system \
            that hangs is a failed check, never a hung worker.",
    keys: &[
        required("files", form::PATH, "The tree that must be readable."),
        with("timeout", form::TIME, "\"1s\"", "How long that may take."),
    ],
};

/// What a section says of its answer.
pub(crate) enum Given {
    /// None of the keys is there, or they are wrong.
    Nothing,
    /// This.
    Answer(Answer),
    /// This, for each path prefix: the part of the path that stands for a tree's root.
    Files(Vec<(String, Answer)>),
}

/// Reads whichever of [`KEYS`] is there; `prefixes` are the route's.
pub(crate) fn read(section: &mut Section<'_>, prefixes: &[String], cx: &mut Context) -> Given {
    let entries: Vec<_> = KEYS.iter().filter_map(|key| section.entry(key)).collect();
    let mut sorted = entries.clone();
    sorted.sort_by_key(|entry| entry.span);
    if let [first, second, ..] = sorted.as_slice() {
        cx.error(second.span, format!("{} and {} cannot both answer", first.key, second.key))
            .help("keep one of the two, or give each its own route")
            .note(first.span, "first here");
    }
    let Some(entry) = sorted.first() else {
        return Given::Nothing;
    };
    let path = format!("{}.{}", section.path, entry.key);
    let answer = match entry.key.as_str() {
        "backend" => backend(&entry.node, cx).map(Answer::Backend),
        "redirect" => redirect(&entry.node, path, cx).map(Answer::Redirect),
        "respond" => respond(&entry.node, path, cx).map(Answer::Respond),
        "health" => health(&entry.node, path, cx).map(|health| handler(Handler::Health(health), entry.span, cx)),
        "files" => return files::files(&entry.node, path, prefixes, cx),
        "cgi" => cgi::cgi(&entry.node, path, prefixes, cx),
        _ => fastcgi::fastcgi(&entry.node, path, prefixes, cx),
    };
    answer.map_or(Given::Nothing, Given::Answer)
}

/// The backend that the text at `node` names.
pub(crate) fn backend(node: &Node, cx: &mut Context) -> Option<BackendIndex> {
    let name = At::<String>::read(node, cx)?;
    let position = names::resolve(Kind::Backend, &name, cx)?;
    u16::try_from(position).ok().map(BackendIndex)
}

pub(crate) fn handler(handler: Handler, span: Span, cx: &mut Context) -> Answer {
    let index = u16::try_from(cx.handlers.len()).unwrap_or_else(|_| {
        cx.error(span, "more than 65535 routes serve files or health").help("let a backend do some of it");
        0
    });
    cx.handlers.push(handler);
    Answer::Handler(HandlerIndex(index))
}

fn redirect(node: &Node, path: String, cx: &mut Context) -> Option<Redirect> {
    if !matches!(node.value, Value::Table(_)) {
        let to = At::<Line>::read(node, cx)?;
        return location(&to, cx).map(|location| Redirect { status: 302, location });
    }
    let mut section = Section::open(node, &REDIRECT, path, cx)?;
    let status: At<Whole<100, 599>> = section.value("status", cx);
    let to: Option<At<Line>> = section.required("to", cx);
    let number: u16 = status.value.get();
    if ![301, 302, 303, 307, 308].contains(&number) {
        cx.error(status.span, format!("{number} is no redirect")).help("write 301, 302, 303, 307 or 308");
    }
    Some(Redirect { status: number, location: location(&to?, cx)? })
}

fn location(to: &At<Line>, cx: &mut Context) -> Option<String> {
    let Line(text) = &to.value;
    let mut rest = text.as_str();
    while let Some(open) = rest.find(['{', '}']) {
        let known = ["{host}", "{path}", "{query}"].iter().find(|known| rest[open..].starts_with(**known));
        let Some(known) = known else {
            let end = rest[open..].find('}').map_or(rest.len(), |close| open + close + 1);
            cx.error(to.span, format!("unknown placeholder {}", rest[open..end].escape_debug()))
                .help("known: {host}, {path}, {query}; write other braces as %7B and %7D");
            return None;
        };
        rest = &rest[open + known.len()..];
    }
    let begins = ["http://", "https://", "/", "{path}"].iter().any(|start| text.starts_with(start));
    if !begins || text.contains(' ') || !text.is_ascii() {
        cx.error(to.span, format!("\"{}\" is no URL to send a client to", text.escape_debug()))
            .help("write \"https://{host}{path}{query}\", or a path such as \"/new{path}\"");
        return None;
    }
    Some(text.clone())
}

fn respond(node: &Node, path: String, cx: &mut Context) -> Option<Respond> {
    let mut section = Section::open(node, &RESPOND, path, cx)?;
    let status: At<Whole<200, 599>> = section.value("status", cx);
    let body: At<String> = section.value("body", cx);
    let Line(content_type) = section.value("content-type", cx);
    let number: u16 = status.value.get();
    if matches!(number, 204 | 205 | 304) && !body.value.is_empty() {
        cx.warn(body.span, format!("an answer {number} has no body; this one is left out")).help("remove body");
    }
    Some(Respond { status: number, content_type, body: body.value })
}

fn health(node: &Node, path: String, cx: &mut Context) -> Option<HealthConfig> {
    let (mut section, files) = files::path_or_table(node, &HEALTH, "files", path, cx);
    let Period(timeout) = section.value("timeout", cx);
    Some(HealthConfig { files: files?, timeout })
}
