//! A connection to an application: records of FastCGI below, HTTP/1.1 above.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use balance::ServerIndex;
use fcgi_proto::{ABORT, Answer, CONTENT_MAX, HEADER_BYTES, STDIN_END, stdin_header};

use super::{Begin, Layer, Stream};
use crate::config::BackendIndex;
use crate::http::Body;
use crate::reason::{Reason, Told};
use crate::shared::Shared;

/// What is read at once when only the end of an answer is waited for.
const SCRAP_BYTES: usize = 4 * 1024;

/// What may follow the content of a record that is read together with the next one's header.
const TAIL_BYTES: usize = 255 + HEADER_BYTES;

/// What an application may write on its error stream for one request; the rest is dropped.
const COMPLAINT_BYTES_MAX: usize = 16 * 1024;

/// The room that a connection keeps for the next answer's first bytes.
const SPARE_BYTES: usize = 4 * 1024;

/// A connection that carries one request at a time.
pub(crate) struct FastCgi {
    below: Stream,
    who: Who,
    /// Whether the application leaves the connection open.
    keeps: bool,
    outgoing: RefCell<Outgoing>,
    incoming: RefCell<Incoming>,
}

/// Whose complaints these are.
struct Who {
    shared: Arc<Shared>,
    backend: BackendIndex,
    server: ServerIndex,
}

/// The request.
#[derive(Default)]
struct Outgoing {
    /// So many bytes are records already.
    ready: usize,
    /// What comes after them, as the client frames it.
    body: Body,
    /// What is left of the record that is being written.
    in_record: usize,
    /// Headers that have to leave before anything else.
    owed: Vec<u8>,
    /// Whether the last byte that was taken is not yet said to be written, for the end of the body has not left.
    withheld: bool,
}

/// The answer.
#[derive(Default)]
struct Incoming {
    /// `None`: nothing was asked yet.
    answer: Option<Answer>,
    /// What of it is to be read, from `at` on.
    bytes: Vec<u8>,
    at: usize,
    /// Whether the kernel moves the body: then no more is read here than there must be.
    is_moved: bool,
    failed: Option<Reason>,
    complained: usize,
}

impl fmt::Debug for FastCgi {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FastCgi").field("below", &self.below).finish_non_exhaustive()
    }
}

impl FastCgi {
    /// `keeps`: requests say that the connection is to stay open.
    pub(crate) fn new(
        below: Stream,
        keeps: bool,
        shared: Arc<Shared>,
        backend: BackendIndex,
        server: ServerIndex,
    ) -> FastCgi {
        FastCgi {
            below,
            who: Who { shared, backend, server },
            keeps,
            outgoing: RefCell::default(),
            incoming: RefCell::default(),
        }
    }
}

impl Outgoing {
    /// Whether what comes next on the connection is a record's beginning.
    fn is_between_records(&self) -> bool {
        self.ready == 0 && self.in_record == 0 && self.owed.is_empty()
    }

    /// Goes past the framing of `bytes`, and begins a record if payload is next. What was taken needs no writing.
    fn begin_record(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        while self.body.unseen() == 0 && !self.body.is_done() && taken < bytes.len() {
            let byte = &bytes[taken..=taken];
            taken += self.body.take(byte).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        }
        if self.body.is_done() {
            self.owed.extend_from_slice(&STDIN_END);
        } else {
            let here = (bytes.len() - taken).min(CONTENT_MAX);
            self.in_record = usize::try_from(self.body.unseen()).unwrap_or(usize::MAX).min(here);
            if self.in_record > 0 {
                self.owed.extend_from_slice(&stdin_header(self.in_record));
            }
        }
        Ok(taken)
    }

    /// Writes what is owed and what `bytes` have of the record, as much as leaves: the bytes of the latter.
    fn write_record(&mut self, below: &Stream, bytes: &[u8]) -> io::Result<usize> {
        let content = &bytes[..self.in_record.min(bytes.len())];
        let written = below.try_write_slices(&[IoSlice::new(&self.owed), IoSlice::new(content)])?;
        let owed = written.min(self.owed.len());
        self.owed.drain(..owed);
        let passed = written - owed;
        self.in_record -= passed;
        if passed > 0 {
            self.body.pass(passed as u64);
        }
        if self.in_record == 0 && passed > 0 && self.body.is_done() {
            self.owed.extend_from_slice(&STDIN_END);
        }
        Ok(passed)
    }

