use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::{Note, Priority};

/// The states of RFC 9568 §6.4, and one more for a router that cannot take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It has not begun, or is stopped.
    Initialize,
    /// Another is active, or may be.
    Backup,
    /// It has the addresses. (RFC 3768: master.)
    Active,
    /// It lacks something.
    Fault,
}

impl State {
    /// The word in logs, metrics and the API.
    pub const fn word(self) -> &'static str {
        match self {
            State::Initialize => "initialize",
            State::Backup => "backup",
            State::Active => "active",
            State::Fault => "fault",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.word())
    }
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The start's delay is over.
    Start,
    /// The active one has been silent too long (Active_Down_Timer).
    TakeOver,
    /// The next advert (Adver_Timer).
    Advert,
    /// The next round of announcements.
    Announce,
}

/// What a router lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Its interface is down or not there.
    Interface,
    /// Its interface has no address to send adverts from.
    Source,
    /// Something that it tracks is not well, or not known yet.
    Tracker,
    /// An operator keeps it out.
    Held,
    /// The kernel refuses all of its addresses.
    Addresses,
    /// Another of its group is in fault.
    Group,
}

impl Fault {
    pub(crate) const ALL: [Fault; 6] =
        [Fault::Interface, Fault::Source, Fault::Tracker, Fault::Held, Fault::Addresses, Fault::Group];

    pub(crate) const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Fault::Interface => "its interface is down",
            Fault::Source => "its interface has no address",
            Fault::Tracker => "what it tracks is not well",
            Fault::Held => "an operator keeps it out",
            Fault::Addresses => "the kernel refuses its addresses",
            Fault::Group => "another of its group is in fault",
        })
    }
}

/// Why a state was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It begins to listen.
    Started,
    /// It owns the addresses.
    Owner,
    /// No advert came in time.
    Silence,
    /// The active one said that it leaves.
    Left,
    /// The active one has a lower priority.
    Preempted,
    /// This one has a higher priority.
    Higher(IpAddr, Priority),
    /// This one has the same priority and a greater address.
    GreaterAddress(IpAddr),
    /// This one owns the addresses as well, and has a lower address.
    OtherOwner(IpAddr),
    /// No advert was sent for so long that others may have taken over.
    Late(Duration),
    /// It lacks something.
    Fault(Fault),
    /// It lacks nothing any more.
    Recovered,
    /// The addresses were removed again and again.
    AddressesTaken,
    /// It took over from the process before it, whose peers have noticed nothing.
    Adopted,
    /// It was told to leave the addresses to another.
    GivenUp,
    /// It cannot serve.
    LastResort,
    /// The group moves.
    Group,
    /// It was told to.
    Stopped,
}

impl fmt::Display for Why {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Started => formatter.write_str("it has started"),
            Why::Owner => formatter.write_str("it owns the addresses"),
            Why::Silence => formatter.write_str("no advert came in time"),
            Why::Left => formatter.write_str("the active one has left"),
            Why::Preempted => formatter.write_str("the active one has a lower priority"),
            Why::Higher(from, priority) => write!(formatter, "{from} has priority {priority}"),
            Why::GreaterAddress(from) => write!(formatter, "{from} has the same priority and a greater address"),
            Why::OtherOwner(from) => write!(formatter, "{from} owns the addresses too and has a lower address"),
            Why::Late(silence) => write!(formatter, "it has sent no advert for {}ms", silence.as_millis()),
            Why::Fault(fault) => fault.fmt(formatter),
            Why::Recovered => formatter.write_str("it lacks nothing any more"),
            Why::AddressesTaken => formatter.write_str("its addresses were removed again and again"),
            Why::Adopted => formatter.write_str("the process before it was active, and nobody has noticed its end"),
            Why::GivenUp => formatter.write_str("it was told to leave the addresses to another"),
            Why::LastResort => formatter.write_str("it cannot serve"),
            Why::Group => formatter.write_str("its group moves"),
            Why::Stopped => formatter.write_str("it was stopped"),
        }
    }
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send [`VirtualRouter::advert`] with this priority: to the group, or to each peer.
    SendAdvert {
        /// [`Priority::LEAVING`] when it is active no more.
        priority: Priority,
    },
    /// Have the addresses of the configuration, and of this virtual router no others. Nothing is wrong if they are there.
    AddAddresses,
    /// Have none of them. Nothing is wrong if they are not there.
    RemoveAddresses,
    /// Tell the network where the addresses are: so many gratuitous ARPs, or neighbour advertisements, for each.
    Announce {
        /// Packets for each address.
        repeat: u8,
    },
    /// The same once for this router's own address, without which unicast peers may not find it after it was away.
    AnnounceSource,
    /// It has changed its state.
    Became {
        /// Never the same as `to`.
        from: State,
        /// What it is now.
        to: State,
        /// What changed it.
        why: Why,
    },
    /// Tell an operator.
    Note(Note),
}
