//! One answer to a client, made smaller on its way: what the relay writes is read as an answer of HTTP/1, and if it is
//! worth the work its body goes out coded and in chunks.
//!
//! It is put around a client's connection for one answer, and taken off again.

use std::cell::RefCell;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::task::{Context, Poll};

use flate2::write::GzEncoder;
use http_proto::{
    Chunked, Connection, Framing, HeaderEdits, LAST_CHUNK, Limits, Parsed, ResponseForward, ResponseHead, Version,
    field_slots, parse_response, write_chunk_head, write_response,
};

use super::{Layer, Stream};

/// A shorter answer gains less than a packet.
const LENGTH_MIN: u64 = 1024;

/// What is taken in by one write, so that no client holds a worker for long: about a millisecond's work.
const STRETCH: usize = 64 * 1024;

/// How hard is worked: the levels at which both cost about a millisecond for a hundred KiB of text.
const GZIP_LEVEL: u32 = 4;
const ZSTD_LEVEL: i32 = 3;

/// The zstd window, 256 KiB: with it an encoder takes about a MiB.
const ZSTD_WINDOW_LOG: u32 = 18;

/// Media types that are text in other words.
const WORTH_IT: [&str; 12] = [
    "application/javascript",
    "application/json",
    "application/manifest+json",
    "application/rss+xml",
    "application/toml",
    "application/wasm",
    "application/x-ndjson",
    "application/x-yaml",
    "application/xhtml+xml",
    "application/xml",
    "application/yaml",
    "image/svg+xml",
];

/// How an answer's body can be coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// gzip (RFC 1952).
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
}

impl Coding {
    /// As Accept-Encoding and Content-Encoding have it.
    pub fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Zstd => "zstd",
        }
    }
}

/// A client's connection for the time of one answer.
pub(crate) struct Coded {
    inner: Stream,
    state: RefCell<State>,
}

struct State {
    coding: Coding,
    is_head: bool,
    limits: Limits,
    stage: Stage,
    /// What has still to leave.
    pending: Vec<u8>,
    sent: usize,
    /// How many of the bytes that come next are in `pending` already.
    owed: usize,
}

enum Stage {
    /// The answer's head is awaited.
    Head(Vec<u8>),
    /// Everything goes as it comes.
    Plain,
    /// The body is coded.
    Body(Box<Encoder>, Left),
}

/// What is left of the body that the relay writes.
enum Left {
    Length(u64),
    Chunked(Chunked),
}

enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Coded {
    /// Puts it around a connection.
    pub(crate) fn around(inner: Stream, coding: Coding, is_head: bool, limits: Limits) -> Stream {
        let stage = Stage::Head(Vec::new());
        let state = State { coding, is_head, limits, stage, pending: Vec::new(), sent: 0, owed: 0 };
        Stream::Layer(Box::new(Coded { inner, state: RefCell::new(state) }))
    }
}

impl std::fmt::Debug for Coded {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Coded").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl Layer for Coded {
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.inner.poll_read(cx, buffer)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state.borrow_mut();
        state.send(&self.inner)?;
        if state.owed == 0 {
            state.owed = state.take(bytes)?;
        }
        state.send(&self.inner)?;
        Ok(std::mem::take(&mut state.owed))
    }

    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_read_ready(cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_write_ready(cx)
    }

    fn peek(&self) -> io::Result<usize> {
        self.inner.peek()
    }

    fn shutdown_write(&self) {
        self.inner.shutdown_write();
    }

    fn cut(&self) {
        self.inner.cut();
    }

    fn reached(&self) -> Option<SocketAddr> {
        self.inner.reached()
    }

    fn bytes_acked(&self) -> Option<u64> {
        self.inner.bytes_acked()
    }

    fn take_off(&mut self) -> Option<Stream> {
        Some(std::mem::replace(&mut self.inner, Stream::Layer(Box::new(Gone))))
    }
}

impl State {
    /// Sends what is pending; `WouldBlock` while any is left.
    fn send(&mut self, inner: &Stream) -> io::Result<()> {
        while self.sent < self.pending.len() {
            self.sent += inner.try_write(&self.pending[self.sent..])?;
        }
        self.pending.clear();
        self.sent = 0;
        Ok(())
    }

