use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use crate::forward::fields::{
    copy_lines, edited, identifying, nominated, replaces, write_edits, write_joined, write_line,
};
use crate::forward::{Forwarded, HeaderEdits};
use crate::head::RequestHead;
use crate::token::is_tchar;

/// Room for what a head gains on its way: the names of the client, scheme and host.
const GAIN: usize = 256;

/// How a request goes onward.
#[derive(Clone, Copy, Debug)]
pub struct RequestForward<'a> {
    /// The client's address; `None` for one on a unix socket, which is never trusted and told as unknown.
    pub client: Option<IpAddr>,
    /// Where the client's connection came to, which is the host of a request that names none; `None`: nobody knows.
    pub reached: Option<SocketAddr>,
    /// How the client reached us: `http` or `https`.
    pub scheme: &'a str,
    /// What servers are told of the client.
    pub forwarded: &'a Forwarded,
    /// Whole lines about the client's certificate, whose names begin with `SSL-`. The client's own lines of such names,
    /// also those written with `_` for `-`, are dropped. `None`: nothing is told of it, and its own lines pass.
    pub identity: Option<&'a [u8]>,
    /// Changes to the fields, made in this order, the fields about the client included.
    pub edits: [&'a HeaderEdits; 2],
}

/// Appends the head that a server is sent.
///
/// The request line is in origin form (CONNECT: authority form) and always HTTP/1.1; Host comes first, then the
/// client's other lines in their order and to the letter, then Upgrade, the fields about the client, the edits.
/// A request without a host, as HTTP/1.0 has them, gets [`RequestForward::reached`] for one.
///
/// Dropped are Connection and what it names, Keep-Alive, Proxy-Connection, TE, Upgrade unless
/// [`RequestHead::upgrade`] is there (RFC 9110 §7.6.1), and an HTTP/1.0 client's Expect. Proxy-Authorization stays: it is for whoever asked for it
/// (§11.7.2), and we never do. A Connection field that names Host, Content-Length, Transfer-Encoding, Forwarded or
/// X-Forwarded-For, -Proto or -Host is not heeded for these.
///
/// A trusted client's X-Forwarded-For and Forwarded lines are joined and added to; its X-Forwarded-Proto and -Host
/// stay as they are, for they hold one value each. Other clients' lines of these names are dropped, also those
/// written with `_` for `-`, which are one name to CGI programs.
pub fn write_request(out: &mut Vec<u8>, head: &RequestHead<'_>, forward: &RequestForward<'_>) {
    out.reserve(head.raw.bytes.len() + GAIN);
    write_request_line(out, head);
    let host = forward.edits.iter().rev().find_map(|edits| set_host(edits));
    write_host(out, host.unwrap_or(head.host), forward.reached);

    let marks = &head.raw.marks;
    let mut skip = marks.host | marks.dropped | marks.upgrade | edited(head.fields, forward.edits);
    if head.raw.nominates {
        skip |= nominated(head.fields);
    }
    let trusted = marks.forwarding != 0 && is_trusted(forward);
    if !trusted {
        skip |= marks.forwarding;
    } else if forward.forwarded.x_forwarded || forward.forwarded.forwarded {
        skip |= joined(head, forward.forwarded);
    }
    if forward.identity.is_some() {
        skip |= identifying(head.fields);
    }
    copy_lines(out, head.raw, head.fields, skip);

    if let Some(protocol) = head.upgrade {
        out.extend_from_slice(b"Connection: Upgrade\r\n");
        write_line(out, "Upgrade", &[protocol.as_bytes()]);
    }
    out.extend_from_slice(forward.identity.unwrap_or_default());
    if forward.forwarded.x_forwarded {
        write_x_forwarded(out, head, forward, trusted);
    }
    if forward.forwarded.forwarded && !is_replaced(forward, "forwarded") {
        write_forwarded(out, head, forward, trusted);
    }
    write_edits(out, forward.edits);
    out.extend_from_slice(b"\r\n");
}

