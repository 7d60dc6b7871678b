mod tcp;
mod udp;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::counters::Counters;
use crate::limit::{Admission, RateLimit};
use crate::{Answer, Dropped, Live, Plan, Transport, Turns, Verdict, Zone};

/// The longest message that is read: a name, its type and class, and what EDNS may bring along take no more. A transfer's
/// client may send a long signature, and is refused anyway.
const MESSAGE_MAX: usize = 4096;

/// News that wait to be told; who reads them so seldom has others to read.
const EVENTS_MAX: usize = 16;

/// What it reads from.
#[derive(Debug, Default)]
pub struct Sockets {
    /// Bound to the addresses that are asked, so that answers come from them.
    pub udp: Vec<UdpSocket>,
    /// Listening at the same.
    pub tcp: Vec<TcpListener>,
}

/// What happened to the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// None of its addresses is up any more: all are answered.
    NoneUp,
    /// One is again.
    SomeUp,
}

/// What there is to say of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The name.
    pub name: String,
    /// Its addresses, and whether they are up.
    pub addresses: Vec<(IpAddr, bool)>,
    /// How often each answer was given.
    pub answers: Vec<(Answer, u64)>,
    /// What had none, by reason.
    pub dropped: Vec<(Dropped, u64)>,
}

/// A name service on a thread of its own. When this is dropped, it begins to end.
#[derive(Debug)]
pub struct Server {
    name: String,
    shared: Arc<Shared>,
    /// Whether it is to end.
    ending: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

/// What the thread tells others.
#[derive(Debug, Default)]
struct Shared {
    counters: Counters,
    addresses: Mutex<Vec<(IpAddr, bool)>>,
}

/// What the thread's tasks have in common.
#[derive(Debug)]
struct Service {
    zone: Zone,
    shared: Arc<Shared>,
    state: RefCell<State>,
    ending: watch::Receiver<bool>,
}

#[derive(Debug)]
struct State {
    live: Live,
    turns: Turns,
    by_udp: RateLimit,
    by_tcp: RateLimit,
    /// Connections by source; none is counted 0 times.
    connections: HashMap<IpAddr, usize>,
    open: usize,
}

/// The names of the vips that are up on any director, once somebody knows.
type Up = watch::Receiver<Option<BTreeSet<String>>>;

impl Server {
    /// Begins to answer.
    ///
    /// # Errors
    /// If the thread or its runtime cannot be made, or a socket cannot be used by it.
    pub fn start(plan: &Plan, sockets: Sockets, up: Up) -> io::Result<(Server, mpsc::Receiver<Event>)> {
        let shared = Arc::new(Shared::default());
        let (ending, is_ending) = watch::channel(false);
        let (events, received) = mpsc::channel(EVENTS_MAX);
        let (began, has_begun) = std::sync::mpsc::sync_channel(1);
        let service = {
            let (plan, shared) = (plan.clone(), Arc::clone(&shared));
            move || Service::new(&plan, shared, is_ending)
        };
        let thread = std::thread::Builder::new().name("name-service".to_owned()).spawn(move || {
            let runtime = match runtime() {
                Ok(runtime) => runtime,
                Err(error) => return drop(began.send(Err(error))),
            };
            runtime.block_on(async {
                let service = Rc::new(service());
                let tasks = match begin(&service, sockets, up, events) {
                    Ok(tasks) => tasks,
                    Err(error) => return drop(began.send(Err(error))),
                };
                let _ = began.send(Ok(()));
                service.end(tasks).await;
            });
        })?;
        has_begun.recv().unwrap_or_else(|_| Err(io::Error::other("the name service's thread has ended")))?;
        Ok((Server { name: plan.name.clone(), shared, ending, thread }, received))
    }

    /// Reads no further datagrams and takes no further connections. Those that there are have answers
    /// for half a second more.
    pub fn finish(&self) {
        self.ending.send_replace(true);
    }