    fn write_body(&mut self, below: &Stream, bytes: &[u8]) -> io::Result<usize> {
        let mut taken = usize::from(std::mem::take(&mut self.withheld));
        let mut failed = None;
        while taken < bytes.len() || !self.owed.is_empty() {
            if self.in_record == 0 && self.owed.is_empty() {
                if self.body.is_done() {
                    return Err(io::ErrorKind::InvalidInput.into());
                }
                taken += self.begin_record(&bytes[taken..])?;
                continue;
            }
            match self.write_record(below, &bytes[taken..]) {
                Ok(passed) => taken += passed,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        // The end of the body has to leave, too, before all of it is said to be written.
        if taken > 0 && self.body.is_done() && !self.owed.is_empty() {
            self.withheld = true;
            taken -= 1;
        }
        match failed {
            Some(error) if taken == 0 || error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken),
        }
    }
}

impl Incoming {
    fn has_bytes(&self) -> bool {
        self.at < self.bytes.len()
    }

    fn copy_to(&mut self, buffer: &mut [u8]) -> usize {
        let left = &self.bytes[self.at..];
        let copied = left.len().min(buffer.len());
        buffer[..copied].copy_from_slice(&left[..copied]);
        self.at += copied;
        if !self.has_bytes() {
            self.bytes.clear();
            self.at = 0;
        }
        copied
    }

    /// Whether nothing more comes of the answer.
    fn is_over(&self) -> bool {
        self.answer.as_ref().is_none_or(Answer::is_over)
    }

    /// Reads records. What they have of the answer is then here.
    fn digest(&mut self, who: &Who, records: &[u8]) {
        let Some(answer) = &mut self.answer else { return };
        let mut complaint = Vec::new();
        let room = COMPLAINT_BYTES_MAX - self.complained;
        let read = answer.read(records, &mut self.bytes, &mut |piece| {
            complaint.extend_from_slice(&piece[..piece.len().min(room - complaint.len())]);
        });
        self.complained += complaint.len();
        if let Err(error) = read {
            self.failed = Some(Reason::Application(error));
        }
        if !complaint.is_empty() {
            who.shared.complain(who.backend, who.server, &complaint);
        }
    }

    /// How many bytes the kernel can move of what comes next. Record by record, it reads what is between them.
    fn movable(&mut self, who: &Who, below: &Stream) -> io::Result<usize> {
        loop {
            if self.has_bytes() || self.failed.is_some() {
                return Err(io::ErrorKind::Unsupported.into());
            }
            if self.is_over() {
                return Ok(0);
            }
            let answer = self.answer.as_ref();
            if let Some((content, _)) = answer.and_then(Answer::bulk) {
                return Ok(content);
            }
            let between = answer.map_or(0, Answer::between);
            let mut header = [0; TAIL_BYTES];
            match between {
                0 => return Err(io::ErrorKind::Unsupported.into()),
                _ => match below.try_read(&mut header[..between])? {
                    0 => return Ok(0),
                    read => self.digest(who, &header[..read]),
                },
            }
        }
    }

