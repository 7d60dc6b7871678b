//! Bytes on a connection, sent and read as a test wants them, with a deadline on everything; and just enough HTTP/1.1 to read messages by.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown, sockopt};

use crate::SOON;

/// One end of a stream connection.
#[derive(Debug)]
pub struct Wire {
    socket: OwnedFd,
    buffer: Vec<u8>,
    limit: Duration,
    received: u64,
    log: Option<Arc<Mutex<Vec<String>>>>,
}

/// How a connection stood when nothing more was to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The other side finished in order.
    Closed,
    /// The other side cut it.
    Reset,
    /// It is open and silent.
    Open,
}

/// A request or an answer as it came.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Message {
    /// The first line.
    pub start: String,
    /// Names as they came and values, in order.
    pub fields: Vec<(String, String)>,
    /// The content, chunk framing taken off.
    pub body: Vec<u8>,
    /// The fields after the last chunk.
    pub trailers: Vec<(String, String)>,
}

impl Message {
    /// The status code of an answer; 0 if there is none.
    pub fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    /// The first value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(its, _)| its.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether the sender said that it closes after this.
    pub fn closes(&self) -> bool {
        self.field("connection").is_some_and(|value| value.to_ascii_lowercase().contains("close"))
    }

    fn is_chunked(&self) -> bool {
        self.field("transfer-encoding").is_some_and(|value| value.to_ascii_lowercase().ends_with("chunked"))
    }

    fn length(&self) -> Option<usize> {
        self.field("content-length")?.parse().ok()
    }
}

impl Wire {
    /// Speaks on a connected stream socket; it waits ten seconds for what it expects.
    pub fn new(socket: impl Into<OwnedFd>) -> Wire {
        Wire { socket: socket.into(), buffer: Vec::new(), limit: SOON, received: 0, log: None }
    }

    /// Connects to a unix socket.
    ///
    /// # Errors
    /// As connect(2).
    pub fn unix(path: &Path) -> io::Result<Wire> {
        Ok(Wire::new(std::os::unix::net::UnixStream::connect(path)?))
    }

