//! A file sent: by the draft on resumable uploads (docs/transfers.md), gone on with after breaks, with its digest at its
//! end, by which the server knows whether it has the same.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, LOCATION};
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, Incoming};

use crate::backoff::Backoff;
use crate::digest::{Digest, Hasher};
use crate::transfer::{Done, Failure, Line, SILENCE, Tell, Transfer, TransferError};

/// What is read at once of what is sent.
const READ_BYTES: usize = 256 << 10;

/// Between two digests that are kept.
const MARK_BYTES: u64 = 64 << 20;

const OFFSET: &str = "upload-offset";
const COMPLETE: &str = "upload-complete";
const REPR_DIGEST: &str = "repr-digest";

/// How often an upload may be lost at the server before that is all that can be said of it.
const LOSSES: u32 = 3;

/// A file that is sent.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    file: File,
    length: u64,
}

/// What has been sent, and its digest: shared with the body that is being sent.
#[derive(Default)]
struct Sent {
    hasher: Hasher,
    /// The digest now and then, so that after a break not all has to be read again.
    marks: Vec<Hasher>,
    /// Why reading has failed.
    failed: Option<io::Error>,
}

type Shared = Arc<Mutex<Sent>>;

impl Source {
    /// Opens a file.
    ///
    /// # Errors
    /// If it cannot be read, or is none.
    pub fn open(path: &Path) -> Result<Source, TransferError> {
        let wrong = |why| TransferError::File { path: path.to_owned(), why };
        let file = File::open(path).map_err(wrong)?;
        let metadata = file.metadata().map_err(wrong)?;
        if !metadata.is_file() {
            return Err(wrong(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is no file; - stands for standard input",
            )));
        }
        Ok(Source { path: path.to_owned(), file, length: metadata.len() })
    }

    fn failed(&self, why: io::Error) -> TransferError {
        TransferError::File { path: self.path.clone(), why }
    }
}

/// How a request to go on has ended.
enum Step {
    /// The server has all of it.
    Complete,
    /// It knows nothing of the upload: it has expired, or is complete.
    Lost,
}

impl Transfer {
    /// Sends the file; `place` is where an earlier try began, if there was one.
    ///
    /// # Errors
    /// Why the server does not have it. What it has, it keeps for a while: [`Tell::Place`] says where.
    pub async fn upload(&self, source: Source, place: Option<String>) -> Result<Done, TransferError> {
        let source = Arc::new(source);
        let (mut backoff, mut line) = (Backoff::new(self.patience), Line::new(&self.server));
        let sent = Shared::default();
        let (mut place, mut breaks, mut losses) = (place, 0, 0);
        // Of a place that was begun before, the offset has to be asked for.
        let mut offset = None;
        loop {
            let before = offset;
            let step = self.step(&mut line, &source, &sent, &mut place, &mut offset).await;
            if offset > before {
                backoff.moved();
            }
            let failure = match step {
                Ok(Step::Complete) => {
                    let digest = lock(&sent).hasher.digest();
                    return Ok(Done { bytes: source.length, digest, verified: true, breaks });
                }
                Ok(Step::Lost) if self.is_there(&mut line, &source, &sent).await? => {
                    self.note("its end came after the answer was lost: the file is there");
                    let digest = lock(&sent).hasher.digest();
                    return Ok(Done { bytes: source.length, digest, verified: false, breaks });
                }
                Ok(Step::Lost) => {
                    (place, offset) = (None, None);
                    losses += 1;
                    if losses == LOSSES {
                        return Err(TransferError::Nonsense("it forgets what was begun"));
                    }
                    self.note("the server has forgotten what it had: it is sent anew");
                    continue;
                }
                Err(failure) => failure,
            };
            line.cut();
            offset = None;
            breaks += 1;
            if let Some(why) = lock(&sent).failed.take() {
                return Err(source.failed(why));
            }
            self.rest(failure, &mut backoff).await?;
        }
    }

