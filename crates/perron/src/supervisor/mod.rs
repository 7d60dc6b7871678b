//! `perron run`: holds the sockets, starts the serving processes, and does what [`machine`] decides.
//!
//! It carries no traffic and, beside the configuration, reads nothing that a client of the service sends.

mod child;
mod control;
mod machine;
mod notes;
mod prepare;
mod record;

use std::collections::BTreeMap;
use std::future::pending;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;
use units::Instant;

use crate::cli::Run;
use crate::control::{Answer, Request, default_path};
use crate::event::Kind;
use crate::log::{self, Level};
use crate::messages::{FromServe, Question, ToServe};
use child::Handle;
use machine::{Action, ChildId, Input, Machine, Which};
use prepare::{Origin, Prepared, Refusal};
use record::Record;

/// What the service manager is asked to wait beyond the drain-timeout: the end by force, and some for a busy machine.
const MANAGER_GRACE: Duration = Duration::from_secs(10);

/// What the loop waits for.
#[derive(Debug)]
enum Incoming {
    /// For the machine, as it is.
    Happened(Input),
    /// A serving process said something.
    Said(ChildId, FromServe),
    /// Somebody asks at the control socket.
    Asked {
        request: Request,
        /// Who asks.
        uid: u32,
        reply: oneshot::Sender<Answer>,
    },
}

/// What is held, and what is under way.
struct Supervisor {
    origin: Origin,
    machine: Machine,
    clock: Clock,
    current: Prepared,
    candidate: Option<Candidate>,
    generation: u64,
    children: Vec<Handle>,
    /// What the serving process said last of what the next one should know.
    state: Option<serde_json::Value>,
    questions: BTreeMap<u64, Asked>,
    next_question: u64,
    stops: Vec<oneshot::Sender<Answer>>,
    /// Where the control socket is, and whether the command line says so.
    control: PathBuf,
    control_asked: bool,
    record: Record,
    incoming: mpsc::UnboundedSender<Incoming>,
    outcome: Option<Result<(), String>>,
}

/// A configuration that a reload brings.
struct Candidate {
    prepared: Prepared,
    /// Who waits for the outcome; nobody after SIGHUP.
    reply: Option<oneshot::Sender<Answer>>,
}

/// A question that was passed on.
struct Asked {
    child: ChildId,
    reply: oneshot::Sender<Answer>,
}

/// The machine's clock, and tokio's.
#[derive(Clone, Copy)]
struct Clock(tokio::time::Instant);

impl Clock {
    fn now(self) -> Instant {
        Instant::ZERO + self.0.elapsed()
    }

    fn at(self, instant: Instant) -> tokio::time::Instant {
        self.0 + instant.since(Instant::ZERO)
    }
}

