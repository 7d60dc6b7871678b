//! The application that tells and the clients that hear, in one process: they have one clock.

use std::io;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, LocalSet};

use super::Shape;

/// A message's bytes, its line's end included: those of a short sentence about progress.
const MESSAGE_BYTES: usize = 100;

/// Before the nanoseconds of a message's birth, and their digits.
const MARK: &str = "\"born\":";
const DIGITS: usize = 18;

/// A client waits so long for anything: longer than a front that holds all of a stream.
fn patience(shape: Shape) -> Duration {
    shape.apart * shape.messages + Duration::from_secs(30)
}

/// Answers every request with a stream of messages, until the process ends.
pub(super) fn tell(port: u16, shape: Shape, began: Instant) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            // A front that goes away has had enough.
            tokio::task::spawn_local(async move { drop(tell_one(stream, shape, began).await) });
        }
    })
}

async fn tell_one(mut stream: TcpStream, shape: Shape, began: Instant) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = Vec::new();
    let spoken = loop {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
        if let Some(spoken) = Spoken::in_request(&request) {
            break spoken;
        }
    };
    stream.write_all(&spoken.head()).await?;
    let mut tick = tokio::time::interval(shape.apart);
    for number in 0..shape.messages {
        tick.tick().await;
        let message = message(number, shape.messages, began.elapsed());
        stream.write_all(&spoken.framed(&message)).await?;
    }
    stream.write_all(spoken.end()).await
}

/// What an application speaks with its front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spoken {
    /// HTTP/1.1, in chunks.
    Chunks,
    /// HTTP/1.0, which has none: until the connection ends. lighttpd's proxy speaks it.
    UntilClose,
    /// A record for each message.
    FastCgi,
}

/// The last record of a request's body, and an answer's end: request 1, as all fronts number it that send one at a time.
const STDIN_END: [u8; 8] = [1, 5, 0, 1, 0, 0, 0, 0];
const END_REQUEST: [u8; 24] = [1, 6, 0, 1, 0, 0, 0, 0, 1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

impl Spoken {
    /// `None`: the request is not whole.
    fn in_request(request: &[u8]) -> Option<Spoken> {
        match request.first() {
            Some(1) => request.ends_with(&STDIN_END).then_some(Spoken::FastCgi),
            _ if !request.ends_with(b"\r\n\r\n") => None,
            _ if request.windows(8).any(|window| window == b"HTTP/1.0") => Some(Spoken::UntilClose),
            _ => Some(Spoken::Chunks),
        }
    }

    fn head(self) -> Vec<u8> {
        let kind = "Content-Type: application/json\r\n";
        match self {
            Spoken::Chunks => {
                let framing = "Transfer-Encoding: chunked\r\nConnection: close\r\n";
                format!("HTTP/1.1 200 OK\r\n{kind}{framing}\r\n").into_bytes()
            }
            Spoken::UntilClose => format!("HTTP/1.1 200 OK\r\n{kind}Connection: close\r\n\r\n").into_bytes(),
            Spoken::FastCgi => self.framed(&format!("Status: 200 OK\r\n{kind}\r\n")),
        }
    }

    /// `text` is shorter than 64 KiB.
    fn framed(self, text: &str) -> Vec<u8> {
        let bytes = text.as_bytes();
        match self {
            Spoken::Chunks => format!("{:x}\r\n{text}\r\n", bytes.len()).into_bytes(),
            Spoken::UntilClose => bytes.to_vec(),
            Spoken::FastCgi => {
                let header = [1, 6, 0, 1, (bytes.len() >> 8) as u8, bytes.len() as u8, 0, 0];
                [&header[..], bytes].concat()
            }
        }
    }

    fn end(self) -> &'static [u8] {
        match self {
            Spoken::Chunks => b"0\r\n\r\n",
            Spoken::UntilClose => b"",
            Spoken::FastCgi => &END_REQUEST,
        }
    }
}

