use std::io;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use forward_plan::Key;

use crate::reconcile::Reconciler;
use crate::syncing::{Part, Syncing};
use crate::{Event, Report, SyncDaemon, SyncPlan, Table, engines};

/// Between two looks at what is in the kernel: what somebody else changes is back within this time.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long an answer is waited for: a table of a million connections is read in less.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// How long the end is waited for.
const END_WAIT: Duration = Duration::from_secs(2);

/// Keeps the kernel forwarding what is wanted, on a thread of its own, in the network namespace of the thread that starts
/// it. Dropped without [`Forwarder::stop`] it leaves everything as it is: the kernel goes on.
#[derive(Debug)]
pub struct Forwarder {
    mouth: Sender<Input>,
    ended: Mutex<Receiver<()>>,
    last_report: Mutex<Report>,
}

enum Input {
    Table(Table),
    Sync(Option<Part>),
    Report(SyncSender<Report>),
    Stop,
}

impl Forwarder {
    /// Starts one, without a table: until there is one, everything stays as it is. `ours` are services that a process
    /// before this one has made, as its [`Report`] said. It needs CAP_NET_ADMIN. `events` is called from its thread.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(ours: Vec<Key>, events: impl Fn(Event) + Send + 'static) -> io::Result<Forwarder> {
        let (mouth, ear) = channel();
        let (end, ended) = channel();
        thread::Builder::new().name("forward".to_owned()).spawn(move || {
            run(&ear, ours, &events);
            drop(end);
        })?;
        Ok(Forwarder { mouth, ended: Mutex::new(ended), last_report: Mutex::default() })
    }

    /// From now on this is wanted.
    pub fn want(&self, table: Table) {
        self.say(Input::Table(table));
    }

    /// From now on other directors are told of connections so if this one is `active`, or else heard; `None`: neither,
    /// where this was ever asked for.
    pub fn sync(&self, sync: Option<(SyncPlan, bool)>) {
        self.say(Input::Sync(sync));
    }

    /// How everything is. Where no answer comes in time it is how everything was when one last came.
    pub fn report(&self) -> Report {
        let (reply, answer) = sync_channel(1);
        self.say(Input::Report(reply));
        let mut last = self.last_report.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(report) = answer.recv_timeout(ANSWER_WAIT) {
            *last = report;
        }
        last.clone()
    }

    /// Leaves nothing in the kernel, then returns.
    pub fn stop(self) {
        self.say(Input::Stop);
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let (Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) | Ok(())) = ended.recv_timeout(END_WAIT);
    }

    fn say(&self, input: Input) {
        // A thread that is gone has told so by its panic.
        let _ = self.mouth.send(input);
    }
}

fn run(ear: &Receiver<Input>, ours: Vec<Key>, events: &impl Fn(Event)) {
    let mut reconciler = Reconciler::new(engines::open, ours);
    let mut syncing = Syncing::new(SyncDaemon::open);
    let mut asked = false;
    let mut look = Instant::now() + LOOK_EVERY;
    loop {
        let mut happened = Vec::new();
        match ear.recv_timeout(look.saturating_duration_since(Instant::now())) {
            Ok(Input::Table(table)) => {
                asked = true;
                reconciler.want(table, &mut happened);
            }
            Ok(Input::Sync(sync)) => syncing.want(sync, &mut happened),
            Ok(Input::Report(reply)) => {
                // Who has asked may have given up.
                let _ = reply.send(reconciler.report());
            }
            Ok(Input::Stop) => {
                syncing.stop();
                for text in reconciler.stop() {
                    events(Event { frontend: None, trouble: true, text });
                }
                return;
            }
            Err(RecvTimeoutError::Timeout) => {
                if asked {
                    reconciler.reconcile(&mut happened);
                }
                syncing.reconcile(&mut happened);
                look = Instant::now() + LOOK_EVERY;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
        happened.into_iter().for_each(events);
    }
}
