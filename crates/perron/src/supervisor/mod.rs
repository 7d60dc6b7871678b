//! `perron run`: holds the sockets, starts the serving processes, and does what [`machine`] decides.
//!
//! It carries no traffic and, beside the configuration, reads nothing that a client of the service sends.
//!
//! The file is long because what each word that comes in leads to is told in one place; what is done then has files of
//! its own.

mod apps;
mod authority;
mod child;
mod control;
mod end;
mod handover;
mod looks;
mod machine;
mod network;
mod notes;
mod prepare;
mod record;
mod renewal;
mod signals;
mod upgrade;

use std::collections::BTreeMap;
use std::future::pending;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;
use units::Instant;

use crate::cli::Run;
use crate::control::{Answer, Request, default_path};
use crate::event::Kind;
use crate::log::{self, Level};
use crate::messages::{FromNetwork, FromServe, Question, ToServe};
use apps::Apps;
use child::{Handle, Serve, THIS_PROGRAM};
use handover::Taken;
use looks::Looks;
use machine::{Action, ChildId, Input, Machine, Which};
use network::Network;
use prepare::{Origin, Prepared, Refusal};
use record::Record;
use renewal::{Changed, Renewal};
use signals::{Signals, Word};
use upgrade::Upgrade;

/// What the service manager is asked to wait beyond the drain-timeout: the end by force, and some for a busy machine.
const MANAGER_GRACE: Duration = Duration::from_secs(10);

/// What the loop waits for.
#[derive(Debug)]
enum Incoming {
    /// For the machine, as it is.
    Happened(Input),
    /// A serving process said something.
    Said(ChildId, FromServe),
    /// For the machine of the process that moves addresses.
    NetworkHappened(network::Input),
    /// That process said something.
    NetworkSaid(ChildId, FromNetwork),
    /// A process of the application of this name ended.
    AppHappened(String, apps::Input),
    /// An administrator's programs have found something out.
    Watched(scripts::Facts),
    /// What a process wanted to know for a check is known.
    Looked(ChildId, u64, scripts::Seen),
    /// Files of TLS have changed.
    Files(Changed),
    /// There is something to say of those that are told.
    Noted(scripts::Note),
    /// Somebody asks at the control socket.
    Asked {
        request: Request,
        /// Who asks.
        uid: u32,
        reply: oneshot::Sender<Answer>,
    },
    /// Somebody asks there for another program.
    UpgradeAsked { binary: Option<PathBuf>, uid: u32, asker: Option<UnixStream> },
    /// The other program could take this one's place, or this is why not.
    Rehearsed(Result<(), Refusal>),
}

