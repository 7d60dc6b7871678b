use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll, ready};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use http_proto::http2::{lines, split_head};
use http_proto::reason_phrase;
use tokio::time::Instant;

use super::line::Line;
use super::reading::{Frame1, Reading, broken, lines_of};
use super::writing::{Left, Writing, fields_and_end};
use crate::stream::Layer;

/// One stream to a server: the request in HTTP/1 to be written, its answer to be read as HTTP/1.
#[derive(Debug)]
pub(super) struct Outbound {
    line: Rc<Line>,
    asking: RefCell<Asking>,
    hearing: RefCell<Hearing>,
    is_head: Cell<bool>,
    is_connect: Cell<bool>,
    /// The server has said that it has not looked at the request.
    untouched: Cell<bool>,
    began: Instant,
    /// What the line had heard by then.
    heard_before: u64,
}

/// How far the request has come.
#[derive(Debug)]
enum Asking {
    /// Its head is awaited.
    Head(SendRequest<Bytes>),
    Body(Writing),
}

/// How far the answer has come.
enum Hearing {
    /// Nothing has been asked.
    Nothing,
    /// Its head is awaited; interim ones come before.
    Head {
        response: ResponseFuture,
        interim: Vec<u8>,
        read: usize,
    },
    Body(Box<(Reading, RecvStream)>),
}

impl std::fmt::Debug for Hearing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Hearing::Nothing => "Nothing",
            Hearing::Head { .. } => "Head",
            Hearing::Body(_) => "Body",
        })
    }
}

impl Outbound {
    pub(super) fn new(line: Rc<Line>, send: SendRequest<Bytes>) -> Outbound {
        let heard_before = line.heard();
        Outbound {
            line,
            asking: RefCell::new(Asking::Head(send)),
            hearing: RefCell::new(Hearing::Nothing),
            is_head: Cell::new(false),
            is_connect: Cell::new(false),
            untouched: Cell::new(false),
            began: Instant::now(),
            heard_before,
        }
    }

    /// Sends the request's head; how many bytes it took, and what writes the body that follows it.
    fn write_head(&self, send: &mut SendRequest<Bytes>, bytes: &[u8]) -> io::Result<(usize, Writing, ResponseFuture)> {
        let (line, fields, taken) = split_head(bytes).ok_or(io::ErrorKind::InvalidData)?;
        let fields = Bytes::copy_from_slice(fields);
        let mut parts = line.split(|&byte| byte == b' ');
        let (method, target) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let method = Method::from_bytes(method).map_err(|_| io::ErrorKind::InvalidData)?;
        let (mut headers, left) = fields_and_end(&fields)?;
        // Trailers are understood here, which gRPC's servers want to hear (RFC 9110 §10.1.4).
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        let is_connect = method == Method::CONNECT;
        self.is_connect.set(is_connect);
        self.is_head.set(method == Method::HEAD);
        let host = lines(&fields).find(|line| line.name.eq_ignore_ascii_case(b"host")).map(|line| line.value);
        let mut request = Request::new(());
        *request.uri_mut() = uri(self.line.scheme(), if is_connect { Some(target) } else { host }, target, is_connect)?;
        *request.method_mut() = method;
        *request.headers_mut() = headers;
        let left = match left {
            Left::Endless if is_connect => Left::Endless,
            Left::Endless | Left::Length(0) => Left::Nothing,
            left => left,
        };
        let sent = send.send_request(request, matches!(left, Left::Nothing));
        let (response, stream) = sent.map_err(|error| self.fail(&error))?;
        Ok((taken, Writing::new(stream, left), response))
    }

    /// What the relay is told of an error, having noted whether the request may be sent again.
    fn fail(&self, error: &h2::Error) -> io::Error {
        // RFC 9113 §8.7: a refused stream, and one above GOAWAY's last, have not been looked at.
        if error.is_remote() && (error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM)) {
            self.untouched.set(true);
        }
        broken(error).into()
    }

    /// Waits for bytes of the answer.
    fn poll_bytes(&self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        let mut hearing = self.hearing.borrow_mut();
        loop {
            match &mut *hearing {
                Hearing::Nothing => return Poll::Pending,
                Hearing::Head { response, interim, read } => {
                    if *read < interim.len() {
                        return Poll::Ready(Ok(()));
                    }
                    if let Some(head) = ready!(response.poll_informational(cx)) {
                        let head = head.map_err(|error| self.fail(&error))?;
                        interim.clear();
                        *read = 0;
                        write_head(interim, head.status().as_u16(), head.headers(), "");
                        continue;
                    }
                    let answer = ready!(Pin::new(response).poll(cx)).map_err(|error| self.fail(&error))?;
                    let (parts, body) = answer.into_parts();
                    *hearing = Hearing::Body(Box::new((self.reading(&parts, &body), body)));
                }
                Hearing::Body(answer) => {
                    let (reading, body) = &mut **answer;
                    return reading.poll_bytes(cx, body);
                }
            }
        }
    }

    /// The answer's head, and how its body ends.
    fn reading(&self, parts: &http::response::Parts, body: &RecvStream) -> Reading {
        let status = parts.status.as_u16();
        let has_length = parts.headers.contains_key(header::CONTENT_LENGTH);
        let bodiless = self.is_head.get() || matches!(status, 204 | 304);
        let (framing, line) = match () {
            () if bodiless => (Frame1::None, ""),
            () if self.is_connect.get() && parts.status.is_success() => (Frame1::Plain, ""),
            () if has_length && body.is_end_stream() => (Frame1::None, ""),
            () if has_length => (Frame1::Plain, ""),
            () if body.is_end_stream() => (Frame1::None, "content-length: 0\r\n"),
            () => (Frame1::Chunked, "transfer-encoding: chunked\r\n"),
        };
        let mut head = Vec::new();
        write_head(&mut head, status, &parts.headers, line);
        Reading::new(head, framing)
    }
}

