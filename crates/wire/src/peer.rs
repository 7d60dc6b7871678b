//! What directors tell each other of the servers that their clients were given: frames on a TCP connection, in one
//! direction each. Our own protocol; all numbers are big-endian.
//!
//! ```text
//! frame      length of what follows (u16), kind (u8), body
//! hello      kind 1: "PPST", version (u8), director's name (text), tables (u16), of each: name (text), what its clients
//!            are known by (u8: 0 source, 1 cookie), the cookie's name (text; empty for source), time to live in seconds (u32)
//! entries    kind 2: table (u16: its place in the hello), of each entry: key (u64), hash of the server's name (u32),
//!            seconds since its last use (u32)
//! dumped     kind 3: all entries that there were at the hello have been sent
//! heartbeat  kind 4: nothing else to say
//! text       length (u8), so many bytes of UTF-8
//! ```
//!
//! A connection begins with a hello and has no further one.

use std::str;

/// The version of the protocol that is written, and the only one that is read.
pub const VERSION: u8 = 1;

/// The longest frame, its length included.
pub const FRAME_MAX: usize = 2 + 0xffff;

/// Entries of one frame at the most.
pub const ENTRIES_MAX: usize = 1024;

/// Tables of one hello at the most: with the longest names, 135 bytes each, they fit a frame.
pub const TABLES_MAX: usize = 256;

/// The longest text, in bytes: the longest name of a configuration.
pub const TEXT_MAX: usize = 64;

const MAGIC: &[u8; 4] = b"PPST";
const HELLO: u8 = 1;
const ENTRIES: u8 = 2;
const DUMPED: u8 = 3;
const HEARTBEAT: u8 = 4;

/// Key, name and age.
const ENTRY: usize = 16;

/// What the clients of a table are known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKind<'a> {
    /// Their addresses.
    Source,
    /// The value of the cookie of this name.
    Cookie(&'a str),
}

/// A table as a hello describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table<'a> {
    /// The backend's name.
    pub name: &'a str,
    /// What its clients are known by.
    pub kind: TableKind<'a>,
    /// How long an entry lives after its last use, in seconds.
    pub ttl: u32,
}

/// Who speaks, and of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello<'a> {
    /// The director's name.
    pub name: &'a str,
    /// At most [`TABLES_MAX`].
    pub tables: Vec<Table<'a>>,
}

/// A client's server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The hash of what the client is known by.
    pub key: u64,
    /// The hash of the server's name.
    pub name: u32,
    /// Seconds since the last use.
    pub age: u32,
}

/// Entries as a frame has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entries<'a> {
    /// The table's place in the hello.
    pub table: u16,
    bytes: &'a [u8],
}

impl Entries<'_> {
    /// Each entry.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Entry> + '_ {
        self.bytes.as_chunks::<ENTRY>().0.iter().map(|bytes| {
            let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *bytes;
            Entry {
                key: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
                name: u32::from_be_bytes([i, j, k, l]),
                age: u32::from_be_bytes([m, n, o, p]),
            }
        })
    }
}

/// What a frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// The first frame.
    Hello(Hello<'a>),
    /// Entries of a table.
    Entries(Entries<'a>),
    /// All that there was at the hello has been sent.
    Dumped,
    /// Nothing else to say.
    Heartbeat,
}

/// What the bytes of a connection are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// The beginning of a frame.
    Partial,
    /// A frame, and how many bytes it has.
    Whole(Frame<'a>, usize),
}

/// Why a frame is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerError {
    /// A hello of something else.
    Magic,
    /// A version that is not [`VERSION`].
    Version,
    /// A kind of frame that there is not.
    Kind,
    /// The frame is too short for what it says it has, or longer.
    Length,
    /// A text that is too long, empty where it must not be, or no UTF-8.
    Text,
    /// More than [`TABLES_MAX`] tables, or [`ENTRIES_MAX`] entries.
    TooMany,
}

impl PeerError {
    /// Every reason, for counters.
    pub const ALL: [PeerError; 6] =
        [PeerError::Magic, PeerError::Version, PeerError::Kind, PeerError::Length, PeerError::Text, PeerError::TooMany];

    /// A stable name, for metrics and logs.
    pub const fn reason(self) -> &'static str {
        match self {
            PeerError::Magic => "peer_magic",
            PeerError::Version => "peer_version",
            PeerError::Kind => "peer_kind",
            PeerError::Length => "peer_length",
            PeerError::Text => "peer_text",
            PeerError::TooMany => "peer_too_many",
        }
    }
}

/// Reads the frame that `bytes` begin with.
///
/// # Errors
/// If it is malformed; what follows it cannot be trusted either.
pub fn parse_frame(bytes: &[u8]) -> Result<Parsed<'_>, PeerError> {
    let Some((length, rest)) = bytes.split_first_chunk::<2>() else {
        return Ok(Parsed::Partial);
    };
    let length = usize::from(u16::from_be_bytes(*length));
    let Some(&kind) = rest.first() else {
        return if length == 0 { Err(PeerError::Length) } else { Ok(Parsed::Partial) };
    };
    if length == 0 {
        return Err(PeerError::Length);
    }
    if !(HELLO..=HEARTBEAT).contains(&kind) {
        return Err(PeerError::Kind);
    }
    let Some(frame) = rest.get(..length) else {
        return Ok(Parsed::Partial);
    };
    let mut body = Body(&frame[1..]);
    let frame = match kind {
        HELLO => Frame::Hello(body.hello()?),
        ENTRIES => Frame::Entries(body.entries()?),
        DUMPED => Frame::Dumped,
        _ => Frame::Heartbeat,
    };
    body.end()?;
    Ok(Parsed::Whole(frame, 2 + length))
}

