//! Chunked bodies (RFC 9112 §7.1), followed byte by byte where they say something and skipped where they carry.

use std::ops::Range;

use crate::survey::LENGTH_MAX;
use crate::token::{is_tchar, is_value_byte};

/// The chunk that ends a body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Hexadecimal digits in one chunk size; as many as 64 bits have.
const SIZE_DIGITS_MAX: u8 = 16;

/// Bytes of chunk extensions in one body. Nobody reads them; more would let a client make us work for no payload.
const EXTENSION_BYTES_MAX: u32 = 4 * 1024;

/// Bytes of trailers in one body, the blank line excepted.
const TRAILER_BYTES_MAX: u32 = 8 * 1024;

/// Fields that mean something before the body only, or would if a server moved them there (RFC 9110 §6.5.1).
const NOT_IN_TRAILERS: [&[u8]; 22] = [
    b"authorization",
    b"connection",
    b"content-encoding",
    b"content-length",
    b"content-range",
    b"content-type",
    b"cookie",
    b"expect",
    b"forwarded",
    b"host",
    b"keep-alive",
    b"max-forwards",
    b"proxy-authorization",
    b"proxy-connection",
    b"set-cookie",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
];

/// The longest name among [`NOT_IN_TRAILERS`], and one.
const NAME_BYTES: usize = 20;

/// Follows a chunked body (RFC 9112 §7.1) through the pieces in which it arrives.
///
/// Strict: lines end with CRLF, sizes are hexadecimal digits and nothing else, no white space before extensions.
/// After an error it must not be used further.
#[derive(Clone, Debug)]
pub struct Chunked {
    state: State,
    /// Data bytes of the current chunk not yet seen; its size so far while that is read.
    data_left: u64,
    digits: u8,
    extension_bytes: u32,
    trailer_bytes: u32,
    /// The current trailer's name in lower case, as much as fits.
    name: [u8; NAME_BYTES],
    name_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    ExtensionStart,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Ended,
}

/// What one call of [`Chunked::advance`] went through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Bytes of the input that belong to the message and were followed.
    pub taken: usize,
    /// The payload among them; empty if there was none.
    pub data: Range<usize>,
    /// Whether the message ended with them, trailers included.
    pub ended: bool,
}

/// Why a chunked body is refused: a request's with 400 and a close, an answer's with 502 or by cutting the client off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChunkError {
    /// A chunk size that is not hexadecimal digits up to the line's end or an extension's semicolon.
    Size,
    /// A chunk size of more than 16 digits, or more than 2^63 - 1.
    SizeTooLarge,
    /// A line that ends with anything but CRLF.
    LineEnd,
    /// A chunk extension without a name, or with a control character.
    Extension,
    /// More than 4 KiB of chunk extensions in one body.
    ExtensionsTooLarge,
    /// Chunk data that CRLF does not follow.
    DataEnd,
    /// A trailer that is no field line.
    Trailer,
    /// More than 8 KiB of trailers.
    TrailersTooLarge,
    /// A trailer that frames, routes or authorizes, and so belongs before the body.
    TrailerForbidden,
}

impl ChunkError {
    /// Every reason, for counters.
    pub const ALL: [ChunkError; 9] = [
        ChunkError::Size,
        ChunkError::SizeTooLarge,
        ChunkError::LineEnd,
        ChunkError::Extension,
        ChunkError::ExtensionsTooLarge,
        ChunkError::DataEnd,
        ChunkError::Trailer,
        ChunkError::TrailersTooLarge,
        ChunkError::TrailerForbidden,
    ];

    /// A stable name, for metrics and logs.
    pub const fn reason(self) -> &'static str {
        match self {
            ChunkError::Size => "chunk_size",
            ChunkError::SizeTooLarge => "chunk_size_too_large",
            ChunkError::LineEnd => "chunk_line_end",
            ChunkError::Extension => "chunk_extension",
            ChunkError::ExtensionsTooLarge => "chunk_extensions_too_large",
            ChunkError::DataEnd => "chunk_data_end",
            ChunkError::Trailer => "trailer",
            ChunkError::TrailersTooLarge => "trailers_too_large",
            ChunkError::TrailerForbidden => "trailer_forbidden",
        }
    }
}

