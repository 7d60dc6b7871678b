//! Lines of the access log: JSON, and HAProxy's `httplog` and `tcplog` to the letter.

use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use units::Utc;

use super::{Phase, Record};
use crate::config::{LogFormat, Mode};
use crate::reason::Reason;

/// Where a record belongs: the names and the load that a line tells beside the record itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) frontend: &'a str,
    pub(crate) mode: Mode,
    pub(crate) backend: Option<&'a str>,
    pub(crate) server: Option<&'a str>,
    /// Connections of the process, of the frontend; requests at the backend, at the server; as HAProxy counts them.
    pub(crate) load: [u32; 4],
}

/// Appends a line for `record`, which ended at `now`.
pub(crate) fn write_line(out: &mut Vec<u8>, format: LogFormat, record: &Record, place: &Place<'_>, now: Instant) {
    match format {
        LogFormat::Off => return,
        LogFormat::Json => write_json(out, record, place, now),
        LogFormat::Haproxy => write_haproxy(out, record, place, now),
    }
    out.push(b'\n');
}

fn write_json(out: &mut Vec<u8>, record: &Record, place: &Place<'_>, now: Instant) {
    let total = now.duration_since(record.began);
    out.extend_from_slice(b"{\"time\":\"");
    write_time(out, record.wall, TimeFormat::Iso);
    out.extend_from_slice(b"\",\"client\":");
    match place.peer {
        Some(peer) => write!(out, "\"{peer}\"").ok(),
        None => write!(out, "\"unix\"").ok(),
    };
    write_text(out, "tls", record.tls.map(|(version, _)| version));
    write_text(out, "cipher", record.tls.map(|(_, cipher)| cipher));
    write_text(out, "user", record.user.as_deref());
    write_text(out, "frontend", Some(place.frontend));
    write_text(out, "backend", place.backend);
    write_text(out, "server", place.server);
    if place.mode == Mode::Http {
        write_text(out, "request", Some(&record.request));
        let _ = write!(out, ",\"status\":{}", record.status);
    }
    let _ = write!(out, ",\"bytes_in\":{},\"bytes_out\":{}", record.bytes_in, record.bytes_out);
    write_micros(out, "head_us", Some(record.head_took));
    write_micros(out, "queue_us", record.queued);
    write_micros(out, "connect_us", record.connected);
    write_micros(out, "first_byte_us", record.first_byte);
    write_micros(out, "total_us", Some(total));
    let _ = write!(out, ",\"retries\":{},\"state\":\"{}\"", record.retries, termination(record));
    write_text(out, "reason", record.reason.map(Reason::as_str));
    out.push(b'}');
}

fn write_text(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    let Some(value) = value else { return };
    let _ = write!(out, ",\"{name}\":");
    // Writing to a Vec cannot fail, nor can a string fail to be JSON.
    let _ = serde_json::to_writer(&mut *out, value);
}

fn write_micros(out: &mut Vec<u8>, name: &str, duration: Option<Duration>) {
    if let Some(duration) = duration {
        let _ = write!(out, ",\"{name}\":{}", duration.as_micros());
    }
}

fn write_haproxy(out: &mut Vec<u8>, record: &Record, place: &Place<'_>, now: Instant) {
    match place.peer {
        Some(peer) => write!(out, "{}:{} [", peer.ip(), peer.port()).ok(),
        None => write!(out, "unix:1 [").ok(),
    };
    write_time(out, record.wall, TimeFormat::Haproxy);
    let _ = write!(
        out,
        "] {} {}/{} ",
        place.frontend,
        place.backend.unwrap_or(place.frontend),
        place.server.unwrap_or("<NOSRV>"),
    );
    let total = now.duration_since(record.began).as_millis();
    let millis = |duration: Option<Duration>| duration.map_or(-1, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX));
    let (queued, connected) = (millis(record.queued), millis(record.connected));
    let [process, frontend, backend, server] = place.load;
    let retries = record.retries;
    let redispatched = if record.redispatched { "+" } else { "" };
    let queue = record.queue_place;
    match place.mode {
        Mode::Tcp => {
            let _ = write!(
                out,
                "{queued}/{connected}/{total} {} {} {process}/{frontend}/{backend}/{server}/{redispatched}{retries} 0/{queue}",
                record.bytes_out,
                termination(record),
            );
        }
        Mode::Http => {
            let request_millis = if record.request.is_empty() { -1 } else { millis(Some(record.head_took)) };
            let status = if record.status == 0 { -1 } else { i32::from(record.status) };
            let _ = write!(
                out,
                "{request_millis}/{queued}/{connected}/{}/{total} {status} {} - - {}-- {process}/{frontend}/{backend}/{server}/{redispatched}{retries} 0/{queue} \"",
                millis(record.first_byte),
                record.bytes_out,
                termination(record),
            );
            write_request(out, record);
            out.push(b'"');
        }
    }
}

