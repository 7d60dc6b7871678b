//! A file fetched: in parallel ranges, gone on with after breaks, verified, and only then in its place.

use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap};
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::task::JoinSet;

use crate::backoff::Backoff;
use crate::digest::{Digest, Hasher};
use crate::partial::{Origin, Partial};
use crate::pieces::Pieces;
use crate::transfer::{Done, Failure, Line, SILENCE, Tell, Transfer, TransferError};

/// How often a file may change while it is read before that is all that can be said of it.
const CHANGES: u32 = 5;

/// What is asked for with each request.
const ACCEPT: (&str, &str) = ("accept", "application/octet-stream, */*;q=0.1");

/// Without this a server may say that it sends the file packed.
const AS_IT_IS: (&str, &str) = ("accept-encoding", "identity");

/// Asks for the digest of the whole (RFC 9530 §4).
const WANT_DIGEST: (&str, &str) = ("want-repr-digest", "sha-256=10");

/// What a server says of a file.
#[derive(Clone, Debug)]
struct Found {
    length: Option<u64>,
    /// Strong; with it, parts of different answers belong together (RFC 9110 §13.1.5).
    tag: Option<String>,
    digest: Option<Digest>,
    /// Whether parts can be had.
    has_ranges: bool,
}

impl Found {
    fn of(headers: &HeaderMap) -> Found {
        let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
        let tag = text(ETAG).filter(|tag| !tag.starts_with("W/")).map(str::to_owned);
        let length = text(CONTENT_LENGTH).and_then(|length| length.parse().ok());
        let takes = text(ACCEPT_RANGES).is_some_and(|units| units.eq_ignore_ascii_case("bytes"));
        Found {
            has_ranges: takes && tag.is_some() && length.is_some(),
            length,
            tag,
            digest: headers.get("repr-digest").and_then(|value| Digest::of_field(value.to_str().ok()?)),
        }
    }
}

/// Where bytes go, whoever fetched them.
enum Sink<'a> {
    File(&'a Partial),
    /// In their order.
    Stream(&'a mut (dyn Write + Send), &'a mut Hasher),
}

impl Sink<'_> {
    fn write(&mut self, bytes: &[u8], offset: u64) -> Result<(), TransferError> {
        match self {
            Sink::File(partial) => partial.write(bytes, offset),
            Sink::Stream(out, hasher) => {
                hasher.update(bytes);
                let written = out.write_all(bytes).and_then(|()| out.flush());
                written.map_err(|why| TransferError::File { path: "standard output".into(), why })
            }
        }
    }
}

/// What the workers of a download share.
struct Work {
    transfer: Transfer,
    partial: Partial,
    origin: Origin,
    pieces: Mutex<Pieces>,
    /// Bytes that are here.
    here: AtomicU64,
    breaks: AtomicU64,
}

impl Transfer {
    /// Fetches the file to `destination`, by `parallel` connections if the server gives parts. `wanted` is the digest
    /// that it must have, beside the one that the server tells.
    ///
    /// # Errors
    /// Why it is not there. What has come stays beside `destination`, and the next call goes on with it.
    pub async fn download(
        &self,
        destination: &Path,
        parallel: usize,
        wanted: Option<Digest>,
    ) -> Result<Done, TransferError> {
        let mut partial = Partial::open(destination)?;
        let mut breaks = 0;
        for _ in 0..CHANGES {
            let found = self.look(&mut breaks).await?;
            partial = match self.fetch(partial, &found, parallel, &mut breaks).await? {
                Ok(whole) => return self.conclude(whole, &found, wanted, breaks),
                Err(changed) => changed,
            };
            self.note("it has changed at the server: it is fetched anew");
        }
        Err(TransferError::Restless(CHANGES))
    }

    /// Fetches the file to `out`, from its beginning to its end.
    ///
    /// # Errors
    /// Why not all of it was written, or what was is not what it should be.
    pub async fn download_to(
        &self,
        out: &mut (dyn Write + Send),
        wanted: Option<Digest>,
    ) -> Result<Done, TransferError> {
        let mut breaks = 0;
        let found = self.look(&mut breaks).await?;
        let (mut backoff, mut line) = (Backoff::new(self.patience), Line::new(&self.server));
        let mut hasher = Hasher::default();
        loop {
            let before = hasher.at;
            if before > 0 && !found.has_ranges {
                return Err(TransferError::Request("it broke off, and the server gives no parts of it".to_owned()));
            }
            let mut at = before;
            let mut sink = Sink::Stream(out, &mut hasher);
            let tell = |at| self.tell(Tell::Bytes(at, found.length));
            let fetched = match found.length.filter(|_| found.has_ranges) {
                Some(length) => self.fetch_span(&mut line, &found, &mut at, length, &mut sink, tell).await,
                None => self.fetch_whole(&mut line, &mut at, &mut sink, tell).await,
            };
            match fetched {
                Ok(()) => break,
                Err(Failure::Changed) => return Err(TransferError::Restless(1)),
                Err(failure) => {
                    line.cut();
                    breaks += 1;
                    if hasher.at > before {
                        backoff.moved();
                    }
                    self.rest(failure, &mut backoff).await?;
                }
            }
        }
        let verified = check(hasher.digest(), &found, wanted)?;
        Ok(Done { bytes: hasher.at, digest: hasher.digest(), verified, breaks })
    }

