//! A client that fetches files through the cluster's one URL until nothing is left to fetch, and looks at every byte.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use super::work::{self, PIECE, Work};
use crate::machine;

/// The name that every client knows.
pub(crate) const CLUSTER: &str = "http.cluster.example";

/// Origins name themselves in this field.
pub(crate) const ORIGIN_FIELD: &str = "X-Origin";

/// How often a client tries to have the rest of a file.
const ATTEMPTS_MAX: u32 = 50;

/// Before it tries again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// How long it waits for a connection or a byte.
const PATIENCE: Duration = Duration::from_secs(20);

/// The largest head that it takes.
const HEAD_MAX: usize = 16 * 1024;

/// A kind of client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) agent: &'static str,
    pub(crate) follows: bool,
}

/// Every fourth client is one of them.
pub(crate) const KINDS: [Kind; 4] = [
    Kind { agent: "Wget/1.21.3", follows: true },
    Kind { agent: "curl/7.88.1", follows: false },
    Kind { agent: "Debian APT-HTTP/1.3 (2.7.14)", follows: true },
    Kind { agent: "iPXE/1.21.1", follows: false },
];

/// What the clients of a run share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) work: Arc<Work>,
    /// The next place of the list.
    pub(crate) next: AtomicUsize,
    pub(crate) delivered: AtomicU64,
    pub(crate) began: Instant,
    /// When a client first found nothing left to begin, and the bytes delivered by then.
    pub(crate) exhausted: OnceLock<(Duration, u64)>,
    /// Of each origin, as the clients see it.
    pub(crate) in_flight: Vec<AtomicU32>,
}

/// What a client did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Bytes by origin.
    pub(crate) bytes_from: Vec<u64>,
    /// Answers through the director, and straight from the origin.
    pub(crate) proxied: u64,
    pub(crate) redirected: u64,
    /// Attempts beyond the first of a file: because no connection was taken, an answer ended early, or a director said 5xx or 429.
    pub(crate) refused: u64,
    pub(crate) cut: u64,
    pub(crate) put_off: u64,
    /// What was wrong.
    pub(crate) errors: Vec<String>,
    /// When its last file was whole.
    pub(crate) ended: Duration,
}

/// A client of one kind at one director.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) director: SocketAddr,
    pub(crate) kind: Kind,
    pub(crate) shared: Arc<Shared>,
    pub(crate) tally: Tally,
    buffer: Vec<u8>,
}

/// Why an attempt did not bring a file.
enum Failure {
    Refused,
    Cut,
    PutOff,
    Wrong(String),
}

/// An answer's head; what came behind it is in the buffer from `rest` to `filled`.
struct Head {
    text: String,
    status: u16,
    rest: usize,
    filled: usize,
}

struct InFlight<'s>(&'s AtomicU32);

impl Client {
    pub(crate) fn new(director: SocketAddr, kind: Kind, shared: Arc<Shared>) -> Client {
        let tally = Tally { bytes_from: vec![0; shared.in_flight.len()], ..Tally::default() };
        Client { director, kind, shared, tally, buffer: vec![0; PIECE] }
    }

    /// Fetches until the list is at its end.
    pub(crate) fn run(mut self) -> Tally {
        while !machine::is_stopped() {
            let place = self.shared.next.fetch_add(1, Ordering::Relaxed);
            let Some(&file) = self.shared.work.list().get(place) else {
                let delivered = self.shared.delivered.load(Ordering::Relaxed);
                self.shared.exhausted.get_or_init(|| (self.shared.began.elapsed(), delivered));
                break;
            };
            if let Err(error) = self.fetch(file) {
                self.tally.errors.push(format!("{}, {}: {error}", self.kind.agent, work::name(file)));
            }
            self.tally.ended = self.shared.began.elapsed();
        }
        self.tally
    }

    /// Has a file whole, by as many attempts as it takes; each goes on where the last one ended, by the cluster's URL.
    fn fetch(&mut self, file: usize) -> Result<(), String> {
        let mut got = 0;
        for _ in 0..ATTEMPTS_MAX {
            match self.attempt(file, &mut got) {
                Ok(()) => return Ok(()),
                Err(Failure::Wrong(what)) => return Err(what),
                Err(Failure::Refused) => self.tally.refused += 1,
                Err(Failure::Cut) => self.tally.cut += 1,
                Err(Failure::PutOff) => self.tally.put_off += 1,
            }
            thread::sleep(RETRY_PAUSE);
        }
        Err(format!("not whole after {ATTEMPTS_MAX} attempts"))
    }