    /// Turns some of `bytes` into what is to leave; says how many.
    fn take(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(STRETCH)];
        match &mut self.stage {
            Stage::Plain => {
                self.pending.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            Stage::Head(head) => {
                let before = head.len();
                head.extend_from_slice(bytes);
                let head = std::mem::take(head);
                let Some(end) = memchr::memmem::find(&head, b"\r\n\r\n") else {
                    self.stage = Stage::Head(head);
                    return Ok(bytes.len());
                };
                self.begin(&head[..end + 4])?;
                // The end was not there before, so it lies in these bytes.
                Ok(end + 4 - before)
            }
            Stage::Body(..) => self.code(bytes),
        }
    }

    /// A head is whole.
    fn begin(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut slots = field_slots();
        let method = if self.is_head { "HEAD" } else { "GET" };
        let parsed = parse_response(bytes, &mut slots, &self.limits, method);
        let Ok(Parsed::Whole(head, _)) = parsed else {
            self.pending.extend_from_slice(bytes);
            self.stage = Stage::Plain;
            return Ok(());
        };
        if (100..200).contains(&head.status) {
            self.pending.extend_from_slice(bytes);
            self.stage = if head.status == 101 { Stage::Plain } else { Stage::Head(Vec::new()) };
            return Ok(());
        }
        if !is_worth_it(&head, self.is_head) {
            self.pending.extend_from_slice(bytes);
            self.stage = Stage::Plain;
            return Ok(());
        }
        self.write_head(&head);
        self.stage = match head.framing {
            Framing::Length(length) if !self.is_head => {
                Stage::Body(Box::new(Encoder::new(self.coding)?), Left::Length(length))
            }
            Framing::Chunked if !self.is_head => {
                Stage::Body(Box::new(Encoder::new(self.coding)?), Left::Chunked(Chunked::new()))
            }
            _ => Stage::Plain,
        };
        Ok(())
    }

    /// Writes the head of the coded answer.
    fn write_head(&mut self, head: &ResponseHead<'_>) {
        let mut edits = HeaderEdits::default();
        // What a digest is of, are the bytes as they came (RFC 9530 §2, §3).
        edits.remove.extend(["accept-ranges", "repr-digest", "content-digest"].map(str::to_owned));
        edits.set.push(("Content-Encoding".to_owned(), self.coding.name().to_owned()));
        edits.add.push(("Vary".to_owned(), "Accept-Encoding".to_owned()));
        // What is coded anew has other bytes each time (RFC 9110 §8.8.1).
        if let Some(tag) = head.fields.value("etag").and_then(|tag| std::str::from_utf8(tag).ok())
            && !tag.starts_with("W/")
        {
            edits.set.push(("ETag".to_owned(), format!("W/{tag}")));
        }
        let none = HeaderEdits::default();
        let connection = if head.keep_alive { Connection::KeepAlive } else { Connection::Close };
        let forward = ResponseForward {
            edits: [&edits, &none],
            connection,
            client_version: Version::Http11,
            framing: Framing::Chunked,
            came: 0,
        };
        write_response(&mut self.pending, head, &forward);
    }

    fn code(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Stage::Body(encoder, left) = &mut self.stage else {
            return Ok(0);
        };
        let mut taken = 0;
        let mut has_ended = false;
        match left {
            Left::Length(left) => {
                taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                encoder.write(&bytes[..taken])?;
                *left -= taken as u64;
                has_ended = *left == 0;
            }
            Left::Chunked(chunked) => {
                while taken < bytes.len() && !has_ended {
                    let step = chunked.advance(&bytes[taken..]).map_err(|_| io::ErrorKind::InvalidData)?;
                    encoder.write(&bytes[taken..][step.data])?;
                    taken += step.taken;
                    has_ended = step.ended;
                }
                // Who sends piece by piece may mean each to arrive.
                if !has_ended {
                    encoder.flush()?;
                }
            }
        }
        if has_ended {
            encoder.finish()?;
        }
        let made = encoder.made();
        if !made.is_empty() {
            write_chunk_head(&mut self.pending, made.len() as u64);
            self.pending.append(made);
            self.pending.extend_from_slice(b"\r\n");
        }
        if has_ended {
            self.pending.extend_from_slice(LAST_CHUNK);
            self.stage = Stage::Plain;
        }
        Ok(taken)
    }
}

