//! What a client sends, frame by frame.

use units::Instant;

use super::{
    Block, CONTINUATIONS_MAX, Code, End, Event, FRAME_BYTES, HELD_MAX, Key, LEAVING, LIST_TIMES, Passing, STREAMS_MAX,
    Server, Stage, TABLE_BYTES, TINY_BYTES, TINY_MAX, WINDOW_MAX,
};
use crate::http2::fields::Line;
use crate::http2::frames::{Frame, HEADER_BYTES, PREFACE, flag, kind};
use crate::http2::head::{HEADER_LIST_BYTES, HeadWriter, RequestFault, write_trailer};
use crate::http2::hpack::PackError;

/// A held frame that was larger than this gives its buffer back.
const HELD_BYTES: usize = 4 * 1024;

const PROTOCOL: End = End::Broken(Code::ProtocolError);

impl From<PackError> for End {
    fn from(error: PackError) -> End {
        match error {
            PackError::List => End::Excess,
            _ => End::Broken(Code::CompressionError),
        }
    }
}

impl Server {
    /// Takes in what has come; what it means is in `events`. `clock` is asked only when the client has sent much that
    /// nobody has use for.
    ///
    /// # Errors
    /// Why the connection is to be left ([`Server::leave`]).
    pub fn receive(
        &mut self,
        mut bytes: &[u8],
        clock: impl Fn() -> Instant,
        events: &mut Vec<Event>,
    ) -> Result<(), End> {
        if self.stage == Stage::Over {
            return Ok(());
        }
        let due = &PREFACE[self.preface..];
        let (preface, rest) = bytes.split_at(due.len().min(bytes.len()));
        if !due.starts_with(preface) {
            return Err(PROTOCOL);
        }
        self.preface += preface.len();
        bytes = rest;
        while !bytes.is_empty() {
            if let Some(passing) = self.passing {
                let (piece, rest) = bytes.split_at(passing.left.min(bytes.len()));
                self.pass(passing, piece, events);
                bytes = rest;
                continue;
            }
            let Some(head) = bytes.first_chunk::<HEADER_BYTES>().filter(|_| self.held.is_empty()) else {
                bytes = self.hold(bytes, &clock, events)?;
                continue;
            };
            let frame = Frame::from_header(head);
            self.check(frame, &clock)?;
            let rest = &bytes[HEADER_BYTES..];
            if is_passed(frame) {
                self.begin_data(frame, frame.length, events)?;
                bytes = rest;
            } else if let Some((payload, rest)) = rest.split_at_checked(frame.length as usize) {
                self.take(frame, payload, events)?;
                bytes = rest;
            } else {
                self.held.extend_from_slice(bytes);
                self.is_checked = true;
                bytes = b"";
            }
        }
        Ok(())
    }

