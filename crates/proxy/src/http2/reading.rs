use std::io;
use std::task::{Context as TaskContext, Poll, ready};

use bytes::{Buf, Bytes};
use h2::RecvStream;
use http::HeaderMap;
use http_proto::http2::{Line, write_trailers};
use http_proto::{LAST_CHUNK, write_chunk_head};

/// How a body is told in HTTP/1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame1 {
    /// There is none.
    None,
    /// As it is: its length stands in the head, or it is a tunnel's.
    Plain,
    /// In chunks, with trailers.
    Chunked,
}

/// One direction of a stream of HTTP/2 as the bytes of HTTP/1: a head, which is written already, and what follows.
#[derive(Debug)]
pub(super) struct Reading {
    /// Written and not read yet, from `at` on: the head, a chunk's line, trailers.
    text: Vec<u8>,
    at: usize,
    /// Payload that follows it.
    data: Bytes,
    /// What follows that.
    tail: &'static [u8],
    framing: Frame1,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Data,
    Trailers,
    /// All has been read, or is here.
    Over,
    /// It did not come whole.
    Broken(io::ErrorKind),
}

/// The body, as `h2` gives it.
pub(super) trait Payload {
    /// The next piece.
    fn poll_data(&mut self, cx: &mut TaskContext<'_>) -> Poll<Option<Result<Bytes, h2::Error>>>;
    /// What comes after the last.
    fn poll_trailers(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<Option<HeaderMap>, h2::Error>>;
    /// So many bytes have gone on: as many more may come.
    fn release(&mut self, bytes: usize);
    /// Whether nothing more will come.
    fn is_over(&self) -> bool;
}

impl Payload for RecvStream {
    fn poll_data(&mut self, cx: &mut TaskContext<'_>) -> Poll<Option<Result<Bytes, h2::Error>>> {
        RecvStream::poll_data(self, cx)
    }

    fn poll_trailers(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<Option<HeaderMap>, h2::Error>> {
        RecvStream::poll_trailers(self, cx)
    }

    fn release(&mut self, bytes: usize) {
        // More than has come is never released.
        let _ = self.flow_control().release_capacity(bytes);
    }

    fn is_over(&self) -> bool {
        self.is_end_stream()
    }
}

impl Reading {
    pub(super) fn new(head: Vec<u8>, framing: Frame1) -> Reading {
        let phase = if framing == Frame1::None { Phase::Over } else { Phase::Data };
        Reading { text: head, at: 0, data: Bytes::new(), tail: b"", framing, phase }
    }

    /// Whether there are bytes to be read at once.
    pub(super) fn has_bytes(&self) -> bool {
        self.at < self.text.len() || !self.data.is_empty() || !self.tail.is_empty()
    }

    /// Whether everything has been read.
    pub(super) fn is_over(&self) -> bool {
        self.phase == Phase::Over && !self.has_bytes()
    }

    /// Waits for bytes, or for the end.
    pub(super) fn poll_bytes(&mut self, cx: &mut TaskContext<'_>, body: &mut impl Payload) -> Poll<io::Result<()>> {
        while !self.has_bytes() && self.phase != Phase::Over {
            match self.phase {
                Phase::Data => match ready!(body.poll_data(cx)) {
                    Some(Ok(data)) => self.take(data, body),
                    Some(Err(error)) => self.phase = Phase::Broken(broken(&error)),
                    None => self.phase = Phase::Trailers,
                },
                Phase::Trailers => {
                    let ended = match ready!(body.poll_trailers(cx)) {
                        Ok(trailers) => self.end(trailers.as_ref()),
                        Err(error) => Err(broken(&error)),
                    };
                    if let Err(kind) = ended {
                        self.phase = Phase::Broken(kind);
                    }
                }
                Phase::Broken(kind) => return Poll::Ready(Err(kind.into())),
                Phase::Over => {}
            }
        }
        Poll::Ready(Ok(()))
    }

    fn take(&mut self, data: Bytes, body: &impl Payload) {
        if data.is_empty() {
            return;
        }
        if self.framing == Frame1::Chunked {
            self.clear_text();
            write_chunk_head(&mut self.text, data.len() as u64);
            self.tail = b"\r\n";
            if body.is_over() {
                self.tail = b"\r\n0\r\n\r\n";
                self.phase = Phase::Over;
            }
        }
        self.data = data;
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) -> Result<(), io::ErrorKind> {
        self.phase = Phase::Over;
        if self.framing != Frame1::Chunked {
            // Beside a length HTTP/1 has no place for them (RFC 9110 §6.5.1 lets them go).
            return Ok(());
        }
        self.clear_text();
        match trailers {
            None => self.text.extend_from_slice(LAST_CHUNK),
            Some(trailers) => {
                self.text.extend_from_slice(b"0\r\n");
                let written = write_trailers(&mut self.text, lines_of(trailers));
                if written.is_err() {
                    self.clear_text();
                    return Err(io::ErrorKind::InvalidData);
                }
            }
        }
        Ok(())
    }

    fn clear_text(&mut self) {
        self.text.clear();
        self.at = 0;
    }

    /// Copies what there is to `buffer`.
    pub(super) fn copy(&mut self, buffer: &mut [u8], body: &mut impl Payload) -> usize {
        let mut copied = 0;
        if self.at < self.text.len() {
            let taken = put(buffer, &mut copied, &self.text[self.at..]);
            self.at += taken;
        }
        if self.at == self.text.len() {
            let taken = put(buffer, &mut copied, &self.data);
            self.data.advance(taken);
            if taken > 0 {
                body.release(taken);
            }
            if self.data.is_empty() {
                let taken = put(buffer, &mut copied, self.tail);
                self.tail = &self.tail[taken..];
            }
        }
        copied
    }
}

/// Puts as much of `bytes` behind what is there as there is room for.
fn put(buffer: &mut [u8], filled: &mut usize, bytes: &[u8]) -> usize {
    let taken = bytes.len().min(buffer.len() - *filled);
    buffer[*filled..*filled + taken].copy_from_slice(&bytes[..taken]);
    *filled += taken;
    taken
}

/// Fields as lines.
pub(super) fn lines_of(fields: &HeaderMap) -> impl Iterator<Item = Line<'_>> {
    fields.iter().map(|(name, value)| Line { name: name.as_str().as_bytes(), value: value.as_bytes() })
}

/// What the relay is told of a stream that has ended before its time.
pub(super) fn broken(error: &h2::Error) -> io::ErrorKind {
    match error.is_io() {
        true => io::ErrorKind::UnexpectedEof,
        false => io::ErrorKind::ConnectionReset,
    }
}
