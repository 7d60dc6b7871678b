//! The joint between the relay and what answers requests on this machine (files, health reports).

use std::fs::File;
use std::sync::Arc;

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

    /// Whether sending this span of a file would not have to wait for a disk or a network.
    fn is_resident(&self, file: &File, offset: u64, length: u64) -> bool;

    /// Brings this span of a file into memory; may wait.
    fn bring_in(&self, file: &File, offset: u64, length: u64);

    /// How long an answer, or the next span of one, may take.
    fn timeout(&self) -> std::time::Duration;
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
    /// Whole field lines to put at the end of the head: `Date`, `Connection`, and the configured ones.
    pub fields: &'a [u8],
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
    },
}
