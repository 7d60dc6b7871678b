use crate::date::write_date;
use crate::forward::HeaderEdits;
use crate::forward::fields::{copy_lines, edited, nominated, write_edits};
use crate::head::{Framing, ResponseHead, Version};

/// Room for what an answer's head gains on its way.
const GAIN: usize = 128;

/// What becomes of the client's connection after this answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// It takes further requests.
    KeepAlive,
    /// It is closed.
    Close,
    /// It is a tunnel from here on: after 101, and after a 2xx to CONNECT.
    Upgrade,
}

/// How an answer goes onward.
#[derive(Clone, Copy, Debug)]
pub struct ResponseForward<'a> {
    /// Changes to the fields, made in this order.
    pub edits: [&'a HeaderEdits; 2],
    /// What becomes of the client's connection.
    pub connection: Connection,
    /// The version of the client's request.
    pub client_version: Version,
    /// How the body is framed for the client: as the server did ([`ResponseHead::framing`]), or
    /// [`Framing::UntilClose`] for a chunked one that an HTTP/1.0 client cannot read, or
    /// [`Framing::Chunked`] for one without an end of its own.
    pub framing: Framing,
    /// When the answer came, in seconds since 1970: told in a Date field where the server tells none (RFC 9110 §6.6.1).
    pub came: u64,
}

/// Appends the head that the client is sent.
///
/// It says HTTP/1.1 to every client: the version is ours, not the client's (RFC 9110 §2.5). Lines keep their order
/// and their letters. Dropped are Connection and what it names (not Content-Length and Transfer-Encoding),
/// Keep-Alive, Proxy-Connection, TE, and Upgrade except in a 101.
///
/// Content-Length and Transfer-Encoding say what `framing` says. With [`Framing::None`] the server's Content-Length
/// stays where it tells of a body that is not sent (HEAD, 304) and goes where none may be told of (1xx, 204, tunnels).
pub fn write_response(out: &mut Vec<u8>, head: &ResponseHead<'_>, forward: &ResponseForward<'_>) {
    out.reserve(head.raw.bytes.len() + GAIN);
    write_status_line(out, head);
    let switches = head.status == 101 && forward.connection == Connection::Upgrade;

    let marks = &head.raw.marks;
    let mut skip = marks.dropped | edited(head.fields, forward.edits);
    if !switches {
        skip |= marks.upgrade;
    }
    if head.raw.nominates {
        skip |= nominated(head.fields);
    }
    if is_framed_anew(head, forward) {
        copy_lines(out, head.raw, head.fields, skip | marks.framing);
        write_framing(out, forward.framing);
    } else {
        copy_lines(out, head.raw, head.fields, skip);
    }
    match (forward.connection, forward.client_version) {
        (Connection::Upgrade, _) if switches => out.extend_from_slice(b"Connection: Upgrade\r\n"),
        (Connection::Close, _) => out.extend_from_slice(b"Connection: close\r\n"),
        (Connection::KeepAlive, Version::Http10) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
        (Connection::KeepAlive | Connection::Upgrade, _) => {}
    }
    if head.status >= 200 && head.fields.value("date").is_none() {
        out.extend_from_slice(b"Date: ");
        write_date(out, forward.came);
        out.extend_from_slice(b"\r\n");
    }
    write_edits(out, forward.edits);
    out.extend_from_slice(b"\r\n");
}

fn write_status_line(out: &mut Vec<u8>, head: &ResponseHead<'_>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    write_decimal(out, u64::from(head.status));
    out.push(b' ');
    out.extend_from_slice(head.reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Whether the server's framing lines are not for the client.
fn is_framed_anew(head: &ResponseHead<'_>, forward: &ResponseForward<'_>) -> bool {
    if forward.framing != Framing::None {
        return forward.framing != head.framing;
    }
    let bodiless = head.status < 200 || head.status == 204;
    let tells = !bodiless && forward.connection != Connection::Upgrade;
    !tells || head.fields.value("content-length").is_none()
}

fn write_framing(out: &mut Vec<u8>, framing: Framing) {
    match framing {
        Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        Framing::Length(length) => {
            out.extend_from_slice(b"Content-Length: ");
            write_decimal(out, length);
            out.extend_from_slice(b"\r\n");
        }
        Framing::UntilClose | Framing::None => {}
    }
}

fn write_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}
