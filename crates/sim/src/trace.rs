use std::collections::VecDeque;
use std::fmt;

use units::Instant;
use vrrp_proto::{Priority, State, Why};

use crate::trouble::{Repair, Trouble};

/// How many of the last things are told when an invariant is broken.
const REMEMBERED: usize = 400;

/// Something that has happened.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Entry {
    Sends { host: usize, link: usize, priority: Priority },
    Hears { host: usize, link: usize, from: usize, priority: Priority },
    Becomes { host: usize, link: usize, to: State, why: Why },
    Trouble(Trouble),
    Repair(Repair),
}

impl fmt::Display for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Entry::Sends { host, link, priority } => write!(formatter, "{host} sends {priority} on link {link}"),
            Entry::Hears { host, link, from, priority } => {
                write!(formatter, "{host} hears {priority} of {from} on link {link}")
            }
            Entry::Becomes { host, link, to, why } => write!(formatter, "{host} is {to} on link {link}: {why}"),
            Entry::Trouble(trouble) => write!(formatter, "*** {trouble:?}"),
            Entry::Repair(repair) => write!(formatter, "*** {repair:?}"),
        }
    }
}

/// The last things that have happened.
#[derive(Default)]
pub(crate) struct Trace(VecDeque<(Instant, Entry)>);

impl Trace {
    pub(crate) fn push(&mut self, now: Instant, entry: Entry) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((now, entry));
    }

    /// One line for each.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.iter().map(|(at, entry)| format!("{at:?} {entry}")).collect()
    }
}
