use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use crate::codec::{
    DELETE_ADDRESS, DELETE_LINK, DELETE_ROUTE, DELETE_RULE, Malformed, Message, Messages, NEW_ADDRESS, NEW_LINK,
};
use crate::socket::{Received, Socket};
use crate::{Address, Error, Link, Route, Rule, address, link, route, rule};

/// The multicast groups of rtnetlink, a bit for each: RTNLGRP_LINK is 1, and so on.
const LINK: u32 = 1;
const ADDRESSES: u32 = 1 << 4 | 1 << 8;
const ROUTES: u32 = 1 << 6 | 1 << 10;
const RULES: u32 = 1 << 7 | 1 << 18;

/// Room for changes that are not read yet: some thousand of them, which a reload of all of a machine's network brings.
const ROOM: usize = 1 << 20;

/// What is watched beside links and their addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Routes that go. On a router that learns them from others these may be many.
    pub routes: bool,
    /// Rules that go.
    pub rules: bool,
}

/// Something changed, whoever changed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A link is new, or something about it is, often nothing that is shown here.
    LinkChanged(Link),
    /// A link is gone; this is what it was last.
    LinkGone(Link),
    /// An address is new, or something about it is: also told when it is no longer tentative.
    AddressAdded(Address),
    /// An address is gone.
    AddressGone(Address),
    /// A route is gone. The kernel does not tell of IPv4 routes that go with their link or address.
    RouteGone(Route),
    /// A rule is gone.
    RuleGone(Rule),
    /// Something was missed, because it was more than there is room for, or was not understood: read everything anew.
    Overrun,
}

/// Hears of changes in the network namespace of the thread that opened it. It never waits: poll it for input.
#[derive(Debug)]
pub struct Watcher {
    socket: Socket,
    events: VecDeque<Event>,
}

impl Watcher {
    /// Hears of all that changes from now on. Who opens it before asking what is there misses nothing.
    ///
    /// # Errors
    /// If there is no descriptor left, or no netlink.
    pub fn open(interest: Interest) -> Result<Watcher, Error> {
        let routes = if interest.routes { ROUTES } else { 0 };
        let rules = if interest.rules { RULES } else { 0 };
        let socket = Socket::open(LINK | ADDRESSES | routes | rules)
            .map_err(|error| Error::refused("watching the network's links and addresses", error))?;
        socket.ask_for_room(ROOM);
        Ok(Watcher { socket, events: VecDeque::new() })
    }

    /// What happened next; `None` if nothing more has happened yet.
    ///
    /// # Errors
    /// If the socket fails, which it does not in a sane kernel: losing changes is an [`Event::Overrun`].
    pub fn next_event(&mut self) -> Result<Option<Event>, Error> {
        while self.events.is_empty() {
            match self.socket.receive() {
                Ok(Received::Datagram(datagram)) => read(datagram, &mut self.events),
                Ok(Received::TooLong) => self.events.push_back(Event::Overrun),
                Ok(Received::Nothing) => return Ok(None),
                Err(error) if is_overrun(&error) => self.events.push_back(Event::Overrun),
                Err(error) => return Err(Error::refused("hearing of the network's changes", error)),
            }
        }
        Ok(self.events.pop_front())
    }
}

impl AsFd for Watcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn is_overrun(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error())
}

/// The events of a datagram; what is malformed is an overrun.
fn read(datagram: &[u8], events: &mut VecDeque<Event>) {
    for message in Messages(datagram) {
        let event = message.and_then(event).unwrap_or(Some(Event::Overrun));
        events.extend(event);
    }
}

fn event(message: Message<'_>) -> Result<Option<Event>, Malformed> {
    Ok(match message.kind {
        NEW_LINK => link::parse(message.body)?.map(Event::LinkChanged),
        DELETE_LINK => link::parse(message.body)?.map(Event::LinkGone),
        NEW_ADDRESS => address::parse(message.body)?.map(Event::AddressAdded),
        DELETE_ADDRESS => address::parse(message.body)?.map(Event::AddressGone),
        DELETE_ROUTE => route::parse(message.body)?.map(Event::RouteGone),
        DELETE_RULE => rule::parse(message.body)?.map(Event::RuleGone),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
