//! What applications write on their error streams, on its way to the log: written by a thread of its own, for no worker
//! waits for whoever reads the log.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use proxy::Complaints;
use proxy::config::{Backend, ProxyConfig};

use crate::log;

/// Complaints that wait to be written; those that come meanwhile are counted and lost.
const WAITING_MAX: usize = 256;

/// Lines in a second: an application that says more repeats itself.
const LINES_MAX: u32 = 100;

/// What is written of one complaint.
const LINE_BYTES_MAX: usize = 4 * 1024;

/// Backend, server, what it said.
type Complaint = (u16, u16, Vec<u8>);

/// A listener that has a thread log what it hears.
pub(super) fn logged(config: &ProxyConfig) -> io::Result<Complaints> {
    let (sender, receiver) = sync_channel::<Complaint>(WAITING_MAX);
    let lost = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&lost);
    let backends: Vec<Backend> = config.backends.clone();
    std::thread::Builder::new()
        .name("complaints".to_owned())
        .spawn(move || write_all(&receiver, &backends, &counted))?;
    Ok(Box::new(move |backend, server, complaint| {
        let said = complaint[..complaint.len().min(LINE_BYTES_MAX)].to_vec();
        if let Err(TrySendError::Full(_)) = sender.try_send((backend.0, server.0, said)) {
            lost.fetch_add(1, Ordering::Relaxed);
        }
    }))
}

/// How many lines of this second are written.
struct Second {
    began: Instant,
    lines: u32,
}

impl Second {
    fn new(now: Instant) -> Second {
        Second { began: now, lines: 0 }
    }

    /// Begins the next if it is time.
    fn turn(&mut self, now: Instant) -> bool {
        let is_over = now.saturating_duration_since(self.began) >= Duration::from_secs(1);
        if is_over {
            *self = Second::new(now);
        }
        is_over
    }

    /// Whether one more may be written.
    fn takes(&mut self) -> bool {
        let takes = self.lines < LINES_MAX;
        self.lines += u32::from(takes);
        takes
    }
}

fn write_all(complaints: &Receiver<Complaint>, backends: &[Backend], lost: &AtomicU64) {
    let mut second = Second::new(Instant::now());
    for (backend, server, said) in complaints {
        if second.turn(Instant::now()) {
            let lost = lost.swap(0, Ordering::Relaxed);
            if lost > 0 {
                log::warn("applications complained more than is written down", &[("lost", &lost)]);
            }
        }
        let Some(backend) = backends.get(usize::from(backend)) else { continue };
        let server = backend.pool.servers.get(usize::from(server)).map_or("", |server| server.name.as_str());
        for line in lines_of(&said) {
            if !second.takes() {
                lost.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            log::warn("an application complains", &[("backend", &backend.name), ("server", &server), ("said", &line)]);
        }
    }
}

/// The lines that say something; what is no text is shown as such.
fn lines_of(said: &[u8]) -> Vec<String> {
    let lines = said.split(|byte| matches!(byte, b'\n' | b'\r' | 0)).map(<[u8]>::trim_ascii);
    lines.filter(|line| !line.is_empty()).map(|line| String::from_utf8_lossy(line).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_lines_are_written_in_a_second() {
        let began = Instant::now();
        let after = |millis| began + Duration::from_millis(millis);
        let mut second = Second::new(began);
        assert!((0..100).all(|_| second.takes()));
        assert!(!second.takes() && !second.turn(after(999)) && !second.takes());
        assert!(second.turn(after(1000)));
        assert!((0..100).all(|_| second.takes()) && !second.takes());
        assert!(!second.turn(after(1999)) && second.turn(after(2000)));
    }

    #[test]
    fn a_complaint_is_the_lines_that_say_something() {
        assert_eq!(lines_of(b"PHP message: a\r\n\n  b\0"), ["PHP message: a", "b"]);
        assert_eq!(lines_of(b"\xff"), ["\u{fffd}"]);
        assert!(lines_of(b"\n \n").is_empty());
    }
}