impl Layer for Outbound {
    fn poll_read(&self, cx: &mut TaskContext<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_bytes(cx))?;
        match &mut *self.hearing.borrow_mut() {
            Hearing::Nothing => Poll::Pending,
            Hearing::Head { interim, read, .. } => {
                let taken = buffer.len().min(interim.len() - *read);
                buffer[..taken].copy_from_slice(&interim[*read..*read + taken]);
                *read += taken;
                Poll::Ready(Ok(taken))
            }
            Hearing::Body(answer) => {
                let (reading, body) = &mut **answer;
                // What is here already goes together; an error is told when it is alone.
                let mut copied = reading.copy(buffer, body);
                while copied < buffer.len()
                    && !reading.is_over()
                    && matches!(reading.poll_bytes(cx, body), Poll::Ready(Ok(())))
                {
                    copied += reading.copy(&mut buffer[copied..], body);
                }
                Poll::Ready(Ok(copied))
            }
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut asking = self.asking.borrow_mut();
        let mut written = 0;
        if let Asking::Head(send) = &mut *asking {
            let (taken, writing, response) = self.write_head(send, bytes)?;
            *asking = Asking::Body(writing);
            *self.hearing.borrow_mut() = Hearing::Head { response, interim: Vec::new(), read: 0 };
            written = taken;
        }
        if let Asking::Body(writing) = &mut *asking {
            while written < bytes.len() {
                match writing.write(&bytes[written..]) {
                    Ok(taken) => written += taken,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock && written > 0 => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(written)
    }

    fn poll_read_ready(&self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        self.poll_bytes(cx)
    }

    fn poll_write_ready(&self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        match &mut *self.asking.borrow_mut() {
            Asking::Head(_) => Poll::Ready(Ok(())),
            Asking::Body(writing) => writing.poll_room(cx),
        }
    }

    fn peek(&self) -> io::Result<usize> {
        let has_bytes = match &*self.hearing.borrow() {
            Hearing::Nothing => false,
            Hearing::Head { interim, read, .. } => *read < interim.len(),
            Hearing::Body(answer) if answer.0.is_over() => return Ok(0),
            Hearing::Body(answer) => answer.0.has_bytes(),
        };
        if has_bytes { Ok(1) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    fn shutdown_write(&self) {
        if let Asking::Body(writing) = &mut *self.asking.borrow_mut() {
            writing.end();
        }
    }

    fn cut(&self) {
        if let Asking::Body(writing) = &mut *self.asking.borrow_mut() {
            writing.cut(Reason::CANCEL);
        }
    }

    fn reached(&self) -> Option<SocketAddr> {
        None
    }

    fn is_untouched(&self) -> bool {
        self.untouched.get()
    }
}

/// Dropped, `h2`'s handles reset what is not over.
impl Drop for Outbound {
    fn drop(&mut self) {
        let is_answered = matches!(&*self.hearing.borrow(), Hearing::Body(answer) if answer.0.is_over());
        self.line.left(is_answered, self.began, self.heard_before);
    }
}

/// Appends a head whose last line is `line`.
fn write_head(out: &mut Vec<u8>, status: u16, headers: &HeaderMap, line: &str) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason_phrase(status).as_bytes());
    out.extend_from_slice(b"\r\n");
    for field in lines_of(headers) {
        out.extend_from_slice(field.name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(field.value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// What `:scheme`, `:authority` and `:path` are made of.
fn uri(scheme: &Scheme, host: Option<&[u8]>, target: &[u8], is_connect: bool) -> io::Result<Uri> {
    let invalid = |_| io::Error::from(io::ErrorKind::InvalidData);
    let mut parts = http::uri::Parts::default();
    let host = host.filter(|host| !host.is_empty());
    parts.authority = host.map(|host| Authority::try_from(host).map_err(invalid)).transpose()?;
    if !is_connect {
        parts.path_and_query = Some(PathAndQuery::try_from(escaped(target).as_slice()).map_err(invalid)?);
        parts.scheme = parts.authority.is_some().then(|| scheme.clone());
    }
    Uri::from_parts(parts).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// What clients send that no URL may have (RFC 3986 §2) and `http` does not take is escaped: it means the same.
fn escaped(target: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(target.len());
    for &byte in target {
        match byte {
            b'"' | b'<' | b'>' | b'`' | b'{' | b'}' | b'^' | b'|' | b'\\' => {
                out.extend_from_slice(format!("%{byte:02X}").as_bytes());
            }
            _ => out.push(byte),
        }
    }
    out
}