/// Runs the service to its end.
///
/// # Errors
/// If the system refuses what every service needs; what is wrong with the configuration is shown, and is the exit code.
pub(crate) fn run(options: Run) -> anyhow::Result<ExitCode> {
    if options.end_with_parent {
        linux::end_with_parent()?;
    }
    if let Err(error) = linux::raise_descriptor_limit() {
        log::warn("the limit of open files stays as it is", &[("why", &error)]);
    }
    let origin = Origin::new(options.config.config, options.without);
    let control_asked = options.control.control.is_some();
    let (socket, prepared) = match open(&origin, options.control.control) {
        Ok(opened) => opened,
        Err(Refusal::Wrong(text)) => {
            eprint!("{text}");
            return Ok(ExitCode::from(2));
        }
        Err(Refusal::Failed(why)) => anyhow::bail!(why),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(supervise(origin, prepared, &socket, control_asked))?;
    // Answers to those who asked for the end are on their way.
    runtime.shutdown_timeout(Duration::from_millis(100));
    drop(socket);
    match outcome {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(why) => anyhow::bail!("the service could not begin: {why}"),
    }
}

/// The control socket comes first: that the service runs already says more than that its port is taken.
fn open(origin: &Origin, asked: Option<PathBuf>) -> Result<(control::Socket, Prepared), Refusal> {
    let checked = origin.check()?;
    let path = asked.or_else(|| checked.config.process.control_socket.clone()).unwrap_or_else(default_path);
    let socket = control::Socket::open(path).map_err(|error| Refusal::Failed(format!("{error:#}")))?;
    Ok((socket, origin.open(checked, None)?))
}

async fn supervise(
    origin: Origin,
    prepared: Prepared,
    socket: &control::Socket,
    control_asked: bool,
) -> anyhow::Result<Result<(), String>> {
    let (incoming, mut arriving) = mpsc::unbounded_channel();
    let mut signals = Signals::new()?;
    socket.serve(incoming.clone())?;
    let clock = Clock(tokio::time::Instant::now());
    let mut supervisor = Supervisor {
        origin,
        machine: Machine::new(prepared.config.process.drain_timeout),
        clock,
        current: prepared,
        candidate: None,
        generation: 1,
        children: Vec::new(),
        state: None,
        questions: BTreeMap::new(),
        next_question: 1,
        stops: Vec::new(),
        control: socket.path().to_owned(),
        control_asked,
        record: Record::default(),
        incoming,
        outcome: None,
    };
    supervisor.tell_start();
    supervisor.give(Input::Begin);
    let watchdog = linux::watchdog_interval().map(|interval| interval / 2);
    while supervisor.outcome.is_none() {
        let due = supervisor.machine.deadline().map(|(at, _)| clock.at(at));
        tokio::select! {
            word = arriving.recv() => supervisor.take(word.expect("the supervisor holds a sender itself")),
            word = signals.next() => supervisor.obey(word),
            () = until(due) => supervisor.be_on_time(),
            () = until(watchdog.map(|wait| tokio::time::Instant::now() + wait)) => {}
        }
        if watchdog.is_some() {
            tell_manager("WATCHDOG=1");
        }
    }
    let outcome = supervisor.outcome.take().expect("the loop ends with an outcome");
    for stop in supervisor.stops {
        let _ = stop.send(Answer::Done(serde_json::Value::Null));
    }
    tokio::task::yield_now().await;
    Ok(outcome)
}

async fn until(when: Option<tokio::time::Instant>) {
    match when {
        Some(when) => sleep_until(when).await,
        None => pending().await,
    }
}

fn tell_manager(lines: &str) {
    if let Err(error) = linux::notify(lines) {
        log::warn("the service manager cannot be told", &[("what", &lines), ("why", &error)]);
    }
}

/// What a signal asks for.
#[derive(Clone, Copy)]
enum Word {
    Terminate,
    Reload,
    ReopenLogs,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user1: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Signals> {
        let catch = |kind| signal(kind).context("signals cannot be caught");
        Ok(Signals {
            terminate: catch(SignalKind::terminate())?,
            interrupt: catch(SignalKind::interrupt())?,
            hangup: catch(SignalKind::hangup())?,
            user1: catch(SignalKind::user_defined1())?,
        })
    }

    async fn next(&mut self) -> Word {
        tokio::select! {
            _ = self.terminate.recv() => Word::Terminate,
            _ = self.interrupt.recv() => Word::Terminate,
            _ = self.hangup.recv() => Word::Reload,
            _ = self.user1.recv() => Word::ReopenLogs,
        }
    }
}

impl Supervisor {
    fn take(&mut self, word: Incoming) {
        match word {
            Incoming::Happened(input) => {
                let gone = match &input {
                    Input::Exited(id, _) => Some(*id),
                    _ => None,
                };
                self.give(input);
                if let Some(id) = gone {
                    self.children.retain(|child| child.id != id);
                    self.questions.retain(|_, asked| asked.child != id);
                }
            }
            Incoming::Said(id, said) => self.hear(id, said),
            Incoming::Asked { request, uid, reply } => self.answer(request, uid, reply),
        }
    }

    fn obey(&mut self, word: Word) {
        match word {
            Word::Terminate => self.terminate(),
            Word::Reload => self.reload(None),
            Word::ReopenLogs => self.reopen_logs(),
        }
    }

    fn be_on_time(&mut self) {
        let mut actions = Vec::new();
        self.machine.handle_deadline(self.clock.now(), &mut actions);
        self.perform(actions);
    }

    fn give(&mut self, input: Input) {
        let mut actions = Vec::new();
        self.machine.handle(input, self.clock.now(), &mut actions);
        self.perform(actions);
    }

    fn hear(&mut self, id: ChildId, said: FromServe) {
        match said {
            FromServe::Ready => self.give(Input::Ready(id)),
            FromServe::Failed { why } => self.give(Input::Failed(id, why)),
            FromServe::State { state } => {
                if self.machine.serving() == Some(id) {
                    self.state = Some(state);
                    self.give(Input::State(id));
                }
            }
            FromServe::Reply { id: question, answer } => {
                if let Some(asked) = self.questions.remove(&question) {
                    let answer = answer.map_or_else(Answer::Failed, Answer::Done);
                    let _ = asked.reply.send(answer);
                }
            }
            FromServe::Event(event) => {
                // One that finishes its requests sees the same servers once more.
                if self.machine.serving() == Some(id) {
                    self.record.add(event);
                }
            }
            // The end of the process says the same, and is awaited anyway.
            FromServe::Drained => {}
            FromServe::Beat => self.give(Input::Beat(id)),
        }
    }

    fn answer(&mut self, request: Request, uid: u32, reply: oneshot::Sender<Answer>) {
        self.tell_command(&request, uid);
        match request {
            Request::Events { since, limit } => {
                let found = serde_json::to_value(self.record.after(since, limit));
                let _ = reply.send(found.map_or_else(|error| Answer::Failed(error.to_string()), Answer::Done));
            }
            Request::Status => self.pass_on(Question::Status, reply),
            Request::Server(_) if self.candidate.is_some() => {
                let _ = reply.send(Answer::Failed("a reload is under way; try again in a moment".to_owned()));
            }
            Request::Server(command) => self.pass_on(Question::Server(command), reply),
            Request::Reload => self.reload(Some(reply)),
            Request::Stop => {
                self.stops.push(reply);
                // Only a second signal is impatience.
                if !self.machine.is_ending() {
                    self.terminate();
                }
            }
        }
    }

    fn pass_on(&mut self, question: Question, reply: oneshot::Sender<Answer>) {
        let Some(child) = self.machine.serving().and_then(|id| self.children.iter().find(|child| child.id == id))
        else {
            let _ = reply.send(Answer::Failed("no process serves just now; the log says why".to_owned()));
            return;
        };
        self.questions.retain(|_, asked| !asked.reply.is_closed());
        let id = self.next_question;
        self.next_question += 1;
        let changes = matches!(question, Question::Server(_));
        child.send(ToServe::Question { id, question }, Vec::new());
        if changes {
            // What an operator set is not lost if the process dies in the next moment.
            child.send(ToServe::Snapshot, Vec::new());
        }
        self.questions.insert(id, Asked { child: child.id, reply });
    }

    fn terminate(&mut self) {
        let longest = units::write_duration(self.current.config.process.drain_timeout);
        let text = format!("the service ends; requests under way have {longest} to finish");
        self.tell(Level::Info, Kind::Stop, &text);
        let patience = self.current.config.process.drain_timeout + MANAGER_GRACE;
        tell_manager(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={}", patience.as_micros()));
        self.give(Input::Terminate);
        // A client that nobody will serve is refused at once rather than kept waiting.
        self.current.close();
        self.origin.close();
    }

    fn reload(&mut self, reply: Option<oneshot::Sender<Answer>>) {
        tell_manager(&format!("RELOADING=1\nMONOTONIC_USEC={}", linux::monotonic_usec()));
        let prepared = match self.machine.may_reload() {
            Ok(()) => self.origin.check().and_then(|checked| self.origin.open(checked, Some(&self.current))),
            Err(why) => Err(Refusal::Failed(why.to_owned())),
        };
        match prepared {
            Ok(prepared) => {
                self.candidate = Some(Candidate { prepared, reply });
                self.give(Input::Reload);
            }
            Err(refusal) => self.refuse(refusal, reply),
        }
    }

    /// The configuration that is served stays.
    fn refuse(&mut self, refusal: Refusal, reply: Option<oneshot::Sender<Answer>>) {
        tell_manager("READY=1");
        let (text, answer) = match refusal {
            Refusal::Wrong(text) => (text.clone(), Answer::Wrong(text)),
            Refusal::Failed(why) => (why.clone(), Answer::Failed(why)),
        };
        let why = text.lines().next().unwrap_or_default();
        let sentence = format!("reload refused, the service goes on as before: {why}");
        self.tell(Level::Error, Kind::ReloadRefused, &sentence);
        for line in text.lines().skip(1).filter(|line| !line.is_empty()) {
            log::error(line, &[]);
        }
        if let Some(reply) = reply {
            let _ = reply.send(answer);
        }
    }

    fn reopen_logs(&mut self) {
        let file = match self.current.reopen_access_log() {
            Ok(Some(file)) => file,
            Ok(None) => return,
            Err(why) => return log::error("the access log stays where it is", &[("why", &why)]),
        };
        for child in &self.children {
            match file.try_clone() {
                Ok(copy) => child.send(ToServe::Reopen, vec![copy]),
                Err(error) => log::error("the access log stays where it is", &[("why", &error)]),
            }
        }
        log::info("the access log is open anew", &[]);
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Spawn(id, which) => self.spawn(id, which),
                Action::AskState(id) => self.send(id, ToServe::Snapshot, Vec::new()),
                Action::Drain(id, timeout) => self.drain(id, timeout, true),
                Action::Hasten(id, timeout) => self.drain(id, timeout, false),
                Action::Kill(id) => {
                    if let Some(child) = self.children.iter_mut().find(|child| child.id == id) {
                        child.kill();
                    }
                }
                Action::Commit => self.commit(),
                Action::Reject(why) => {
                    if let Some(candidate) = self.candidate.take() {
                        self.refuse(Refusal::Failed(why), candidate.reply);
                    }
                }
                Action::Serving(id) => self.tell_serving(id),
                Action::Log(notice) => self.tell_notice(notice),
                Action::Finish(outcome) => self.outcome = Some(outcome),
            }
        }
    }

    fn drain(&self, id: ChildId, timeout: Duration, kept_connections: bool) {
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self.send(id, ToServe::Drain { timeout_ms, kept_connections }, Vec::new());
    }

    fn send(&self, id: ChildId, message: ToServe, fds: Vec<OwnedFd>) {
        if let Some(child) = self.children.iter().find(|child| child.id == id) {
            child.send(message, fds);
        }
    }

    fn spawn(&mut self, id: ChildId, which: Which) {
        let (prepared, generation) = match (which, &self.candidate) {
            (Which::Candidate, Some(candidate)) => (&candidate.prepared, self.generation + 1),
            _ => (&self.current, self.generation),
        };
        let spawned = prepared
            .start(generation, self.state.clone())
            .and_then(|(start, fds)| Ok((start, fds, Handle::spawn(id, self.incoming.clone())?)));
        match spawned {
            Ok((start, fds, child)) => {
                child.send(ToServe::Start(Box::new(start)), fds);
                self.children.push(child);
            }
            Err(error) => {
                let how = format!("it could not be started: {error}");
                let _ = self.incoming.send(Incoming::Happened(Input::Exited(id, how)));
            }
        }
    }

    fn commit(&mut self) {
        let Some(candidate) = self.candidate.take() else { return };
        self.current = candidate.prepared;
        self.generation += 1;
        self.machine.set_drain_timeout(self.current.config.process.drain_timeout);
        let text = format!("generation {} is served, listening on {}", self.generation, self.current.addresses());
        self.tell(Level::Info, Kind::Reload, &text);
        self.look_at_control_socket();
        if let Some(reply) = candidate.reply {
            let _ = reply.send(Answer::Done(serde_json::json!({ "generation": self.generation })));
        }
    }

    /// A control socket that moved at a reload would not be found by whoever knows the old place.
    fn look_at_control_socket(&mut self) {
        let wanted = match &self.current.config.process.control_socket {
            Some(path) if !self.control_asked => path.clone(),
            None if !self.control_asked => default_path(),
            _ => return,
        };
        if wanted != self.control {
            let text = format!(
                "the control socket stays at {}: it moves to {} when the service is started anew",
                self.control.display(),
                wanted.display()
            );
            self.tell(Level::Warn, Kind::RestartNeeded, &text);
        }
    }

    fn pid(&self, id: ChildId) -> u32 {
        self.children.iter().find(|child| child.id == id).map_or(0, |child| child.pid)
    }
}
