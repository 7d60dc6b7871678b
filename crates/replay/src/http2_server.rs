//! A client's connection of HTTP/2 means the same however its bytes are cut, and what becomes of it are whole frames and
//! requests of HTTP/1.

use http_proto::http2::{End, Event, Key, Ready, Server};
use http_proto::{Limits, Parsed, field_slots, parse_request};
use units::Instant;

use crate::split_first;

/// What every connection begins with (RFC 9113 §3.4): the preface, and SETTINGS.
const BEGIN: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// One byte chooses where the rest, what a client sends after its SETTINGS, is cut, and whether its requests are answered
/// meanwhile.
pub fn http2_server(bytes: &[u8]) {
    let (cut, bytes) = split_first(bytes);
    let whole = heard(&[bytes]);
    let (first, second) = bytes.split_at(usize::from(cut).min(bytes.len()));
    assert_eq!(whole, heard(&[first, second]));
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(whole, heard(&single));
    served(&[first, second], cut);
}

/// What came of it: the requests, as they are read at the end, how the connection ended, what was said.
#[derive(Debug, PartialEq, Eq)]
struct Heard {
    requests: Vec<Vec<u8>>,
    ended: Option<End>,
    said: Vec<u8>,
}

fn begun() -> Server {
    let mut server = Server::new(Instant::from_millis(1));
    let began = server.receive(BEGIN, || Instant::from_millis(1), &mut Vec::new());
    assert_eq!(began, Ok(()));
    server
}

fn receive(server: &mut Server, piece: &[u8], events: &mut Vec<Event>) -> Option<End> {
    let ended = server.receive(piece, || Instant::from_millis(1), events).err();
    if let Some(end) = ended {
        server.leave(end.code(), events);
    }
    ended
}

fn heard(pieces: &[&[u8]]) -> Heard {
    let (mut server, mut events) = (begun(), Vec::new());
    let ended = pieces.iter().find_map(|piece| receive(&mut server, piece, &mut events));
    let keys: Vec<Key> = taken(&mut server, &mut events);
    let requests = keys.iter().map(|key| read(&mut server, *key)).collect();
    Heard { requests, ended, said: said(&mut server) }
}

/// Requests that have come and are still there.
fn taken(server: &mut Server, events: &mut Vec<Event>) -> Vec<Key> {
    let requests = events.drain(..).filter_map(|event| match event {
        Event::Request(key) => Some(key),
        Event::Changed(_) => None,
    });
    requests.filter(|key| server.begin(*key).is_some()).collect()
}

/// All that there is of a request, whose head is one of HTTP/1 or is refused as such.
fn read(server: &mut Server, key: Key) -> Vec<u8> {
    let mut text = Vec::new();
    let mut buffer = [0; 100];
    while server.ready(key) == Ready::Bytes {
        let read = server.read(key, &mut buffer);
        assert!(read > 0);
        text.extend_from_slice(&buffer[..read]);
    }
    let limits = Limits { head_bytes: usize::MAX, target_bytes: usize::MAX, ..Limits::default() };
    let mut slots = field_slots();
    if !text.is_empty() && matches!(parse_request(&text, &mut slots, &limits), Ok(Parsed::Partial)) {
        panic!("a head that goes on: {}", text.escape_ascii());
    }
    text
}

/// What was said are whole frames, none larger than a client takes.
fn said(server: &mut Server) -> Vec<u8> {
    let bytes = server.outgoing().to_vec();
    server.sent(bytes.len(), &mut Vec::new());
    let mut rest = &bytes[..];
    while let Some((head, after)) = rest.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        assert!(length <= 16_384 && length <= after.len());
        rest = &after[length..];
    }
    assert!(rest.is_empty());
    bytes
}

/// Every request is answered as soon as it is there, by turns in ways that end differently.
fn served(pieces: &[&[u8]], choice: u8) {
    const ANSWERS: [&[u8]; 4] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx: y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nuntil its end",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ];
    let (mut server, mut events) = (begun(), Vec::new());
    for piece in pieces {
        let ended = receive(&mut server, piece, &mut events);
        for (nth, key) in taken(&mut server, &mut events).into_iter().enumerate() {
            read(&mut server, key);
            let answer = ANSWERS[(nth + usize::from(choice)) % ANSWERS.len()];
            let written = server.write(key, answer).unwrap_or(0);
            assert!(written <= answer.len());
            server.may_write(key);
            server.end(key);
            server.release(key);
        }
        if ended.is_some() {
            break;
        }
    }
    assert_eq!(server.active(), 0);
    said(&mut server);
}
