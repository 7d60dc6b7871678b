use std::fmt;

use units::Instant;

/// Something that happened, as it was seen or not seen: a line of the timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, since 1970.
    pub time: Instant,
    /// The number of the packet that says it, from 1; `None` if it is that none came.
    pub packet: Option<u64>,
    /// Which of the capture's interfaces.
    pub interface: u32,
    /// What kind of thing.
    pub kind: Kind,
    /// What it is about: a virtual router, an address, a server, a name.
    pub subject: String,
    /// What it means.
    pub text: String,
    /// The same was said before: it is a packet's comment, and not worth a line.
    pub is_routine: bool,
}

/// Kinds of [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A router is seen to be active for the first time.
    Active,
    /// One says that it is active no more.
    Leaves,
    /// An advert did not come.
    Missed,
    /// An advert came late.
    Late,
    /// Adverts come again.
    Back,
    /// A router takes over.
    TakesOver,
    /// A router that was to take over has not.
    Absent,
    /// More than one is active.
    TwoActive,
    /// One gives way to another.
    GivesWay,
    /// Only one is active again.
    OneActive,
    /// What adverts say has changed.
    Changed,
    /// An advert is not taken by some router.
    Refused,
    /// A packet is taken by nobody.
    Ignored,
    /// A host says to all where an address is.
    Announced,
    /// Two hosts say they have an address.
    Conflict,
    /// A host asks or answers where an address is.
    Asked,
    /// A connection to a server.
    Connection,
    /// A question or answer of the name service.
    Name,
}

impl Kind {
    /// The word in the timeline.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Active => "active",
            Kind::Leaves => "leaves",
            Kind::Missed => "missed",
            Kind::Late => "late",
            Kind::Back => "back",
            Kind::TakesOver => "takes-over",
            Kind::Absent => "absent",
            Kind::TwoActive => "two-active",
            Kind::GivesWay => "gives-way",
            Kind::OneActive => "one-active",
            Kind::Changed => "changed",
            Kind::Refused => "refused",
            Kind::Ignored => "ignored",
            Kind::Announced => "announced",
            Kind::Conflict => "conflict",
            Kind::Asked => "asked",
            Kind::Connection => "connection",
            Kind::Name => "name",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.word())
    }
}
