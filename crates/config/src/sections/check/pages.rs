//! What checks of HTTP ask for.

use check::{BodyMatch, HttpCheck, Page, PageDigest};
use data_encoding::HEXLOWER_PERMISSIVE;

use crate::context::Context;
use crate::read::{Line, Read, Some1};
use crate::schema::{Schema, form, optional, required, says};
use crate::section::Section;
use crate::sections::http::{Host, Method, Path, Statuses};
use crate::tree::{Node, Value};

/// Pages of one check: each takes a connection at every probe.
const PAGES_MAX: usize = 64;

pub(crate) static PAGE: Schema = Schema {
    path: "pages",
    about: "One request of a `check` that makes several. Each must be answered as expected, in turn, on a connection of its own and within the check's time-out. Redirects are not followed: they are answers like others.",
    keys: &[
        required("path", form::PATH, "Its path, with a query if need be."),
        says("status", "number, text or list", "the check's", "Statuses that pass."),
        optional("body", form::TEXT, "Text that the first 64 KiB of the body must hold."),
        optional("digest", "hexadecimal text", "The digest that the body must have, MD5 or SHA-256."),
    ],
};

pub(super) fn http(section: &mut Section<'_>, cx: &mut Context) -> HttpCheck {
    let Method(method) = section.value("method", cx);
    let host = section.optional::<HostAndPort>("host", cx).map(|HostAndPort(host)| host);
    let Some1(statuses) = section.value::<Some1<Statuses>>("status", cx);
    let statuses = check::Statuses(statuses.into_iter().map(|Statuses(range)| range).collect());
    let Some(entry) = section.entry("pages") else {
        let Path(path) = section.value("path", cx);
        let body = body(section, cx);
        let digest = section.optional::<Digest>("digest", cx).map(|Digest(digest)| digest);
        return HttpCheck { method, host, pages: vec![Page { path, statuses, body, digest }] };
    };
    for (name, example) in
        [("path", "{ path = … }"), ("body", "{ path = …, body = … }"), ("digest", "{ path = …, digest = … }")]
    {
        if let Some(own) = section.entry(name) {
            cx.error(own.span, format!("a check with pages has no {name} of its own"))
                .help(format!("write it into one of them: {example}"))
                .note(entry.span, "these");
        }
    }
    let nodes = section.list("pages");
    if nodes.is_empty() {
        cx.error(entry.node.span, "the list is empty").help("write { path = \"/…\" }, or leave the key out");
    }
    if let Some(beyond) = nodes.get(PAGES_MAX) {
        cx.error(beyond.span, format!("a check has at most {PAGES_MAX} pages")).help("write a second check");
    }
    let mut pages = Vec::new();
    for (index, node) in nodes.into_iter().enumerate() {
        let path = format!("{}.pages[{index}]", section.path);
        pages.extend(Section::open(node, &PAGE, path, cx).and_then(|section| page(section, &statuses, cx)));
    }
    HttpCheck { method, host, pages }
}

fn page(mut section: Section<'_>, default: &check::Statuses, cx: &mut Context) -> Option<Page> {
    let path = section.required::<Path>("path", cx);
    let own = section.optional::<Some1<Statuses>>("status", cx);
    let own = own.map(|Some1(own)| check::Statuses(own.into_iter().map(|Statuses(range)| range).collect()));
    let body = body(&mut section, cx);
    let digest = section.optional::<Digest>("digest", cx).map(|Digest(digest)| digest);
    Some(Page { path: path?.0, statuses: own.unwrap_or_else(|| default.clone()), body, digest })
}

fn body(section: &mut Section<'_>, cx: &mut Context) -> Option<BodyMatch> {
    section.optional::<Line>("body", cx).map(|Line(text)| BodyMatch::Contains(text))
}

/// A host as a request names it: perhaps with a port.
struct HostAndPort(String);

impl Read for HostAndPort {
    fn read(node: &Node, cx: &mut Context) -> Option<HostAndPort> {
        let Line(text) = Line::read(node, cx)?;
        let name = match text.rsplit_once(':') {
            Some((name, port)) if port.parse::<u16>().is_ok() => name,
            _ => &text,
        };
        let bare = Node { value: Value::Text(name.to_owned()), span: node.span };
        Host::read(&bare, cx).map(|_| HostAndPort(text))
    }
}

/// MD5 or SHA-256, in hexadecimal: told apart by their lengths.
struct Digest(PageDigest);

impl Read for Digest {
    fn read(node: &Node, cx: &mut Context) -> Option<Digest> {
        let Line(text) = Line::read(node, cx)?;
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).unwrap_or_default();
        let digest = match bytes.len() {
            16 => bytes.try_into().ok().map(PageDigest::Md5),
            32 => bytes.try_into().ok().map(PageDigest::Sha256),
            _ => None,
        };
        if digest.is_none() {
            cx.error(node.span, "a digest has 32 (MD5) or 64 (SHA-256) hexadecimal digits")
                .help("let `perron digest URL` write it");
        }
        digest.map(Digest)
    }
}
