//! Reads an HTTP answer as far as a check needs it.

use health::Finding;
use http_proto::{Chunked, Framing, Limits, Parsed, field_slots, parse_response};
use tokio::io::{AsyncRead, AsyncReadExt};
use wire::load_report::{self, LoadReport};

use crate::config::{BodyMatch, HttpCheck};

/// What of a body is searched: a page that says whether a server is well says it early.
const BODY_MAX: usize = 64 * 1024;

/// Bytes taken from the socket at once.
const READ: usize = 4 * 1024;

/// What matters of an answer's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Of the final answer.
    pub status: u16,
    framing: Framing,
    /// What it says of the server's load.
    pub report: Option<LoadReport>,
    /// Its Content-Length, also where no body follows.
    pub length: Option<u64>,
}

/// Reads the answer to `check` and judges it. `head` is set as soon as it is known.
///
/// It may wait for the server without end; of a body it reads the first 64 KiB.
pub async fn judge<S>(stream: &mut S, check: &HttpCheck, head: &mut Option<Head>) -> Finding
where
    S: AsyncRead + Unpin,
{
    let mut bytes = Vec::new();
    *head = read_head(stream, &check.method, &mut bytes).await;
    let Some(Head { status, framing, .. }) = *head else {
        return Finding::BadAnswer;
    };
    if !check.statuses.0.iter().any(|range| range.contains(&status)) {
        return Finding::WrongStatus;
    }
    match &check.body {
        None => Finding::Answered,
        Some(BodyMatch::Contains(text)) => search(stream, framing, &bytes, text.as_bytes()).await,
    }
}

/// The head of the final answer; what came after it stays in `bytes`. `None`: it is no answer.
pub(crate) async fn read_head<S>(stream: &mut S, method: &str, bytes: &mut Vec<u8>) -> Option<Head>
where
    S: AsyncRead + Unpin,
{
    loop {
        let (head, taken) = match parse(bytes, method)? {
            Some(head) => head,
            None => {
                read_some(stream, bytes).await?;
                continue;
            }
        };
        bytes.drain(..taken);
        // RFC 9110 §15.2: interim answers precede the final one; 101 is final, and none asked for it.
        if head.status == 101 || head.status >= 200 {
            return Some(head);
        }
    }
}

/// The head at the beginning of `bytes` and how many it took; within: `None` if it goes on after them.
fn parse(bytes: &[u8], method: &str) -> Option<Option<(Head, usize)>> {
    let mut slots = field_slots();
    match parse_response(bytes, &mut slots, &Limits::default(), method) {
        Ok(Parsed::Whole(head, taken)) => {
            let length = head.fields.value("Content-Length");
            let length = length.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
            let report = head.fields.value(load_report::FIELD).and_then(load_report::parse);
            Some(Some((Head { status: head.status, framing: head.framing, report, length }, taken)))
        }
        Ok(Parsed::Partial) => Some(None),
        Err(_) => None,
    }
}

/// Searches the beginning of a body, of which `first` was read already.
async fn search<S>(stream: &mut S, framing: Framing, first: &[u8], text: &[u8]) -> Finding
where
    S: AsyncRead + Unpin,
{
    let mut body = Body { framing, chunked: Chunked::new(), held: Vec::new() };
    let mut bytes = first.to_vec();
    loop {
        let searched = body.held.len();
        let taken = body.take(&bytes);
        let from = searched.saturating_sub(text.len());
        if text.is_empty() || body.held[from..].windows(text.len()).any(|window| window == text) {
            return Finding::Answered;
        }
        // What came before a broken chunk counts: the verdict must not depend on the packets in which it came.
        match taken {
            _ if body.held.len() == BODY_MAX => return Finding::WrongBody,
            Some(true) => return Finding::WrongBody,
            None => return Finding::BadAnswer,
            Some(false) => {}
        }
        bytes.clear();
        if read_some(stream, &mut bytes).await.is_none() {
            let whole = body.framing == Framing::UntilClose;
            return if whole { Finding::WrongBody } else { Finding::BadAnswer };
        }
    }
}

struct Body {
    /// A length counts down what is still to come.
    framing: Framing,
    chunked: Chunked,
    /// The payload, up to [`BODY_MAX`] bytes.
    held: Vec<u8>,
}

impl Body {
    /// Takes the payload out of what came next, and says whether the body has ended. `None`: its chunks are broken.
    fn take(&mut self, mut bytes: &[u8]) -> Option<bool> {
        match &mut self.framing {
            Framing::None => Some(true),
            Framing::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= taken as u64;
                let ended = *left == 0;
                self.hold(&bytes[..taken]);
                Some(ended)
            }
            Framing::UntilClose => {
                self.hold(bytes);
                Some(false)
            }
            Framing::Chunked => {
                while !bytes.is_empty() {
                    let step = self.chunked.advance(bytes).ok()?;
                    self.hold(&bytes[step.data]);
                    if step.ended {
                        return Some(true);
                    }
                    bytes = &bytes[step.taken..];
                }
                Some(false)
            }
        }
    }

    fn hold(&mut self, payload: &[u8]) {
        let room = BODY_MAX - self.held.len();
        self.held.extend_from_slice(&payload[..payload.len().min(room)]);
    }
}

/// Adds what comes next. `None`: the connection has ended, well or not.
async fn read_some<S: AsyncRead + Unpin>(stream: &mut S, bytes: &mut Vec<u8>) -> Option<()> {
    let mut piece = [0; READ];
    let length = stream.read(&mut piece).await.ok().filter(|length| *length > 0)?;
    bytes.extend_from_slice(&piece[..length]);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Statuses;

    #[tokio::test]
    async fn a_body_that_holds_the_text_passes_whatever_follows_it_in_the_same_packet() {
        let check = HttpCheck {
            method: "GET".to_owned(),
            path: "/".to_owned(),
            host: None,
            statuses: Statuses::default(),
            body: Some(BodyMatch::Contains("well".to_owned())),
        };
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (body, expected) in [
            (&b"4\r\nwell\r\nno chunk"[..], Finding::Answered),
            (b"4\r\nsick\r\nno chunk", Finding::BadAnswer),
            (b"4\r\nsick\r\n0\r\n\r\n", Finding::WrongBody),
        ] {
            let answer = [head, body].concat();
            assert_eq!(judge(&mut &answer[..], &check, &mut None).await, expected, "{}", body.escape_ascii());
        }
    }
}
