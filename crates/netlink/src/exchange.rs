//! Requests over one socket, and the answers to each.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::Protocol;

use crate::Error;
use crate::answer::{Acknowledged, Answer, List};
use crate::codec::{Malformed, Requests};
use crate::socket::{Received, Socket};

/// How long the kernel's answer is waited for, and each datagram of a long one. It answers before the question is fully
/// asked, so that this is never reached unless the kernel is in trouble.
pub(crate) const ANSWER_WAIT: Duration = Duration::from_secs(1);

/// Changes that go to the kernel at once: as many answers fit into a socket's usual room (208 KiB) several times.
pub(crate) const BATCH_MAX: usize = 64;

/// Readings of a list that changes while it is read, before it is given up.
pub(crate) const LIST_ATTEMPTS: usize = 8;

/// A socket to the kernel, and the number of its last request.
#[derive(Debug)]
pub(crate) struct Exchange {
    socket: Socket,
    sequence: u32,
}

impl Exchange {
    /// With the part of the kernel that a protocol of netlink stands for; `None` is its network (NETLINK_ROUTE).
    pub(crate) fn open(protocol: Option<Protocol>) -> io::Result<Exchange> {
        Ok(Exchange { socket: Socket::open_with(protocol, 0)?, sequence: 0 })
    }

    /// How the kernel obeys one request.
    pub(crate) fn order(&mut self, encode: impl FnOnce(&mut Requests)) -> Answer {
        let mut answers = self.order_all([encode]);
        answers.pop().expect("each request has its answer")
    }

    /// How the kernel obeys requests that it is handed at once, at most [`BATCH_MAX`].
    pub(crate) fn order_all<F: FnOnce(&mut Requests)>(&mut self, all: impl IntoIterator<Item = F>) -> Vec<Answer> {
        let (first, mut count) = (self.sequence.wrapping_add(1), 0);
        let mut requests = Requests::default();
        for encode in all {
            self.sequence = self.sequence.wrapping_add(1);
            encode(&mut requests);
            requests.end(self.sequence);
            count += 1;
        }
        let mut acknowledged = Acknowledged::new(first, count);
        let mut failure = Answer::Silence;
        let deadline = Instant::now() + ANSWER_WAIT;
        if let Err(error) = self.socket.send(requests.bytes()) {
            failure = Answer::failed(&error);
        } else {
            while !acknowledged.is_complete() {
                match receive(&mut self.socket, deadline) {
                    Ok(Some(datagram)) => acknowledged.read(datagram),
                    Ok(None) => break,
                    Err(error) => {
                        failure = Answer::failed(&error);
                        break;
                    }
                }
            }
        }
        acknowledged.answers.into_iter().map(|answer| answer.unwrap_or(failure)).collect()
    }

    /// The whole list that the request asks for, in messages of the kind `answers`.
    pub(crate) fn list<T>(
        &mut self,
        tried: &str,
        answers: u16,
        encode: impl Fn(&mut Requests),
        parse: fn(&[u8]) -> Result<Option<T>, Malformed>,
    ) -> Result<Vec<T>, Error> {
        until_whole(tried, || {
            let mut requests = Requests::default();
            encode(&mut requests);
            match self.ask(tried, requests, answers, parse) {
                // More came than there was room for. What is left of it is of an older number than the next reading.
                Err(error) if error.errno() == Some(Errno::NOBUFS.raw_os_error()) => Ok((Vec::new(), false)),
                asked => asked,
            }
        })
    }

    /// What the kernel answers to one request, and whether that is a whole.
    pub(crate) fn ask<T>(
        &mut self,
        tried: &str,
        mut requests: Requests,
        answers: u16,
        parse: fn(&[u8]) -> Result<Option<T>, Malformed>,
    ) -> Result<(Vec<T>, bool), Error> {
        self.sequence = self.sequence.wrapping_add(1);
        requests.end(self.sequence);
        self.socket.send(requests.bytes()).map_err(|error| Error::refused(tried, error))?;
        let mut list = List::new(self.sequence, answers, parse);
        loop {
            let deadline = Instant::now() + ANSWER_WAIT;
            let received = receive(&mut self.socket, deadline).map_err(|error| Error::refused(tried, error))?;
            let datagram = received.ok_or_else(|| Error::NoAnswer { tried: tried.to_owned(), waited: ANSWER_WAIT })?;
            match list.read(datagram) {
                Ok(None) => {}
                Ok(Some(answer)) => {
                    answer.of(tried)?;
                    return Ok((list.found, !list.interrupted));
                }
                Err(Malformed) => return Err(Error::Malformed { tried: tried.to_owned() }),
            }
        }
    }
}

impl AsFd for Exchange {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The next datagram; `None` when none has come before the deadline.
fn receive(socket: &mut Socket, deadline: Instant) -> io::Result<Option<&[u8]>> {
    // The borrow checker cannot see that nothing is borrowed where there is nothing yet, so the wait comes first.
    if !socket.wait(deadline)? {
        return Ok(None);
    }
    match socket.receive()? {
        Received::Datagram(datagram) => Ok(Some(datagram)),
        Received::TooLong => Err(Errno::MSGSIZE.into()),
        // Somebody else's, which was dropped: to be asked again.
        Received::Nothing => Ok(Some(&[])),
    }
}

/// Reads a list until it has not changed while it was read.
fn until_whole<T>(tried: &str, mut read: impl FnMut() -> Result<(Vec<T>, bool), Error>) -> Result<Vec<T>, Error> {
    for _ in 0..LIST_ATTEMPTS {
        let (found, whole) = read()?;
        if whole {
            return Ok(found);
        }
    }
    Err(Error::Changing { tried: tried.to_owned(), attempts: LIST_ATTEMPTS })
}

#[cfg(test)]
mod tests;
