//! What nf_tables and conntrack have in common (linux/netfilter/nfnetlink.h): subsystems, batches, numbers in the
//! network's order.

use std::io;
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::netlink::NETFILTER;

use crate::Error;
use crate::answer::Answer;
use crate::codec::{Attributes, DONE, DUMP, ERROR, INTERRUPTED, Malformed, Messages, Requests};
use crate::exchange::{ANSWER_WAIT, LIST_ATTEMPTS};
use crate::socket::{Received, Socket};

/// Which part of netfilter a message is for, in the upper byte of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subsystem(pub(crate) u8);

/// NFNL_MSG_BATCH_BEGIN and NFNL_MSG_BATCH_END: what lies between them is done as a whole, or not at all.
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;

/// Beside NLM_F_REQUEST, NLM_F_ACK: answered also when all is well.
const REQUEST: u16 = 0x01;
pub(crate) const ACKNOWLEDGE: u16 = 0x04;

/// Room for datagrams that are not received yet: a refused batch is told message by message.
const ROOM: usize = 4 << 20;

impl Subsystem {
    /// A message's kind.
    pub(crate) fn kind(self, message: u8) -> u16 {
        u16::from(self.0) << 8 | u16::from(message)
    }
}

/// The fixed part of each message (struct nfgenmsg).
pub(crate) fn fixed(family: u8, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}

/// How long it is.
pub(crate) const FIXED: usize = 4;

/// Attributes that hold numbers in the network's order.
pub(crate) trait InNetworkOrder {
    fn be32(&mut self, kind: u16, value: u32) -> &mut Self;
    fn be64(&mut self, kind: u16, value: u64) -> &mut Self;
}

impl InNetworkOrder for Requests {
    fn be32(&mut self, kind: u16, value: u32) -> &mut Requests {
        self.attribute(kind, &value.to_be_bytes())
    }

    fn be64(&mut self, kind: u16, value: u64) -> &mut Requests {
        self.attribute(kind, &value.to_be_bytes())
    }
}

pub(crate) fn be32(value: &[u8]) -> Result<u32, Malformed> {
    value.try_into().map(u32::from_be_bytes).map_err(|_| Malformed)
}

pub(crate) fn be64(value: &[u8]) -> Result<u64, Malformed> {
    value.try_into().map(u64::from_be_bytes).map_err(|_| Malformed)
}

pub(crate) fn be16(value: &[u8]) -> Result<u16, Malformed> {
    value.try_into().map(u16::from_be_bytes).map_err(|_| Malformed)
}

/// The attributes within an attribute.
pub(crate) fn within(value: &[u8]) -> Attributes<'_> {
    Attributes::after(value, 0)
}

/// A socket of netfilter.
#[derive(Debug)]
pub(crate) struct Talk {
    socket: Socket,
    sequence: u32,
}

impl Talk {
    pub(crate) fn open(tried: &str) -> Result<Talk, Error> {
        let socket = Socket::open_with(Some(NETFILTER), 0).map_err(|error| Error::refused(tried, error))?;
        socket.ask_for_room(ROOM);
        Ok(Talk { socket, sequence: 0 })
    }

    /// Has a batch done, whole or not at all. `fill` begins messages and ends each with the number that it is given.
    pub(crate) fn commit(
        &mut self,
        tried: &str,
        subsystem: Subsystem,
        fill: impl FnOnce(&mut Requests, &mut dyn FnMut() -> u32),
    ) -> Result<(), Error> {
        let mut requests = Requests::default();
        let first = self.sequence.wrapping_add(1);
        let mut last = first;
        let resource = u16::from(subsystem.0);
        requests.begin(BATCH_BEGIN, REQUEST, &fixed(0, resource)).end(first);
        fill(&mut requests, &mut || {
            last = last.wrapping_add(1);
            last
        });
        self.sequence = last.wrapping_add(1);
        requests.begin(BATCH_END, REQUEST, &fixed(0, resource)).end(self.sequence);
        // A batch goes as one datagram, however long.
        self.socket.ask_to_send(requests.bytes().len());
        self.socket.send(requests.bytes()).map_err(|error| Error::refused(tried, error))?;
        self.acknowledged(tried, first, last)
    }

