//! A server that takes requests strictly as RFC 9112 says, and keeps what it saw.

use std::sync::{Arc, Mutex, PoisonError};

use lab::{BadServer, End, Host, Wire};

/// A request as a server saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The request line and the Host field, in one text.
    pub(crate) request: String,
    pub(crate) status: u16,
    /// The path that it was taken for; the recorder resolves none.
    pub(crate) path: String,
    /// What came, in lower case; only the recorder keeps it.
    pub(crate) raw: Option<String>,
}

/// The requests of a recorder, in their order.
pub(crate) type Record = Arc<Mutex<Vec<Seen>>>;

/// Serves a port of the host's.
pub(crate) fn start(host: &Host, port: u16) -> (BadServer, Record) {
    let record = Record::default();
    let kept = Arc::clone(&record);
    let server = BadServer::start(host, port, move |wire| {
        loop {
            let mut raw = Vec::new();
            let (status, answer) = match read(wire, &mut raw) {
                Ok((target, host)) => {
                    // No tunnels here.
                    let status = if raw.starts_with(b"CONNECT ") { "405 Method Not Allowed" } else { "200 OK" };
                    (200, format!("HTTP/1.1 {status}\r\nX-Seen: {target} {host}\r\n"))
                }
                Err(Fault::Gone) if raw.is_empty() => return,
                Err(Fault::Gone) => (499, String::new()),
                Err(Fault::Malformed(why)) => {
                    raw.extend_from_slice(format!(" [{why}]").as_bytes());
                    (400, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n".to_owned())
                }
            };
            let raw = String::from_utf8_lossy(&raw).to_ascii_lowercase();
            let line = raw.lines().next().unwrap_or_default().to_owned();
            let host = raw.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
            let seen = Seen { request: format!("{line} {host}"), status, path: String::new(), raw: Some(raw.clone()) };
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
            let body = if line.starts_with("head ") { "" } else { "ok\n" };
            let sent = wire.try_send(format!("{answer}Content-Length: 3\r\n\r\n{body}"));
            if status != 200 || sent.is_err() {
                return;
            }
        }
    });
    (server, record)
}

enum Fault {
    Gone,
    Malformed(&'static str),
}

impl From<End> for Fault {
    fn from(_: End) -> Fault {
        Fault::Gone
    }
}

#[derive(Default)]
struct Head {
    target: String,
    hosts: Vec<String>,
    lengths: Vec<String>,
    codings: Vec<String>,
    is_http10: bool,
}

/// Reads a request; its target and host. All bytes that came go to `raw`.
fn read(wire: &mut Wire, raw: &mut Vec<u8>) -> Result<(String, String), Fault> {
    let head = read_head(wire, raw)?;
    let host = match &head.hosts[..] {
        [host] => host.clone(),
        [] if head.is_http10 => String::new(),
        _ => return Err(Fault::Malformed("not one Host field")),
    };
    match (&head.lengths[..], &head.codings[..]) {
        ([], []) => {}
        ([length], []) => {
            if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(Fault::Malformed("a length that is no number"));
            }
            let length = length.parse().map_err(|_| Fault::Malformed("a length that nobody has"))?;
            raw.extend(wire.try_read_exact(length)?);
        }
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => read_chunks(wire, raw)?,
        ([], _) => return Err(Fault::Malformed("another coding than chunked")),
        _ => return Err(Fault::Malformed("more than one length")),
    }
    Ok((head.target, host))
}

fn read_head(wire: &mut Wire, raw: &mut Vec<u8>) -> Result<Head, Fault> {
    let line = read_line(wire, raw)?;
    let parts: Vec<&str> = line.split(' ').collect();
    let [_, target, version @ ("HTTP/1.1" | "HTTP/1.0")] = &parts[..] else {
        return Err(Fault::Malformed("no request line"));
    };
    let mut head = Head { target: (*target).to_owned(), is_http10: *version == "HTTP/1.0", ..Head::default() };
    loop {
        let line = read_line(wire, raw)?;
        if line.is_empty() {
            return Ok(head);
        }
        let (name, value) = line.split_once(':').ok_or(Fault::Malformed("a line without a colon"))?;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Fault::Malformed("no field name"));
        }
        let value = value.trim_matches([' ', '\t']).to_owned();
        match name.to_ascii_lowercase().as_str() {
            "host" => head.hosts.push(value),
            "content-length" => head.lengths.push(value),
            "transfer-encoding" => {
                // Empty elements are to be ignored (RFC 9110 §5.6.1.2).
                head.codings
                    .extend(value.split(',').map(str::trim).filter(|coding| !coding.is_empty()).map(str::to_owned));
            }
            _ => {}
        }
    }
}

fn read_chunks(wire: &mut Wire, raw: &mut Vec<u8>) -> Result<(), Fault> {
    loop {
        let line = read_line(wire, raw)?;
        let digits = line.split(';').next().unwrap_or_default();
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = usize::from_str_radix(digits, 16).ok().filter(|_| plain);
        match size.ok_or(Fault::Malformed("no chunk size"))? {
            0 => break,
            size => raw.extend(wire.try_read_exact(size)?),
        }
        if !read_line(wire, raw)?.is_empty() {
            return Err(Fault::Malformed("chunk data without an end"));
        }
    }
    loop {
        let line = read_line(wire, raw)?;
        if line.is_empty() {
            return Ok(());
        }
    }
}

/// A line without its end, which must be CRLF; with no other CR and no NUL in it (RFC 9110 §5.5).
fn read_line(wire: &mut Wire, raw: &mut Vec<u8>) -> Result<String, Fault> {
    let line = wire.try_read_until(b"\n")?;
    raw.extend_from_slice(&line);
    let line = line.strip_suffix(b"\r\n").ok_or(Fault::Malformed("a bare LF"))?;
    if line.iter().any(|byte| matches!(byte, b'\r' | 0)) {
        return Err(Fault::Malformed("a bare CR or NUL"));
    }
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        return Err(Fault::Malformed("a folded line"));
    }
    Ok(String::from_utf8_lossy(line).into_owned())
}
