use std::time::Duration;

use vrrp_proto::Centiseconds;

use crate::chance::Chance;
use crate::setup::{Setup, wait};

/// How a process begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// As one that knows of none before it.
    New,
    /// As one that takes over what the one before it left, if it may.
    Adopt,
}

/// What can go wrong, or be done by an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Hosts whose bits differ do not hear each other.
    Split { link: usize, sides: u8 },
    /// One host is not heard by another.
    OneWay { link: usize, from: usize, to: usize },
    /// So many of a hundred packets are lost.
    Loss { link: usize, percent: u8 },
    /// The process stands still, and what arrives waits.
    Pause { host: usize },
    /// The host stands still, and what arrives is lost. Its clock goes on.
    Suspend { host: usize },
    /// The host's clock leaps ahead.
    Jump { host: usize, by: Duration },
    /// The process dies without a word; its addresses stay.
    Crash { host: usize },
    /// The host dies without a word, and its addresses with it.
    PowerOff { host: usize },
    /// The process is stopped.
    Stop { host: usize },
    /// Another priority is configured.
    Priority { host: usize, priority: u8 },
    /// One address is configured, or two.
    Addresses { host: usize, more: bool },
    /// Another interval is configured.
    Interval { host: usize, interval: Centiseconds },
    /// Trackers with weights add so much.
    Weight { host: usize, added: i16 },
    /// What is needed to serve is not well.
    Unable { host: usize },
    /// An interface loses its link.
    Unplug { host: usize, link: usize },
    /// An operator says that the host is to leave its addresses to another.
    GiveUp { host: usize },
    /// Another program removes an address so often.
    AddressesLost { host: usize, link: usize, times: u8 },
}

/// What ends a [`Trouble`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repair {
    /// All on the link hear each other.
    Join { link: usize },
    /// No packet is lost any more.
    NoLoss { link: usize },
    /// What stood still goes on.
    Resume { host: usize },
    /// The process is started.
    Start { host: usize, how: Start },
    /// What is tracked is well, and adds nothing.
    Well { host: usize },
    /// The interface has its link.
    Plug { host: usize, link: usize },
}

/// Until the next trouble: some come in bursts, and some when all is settled.
pub(crate) fn pause_before(chance: &mut Chance, interval: Duration) -> Duration {
    match chance.below(10) {
        0..=2 => chance.within(interval),
        3..=6 => chance.within(interval * 10),
        7 | 8 => chance.within(interval * 60),
        _ => chance.within(interval * 300),
    }
}

fn lasting(chance: &mut Chance, interval: Duration) -> Duration {
    match chance.below(10) {
        0..=4 => chance.within(interval),
        5..=8 => chance.within(interval * 8),
        _ => chance.within(interval * 60),
    }
}

/// A trouble, and what ends it and when.
pub(crate) fn make_up(chance: &mut Chance, setup: &Setup) -> (Trouble, Option<(Duration, Repair)>) {
    let interval = wait(setup.interval);
    let (host, link) = (chance.below(setup.hosts()), chance.below(setup.links));
    let start = Repair::Start { host, how: chance.of(&[Start::New, Start::Adopt, Start::Adopt]) };
    let (trouble, repair) = match chance.below(17) {
        0 => (Trouble::Split { link, sides: 1 + chance.below(30) as u8 }, Some(Repair::Join { link })),
        1 => {
            let to = (host + 1 + chance.below(setup.hosts() - 1)) % setup.hosts();
            (Trouble::OneWay { link, from: host, to }, Some(Repair::Join { link }))
        }
        2 => (Trouble::Loss { link, percent: 1 + chance.below(80) as u8 }, Some(Repair::NoLoss { link })),
        3 => (Trouble::Pause { host }, Some(Repair::Resume { host })),
        4 => (Trouble::Suspend { host }, Some(Repair::Resume { host })),
        5 => (Trouble::Jump { host, by: lasting(chance, interval) }, None),
        6 | 7 => (Trouble::Crash { host }, Some(start)),
        8 => (Trouble::PowerOff { host }, Some(Repair::Start { host, how: Start::New })),
        9 => (Trouble::Stop { host }, Some(start)),
        10 => (Trouble::Priority { host, priority: 20 + 10 * chance.below(18) as u8 }, None),
        11 => match chance.in_hundred(30) {
            true => {
                let slower = if chance.in_hundred(50) { setup.interval.get() } else { setup.interval.get() * 2 };
                let interval = Centiseconds::new(slower).unwrap_or(Centiseconds::MAX);
                (Trouble::Interval { host, interval }, None)
            }
            false => (Trouble::Addresses { host, more: chance.in_hundred(50) }, None),
        },
        12 => (Trouble::Weight { host, added: chance.below(101) as i16 - 50 }, Some(Repair::Well { host })),
        13 => (Trouble::Unable { host }, Some(Repair::Well { host })),
        14 => (Trouble::Unplug { host, link }, Some(Repair::Plug { host, link })),
        15 => (Trouble::GiveUp { host }, None),
        _ => (Trouble::AddressesLost { host, link, times: 1 + chance.below(5) as u8 }, None),
    };
    (trouble, repair.map(|repair| (lasting(chance, interval), repair)))
}
