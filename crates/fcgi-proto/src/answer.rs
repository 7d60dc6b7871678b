//! An application's records as an answer of HTTP/1.1.

use crate::AnswerError;
use crate::cgi::{Framing, end_of_head, translate};
use crate::record::{END_REQUEST, HEADER_BYTES, Header, REQUEST_ID, STDERR, STDOUT};

/// The most that a head may be: what a server's head may be, too.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;

/// Interim heads before a final one.
const INTERIM_MAX: u32 = 64;

/// Below so many bytes left of a record, reading it by itself costs more than copying it.
const BULK: usize = 16 * 1024;

/// How an application ended a request (FastCGI 1.0 §5.5).
const REQUEST_COMPLETE: u8 = 0;
const CANT_MPX_CONN: u8 = 1;
const OVERLOADED: u8 = 2;
const UNKNOWN_ROLE: u8 = 3;

/// Follows one answer through the pieces in which its records arrive. After an error it must not be used further.
///
/// What becomes of a record does not wait for the next: its head is written when it is whole, and each byte of the body
/// at once.
#[derive(Debug)]
pub struct Answer {
    bodiless: bool,
    stage: Stage,
    record: Record,
    /// A head that is not whole yet.
    head: Vec<u8>,
    interim_heads: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Head,
    Body(Framing),
    /// After END_REQUEST; `cut`: the body lacks something.
    Over {
        cut: bool,
    },
}

/// The record that is being read.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    header: [u8; HEADER_BYTES],
    /// How much of the header is here.
    header_bytes: usize,
    kind: u8,
    /// Content that is still to come.
    left: usize,
    padding: usize,
    /// Content of END_REQUEST, as much as is here.
    end: [u8; 8],
    /// Whether a chunk was begun that ends with the record.
    in_chunk: bool,
}

impl Answer {
    /// `bodiless`: the request's method is HEAD.
    pub fn new(bodiless: bool) -> Answer {
        Answer { bodiless, stage: Stage::Head, record: Record::default(), head: Vec::new(), interim_heads: 0 }
    }

    /// Reads all of `input`: the answer's bytes go to `out`, what the application complains of to `stderr`.
    ///
    /// # Errors
    /// Why these records are no answer. What was written to `out` before is one's beginning.
    pub fn read(
        &mut self,
        mut input: &[u8],
        out: &mut Vec<u8>,
        stderr: &mut dyn FnMut(&[u8]),
    ) -> Result<(), AnswerError> {
        while !input.is_empty() {
            let record = &mut self.record;
            if record.header_bytes < HEADER_BYTES {
                let taken = input.len().min(HEADER_BYTES - record.header_bytes);
                record.header[record.header_bytes..][..taken].copy_from_slice(&input[..taken]);
                record.header_bytes += taken;
                input = &input[taken..];
                if record.header_bytes == HEADER_BYTES {
                    self.begin_record(out)?;
                }
                continue;
            }
            if record.left > 0 {
                let (piece, rest) = input.split_at(input.len().min(record.left));
                input = rest;
                self.take(piece, out, stderr)?;
                continue;
            }
            let taken = input.len().min(record.padding);
            record.padding -= taken;
            input = &input[taken..];
            self.end_if_whole();
        }
        Ok(())
    }

    /// How many bytes could be read next that are the body's as they are, with the end of their record behind them: the
    /// former, and with the latter. `None`: few, or something else.
    pub fn bulk(&self) -> Option<(usize, usize)> {
        let record = &self.record;
        let as_it_is = match self.stage {
            Stage::Body(Framing::Length(left)) => left >= record.left as u64,
            Stage::Body(Framing::Chunked | Framing::Own) => true,
            _ => false,
        };
        let is_bulk = as_it_is && record.kind == STDOUT && record.left >= BULK;
        is_bulk.then(|| (record.left, record.left + record.padding + HEADER_BYTES))
    }

    /// How many bytes there are until the content of the next record: what is left of its header and of the padding
    /// before it. 0 within content.
    pub fn between(&self) -> usize {
        let record = &self.record;
        match record.left {
            0 if record.header_bytes == HEADER_BYTES => record.padding + HEADER_BYTES,
            _ if record.header_bytes < HEADER_BYTES => HEADER_BYTES - record.header_bytes,
            _ => 0,
        }
    }

    /// Takes note of `count` bytes of [`Answer::bulk`] that were passed on as they are; at the end of the record its
    /// end is written to `out`.
    ///
    /// # Panics
    /// If there were fewer.
    pub fn pass(&mut self, count: usize, out: &mut Vec<u8>) {
        assert!(self.bulk().is_some_and(|(bulk, _)| count <= bulk), "what was passed on is the body's");
        if let Stage::Body(Framing::Length(left)) = &mut self.stage {
            *left -= count as u64;
        }
        self.record.left -= count;
        if self.record.left == 0 {
            self.end_content(out);
        }
    }

