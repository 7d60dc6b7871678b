//! A small load, and what its client saw.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two requests: twenty a second.
const PACE: Duration = Duration::from_millis(50);

/// A client gives up on a director after this long.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers are small files; a longer one is no answer of ours.
const ANSWER_MAX: u64 = 64 * 1024;

/// What the client saw so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Answers by the origin that gave them.
    pub(super) by_origin: BTreeMap<String, u64>,
    /// Requests that the first director did not answer and the other did.
    pub(super) retried: u64,
    /// Requests that nobody answered.
    pub(super) failed: u64,
    /// The longest wait for an answer in the last second or so.
    pub(super) slowest: Duration,
}

impl Seen {
    /// Requests that were answered.
    pub(super) fn answered(&self) -> u64 {
        self.by_origin.values().sum()
    }
}

/// The client's thread.
pub(super) struct Load {
    seen: Arc<Mutex<Seen>>,
    ending: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Load {
    /// Asks the directors in turn, and the other one when one does not answer, as a client does whose name has two
    /// addresses.
    pub(super) fn start(directors: Vec<SocketAddr>) -> Load {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let ending = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (seen, ending) = (Arc::clone(&seen), Arc::clone(&ending));
            move || ask_until(&ending, &directors, &seen)
        });
        Load { seen, ending, thread }
    }

    /// What was seen so far; the slowest answer is forgotten by it.
    pub(super) fn seen(&self) -> Seen {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = seen.clone();
        seen.slowest = Duration::ZERO;
        now
    }

    /// Ends the thread.
    pub(super) fn stop(self) -> Seen {
        self.ending.store(true, Ordering::Relaxed);
        // What it saw before it failed is still worth telling.
        let _ = self.thread.join();
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn ask_until(ending: &AtomicBool, directors: &[SocketAddr], seen: &Mutex<Seen>) {
    let mut first = 0;
    while !ending.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let turn = (0..directors.len()).map(|more| directors[(first + more) % directors.len()]);
        let answer = turn.enumerate().find_map(|(tries, director)| Some((tries, ask(director)?)));
        first += 1;
        let took = begun.elapsed();
        {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            match answer {
                Some((tries, origin)) => {
                    *seen.by_origin.entry(origin).or_default() += 1;
                    seen.retried += u64::from(tries > 0);
                    seen.slowest = seen.slowest.max(took);
                }
                None => seen.failed += 1,
            }
        }
        std::thread::sleep(PACE.saturating_sub(took));
    }
}

/// The origin that answered, if one did whole.
pub(super) fn ask(director: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&director, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    write!(stream, "GET /hello.txt HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer).ok()?;
    origin_of(std::str::from_utf8(&answer).ok()?)
}

fn origin_of(answer: &str) -> Option<String> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let whole = head.starts_with("HTTP/1.1 200 ") && body == super::cluster::HELLO;
    let mut fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let (_, origin) = fields.find(|(name, _)| name.eq_ignore_ascii_case("x-origin"))?;
    whole.then(|| origin.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_answers_count_for_their_origin() {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 18\r\nX-Origin: beta\r\n\r\n";
        let whole = format!("{head}{}", super::super::cluster::HELLO);
        assert_eq!(origin_of(&whole).as_deref(), Some("beta"));
        assert_eq!(origin_of(&whole[..whole.len() - 1]), None);
        assert_eq!(origin_of(&whole.replace("200 OK", "503 No")), None);
        assert_eq!(origin_of(""), None);
    }
}
