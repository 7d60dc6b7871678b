//! How long answers take while the program has half of what it can bear: requests come when they come, not when the last
//! answer is there, and each is timed from the moment when it was due.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::num::NonZeroU64;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::case::{Case, Contestant, SMALL_CONNECTIONS};
use crate::load::{Expected, connect, read_head, request};
use crate::machine::{self, OTHER_CORE};
use crate::measure::{self, Outcome, Plan, Row, Sample, Unit};

/// Of what the slowest contestant bears.
const LOAD: f64 = 0.5;

/// So many requests due and not sent mean that the program cannot follow.
const LATE_MAX: usize = 100_000;

/// How long the last answers may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// All contestants in turn at one rate.
///
/// # Errors
/// If fewer than two of them do the work rightly.
pub(crate) fn measure(
    case: Case,
    contestants: &[Contestant],
    plan: &Plan,
    expected: &Expected,
    folder: &Path,
) -> anyhow::Result<Outcome> {
    let load = |port, round| case.load(port, round);
    let running = measure::start_all(contestants, expected, folder, &load)?;
    let rates = running.iter().map(|started| started.warmed.requests as f64 / started.warmed.elapsed.as_secs_f64());
    let rate = rates.fold(f64::INFINITY, f64::min) * LOAD;
    let name = |name: &str| format!("{name}, {rate:.0} requests/s");
    let mut rows: Vec<Row> =
        running.iter().map(|started| Row { name: name(&started.name), samples: Vec::new() }).collect();
    for round in 0..plan.rounds {
        for turn in 0..running.len() {
            let place = (round + turn) % running.len();
            // The same moments for each of a round.
            let times =
                machine::on_core(OTHER_CORE, || open_loop(running[place].port, expected, rate, plan.round, round))?;
            rows[place].samples.push(percentiles(times?)?);
        }
    }
    Ok(Outcome { case, unit: Unit::Latency, rows })
}

fn percentiles(mut times: Vec<Duration>) -> anyhow::Result<Sample> {
    times.sort_unstable();
    let at = |part: f64| {
        let place = (times.len() as f64 * part) as usize;
        times.get(place.min(times.len().saturating_sub(1))).map(|time| time.as_secs_f64() * 1e6)
    };
    let (Some(cost), Some(own), Some(rate)) = (at(0.5), at(0.99), at(0.999)) else { bail!("nothing was asked") };
    Ok(Sample { cost, own, rate, foreign: 0.0 })
}

/// A connection of the generator's.
struct Asker {
    stream: TcpStream,
    /// When the request on its way was due.
    due: Instant,
    /// Bytes of its answer still to come.
    left: usize,
}

/// Sends requests at chance moments, on average `rate` a second, for `round`: how long each took.
fn open_loop(port: u16, expected: &Expected, rate: f64, round: Duration, seed: usize) -> anyhow::Result<Vec<Duration>> {
    // Sleeps end on time; a kernel that has no such setting is late for all programs alike.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    let asked = request(expected.path);
    let answer_bytes = answer_bytes(port, expected)?;
    let events = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut askers = Vec::new();
    for place in 0..u64::from(SMALL_CONNECTIONS) {
        let stream = connect(port)?;
        epoll::add(&events, &stream, EventData::new_u64(place), EventFlags::IN)?;
        askers.push(Asker { stream, due: Instant::now(), left: 0 });
    }
    let mut idle: VecDeque<usize> = (0..askers.len()).collect();
    let (mut late, mut times) = (VecDeque::new(), Vec::new());
    let mut gaps = Gaps { state: seed as u64 + 1, mean: 1.0 / rate };
    let mut buffer = vec![0; answer_bytes];
    let began = Instant::now();
    let mut next = began;
    while next < began + round || idle.len() < askers.len() || !late.is_empty() {
        while next <= Instant::now() && next < began + round {
            late.push_back(next);
            next += gaps.next();
        }
        while let (Some(&due), Some(&place)) = (late.front(), idle.front()) {
            askers[place].due = due;
            askers[place].left = answer_bytes;
            askers[place].stream.write_all(&asked)?;
            late.pop_front();
            idle.pop_front();
        }
        if late.len() > LATE_MAX || began.elapsed() > round + PATIENCE {
            bail!("{} requests were due and not sent: the program does not bear {rate:.0}/s", late.len());
        }
        for place in ready(&events, next)? {
            let asker = &mut askers[place];
            let read = asker.stream.read(&mut buffer[..asker.left.max(1)])?;
            if read == 0 || read > asker.left || (asker.left == answer_bytes && !buffer.starts_with(b"HTTP/1.1 200")) {
                bail!("a wrong answer under load");
            }
            asker.left -= read;
            if asker.left == 0 {
                times.push(asker.due.elapsed());
                idle.push_back(place);
            }
        }
    }
    Ok(times)
}

/// Connections with something to read, awaited until `next`, or for a moment if that has passed.
fn ready(events: &impl std::os::fd::AsFd, next: Instant) -> anyhow::Result<Vec<usize>> {
    let wait = next.saturating_duration_since(Instant::now());
    // What is due in the past is either sent already or waits for an answer: then it is that which wakes.
    let wait = if wait.is_zero() { Duration::from_millis(1) } else { wait };
    let wait = Timespec { tv_sec: wait.as_secs().cast_signed(), tv_nsec: i64::from(wait.subsec_nanos()) };
    // epoll's own time-out counts milliseconds.
    match poll(&mut [PollFd::new(events, PollFlags::IN)], Some(&wait)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
        other => other?,
    };
    let mut ready = Vec::with_capacity(SMALL_CONNECTIONS as usize);
    epoll::wait(events, rustix::buffer::spare_capacity(&mut ready), Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    ready.iter().map(|event| usize::try_from(event.data.u64()).context("a place")).collect()
}

/// The bytes of one answer with its head, which is the same each time.
fn answer_bytes(port: u16, expected: &Expected) -> anyhow::Result<usize> {
    let mut stream = connect(port)?;
    stream.write_all(&request(expected.path))?;
    let mut counted = Counted { stream: &mut stream, bytes: 0 };
    let head = read_head(&mut counted)?;
    if head.status != expected.status {
        bail!("answers {}", head.status);
    }
    Ok(counted.bytes + usize::try_from(head.length)?)
}

struct Counted<'s> {
    stream: &'s mut TcpStream,
    bytes: usize,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.stream.read(buffer)?;
        self.bytes += read;
        Ok(read)
    }
}

/// Times between arrivals that know nothing of each other: exponential, by chance that a seed repeats (xorshift64).
struct Gaps {
    state: u64,
    /// In seconds.
    mean: f64,
}

impl Gaps {
    fn next(&mut self) -> Duration {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        // 53 bits, as many as the number holds; never zero.
        let part = ((self.state >> 11) as f64 + 1.0) / ((1_u64 << 53) as f64 + 1.0);
        Duration::from_secs_f64(-part.ln() * self.mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let times = (1..=1000).rev().map(Duration::from_micros).collect();
        let sample = percentiles(times).expect("there are some");
        assert_eq!([sample.cost.round(), sample.own.round(), sample.rate.round()], [501.0, 991.0, 1000.0]);
        assert!(percentiles(Vec::new()).is_err());
    }

    #[test]
    fn gaps_have_their_mean() {
        let mut gaps = Gaps { state: 1, mean: 1e-3 };
        let sum: Duration = (0..10_000).map(|_| gaps.next()).sum();
        assert!((9.0..11.0).contains(&sum.as_secs_f64()), "{sum:?}");
    }
}
