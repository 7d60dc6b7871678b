//! Clients that keep their connections and ask until told to stop, and an exact account of how each was served.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::{End, Host, Message, SOON, Wire, wait_for};

/// The longest load: a test that forgot to stop one ends all the same.
const LONGEST: Duration = Duration::from_secs(120);

/// What each client of a load does.
#[derive(Clone, Debug)]
pub struct LoadShape {
    /// Clients at once, each with a connection and a thread.
    pub clients: usize,
    /// The request line's target.
    pub path: String,
    /// Whether each request has a connection of its own.
    pub fresh: bool,
    /// Silence of a client between an answer and its next request.
    pub pause: Duration,
}

impl Default for LoadShape {
    fn default() -> LoadShape {
        LoadShape { clients: 8, path: "/".to_owned(), fresh: false, pause: Duration::from_millis(2) }
    }
}

/// A running load. Dropping it stops it.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    shared: Arc<Mutex<Tally>>,
    threads: Vec<JoinHandle<()>>,
}

/// How the clients of a load were served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Whole answers with status 200.
    pub ok: u64,
    /// Connections made.
    pub connections: u64,
    /// Connections closed after an answer that had said so.
    pub closed_announced: u64,
    /// Kept connections that a client found closed before it sent its next request: it lost nothing.
    pub closed_idle: u64,
    /// Kept connections closed between a request sent and the first byte of its answer; the request was sent again on a new connection.
    pub closed_under_request: u64,
    /// Other statuses.
    pub statuses: BTreeMap<u16, u64>,
    /// Connections not taken.
    pub refused: u64,
    /// Answers that began and did not end.
    pub cut: u64,
    /// New connections closed without a byte of an answer.
    pub dropped: u64,
    /// Requests without an answer for ten seconds.
    pub unanswered: u64,
    /// How often each body came, by its first line; at most sixteen of them are told apart.
    pub bodies: BTreeMap<String, u64>,
}

impl Tally {
    /// Requests that a client would have to report as failed.
    pub fn failed(&self) -> u64 {
        self.statuses.values().sum::<u64>() + self.refused + self.cut + self.dropped + self.unanswered
    }
}

impl Load {
    /// Starts clients on a host that ask this address and port.
    pub fn start(host: &Host, to: &str, shape: &LoadShape) -> Load {
        let (stop, shared) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Tally::default())));
        let threads = (0..shape.clients).map(|_| {
            let client = Client {
                host: host.clone(),
                to: to.to_owned(),
                request: format!("GET {} HTTP/1.1\r\nHost: {to}\r\nUser-Agent: lab-load\r\n\r\n", shape.path),
                fresh: shape.fresh,
                pause: shape.pause,
                stop: Arc::clone(&stop),
                shared: Arc::clone(&shared),
            };
            std::thread::spawn(move || client.run())
        });
        Load { threads: threads.collect(), stop, shared }
    }

    /// The account so far.
    pub fn tally(&self) -> Tally {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until so many further requests were answered well.
    ///
    /// # Panics
    /// If they are not within ten seconds.
    #[track_caller]
    pub fn wait_for_more(&self, requests: u64) {
        let wanted = self.tally().ok + requests;
        wait_for(SOON, &format!("{requests} more good answers to the load"), || self.tally().ok >= wanted);
    }

    /// Stops the clients after their current request: the final account.
    pub fn finish(mut self) -> Tally {
        self.stop_all();
        self.tally()
    }

    fn stop_all(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A client that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop_all();
    }
}

struct Client {
    host: Host,
    to: String,
    request: String,
    fresh: bool,
    pause: Duration,
    stop: Arc<AtomicBool>,
    shared: Arc<Mutex<Tally>>,
}

impl Client {
    fn run(&self) {
        let deadline = Instant::now() + LONGEST;
        let mut kept = None;
        while !self.stop.load(Ordering::Relaxed) && Instant::now() < deadline {
            kept = self.ask(kept).filter(|_| !self.fresh);
            std::thread::sleep(self.pause);
        }
    }

    /// One request, on the kept connection if there is one; the connection to keep.
    fn ask(&self, kept: Option<Wire>) -> Option<Wire> {
        if let Some(mut wire) = kept {
            if wire.standing() != End::Open {
                self.note(|tally| tally.closed_idle += 1);
            } else {
                let (answer, began) = self.exchange(&mut wire);
                if began || !matches!(answer, Err(End::Closed | End::Reset)) {
                    return self.judge(wire, answer, began);
                }
                self.note(|tally| tally.closed_under_request += 1);
            }
        }
        let Ok(mut wire) = self.host.try_connect(&self.to) else {
            self.note(|tally| tally.refused += 1);
            return None;
        };
        self.note(|tally| tally.connections += 1);
        let (answer, began) = self.exchange(&mut wire);
        self.judge(wire, answer, began)
    }

    /// What came of a request, and whether any byte did.
    fn exchange(&self, wire: &mut Wire) -> (Result<Message, End>, bool) {
        let before = wire.received();
        let answer = wire.try_send(&self.request).map_err(|_| End::Reset).and_then(|()| wire.try_answer());
        (answer, wire.received() > before)
    }

    fn judge(&self, wire: Wire, answer: Result<Message, End>, began: bool) -> Option<Wire> {
        match answer {
            Ok(answer) => {
                self.note(|tally| {
                    match answer.status() {
                        200 => tally.ok += 1,
                        status => *tally.statuses.entry(status).or_default() += 1,
                    }
                    let line = answer.text().lines().next().unwrap_or_default().to_owned();
                    if tally.bodies.len() < 16 || tally.bodies.contains_key(&line) {
                        *tally.bodies.entry(line).or_default() += 1;
                    }
                    tally.closed_announced += u64::from(answer.closes());
                });
                (!answer.closes()).then_some(wire)
            }
            Err(end) => {
                self.note(|tally| match (end, began) {
                    (End::Open, _) => tally.unanswered += 1,
                    (_, true) => tally.cut += 1,
                    (_, false) => tally.dropped += 1,
                });
                None
            }
        }
    }

    fn note(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