    /// Whether its thread has ended: as it was told, or it has panicked.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// What there is to say of it.
    pub fn status(&self) -> Status {
        Status {
            name: self.name.clone(),
            addresses: self.shared.addresses.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            answers: self.shared.counters.answers(),
            dropped: self.shared.counters.drops(),
        }
    }
}

fn runtime() -> io::Result<tokio::runtime::LocalRuntime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build_local(tokio::runtime::LocalOptions::default())
}

/// Starts a task for each socket.
fn begin(service: &Rc<Service>, sockets: Sockets, mut up: Up, events: mpsc::Sender<Event>) -> io::Result<JoinSet<()>> {
    let known = up.borrow_and_update().clone();
    service.learn(known.as_ref());
    let mut tasks = JoinSet::new();
    for socket in sockets.udp {
        socket.set_nonblocking(true)?;
        let socket = tokio::net::UdpSocket::from_std(socket)?;
        tasks.spawn_local(udp::answer(Rc::clone(service), socket));
    }
    for listener in sockets.tcp {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tasks.spawn_local(tcp::listen(Rc::clone(service), listener));
    }
    tokio::task::spawn_local(follow(Rc::clone(service), up, known, events));
    Ok(tasks)
}

/// Learns which vips are up, and tells what that means for the name.
async fn follow(service: Rc<Service>, mut up: Up, first: Option<BTreeSet<String>>, events: mpsc::Sender<Event>) {
    // Until somebody knows that none is up, nobody need be told that one is.
    let mut was_up = true;
    let mut known = first;
    loop {
        let is_up = service.state.borrow().live.is_up;
        if known.is_some() && is_up != was_up {
            was_up = is_up;
            // Nobody listens, or somebody has enough to read.
            let _ = events.try_send(if is_up { Event::SomeUp } else { Event::NoneUp });
        }
        if up.changed().await.is_err() {
            return;
        }
        known = up.borrow_and_update().clone();
        service.learn(known.as_ref());
    }
}

impl Service {
    fn new(plan: &Plan, shared: Arc<Shared>, ending: watch::Receiver<bool>) -> Service {
        let state = State {
            live: Live::default(),
            turns: Turns::default(),
            by_udp: RateLimit::new(plan.rate_limit),
            by_tcp: RateLimit::new(plan.rate_limit),
            connections: HashMap::new(),
            open: 0,
        };
        Service { zone: Zone::new(plan), shared, state: RefCell::new(state), ending }
    }

    /// These vips are up.
    fn learn(&self, up: Option<&BTreeSet<String>>) {
        self.state.borrow_mut().live = self.zone.live(up);
        *self.shared.addresses.lock().unwrap_or_else(PoisonError::into_inner) = self.zone.addresses(up);
    }

    /// The answer to a message, if it has one; counted.
    fn answer(&self, message: &[u8], source: SocketAddr, transport: Transport) -> Option<Vec<u8>> {
        let State { live, turns, by_udp, by_tcp, .. } = &mut *self.state.borrow_mut();
        let limit = match transport {
            Transport::Udp => by_udp,
            Transport::Tcp => by_tcp,
        };
        let verdict = match (limit.admit(source.ip(), Instant::now()), transport) {
            (Admission::Answer, _) => self.zone.answer(message, transport, live, turns),
            (Admission::Slip, Transport::Udp) => self.zone.slip(message),
            (Admission::Slip | Admission::Drop, _) => Verdict::Drop(Dropped::RateLimit),
        };
        match verdict {
            Verdict::Reply { message, answer } => {
                self.shared.counters.answered(answer);
                Some(message)
            }
            Verdict::Drop(dropped) => {
                self.dropped(dropped);
                None
            }
        }
    }

    fn dropped(&self, dropped: Dropped) {
        self.shared.counters.dropped(dropped);
    }

    /// Resolves when the service is to end.
    async fn ending(&self) {
        // Without the one who would say so it ends, too.
        let _ = self.ending.clone().wait_for(|ending| *ending).await;
    }

    /// Waits for the end, and for what is under way then.
    async fn end(&self, mut tasks: JoinSet<()>) {
        self.ending().await;
        while tasks.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests;
