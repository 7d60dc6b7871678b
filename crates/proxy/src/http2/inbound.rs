use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::task::{Context as TaskContext, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Method, Request, Response, StatusCode};
use http_proto::http2::{Pseudo, split_head, write_head};
use http_proto::{Framing, HeadError};

use super::reading::{Frame1, Reading, lines_of};
use super::writing::{Left, Writing, fields_and_end};
use crate::stream::Layer;

/// One stream of a client's connection: its request to be read as HTTP/1, the answer in HTTP/1 to be written.
#[derive(Debug)]
pub(crate) struct Inbound {
    reading: RefCell<(Reading, RecvStream)>,
    answer: RefCell<Answer>,
    is_head: bool,
    is_connect: bool,
    /// The client has reset the stream, or ended the connection.
    gone: Cell<bool>,
    reached: Option<SocketAddr>,
}

/// How far the answer has come.
#[derive(Debug)]
enum Answer {
    /// Its head is awaited.
    Head(SendResponse<Bytes>),
    Body(Writing),
}

impl Inbound {
    /// Makes a head of HTTP/1 of a request. With it comes why it is refused, if it is; it can still be answered.
    pub(crate) fn new(
        request: Request<RecvStream>,
        respond: SendResponse<Bytes>,
        reached: Option<SocketAddr>,
        mut head: Vec<u8>,
    ) -> (Inbound, Result<(), HeadError>) {
        let (parts, body) = request.into_parts();
        let is_connect = parts.method == Method::CONNECT;
        let has_length = parts.headers.contains_key(http::header::CONTENT_LENGTH);
        let framing = match () {
            () if is_connect => Frame1::Plain,
            () if body.is_end_stream() => Frame1::None,
            () if has_length => Frame1::Plain,
            () => Frame1::Chunked,
        };
        let told = if framing == Frame1::Chunked { Framing::Chunked } else { Framing::None };
        let pseudo = Pseudo {
            method: parts.method.as_str().as_bytes(),
            scheme: parts.uri.scheme_str().map(str::as_bytes),
            authority: parts.uri.authority().map(|authority| authority.as_str().as_bytes()),
            path: parts.uri.path_and_query().map_or(&b""[..], |path| path.as_str().as_bytes()),
        };
        let written = write_head(&mut head, &pseudo, lines_of(&parts.headers), told);
        let inbound = Inbound {
            reading: RefCell::new((Reading::new(head, framing), body)),
            answer: RefCell::new(Answer::Head(respond)),
            is_head: parts.method == Method::HEAD,
            is_connect,
            gone: Cell::new(false),
            reached,
        };
        (inbound, written)
    }

    /// Whether the client has gone; waits for that.
    fn poll_gone(&self, cx: &mut TaskContext<'_>) -> Poll<()> {
        let gone = match &mut *self.answer.borrow_mut() {
            Answer::Head(respond) => respond.poll_reset(cx).map(|_| ()),
            Answer::Body(writing) => writing.poll_reset(cx),
        };
        if gone.is_ready() {
            self.gone.set(true);
        }
        gone
    }
}

impl Layer for Inbound {
    fn poll_read(&self, cx: &mut TaskContext<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_read_ready(cx))?;
        if self.gone.get() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let mut reading = self.reading.borrow_mut();
        let (reading, body) = &mut *reading;
        let mut copied = 0;
        // What is here already goes together: a small body comes with its head.
        loop {
            copied += reading.copy(&mut buffer[copied..], body);
            if copied == buffer.len() || reading.has_bytes() || reading.is_over() {
                return Poll::Ready(Ok(copied));
            }
            match reading.poll_bytes(cx, body) {
                Poll::Ready(Ok(())) => {}
                _ if copied > 0 => return Poll::Ready(Ok(copied)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// A request that is whole is followed by nothing: only the client's going away is.
    fn poll_read_ready(&self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        {
            let mut reading = self.reading.borrow_mut();
            let (reading, body) = &mut *reading;
            if let Err(error) = ready!(reading.poll_bytes(cx, body)) {
                self.gone.set(true);
                return Poll::Ready(Err(error));
            }
            if !reading.is_over() || self.is_connect {
                return Poll::Ready(Ok(()));
            }
        }
        self.poll_gone(cx).map(Ok)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut answer = self.answer.borrow_mut();
        let mut written = 0;
        while written < bytes.len() {
            let rest = &bytes[written..];
            let step = match &mut *answer {
                Answer::Head(respond) => {
                    let (taken, writing) = self.write_head(respond, rest)?;
                    if let Some(writing) = writing {
                        *answer = Answer::Body(writing);
                    }
                    taken
                }
                Answer::Body(writing) => match writing.write(rest) {
                    Ok(taken) => taken,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock && written > 0 => break,
                    Err(error) => return Err(error),
                },
            };
            written += step;
        }
        Ok(written)
    }

    fn poll_write_ready(&self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        match &mut *self.answer.borrow_mut() {
            Answer::Head(_) => Poll::Ready(Ok(())),
            Answer::Body(writing) => writing.poll_room(cx),
        }
    }

    fn peek(&self) -> io::Result<usize> {
        let reading = self.reading.borrow();
        match &reading.0 {
            _ if self.gone.get() => Ok(0),
            reading if reading.has_bytes() => Ok(1),
            reading if reading.is_over() && self.is_connect => Ok(0),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn shutdown_write(&self) {
        if let Answer::Body(writing) = &mut *self.answer.borrow_mut() {
            writing.end();
        }
    }

    fn cut(&self) {
        match &mut *self.answer.borrow_mut() {
            Answer::Head(respond) => respond.send_reset(Reason::INTERNAL_ERROR),
            Answer::Body(writing) => writing.cut(Reason::INTERNAL_ERROR),
        }
    }

    fn reached(&self) -> Option<SocketAddr> {
        self.reached
    }
}

impl Inbound {
    /// Sends a head, an interim or the final one; how many bytes it took, and what writes the body that follows it.
    fn write_head(&self, respond: &mut SendResponse<Bytes>, bytes: &[u8]) -> io::Result<(usize, Option<Writing>)> {
        let (line, fields, taken) = split_head(bytes).ok_or(io::ErrorKind::InvalidData)?;
        let status = line.get(9..12).and_then(|digits| StatusCode::from_bytes(digits).ok());
        let status = status.ok_or(io::ErrorKind::InvalidData)?;
        let whole = Bytes::copy_from_slice(fields);
        let (headers, left) = fields_and_end(&whole)?;
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        let broken = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        if status.is_informational() {
            respond.send_informational(response).map_err(broken)?;
            return Ok((taken, None));
        }
        let bodiless = self.is_head || matches!(status.as_u16(), 204 | 304);
        let left = match left {
            _ if self.is_connect && status.is_success() => Left::Endless,
            _ if bodiless => Left::Nothing,
            Left::Length(0) => Left::Nothing,
            left => left,
        };
        let ends = matches!(left, Left::Nothing);
        let send = respond.send_response(response, ends).map_err(broken)?;
        Ok((taken, Some(Writing::new(send, left))))
    }
}

/// An answer that is not whole by now never will be.
impl Drop for Inbound {
    fn drop(&mut self) {
        if !self.gone.get()
            && let Answer::Body(writing) = &mut *self.answer.borrow_mut()
        {
            writing.cut(Reason::INTERNAL_ERROR);
        }
    }
}