/// Whether coding this answer's body makes it smaller, and nobody has forbidden it.
fn is_worth_it(head: &ResponseHead<'_>, is_head: bool) -> bool {
    let has = |name: &str| head.fields.value(name).is_some();
    let length = head.fields.value("content-length").and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
    let is_long = match head.framing {
        Framing::Length(length) => length >= LENGTH_MIN,
        Framing::Chunked => true,
        Framing::None if is_head => length.is_none_or(|length: u64| length >= LENGTH_MIN),
        Framing::None | Framing::UntilClose => false,
    };
    let may_change = !head.fields.has_token("cache-control", "no-transform");
    let media = head.fields.value("content-type").and_then(|value| value.split(|&byte| byte == b';').next());
    head.status == 200
        && is_long
        && may_change
        && !has("content-encoding")
        && !has("content-range")
        && media.is_some_and(|media| is_text(media.trim_ascii()))
}

fn is_text(media: &[u8]) -> bool {
    let media = media.to_ascii_lowercase();
    let is_stream = media == b"text/event-stream";
    !is_stream
        && (media.starts_with(b"text/")
            || media.ends_with(b"+json")
            || media.ends_with(b"+xml")
            || WORTH_IT.iter().any(|known| known.as_bytes() == media))
}

impl Encoder {
    fn new(coding: Coding) -> io::Result<Encoder> {
        Ok(match coding {
            Coding::Gzip => Encoder::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::new(GZIP_LEVEL))),
            Coding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.window_log(ZSTD_WINDOW_LOG)?;
                Encoder::Zstd(encoder)
            }
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Encoder::Gzip(encoder) => encoder.write_all(bytes),
            Encoder::Zstd(encoder) => encoder.write_all(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Encoder::Gzip(encoder) => encoder.flush(),
            Encoder::Zstd(encoder) => encoder.flush(),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        match self {
            Encoder::Gzip(encoder) => encoder.try_finish(),
            Encoder::Zstd(encoder) => encoder.do_finish(),
        }
    }

    /// What has come out so far.
    fn made(&mut self) -> &mut Vec<u8> {
        match self {
            Encoder::Gzip(encoder) => encoder.get_mut(),
            Encoder::Zstd(encoder) => encoder.get_mut(),
        }
    }
}

/// What is left where a connection was, for the moment that it is elsewhere.
#[derive(Debug)]
pub(super) struct Gone;

impl Layer for Gone {
    fn poll_read(&self, _cx: &mut Context<'_>, _buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
    }

