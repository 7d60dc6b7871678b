//! A request as an application is told it: parameters of CGI (RFC 3875 §4.1), and the body in records.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use fcgi_proto::{CONTENT_MAX, Params, STDIN_END, stdin_header};
use http_proto::{Framing, RequestHead, host_without_port, resolve_path};

use super::body::Body;
use super::plan::Meta;
use crate::config::{Application, Script};
use crate::reason::Reason;

/// What SERVER_SOFTWARE says.
const SOFTWARE: &str = concat!("perron/", env!("CARGO_PKG_VERSION"));

/// Fields that are told otherwise, mean nothing to a program, or must not be told: a program that makes requests of its
/// own would take HTTP_PROXY for its proxy (CVE-2016-5385).
const NOT_TOLD: [&[u8]; 9] = [
    b"content-length",
    b"content-type",
    b"transfer-encoding",
    b"connection",
    b"upgrade",
    b"expect",
    b"proxy",
    b"te",
    b"trailer",
];

/// What of a request is the application's to know.
pub(crate) struct Told<'a> {
    pub(crate) meta: Meta<'a>,
    pub(crate) head: &'a RequestHead<'a>,
    /// The head as a server would be sent it: with the configured changes.
    pub(crate) onward: &'a [u8],
    /// The address that the client's connection came to.
    pub(crate) reached: Option<SocketAddr>,
    /// As much of the body as is here, as the client frames it.
    pub(crate) early_body: &'a [u8],
}

/// Appends the records of a request, with as much of its body as is here.
pub(crate) fn write_records(out: &mut Vec<u8>, application: &Application, told: &Told<'_>) -> Result<(), Reason> {
    if application.length_required && told.head.framing == Framing::Chunked {
        return Err(Reason::LengthRequired);
    }
    let resolved = resolve_path(told.head.path_and_query).map_err(|_| Reason::Path)?;
    let mut writer = Writer { params: Params::begin(out, application.keep_connection), application };
    writer.add_request(told, &resolved.path, resolved.query.unwrap_or_default());
    writer.add_ends(told);
    writer.add_fields(told.onward);
    for (name, value) in &application.params {
        writer.params.add(name.as_bytes(), value.as_bytes());
    }
    writer.params.end();
    write_body(out, told.head.framing, told.early_body);
    Ok(())
}

fn write_body(out: &mut Vec<u8>, framing: Framing, early: &[u8]) {
    let mut body = Body::new(framing);
    let mut payload = Vec::new();
    // It has been followed before, so it is right.
    let _ = body.take_payload(early, &mut payload);
    for piece in payload.chunks(CONTENT_MAX) {
        out.extend_from_slice(&stdin_header(piece.len()));
        out.extend_from_slice(piece);
    }
    if body.is_done() {
        out.extend_from_slice(&STDIN_END);
    }
}

struct Writer<'o, 'a> {
    params: Params<'o>,
    application: &'a Application,
}

impl Writer<'_, '_> {
    fn add(&mut self, name: &str, value: &[u8]) {
        self.add_joined(name, &[value]);
    }

    /// What the configuration names is its own.
    fn add_joined(&mut self, name: &str, value: &[&[u8]]) {
        if self.application.params.iter().all(|(other, _)| other != name) {
            self.params.add_joined(name.as_bytes(), value);
        }
    }

    fn add_request(&mut self, told: &Told<'_>, path: &[u8], query: &str) {
        let head = told.head;
        self.add("GATEWAY_INTERFACE", b"CGI/1.1");
        self.add("SERVER_SOFTWARE", SOFTWARE.as_bytes());
        let version: &[u8] = if head.version == http_proto::Version::Http10 { b"HTTP/1.0" } else { b"HTTP/1.1" };
        self.add("SERVER_PROTOCOL", version);
        self.add("REQUEST_METHOD", head.method.as_bytes());
        let slash: &[u8] = if head.path_and_query.starts_with('?') { b"/" } else { b"" };
        self.add_joined("REQUEST_URI", &[slash, head.path_and_query.as_bytes()]);
        self.add("QUERY_STRING", query.as_bytes());
        self.add_script(path);
        if let Framing::Length(length) = head.framing {
            self.add("CONTENT_LENGTH", length.to_string().as_bytes());
        }
        if let Some(kind) = head.fields.value("content-type") {
            self.add("CONTENT_TYPE", kind);
        }
    }

