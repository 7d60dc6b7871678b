//! Reads an HTTP answer as far as a check needs it.

use health::Finding;
use http_proto::{Chunked, Framing, HeadError, Limits, Parsed, field_slots, parse_response};
use tokio::io::{AsyncRead, AsyncReadExt};
use wire::load_report::{self, LoadReport};

use crate::config::{BodyMatch, Page, PageDigest};
use crate::digest::{Digests, Hasher};

/// What of a body is searched: a page that says whether a server is well says it early.
const BODY_MAX: usize = 64 * 1024;

/// Interim answers before the final one: servers send one or two.
const INTERIM_MAX: usize = 16;

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

/// Reads the answer to a request of this method for `page`, and judges it. `head` is set as soon as it is known.
///
/// It may wait for the server without end; of a body it reads the first 64 KiB, or 16 MiB where it must have a digest.
pub async fn judge<S>(stream: &mut S, method: &str, page: &Page, head: &mut Option<Head>) -> Finding
where
    S: AsyncRead + Unpin,
{
    let mut bytes = Vec::new();
    let Head { status, framing, .. } = match read_head(stream, method, &mut bytes).await {
        Ok(known) => *head.insert(known),
        Err(finding) => return finding,
    };
    if !page.statuses.0.iter().any(|range| range.contains(&status)) {
        return Finding::WrongStatus;
    }
    if page.body.is_none() && page.digest.is_none() {
        return Finding::Answered;
    }
    let mut look = Look::new(page);
    let ended = read_body(stream, framing, &bytes, |payload| look.take(payload)).await;
    look.judge(ended)
}

/// Reads the answer to a GET request to its end, and says what its status is and which digests its body has.
pub(crate) async fn digests<S: AsyncRead + Unpin>(stream: &mut S) -> Result<(u16, Digests), Finding> {
    let mut bytes = Vec::new();
    let head = read_head(stream, "GET", &mut bytes).await?;
    let mut hasher = Hasher::of_both();
    let take = |payload: &[u8]| {
        hasher.update(payload);
        !hasher.is_full()
    };
    match read_body(stream, head.framing, &bytes, take).await {
        Ended::Whole => Ok((head.status, hasher.digests())),
        Ended::Enough => Err(Finding::BodyTooLong),
        Ended::Broken => Err(Finding::BadAnswer),
    }
}

/// The head of the final answer; what came after it stays in `bytes`.
///
/// # Errors
/// [`Finding::BadAnswer`] if it is no answer, [`Finding::AnswerTooLong`] if it goes on and on.
pub(crate) async fn read_head<S>(stream: &mut S, method: &str, bytes: &mut Vec<u8>) -> Result<Head, Finding>
where
    S: AsyncRead + Unpin,
{
    for _ in 0..=INTERIM_MAX {
        let (head, taken) = loop {
            match parse(bytes, method)? {
                Some(found) => break found,
                None => read_some(stream, bytes).await.ok_or(Finding::BadAnswer)?,
            }
        };
        bytes.drain(..taken);
        // RFC 9110 §15.2: interim answers precede the final one; 101 is final, and none asked for it.
        if head.status == 101 || head.status >= 200 {
            return Ok(head);
        }
    }
    Err(Finding::AnswerTooLong)
}

/// The head at the beginning of `bytes` and how many it took; `None` if it goes on after them.
fn parse(bytes: &[u8], method: &str) -> Result<Option<(Head, usize)>, Finding> {
    let mut slots = field_slots();
    match parse_response(bytes, &mut slots, &Limits::default(), method) {
        Ok(Parsed::Whole(head, taken)) => {
            let length = head.fields.value("Content-Length");
            let length = length.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
            let report = head.fields.value(load_report::FIELD).and_then(load_report::parse);
            Ok(Some((Head { status: head.status, framing: head.framing, report, length }, taken)))
        }
        Ok(Parsed::Partial) => Ok(None),
        Err(HeadError::HeadTooLarge | HeadError::TooManyFields) => Err(Finding::AnswerTooLong),
        Err(_) => Err(Finding::BadAnswer),
    }
}

