//! RFC 9113 and RFC 7541, section by section: what a client sends, and what the standard says must come of it. The cases
//! are those that the field's suites try (h2spec's among them), written from the two standards.

mod connections;
mod fields;
mod frames;
mod messages;

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::raw::{Came, HANG, OWN, PREFACE, Raw, code, flag, frame, kind};
use crate::server;
use crate::site::site;

/// A stream that no case uses: on it a request shows that the connection goes on.
const PROBE: u32 = 9999;

/// What is tried, and what the standard allows to come of it; nothing: what the last step waits for.
struct Case {
    /// The section, of RFC 9113 unless it says another, and what is sent.
    name: &'static str,
    begins: Begins,
    steps: Vec<Step>,
    ends: Vec<End>,
}

/// How a connection begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Begins {
    /// With the preface and SETTINGS.
    InOrder,
    /// With what the first step sends.
    Bare,
}

/// A step of a client.
enum Step {
    Send(Vec<u8>),
    /// Waits until this stream's answer has ended.
    Ended(u32),
    /// Waits for so many bytes of DATA on this stream, and sees that none come beyond.
    Bytes(u32, usize),
    /// Waits for so many acknowledgements of SETTINGS, and so for the server's own before them.
    Acknowledged(usize),
    /// Waits for a PING, which has to be the answer to this one.
    Pong(&'static [u8; 8]),
}

/// What has come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// GOAWAY with this code, and then the end of the connection (§5.4.1).
    GoAway(u32),
    /// RST_STREAM with this code; the connection goes on (§5.4.2).
    Reset(u32, u32),
    /// A whole answer on this stream with this status.
    Status(u32, u16),
    /// Nothing: what follows is answered as if it had not been sent.
    Ignored,
    /// The end of the connection without a word.
    Closed,
}

fn case(name: &'static str, steps: impl Into<Vec<Step>>, ends: Vec<End>) -> Case {
    Case { name, begins: Begins::InOrder, steps: steps.into(), ends }
}

/// A step that sends all of these.
fn send(parts: &[&[u8]]) -> Step {
    Step::Send(parts.concat())
}

fn sends(name: &'static str, parts: &[&[u8]], ends: Vec<End>) -> Case {
    case(name, [send(parts)], ends)
}

/// A connection error (§5.4.1).
fn connection(code: u32) -> Vec<End> {
    vec![End::GoAway(code)]
}

/// A stream error, which an endpoint may always treat as one of the connection (§5.4.1).
fn stream(stream: u32, code: u32) -> Vec<End> {
    vec![End::Reset(stream, code), End::GoAway(code)]
}

/// A malformed request (§8.1.1): a stream error, before which there may be an answer.
fn malformed(id: u32) -> Vec<End> {
    [stream(id, code::PROTOCOL_ERROR), vec![End::Status(id, 400)]].concat()
}

fn answered(stream: u32) -> Vec<End> {
    vec![End::Status(stream, 200)]
}

fn ignored() -> Vec<End> {
    vec![End::Ignored]
}

/// HEADERS that are whole and the last of their stream.
fn request(stream: u32, block: &[u8]) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, stream, block)
}

/// A request that is answered at once.
fn get(stream: u32) -> Vec<u8> {
    request(stream, OWN)
}

/// A request that is whole and not answered: its stream is half-closed (remote).
fn half_closed(stream: u32) -> Vec<u8> {
    request(stream, HANG)
}

/// `POST http://t/`, which is answered once its body has ended.
const POST: &[u8] = b"\x83\x86\x01\x01t\x84";

/// A request whose body follows, for a server that says what it was sent.
fn post(stream: u32) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_HEADERS, stream, POST)
}

/// The same for a server that answers nothing: its stream is open.
fn open(stream: u32) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_HEADERS, stream, b"\x83\x86\x01\x01t\x04\x05/hang")
}

fn data(flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    frame(kind::DATA, flags, stream, payload)
}

/// SETTINGS with these parameters.
fn settings(parameters: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> =
        parameters.iter().flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
    frame(kind::SETTINGS, 0, 0, &payload)
}

fn window(stream: u32, increment: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(kind::RST_STREAM, 0, stream, &code.to_be_bytes())
}

fn ping(payload: &[u8; 8]) -> Vec<u8> {
    frame(kind::PING, 0, 0, payload)
}

/// The next frame that is looked for.
fn find(raw: &mut Raw, what: &str, wanted: impl Fn(&Came) -> bool) -> Result<Came, String> {
    let mut others = Vec::new();
    while let Some(came) = raw.next() {
        if wanted(&came) {
            return Ok(came);
        }
        others.push(came);
    }
    Err(format!("{what} does not come, but {others:?}"))
}

/// Waits until the connection is seen to go on: the answers to a PING and to a request.
fn probe(raw: &mut Raw) {
    raw.send(&[ping(b"going on"), get(PROBE)].concat());
}

