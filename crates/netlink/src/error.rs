use std::io;
use std::time::Duration;

/// What a change that succeeded did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was made.
    Changed,
    /// Nothing had to be: what was to be added is there, what was to be removed is not.
    AlreadySo,
}

/// Why something cannot be told or changed; each begins with what was tried.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused it, or the socket failed.
    #[error("{tried}: {reason}")]
    Refused {
        /// As in "adding 10.0.0.9/24 to eth0".
        tried: String,
        /// With the errno.
        reason: io::Error,
    },
    /// Another one with the same key is there, and is not what was asked for.
    #[error("{tried}: {present} is there already")]
    Occupied {
        /// As above.
        tried: String,
        /// What is there.
        present: String,
    },
    /// The kernel lacks what it takes.
    #[error("{tried}: {what}")]
    Absent {
        /// As above.
        tried: String,
        /// What, and which module has it.
        what: String,
    },
    /// The answer did not come.
    #[error("{tried}: the kernel has not answered within {waited:?}; whether it was done is not known")]
    NoAnswer {
        /// As above.
        tried: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The answer was not understood.
    #[error("{tried}: the kernel's answer is no message that is understood")]
    Malformed {
        /// As above.
        tried: String,
    },
    /// The list changed each time while it was told.
    #[error("{tried}: it changed while it was read, {attempts} times")]
    Changing {
        /// As above.
        tried: String,
        /// How often it was read.
        attempts: usize,
    },
}

impl Error {
    pub(crate) fn refused(tried: impl Into<String>, reason: impl Into<io::Error>) -> Error {
        Error::Refused { tried: tried.into(), reason: reason.into() }
    }

    /// The errno, if the kernel refused with one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Error::Refused { reason, .. } => reason.raw_os_error(),
            _ => None,
        }
    }
}
