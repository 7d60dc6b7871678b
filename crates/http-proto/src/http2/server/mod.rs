//! A client's connection of HTTP/2 (RFC 9113), whole: a machine of bytes, without a clock and without a socket.
//!
//! What comes is given to [`Server::receive`] (`input`); what is to leave lies in [`Server::outgoing`]. Each request is a
//! stream, named by its [`Key`]: read from it comes a request of HTTP/1, to it is written an answer of HTTP/1 (`stream`,
//! `output`). What the peer may do is bounded here, and what is not allowed ends a stream or the connection.

mod input;
mod output;
mod streams;

use std::collections::VecDeque;

use units::Instant;

use self::streams::Streams;
use super::budget::{Budget, Flood};
use super::frames::{Fault, kind};
use super::head::HeadScratch;
use super::hpack::Decoder;
use crate::head_error::HeadError;

/// Requests of one connection at once (RFC 9113 §5.1.2 asks for no fewer than 100); those beyond are refused and may be
/// sent again.
const STREAMS_MAX: usize = 128;

/// Streams of one connection that are still being ended, those under way included: a client that resets its requests and
/// sends others gets no more than this from us at once.
const HELD_MAX: usize = 2 * STREAMS_MAX;

/// What of a request's body may be on its way here before it is asked for: what a link of 100 ms carries at 20 Mbit/s.
const STREAM_WINDOW: u32 = 256 * 1024;

/// The same of all requests of a connection together.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// What both are before anything is said (RFC 9113 §6.9.2).
const FIRST_WINDOW: u32 = 65_535;

/// A window is no larger (RFC 9113 §6.9.1).
const WINDOW_MAX: i64 = 0x7fff_ffff;

/// The payload of a frame, either way: what every peer takes (RFC 9113 §4.2).
const FRAME_BYTES: usize = 16_384;

/// Fields that are kept of what was packed: what every peer expects unless it is told otherwise (RFC 9113 §6.5.2).
const TABLE_BYTES: usize = 4096;

/// A list of fields this many times larger than announced ends the connection; what is smaller is a request's own fault.
const LIST_TIMES: usize = 4;

/// CONTINUATION of one header block, the last apart. With HEADERS they hold more than any list of fields that is taken.
const CONTINUATIONS_MAX: u32 = 5;

/// Streams that were reset for what the client sent on them, in the life of a connection (CVE-2025-8671).
const RESET_HERE_MAX: u32 = 512;

/// Streams that were reset here and may still get frames that were on their way.
const REMEMBERED_MAX: usize = 128;

/// Frames of so few bytes are tiny: whoever sends many that nobody has read makes us work for nothing.
const TINY_BYTES: u32 = 256;

/// So many of them may wait on a connection.
const TINY_MAX: u32 = 16_384;

/// Answers wait while so many bytes have not left.
pub const OUT_BYTES: usize = 64 * 1024;

/// One answer gives the others their turn after so many bytes.
const TURN_BYTES: usize = 16 * 1024;

/// A buffer that has grown beyond this is given back when it is empty.
const KEPT_BYTES: usize = 256 * 1024;

/// What a PING carries that asks whether a client has heard that it is to leave.
const LEAVING: &[u8; 8] = b"leaving?";

/// Codes of GOAWAY and RST_STREAM (RFC 9113 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[expect(missing_docs, reason = "they are the standard's")]
pub enum Code {
    NoError = 0,
    ProtocolError = 1,
    InternalError = 2,
    FlowControlError = 3,
    StreamClosed = 5,
    FrameSizeError = 6,
    RefusedStream = 7,
    CompressionError = 9,
    EnhanceYourCalm = 11,
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client broke the protocol (RFC 9113 §5.4.1).
    Broken(Code),
    /// It sent too much of what nobody has use for.
    Flood(Flood),
    /// Of something else that is not counted by frames: header blocks without end, streams that are made to be reset,
    /// tiny frames that nobody has read.
    Excess,
}

impl End {
    /// What the client is told.
    pub fn code(self) -> Code {
        match self {
            End::Broken(code) => code,
            End::Flood(_) | End::Excess => Code::EnhanceYourCalm,
        }
    }
}

impl From<Fault> for End {
    fn from(fault: Fault) -> End {
        match fault {
            Fault::Protocol => End::Broken(Code::ProtocolError),
            Fault::Size => End::Broken(Code::FrameSizeError),
        }
    }
}

/// Names a stream as long as it is held: from its [`Event::Request`] to its [`Server::release`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    place: u16,
    id: u32,
}

impl Key {
    /// A small number that no other stream of the connection has at the time.
    pub fn place(self) -> usize {
        usize::from(self.place)
    }
}

/// What has come of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request, which [`Server::begin`] takes.
    Request(Key),
    /// Something is different with this stream: more to read, room to write, its end.
    Changed(Key),
}

/// A request that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Why it is refused, if it is; it is to be answered all the same.
    pub refused: Option<HeadError>,
}