fn take(raw: &mut Raw, step: &Step) -> Result<(), String> {
    match step {
        Step::Send(bytes) => raw.send(bytes),
        Step::Ended(stream) => {
            find(raw, "the answer's end", |came| came.stream == *stream && came.ends_stream())?;
        }
        Step::Acknowledged(times) => {
            for _ in 0..*times {
                find(raw, "SETTINGS", |came| came.kind == kind::SETTINGS && came.flags == flag::ACK)?;
            }
        }
        Step::Pong(payload) => {
            let pong = find(raw, "PING", |came| came.kind == kind::PING)?;
            if (pong.flags, &pong.payload[..]) != (flag::ACK, &payload[..]) {
                return Err(format!("{pong:?}"));
            }
        }
        Step::Bytes(stream, wanted) => return bytes(raw, *stream, *wanted),
    }
    Ok(())
}

fn bytes(raw: &mut Raw, stream: u32, wanted: usize) -> Result<(), String> {
    let mut seen = 0;
    let is_data = |came: &Came| came.kind == kind::DATA && came.stream == stream;
    while seen < wanted {
        seen += find(raw, "DATA", is_data)?.payload.len();
    }
    raw.send(&ping(b"no more?"));
    loop {
        let came = find(raw, "PING", |came| is_data(came) || came.kind == kind::PING)?;
        match came.kind {
            kind::PING if seen == wanted => return Ok(()),
            kind::PING => return Err(format!("{seen} bytes instead of {wanted}")),
            _ => seen += came.payload.len(),
        }
    }
}

/// The status of HEADERS, where it is one of the static table (RFC 7541, appendix A).
fn status(payload: &[u8]) -> u16 {
    match payload[0] {
        0x88 => 200,
        0x89 => 204,
        0x8c => 400,
        0x8d => 404,
        other => panic!("the answer begins with {other:#x}"),
    }
}

/// What comes first of what can end a case.
fn end(raw: &mut Raw, expected: &[End]) -> End {
    let answers = |stream: u32| expected.iter().any(|end| matches!(end, End::Status(other, _) if *other == stream));
    let (mut told, mut is_ponged) = (None, false);
    while let Some(came) = raw.next() {
        match came.kind {
            kind::GOAWAY if came.code() != code::NO_ERROR => {
                while raw.next().is_some() {}
                return End::GoAway(came.code());
            }
            kind::RST_STREAM if came.code() != code::NO_ERROR => return End::Reset(came.stream, came.code()),
            kind::HEADERS if answers(came.stream) => {
                told = told.or(Some(End::Status(came.stream, status(&came.payload))))
            }
            kind::PING => is_ponged = true,
            _ => {}
        }
        if came.ends_stream() && came.stream == PROBE && is_ponged {
            return End::Ignored;
        }
        if came.ends_stream() && answers(came.stream) {
            return told.unwrap_or(End::Closed);
        }
    }
    End::Closed
}

fn try_case(address: SocketAddr, case: &Case) -> Result<(), String> {
    let mut raw = match case.begins {
        Begins::InOrder => Raw::connect(address),
        Begins::Bare => Raw::silent(address),
    };
    for step in &case.steps {
        take(&mut raw, step)?;
    }
    if case.ends.is_empty() {
        return Ok(());
    }
    if case.ends.contains(&End::Ignored) {
        probe(&mut raw);
    }
    let end = end(&mut raw, &case.ends);
    if !case.ends.contains(&end) {
        return Err(format!("{end:?} instead of {:?}", case.ends));
    }
    if matches!(end, End::Reset(..)) && !case.ends.contains(&End::Ignored) {
        probe(&mut raw);
        find(&mut raw, "an answer on the same connection", |came| came.stream == PROBE && came.ends_stream())?;
    }
    Ok(())
}

/// All that fail are told.
fn hold(cases: &[Case]) {
    let site = site(server::start());
    let outcome = |case: &Case| {
        let tried = catch_unwind(AssertUnwindSafe(|| try_case(site.address, case)));
        tried.unwrap_or_else(|_| Err("see above".to_owned()))
    };
    let failed: Vec<String> =
        cases.iter().filter_map(|case| Some(format!("{}: {}", case.name, outcome(case).err()?))).collect();
    assert!(failed.is_empty(), "{} of {} cases:\n{}", failed.len(), cases.len(), failed.join("\n"));
}

/// §3.4: a server's first frame is SETTINGS, and what is announced there is what holds here.
#[test]
fn a_connection_begins_with_settings() {
    let site = site(server::start());
    let mut raw = Raw::silent(site.address);
    raw.send(PREFACE);
    raw.send(&frame(kind::SETTINGS, 0, 0, b""));
    let first = raw.next().unwrap();
    assert_eq!((first.kind, first.flags, first.stream), (kind::SETTINGS, 0, 0));
    let told = |name: u16| {
        let parameter = first.payload.chunks(6).find(|parameter| parameter[..2] == name.to_be_bytes())?;
        Some(u32::from_be_bytes(parameter[2..].try_into().unwrap()))
    };
    // The numbers of docs/limits.md: streams at once, the window of each, fields.
    assert_eq!([3, 4, 6].map(told), [Some(128), Some(256 * 1024), Some(64 * 1024)]);
    let connection = raw.wait_for(|came| came.kind == kind::WINDOW_UPDATE && came.stream == 0);
    // 65,535 are there from the beginning (§6.9.2).
    assert_eq!(u32::from_be_bytes(connection.payload.try_into().unwrap()), 1024 * 1024 - 65_535);
}
