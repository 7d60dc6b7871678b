//! What is done to requests and answers beside their headers: another path, another coding, another page.

use std::path::PathBuf;

use proxy::Coding;
use proxy::config::{Answer, Rewrite};

use crate::context::Context;
use crate::read::{At, Line, Read, Some1, wrong};
use crate::schema::{Key, Schema, form, optional, required};
use crate::section::Section;
use crate::sections::http::Path;
use crate::tree::{Node, Value};

pub(crate) static REWRITE: Schema = Schema {
    path: "rewrite",
    about: "In a route with a backend or an application: `rewrite = { from = \"/old/\", to = \"/new/\" }`. Files need none: \
            their `root` stands for the route's `path`.",
    keys: &[
        required("from", form::PATH, "The beginning of the path, decoded; a path without it goes on as it is."),
        required("to", form::PATH, "What stands in its place when a server is asked."),
    ],
};

/// Media of pages by how their names end.
const MEDIA: [(&str, &str); 4] = [
    (".html", "text/html; charset=utf-8"),
    (".htm", "text/html; charset=utf-8"),
    (".json", "application/json"),
    (".txt", "text/plain; charset=utf-8"),
];

/// The key of a route.
pub(crate) const fn rewrite_key() -> Key {
    optional("rewrite", form::TABLE, "Another beginning of the path for the server; see `rewrite`.")
}

/// The key of a frontend or a route.
pub(crate) const fn compress_key() -> Key {
    optional(
        "compress",
        "`\"zstd\"`, `\"gzip\"` or list",
        "Code answers that are text in one of these, the first that the client accepts; never partial ones, ones that are coded already, or ones for boot firmware.",
    )
}

/// The key of a frontend.
pub(crate) const fn error_pages_key() -> Key {
    optional(
        "error-pages",
        "table `{ STATUS = path }`",
        "Pages of up to 64 KiB instead of this program's own words for these errors, 400 to 599; `.html`, `.txt` or `.json`. HTTP only.",
    )
}

/// Reads `rewrite` of a route.
pub(crate) fn rewrite(owner: &mut Section<'_>, cx: &mut Context) -> Option<Rewrite> {
    let mut section = owner.optional_section("rewrite", &REWRITE, cx)?;
    let from: Option<At<Path>> = section.required("from", cx);
    let to: Option<At<Path>> = section.required("to", cx);
    let (from, to) = (from?, to?);
    for path in [&from, &to] {
        let Path(text) = &path.value;
        if text.contains(['?', '%']) || text.split('/').any(|segment| matches!(segment, "." | "..")) {
            cx.error(path.span, "a path to rewrite has neither a query, nor % nor dot segments")
                .help("write it decoded, such as \"/old/\"");
        }
    }
    let (Path(from), Path(to)) = (from.value, to.value);
    if from.ends_with('/') != to.ends_with('/') {
        cx.error(section.span, "one of the two ends with / and the other does not")
            .help("end both with / or neither: names behind them stay whole then");
    }
    Some(Rewrite { from, to })
}

/// Reports a `rewrite` that nothing heeds.
pub(crate) fn check_rewrite(section: &mut Section<'_>, answer: &Answer, cx: &mut Context) {
    if let (Some(entry), false) = (section.entry("rewrite"), matches!(answer, Answer::Backend(_))) {
        cx.error(entry.span, "rewrite is for requests that go to a server")
            .help("of files, the route's path stands for the root; of a redirect, its URL says where to");
    }
}

/// Reads `compress` of a frontend or a route.
pub(crate) fn compress(owner: &mut Section<'_>, cx: &mut Context) -> Option<Vec<Coding>> {
    let Some1(names) = owner.optional::<Some1<At<String>>>("compress", cx)?;
    let mut codings = Vec::new();
    for name in names {
        match [Coding::Zstd, Coding::Gzip].into_iter().find(|coding| coding.name() == name.value) {
            Some(coding) if !codings.contains(&coding) => codings.push(coding),
            Some(_) => {}
            None => {
                cx.error(name.span, format!("\"{}\" is no coding that is known", name.value.escape_debug()))
                    .help("write \"zstd\" or \"gzip\"");
            }
        }
    }
    Some(codings)
}

/// Reads `error-pages` of a frontend.
pub(crate) fn error_pages(owner: &mut Section<'_>, cx: &mut Context) -> Vec<proxy::config::ErrorPageFile> {
    let Some(entry) = owner.entry("error-pages") else {
        return Vec::new();
    };
    let Value::Table(table) = &entry.node.value else {
        let help = "write error-pages = { 404 = \"/srv/pages/404.html\" }";
        let _: Option<()> = wrong(&entry.node, "a table", help, cx);
        return Vec::new();
    };
    let mut pages = Vec::new();
    for page in &table.entries {
        let status = page.key.parse::<u16>().ok().filter(|status| (400..600).contains(status));
        if status.is_none() {
            cx.error(page.span, format!("\"{}\" is no status of an error", page.key.escape_debug()))
                .help("write a number from 400 to 599");
        }
        if let (Some((path, content_type)), Some(status)) = (page_file(&page.node, cx), status) {
            pages.push(proxy::config::ErrorPageFile { status, path, content_type: content_type.to_owned() });
        }
    }
    pages
}

fn page_file(node: &Node, cx: &mut Context) -> Option<(PathBuf, &'static str)> {
    let At { value: Line(name), span } = At::<Line>::read(node, cx)?;
    let media = MEDIA.iter().find(|(ending, _)| name.ends_with(ending));
    if media.is_none() {
        cx.error(span, "the name does not say what kind of page it is").help("end it with .html, .txt or .json");
    }
    Some((cx.sources.base().join(name), media?.1))
}