impl Default for Chunked {
    fn default() -> Chunked {
        Chunked::new()
    }
}

impl Chunked {
    /// At the beginning of a body.
    pub const fn new() -> Chunked {
        Chunked {
            state: State::Size,
            data_left: 0,
            digits: 0,
            extension_bytes: 0,
            trailer_bytes: 0,
            name: [0; NAME_BYTES],
            name_bytes: 0,
        }
    }

    /// Goes on through `input` until one run of payload was passed, the message ends or the input is used up.
    ///
    /// # Errors
    /// If the bytes are no chunked body, or one that others might read differently.
    pub fn advance(&mut self, input: &[u8]) -> Result<Step, ChunkError> {
        self.step(input, |_| {})
    }

    /// Like [`Chunked::advance`], and appends the lines of trailers to `trailers`, the empty line at their end too.
    ///
    /// # Errors
    /// As [`Chunked::advance`].
    pub fn advance_keeping(&mut self, input: &[u8], trailers: &mut Vec<u8>) -> Result<Step, ChunkError> {
        self.step(input, |byte| trailers.push(byte))
    }

    fn step(&mut self, input: &[u8], of_trailers: impl FnMut(u8)) -> Result<Step, ChunkError> {
        let start = self.follow_frame(input, of_trailers)?;
        let data = start..start + self.skip_data(input.len() - start);
        Ok(Step { taken: data.end, data, ended: self.ended() })
    }

    /// Goes on through all of `input` up to the message's end: the bytes taken, and whether it ended with them.
    ///
    /// # Errors
    /// As [`Chunked::advance`]. Nothing of the input must be sent onward then.
    pub fn scan(&mut self, input: &[u8]) -> Result<(usize, bool), ChunkError> {
        let mut taken = 0;
        while taken < input.len() && !self.ended() {
            taken += self.advance(&input[taken..])?.taken;
        }
        Ok((taken, self.ended()))
    }

    /// Payload bytes of the current chunk that are still to come; 0 outside a chunk's data.
    pub fn data_left(&self) -> u64 {
        if self.state == State::Data { self.data_left } else { 0 }
    }

    /// Takes note of `bytes` payload bytes that were moved without being shown here.
    ///
    /// # Panics
    /// If that is more than [`Chunked::data_left`].
    pub fn pass(&mut self, bytes: u64) {
        assert!(bytes <= self.data_left(), "what was moved is payload of the current chunk");
        self.take_data(bytes);
    }

    /// Whether the next byte belongs to the trailers, the blank line's first included.
    pub fn is_in_trailers(&self) -> bool {
        matches!(self.state, State::TrailerStart | State::TrailerName | State::TrailerValue | State::TrailerLf)
    }

    /// Whether the message has ended, trailers included.
    pub fn ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Follows what is no payload, up to the first byte of payload or the message's end: how many bytes that were.
    fn follow_frame(&mut self, input: &[u8], mut of_trailers: impl FnMut(u8)) -> Result<usize, ChunkError> {
        for (index, &byte) in input.iter().enumerate() {
            match self.state {
                State::Data | State::Ended => return Ok(index),
                State::TrailerStart | State::TrailerName | State::TrailerValue | State::TrailerLf | State::EndLf => {
                    of_trailers(byte)
                }
                _ => {}
            }
            self.state = self.follow(byte)?;
        }
        Ok(input.len())
    }

    fn skip_data(&mut self, available: usize) -> usize {
        let data = usize::try_from(self.data_left()).unwrap_or(usize::MAX).min(available);
        self.take_data(data as u64);
        data
    }

    fn take_data(&mut self, bytes: u64) {
        if bytes > 0 {
            self.data_left -= bytes;
            if self.data_left == 0 {
                self.state = State::DataCr;
            }
        }
    }

