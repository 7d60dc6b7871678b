//! Counters that workers write without a lock, and that a scrape sums.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use balance::ServerIndex;
use units::latency::{BOUNDS_MICROS, bucket_of};

use crate::config::BackendIndex;
use crate::held::StreamStats;

/// A number that one thread adds to and any thread reads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds; only the worker that owns the counter may call this.
    pub(crate) fn add(&self, more: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
    }

    /// Makes it `value`; only the worker that owns it may call this.
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The number now.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many durations fell below each of [`BOUNDS_MICROS`], and above the last.
#[derive(Debug, Default)]
pub struct Histogram {
    /// One a bound, and one for what is longer than the last.
    pub buckets: [Counter; BOUNDS_MICROS.len() + 1],
    /// All durations together, in microseconds.
    pub sum_micros: Counter,
}

impl Histogram {
    pub(crate) fn record(&self, duration: Duration) {
        self.buckets[bucket_of(duration)].add(1);
        self.sum_micros.add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }
}

/// Answers by the first digit of their status; the sixth counts requests that ended without one.
#[derive(Debug, Default)]
pub struct Classes(pub [Counter; 6]);

impl Classes {
    pub(crate) fn record(&self, status: u16) {
        let class = match status {
            100..600 => usize::from(status / 100) - 1,
            _ => 5,
        };
        self.0[class].add(1);
    }
}

/// TLS handshakes that went well; why others did not is among the reasons.
#[derive(Debug, Default)]
pub struct Handshakes {
    /// With all that belongs to one.
    pub full: Counter,
    /// Of peers that had a session from before.
    pub resumed: Counter,
}

impl Handshakes {
    /// One more, with `peer`.
    pub(crate) fn count(&self, peer: &tls::Peer) {
        if peer.is_resumed { &self.resumed } else { &self.full }.add(1);
    }
}

/// What one worker counted of one frontend.
#[derive(Debug, Default)]
pub struct FrontendStats {
    /// Connections accepted.
    pub connections: Counter,
    /// How those with TLS began.
    pub handshakes: Handshakes,
    /// Requests begun (TCP mode: connections).
    pub requests: Counter,
    /// Answers by class.
    pub answers: Classes,
    /// Bytes from clients.
    pub bytes_in: Counter,
    /// Bytes to clients.
    pub bytes_out: Counter,
    /// From a request's first byte to its answer's last.
    pub total: Histogram,
    /// Why requests were refused or ended early, in step with [`crate::Reason::all`].
    pub reasons: Vec<Counter>,
    /// How long the bytes of its streams were here.
    pub streams: StreamStats,
}

/// What one worker counted of one backend or of one server.
#[derive(Debug, Default)]
pub struct ServerStats {
    /// Requests sent (TCP mode: connections).
    pub requests: Counter,
    /// Answers by class.
    pub answers: Classes,
    /// Bytes to servers.
    pub bytes_in: Counter,
    /// Bytes from servers.
    pub bytes_out: Counter,
    /// Connections that could not be made.
    pub connect_errors: Counter,
    /// Answers that were malformed, late or cut off.
    pub response_errors: Counter,
    /// Requests sent again.
    pub retries: Counter,
    /// Requests sent again to another server.
    pub redispatches: Counter,
    /// Connections made.
    pub opened: Counter,
    /// How those with TLS began.
    pub handshakes: Handshakes,
    /// Requests sent on a connection that had served before.
    pub reused: Counter,
    /// Idle connections that the worker keeps to a server; not counted for backends.
    pub idle: Counter,
    /// Clients sent to it by a redirect.
    pub redirected: Counter,
    /// Requests of clients whose server was remembered; counted for backends only.
    pub stick_hits: Counter,
    /// Requests of clients whose server could have been remembered and was not; counted for backends only.
    pub stick_misses: Counter,
    /// Requests that the client gave up.
    pub aborted: Counter,
    /// From a request's last byte sent to its answer's head.
    pub first_byte: Histogram,
    /// From a request's first byte to its answer's last.
    pub total: Histogram,
    /// Time in the queue, in microseconds, of all requests together.
    pub queued_micros: Counter,
}

/// What one worker's handlers have to send, and have sent.
#[derive(Debug, Default)]
pub struct Sending {
    /// Bytes of all bodies begun, whole.
    pub promised: Counter,
    /// Bytes of them that the kernel has taken.
    pub sent: Counter,
    /// Bytes of them that are not sent any more: the client has gone, or the file was cut.
    pub given_up: Counter,
    /// Answers under way.
    pub under_way: Counter,
}

/// A handler's answer in its worker's [`Sending`], for as long as it is under way.
pub(crate) struct SendingGuard<'a> {
    /// `None`: it is not counted.
    sending: Option<&'a Sending>,
    left: u64,
}

impl Sending {
    /// An answer with a body of `promised` bytes begins. Only the worker that owns the counters may call this.
    pub(crate) fn begin(&self, promised: u64) -> SendingGuard<'_> {
        self.promised.add(promised);
        self.under_way.add(1);
        SendingGuard { sending: Some(self), left: promised }
    }
}

impl SendingGuard<'_> {
    /// An answer that is not counted.
    pub(crate) const UNCOUNTED: SendingGuard<'static> = SendingGuard { sending: None, left: 0 };

    /// The kernel has taken `bytes` more of the body.
    pub(crate) fn sent(&mut self, bytes: u64) {
        if let Some(sending) = self.sending {
            sending.sent.add(bytes);
            self.left = self.left.saturating_sub(bytes);
        }
    }
}

impl Drop for SendingGuard<'_> {
    fn drop(&mut self) {
        if let Some(sending) = self.sending {
            sending.given_up.add(self.left);
            sending.under_way.set(sending.under_way.value().saturating_sub(1));
        }
    }
}

/// Everything one worker counts.
#[derive(Debug)]
pub struct WorkerStats {
    /// In step with the configuration's frontends.
    pub frontends: Vec<FrontendStats>,
    /// In step with the configuration's backends.
    pub backends: Vec<ServerStats>,
    /// In step with each backend's servers.
    pub servers: Vec<Vec<ServerStats>>,
    /// What its handlers have to send.
    pub sending: Sending,
    /// Lines of the access log that were dropped because nobody took them.
    pub log_lost: Counter,
}

impl WorkerStats {
    /// What is counted of a server, and of its backend.
    pub(crate) fn of_server(&self, backend: BackendIndex, server: ServerIndex) -> [&ServerStats; 2] {
        let backend = usize::from(backend.0);
        [&self.backends[backend], &self.servers[backend][usize::from(server.0)]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_promised_is_sent_or_given_up() {
        let sending = Sending::default();
        let counted = || {
            let Sending { promised, sent, given_up, under_way } = &sending;
            [promised.value(), sent.value(), given_up.value(), under_way.value()]
        };
        let mut first = sending.begin(1000);
        let mut second = sending.begin(50);
        first.sent(300);
        second.sent(50);
        drop(SendingGuard::UNCOUNTED);
        assert_eq!(counted(), [1050, 350, 0, 2]);
        drop(second);
        assert_eq!(counted(), [1050, 350, 0, 1]);
        drop(first);
        assert_eq!(counted(), [1050, 350, 700, 0]);
    }
}
