//! An application's side of FastCGI, written from the specification and apart from the program under test.

use std::collections::BTreeMap;

use lab::{End, Wire};

pub(crate) const END: [u8; 16] = *b"\x01\x03\x00\x01\x00\x08\x00\x00\0\0\0\0\0\0\0\0";

/// A request's parameters.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) params: BTreeMap<String, String>,
    /// Whether the connection is to be kept (FCGI_KEEP_CONN).
    pub(crate) keep: bool,
    /// How many records the parameters came in, the empty one excepted.
    pub(crate) records: usize,
}

impl Asked {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.params.get(name).map(String::as_str)
    }
}

/// A record of request 1 (FastCGI 1.0 §3.3).
pub(crate) fn record(kind: u8, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    let mut record = vec![1, kind, 0, 1, (content.len() >> 8) as u8, (content.len() & 255) as u8, 0, 0];
    record.extend_from_slice(content);
    record
}

pub(crate) fn stdout(content: impl AsRef<[u8]>) -> Vec<u8> {
    record(6, content)
}

/// A whole answer.
pub(crate) fn answer(content: impl AsRef<[u8]>) -> Vec<u8> {
    [stdout(content), END.to_vec()].concat()
}

/// The next record: its type and content.
pub(crate) fn read_record(wire: &mut Wire) -> Result<(u8, Vec<u8>), End> {
    let header = wire.try_read_exact(8)?;
    assert_eq!((header[0], header[2], header[3]), (1, 0, 1), "version 1, request 1: {header:?}");
    let content = wire.try_read_exact(usize::from(header[4]) * 256 + usize::from(header[5]))?;
    wire.try_read_exact(usize::from(header[6]))?;
    Ok((header[1], content))
}

/// A request up to the end of its parameters.
pub(crate) fn asked(wire: &mut Wire) -> Result<Asked, End> {
    let (kind, begin) = read_record(wire)?;
    assert_eq!((kind, &begin[..2]), (1, [0, 1].as_slice()), "BEGIN_REQUEST for a responder");
    let mut asked = Asked { keep: begin[2] & 1 == 1, ..Asked::default() };
    let mut stream = Vec::new();
    loop {
        let (kind, content) = read_record(wire)?;
        assert_eq!(kind, 4, "PARAMS");
        if content.is_empty() {
            break;
        }
        asked.records += 1;
        stream.extend(content);
    }
    let mut rest = stream.as_slice();
    while !rest.is_empty() {
        let lengths = [length(&mut rest), length(&mut rest)];
        let mut text = |length| {
            let (text, after) = rest.split_at(length);
            rest = after;
            String::from_utf8_lossy(text).into_owned()
        };
        let (name, value) = (text(lengths[0]), text(lengths[1]));
        assert!(asked.params.insert(name.clone(), value).is_none(), "{name} is told once");
    }
    Ok(asked)
}

fn length(rest: &mut &[u8]) -> usize {
    let first = rest[0];
    let (length, taken) = match first {
        0..=127 => (u32::from(first), 1),
        _ => (u32::from_be_bytes([first & 127, rest[1], rest[2], rest[3]]), 4),
    };
    *rest = &rest[taken..];
    length as usize
}

/// A request's body, to its end.
pub(crate) fn body(wire: &mut Wire) -> Result<Vec<u8>, End> {
    let mut body = Vec::new();
    loop {
        let (kind, content) = read_record(wire)?;
        assert_eq!(kind, 5, "STDIN");
        if content.is_empty() {
            return Ok(body);
        }
        body.extend(content);
    }
}

/// Answers each request of a connection with what `make` makes of it and its body.
pub(crate) fn serve(wire: &mut Wire, make: impl Fn(&Asked, &[u8]) -> Vec<u8>) {
    while let Ok(asked) = asked(wire) {
        let Ok(body) = body(wire) else { return };
        if wire.try_send(make(&asked, &body)).is_err() || !asked.keep {
            return;
        }
    }
}