    fn try_write(&self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::NotConnected.into())
    }

    fn poll_read_ready(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
    }

    fn poll_write_ready(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
    }

    fn peek(&self) -> io::Result<usize> {
        Err(io::ErrorKind::NotConnected.into())
    }

    fn shutdown_write(&self) {}

    fn cut(&self) {}

    fn reached(&self) -> Option<SocketAddr> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn state(coding: Coding, is_head: bool) -> State {
        let stage = Stage::Head(Vec::new());
        State { coding, is_head, limits: Limits::default(), stage, pending: Vec::new(), sent: 0, owed: 0 }
    }

    /// What comes out of an answer that is written in pieces of so many bytes: the head, and what is behind it.
    fn through(state: &mut State, answer: &[u8], piece: usize) -> (String, Vec<u8>) {
        for bytes in answer.chunks(piece) {
            let mut at = 0;
            while at < bytes.len() {
                at += state.take(&bytes[at..]).unwrap();
            }
        }
        let end = memchr::memmem::find(&state.pending, b"\r\n\r\n").unwrap() + 4;
        (String::from_utf8(state.pending[..end].to_vec()).unwrap(), state.pending[end..].to_vec())
    }

    fn unchunked(bytes: &[u8]) -> Vec<u8> {
        let (mut chunked, mut data, mut at) = (Chunked::new(), Vec::new(), 0);
        while !chunked.ended() {
            let step = chunked.advance(&bytes[at..]).unwrap();
            assert!(step.taken > 0, "the body ends");
            data.extend_from_slice(&bytes[at..][step.data]);
            at += step.taken;
        }
        assert_eq!(at, bytes.len());
        data
    }

    fn decoded(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        match coding {
            Coding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).unwrap(),
            Coding::Zstd => zstd::stream::read::Decoder::new(bytes).unwrap().read_to_end(&mut plain).unwrap(),
        };
        plain
    }

    #[test]
    fn a_body_comes_out_smaller_and_the_same() {
        let text = b"all work and no play makes jack a dull boy\n".repeat(100);
        let length = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nETag: \"x\"\r\nAccept-Ranges: bytes\r\n\r\n",
            text.len()
        );
        let by_length = [length.as_bytes(), &text].concat();
        let mut by_chunks =
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
                .to_vec();
        for chunk in text.chunks(1000) {
            write_chunk_head(&mut by_chunks, chunk.len() as u64);
            by_chunks.extend_from_slice(chunk);
            by_chunks.extend_from_slice(b"\r\n");
        }
        by_chunks.extend_from_slice(b"0\r\nX: y\r\n\r\n");
        for coding in [Coding::Gzip, Coding::Zstd] {
            for answer in [&by_length, &by_chunks] {
                for piece in [1, 7, 1000, answer.len()] {
                    let (head, body) = through(&mut state(coding, false), answer, piece);
                    let body = unchunked(&body);
                    assert!(decoded(coding, &body) == text, "{coding:?} in pieces of {piece}");
                    assert!(head.contains(&format!("\r\nContent-Encoding: {}\r\n", coding.name())), "{head}");
                    assert!(
                        head.contains("\r\nVary: Accept-Encoding\r\n") && !head.contains("Content-Length"),
                        "{head}"
                    );
                    assert!(!head.contains("Accept-Ranges") && !head.contains("ETag: \"x\""), "{head}");
                }
            }
            let (_, body) = through(&mut state(coding, false), &by_length, by_length.len());
            assert!(body.len() < text.len() / 10, "{} of {} bytes", body.len(), text.len());
            let head = &by_length[..length.len()];
            let (head, body) = through(&mut state(coding, true), head, head.len());
            assert!(head.contains("Content-Encoding") && head.contains("ETag: W/\"x\"") && body.is_empty(), "{head}");
        }
    }

    #[test]
    fn what_is_not_worth_it_or_not_allowed_goes_as_it_came() {
        let body = "x".repeat(2000);
        let answer =
            |status: &str, fields: &str| format!("HTTP/1.1 {status}\r\n{fields}Content-Length: 2000\r\n\r\n{body}");
        let text = "Content-Type: text/plain\r\n";
        for whole in [
            answer("404 Not Found", text),
            answer("206 Partial Content", &format!("{text}Content-Range: bytes 0-1999/3000\r\n")),
            answer("200 OK", ""),
            answer("200 OK", "Content-Type: image/png\r\n"),
            answer("200 OK", "Content-Type: text/event-stream\r\n"),
            answer("200 OK", &format!("{text}Content-Encoding: br\r\n")),
            answer("200 OK", &format!("{text}Cache-Control: public, no-transform\r\n")),
            format!("HTTP/1.1 200 OK\r\n{text}Content-Length: 1023\r\n\r\n{}", "x".repeat(1023)),
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n".to_owned(),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nHTTP/1.1 200 OK\r\n".to_owned(),
        ] {
            let mut state = state(Coding::Gzip, false);
            let (head, rest) = through(&mut state, whole.as_bytes(), 100);
            assert!([head.as_bytes(), &rest].concat() == whole.as_bytes(), "{head}");
        }
    }

    #[test]
    fn what_comes_in_chunks_is_not_held_back() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
        for coding in [Coding::Gzip, Coding::Zstd] {
            let mut state = state(coding, false);
            state.take(head).unwrap();
            state.pending.clear();
            state.take(b"5\r\nhello\r\n").unwrap();
            let mut chunked = Chunked::new();
            let step = chunked.advance(&state.pending).unwrap();
            let made = &state.pending[step.data];
            let mut plain = [0; 5];
            match coding {
                Coding::Gzip => flate2::read::GzDecoder::new(made).read_exact(&mut plain).unwrap(),
                Coding::Zstd => zstd::stream::read::Decoder::new(made).unwrap().read_exact(&mut plain).unwrap(),
            }
            assert_eq!(&plain, b"hello");
        }
    }
}
