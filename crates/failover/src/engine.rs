use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use units::Instant;

use crate::clock;
use crate::drive::{Drive, Start};
use crate::message::{Input, Mouth, pipe};
use crate::tables::Tables;
use crate::{Beats, Event, Facts, Order, Plan, Report, Role};

/// Events that wait for who reads them. Of more, the later ones are lost, and counted.
const EVENTS_MAX: usize = 4096;

/// How long an answer of the thread of adverts is waited for. It answers within a millisecond.
const ANSWER_WAIT: Duration = Duration::from_secs(1);

/// How long the end is waited for: adverts take a moment, addresses as long as other programs' changes of the network.
const END_WAIT: Duration = Duration::from_secs(5);

/// A silence of the thread of adverts that is taken for its death. It says each quarter of a second that it lives.
const HANG: Duration = Duration::from_secs(2);

/// The stack of each thread: twice what is there at once ([`linux::lock_memory`]). Locked memory is there whole.
const STACK_BYTES: usize = 512 << 10;

/// What an engine begins with.
#[derive(Debug, Default)]
pub struct Setup {
    /// What the process before had, for the first plan.
    pub roles: Vec<Role>,
    /// Signs of life of serving processes. Without them what such a process serves is well as far as [`Facts`] say.
    pub beats: Option<Beats>,
}

/// Virtual routers at work, on threads of their own, in the network namespace of the thread that starts it.
///
/// One thread sends and hears adverts, another changes the kernel's tables, a third hands out events. Dropped without
/// [`Engine::stop`] or [`Engine::leave`] it stops, and is not waited for.
#[derive(Debug)]
pub struct Engine {
    mouth: Mouth<Input>,
    alive: Arc<AtomicU64>,
    /// Disconnected once the threads of adverts and of tables are through.
    ended: Mutex<Receiver<()>>,
    last_report: Mutex<Report>,
}

impl Engine {
    /// Starts one, without a plan. It needs CAP_NET_RAW, and CAP_NET_ADMIN to move addresses; with CAP_SYS_NICE and
    /// CAP_IPC_LOCK it is more punctual. `events` is called from a thread that may wait.
    ///
    /// # Errors
    /// If sockets cannot be opened or threads not be started.
    pub fn start(setup: Setup, events: impl Fn(Event) + Send + 'static) -> io::Result<Engine> {
        let (mouth, ear) = pipe()?;
        let (tables_mouth, tables_ear) = pipe()?;
        let (event_sender, event_receiver) = sync_channel(EVENTS_MAX);
        let (end_sender, ended) = channel();
        let alive = Arc::new(AtomicU64::new(clock::now().as_nanos()));
        let tables = Tables::open(tables_ear, mouth.clone()).map_err(io::Error::other)?;
        let drive = Drive::open(Start {
            ear,
            tables: tables_mouth,
            events: event_sender.clone(),
            alive: alive.clone(),
            beats: setup.beats,
            roles: setup.roles,
        })?;
        thread("vrrp-events").spawn(move || event_receiver.iter().for_each(events))?;
        let tables_end: Sender<()> = end_sender.clone();
        thread("vrrp-tables").spawn(move || {
            tables.run();
            drop(tables_end);
        })?;
        thread("vrrp").spawn(move || {
            if let Err(error) = drive.run() {
                mourn(&event_sender, &error);
            }
            drop(end_sender);
        })?;
        Ok(Engine { mouth, alive, ended: Mutex::new(ended), last_report: Mutex::default() })
    }

    /// From now on this is carried out. Roles, counters and addresses stay with the virtual routers that both plans have.
    pub fn plan(&self, plan: Plan) {
        self.mouth.say(Input::Plan(plan));
    }

    /// From now on this is known.
    pub fn facts(&self, facts: Facts) {
        self.mouth.say(Input::Facts(facts));
    }

    /// An operator's order, of one vip or all. Vips of a group obey together.
    ///
    /// # Errors
    /// If there is no such vip, or the engine does not answer.
    pub fn order(&self, vip: Option<&str>, order: Order) -> Result<(), String> {
        let (reply, answer) = sync_channel(1);
        self.mouth.say(Input::Order { vip: vip.map(str::to_owned), order, reply });
        answer.recv_timeout(ANSWER_WAIT).unwrap_or_else(|_| Err("the virtual routers do not answer".to_owned()))
    }

    /// How everything is. Where no answer comes within a second it is how everything was when one last came.
    pub fn report(&self) -> Report {
        let (reply, answer) = sync_channel(1);
        self.mouth.say(Input::Report(reply));
        let mut last = self.last_report.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(report) = answer.recv_timeout(ANSWER_WAIT) {
            *last = report;
        }
        last.clone()
    }

    /// Whether the thread of adverts has shown signs of life lately.
    pub fn is_alive(&self) -> bool {
        clock::now().since(Instant::from_nanos(self.alive.load(Relaxed))) < HANG
    }

    /// Sends nothing more and leaves addresses in place, for another process that is to adopt these roles at once.
    pub fn leave(self) -> Vec<Role> {
        let (reply, answer) = sync_channel(1);
        self.mouth.say(Input::Leave(reply));
        let roles = answer.recv_timeout(ANSWER_WAIT).unwrap_or_default();
        self.wait();
        roles
    }

    /// Says that nobody is active here any more, then removes the addresses, then returns.
    pub fn stop(self) {
        self.mouth.say(Input::Stop);
        self.wait();
    }

    fn wait(&self) {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let (Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) | Ok(())) = ended.recv_timeout(END_WAIT);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Nobody hears it after a stop.
        self.mouth.say(Input::Stop);
    }
}

fn thread(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES)
}

fn mourn(events: &SyncSender<Event>, error: &io::Error) {
    let text = format!("adverts are sent and heard no more: {error}");
    // Who is not there to hear it hears of the silence.
    let _ = events.try_send(Event::Noted { vip: None, trouble: true, text });
}
