//! Who answers at an address, asked every millisecond.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::net::sockopt;

use crate::Host;

/// Between two questions.
const ASK_EVERY: Duration = Duration::from_millis(1);

/// How long a thread may take to see that it is to end.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Room for the questions of a second, should a thread not come to its turn.
const RECEIVE_ROOM: usize = 1 << 20;

/// Answers each datagram to a port of a host, at any of its addresses, with the host's name. Dropping it ends it.
#[derive(Debug)]
pub struct Echo {
    answers: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    /// Starts to answer.
    ///
    /// # Panics
    /// If the port is taken.
    #[track_caller]
    pub fn start(host: &Host, port: u16) -> Echo {
        let any = if host.address().is_ipv4() { "0.0.0.0" } else { "::" };
        let socket = host.in_namespace(|| UdpSocket::bind((any, port))).expect("the port is free");
        prepare(&socket);
        let (answers, stop) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        let (its_answers, its_stop, name) = (answers.clone(), stop.clone(), host.name().to_owned());
        let thread = host.thread(move || {
            let mut buffer = [0; 8];
            while !its_stop.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                if its_answers.load(Ordering::Relaxed) {
                    let answer = [&buffer[..length], name.as_bytes()].concat();
                    // A link that is down takes nothing.
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Echo { answers, stop, thread: Some(thread) }
    }

    /// From now on nothing is answered.
    pub fn fall_silent(&self) {
        self.answers.store(false, Ordering::Relaxed);
    }

    /// Answers again.
    pub fn speak(&self) {
        self.answers.store(true, Ordering::Relaxed);
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Who has answered so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Questions.
    pub asked: u64,
    /// Answers of each host.
    pub by: BTreeMap<String, u64>,
    /// The last answer: when, and whose.
    pub last: Option<(Instant, String)>,
    /// The longest time between two answers since the last [`Probe::begin`], or from it to the first answer, and the end
    /// of that time.
    pub longest_silence: Option<(Duration, Instant)>,
}

/// Asks an address every millisecond. Dropping it ends it.
#[derive(Debug)]
pub struct Probe {
    shared: Arc<Mutex<Answers>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Probe {
    /// Asks whoever has an address, from a host.
    ///
    /// # Panics
    /// If the host cannot have a socket.
    #[track_caller]
    pub fn start(host: &Host, address: IpAddr, port: u16) -> Probe {
        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = host.in_namespace(|| UdpSocket::bind(any)).expect("a free port");
        prepare(&socket);
        let asking = socket.try_clone().expect("a descriptor is free");
        let (shared, stop) = (Arc::new(Mutex::new(Answers::default())), Arc::new(AtomicBool::new(false)));
        let threads = vec![
            thread::spawn({
                let (shared, stop) = (shared.clone(), stop.clone());
                move || ask(&asking, SocketAddr::new(address, port), &shared, &stop)
            }),
            thread::spawn({
                let (shared, stop) = (shared.clone(), stop.clone());
                move || listen(&socket, &shared, &stop)
            }),
        ];
        Probe { shared, stop, threads }
    }

    /// What has come so far.
    pub fn answers(&self) -> Answers {
        self.lock().clone()
    }

    /// Forgets the silences so far.
    pub fn begin(&self) {
        self.lock().longest_silence = None;
    }

    /// Whose the last answer was, if it is fresh.
    pub fn answered_by(&self) -> Option<String> {
        let (at, name) = self.lock().last.clone()?;
        (at.elapsed() < LOOK_EVERY).then_some(name)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Answers> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn prepare(socket: &UdpSocket) {
    socket.set_read_timeout(Some(LOOK_EVERY)).expect("it is not zero");
    let _ = sockopt::set_socket_recv_buffer_size(socket, RECEIVE_ROOM);
}

fn ask(socket: &UdpSocket, to: SocketAddr, shared: &Mutex<Answers>, stop: &AtomicBool) {
    let mut next = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let asked = {
            let mut answers = shared.lock().unwrap_or_else(PoisonError::into_inner);
            answers.asked += 1;
            answers.asked
        };
        // Nobody may be there: a link is down, or no host has the address.
        let _ = socket.send_to(&asked.to_be_bytes(), to);
        next += ASK_EVERY;
        let now = Instant::now();
        // Late questions are not made good: they would be answered all at once.
        next = next.max(now);
        thread::sleep(next - now);
    }
}

fn listen(socket: &UdpSocket, shared: &Mutex<Answers>, stop: &AtomicBool) {
    let mut buffer = [0; 64];
    while !stop.load(Ordering::Relaxed) {
        let length = match socket.recv_from(&mut buffer) {
            Ok((length, _)) => length,
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) =>
            {
                continue;
            }
            // An answer of the kernel's that nobody is there.
            Err(_) => continue,
        };
        let now = Instant::now();
        let name = String::from_utf8_lossy(buffer.get(8..length).unwrap_or_default()).into_owned();
        let mut answers = shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((before, _)) = &answers.last {
            let silence = now - *before;
            if answers.longest_silence.is_none_or(|(longest, _)| silence > longest) {
                answers.longest_silence = Some((silence, now));
            }
        }
        *answers.by.entry(name.clone()).or_default() += 1;
        answers.last = Some((now, name));
    }
}