fn message(number: u32, of: u32, age: Duration) -> String {
    let born = age.as_nanos();
    let text = format!("{{\"progress\":{{\"done\":{number},\"total\":{of}}},{MARK}{born:0DIGITS$},\"message\":\"");
    let rest = MESSAGE_BYTES.saturating_sub(text.len() + 3);
    format!("{text}{}\"}}\n", "x".repeat(rest))
}

/// A message that is at its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) age: Duration,
    /// When it was made, by the clock that `began` is the beginning of.
    pub(super) born: Duration,
}

/// Hears every message of every stream.
pub(super) fn hear(port: u16, shape: Shape, began: Instant) -> anyhow::Result<Vec<Heard>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let mut clients = JoinSet::new();
        let between = shape.apart / u32::try_from(shape.streams).unwrap_or(u32::MAX);
        for _ in 0..shape.streams {
            // Not all at once: streams of different clients have nothing to do with each other.
            tokio::time::sleep(between).await;
            clients.spawn_local(hear_one(port, shape, began));
        }
        let mut all = Vec::new();
        while let Some(heard) = clients.join_next().await {
            all.extend(heard??);
        }
        Ok(all)
    })
}

async fn hear_one(port: u16, shape: Shape, began: Instant) -> anyhow::Result<Vec<Heard>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    stream.write_all(b"GET /rpc/ HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n").await?;
    let (mut all, mut text) = (Vec::new(), String::new());
    let (mut head, mut chunks) = (Vec::new(), None);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = tokio::time::timeout(patience(shape), stream.read(&mut buffer)).await.context("silence")??;
        let now = began.elapsed();
        if read == 0 {
            return Ok(all);
        }
        let mut bytes = &buffer[..read];
        if chunks.is_none() {
            head.extend_from_slice(bytes);
            let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
            let fields = String::from_utf8_lossy(&head[..end]).to_ascii_lowercase();
            if !fields.starts_with("http/1.1 200") {
                bail!("answered {}", fields.lines().next().unwrap_or_default());
            }
            chunks = Some(if fields.contains("transfer-encoding: chunked") { Some(Chunks::default()) } else { None });
            bytes = &bytes[bytes.len() - (head.len() - end - 4)..];
        }
        match chunks.as_mut().and_then(Option::as_mut) {
            Some(chunks) => chunks.take(bytes, &mut text),
            None => text.push_str(&String::from_utf8_lossy(bytes)),
        }
        while let Some(end) = text.find('\n') {
            all.extend(born(&text[..end]).map(|born| Heard { age: now.saturating_sub(born), born }));
            text.drain(..=end);
        }
    }
}

fn born(message: &str) -> Option<Duration> {
    let digits = message.split(MARK).nth(1)?.get(..DIGITS)?;
    digits.parse().ok().map(Duration::from_nanos)
}

/// Where in a chunk the last byte was.
#[derive(Default)]
struct Chunks {
    size: String,
    left: usize,
}

impl Chunks {
    /// Adds the payload of `bytes` to `text`.
    fn take(&mut self, mut bytes: &[u8], text: &mut String) {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.left > 0 {
                let (payload, after) = bytes.split_at(self.left.min(bytes.len()));
                text.push_str(&String::from_utf8_lossy(payload));
                self.left -= payload.len();
                bytes = after;
                continue;
            }
            match first {
                b'\n' if !self.size.is_empty() => {
                    self.left = usize::from_str_radix(&self.size, 16).unwrap_or(0);
                    self.size.clear();
                }
                b'\r' | b'\n' => {}
                digit => self.size.push(char::from(digit)),
            }
            bytes = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_brings_its_birth() {
        let text = message(3, 100, Duration::from_nanos(1_234_567_890));
        assert_eq!(text.len(), 100);
        assert_eq!(born(&text), Some(Duration::from_nanos(1_234_567_890)));
    }

    #[test]
    fn chunks_are_read_wherever_they_are_cut() {
        let stream = b"3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n";
        for step in 1..stream.len() {
            let (mut chunks, mut text) = (Chunks::default(), String::new());
            stream.chunks(step).for_each(|piece| chunks.take(piece, &mut text));
            assert_eq!(text, "abc0123456789", "{step}");
        }
    }
}