    /// Waits this long for what it expects from now on.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Bytes that came so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    pub(crate) fn log_requests(&mut self, log: Arc<Mutex<Vec<String>>>) {
        self.log = Some(log);
    }

    /// Sends all the bytes.
    ///
    /// # Panics
    /// If the other side does not take them in time, or cut the connection.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap_or_else(|error| panic!("cannot send: {error}"));
    }

    /// Sends all the bytes.
    ///
    /// # Errors
    /// If the other side does not take them in time, or cut the connection.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let deadline = Instant::now() + self.limit;
        let mut left = bytes.as_ref();
        while !left.is_empty() {
            match send(&self.socket, left, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(count) => left = &left[count..],
                Err(Errno::AGAIN) if self.ready(PollFlags::OUT, deadline) => (),
                Err(Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
                Err(Errno::INTR) => (),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Says that nothing more will be sent; reading goes on.
    pub fn finish_sending(&self) {
        // A connection that is gone is finished too.
        let _ = shutdown(&self.socket, Shutdown::Write);
    }

    /// Makes the close at the end of this value a reset.
    pub fn reset_at_close(&mut self) {
        sockopt::set_socket_linger(&self.socket, Some(Duration::ZERO)).expect("a stream socket may linger");
    }

    /// Makes the kernel take no more than about this many bytes that were not yet read here.
    pub fn shrink_receive_buffer(&self, bytes: usize) {
        sockopt::set_socket_recv_buffer_size(&self.socket, bytes).expect("the size is one");
    }

    /// Reads up to and with these bytes.
    ///
    /// # Panics
    /// If they do not come.
    #[track_caller]
    pub fn read_until(&mut self, needle: &str) -> String {
        match self.take_until(needle.as_bytes()) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(end) => panic!("{needle:?} did not come: {end:?} after {:?}", self.seen()),
        }
    }

    /// Reads so many bytes.
    ///
    /// # Panics
    /// If they do not come.
    #[track_caller]
    pub fn read_exact(&mut self, count: usize) -> Vec<u8> {
        match self.take(count) {
            Ok(bytes) => bytes,
            Err(end) => panic!("{count} bytes did not come: {end:?} after {:?}", self.seen()),
        }
    }

    /// Reads up to and with these bytes.
    ///
    /// # Errors
    /// How the connection stands, if they did not come; what came is still to be read.
    pub fn try_read_until(&mut self, needle: &[u8]) -> Result<Vec<u8>, End> {
        self.take_until(needle)
    }

    /// Reads so many bytes.
    ///
    /// # Errors
    /// How the connection stands, if they did not come; what came is still to be read.
    pub fn try_read_exact(&mut self, count: usize) -> Result<Vec<u8>, End> {
        self.take(count)
    }

    /// Reads an answer, as that to a GET; an interim one (1xx) is an answer of its own.
    ///
    /// # Panics
    /// If no whole answer comes.
    #[track_caller]
    pub fn answer(&mut self) -> Message {
        match self.try_answer() {
            Ok(answer) => answer,
            Err(end) => panic!("no whole answer: {end:?} after {:?}", self.seen()),
        }
    }

    /// Reads the answer to a HEAD, which has no body whatever its fields say.
    ///
    /// # Panics
    /// If none comes.
    #[track_caller]
    pub fn answer_to_head(&mut self) -> Message {
        match self.take_head() {
            Ok(answer) => answer,
            Err(end) => panic!("no answer: {end:?} after {:?}", self.seen()),
        }
    }

    /// Reads an answer, as that to a GET.
    ///
    /// # Errors
    /// How the connection stands, if it brought no whole answer.
    pub fn try_answer(&mut self) -> Result<Message, End> {
        let mut answer = self.take_head()?;
        if answer.is_chunked() {
            self.take_chunks(&mut answer)?;
        } else if matches!(answer.status(), 100..=199 | 204 | 304) {
        } else if let Some(length) = answer.length() {
            answer.body = self.take(length)?;
        } else {
            let (body, end) = self.rest();
            answer.body = body;
            if end != End::Closed {
                return Err(end);
            }
        }
        Ok(answer)
    }

    /// Reads a request with its body.
    ///
    /// # Errors
    /// How the connection stands, if it brought no whole request.
    pub fn request(&mut self) -> Result<Message, End> {
        let mut request = self.request_head()?;
        self.request_body(&mut request)?;
        Ok(request)
    }

    /// Reads a request's head only.
    ///
    /// # Errors
    /// How the connection stands, if it brought none.
    pub fn request_head(&mut self) -> Result<Message, End> {
        let request = self.take_head()?;
        if let Some(log) = &self.log {
            log.lock().unwrap_or_else(PoisonError::into_inner).push(request.start.clone());
        }
        Ok(request)
    }

    /// Reads the body of a request whose head was read.
    ///
    /// # Errors
    /// How the connection stands, if it did not bring all of it.
    pub fn request_body(&mut self, request: &mut Message) -> Result<(), End> {
        if request.is_chunked() {
            self.take_chunks(request)
        } else {
            request.body = self.take(request.length().unwrap_or(0))?;
            Ok(())
        }
    }

    /// Reads all that comes until the other side closes, cuts, or is silent for the limit.
    pub fn rest(&mut self) -> (Vec<u8>, End) {
        let end = loop {
            if let Err(end) = self.fill(Instant::now() + self.limit) {
                break end;
            }
        };
        (std::mem::take(&mut self.buffer), end)
    }

    /// How the connection stands, looked at without waiting and without taking what came.
    pub fn standing(&mut self) -> End {
        loop {
            if let Err(end) = self.fill(Instant::now()) {
                return end;
            }
        }
    }

    /// Whether nothing comes and nobody closes for this long.
    pub fn is_quiet_for(&mut self, time: Duration) -> bool {
        self.buffer.is_empty() && self.fill(Instant::now() + time) == Err(End::Open)
    }

    /// What came and was not taken, for messages.
    pub fn seen(&self) -> String {
        String::from_utf8_lossy(&self.buffer[..self.buffer.len().min(512)]).into_owned()
    }

    fn take_head(&mut self) -> Result<Message, End> {
        let head = self.take_until(b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&head);
        let mut lines = head.trim_end().split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        Ok(Message { start, fields: lines.filter_map(field).collect(), ..Message::default() })
    }

    fn take_chunks(&mut self, message: &mut Message) -> Result<(), End> {
        loop {
            let line = self.take_until(b"\r\n")?;
            let line = String::from_utf8_lossy(&line);
            let digits = line.trim_end().split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("{line:?} is no chunk size"));
            if size == 0 {
                break;
            }
            message.body.extend(self.take(size)?);
            self.take(2)?;
        }
        loop {
            let line = self.take_until(b"\r\n")?;
            let line = String::from_utf8_lossy(&line);
            match field(line.trim_end()) {
                Some(trailer) => message.trailers.push(trailer),
                None => return Ok(()),
            }
        }
    }

    fn take_until(&mut self, needle: &[u8]) -> Result<Vec<u8>, End> {
        let deadline = Instant::now() + self.limit;
        let mut searched = 0;
        loop {
            if let Some(at) = self.buffer[searched..].windows(needle.len()).position(|window| window == needle) {
                return self.take(searched + at + needle.len());
            }
            searched = self.buffer.len().saturating_sub(needle.len());
            self.fill(deadline)?;
        }
    }

    fn take(&mut self, count: usize) -> Result<Vec<u8>, End> {
        let deadline = Instant::now() + self.limit;
        while self.buffer.len() < count {
            self.fill(deadline)?;
        }
        let rest = self.buffer.split_off(count);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    fn fill(&mut self, deadline: Instant) -> Result<(), End> {
        let mut bytes = [0; 16 * 1024];
        loop {
            match recv(&self.socket, &mut bytes[..], RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Err(End::Closed),
                Ok((count, _)) => {
                    self.buffer.extend_from_slice(&bytes[..count]);
                    self.received += count as u64;
                    return Ok(());
                }
                Err(Errno::AGAIN) if self.ready(PollFlags::IN, deadline) => (),
                Err(Errno::AGAIN) => return Err(End::Open),
                Err(Errno::INTR) => (),
                Err(_) => return Err(End::Reset),
            }
        }
    }

    fn ready(&self, events: PollFlags, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).expect("limits are short");
        let mut polled = [PollFd::from_borrowed_fd(self.socket.as_fd(), events)];
        matches!(poll(&mut polled, Some(&left)), Ok(1..) | Err(Errno::INTR))
    }
}

fn field(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    Some((name.to_owned(), value.trim().to_owned()))
}
