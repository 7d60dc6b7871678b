//! Answers that are made here.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_proto::{Version, reason_phrase, write_date};

use super::plan::{Meta, edits};
use crate::error_page::ErrorPage;
use crate::reason::Reason;

/// What a client is told to wait for whom nothing better is known.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// An answer of a few fields and a small body.
#[derive(Clone, Copy)]
pub(crate) struct Reply<'a> {
    pub(crate) status: u16,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) location: Option<&'a str>,
    pub(crate) body: &'a [u8],
}

impl Default for Reply<'_> {
    fn default() -> Self {
        Reply { status: 200, content_type: None, location: None, body: b"" }
    }
}

/// Appends the whole answer; `fields` are complete lines that end its head.
pub(crate) fn write_reply(out: &mut Vec<u8>, reply: &Reply<'_>, fields: &[u8], is_head: bool) {
    write_status_line(out, reply.status);
    write_date_field(out);
    if let Some(location) = reply.location {
        write_field(out, "Location", location.as_bytes());
    }
    if let Some(content_type) = reply.content_type
        && !reply.body.is_empty()
    {
        write_field(out, "Content-Type", content_type.as_bytes());
    }
    let bodiless = matches!(reply.status, 204 | 304);
    if !bodiless {
        write_field(out, "Content-Length", reply.body.len().to_string().as_bytes());
    }
    out.extend_from_slice(fields);
    out.extend_from_slice(b"\r\n");
    if !is_head && !bodiless {
        out.extend_from_slice(reply.body);
    }
}

/// Appends the answer to a request that is refused or cannot be carried out; the connection ends with it or not.
pub(crate) fn write_error(
    out: &mut Vec<u8>,
    reason: Reason,
    keep: bool,
    is_head: bool,
    retry_after: Option<Duration>,
    page: Option<&ErrorPage>,
) {
    let status = reason.status();
    let mut body = format!("{status} {}\n", reason_phrase(status));
    match reason {
        Reason::ClearText => body
            .push_str("This port speaks TLS, and the request came in clear text: write https:// instead of http://.\n"),
        Reason::LengthRequired => body
            .push_str("This application has to know beforehand how long a body is: send it with a Content-Length.\n"),
        _ => {}
    }
    let mut fields = Vec::new();
    write_field(&mut fields, "Cache-Control", b"no-store");
    if !keep {
        write_field(&mut fields, "Connection", b"close");
    }
    if matches!(status, 429 | 503) {
        // In whole seconds (RFC 9110 §10.2.3), and never sooner than it is worth while.
        let wait = retry_after.unwrap_or(RETRY_AFTER);
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        write_field(&mut fields, "Retry-After", seconds.max(1).to_string().as_bytes());
    }
    let (content_type, body) = page.map_or(("text/plain; charset=utf-8", body.as_bytes()), ErrorPage::parts);
    let reply = Reply { status, content_type: Some(content_type), location: None, body };
    write_reply(out, &reply, &fields, is_head);
}

/// The fields that end the head of every answer made for a request: the configured edits, the connection's fate.
pub(crate) fn write_last_fields(
    out: &mut Vec<u8>,
    meta: Meta<'_>,
    route: Option<u16>,
    version: Version,
    keep_alive: bool,
) {
    for edits in edits(meta.configured(), route, |f| &f.response_headers, |r| &r.response_headers) {
        for (name, value) in edits.set.iter().chain(&edits.add) {
            write_field(out, name, value.as_bytes());
        }
    }
    if !keep_alive {
        write_field(out, "Connection", b"close");
    } else if version == Version::Http10 {
        write_field(out, "Connection", b"keep-alive");
    }
}

/// Appends this moment as a Date field's value.
pub(crate) fn write_now(out: &mut Vec<u8>) {
    write_date(out, unix_now());
}

/// Seconds since 1970.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn write_date_field(out: &mut Vec<u8>) {
    out.extend_from_slice(b"Date: ");
    write_now(out);
    out.extend_from_slice(b"\r\n");
}

fn write_status_line(out: &mut Vec<u8>, status: u16) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason_phrase(status).as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn write_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