    /// Digests what `records` hold beyond `content` bytes that are the answer's as they are, and puts what comes of it
    /// behind them: how many bytes of the answer are then in `records`.
    fn pass(&mut self, who: &Who, records: &mut [u8], read: usize, content: usize) -> usize {
        let mut tail = [0; TAIL_BYTES];
        let tail = &mut tail[..read - content];
        tail.copy_from_slice(&records[content..read]);
        if let Some(answer) = &mut self.answer {
            answer.pass(content, &mut self.bytes);
        }
        self.digest(who, tail);
        content + self.copy_to(&mut records[content..])
    }
}

impl Layer for FastCgi {
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let incoming = &mut *self.incoming.borrow_mut();
        incoming.is_moved = false;
        loop {
            if incoming.has_bytes() {
                return Poll::Ready(Ok(incoming.copy_to(buffer)));
            }
            if let Some(reason) = incoming.failed {
                return Poll::Ready(Err(Told(reason).into()));
            }
            if incoming.is_over() {
                return Poll::Ready(Ok(0));
            }
            let bulk = incoming.answer.as_ref().and_then(Answer::bulk);
            let room = bulk.map_or(buffer.len(), |(_, all)| all.min(buffer.len()));
            let read = ready!(self.below.poll_read(cx, &mut buffer[..room]))?;
            match bulk {
                _ if read == 0 => return Poll::Ready(Ok(0)),
                Some((content, _)) => {
                    return Poll::Ready(Ok(incoming.pass(&self.who, buffer, read, content.min(read))));
                }
                None => incoming.digest(&self.who, &buffer[..read]),
            }
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let outgoing = &mut *self.outgoing.borrow_mut();
        if outgoing.ready > 0 {
            let written = self.below.try_write(&bytes[..bytes.len().min(outgoing.ready)])?;
            outgoing.ready -= written;
            return Ok(written);
        }
        outgoing.write_body(&self.below, bytes)
    }

    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let incoming = &mut *self.incoming.borrow_mut();
        loop {
            if incoming.has_bytes() || incoming.failed.is_some() {
                return Poll::Ready(Ok(()));
            }
            if incoming.is_moved || incoming.is_over() {
                return self.below.poll_read_ready(cx);
            }
            let mut scrap = [0; SCRAP_BYTES];
            match ready!(self.below.poll_read(cx, &mut scrap))? {
                0 => {
                    incoming.failed = Some(Reason::ServerClosed);
                }
                read => incoming.digest(&self.who, &scrap[..read]),
            }
        }
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.below.poll_write_ready(cx)
    }

    fn peek(&self) -> io::Result<usize> {
        let incoming = self.incoming.borrow();
        if incoming.has_bytes() {
            return Ok(1);
        }
        match incoming.failed {
            Some(reason) => Err(Told(reason).into()),
            None => self.below.peek(),
        }
    }

    fn shutdown_write(&self) {
        self.below.shutdown_write();
    }

    fn cut(&self) {
        self.below.cut();
    }

    fn reached(&self) -> Option<SocketAddr> {
        self.below.reached()
    }

    fn bytes_acked(&self) -> Option<u64> {
        self.below.bytes_acked()
    }

    fn can_splice(&self) -> bool {
        true
    }

    fn try_splice(&self, pipe: BorrowedFd<'_>, want: usize) -> io::Result<usize> {
        let incoming = &mut *self.incoming.borrow_mut();
        incoming.is_moved = true;
        let movable = incoming.movable(&self.who, &self.below)?;
        if movable == 0 {
            return Ok(0);
        }
        let moved = self.below.try_splice(pipe, want.min(movable))?;
        if let Some(answer) = &mut incoming.answer {
            answer.pass(moved, &mut incoming.bytes);
        }
        Ok(moved)
    }

    fn begin(&self, begin: Begin) {
        let mut incoming = self.incoming.borrow_mut();
        let mut bytes = std::mem::take(&mut incoming.bytes);
        bytes.clear();
        if bytes.capacity() > SPARE_BYTES {
            bytes = Vec::new();
        }
        if begin.expects_continue && !begin.body.is_done() {
            // RFC 9110 §10.1.1: applications have no way to say it.
            bytes.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        *incoming = Incoming { answer: Some(Answer::new(begin.is_head)), bytes, ..Incoming::default() };
        *self.outgoing.borrow_mut() = Outgoing { ready: begin.ready, body: begin.body, ..Outgoing::default() };
    }

    fn poll_settled(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let incoming = &mut *self.incoming.borrow_mut();
        loop {
            incoming.bytes.clear();
            incoming.at = 0;
            if incoming.failed.is_some() {
                return Poll::Ready(false);
            }
            if incoming.is_over() {
                let outgoing = self.outgoing.borrow();
                return Poll::Ready(self.keeps && outgoing.is_between_records() && outgoing.body.is_done());
            }
            let mut scrap = [0; SCRAP_BYTES];
            match ready!(self.below.poll_read(cx, &mut scrap)) {
                Ok(read @ 1..) => incoming.digest(&self.who, &scrap[..read]),
                Ok(0) | Err(_) => return Poll::Ready(false),
            }
        }
    }
}

/// An application whose answer nobody wants any more is told so.
impl Drop for FastCgi {
    fn drop(&mut self) {
        if !self.incoming.get_mut().is_over() && self.outgoing.get_mut().is_between_records() {
            let _ = self.below.try_write(&ABORT);
        }
    }
}