    /// Keeps a frame until it is whole; what follows it is returned.
    fn hold<'b>(
        &mut self,
        bytes: &'b [u8],
        clock: &impl Fn() -> Instant,
        events: &mut Vec<Event>,
    ) -> Result<&'b [u8], End> {
        let whole = |held: &[u8]| match held.first_chunk() {
            None => HEADER_BYTES,
            Some(head) => HEADER_BYTES + Frame::from_header(head).length as usize,
        };
        let want = whole(&self.held);
        let (taken, rest) = bytes.split_at((want - self.held.len()).min(bytes.len()));
        self.held.extend_from_slice(taken);
        let Some(frame) = self.held.first_chunk().map(Frame::from_header).filter(|_| self.held.len() == want) else {
            return Ok(rest);
        };
        if !std::mem::replace(&mut self.is_checked, true) {
            self.check(frame, clock)?;
            if is_passed(frame) {
                self.let_held_go(Vec::new());
                self.begin_data(frame, frame.length, events)?;
                return Ok(rest);
            }
        }
        if self.held.len() == whole(&self.held) {
            let held = std::mem::take(&mut self.held);
            let taken = self.take(frame, &held[HEADER_BYTES..], events);
            self.let_held_go(held);
            taken?;
        }
        Ok(rest)
    }

    fn let_held_go(&mut self, mut held: Vec<u8>) {
        held.clear();
        self.is_checked = false;
        self.held = if held.capacity() > HELD_BYTES { Vec::new() } else { held };
    }

    /// Judges a frame by its header.
    fn check(&mut self, frame: Frame, clock: &impl Fn() -> Instant) -> Result<(), End> {
        if frame.length as usize > FRAME_BYTES {
            return Err(End::Broken(Code::FrameSizeError));
        }
        if !self.has_begun && !frame.begins_connection() {
            return Err(PROTOCOL);
        }
        self.has_begun = true;
        match &mut self.block {
            // RFC 9113 §4.3: nothing comes between the parts of a block.
            Some(block) if frame.kind != kind::CONTINUATION || frame.stream != block.stream => return Err(PROTOCOL),
            Some(block) => {
                block.frames += 1;
                if block.frames > CONTINUATIONS_MAX && frame.flags & flag::END_HEADERS == 0 {
                    return Err(End::Excess);
                }
            }
            None if frame.kind == kind::CONTINUATION => return Err(PROTOCOL),
            None => {}
        }
        if let Some(fault) = frame.fault() {
            return Err(fault.into());
        }
        self.budget.received(frame, clock).map_err(End::Flood)
    }

    /// A whole frame.
    fn take(&mut self, frame: Frame, payload: &[u8], events: &mut Vec<Event>) -> Result<(), End> {
        match frame.kind {
            kind::DATA => {
                let data = unpadded(frame, payload)?;
                self.begin_data(frame, data.len() as u32, events)?;
                if let Some(passing) = self.passing {
                    self.pass(passing, data, events);
                }
                Ok(())
            }
            kind::HEADERS => self.headers(frame, payload, events),
            kind::CONTINUATION => self.continuation(frame, payload, events),
            kind::RST_STREAM => {
                if self.is_idle(frame.stream) {
                    return Err(PROTOCOL);
                }
                if let Some(key) = self.streams.key_of(frame.stream) {
                    self.close(key);
                    events.push(Event::Changed(key));
                }
                Ok(())
            }
            kind::SETTINGS if frame.flags & flag::ACK == 0 => self.settings(payload, events),
            kind::PING if frame.flags & flag::ACK == 0 => {
                self.write_frame(kind::PING, flag::ACK, 0, payload);
                Ok(())
            }
            kind::PING => {
                if payload == LEAVING && self.stage == Stage::Asked {
                    self.stage = Stage::Draining;
                    self.write_goaway(self.last_taken, Code::NoError);
                }
                Ok(())
            }
            kind::WINDOW_UPDATE => self.window(frame.stream, payload, events),
            // RFC 9113 §8.4.
            kind::PUSH_PROMISE => Err(PROTOCOL),
            // A client that leaves is answered what is under way. Priorities are of no use any more, and what is not known
            // means nothing (RFC 9113 §5.5).
            _ => Ok(()),
        }
    }

    /// RFC 9113 §5.1.1: no client has begun it.
    fn is_idle(&self, id: u32) -> bool {
        id > self.last || id.is_multiple_of(2)
    }

    /// DATA, of which so many bytes are no padding; they follow.
    fn begin_data(&mut self, frame: Frame, payload: u32, events: &mut Vec<Event>) -> Result<(), End> {
        if self.is_idle(frame.stream) {
            return Err(PROTOCOL);
        }
        self.receive_window -= i64::from(frame.length);
        if self.receive_window < 0 {
            return Err(End::Broken(Code::FlowControlError));
        }
        let padding = frame.length - payload;
        self.take_back(padding);
        let key = self.admit(frame, payload, events)?;
        if let Some(key) = key {
            self.reopen(key, padding);
        }
        let passing = Passing { key, left: payload as usize, ends: frame.ends_stream() };
        if passing.left == 0 {
            self.pass(passing, b"", events);
        } else {
            self.passing = Some(passing);
        }
        Ok(())
    }

    /// Whose DATA it is, if anybody's still.
    fn admit(&mut self, frame: Frame, payload: u32, events: &mut Vec<Event>) -> Result<Option<Key>, End> {
        let Some(key) = self.streams.key_of(frame.stream) else {
            return Ok(None);
        };
        let Some(stream) = self.streams.find(key).filter(|stream| !stream.is_closed) else {
            return Ok(None);
        };
        let ends = frame.ends_stream();
        stream.receive_window -= i64::from(frame.length);
        let left = stream.length_left.map(|left| left.checked_sub(u64::from(payload)));
        let fault = match left {
            _ if stream.has_ended => Some(Code::StreamClosed),
            _ if stream.receive_window < 0 => Some(Code::FlowControlError),
            // RFC 9113 §8.1.1: its body is as long as it said.
            Some(None) => Some(Code::ProtocolError),
            Some(Some(1..)) if ends => Some(Code::ProtocolError),
            _ => None,
        };
        if let Some(code) = fault {
            return self.fail_stream(key, code, events).map(|()| None);
        }
        stream.length_left = left.flatten();
        if (1..TINY_BYTES).contains(&payload) && !ends && stream.has_data() {
            stream.tiny += 1;
            self.tiny += 1;
            if self.tiny > TINY_MAX {
                return Err(End::Excess);
            }
        }
        Ok(Some(key))
    }

    /// The next piece of DATA.
    fn pass(&mut self, mut passing: Passing, piece: &[u8], events: &mut Vec<Event>) {
        passing.left -= piece.len();
        let is_last = passing.left == 0;
        self.passing = (!is_last).then_some(passing);
        let stream = passing.key.and_then(|key| self.streams.find(key)).filter(|stream| !stream.is_closed);
        let (Some(stream), Some(key)) = (stream, passing.key) else {
            self.take_back(piece.len() as u32);
            return;
        };
        stream.has_ended |= is_last && passing.ends;
        if stream.refused.is_none() {
            stream.push(piece);
        } else {
            // Its body without its head would be a request of its own.
            self.take_back(piece.len() as u32);
        }
        tell(events, key);
        self.settle(key);
    }

    fn headers(&mut self, frame: Frame, payload: &[u8], events: &mut Vec<Event>) -> Result<(), End> {
        let mut fragment = unpadded(frame, payload)?;
        if frame.flags & flag::PRIORITY != 0 {
            fragment = fragment.get(5..).ok_or(End::Broken(Code::FrameSizeError))?;
        }
        if frame.stream.is_multiple_of(2) {
            return Err(PROTOCOL);
        }
        let (stream, ends) = (frame.stream, frame.ends_stream());
        if frame.flags & flag::END_HEADERS != 0 {
            return self.unpack(stream, ends, fragment, events);
        }
        self.block = Some(Block { stream, ends, bytes: fragment.to_vec(), frames: 0 });
        Ok(())
    }

    fn continuation(&mut self, frame: Frame, payload: &[u8], events: &mut Vec<Event>) -> Result<(), End> {
        let Some(mut block) = self.block.take() else {
            return Err(PROTOCOL);
        };
        block.bytes.extend_from_slice(payload);
        if frame.flags & flag::END_HEADERS != 0 {
            return self.unpack(block.stream, block.ends, &block.bytes, events);
        }
        self.block = Some(block);
        Ok(())
    }

    /// A whole header block.
    fn unpack(&mut self, id: u32, ends: bool, block: &[u8], events: &mut Vec<Event>) -> Result<(), End> {
        match self.streams.key_of(id) {
            Some(key) => self.trailers(key, ends, block, events),
            None if id > self.last => self.request(id, ends, block, events),
            // They were on their way when the stream was reset here.
            None if self.remembered.contains(&id) => self.pass_over(block),
            None => Err(PROTOCOL),
        }
    }

    /// What nobody wants is unpacked all the same: the next block builds on it.
    fn pass_over(&mut self, block: &[u8]) -> Result<(), End> {
        Ok(self.decoder.decode(block, LIST_TIMES * HEADER_LIST_BYTES, |_, _| {})?)
    }

    fn request(&mut self, id: u32, ends: bool, block: &[u8], events: &mut Vec<Event>) -> Result<(), End> {
        self.last = id;
        let is_too_many = self.streams.active >= STREAMS_MAX || self.streams.held() >= HELD_MAX;
        if self.stage == Stage::Draining || is_too_many {
            self.pass_over(block)?;
            if self.stage != Stage::Draining {
                self.last_taken = id;
                self.tally.refused += 1;
                self.write_frame(kind::RST_STREAM, 0, id, &(Code::RefusedStream as u32).to_be_bytes());
            }
            if !ends {
                self.remember(id);
            }
            return Ok(());
        }
        self.last_taken = id;
        let key = self.streams.open(id, self.peer_window);
        let Some(stream) = self.streams.find(key) else {
            return Ok(());
        };
        let mut writer = HeadWriter::new(&mut stream.text, &mut self.scratch);
        let list_max = LIST_TIMES * HEADER_LIST_BYTES;
        self.decoder.decode(block, list_max, |name, value| writer.field(name, value))?;
        let outline = writer.finish(ends);
        stream.has_ended = ends;
        match outline {
            Ok(outline) => {
                stream.outline = outline;
                stream.length_left = outline.length;
            }
            Err(RequestFault::Refused(error)) => {
                stream.text.clear();
                stream.refused = Some(error);
            }
            Err(RequestFault::Malformed) => return self.fail_stream(key, Code::ProtocolError, events),
        }
        events.push(Event::Request(key));
        Ok(())
    }

    /// RFC 9113 §8.1: the fields behind a body are the last of their stream.
    fn trailers(&mut self, key: Key, ends: bool, block: &[u8], events: &mut Vec<Event>) -> Result<(), End> {
        let Some(stream) = self.streams.find(key).filter(|stream| !stream.is_closed) else {
            return self.pass_over(block);
        };
        let mut list = 0;
        let mut is_fine = ends && stream.length_left.unwrap_or(0) == 0;
        self.decoder.decode(block, LIST_TIMES * HEADER_LIST_BYTES, |name, value| {
            list += name.len() + value.len() + 32;
            is_fine = is_fine
                && list <= HEADER_LIST_BYTES
                && write_trailer(&mut stream.trailers, Line { name, value }).is_ok();
        })?;
        if stream.has_ended {
            return self.fail_stream(key, Code::StreamClosed, events);
        }
        if !is_fine {
            return self.fail_stream(key, Code::ProtocolError, events);
        }
        if !stream.trailers.is_empty() {
            stream.trailers.extend_from_slice(b"\r\n");
        }
        stream.has_ended = true;
        tell(events, key);
        self.settle(key);
        Ok(())
    }

    /// RFC 9113 §6.5.2.
    fn settings(&mut self, payload: &[u8], events: &mut Vec<Event>) -> Result<(), End> {
        for parameter in payload.chunks_exact(6) {
            let name = u16::from_be_bytes([parameter[0], parameter[1]]);
            let value = u32::from_be_bytes([parameter[2], parameter[3], parameter[4], parameter[5]]);
            match name {
                1 => self.tells_table |= !self.has_told_table && (value as usize) < TABLE_BYTES,
                2 if value > 1 => return Err(PROTOCOL),
                4 => {
                    let by = i64::from(value) - i64::from(self.peer_window);
                    let opened = |key| tell(events, key);
                    if i64::from(value) > WINDOW_MAX || !self.streams.shift_windows(by, opened) {
                        return Err(End::Broken(Code::FlowControlError));
                    }
                    self.peer_window = value;
                }
                5 if !(FRAME_BYTES..1 << 24).contains(&(value as usize)) => return Err(PROTOCOL),
                _ => {}
            }
        }
        self.write_frame(kind::SETTINGS, flag::ACK, 0, b"");
        Ok(())
    }

    /// RFC 9113 §6.9.
    fn window(&mut self, id: u32, payload: &[u8], events: &mut Vec<Event>) -> Result<(), End> {
        let increment = payload.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes)) & 0x7fff_ffff;
        if id == 0 {
            self.send_window += i64::from(increment);
            if increment == 0 {
                return Err(PROTOCOL);
            }
            if self.send_window > WINDOW_MAX {
                return Err(End::Broken(Code::FlowControlError));
            }
            self.give_turns(events);
            return Ok(());
        }
        if self.is_idle(id) {
            return Err(PROTOCOL);
        }
        let Some(key) = self.streams.key_of(id) else {
            return Ok(());
        };
        let Some(stream) = self.streams.find(key).filter(|stream| !stream.is_closed) else {
            return Ok(());
        };
        stream.send_window += i64::from(increment);
        if increment == 0 {
            return self.fail_stream(key, Code::ProtocolError, events);
        }
        if stream.send_window > WINDOW_MAX {
            return self.fail_stream(key, Code::FlowControlError, events);
        }
        if stream.is_blocked && stream.send_window > 0 {
            stream.is_blocked = false;
            tell(events, key);
        }
        Ok(())
    }
}

/// Tells that something is different with a stream, once for the frames of it that follow each other.
fn tell(events: &mut Vec<Event>, key: Key) {
    if events.last() != Some(&Event::Changed(key)) {
        events.push(Event::Changed(key));
    }
}

/// Whether its payload goes to its stream as it comes.
fn is_passed(frame: Frame) -> bool {
    frame.kind == kind::DATA && frame.flags & flag::PADDED == 0
}

/// The payload without padding (RFC 9113 §6.1).
fn unpadded(frame: Frame, payload: &[u8]) -> Result<&[u8], End> {
    if frame.flags & flag::PADDED == 0 {
        return Ok(payload);
    }
    let (&padding, rest) = payload.split_first().ok_or(End::Broken(Code::FrameSizeError))?;
    rest.len().checked_sub(usize::from(padding)).map(|length| &rest[..length]).ok_or(PROTOCOL)
}
