//! What imports and exports have in common: who is asked, how long breaks may last, and why one fails.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;

use crate::backoff::Backoff;
use crate::connect::{Body, Connection, Error, Server};
use crate::digest::Digest;

/// How long a server may be silent within an answer, or take nothing of a body, before that counts as a break.
pub(crate) const SILENCE: Duration = Duration::from_secs(60);

/// How much of a refusal is told.
const REFUSAL_BYTES: usize = 4096;

/// A file's way from or to a server.
#[derive(Clone)]
pub struct Transfer {
    /// Who has it or takes it, and under which URL.
    pub server: Server,
    /// Fields of every request.
    pub headers: HeaderMap,
    /// How long nothing may move, with tries in between, before it is given up.
    pub patience: Duration,
    /// What is to be told of it, as it goes.
    pub tell: Arc<dyn Fn(Tell) + Send + Sync>,
}

/// What is told of a transfer while it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tell {
    /// So many bytes are there, of so many if that is known.
    Bytes(u64, Option<u64>),
    /// The same of the verification.
    Verified(u64, u64),
    /// Where it can be gone on with, if this program ends before.
    Place(String),
    /// Something that is worth a line.
    Note(String),
}

/// A transfer that has ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// Its bytes.
    pub bytes: u64,
    /// Their digest.
    pub digest: Digest,
    /// Whether the other side has said that it has the same.
    pub verified: bool,
    /// How often it broke off.
    pub breaks: u64,
}

/// Why a transfer has failed. What has come of it stays, unless it is wrong.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The server does not want it.
    #[error("the server answers {status}{}", told(.text))]
    Refused {
        /// The answer.
        status: StatusCode,
        /// What it says.
        text: String,
    },
    /// A file here.
    #[error("{}: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// What the server says makes no sense.
    #[error("the server's answer makes no sense: {0}")]
    Nonsense(&'static str),
    /// It is not what it should be, and is gone.
    #[error("SHA-256 is {found}, and should be {wanted}: what came is wrong, and removed")]
    Corrupt {
        /// Of what is here.
        found: Digest,
        /// Of what should be.
        wanted: Digest,
    },
    /// It changes while it is read.
    #[error("it has changed at the server {0} times while it was read")]
    Restless(u32),
    /// Nothing moved for too long.
    #[error("given up, as nothing has moved for {}: {why}", units::write_duration(*after))]
    GivenUp {
        /// For how long.
        after: Duration,
        /// The last failure.
        why: String,
    },
    /// No request can be made of it.
    #[error("{0}")]
    Request(String),
}

fn told(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

/// One failure, after which it may or may not go on.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It may go better the next time, which the server may have asked to be no sooner than this.
    Break { why: String, after: Option<Duration> },
    /// What is asked for is another than it was.
    Changed,
    /// It will never go better.
    Final(TransferError),
}

impl From<TransferError> for Failure {
    fn from(error: TransferError) -> Failure {
        Failure::Final(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match error {
            Error::Url(text) => Failure::Final(TransferError::Request(text)),
            // Who is not believed now will not be believed later.
            Error::Tls { why: tls::ConnectError::Refused { .. }, .. } => {
                Failure::Final(TransferError::Request(error.to_string()))
            }
            other => Failure::broken(other.to_string()),
        }
    }
}

impl Failure {
    pub(crate) fn broken(why: impl Into<String>) -> Failure {
        Failure::Break { why: why.into(), after: None }
    }

    /// What an answer means that is not the one that was hoped for.
    pub(crate) async fn of(answer: Response<Incoming>) -> Failure {
        let status = answer.status();
        let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let after = after.map(Duration::from_secs);
        let text = Limited::new(answer.into_body(), REFUSAL_BYTES).collect().await;
        let text = text.map(|text| String::from_utf8_lossy(&text.to_bytes()).trim().to_owned()).unwrap_or_default();
        match status.as_u16() {
            408 | 429 | 500 | 502..=504 => Failure::Break { why: format!("the server answers {status}"), after },
            _ => Failure::Final(TransferError::Refused { status, text }),
        }
    }
}

/// A connection that is made when it is needed, and given up when it fails.
pub(crate) struct Line {
    server: Server,
    open: Option<Connection>,
}

impl Line {
    pub(crate) fn new(server: &Server) -> Line {
        Line { server: server.clone(), open: None }
    }

    /// Sends a request; the next goes over the same connection if this one's answer is read to its end.
    pub(crate) async fn send(&mut self, request: Request<Body>) -> Result<Response<Incoming>, Failure> {
        let mut connection = match self.open.take() {
            Some(connection) if !connection.is_closed() => connection,
            _ => self.server.connect().await?,
        };
        let answer = connection.send(request).await?;
        self.open = Some(connection);
        Ok(answer)
    }

    /// What is on its way on it is not wanted any more.
    pub(crate) fn cut(&mut self) {
        self.open = None;
    }
}

impl Transfer {
    /// Has the server take note, by a POST without a body to `target`.
    ///
    /// # Errors
    /// If it does not.
    pub async fn post(&self, target: &str) -> Result<(), TransferError> {
        let mut backoff = Backoff::new(self.patience);
        loop {
            let answer = match self.request("POST", target, &[("content-length", "0")]) {
                Ok(request) => Line::new(&self.server).send(request).await,
                Err(failure) => Err(failure),
            };
            let failure = match answer {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) => Failure::of(answer).await,
                Err(failure) => failure,
            };
            self.rest(failure, &mut backoff).await?;
        }
    }

    pub(crate) fn tell(&self, what: Tell) {
        (self.tell)(what);
    }

    pub(crate) fn note(&self, text: impl Into<String>) {
        self.tell(Tell::Note(text.into()));
    }

    /// A request without a body.
    pub(crate) fn request(
        &self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
    ) -> Result<Request<Body>, Failure> {
        self.request_with(method, target, fields, Empty::new().map_err(|never| match never {}).boxed_unsync())
    }

    /// A request.
    pub(crate) fn request_with(
        &self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: Body,
    ) -> Result<Request<Body>, Failure> {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(body).map_err(|error| TransferError::Request(error.to_string()));
        let mut request = request?;
        request.headers_mut().extend(self.headers.clone());
        Ok(request)
    }

    /// Waits before another try, or says why there is none.
    pub(crate) async fn rest(&self, failure: Failure, backoff: &mut Backoff) -> Result<(), TransferError> {
        let (why, after) = match failure {
            Failure::Final(error) => return Err(error),
            Failure::Changed => ("it has changed".to_owned(), None),
            Failure::Break { why, after } => (why, after),
        };
        let Some(wait) = backoff.wait(after) else {
            return Err(TransferError::GivenUp { after: self.patience, why });
        };
        self.note(format!("{why}; again in {}", units::write_duration(wait)));
        tokio::time::sleep(wait).await;
        Ok(())
    }
}