fn write_request_line(out: &mut Vec<u8>, head: &RequestHead<'_>) {
    out.extend_from_slice(head.method.as_bytes());
    out.push(b' ');
    if head.path_and_query.starts_with('?') {
        out.push(b'/');
    }
    let target = if head.path_and_query.is_empty() { head.target } else { head.path_and_query };
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// RFC 9112 §3.3 leaves it to us to name a host for who names none; servers refuse an empty one.
fn write_host(out: &mut Vec<u8>, host: &str, reached: Option<SocketAddr>) {
    match reached.filter(|_| host.is_empty()) {
        None => write_line(out, "Host", &[host.as_bytes()]),
        Some(reached) => {
            // Made anew, it has no zone, which no Host field may have.
            let own = SocketAddr::new(reached.ip().to_canonical(), reached.port());
            write_line(out, "Host", &[own.to_string().as_bytes()]);
        }
    }
}

fn set_host(edits: &HeaderEdits) -> Option<&str> {
    let host = edits.set.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
    host.map(|(_, value)| value.as_str())
}

fn is_trusted(forward: &RequestForward<'_>) -> bool {
    let trusted = &forward.forwarded.trusted;
    forward.client.is_some_and(|client| trusted.iter().any(|network| network.contains(client)))
}

fn is_replaced(forward: &RequestForward<'_>, name: &str) -> bool {
    forward.edits.iter().any(|edits| replaces(edits, name))
}

/// A trusted client's lines that are written anew with our word added.
fn joined(head: &RequestHead<'_>, forwarded: &Forwarded) -> u128 {
    let mut lines = 0;
    for (index, field) in head.fields.iter().enumerate() {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        if (forwarded.x_forwarded && is("x-forwarded-for")) || (forwarded.forwarded && is("forwarded")) {
            lines |= 1 << index;
        }
    }
    lines
}

fn write_x_forwarded(out: &mut Vec<u8>, head: &RequestHead<'_>, forward: &RequestForward<'_>, trusted: bool) {
    if let Some(client) = forward.client
        && !is_replaced(forward, "x-forwarded-for")
    {
        out.extend_from_slice(b"X-Forwarded-For: ");
        if trusted {
            write_joined(out, head.fields, "x-forwarded-for");
        }
        write_address(out, client);
        out.extend_from_slice(b"\r\n");
    }
    let is_wanted = |name: &str| {
        let kept = trusted && head.fields.value(name).is_some();
        !kept && !is_replaced(forward, name)
    };
    if is_wanted("x-forwarded-proto") {
        write_line(out, "X-Forwarded-Proto", &[forward.scheme.as_bytes()]);
    }
    if !head.host.is_empty() && is_wanted("x-forwarded-host") {
        write_line(out, "X-Forwarded-Host", &[head.host.as_bytes()]);
    }
}

/// RFC 7239 §4 to §6.
fn write_forwarded(out: &mut Vec<u8>, head: &RequestHead<'_>, forward: &RequestForward<'_>, trusted: bool) {
    out.extend_from_slice(b"Forwarded: ");
    if trusted {
        write_joined(out, head.fields, "forwarded");
    }
    match forward.client.map(|client| client.to_canonical()) {
        None => out.extend_from_slice(b"for=unknown"),
        Some(client @ IpAddr::V4(_)) => {
            out.extend_from_slice(b"for=");
            write_address(out, client);
        }
        Some(client @ IpAddr::V6(_)) => {
            out.extend_from_slice(b"for=\"[");
            write_address(out, client);
            out.extend_from_slice(b"]\"");
        }
    }
    out.extend_from_slice(b";proto=");
    out.extend_from_slice(forward.scheme.as_bytes());
    if !head.host.is_empty() {
        let quote: &[u8] = if head.host.bytes().all(is_tchar) { b"" } else { b"\"" };
        for piece in [b";host=", quote, head.host.as_bytes(), quote] {
            out.extend_from_slice(piece);
        }
    }
    out.extend_from_slice(b"\r\n");
}

fn write_address(out: &mut Vec<u8>, address: IpAddr) {
    write!(out, "{}", address.to_canonical()).expect("a vector takes every byte");
}
