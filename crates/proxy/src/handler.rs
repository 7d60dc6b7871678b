//! The joint between the relay and what answers requests on this machine (files, health reports).

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_proto::RequestHead;

/// Answers requests from this machine. The wiring makes one of each files or health route.
pub trait Handler: Send + Sync {
    /// Appends an answer's head, and its body if that is small, to `out`, and says what is left to send.
    ///
    /// # Errors
    /// [`WouldBlock`] if `patience` is [`Patience::None`] and the answer may have to wait for a disk or a network:
    /// the relay then asks again from a thread that may wait. `out` is as it was.
    fn answer(
        &self,
        request: &HandlerRequest<'_>,
        patience: Patience,
        out: &mut Vec<u8>,
    ) -> Result<HandlerAnswer, WouldBlock>;

    /// Whether sending this span of a file would not have to wait for a disk. Asked for [`Storage::Local`] only.
    fn is_resident(&self, file: &File, offset: u64, length: u64) -> bool;

    /// Brings this span of a file into memory; may wait. Asked for [`Storage::Local`] only.
    fn bring_in(&self, file: &File, offset: u64, length: u64);

    /// Appends this span of a file to `out`; may wait. Asked for [`Storage::Remote`] only.
    ///
    /// # Errors
    /// What the file system says. Fewer bytes than asked for are no error: the file was cut.
    fn read(&self, file: &File, offset: u64, length: usize, out: &mut Vec<u8>) -> io::Result<()>;

    /// Called on each worker's thread several times a second: lets go of what that thread keeps and nobody asked for lately.
    fn keep_house(&self) {}

    /// Whether its answers are part of what this machine has to send; see [`crate::Shared::load_report`].
    fn is_load(&self) -> bool {
        true
    }

    /// How long an answer, or the next span of one, may take.
    fn timeout(&self) -> Duration;

    /// Whether the bodies of requests of this method are wanted, by [`Handler::begin`].
    fn takes(&self, _method: &str) -> bool {
        false
    }

    /// Looks at a request whose body it may want; may wait. Called only for methods that it takes.
    ///
    /// # Errors
    /// The answer, if it does not want the body.
    fn begin(&self, _request: &HandlerRequest<'_>) -> Result<Begun, Receipt> {
        Err(Receipt { status: 405, fields: Vec::new(), body: String::new() })
    }

    /// How long one step of taking a body may last.
    fn take_timeout(&self) -> Duration {
        self.timeout()
    }
}

/// Takes the body of one request. Every call may wait, and dropping it may too.
pub trait Intake: Send {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// The answer, if it wants no more.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Receipt>;

    /// Brings the whole body to its end; `None`: by another call. `trailers` are whole lines, or nothing.
    fn finish(&mut self, trailers: &[u8]) -> Option<Receipt>;

    /// The client has gone; `rest` is what came last.
    fn abandon(&mut self, rest: &[u8]);
}

/// A body is wanted.
pub struct Begun {
    /// What takes it.
    pub intake: Box<dyn Intake>,
    /// Interim answers, whole, for clients of HTTP/1.1; or nothing.
    pub interim: Vec<u8>,
}

/// The answer to a request whose body was to be taken, short of what every answer has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The status.
    pub status: u16,
    /// Whole field lines.
    pub fields: Vec<u8>,
    /// Plain text, or nothing.
    pub body: String,
}

/// Whether a handler may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// It runs on a worker, which must never wait.
    None,
    /// It runs on a thread of its own.
    Wait,
}

/// The answer may have to wait for a disk or a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WouldBlock;

/// What a handler is told of a request.
pub struct HandlerRequest<'a> {
    /// The head.
    pub head: &'a RequestHead<'a>,
    /// The path, decoded and resolved.
    pub path: &'a [u8],
    /// What follows the `?`.
    pub query: Option<&'a str>,
    /// The value of the answer's Date field.
    pub date: &'a [u8],
    /// Whole field lines for the answer's head: `Connection`, and the configured ones.
    pub fields: &'a [u8],
    /// Who the client is by its certificate; `None`: it has shown none.
    pub identity: Option<&'a tls::Identity>,
}

/// What a handler answers.
#[derive(Debug)]
pub struct HandlerAnswer {
    /// The status.
    pub status: u16,
    /// What is to be sent after the bytes that were appended.
    pub rest: Vec<Part>,
}

/// A piece of a body.
#[derive(Debug)]
pub enum Part {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A span of a file.
    File {
        /// The file.
        file: Arc<File>,
        /// Where the span begins.
        offset: u64,
        /// How long it is.
        length: u64,
        /// Where the file is.
        storage: Storage,
    },
}

impl Part {
    /// Its bytes.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Part::Bytes(bytes) => bytes.len() as u64,
            Part::File { length, .. } => *length,
        }
    }
}

/// Where a file is, and so how it may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In memory: by the kernel, at once.
    Memory,
    /// On a disk of this machine: by the kernel, once it is in memory.
    Local,
    /// Perhaps on another machine: read by a thread that may wait, for the kernel itself could hang in sending it.
    Remote,
}
