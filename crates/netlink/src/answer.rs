//! What the kernel answers to requests.

use std::io;

use rustix::io::Errno;

use crate::Error;
use crate::codec::{DONE, ERROR, INTERRUPTED, Malformed, Message, Messages, number};

/// The kernel's answer to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is done.
    Done,
    /// It is refused, or the socket failed.
    Errno(Errno),
    /// None came in time.
    Silence,
}

impl Answer {
    /// The answer that a failed socket stands for.
    pub(crate) fn failed(error: &io::Error) -> Answer {
        Answer::Errno(Errno::from_io_error(error).unwrap_or(Errno::IO))
    }

    /// Of what was tried.
    pub(crate) fn of(self, tried: &str) -> Result<(), Error> {
        match self {
            Answer::Done => Ok(()),
            Answer::Errno(errno) => Err(Error::refused(tried, errno)),
            Answer::Silence => Err(Error::NoAnswer { tried: tried.to_owned(), waited: crate::exchange::ANSWER_WAIT }),
        }
    }

    /// The answer in the body of [`ERROR`] and [`DONE`]: a negative errno, or zero.
    pub(crate) fn parse(message: &Message<'_>) -> Result<Answer, Malformed> {
        let code = number(message.body, 0)?.cast_signed();
        match code.checked_neg() {
            Some(0) => Ok(Answer::Done),
            Some(errno @ 1..=4095) => Ok(Answer::Errno(Errno::from_raw_os_error(errno))),
            _ => Err(Malformed),
        }
    }
}

/// The answers to requests in a row, as they come.
#[derive(Debug)]
pub(crate) struct Acknowledged {
    first: u32,
    pub(crate) answers: Vec<Option<Answer>>,
}

impl Acknowledged {
    pub(crate) fn new(first: u32, count: usize) -> Acknowledged {
        Acknowledged { first, answers: vec![None; count] }
    }

    /// Late answers to earlier requests, and what is malformed, are passed over.
    pub(crate) fn read(&mut self, datagram: &[u8]) {
        for message in Messages(datagram).flatten().filter(|message| message.kind == ERROR) {
            let place = message.sequence.wrapping_sub(self.first) as usize;
            if let (Some(place), Ok(answer)) = (self.answers.get_mut(place), Answer::parse(&message)) {
                *place = Some(answer);
            }
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.answers.iter().all(Option::is_some)
    }
}

/// A list as it comes.
#[derive(Debug)]
pub(crate) struct List<T> {
    sequence: u32,
    kind: u16,
    parse: fn(&[u8]) -> Result<Option<T>, Malformed>,
    pub(crate) found: Vec<T>,
    /// It changed while it was told, so that something may be missing or stand in it twice.
    pub(crate) interrupted: bool,
}

impl<T> List<T> {
    /// The answer to the request of this sequence number, in messages of this kind.
    pub(crate) fn new(sequence: u32, kind: u16, parse: fn(&[u8]) -> Result<Option<T>, Malformed>) -> List<T> {
        List { sequence, kind, parse, found: Vec::new(), interrupted: false }
    }

    /// How it ended, if this was its end.
    pub(crate) fn read(&mut self, datagram: &[u8]) -> Result<Option<Answer>, Malformed> {
        for message in Messages(datagram) {
            let message = message?;
            if message.sequence != self.sequence {
                continue;
            }
            self.interrupted |= message.flags & INTERRUPTED != 0;
            match message.kind {
                ERROR | DONE => return Answer::parse(&message).map(Some),
                kind if kind == self.kind => self.found.extend((self.parse)(message.body)?),
                _ => {}
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
