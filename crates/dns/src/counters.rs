use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a question was answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Addresses that are up, or all of them while none is.
    Addresses,
    /// The name's SOA or NS record.
    Zone,
    /// The name has no record of this type, or none that is up.
    NoData,
    /// There is no such name below ours.
    NoName,
    /// Nothing that this service speaks of.
    Refused,
    /// The message is malformed.
    Malformed,
    /// Another operation than a query.
    NotImplemented,
    /// A version of EDNS that nobody knows.
    BadVersion,
    /// The answer is too long for the client, who should ask again by TCP.
    Truncated,
    /// The source asks too much, and should ask again by TCP.
    Slipped,
}

/// Why a message, or a connection, had no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// Shorter than a header.
    Short,
    /// Longer than a question can be.
    Long,
    /// It is an answer itself.
    Response,
    /// The source asks too much.
    RateLimit,
    /// The answer could not be written or sent.
    Unsent,
    /// Too many connections, of all sources or of this one.
    Connections,
    /// A connection with nothing, or half of a message, for too long.
    Idle,
}

impl Answer {
    /// All of them.
    pub const ALL: [Answer; 10] = [
        Answer::Addresses,
        Answer::Zone,
        Answer::NoData,
        Answer::NoName,
        Answer::Refused,
        Answer::Malformed,
        Answer::NotImplemented,
        Answer::BadVersion,
        Answer::Truncated,
        Answer::Slipped,
    ];

    /// Its word in the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Answer::Addresses => "addresses",
            Answer::Zone => "zone",
            Answer::NoData => "no-data",
            Answer::NoName => "no-name",
            Answer::Refused => "refused",
            Answer::Malformed => "malformed",
            Answer::NotImplemented => "not-implemented",
            Answer::BadVersion => "bad-version",
            Answer::Truncated => "truncated",
            Answer::Slipped => "slipped",
        }
    }
}

impl Dropped {
    /// All of them.
    pub const ALL: [Dropped; 7] = [
        Dropped::Short,
        Dropped::Long,
        Dropped::Response,
        Dropped::RateLimit,
        Dropped::Unsent,
        Dropped::Connections,
        Dropped::Idle,
    ];

    /// Its word in the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Dropped::Short => "short",
            Dropped::Long => "long",
            Dropped::Response => "response",
            Dropped::RateLimit => "rate-limit",
            Dropped::Unsent => "unsent",
            Dropped::Connections => "connections",
            Dropped::Idle => "idle",
        }
    }
}

/// How often each of them happened.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    answers: [AtomicU64; Answer::ALL.len()],
    dropped: [AtomicU64; Dropped::ALL.len()],
}

impl Counters {
    pub(crate) fn answered(&self, answer: Answer) {
        self.answers[answer as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn dropped(&self, dropped: Dropped) {
        self.dropped[dropped as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn answers(&self) -> Vec<(Answer, u64)> {
        Answer::ALL.into_iter().zip(self.answers.iter().map(|count| count.load(Relaxed))).collect()
    }

    pub(crate) fn drops(&self) -> Vec<(Dropped, u64)> {
        Dropped::ALL.into_iter().zip(self.dropped.iter().map(|count| count.load(Relaxed))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_as_itself() {
        let counters = Counters::default();
        for (place, answer) in Answer::ALL.into_iter().enumerate() {
            assert_eq!(answer as usize, place);
            counters.answered(answer);
        }
        for (place, dropped) in Dropped::ALL.into_iter().enumerate() {
            assert_eq!(dropped as usize, place);
            counters.dropped(dropped);
        }
        assert!(counters.answers().iter().all(|(_, count)| *count == 1));
        assert!(counters.drops().iter().all(|(_, count)| *count == 1));
    }
}