/// What there is to read of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// Bytes.
    Bytes,
    /// Nothing now.
    Nothing,
    /// Nothing any more: the request is whole.
    Over,
    /// The end of what a client sends through a tunnel.
    End,
    /// The client has reset the stream, or the connection is over.
    Gone,
}

/// Why nothing can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// There is no room now.
    Blocked,
    /// The stream is over.
    Gone,
    /// It is no answer, or more than it said it is.
    Malformed,
}

/// What was reset here, to be counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// What came was no request.
    pub malformed: u32,
    /// Requests beyond those at once.
    pub refused: u32,
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Serving,
    /// The client has been told to leave; requests that it sent before it heard of that are taken.
    Asked,
    /// Nothing new is taken.
    Draining,
    /// The last word has been said.
    Over,
}

/// A header block that goes on.
#[derive(Clone, Debug)]
struct Block {
    stream: u32,
    ends: bool,
    bytes: Vec<u8>,
    frames: u32,
}

/// The payload of DATA that goes on.
#[derive(Clone, Copy, Debug)]
struct Passing {
    /// Whose it is; `None`: nobody's any more.
    key: Option<Key>,
    left: usize,
    ends: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Server {
    stage: Stage,
    /// What is to leave, from `out_at` on.
    out: Vec<u8>,
    out_at: usize,
    /// Bytes of the preface that have come.
    preface: usize,
    has_begun: bool,
    /// A frame that is not whole.
    held: Vec<u8>,
    is_checked: bool,
    passing: Option<Passing>,
    block: Option<Block>,
    decoder: Decoder,
    scratch: HeadScratch,
    /// The peer is to be told that nothing is kept of what we pack.
    tells_table: bool,
    has_told_table: bool,
    /// The window of each stream, as the peer has it.
    peer_window: u32,
    budget: Budget,
    streams: Streams,
    /// The last stream that was begun, and the last that is looked at.
    last: u32,
    last_taken: u32,
    send_window: i64,
    receive_window: i64,
    /// Bytes that were taken, of which the peer has not been told.
    untold: u32,
    /// Answers that wait for room on the connection, in their order.
    waiting: VecDeque<Key>,
    /// Bytes that were promised to those whose turn it is.
    granted: usize,
    reset_here: u32,
    remembered: VecDeque<u32>,
    tiny: u32,
    tally: Tally,
}

impl Server {
    /// A connection that begins. Its settings are to be sent at once.
    pub fn new(now: Instant) -> Server {
        let mut server = Server {
            stage: Stage::Serving,
            out: Vec::new(),
            out_at: 0,
            preface: 0,
            has_begun: false,
            held: Vec::new(),
            is_checked: false,
            passing: None,
            block: None,
            decoder: Decoder::new(TABLE_BYTES),
            scratch: HeadScratch::default(),
            tells_table: false,
            has_told_table: false,
            peer_window: FIRST_WINDOW,
            budget: Budget::new(now),
            streams: Streams::default(),
            last: 0,
            last_taken: 0,
            send_window: i64::from(FIRST_WINDOW),
            receive_window: i64::from(CONNECTION_WINDOW),
            untold: 0,
            waiting: VecDeque::new(),
            granted: 0,
            reset_here: 0,
            remembered: VecDeque::new(),
            tiny: 0,
            tally: Tally::default(),
        };
        server.write_settings();
        server
    }

    /// Whether the client has shown that it speaks HTTP/2.
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Whether bytes are to leave.
    pub fn has_outgoing(&self) -> bool {
        self.out_at < self.out.len()
    }

    /// The bytes that are to leave. What has not been said to have left stays as it is.
    pub fn outgoing(&self) -> &[u8] {
        &self.out[self.out_at..]
    }

    /// So many of them have left.
    pub fn sent(&mut self, bytes: usize, events: &mut Vec<Event>) {
        self.out_at += bytes;
        if self.out_at == self.out.len() {
            self.out_at = 0;
            if self.out.capacity() > KEPT_BYTES {
                self.out = Vec::new();
            } else {
                self.out.clear();
            }
        } else if self.out_at > OUT_BYTES {
            self.out.drain(..self.out_at);
            self.out_at = 0;
        }
        self.give_turns(events);
    }

    /// Whether no more is to be read before some bytes have left: whoever takes no answers is not heard.
    pub fn is_full(&self) -> bool {
        self.out.len() - self.out_at > 2 * OUT_BYTES
    }

    /// Streams that are under way.
    pub fn active(&self) -> usize {
        self.streams.active
    }

    /// What was reset since this was asked last.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// Asks the client to leave (RFC 9113 §6.8): what it sends before it has heard of that is still served.
    pub fn drain(&mut self) {
        if self.stage == Stage::Serving {
            self.stage = Stage::Asked;
            self.write_goaway(u32::MAX >> 1, Code::NoError);
            self.write_frame(kind::PING, 0, 0, LEAVING);
        }
    }

