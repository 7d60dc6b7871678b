use std::time::Duration;

use units::Instant;
use vrrp_proto::{Adopted, Group, State};

use crate::queue::Packet;
use crate::setup::{LINKS, Wish, wait};

/// Whether a host goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    Runs,
    /// Its process stands still; what arrives waits in its socket.
    Paused,
    /// All of it stands still; what arrives is lost.
    Suspended,
}

/// A director.
pub(crate) struct Host {
    /// `None`: its process is dead.
    pub(crate) process: Option<Group>,
    /// What it is to go by.
    pub(crate) wish: Wish,
    /// What its process knows of that: one that stands still is told later.
    pub(crate) told: Wish,
    /// Its clock before the world's.
    pub(crate) ahead: Duration,
    pub(crate) pace: Pace,
    /// Whether it has the addresses, dead or not.
    pub(crate) holds: [bool; LINKS],
    /// What outlives its process.
    pub(crate) record: [Option<Adopted>; LINKS],
    pub(crate) socket: Vec<Packet>,
    pub(crate) unplugged: [bool; LINKS],
    /// When its process has something to do, by the world's clock.
    pub(crate) due: Option<Instant>,
}

impl Host {
    pub(crate) fn new(wish: Wish) -> Host {
        Host {
            process: None,
            wish,
            told: wish,
            ahead: Duration::ZERO,
            pace: Pace::Runs,
            holds: [false; LINKS],
            record: [None; LINKS],
            socket: Vec::new(),
            unplugged: [false; LINKS],
            due: None,
        }
    }

    pub(crate) fn clock(&self, now: Instant) -> Instant {
        now + self.ahead
    }

    pub(crate) fn runs(&self) -> bool {
        self.process.is_some() && self.pace == Pace::Runs
    }

    fn all_are(&self, state: State) -> bool {
        self.process.as_ref().is_some_and(|group| group.members().iter().all(|member| member.state() == state))
    }

    pub(crate) fn is_active(&self) -> bool {
        self.all_are(State::Active)
    }

    pub(crate) fn is_backup(&self) -> bool {
        self.all_are(State::Backup)
    }

    pub(crate) fn is_owner(&self) -> bool {
        self.told.is_owner()
    }

    pub(crate) fn interval(&self) -> Duration {
        wait(self.told.interval)
    }

    /// The priority that its adverts should have.
    pub(crate) fn priority(&self) -> u8 {
        self.told.advertised()
    }

    pub(crate) fn set_due(&mut self) {
        let deadline = self.process.as_ref().filter(|_| self.pace == Pace::Runs).and_then(Group::deadline);
        self.due = deadline.map(|(at, _)| at - self.ahead);
    }
}