    /// What there is, and under which tag.
    async fn look(&self, breaks: &mut u64) -> Result<Found, TransferError> {
        let (mut backoff, mut line) = (Backoff::new(self.patience), Line::new(&self.server));
        loop {
            let fields = [ACCEPT, AS_IT_IS, WANT_DIGEST];
            let request = self.request("HEAD", self.server.url().target(), &fields);
            let looked = match request {
                Ok(request) => line.send(request).await,
                Err(failure) => Err(failure),
            };
            let failure = match looked {
                Ok(answer) if answer.status() == StatusCode::OK => return Ok(Found::of(answer.headers())),
                Ok(answer) => Failure::of(answer).await,
                Err(failure) => failure,
            };
            line.cut();
            *breaks += 1;
            self.rest(failure, &mut backoff).await?;
        }
    }

    /// All of it, into `partial`, which comes back; `Err`: it has changed meanwhile.
    async fn fetch(
        &self,
        partial: Partial,
        found: &Found,
        parallel: usize,
        breaks: &mut u64,
    ) -> Result<Result<Partial, Partial>, TransferError> {
        let (Some(length), Some(tag), true) = (found.length, found.tag.clone(), found.has_ranges) else {
            return self.fetch_at_once(&partial, breaks).await.map(|()| Ok(partial));
        };
        let origin = Origin { url: self.server.url().to_string(), tag, length };
        let pieces = Pieces::new(length, &partial.resume(&origin)?);
        let here = AtomicU64::new(pieces.done_bytes());
        let work = Work {
            transfer: self.clone(),
            partial,
            origin,
            pieces: Mutex::new(pieces),
            here,
            breaks: AtomicU64::new(0),
        };
        let work = Arc::new(work);
        let mut workers = JoinSet::new();
        for _ in 0..parallel.max(1) {
            let (work, found) = (Arc::clone(&work), found.clone());
            workers.spawn(async move { work.run(&found).await });
        }
        let mut result = Ok(true);
        while let Some(ended) = workers.join_next().await {
            let ended = ended.unwrap_or_else(|error| Err(TransferError::Request(error.to_string())));
            if !matches!(ended, Ok(true)) {
                result = ended;
                workers.shutdown().await;
            }
        }
        let work = Arc::into_inner(work).ok_or(TransferError::Nonsense("a worker goes on"))?;
        *breaks += work.breaks.into_inner();
        match result? {
            true => Ok(Ok(work.partial)),
            false => Ok(Err(work.partial)),
        }
    }

    /// All of it in one answer, anew after each break.
    async fn fetch_at_once(&self, partial: &Partial, breaks: &mut u64) -> Result<(), TransferError> {
        self.note("the server gives no parts of it: a break begins it anew");
        let (mut backoff, mut line) = (Backoff::new(self.patience), Line::new(&self.server));
        loop {
            partial.clear()?;
            let tell = |at| self.tell(Tell::Bytes(at, None));
            match self.fetch_whole(&mut line, &mut 0, &mut Sink::File(partial), tell).await {
                Ok(()) => return Ok(()),
                Err(failure) => {
                    line.cut();
                    *breaks += 1;
                    self.rest(failure, &mut backoff).await?;
                }
            }
        }
    }

    /// The whole of one answer.
    async fn fetch_whole(
        &self,
        line: &mut Line,
        at: &mut u64,
        sink: &mut Sink<'_>,
        tell: impl Fn(u64),
    ) -> Result<(), Failure> {
        let request = self.request("GET", self.server.url().target(), &[ACCEPT, AS_IT_IS])?;
        let answer = line.send(request).await?;
        match answer.status() {
            StatusCode::OK => take(answer, at, None, sink, tell).await,
            _ => Err(Failure::of(answer).await),
        }
    }

