//! What a client is sent: answers of HTTP/1 as frames.

use super::streams::Answer;
use super::{
    Begun, CONNECTION_WINDOW, Code, FIRST_WINDOW, FRAME_BYTES, Key, Ready, STREAM_WINDOW, STREAMS_MAX, Server,
    WriteError,
};
use crate::chunked::Chunked;
use crate::http2::fields::{lines, split_head};
use crate::http2::frames::{Frame, HEADER_BYTES, flag, kind};
use crate::http2::head::HEADER_LIST_BYTES;
use crate::http2::hpack::{encode_field, encode_status, encode_table_of_nothing};

/// A field of an answer's head, as far as it says something of its connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OfConnection {
    /// It does not go on (RFC 9113 §8.2.2).
    Dropped,
    Coding,
    Length,
    No,
}

impl Server {
    /// Takes a request. `None`: it has been reset meanwhile.
    pub fn begin(&mut self, key: Key) -> Option<Begun> {
        let stream = self.streams.find(key)?;
        stream.has_begun = true;
        Some(Begun { refused: stream.refused })
    }

    /// Whether a stream can be read. A tunnel's end is something that is read; the end of other requests is none.
    pub fn ready(&self, key: Key) -> Ready {
        match self.streams.look(key) {
            None => Ready::Gone,
            Some(stream) if stream.is_gone => Ready::Gone,
            Some(stream) if stream.has_bytes() => Ready::Bytes,
            Some(stream) if stream.has_ended && stream.outline.is_connect => Ready::End,
            Some(stream) if stream.has_ended => Ready::Over,
            Some(_) => Ready::Nothing,
        }
    }

    /// Copies what there is of a request, as HTTP/1; says how much.
    pub fn read(&mut self, key: Key, buffer: &mut [u8]) -> usize {
        let Some(stream) = self.streams.find(key) else {
            return 0;
        };
        let (copied, freed) = stream.read(buffer);
        if freed > 0 {
            if !stream.has_data() {
                self.tiny -= std::mem::take(&mut stream.tiny);
            }
            self.reopen(key, freed);
            self.take_back(freed);
        }
        copied
    }

    /// Opens a stream's window again by what has been taken.
    pub(super) fn reopen(&mut self, key: Key, freed: u32) {
        if let Some(increment) = self.streams.find(key).and_then(|stream| stream.reopen(freed)) {
            self.write_window(key.id, increment);
        }
    }

    /// Whether [`Server::write`] would take something. If not, an event tells when.
    pub fn may_write(&mut self, key: Key) -> bool {
        match self.streams.find(key) {
            None => true,
            Some(stream) if stream.is_gone || matches!(stream.answer, Answer::Nothing) => true,
            Some(stream) if matches!(stream.answer, Answer::Head) => self.head_room(key).is_ok(),
            Some(_) => self.room(key).is_ok(),
        }
    }