    fn follow(&mut self, byte: u8) -> Result<State, ChunkError> {
        match (self.state, byte) {
            (State::Size, _) => self.follow_size(byte),
            (State::ExtensionStart, _) if !is_tchar(byte) => Err(ChunkError::Extension),
            (State::Extension, b'\r') => Ok(State::SizeLf),
            (State::Extension, b'\n') => Err(ChunkError::LineEnd),
            (State::ExtensionStart | State::Extension, _) => self.follow_extension(byte),
            (State::SizeLf, b'\n') if self.data_left > 0 => Ok(State::Data),
            (State::SizeLf, b'\n') => Ok(State::TrailerStart),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => {
                self.digits = 0;
                Ok(State::Size)
            }
            (State::DataCr | State::DataLf, _) => Err(ChunkError::DataEnd),
            (State::TrailerStart, b'\r') => Ok(State::EndLf),
            (State::TrailerStart | State::TrailerName | State::TrailerValue, _) => self.follow_trailer(byte),
            (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
            (State::EndLf, b'\n') => Ok(State::Ended),
            (State::SizeLf | State::TrailerLf | State::EndLf, _) => Err(ChunkError::LineEnd),
            (State::Data | State::Ended, _) => Ok(self.state),
        }
    }

    fn follow_size(&mut self, byte: u8) -> Result<State, ChunkError> {
        match (byte, char::from(byte).to_digit(16)) {
            (_, Some(_)) if self.digits == SIZE_DIGITS_MAX => Err(ChunkError::SizeTooLarge),
            (_, Some(digit)) => {
                self.digits += 1;
                self.data_left = self.data_left << 4 | u64::from(digit);
                if self.data_left > LENGTH_MAX {
                    return Err(ChunkError::SizeTooLarge);
                }
                Ok(State::Size)
            }
            _ if self.digits == 0 => Err(ChunkError::Size),
            (b'\r', None) => Ok(State::SizeLf),
            (b';', None) => Ok(State::ExtensionStart),
            (b'\n', None) => Err(ChunkError::LineEnd),
            _ => Err(ChunkError::Size),
        }
    }

    fn follow_extension(&mut self, byte: u8) -> Result<State, ChunkError> {
        self.extension_bytes += 1;
        if !is_value_byte(byte) {
            Err(ChunkError::Extension)
        } else if self.extension_bytes > EXTENSION_BYTES_MAX {
            Err(ChunkError::ExtensionsTooLarge)
        } else {
            Ok(State::Extension)
        }
    }

    fn follow_trailer(&mut self, byte: u8) -> Result<State, ChunkError> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > TRAILER_BYTES_MAX {
            return Err(ChunkError::TrailersTooLarge);
        }
        match (self.state, byte) {
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::TrailerValue, _) if is_value_byte(byte) => Ok(State::TrailerValue),
            (State::TrailerName, b':') if NOT_IN_TRAILERS.contains(&&self.name[..self.name_bytes]) => {
                Err(ChunkError::TrailerForbidden)
            }
            (State::TrailerName, b':') => Ok(State::TrailerValue),
            (State::TrailerStart | State::TrailerName, _) if is_tchar(byte) => {
                if self.state == State::TrailerStart {
                    self.name_bytes = 0;
                }
                if let Some(slot) = self.name.get_mut(self.name_bytes) {
                    *slot = byte.to_ascii_lowercase();
                    self.name_bytes += 1;
                }
                Ok(State::TrailerName)
            }
            (_, b'\n') => Err(ChunkError::LineEnd),
            _ => Err(ChunkError::Trailer),
        }
    }
}

/// Whether a field of this name, in lower case, must not stand in trailers.
pub(crate) fn is_forbidden_trailer(name: &[u8]) -> bool {
    NOT_IN_TRAILERS.contains(&name)
}

/// Appends the line that begins a chunk of `len` bytes; CRLF must follow its data.
///
/// `len` must not be 0: that is [`LAST_CHUNK`].
pub fn write_chunk_head(out: &mut Vec<u8>, len: u64) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = (64 - len.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        out.push(DIGITS[(len >> (4 * digit) & 15) as usize]);
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests;