    /// Sends what comes from `input` until its end, in one request that cannot be gone on with.
    ///
    /// # Errors
    /// Why the server does not have it.
    pub async fn upload_from(&self, input: Box<dyn Read + Send>) -> Result<Done, TransferError> {
        let sent = Shared::default();
        let body = Feed {
            from: From::Stream(input),
            end: None,
            sent: Arc::clone(&sent),
            transfer: self.clone(),
            ended: false,
        };
        let answer = async {
            let request = self.request_with("PUT", self.server.url().target(), &PLAIN, body.boxed_unsync())?;
            Line::new(&self.server).send(request).await
        };
        let failure = match answer.await {
            Ok(answer) if answer.status().is_success() => {
                let hasher = lock(&sent).hasher.clone();
                return Ok(Done { bytes: hasher.at, digest: hasher.digest(), verified: true, breaks: 0 });
            }
            Ok(answer) => Failure::of(answer).await,
            Err(failure) => failure,
        };
        if let Some(why) = lock(&sent).failed.take() {
            return Err(TransferError::File { path: "standard input".into(), why });
        }
        match failure {
            Failure::Final(error) => Err(error),
            Failure::Break { why, .. } => Err(TransferError::Request(format!("{why}; it cannot be gone on with"))),
            Failure::Changed => Err(TransferError::Nonsense("it speaks of a change")),
        }
    }

    /// Begins if there is no `place` yet, finds out where to go on, and sends the rest.
    async fn step(
        &self,
        line: &mut Line,
        source: &Arc<Source>,
        sent: &Shared,
        place: &mut Option<String>,
        offset: &mut Option<u64>,
    ) -> Result<Step, Failure> {
        if place.is_none() {
            let begun = self.begin(line, source.length).await?;
            self.tell(Tell::Place(begun.clone()));
            (*place, *offset) = (Some(begun), Some(0));
        }
        let place = place.as_deref().unwrap_or_default();
        let at = match *offset {
            Some(at) => at,
            None => match self.ask_offset(line, place).await? {
                Some(at) => at,
                None => return Ok(Step::Lost),
            },
        };
        if at > source.length {
            return Err(TransferError::Nonsense("it has more than there is").into());
        }
        *offset = Some(at);
        follow(source, sent, at)?;
        let body = Feed {
            from: From::File(Arc::clone(source)),
            end: Some(source.length),
            sent: Arc::clone(sent),
            transfer: self.clone(),
            ended: false,
        };
        let number = at.to_string();
        let fields = [PLAIN[0], ("content-type", "application/partial-upload"), (OFFSET, &number), (COMPLETE, "?1")];
        let answer = line.send(self.request_with("PATCH", place, &fields, body.boxed_unsync())?).await?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(Step::Lost),
            StatusCode::CONFLICT if number_in(answer.headers(), OFFSET).is_some() => {
                Err(Failure::broken("the server has another part of it"))
            }
            status if status.is_success() => Ok(Step::Complete),
            _ => Err(Failure::of(answer).await),
        }
    }

    /// Where the upload goes.
    async fn begin(&self, line: &mut Line, length: u64) -> Result<String, Failure> {
        let length = length.to_string();
        let fields = [(COMPLETE, "?0"), ("upload-length", length.as_str()), ("content-length", "0")];
        let answer = self.patient(line.send(self.request("PUT", self.server.url().target(), &fields)?)).await?;
        if !answer.status().is_success() {
            return Err(Failure::of(answer).await);
        }
        let place = answer.headers().get(LOCATION).and_then(|place| place.to_str().ok());
        match place.filter(|_| answer.headers().contains_key(OFFSET)) {
            // An address of another server is none of ours to send to.
            Some(place) => Ok(place.strip_prefix(&self.root()).unwrap_or(place).to_owned()),
            None => Err(TransferError::Nonsense("it knows nothing of uploads that can be gone on with").into()),
        }
    }

    /// How much of it the server has; `None`: it knows nothing of it.
    async fn ask_offset(&self, line: &mut Line, place: &str) -> Result<Option<u64>, Failure> {
        let answer = self.patient(line.send(self.request("HEAD", place, &[])?)).await?;
        match answer.status() {
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
            status if status.is_success() => match number_in(answer.headers(), OFFSET) {
                Some(at) => Ok(Some(at)),
                None => Err(TransferError::Nonsense("no offset").into()),
            },
            _ => Err(Failure::of(answer).await),
        }
    }

    /// Whether all of it was sent and the server has a file as long in its place.
    async fn is_there(&self, line: &mut Line, source: &Source, sent: &Shared) -> Result<bool, TransferError> {
        if lock(sent).hasher.at < source.length {
            return Ok(false);
        }
        let Ok(request) = self.request("HEAD", self.server.url().target(), &[]) else { return Ok(false) };
        let answer: Result<Response<Incoming>, Failure> = self.patient(line.send(request)).await;
        Ok(answer.is_ok_and(|answer| {
            answer.status() == StatusCode::OK
                && number_in(answer.headers(), CONTENT_LENGTH.as_str()) == Some(source.length)
        }))
    }

    /// `http://HOST:PORT`.
    fn root(&self) -> String {
        let url = self.server.url().to_string();
        url.strip_suffix(self.server.url().target()).unwrap_or(&url).to_owned()
    }

    async fn patient<T>(&self, answer: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::time::timeout(SILENCE, answer).await.unwrap_or_else(|_| Err(Failure::broken("the server says nothing")))
    }
}