    /// Whether the application has ended the request, and nothing of its last record is still to come.
    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over { .. }) && self.record.header_bytes == 0
    }

    /// Whether the application has ended the request before its body was as long as its head says.
    pub fn is_cut(&self) -> bool {
        self.stage == Stage::Over { cut: true }
    }

    /// Whether nothing has come that is part of an answer.
    pub fn is_untouched(&self) -> bool {
        self.stage == Stage::Head && self.head.is_empty() && self.record.header_bytes == 0
    }

    fn begin_record(&mut self, out: &mut Vec<u8>) -> Result<(), AnswerError> {
        let header = Header::of(self.record.header);
        if matches!(self.stage, Stage::Over { .. }) {
            return Err(AnswerError::AfterEnd);
        }
        if !header.is_version_1() {
            return Err(AnswerError::Version);
        }
        match header.kind {
            STDOUT | STDERR => {}
            END_REQUEST if header.content != 8 => return Err(AnswerError::EndLength),
            END_REQUEST => {}
            _ => return Err(AnswerError::RecordType),
        }
        if header.request_id != REQUEST_ID {
            return Err(AnswerError::RequestId);
        }
        let record = &mut self.record;
        record.kind = header.kind;
        record.left = usize::from(header.content);
        record.padding = usize::from(header.padding);
        if header.kind == STDOUT && self.stage == Stage::Body(Framing::Chunked) {
            self.begin_chunk(self.record.left, out);
        }
        self.end_if_whole();
        Ok(())
    }

    fn take(&mut self, piece: &[u8], out: &mut Vec<u8>, stderr: &mut dyn FnMut(&[u8])) -> Result<(), AnswerError> {
        let left = self.record.left - piece.len();
        match self.record.kind {
            STDOUT => self.take_output(piece, left, out)?,
            STDERR => stderr(piece),
            _ => {
                let at = self.record.end.len() - self.record.left;
                self.record.end[at..][..piece.len()].copy_from_slice(piece);
            }
        }
        self.record.left = left;
        if left == 0 {
            if self.record.kind == END_REQUEST {
                self.end_request(out)?;
            }
            self.end_content(out);
        }
        Ok(())
    }

    /// `left`: what the record has behind `piece`.
    fn take_output(&mut self, mut piece: &[u8], left: usize, out: &mut Vec<u8>) -> Result<(), AnswerError> {
        while self.stage == Stage::Head && !piece.is_empty() {
            let seen = self.head.len();
            // Most heads are whole in one piece, and need not be kept.
            let taken = match seen {
                0 => end_of_head(piece, 0),
                _ => {
                    self.head.extend_from_slice(piece);
                    end_of_head(&self.head, seen).map(|end| end - seen)
                }
            };
            let Some(taken) = taken else {
                if seen == 0 {
                    self.head.extend_from_slice(piece);
                }
                let too_large = self.head.len() > HEAD_BYTES_MAX;
                return if too_large { Err(AnswerError::HeadTooLarge) } else { Ok(()) };
            };
            if seen + taken > HEAD_BYTES_MAX {
                return Err(AnswerError::HeadTooLarge);
            }
            let head = if seen == 0 { &piece[..taken] } else { &self.head[..seen + taken] };
            let framing = translate(head, self.bodiless, out)?;
            self.head.clear();
            piece = &piece[taken..];
            if framing == Framing::Interim {
                self.interim_heads += 1;
                if self.interim_heads > INTERIM_MAX {
                    return Err(AnswerError::HeadTooLarge);
                }
                continue;
            }
            self.stage = Stage::Body(framing);
            if framing == Framing::Chunked {
                self.begin_chunk(piece.len() + left, out);
            }
        }
        match &mut self.stage {
            Stage::Body(Framing::Chunked | Framing::Own) => out.extend_from_slice(piece),
            Stage::Body(Framing::Length(length)) => {
                // Records say where they end: what an application sends beyond its body does no harm.
                let wanted = usize::try_from(*length).unwrap_or(usize::MAX).min(piece.len());
                out.extend_from_slice(&piece[..wanted]);
                *length -= wanted as u64;
            }
            Stage::Head | Stage::Body(Framing::Interim | Framing::None) | Stage::Over { .. } => {}
        }
        Ok(())
    }

    fn begin_chunk(&mut self, size: usize, out: &mut Vec<u8>) {
        if size > 0 {
            self.record.in_chunk = true;
            write_hexadecimal(size, out);
            out.extend_from_slice(b"\r\n");
        }
    }

    fn end_content(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.record.in_chunk) {
            out.extend_from_slice(b"\r\n");
        }
        self.end_if_whole();
    }

    fn end_request(&mut self, out: &mut Vec<u8>) -> Result<(), AnswerError> {
        let status = self.record.end[4];
        match (self.stage, status) {
            (_, CANT_MPX_CONN) => return Err(AnswerError::CannotMultiplex),
            (_, OVERLOADED) => return Err(AnswerError::Overloaded),
            (_, UNKNOWN_ROLE) => return Err(AnswerError::UnknownRole),
            (Stage::Head, REQUEST_COMPLETE) => return Err(AnswerError::NoHead),
            (_, REQUEST_COMPLETE) => {}
            _ => return Err(AnswerError::EndStatus),
        }
        if self.stage == Stage::Body(Framing::Chunked) {
            out.extend_from_slice(b"0\r\n\r\n");
        }
        let cut = matches!(self.stage, Stage::Body(Framing::Length(1..)));
        self.stage = Stage::Over { cut };
        Ok(())
    }

    fn end_if_whole(&mut self) {
        if self.record.left == 0 && self.record.padding == 0 {
            self.record.header_bytes = 0;
        }
    }
}

fn write_hexadecimal(number: usize, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = (usize::BITS - number.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        out.push(DIGITS[number >> (4 * digit) & 15]);
    }
}

#[cfg(test)]
mod tests;