/// Appends a hello. Names are those of a configuration, at most [`TEXT_MAX`] bytes; tables beyond [`TABLES_MAX`] are
/// left out.
pub fn write_hello(out: &mut Vec<u8>, hello: &Hello<'_>) {
    write_frame(out, HELLO, |out| {
        let tables = &hello.tables[..hello.tables.len().min(TABLES_MAX)];
        out.extend_from_slice(MAGIC);
        out.push(VERSION);
        write_text(out, hello.name);
        out.extend_from_slice(&(tables.len() as u16).to_be_bytes());
        for table in tables {
            write_text(out, table.name);
            let (kind, cookie) = match table.kind {
                TableKind::Source => (0, ""),
                TableKind::Cookie(name) => (1, name),
            };
            out.push(kind);
            write_text(out, cookie);
            out.extend_from_slice(&table.ttl.to_be_bytes());
        }
    });
}

/// Appends a frame of as many of these entries as one may have, at most [`ENTRIES_MAX`]. Returns how many those are.
pub fn write_entries(out: &mut Vec<u8>, table: u16, entries: impl Iterator<Item = Entry>) -> usize {
    let mut written = 0;
    write_frame(out, ENTRIES, |out| {
        out.extend_from_slice(&table.to_be_bytes());
        for entry in entries.take(ENTRIES_MAX) {
            out.extend_from_slice(&entry.key.to_be_bytes());
            out.extend_from_slice(&entry.name.to_be_bytes());
            out.extend_from_slice(&entry.age.to_be_bytes());
            written += 1;
        }
    });
    written
}

/// Appends the end of what there was at the hello.
pub fn write_dumped(out: &mut Vec<u8>) {
    write_frame(out, DUMPED, |_| {});
}

/// Appends a sign of life.
pub fn write_heartbeat(out: &mut Vec<u8>) {
    write_frame(out, HEARTBEAT, |_| {});
}

fn write_frame(out: &mut Vec<u8>, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0, 0, kind]);
    body(out);
    // The longest hello has 34,633 bytes, the longest frame of entries 16,387.
    let length = (out.len() - start - 2) as u16;
    out[start..start + 2].copy_from_slice(&length.to_be_bytes());
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    let text = &text[..text.floor_char_boundary(TEXT_MAX)];
    out.push(text.len() as u8);
    out.extend_from_slice(text.as_bytes());
}

/// What is left of a frame's body.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], PeerError> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(PeerError::Length)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn text(&mut self) -> Result<&'a str, PeerError> {
        let [length] = self.take()?;
        let length = usize::from(length);
        if length > TEXT_MAX {
            return Err(PeerError::Text);
        }
        let (text, rest) = self.0.split_at_checked(length).ok_or(PeerError::Length)?;
        self.0 = rest;
        str::from_utf8(text).map_err(|_| PeerError::Text)
    }

    fn name(&mut self) -> Result<&'a str, PeerError> {
        let name = self.text()?;
        if name.is_empty() { Err(PeerError::Text) } else { Ok(name) }
    }

    fn hello(&mut self) -> Result<Hello<'a>, PeerError> {
        if self.take()? != *MAGIC {
            return Err(PeerError::Magic);
        }
        if self.take()? != [VERSION] {
            return Err(PeerError::Version);
        }
        let name = self.name()?;
        let count = usize::from(u16::from_be_bytes(self.take()?));
        if count > TABLES_MAX {
            return Err(PeerError::TooMany);
        }
        let tables = (0..count).map(|_| self.table()).collect::<Result<_, _>>()?;
        Ok(Hello { name, tables })
    }

    fn table(&mut self) -> Result<Table<'a>, PeerError> {
        let name = self.name()?;
        let [kind] = self.take()?;
        let cookie = self.text()?;
        let kind = match (kind, cookie) {
            (0, "") => TableKind::Source,
            (1, name) if !name.is_empty() => TableKind::Cookie(name),
            (0 | 1, _) => return Err(PeerError::Text),
            _ => return Err(PeerError::Kind),
        };
        Ok(Table { name, kind, ttl: u32::from_be_bytes(self.take()?) })
    }

    fn entries(&mut self) -> Result<Entries<'a>, PeerError> {
        let table = u16::from_be_bytes(self.take()?);
        let bytes = std::mem::take(&mut self.0);
        if !bytes.len().is_multiple_of(ENTRY) {
            return Err(PeerError::Length);
        }
        if bytes.len() > ENTRIES_MAX * ENTRY {
            return Err(PeerError::TooMany);
        }
        Ok(Entries { table, bytes })
    }

    fn end(&self) -> Result<(), PeerError> {
        if self.0.is_empty() { Ok(()) } else { Err(PeerError::Length) }
    }
}

#[cfg(test)]
mod tests;