/// The digest follows the bytes.
const PLAIN: [(&str, &str); 1] = [("trailer", REPR_DIGEST)];

fn lock(sent: &Shared) -> std::sync::MutexGuard<'_, Sent> {
    sent.lock().unwrap_or_else(PoisonError::into_inner)
}

fn number_in(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// Has the digest stand at `offset`: what the server has beyond what was sent by this program is read for it.
fn follow(source: &Source, sent: &Shared, offset: u64) -> Result<(), TransferError> {
    let mut sent = lock(sent);
    if sent.hasher.at > offset {
        sent.marks.retain(|mark| mark.at <= offset);
        sent.hasher = sent.marks.last().cloned().unwrap_or_default();
    }
    let mut buffer = vec![0; READ_BYTES];
    while sent.hasher.at < offset {
        let want = usize::try_from(offset - sent.hasher.at).unwrap_or(READ_BYTES).min(READ_BYTES);
        match source.file.read_at(&mut buffer[..want], sent.hasher.at).map_err(|why| source.failed(why))? {
            0 => return Err(source.failed(io::ErrorKind::UnexpectedEof.into())),
            read => sent.take(&buffer[..read]),
        }
    }
    Ok(())
}

impl Sent {
    fn take(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        if self.hasher.at >= self.marks.last().map_or(0, |mark| mark.at) + MARK_BYTES {
            self.marks.push(self.hasher.clone());
        }
    }
}

/// What is sent, read as it goes.
struct Feed {
    from: From,
    /// Where it ends, if that is known.
    end: Option<u64>,
    sent: Shared,
    transfer: Transfer,
    ended: bool,
}

enum From {
    File(Arc<Source>),
    Stream(Box<dyn Read + Send>),
}

impl From {
    fn read(&mut self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        match self {
            From::File(source) => source.file.read_at(buffer, at),
            From::Stream(input) => input.read(buffer),
        }
    }
}

impl HttpBody for Feed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let feed = &mut *self;
        let shared = Arc::clone(&feed.sent);
        let mut sent = lock(&shared);
        let at = sent.hasher.at;
        let left = feed.end.map_or(u64::MAX, |end| end.saturating_sub(at));
        let mut buffer = vec![0; usize::try_from(left).unwrap_or(READ_BYTES).min(READ_BYTES)];
        let read = if buffer.is_empty() { Ok(0) } else { feed.from.read(&mut buffer, at) };
        match read {
            Ok(0) if left == 0 || feed.end.is_none() => {
                feed.ended = true;
                let digest: Digest = sent.hasher.digest();
                let value = HeaderValue::from_str(&digest.field()).expect("base64 is made of letters that fields take");
                let trailers = HeaderMap::from_iter([(HeaderName::from_static(REPR_DIGEST), value)]);
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            Ok(0) => {
                feed.ended = true;
                sent.failed = Some(io::Error::new(io::ErrorKind::UnexpectedEof, "it has become shorter"));
                Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())))
            }
            Ok(read) => {
                buffer.truncate(read);
                sent.take(&buffer);
                feed.transfer.tell(Tell::Bytes(sent.hasher.at, feed.end));
                Poll::Ready(Some(Ok(Frame::data(buffer.into()))))
            }
            Err(error) => {
                feed.ended = true;
                let kind = error.kind();
                sent.failed = Some(error);
                Poll::Ready(Some(Err(kind.into())))
            }
        }
    }
}