/// The request line, with the escapes that HAProxy uses for what would break a line.
fn write_request(out: &mut Vec<u8>, record: &Record) {
    if record.request.is_empty() {
        out.extend_from_slice(b"<BADREQ>");
        return;
    }
    for byte in record.request.bytes() {
        if !(0x20..0x7f).contains(&byte) || matches!(byte, b'"' | b'#') {
            let _ = write!(out, "#{byte:02X}");
        } else {
            out.push(byte);
        }
    }
    match record.version {
        _ if record.is_http2 => out.extend_from_slice(b" HTTP/2.0"),
        Some(http_proto::Version::Http10) => out.extend_from_slice(b" HTTP/1.0"),
        _ => out.extend_from_slice(b" HTTP/1.1"),
    }
}

/// HAProxy's two letters: who ended it, and how far it had come.
fn termination(record: &Record) -> &'static str {
    let Some(reason) = record.reason else {
        let is_made_here = record.backend.is_none() || record.redirected;
        return if is_made_here && record.status != 0 { "LR" } else { "--" };
    };
    let phase = record.phase;
    match (reason, phase) {
        (
            Reason::Head(_)
            | Reason::Chunk(_)
            | Reason::ProxyHeader(_)
            | Reason::Tls(_)
            | Reason::ClearText
            | Reason::Http2(_)
            | Reason::Path
            | Reason::NoRoute
            | Reason::Forbidden
            | Reason::Unauthorized
            | Reason::LengthRequired
            | Reason::RateLimit,
            _,
        ) => "PR",
        (Reason::SlowHead | Reason::SlowProxyHeader | Reason::SlowHandshake, _) => "cR",
        (Reason::ClientTimeout, Phase::Request) => "cR",
        (Reason::ClientTimeout, Phase::Headers) => "cH",
        (Reason::ClientTimeout, _) => "cD",
        (Reason::ClientGone, Phase::Request) => "CR",
        (Reason::ClientGone, Phase::Queue) => "CQ",
        (Reason::ClientGone, Phase::Connect) => "CC",
        (Reason::ClientGone, Phase::Headers) => "CH",
        (Reason::ClientGone, _) => "CD",
        (Reason::NoServer, _) => "SC",
        (Reason::QueueFull | Reason::QueueTimeout, _) => "sQ",
        (Reason::ServerTls(_), Phase::Headers) => "SH",
        (Reason::ServerTls(_), Phase::Data) => "SD",
        (Reason::Connect | Reason::ServerTls(_), _) => "SC",
        (Reason::ServerClosed, _) => "SH",
        (Reason::ServerMalformed | Reason::Application(_), Phase::Data) => "PD",
        (Reason::ServerMalformed | Reason::Application(_), _) => "PH",
        (Reason::ServerTimeout, Phase::Data) => "sD",
        (Reason::ServerTimeout, Phase::Connect) => "sC",
        (Reason::ServerTimeout, _) => "sH",
        (Reason::ServerCut, _) => "SD",
        (Reason::HandlerTimeout | Reason::HandlerBusy, _) => "RH",
        (Reason::FileCut, _) => "RD",
    }
}

enum TimeFormat {
    /// `2026-11-21T00:59:01.123Z`
    Iso,
    /// `21/Nov/2026:00:59:01.123`
    Haproxy,
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Universal time, whatever the machine's zone: a log read on another machine means the same.
fn write_time(out: &mut Vec<u8>, wall: Option<SystemTime>, format: TimeFormat) {
    let since = wall.and_then(|wall| wall.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let time = Utc::at(since);
    let _ = match format {
        TimeFormat::Iso => write!(out, "{time}"),
        TimeFormat::Haproxy => {
            let Utc { year, month, day, hour, minute, second, millis } = time;
            let name = MONTHS[usize::from(month) - 1];
            write!(out, "{day:02}/{name}/{year:04}:{hour:02}:{minute:02}:{second:02}.{millis:03}")
        }
    };
}

#[cfg(test)]
mod tests;