    /// From `at` to `end`; `at` follows what has come.
    async fn fetch_span(
        &self,
        line: &mut Line,
        found: &Found,
        at: &mut u64,
        end: u64,
        sink: &mut Sink<'_>,
        tell: impl Fn(u64),
    ) -> Result<(), Failure> {
        if *at == end {
            return Ok(());
        }
        let range = format!("bytes={}-{}", *at, end - 1);
        let tag = found.tag.as_deref().unwrap_or_default();
        let fields = [ACCEPT, AS_IT_IS, ("range", range.as_str()), ("if-range", tag)];
        let answer = line.send(self.request("GET", self.server.url().target(), &fields)?).await?;
        match answer.status() {
            StatusCode::PARTIAL_CONTENT if begins_at(&answer, *at..end, found.length) => {
                take(answer, at, Some(end), sink, tell).await
            }
            StatusCode::PARTIAL_CONTENT => Err(TransferError::Nonsense("another range than was asked for").into()),
            // RFC 9110 §13.1.5: the whole, as what the tag was of is no more.
            StatusCode::OK | StatusCode::PRECONDITION_FAILED | StatusCode::RANGE_NOT_SATISFIABLE => {
                Err(Failure::Changed)
            }
            _ => Err(Failure::of(answer).await),
        }
    }

    /// Verifies what is here and puts it in its place.
    fn conclude(
        &self,
        partial: Partial,
        found: &Found,
        wanted: Option<Digest>,
        breaks: u64,
    ) -> Result<Done, TransferError> {
        let total = found.length.unwrap_or(0);
        let mut bytes = 0;
        let digest = partial.digest(|at| {
            bytes = at;
            self.tell(Tell::Verified(at, total.max(at)));
        })?;
        match check(digest, found, wanted) {
            Ok(verified) => partial.finish().map(|()| Done { bytes, digest, verified, breaks }),
            Err(corrupt) => {
                partial.remove();
                Err(corrupt)
            }
        }
    }
}

impl Work {
    /// Fetches pieces until there are no more; `false`: the file has changed.
    async fn run(&self, found: &Found) -> Result<bool, TransferError> {
        let transfer = &self.transfer;
        let (mut backoff, mut line) = (Backoff::new(transfer.patience), Line::new(&transfer.server));
        while let Some((index, Range { start, end })) = self.take() {
            let mut at = start;
            loop {
                let before = at;
                let told = AtomicU64::new(at);
                let tell = |now: u64| {
                    let more = now - told.swap(now, Ordering::Relaxed);
                    let here = self.here.fetch_add(more, Ordering::Relaxed) + more;
                    transfer.tell(Tell::Bytes(here, found.length));
                };
                let mut sink = Sink::File(&self.partial);
                let fetched = transfer.fetch_span(&mut line, found, &mut at, end, &mut sink, tell).await;
                if at > before {
                    backoff.moved();
                }
                match fetched {
                    Ok(()) => break,
                    Err(Failure::Changed) => return Ok(false),
                    Err(failure) => {
                        line.cut();
                        self.breaks.fetch_add(1, Ordering::Relaxed);
                        transfer.rest(failure, &mut backoff).await?;
                    }
                }
            }
            self.finish(index)?;
        }
        Ok(true)
    }

    fn take(&self) -> Option<(usize, Range<u64>)> {
        self.pieces().take()
    }

    fn finish(&self, index: usize) -> Result<(), TransferError> {
        let mut pieces = self.pieces();
        pieces.finish(index);
        self.partial.note(&self.origin, &pieces.done())
    }

    fn pieces(&self) -> std::sync::MutexGuard<'_, Pieces> {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes an answer's body where it belongs, up to `end` if that is known.
async fn take(
    answer: Response<Incoming>,
    at: &mut u64,
    end: Option<u64>,
    sink: &mut Sink<'_>,
    tell: impl Fn(u64),
) -> Result<(), Failure> {
    let mut body = answer.into_body();
    loop {
        let frame = match tokio::time::timeout(SILENCE, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => return Err(Failure::broken(crate::connect::Error::from(error).to_string())),
            Ok(None) => break,
            Err(_) => return Err(Failure::broken("the server sends nothing more")),
        };
        let Ok(bytes) = frame.into_data() else { continue };
        if end.is_some_and(|end| end - *at < bytes.len() as u64) {
            return Err(TransferError::Nonsense("more than was asked for").into());
        }
        sink.write(&bytes, *at)?;
        *at += bytes.len() as u64;
        tell(*at);
    }
    match end {
        Some(end) if *at < end => Err(Failure::broken("the answer ended early")),
        _ => Ok(()),
    }
}

/// Whether the answer has what was asked for (RFC 9110 §14.4).
fn begins_at(answer: &Response<Incoming>, span: Range<u64>, length: Option<u64>) -> bool {
    let value = answer.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let length = length.map_or_else(|| "*".to_owned(), |length| length.to_string());
    value == format!("bytes {}-{}/{length}", span.start, span.end - 1)
}

/// Whether both sides have the same; `false`: the other side does not say.
fn check(digest: Digest, found: &Found, wanted: Option<Digest>) -> Result<bool, TransferError> {
    match [wanted, found.digest].into_iter().flatten().find(|&wanted| wanted != digest) {
        Some(wanted) => Err(TransferError::Corrupt { found: digest, wanted }),
        None => Ok(wanted.or(found.digest).is_some()),
    }
}