    /// Takes an answer in: heads of HTTP/1, each whole, and the body of the last. Says how much of it; the same bytes are
    /// to come again otherwise.
    ///
    /// # Errors
    /// Why nothing of it is taken.
    pub fn write(&mut self, key: Key, bytes: &[u8]) -> Result<usize, WriteError> {
        let mut written = 0;
        while written < bytes.len() {
            let rest = &bytes[written..];
            let stream = self.streams.find(key).filter(|stream| !stream.is_gone).ok_or(WriteError::Gone)?;
            let step = match &stream.answer {
                Answer::Head => self.write_head(key, rest),
                Answer::Length(left) => {
                    let left = usize::try_from(*left).unwrap_or(usize::MAX);
                    self.write_data(key, &rest[..rest.len().min(left)])
                }
                Answer::Endless => self.write_data(key, rest),
                Answer::Chunked(_) => self.write_chunked(key, rest),
                Answer::Nothing => Err(WriteError::Malformed),
            };
            match step {
                Ok(taken) => written += taken,
                Err(WriteError::Blocked) if written > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    /// The end of an answer that says its end in no other way.
    pub fn end(&mut self, key: Key) {
        if self.streams.find(key).is_some_and(|stream| !stream.is_gone && matches!(stream.answer, Answer::Endless)) {
            self.write_frame(kind::DATA, flag::END_STREAM, key.id, b"");
            self.answered(key);
        }
    }

    /// Tells the client that what came is not the whole.
    pub fn cut(&mut self, key: Key) {
        if self.streams.find(key).is_some_and(|stream| !stream.is_answered) {
            self.reset(key, Code::InternalError);
        }
    }

    /// Nobody serves the stream any more. An answer that is not whole by now never will be; of one that is whole before its
    /// request is, the rest is not wanted (RFC 9113 §8.1).
    pub fn release(&mut self, key: Key) {
        let Some(stream) = self.streams.find(key) else {
            return;
        };
        let code = if stream.is_answered { Code::NoError } else { Code::InternalError };
        self.reset(key, code);
        self.drop_unread(key);
        self.streams.free(key);
    }

    /// For how many bytes of an answer there is room; not 0. Whose turn it is has what it was promised, the others what is
    /// left if nobody waits.
    fn room(&mut self, key: Key) -> Result<usize, WriteError> {
        let (free, granted, others_wait) = (self.free(), self.granted, !self.waiting.is_empty());
        let stream = self.streams.find(key).ok_or(WriteError::Gone)?;
        let turn = match stream.grant {
            0 if others_wait => 0,
            0 => free.saturating_sub(granted),
            grant => grant,
        };
        let window = usize::try_from(stream.send_window.min(self.send_window)).unwrap_or(0);
        if window.min(turn) > 0 {
            return Ok(window.min(turn));
        }
        if stream.send_window <= 0 {
            stream.is_blocked = true;
        } else if !std::mem::replace(&mut stream.is_waiting, true) {
            self.waiting.push_back(key);
        }
        self.use_grant(key, usize::MAX);
        Err(WriteError::Blocked)
    }

    /// Heads need no window, and go before bodies; but a client that takes nothing is not told ever more.
    fn head_room(&mut self, key: Key) -> Result<(), WriteError> {
        if !self.is_full() {
            return Ok(());
        }
        if let Some(stream) = self.streams.find(key)
            && !std::mem::replace(&mut stream.is_waiting, true)
        {
            self.waiting.push_back(key);
        }
        Err(WriteError::Blocked)
    }

    /// Takes a head, an interim or the final one.
    fn write_head(&mut self, key: Key, bytes: &[u8]) -> Result<usize, WriteError> {
        self.head_room(key)?;
        let (line, fields, taken) = split_head(bytes).ok_or(WriteError::Malformed)?;
        let status = line.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        let status: u16 = status.ok_or(WriteError::Malformed)?;
        let stream = self.streams.find(key).ok_or(WriteError::Gone)?;
        let outline = stream.outline;
        let from = self.begin_block();
        encode_status(&mut self.out, status);
        let mut answer = Answer::Endless;
        for line in lines(fields) {
            match of_connection(line.name) {
                OfConnection::Dropped => continue,
                OfConnection::Coding => {
                    answer = Answer::Chunked(Box::new((Chunked::new(), Vec::new())));
                    continue;
                }
                OfConnection::Length => {
                    let length = std::str::from_utf8(line.value).ok().and_then(|text| text.parse().ok());
                    let Some(length) = length else {
                        self.out.truncate(from);
                        return Err(WriteError::Malformed);
                    };
                    answer = Answer::Length(length);
                }
                OfConnection::No => {}
            }
            encode_field(&mut self.out, line.name, line.value);
        }
        if status < 200 {
            self.end_block(key, from, 0);
            return Ok(taken);
        }
        let is_bodiless = outline.is_head || matches!(status, 204 | 304);
        let answer = match answer {
            _ if outline.is_connect && status < 300 => Answer::Endless,
            _ if is_bodiless => Answer::Nothing,
            Answer::Length(0) => Answer::Nothing,
            answer => answer,
        };
        let ends = matches!(answer, Answer::Nothing);
        if let Some(stream) = self.streams.find(key) {
            stream.answer = answer;
        }
        self.end_block(key, from, if ends { flag::END_STREAM } else { 0 });
        if ends {
            self.answered(key);
        }
        Ok(taken)
    }

    /// Takes payload that stands by itself.
    fn write_data(&mut self, key: Key, bytes: &[u8]) -> Result<usize, WriteError> {
        let room = self.room(key)?;
        let bytes = &bytes[..bytes.len().min(room)];
        let mut left = bytes.len();
        let mut ends = false;
        if let Some(stream) = self.streams.find(key) {
            stream.send_window -= left as i64;
            if let Answer::Length(length) = &mut stream.answer {
                *length -= left as u64;
                ends = *length == 0;
            }
        }
        self.send_window -= left as i64;
        self.use_grant(key, left);
        for piece in bytes.chunks(FRAME_BYTES) {
            left -= piece.len();
            let flags = if ends && left == 0 { flag::END_STREAM } else { 0 };
            self.write_frame(kind::DATA, flags, key.id, piece);
        }
        if ends {
            self.answered(key);
        }
        Ok(bytes.len())
    }

    /// Takes chunks: all payload among them, as far as one frame goes.
    fn write_chunked(&mut self, key: Key, bytes: &[u8]) -> Result<usize, WriteError> {
        let stream = self.streams.find(key).ok_or(WriteError::Gone)?;
        let Answer::Chunked(mut state) = std::mem::replace(&mut stream.answer, Answer::Nothing) else {
            return Err(WriteError::Malformed);
        };
        let (chunked, trailers) = &mut *state;
        let from = self.begin_frame();
        let (mut taken, mut payload, mut room) = (0, 0, None);
        while taken < bytes.len() && !chunked.ended() {
            let data = usize::try_from(chunked.data_left()).unwrap_or(usize::MAX).min(bytes.len() - taken);
            if data == 0 {
                if chunked.is_in_trailers() {
                    trailers.push(bytes[taken]);
                }
                if chunked.advance(&bytes[taken..=taken]).is_err() {
                    self.out.truncate(from);
                    return Err(WriteError::Malformed);
                }
                taken += 1;
                continue;
            }
            let room = *room.get_or_insert_with(|| self.room(key).unwrap_or(0).min(FRAME_BYTES));
            let piece = data.min(room - payload);
            if piece == 0 {
                break;
            }
            self.out.extend_from_slice(&bytes[taken..taken + piece]);
            chunked.pass(piece as u64);
            taken += piece;
            payload += piece;
        }
        let ended = chunked.ended();
        let has_trailers = ended && lines(trailers).next().is_some();
        if payload > 0 || (ended && !has_trailers) {
            self.end_frame(from, kind::DATA, if ended && !has_trailers { flag::END_STREAM } else { 0 }, key.id);
        } else {
            self.out.truncate(from);
        }
        self.send_window -= payload as i64;
        self.use_grant(key, payload);
        if let Some(stream) = self.streams.find(key) {
            stream.send_window -= payload as i64;
        }
        if has_trailers {
            let from = self.begin_block();
            lines(trailers).for_each(|line| encode_field(&mut self.out, line.name, line.value));
            self.end_block(key, from, flag::END_STREAM);
        }
        if ended {
            self.answered(key);
        } else if let Some(stream) = self.streams.find(key) {
            stream.answer = Answer::Chunked(state);
        }
        if taken == 0 { Err(WriteError::Blocked) } else { Ok(taken) }
    }

    fn answered(&mut self, key: Key) {
        self.use_grant(key, usize::MAX);
        if let Some(stream) = self.streams.find(key) {
            stream.answer = Answer::Nothing;
            stream.is_answered = true;
        }
        self.settle(key);
    }

    /// Room for the header of a frame whose payload follows; where it is.
    fn begin_frame(&mut self) -> usize {
        let from = self.out.len();
        self.out.extend_from_slice(&[0; HEADER_BYTES]);
        from
    }

    /// Fills the header in.
    fn end_frame(&mut self, from: usize, kind: u8, flags: u8, stream: u32) {
        let length = (self.out.len() - from - HEADER_BYTES) as u32;
        let frame = Frame { kind, flags, stream, length, code: 0 };
        self.out[from..from + HEADER_BYTES].copy_from_slice(&frame.header());
        self.budget.sent(frame);
    }

    /// The beginning of a header block.
    fn begin_block(&mut self) -> usize {
        let from = self.begin_frame();
        if std::mem::take(&mut self.tells_table) {
            self.has_told_table = true;
            encode_table_of_nothing(&mut self.out);
        }
        from
    }

    /// The end of a header block: HEADERS, and CONTINUATION as long as it goes on.
    fn end_block(&mut self, key: Key, from: usize, flags: u8) {
        let begin = from + HEADER_BYTES;
        if self.out.len() - begin <= FRAME_BYTES {
            return self.end_frame(from, kind::HEADERS, flags | flag::END_HEADERS, key.id);
        }
        let rest = self.out.split_off(begin + FRAME_BYTES);
        self.end_frame(from, kind::HEADERS, flags, key.id);
        let mut pieces = rest.chunks(FRAME_BYTES).peekable();
        while let Some(piece) = pieces.next() {
            let flags = if pieces.peek().is_none() { flag::END_HEADERS } else { 0 };
            self.write_frame(kind::CONTINUATION, flags, key.id, piece);
        }
    }

    pub(super) fn write_frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let frame = Frame { kind, flags, stream, length: payload.len() as u32, code: 0 };
        self.out.extend_from_slice(&frame.header());
        self.out.extend_from_slice(payload);
        self.budget.sent(frame);
    }

    /// RFC 9113 §6.5.
    pub(super) fn write_settings(&mut self) {
        let settings = [(3_u16, STREAMS_MAX as u32), (4, STREAM_WINDOW), (6, HEADER_LIST_BYTES as u32)];
        let mut payload = Vec::with_capacity(18);
        for (name, value) in settings {
            payload.extend_from_slice(&name.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        }
        self.write_frame(kind::SETTINGS, 0, 0, &payload);
        self.write_window(0, CONNECTION_WINDOW - FIRST_WINDOW);
    }

    pub(super) fn write_window(&mut self, stream: u32, increment: u32) {
        self.write_frame(kind::WINDOW_UPDATE, 0, stream, &increment.to_be_bytes());
    }

    pub(super) fn write_goaway(&mut self, last: u32, code: Code) {
        let [a, b, c, d] = last.to_be_bytes();
        let [e, f, g, h] = (code as u32).to_be_bytes();
        self.write_frame(kind::GOAWAY, 0, 0, &[a, b, c, d, e, f, g, h]);
    }
}

fn of_connection(name: &[u8]) -> OfConnection {
    let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
    match name.len() {
        2 if is(b"te") => OfConnection::Dropped,
        4 if is(b"host") => OfConnection::Dropped,
        7 if is(b"upgrade") => OfConnection::Dropped,
        10 if is(b"connection") || is(b"keep-alive") => OfConnection::Dropped,
        14 if is(b"content-length") => OfConnection::Length,
        16 if is(b"proxy-connection") => OfConnection::Dropped,
        17 if is(b"transfer-encoding") => OfConnection::Coding,
        _ => OfConnection::No,
    }
}