    fn add_script(&mut self, path: &[u8]) {
        let application = self.application;
        let (name, info, file): (&[&[u8]; 2], &[u8], Option<&Path>) = match &application.script {
            Script::Prefix { prefixes, file } => {
                let name = below(prefixes, path);
                (&[&path[..name], b""], &path[name..], file.as_deref())
            }
            Script::File { ending, index } => match script_end(path, ending) {
                Some(end) => (&[&path[..end], b""], &path[end..], None),
                None if path.ends_with(b"/") => (&[path, index.as_bytes()], b"", None),
                None => (&[b"/", index.as_bytes()], b"", None),
            },
        };
        self.add_joined("SCRIPT_NAME", name);
        self.add("PATH_INFO", info);
        self.add_joined("DOCUMENT_URI", &[name[0], name[1], info]);
        if let Some(file) = file {
            self.add("SCRIPT_FILENAME", file.as_os_str().as_bytes());
        }
        let Some(root) = &application.root else { return };
        let root = root.as_os_str().as_bytes();
        self.add("DOCUMENT_ROOT", root);
        let root = root.strip_suffix(b"/").unwrap_or(root);
        if file.is_none() {
            self.add_joined("SCRIPT_FILENAME", &[root, name[0], name[1]]);
        }
        if !info.is_empty() {
            self.add_joined("PATH_TRANSLATED", &[root, info]);
        }
    }

    /// Who is at either end of the connection, and what is between them.
    fn add_ends(&mut self, told: &Told<'_>) {
        let mut text = Vec::new();
        let mut written = |value: &dyn std::fmt::Display| {
            text.clear();
            let _ = write!(text, "{value}");
            text.clone()
        };
        let secure = told.meta.secure;
        self.add("REQUEST_SCHEME", if secure.is_some() { b"https" } else { b"http" });
        match told.meta.peer {
            Some(peer) => {
                self.add("REMOTE_ADDR", &written(&peer.ip().to_canonical()));
                self.add("REMOTE_PORT", &written(&peer.port()));
            }
            // RFC 3875 §4.1.8 has no word for a client without an address.
            None => self.add("REMOTE_ADDR", b"unix:"),
        }
        let host = host_without_port(told.head.host);
        match told.reached {
            Some(reached) => {
                let address = written(&reached.ip().to_canonical());
                self.add("SERVER_NAME", if host.is_empty() { &address } else { host.as_bytes() });
                self.add("SERVER_ADDR", &address);
                self.add("SERVER_PORT", &written(&reached.port()));
            }
            None => {
                self.add("SERVER_NAME", if host.is_empty() { b"localhost" } else { host.as_bytes() });
                self.add("SERVER_PORT", if secure.is_some() { b"443" } else { b"80" });
            }
        }
        for (name, value) in tls::variables(secure) {
            self.add(name, value.as_bytes());
        }
        if let Some(user) = told.meta.user() {
            self.add("REMOTE_USER", user.as_bytes());
            self.add("AUTH_TYPE", b"SSL_CLIENT_VERIFY");
        }
    }

    /// The request's fields. Lines of one name are one value (RFC 3875 §4.1.18).
    fn add_fields(&mut self, onward: &[u8]) {
        let fields = || lines(onward).filter(|(name, _)| is_told(name));
        for (index, (name, value)) in fields().enumerate() {
            let is_same = |(other, _): &(&[u8], &[u8])| other.eq_ignore_ascii_case(name);
            if fields().take(index).any(|field| is_same(&field)) {
                continue;
            }
            let more = || fields().skip(index + 1).filter(is_same);
            if more().next().is_none() {
                self.params.add_field(name, value);
                continue;
            }
            // RFC 6265 §5.4 and RFC 9110 §5.3.
            let between: &[u8] = if name.eq_ignore_ascii_case(b"cookie") { b"; " } else { b", " };
            let mut joined = value.to_vec();
            for (_, value) in more() {
                joined.extend_from_slice(between);
                joined.extend_from_slice(value);
            }
            self.params.add_field(name, &joined);
        }
    }
}

/// The field lines of a head that was written here.
fn lines(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
    let lines = head.split(|&byte| byte == b'\n').skip(1).take_while(|line| !matches!(**line, [] | [b'\r']));
    lines.filter_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        Some((&line[..colon], line[colon + 1..].trim_ascii()))
    })
}

/// Whether a program can tell the field's name from every other: `X_A` and `X-A` are one to it.
fn is_told(name: &[u8]) -> bool {
    let is_plain = name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    is_plain && !NOT_TOLD.iter().any(|other| name.eq_ignore_ascii_case(other))
}

/// How many bytes of `path` are the longest of `prefixes` that it is below, without the `/` at its end.
fn below(prefixes: &[String], path: &[u8]) -> usize {
    let bare = prefixes.iter().map(|prefix| prefix.strip_suffix('/').unwrap_or(prefix).as_bytes());
    let above = bare.filter(|prefix| path.strip_prefix(*prefix).is_some_and(|rest| matches!(rest, [] | [b'/', ..])));
    above.map(<[u8]>::len).max().unwrap_or(0)
}

/// Where the first segment of `path` ends that ends with `ending`.
fn script_end(path: &[u8], ending: &str) -> Option<usize> {
    let ends = memchr::memmem::find_iter(path, ending).map(|at| at + ending.len());
    ends.into_iter().find(|end| matches!(path.get(*end), None | Some(b'/')))
}

#[cfg(test)]
mod tests;