    fn attempt(&mut self, file: usize, got: &mut u64) -> Result<(), Failure> {
        let path = format!("/{}", work::name(file));
        let (mut stream, mut head) = self.ask(self.director, CLUSTER, &path, *got)?;
        let is_redirect = head.status == 302;
        if is_redirect {
            if !self.kind.follows {
                return Err(Failure::Wrong("was redirected, and cannot follow".to_owned()));
            }
            let to = head.field("location").unwrap_or_default();
            let (authority, path) =
                to.strip_prefix("http://").and_then(|rest| rest.split_once('/')).unwrap_or((to, ""));
            let address = authority.parse().or_else(|_| format!("{authority}:80").parse());
            let address = address.map_err(|_| Failure::Wrong(format!("redirected to {to:?}")))?;
            let (authority, path) = (authority.to_owned(), format!("/{path}"));
            (stream, head) = self.ask(address, &authority, &path, *got)?;
        }
        match head.status {
            200 => *got = 0,
            206 if head.field("content-range").is_some_and(|field| field.starts_with(&format!("bytes {got}-"))) => {}
            429 | 502..=504 => return Err(Failure::PutOff),
            status => return Err(Failure::Wrong(format!("the answer is {status}"))),
        }
        let size = self.shared.work.size(file);
        let length = head.field("content-length").and_then(|value| value.parse::<u64>().ok());
        if length != Some(size - *got) {
            return Err(Failure::Wrong(format!("{length:?} bytes, not {} from {got} on", size - *got)));
        }
        if is_redirect {
            self.tally.redirected += 1;
        } else {
            self.tally.proxied += 1;
        }
        self.take(&mut stream, &head, file, got)
    }

    /// Takes the body, and sees that it is the file's.
    fn take(&mut self, stream: &mut TcpStream, head: &Head, file: usize, got: &mut u64) -> Result<(), Failure> {
        let origin = head.field(ORIGIN_FIELD).and_then(|value| value.parse::<usize>().ok());
        let origin = origin.filter(|&origin| origin < self.tally.bytes_from.len());
        let origin = origin.ok_or_else(|| Failure::Wrong("no origin says that it is its answer".to_owned()))?;
        let shared = Arc::clone(&self.shared);
        let _counted = InFlight::new(&shared.in_flight[origin]);
        let (mut from, mut to) = (head.rest, head.filled);
        loop {
            let piece = &self.buffer[from..to];
            let left = shared.work.size(file) - *got;
            if piece.len() as u64 > left || !shared.work.is_right(file, *got, piece) {
                return Err(Failure::Wrong(format!("other bytes than the file's after {got}")));
            }
            *got += piece.len() as u64;
            self.tally.bytes_from[origin] += piece.len() as u64;
            shared.delivered.fetch_add(piece.len() as u64, Ordering::Relaxed);
            if *got == shared.work.size(file) {
                return Ok(());
            }
            match stream.read(&mut self.buffer) {
                Ok(1..) if machine::is_stopped() => return Err(Failure::Wrong("stopped".to_owned())),
                Ok(0) | Err(_) => return Err(Failure::Cut),
                Ok(read) => (from, to) = (0, read),
            }
        }
    }

    /// Sends a request on a connection of its own, as each of these programs does when it is started for a file.
    fn ask(&mut self, to: SocketAddr, host: &str, path: &str, from: u64) -> Result<(TcpStream, Head), Failure> {
        let range = if from > 0 { format!("Range: bytes={from}-\r\n") } else { String::new() };
        let agent = self.kind.agent;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nAccept: */*\r\n{range}\r\n");
        let connected = TcpStream::connect_timeout(&to, PATIENCE).and_then(|stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(stream)
        });
        let mut stream = connected.map_err(|_| Failure::Refused)?;
        let head = stream.write_all(request.as_bytes()).and_then(|()| self.head(&mut stream));
        Ok((stream, head.map_err(|_| Failure::Cut)?))
    }

    fn head(&mut self, stream: &mut TcpStream) -> io::Result<Head> {
        let mut filled = 0;
        loop {
            let read = stream.read(&mut self.buffer[filled..])?;
            filled += read;
            if let Some(end) = self.buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") {
                let text = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                let status = text.split(' ').nth(1).and_then(|word| word.parse().ok());
                let status = status.ok_or_else(|| io::Error::other("no status"))?;
                return Ok(Head { text, status, rest: end + 4, filled });
            }
            if read == 0 || filled > HEAD_MAX {
                return Err(io::Error::other("the head has no end"));
            }
        }
    }
}

impl Head {
    fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.text.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.find(|(its, _)| its.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

impl InFlight<'_> {
    fn new(count: &AtomicU32) -> InFlight<'_> {
        count.fetch_add(1, Ordering::Relaxed);
        InFlight(count)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