/// What is looked for in a body.
struct Look<'p> {
    text: Option<&'p [u8]>,
    /// The beginning, up to [`BODY_MAX`] bytes, while the text is looked for in it.
    held: Vec<u8>,
    found: bool,
    digest: Option<&'p PageDigest>,
    hasher: Hasher,
}

impl<'p> Look<'p> {
    fn new(page: &'p Page) -> Look<'p> {
        let hasher = page.digest.as_ref().map_or_else(Hasher::default, Hasher::of);
        let text = page.body.as_ref().map(|BodyMatch::Contains(text)| text.as_bytes());
        let text = text.filter(|text| !text.is_empty());
        Look { text, held: Vec::new(), found: text.is_none(), digest: page.digest.as_ref(), hasher }
    }

    /// Takes what comes next; `false`: it is known what this is worth.
    fn take(&mut self, payload: &[u8]) -> bool {
        if let Some(text) = self.text.filter(|_| !self.found) {
            let searched = self.held.len();
            let room = BODY_MAX - searched;
            self.held.extend_from_slice(&payload[..payload.len().min(room)]);
            let from = searched.saturating_sub(text.len());
            self.found = self.held[from..].windows(text.len()).any(|window| window == text);
        }
        if self.digest.is_some() {
            self.hasher.update(payload);
        }
        let missed = !self.found && self.held.len() == BODY_MAX;
        !missed && (self.digest.is_some() || !self.found) && !self.hasher.is_full()
    }

    fn judge(self, ended: Ended) -> Finding {
        match (self.digest, ended) {
            _ if !self.found && self.held.len() == BODY_MAX => Finding::WrongBody,
            // What came before a broken chunk counts: the verdict must not depend on the packets in which it came.
            (None, _) if self.found => Finding::Answered,
            (_, Ended::Broken) => Finding::BadAnswer,
            (_, Ended::Enough) => Finding::BodyTooLong,
            (_, Ended::Whole) if !self.found => Finding::WrongBody,
            (Some(wanted), Ended::Whole) if !self.hasher.is(wanted) => Finding::WrongDigest,
            (_, Ended::Whole) => Finding::Answered,
        }
    }
}

/// How the reading of a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// At its end.
    Whole,
    /// Who reads it has had enough.
    Enough,
    /// Its chunks are broken, or the connection ended within it.
    Broken,
}

/// Hands a body to `take`, of which `first` was read already, as long as that says true.
async fn read_body<S>(stream: &mut S, framing: Framing, first: &[u8], mut take: impl FnMut(&[u8]) -> bool) -> Ended
where
    S: AsyncRead + Unpin,
{
    let mut body = Body { framing, chunked: Chunked::new() };
    let mut bytes = first.to_vec();
    loop {
        if let Some(ended) = body.take(&bytes, &mut take) {
            return ended;
        }
        bytes.clear();
        if read_some(stream, &mut bytes).await.is_none() {
            return if body.framing == Framing::UntilClose { Ended::Whole } else { Ended::Broken };
        }
    }
}

struct Body {
    /// A length counts down what is still to come.
    framing: Framing,
    chunked: Chunked,
}

impl Body {
    /// Hands on the payload of what came next; `None`: the body goes on.
    fn take(&mut self, mut bytes: &[u8], take: &mut impl FnMut(&[u8]) -> bool) -> Option<Ended> {
        let mut hand = |payload: &[u8]| (!payload.is_empty() && !take(payload)).then_some(Ended::Enough);
        match &mut self.framing {
            Framing::None => Some(Ended::Whole),
            Framing::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= taken as u64;
                let ended = (*left == 0).then_some(Ended::Whole);
                hand(&bytes[..taken]).or(ended)
            }
            Framing::UntilClose => hand(bytes),
            Framing::Chunked => {
                while !bytes.is_empty() {
                    let Ok(step) = self.chunked.advance(bytes) else { return Some(Ended::Broken) };
                    let ended = step.ended.then_some(Ended::Whole);
                    if let Some(ended) = hand(&bytes[step.data]).or(ended) {
                        return Some(ended);
                    }
                    bytes = &bytes[step.taken..];
                }
                None
            }
        }
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
mod tests;