/// What is held, and what is under way.
struct Supervisor {
    origin: Origin,
    machine: Machine,
    clock: Clock,
    current: Prepared,
    candidate: Option<Candidate>,
    generation: u64,
    children: Vec<Handle<Serve>>,
    network: Network,
    apps: Apps,
    looks: Looks,
    /// How often the end was asked for.
    ends: u32,
    /// What the serving process said last of what the next one should know.
    state: Option<serde_json::Value>,
    questions: BTreeMap<u64, Asked>,
    next_question: u64,
    stops: Vec<oneshot::Sender<Answer>>,
    socket: control::Socket,
    accepting: control::Accepting,
    /// Whether the command line says where the socket is.
    control_asked: bool,
    upgrade: Option<Upgrade>,
    /// Whether the candidate's program is to take this one's place now.
    replace: bool,
    record: Record,
    renewal: Renewal,
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
    if options.rehearse {
        return handover::rehearse(options);
    }
    if options.end_with_parent {
        linux::end_with_parent()?;
    }
    if let Err(error) = linux::raise_descriptor_limit() {
        log::warn("the limit of open files stays as it is", &[("why", &error)]);
    }
    let control_asked = options.control.control.is_some();
    let (path, without) = (options.config.config, options.without);
    let begun = match options.take_over {
        Some(number) => {
            rustix::thread::set_name(c"perron")?;
            let mut origin = Origin::of_successor(path, without)?;
            let (socket, prepared, taken) = handover::take_over(number, &mut origin)?;
            Begun { origin, socket, prepared, taken: Some(taken), control_asked }
        }
        None => {
            let mut origin = Origin::new(path, without)?;
            match open(&mut origin, options.control.control) {
                Ok((socket, prepared)) => Begun { origin, socket, prepared, taken: None, control_asked },
                Err(Refusal::Wrong(text)) => {
                    eprint!("{text}");
                    return Ok(ExitCode::from(2));
                }
                Err(Refusal::Failed(why)) => anyhow::bail!(why),
            }
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(supervise(begun))?;
    // Answers to those who asked for the end are on their way.
    runtime.shutdown_timeout(Duration::from_millis(100));
    match outcome {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(why) => anyhow::bail!("the service could not begin: {why}"),
    }
}

/// What a supervisor begins with: its own, or what another program left.
struct Begun {
    origin: Origin,
    socket: control::Socket,
    prepared: Prepared,
    taken: Option<Taken>,
    control_asked: bool,
}

/// The control socket comes first: that the service runs already says more than that its port is taken.
fn open(origin: &mut Origin, asked: Option<PathBuf>) -> Result<(control::Socket, Prepared), Refusal> {
    let checked = origin.check()?;
    let path = asked.or_else(|| checked.config.process.control_socket.clone()).unwrap_or_else(default_path);
    let socket = control::Socket::open(path).map_err(|error| Refusal::Failed(format!("{error:#}")))?;
    origin.begin_apps(socket.path());
    Ok((socket, origin.open(checked, None)?))
}

async fn supervise(begun: Begun) -> anyhow::Result<Result<(), String>> {
    let (incoming, mut arriving) = mpsc::unbounded_channel();
    let mut signals = Signals::new()?;
    let mut supervisor = Supervisor::new(begun, incoming)?;
    let watchdog = linux::watchdog_interval().map(|interval| interval / 2);
    while supervisor.outcome.is_none() {
        let renewal = Some(supervisor.renewal.deadline());
        let due = supervisor.machine.deadline().map(|(at, _)| at);
        let due = [due, supervisor.network.deadline(), supervisor.apps.deadline(), renewal];
        let due = due.into_iter().flatten().min().map(|at| supervisor.clock.at(at));
        tokio::select! {
            word = arriving.recv() => supervisor.take(word.expect("the supervisor holds a sender itself")),
            word = signals.next() => supervisor.obey(word),
            () = until(due) => supervisor.be_on_time(),
            () = until(watchdog.map(|wait| tokio::time::Instant::now() + wait)) => {}
        }
        if std::mem::take(&mut supervisor.replace) {
            supervisor.hand_over(&mut arriving, &mut signals).await;
        }
        if watchdog.is_some() {
            tell_manager("WATCHDOG=1");
        }
    }
    let outcome = supervisor.outcome.take().expect("the loop ends with an outcome");
    if let Some(telling) = supervisor.network.take_telling() {
        let _ = telling.await;
    }
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

impl Supervisor {
    /// Starts the first serving process, or goes on where the program before stopped.
    fn new(begun: Begun, incoming: mpsc::UnboundedSender<Incoming>) -> anyhow::Result<Supervisor> {
        let Begun { origin, socket, prepared, taken, control_asked } = begun;
        let accepting = socket.serve(incoming.clone())?;
        let mut supervisor = Supervisor {
            origin,
            machine: Machine::new(prepared.config.process.drain_timeout),
            clock: Clock(tokio::time::Instant::now()),
            current: prepared,
            candidate: None,
            generation: 1,
            children: Vec::new(),
            network: Network::new(),
            apps: Apps::default(),
            looks: Looks::new(),
            ends: 0,
            state: None,
            questions: BTreeMap::new(),
            next_question: 1,
            stops: Vec::new(),
            socket,
            accepting,
            control_asked,
            upgrade: None,
            replace: false,
            record: Record::default(),
            renewal: Renewal::new(incoming.clone())?,
            incoming,
            outcome: None,
        };
        match taken {
            None => {
                supervisor.tell_start();
                supervisor.apps_follow();
                supervisor.give(Input::Begin);
            }
            Some(taken) => supervisor.go_on(taken)?,
        }
        supervisor.watch_files();
        Ok(supervisor)
    }

    /// The new serving process takes clients already: it is the one that serves from now on.
    fn go_on(&mut self, taken: Taken) -> anyhow::Result<()> {
        let timeout = self.current.config.process.drain_timeout;
        let (machine, candidate) = Machine::take_over(taken.machine, timeout, self.clock.now());
        self.machine = machine;
        self.generation = taken.generation + 1;
        self.state = taken.serve_state;
        self.record = taken.record;
        for child in taken.children {
            let id = child.id;
            match child.resume(self.incoming.clone()) {
                Ok(child) => self.children.push(child),
                Err(error) => self.exited(id, &error),
            }
        }
        self.tell_upgrade(&taken.version);
        if let Some(apps) = taken.apps {
            self.apps_go_on(apps);
        }
        self.apps_follow();
        // What it asked the program before, this one does not know.
        self.looks.know(candidate, &self.current.config, self.current.user());
        self.end_looks();
        if let Some(network) = taken.network {
            self.network_go_on(network);
        }
        self.give(Input::Ready(candidate));
        self.give_network(network::Input::Replace);
        let answer = serde_json::json!({
            "from": taken.version, "to": env!("CARGO_PKG_VERSION"), "generation": self.generation
        });
        upgrade::reply(taken.asker, &Answer::Done(answer));
        // Those that came while one program gave way to the other are obeyed by this one.
        Ok(linux::release_signals()?)
    }

    fn exited(&self, id: ChildId, why: &dyn std::fmt::Display) {
        let how = format!("it could not be reached: {why}");
        let _ = self.incoming.send(Incoming::Happened(Input::Exited(id, how)));
    }

    /// Whether a reload or an upgrade can begin.
    fn may_reload(&self) -> Result<(), &'static str> {
        match self.upgrade {
            _ if self.ends > 0 => Err("the service is ending"),
            Some(_) => Err("an upgrade is under way; try again in a moment"),
            None => self.machine.may_reload(),
        }
    }

    fn take(&mut self, word: Incoming) {
        match word {
            Incoming::Happened(input) => {
                let gone = match &input {
                    Input::Exited(id, _) => Some(*id),
                    _ => None,
                };
                self.give(input);
                if let Some(id) = gone {
                    self.apps_left_by(id);
                    self.looks.forget(id);
                    self.children.retain(|child| child.id != id);
                    self.questions.retain(|_, asked| asked.child != id);
                }
            }
            Incoming::Said(id, said) => self.hear(id, said),
            Incoming::NetworkHappened(input) => self.give_network(input),
            Incoming::NetworkSaid(id, said) => self.hear_network(id, said),
            Incoming::Files(changed) => self.files_changed(changed),
            Incoming::AppHappened(name, input) => self.give_app(&name, input),
            Incoming::Watched(facts) => self.watched(&facts),
            Incoming::Noted(note) => self.noted(&note),
            Incoming::Looked(child, id, seen) => self.looked_for(child, id, &seen),
            Incoming::Asked { request, uid, reply } => self.answer(request, uid, reply),
            Incoming::UpgradeAsked { binary, uid, asker } => self.upgrade(binary, uid, asker),
            Incoming::Rehearsed(outcome) => self.rehearsed(outcome),
        }
    }

    fn obey(&mut self, word: Word) {
        match word {
            Word::Terminate => self.terminate(),
            Word::Reload => self.reload(None),
            Word::ReopenLogs => self.reopen_logs(),
            Word::Upgrade => self.upgrade(None, rustix::process::geteuid().as_raw(), None),
        }
    }

    fn be_on_time(&mut self) {
        let mut actions = Vec::new();
        self.machine.handle_deadline(self.clock.now(), &mut actions);
        self.perform(actions);
        self.network_on_time();
        if self.renewal.deadline() <= self.clock.now() {
            self.tell_expiries();
        }
        self.apps_on_time();
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
            FromServe::Facts(facts) => {
                if self.machine.serving() == Some(id) {
                    self.take_served(facts);
                }
            }
            FromServe::Forward(table) => {
                if self.machine.serving() == Some(id) {
                    self.take_forwarding(table);
                }
            }
            FromServe::Looked => self.looked(),
            FromServe::Look { id: number, place } => self.look(id, number, place),
            FromServe::Authority(said) => {
                if self.machine.serving() == Some(id) {
                    self.hear_authority(said);
                }
            }
        }
    }

    fn answer(&mut self, request: Request, uid: u32, reply: oneshot::Sender<Answer>) {
        self.tell_command(&request, uid);
        match request {
            Request::Events { since, limit } => {
                let found = serde_json::to_value(self.record.after(since, limit));
                let _ = reply.send(found.map_or_else(|error| Answer::Failed(error.to_string()), Answer::Done));
            }
            Request::Status => self.ask_status(reply),
            Request::Vips => self.ask_vips(reply),
            Request::Forwarding => self.ask_forwarding(reply),
            Request::Vip { name, order } => self.order(name, order, reply),
            Request::Server(_) if self.candidate.is_some() => {
                let _ = reply.send(Answer::Failed("a reload is under way; try again in a moment".to_owned()));
            }
            Request::Server(command) => self.pass_on(Question::Server(command), reply),
            Request::Reload => self.reload(Some(reply)),
            Request::Upgrade { .. } => {
                let _ = reply.send(Answer::Wrong("an upgrade is asked for with a connection of its own".to_owned()));
            }
            Request::Stop => {
                self.stops.push(reply);
                // Only a second signal is impatience.
                if self.ends == 0 {
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

    fn reload(&mut self, reply: Option<oneshot::Sender<Answer>>) {
        tell_manager(&format!("RELOADING=1\nMONOTONIC_USEC={}", linux::monotonic_usec()));
        let prepared = match self.may_reload() {
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
                    if let Some(child) = self.children.iter().find(|child| child.id == id) {
                        child.kill();
                    }
                }
                Action::Commit => self.commit(),
                Action::Replace(_) => self.replace = true,
                Action::Reject(why) => {
                    let (candidate, refusal) = (self.candidate.take(), Refusal::Failed(why));
                    match (self.upgrade.take(), candidate) {
                        (Some(upgrade), _) => self.refuse_upgrade(upgrade.into_asker(), refusal),
                        (None, Some(candidate)) => self.refuse(refusal, candidate.reply),
                        (None, None) => {}
                    }
                }
                Action::Serving(id) => {
                    self.tell_serving(id);
                    self.see_secrets(id);
                    self.tell_report();
                    self.tell_apps();
                    self.network_follow();
                }
                Action::Log(notice) => self.tell_notice(notice),
                Action::Finish(outcome) => self.finish(outcome),
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
        let program = match (which, &self.upgrade) {
            (Which::Candidate, Some(upgrade)) => upgrade.program(),
            _ => PathBuf::from(THIS_PROGRAM),
        };
        let beats = if prepared.needs_beats() { Some(self.network.beats()) } else { None };
        let spawned = beats
            .transpose()
            .and_then(|beats| prepared.start(&self.origin, generation, self.state.clone(), beats))
            .and_then(|(start, fds)| Ok((start, fds, Handle::spawn(id, &program, self.incoming.clone())?)));
        let (config, user) = (&prepared.config, prepared.user());
        match spawned {
            Ok((start, fds, child)) => {
                self.looks.know(id, config, user);
                child.send(ToServe::Start(Box::new(start)), fds);
                self.children.push(child);
                self.renewal.spawned();
                self.apps_used_by(id, which);
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
        self.watch_files();
        self.machine.set_drain_timeout(self.current.config.process.drain_timeout);
        let text = format!("generation {} is served, listening on {}", self.generation, self.current.addresses());
        self.tell(Level::Info, Kind::Reload, &text);
        self.network_plan();
        self.apps_follow();
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
        if wanted != self.socket.path() {
            let text = format!(
                "the control socket stays at {}: it moves to {} when the service is started anew",
                self.socket.path().display(),
                wanted.display()
            );
            self.tell(Level::Warn, Kind::RestartNeeded, &text);
        }
    }

    fn pid(&self, id: ChildId) -> u32 {
        self.children.iter().find(|child| child.id == id).map_or(0, |child| child.pid)
    }
}
