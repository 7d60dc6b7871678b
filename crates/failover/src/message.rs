//! What the threads say to each other. Each has a channel to be told by, and a descriptor that wakes it.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel};

use linux::VrrpSocket;
use rustix::event::{EventfdFlags, eventfd};
use wire::link::LinkAddress;

use crate::ground::{Ground, Scope};
use crate::{Facts, Order, Plan, Report, Role};

/// To the thread that sends and hears adverts.
pub(crate) enum Input {
    Plan(Plan),
    Facts(Facts),
    Order { vip: Option<String>, order: Order, reply: SyncSender<Result<(), String>> },
    Report(SyncSender<Report>),
    Leave(SyncSender<Vec<Role>>),
    Stop,
    Told(Told),
}

/// What the thread of the kernel's tables tells. Plans are numbered: what is of an old one is passed over.
pub(crate) enum Told {
    /// All is prepared for a plan: what is left of a crash is away, and its sockets are open.
    Ready { number: u64, plan: Arc<Plan>, seen: Seen },
    /// An interface or an address has changed.
    Changed { number: u64, seen: Seen },
    /// The kernel has what was wanted by this turn, but for these.
    Done { number: u64, turn: u64, troubles: Vec<Trouble> },
    /// Something else has removed what these vips had.
    Lost { number: u64, vips: Vec<usize> },
    /// Another machine has said so many times that an address of these vips is its own.
    Claimed { number: u64, vips: Vec<usize>, ip: IpAddr, by: LinkAddress, times: u64 },
    /// Something that an operator should know.
    Trouble(String),
}

/// A change that the kernel has refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// The address that it was about.
    pub(crate) ip: Option<IpAddr>,
    /// The address was to be added.
    pub(crate) lacking: bool,
    /// What was tried, and why it was refused.
    pub(crate) text: String,
}

/// How the network is.
#[derive(Default)]
pub(crate) struct Seen {
    /// For each vip.
    pub(crate) grounds: Vec<Ground>,
    /// Those that are tracked, and whether they can carry traffic.
    pub(crate) interfaces: Vec<(String, bool)>,
    /// Sockets that are new, and scopes that are gone.
    pub(crate) opened: Vec<(Scope, Sockets)>,
    pub(crate) closed: Vec<Scope>,
}

/// What belongs to a scope.
pub(crate) struct Sockets {
    /// Adverts of our virtual routers; and what adverts are sent by.
    pub(crate) ours: VrrpSocket,
    /// All others, of which few are read.
    pub(crate) strangers: Option<VrrpSocket>,
}

/// To the thread of the kernel's tables.
pub(crate) enum Request {
    /// Prepare for a plan. At the first, the addresses of `active` vips stay, and those of others are removed.
    Prepare { number: u64, plan: Arc<Plan>, active: Vec<bool> },
    /// These vips have their addresses, routes and rules, and no others.
    Want { number: u64, turn: u64, active: Vec<bool> },
    /// To be closed: that may wait for the kernel, too.
    Close(Vec<Sockets>),
    /// Nothing more is wanted; what is there stays.
    Leave,
    /// Nothing is wanted any more, of whatever plan; what is there by us is removed.
    Stop,
}

/// One end of a channel that wakes who has the other.
pub(crate) struct Mouth<T> {
    sender: Sender<T>,
    bell: Arc<OwnedFd>,
}

/// The other end. Poll it for input.
pub(crate) struct Ear<T> {
    receiver: Receiver<T>,
    bell: Arc<OwnedFd>,
}

/// The two ends of a channel.
pub(crate) fn pipe<T>() -> io::Result<(Mouth<T>, Ear<T>)> {
    let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    let (sender, receiver) = channel();
    Ok((Mouth { sender, bell: bell.clone() }, Ear { receiver, bell }))
}

impl<T> fmt::Debug for Mouth<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Mouth")
    }
}

impl<T> Clone for Mouth<T> {
    fn clone(&self) -> Self {
        Mouth { sender: self.sender.clone(), bell: self.bell.clone() }
    }
}

impl<T> Mouth<T> {
    /// `false` if nobody listens any more.
    pub(crate) fn say(&self, message: T) -> bool {
        let heard = self.sender.send(message).is_ok();
        // It fails where the bell rings already.
        let _ = rustix::io::write(&*self.bell, &1u64.to_ne_bytes());
        heard
    }
}

impl<T> Ear<T> {
    /// From here on the bell rings for what is said later.
    pub(crate) fn hush(&self) {
        let mut count = [0; 8];
        // It fails where the bell does not ring.
        let _ = rustix::io::read(&*self.bell, &mut count);
    }

    /// What was said; `Err` when nobody speaks any more.
    pub(crate) fn next(&self) -> Result<Option<T>, ()> {
        match self.receiver.try_recv() {
            Ok(message) => Ok(Some(message)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(()),
        }
    }
}

impl<T> AsFd for Ear<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