    /// Says the last word. Streams that are under way are over.
    pub fn leave(&mut self, code: Code, events: &mut Vec<Event>) {
        if self.stage == Stage::Over {
            return;
        }
        self.stage = Stage::Over;
        self.write_goaway(self.last_taken, code);
        self.over(events);
    }

    /// The connection is over, without a word.
    pub fn over(&mut self, events: &mut Vec<Event>) {
        self.stage = Stage::Over;
        self.waiting.clear();
        let keys: Vec<Key> = self.streams.keys().collect();
        for key in keys {
            self.close(key);
            events.push(Event::Changed(key));
        }
    }

    /// Whether everything has been said that there was to say to a client that leaves.
    pub fn is_drained(&self) -> bool {
        self.stage == Stage::Draining && self.streams.active == 0
    }

    /// Ends a stream for what the client sent on it (RFC 9113 §5.4.2).
    fn fail_stream(&mut self, key: Key, code: Code, events: &mut Vec<Event>) -> Result<(), End> {
        self.reset_here += 1;
        if self.reset_here > RESET_HERE_MAX {
            return Err(End::Excess);
        }
        if code == Code::ProtocolError {
            self.tally.malformed += 1;
        }
        events.push(Event::Changed(key));
        self.reset(key, code);
        Ok(())
    }

    /// Ends a stream, and tells the client.
    fn reset(&mut self, key: Key, code: Code) {
        let Some(stream) = self.streams.find(key) else {
            return;
        };
        if stream.is_closed {
            return;
        }
        let may_go_on = !stream.has_ended;
        self.write_frame(kind::RST_STREAM, 0, key.id, &(code as u32).to_be_bytes());
        if may_go_on {
            self.remember(key.id);
        }
        self.close(key);
    }

    /// What is on its way on this stream is nobody's fault.
    fn remember(&mut self, id: u32) {
        if self.remembered.len() == REMEMBERED_MAX {
            self.remembered.pop_front();
        }
        self.remembered.push_back(id);
    }

    /// A stream whose both directions have ended in order is closed.
    fn settle(&mut self, key: Key) {
        if let Some(stream) = self.streams.find(key)
            && stream.has_ended
            && stream.is_answered
            && !std::mem::replace(&mut stream.is_closed, true)
        {
            self.streams.active -= 1;
        }
    }

    /// A stream is over before its time: nothing is read or written any more.
    fn close(&mut self, key: Key) {
        let Some(stream) = self.streams.find(key).filter(|stream| !stream.is_gone) else {
            return;
        };
        stream.is_gone = true;
        let (was_closed, has_begun) = (std::mem::replace(&mut stream.is_closed, true), stream.has_begun);
        if stream.is_waiting {
            self.waiting.retain(|other| *other != key);
        }
        if !was_closed {
            self.streams.active -= 1;
        }
        self.drop_unread(key);
        if !has_begun {
            self.streams.free(key);
        }
    }

    /// What has not been read never will be, nor anything written.
    fn drop_unread(&mut self, key: Key) {
        self.use_grant(key, usize::MAX);
        if let Some(stream) = self.streams.find(key) {
            let (unread, tiny) = (stream.let_go(), std::mem::take(&mut stream.tiny));
            self.tiny -= tiny;
            self.take_back(unread);
        }
    }

    /// Bytes of the connection's window have been taken, or are nobody's.
    fn take_back(&mut self, bytes: u32) {
        self.untold += bytes;
        if self.untold >= CONNECTION_WINDOW / 2 && self.stage != Stage::Over {
            let untold = std::mem::take(&mut self.untold);
            self.receive_window += i64::from(untold);
            self.write_window(0, untold);
        }
    }

    /// Bytes of answers that may still be taken, those that were promised among them.
    fn free(&self) -> usize {
        OUT_BYTES.saturating_sub(self.out.len() - self.out_at)
    }

    /// Tells the first answers that wait that there is room, as many as each have their turn.
    fn give_turns(&mut self, events: &mut Vec<Event>) {
        while self.send_window > 0 && self.free() >= self.granted + TURN_BYTES {
            let Some(key) = self.waiting.pop_front() else {
                return;
            };
            let is_alone = self.waiting.is_empty() && self.granted == 0;
            let grant = if is_alone { self.free() } else { TURN_BYTES };
            if let Some(stream) = self.streams.find(key) {
                stream.is_waiting = false;
                stream.grant = grant;
                self.granted += grant;
                events.push(Event::Changed(key));
            }
        }
    }

    /// A stream uses so much of what it was promised, or has no use for it.
    fn use_grant(&mut self, key: Key, bytes: usize) {
        if let Some(stream) = self.streams.find(key) {
            let used = stream.grant.min(bytes);
            stream.grant -= used;
            self.granted -= used;
        }
    }
}

#[cfg(test)]
mod tests;