    /// Waits for the answer to the message `last`; a refusal of any from `first` on is one of all.
    fn acknowledged(&mut self, tried: &str, first: u32, last: u32) -> Result<(), Error> {
        let mut refused = None;
        loop {
            let datagram = self.next(tried)?;
            for message in Messages(datagram) {
                let message = message.map_err(|Malformed| Error::Malformed { tried: tried.to_owned() })?;
                let place = message.sequence.wrapping_sub(first);
                if message.kind != ERROR || place > last.wrapping_sub(first) {
                    continue;
                }
                let answer =
                    Answer::parse(&message).map_err(|Malformed| Error::Malformed { tried: tried.to_owned() })?;
                if let Answer::Errno(errno) = answer {
                    refused.get_or_insert((place, errno));
                }
                // A batch that is refused as a whole is refused at its beginning.
                if message.sequence == last || (refused.is_some() && place == 0) {
                    return match refused {
                        Some((place, errno)) => Err(Error::refused(format!("{tried} (change {place})"), errno)),
                        None => Ok(()),
                    };
                }
            }
        }
    }

    /// One request that is answered by an acknowledgement.
    pub(crate) fn order(&mut self, tried: &str, kind: u16, fill: impl FnOnce(&mut Requests)) -> Result<(), Error> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut requests = Requests::default();
        requests.begin(kind, REQUEST | ACKNOWLEDGE, &[]);
        fill(&mut requests);
        requests.end(self.sequence);
        self.socket.send(requests.bytes()).map_err(|error| Error::refused(tried, error))?;
        self.acknowledged(tried, self.sequence, self.sequence)
    }

    /// The whole list that a request asks for, read anew if it changed meanwhile. What `fill` begins with is the fixed
    /// part; `take` is given each entry's body.
    pub(crate) fn list<T>(
        &mut self,
        tried: &str,
        kind: u16,
        answers: u16,
        fill: impl Fn(&mut Requests),
        take: impl Fn(&[u8], &mut Vec<T>) -> Result<(), Malformed>,
    ) -> Result<Vec<T>, Error> {
        for _ in 0..LIST_ATTEMPTS {
            let mut found = Vec::new();
            if self.each(tried, (kind, DUMP, answers), &fill, |body| take(body, &mut found))? {
                return Ok(found);
            }
        }
        Err(Error::Changing { tried: tried.to_owned(), attempts: LIST_ATTEMPTS })
    }

    /// Hands each entry of a list to `take`, and says whether the list was the same from its beginning to its end.
    pub(crate) fn each(
        &mut self,
        tried: &str,
        (kind, flags, answers): (u16, u16, u16),
        fill: impl Fn(&mut Requests),
        mut take: impl FnMut(&[u8]) -> Result<(), Malformed>,
    ) -> Result<bool, Error> {
        self.sequence = self.sequence.wrapping_add(1);
        let (sequence, mut whole) = (self.sequence, true);
        let mut requests = Requests::default();
        requests.begin(kind, REQUEST | flags, &[]);
        fill(&mut requests);
        requests.end(sequence);
        self.socket.send(requests.bytes()).map_err(|error| Error::refused(tried, error))?;
        let malformed = |Malformed| Error::Malformed { tried: tried.to_owned() };
        loop {
            for message in Messages(self.next(tried)?) {
                let message = message.map_err(malformed)?;
                if message.sequence != sequence {
                    continue;
                }
                whole &= message.flags & INTERRUPTED == 0;
                match message.kind {
                    ERROR | DONE => {
                        Answer::parse(&message).map_err(malformed)?.of(tried)?;
                        return Ok(whole);
                    }
                    kind if kind == answers => {
                        take(message.body).map_err(malformed)?;
                        if flags & DUMP != DUMP {
                            return Ok(whole);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// The next datagram; to be waited for no longer than the kernel ever takes.
    fn next(&mut self, tried: &str) -> Result<&[u8], Error> {
        let refused = |error: io::Error| Error::refused(tried, error);
        if !self.socket.wait(Instant::now() + ANSWER_WAIT).map_err(refused)? {
            return Err(Error::NoAnswer { tried: tried.to_owned(), waited: ANSWER_WAIT });
        }
        match self.socket.receive().map_err(refused)? {
            Received::Datagram(datagram) => Ok(datagram),
            Received::TooLong => Err(Error::refused(tried, Errno::MSGSIZE)),
            Received::Nothing => Ok(&[]),
        }
    }
}
