//! Applications that the service runs: their processes, started, listened to, replaced and ended.
//!
//! An application's processes accept on a socket that the supervisor holds, so that nothing is refused while they are
//! replaced. They end when no serving process is left that may have requests at them.

mod carried;
mod machine;
mod output;
mod process;

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use admin::model;
use config::Application;
use scripts::App;
use units::Instant;

use super::child::THIS_PROGRAM;
use super::machine::{ChildId, Which};
use super::prepare::AppSocket;
use super::{Incoming, Supervisor};
use crate::event::{Event, Kind};
use crate::log::Level;
use crate::messages::ToServe;
pub(super) use carried::{CarriedApps, TakenApps};
use machine::{Action, Machine, Notice};
pub(super) use machine::{End, Input, ProcessId};
use process::Process;

/// The applications, and who may have requests at them.
#[derive(Debug, Default)]
pub(super) struct Apps {
    running: Vec<Running>,
    /// By serving process: the applications of its configuration.
    users: BTreeMap<ChildId, Vec<String>>,
    /// The service's end, which waits for theirs.
    outcome: Option<Result<(), String>>,
}

#[derive(Debug)]
struct Running {
    app: App,
    socket: Arc<AppSocket>,
    machine: Machine,
    processes: Vec<Process>,
    /// Since when it has been run as it is configured.
    since: SystemTime,
}

impl Apps {
    /// When [`Supervisor::apps_on_time`] is due next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.running.iter().filter_map(|app| app.machine.deadline()).min()
    }

    fn find(&mut self, name: &str) -> Option<&mut Running> {
        self.running.iter_mut().find(|running| running.app.name == name)
    }

    fn status(&self) -> Vec<model::Application> {
        self.running.iter().map(Running::status).collect()
    }

    /// Ends all processes by force.
    pub(super) fn kill(&self) {
        for process in self.running.iter().flat_map(|app| &app.processes) {
            process.kill();
        }
    }

    /// The longest time that a process has to end.
    pub(super) fn stop_timeout(&self) -> Duration {
        self.running.iter().map(|app| app.app.stop_timeout).max().unwrap_or_default()
    }
}

impl Running {
    fn new(app: &App, socket: &Arc<AppSocket>) -> Running {
        Running {
            app: app.clone(),
            socket: Arc::clone(socket),
            machine: Machine::new(),
            processes: Vec::new(),
            since: SystemTime::now(),
        }
    }

    fn process(&self, id: ProcessId) -> Option<&Process> {
        self.processes.iter().find(|process| process.id == id)
    }

    fn pid(&self, id: ProcessId) -> u32 {
        self.process(id).map_or(0, |process| process.pid)
    }

    fn whom(&self) -> &str {
        self.app.user.as_deref().unwrap_or("whoever started the service")
    }

    fn status(&self) -> model::Application {
        model::Application {
            name: self.app.name.clone(),
            command: self.app.words(),
            user: self.app.user.clone(),
            processes: self.machine.running() as u64,
            wanted: self.machine.wanted() as u64,
            restarts: self.machine.restarts(),
            since_unix: self.since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            pids: self.processes.iter().map(|process| process.pid).collect(),
        }
    }
}

impl Supervisor {
    /// What is served now says which applications are run.
    pub(super) fn apps_follow(&mut self) {
        let wanted: Vec<(Application, Arc<AppSocket>)> = {
            let applications = self.current.config.applications.iter().cloned();
            applications.zip(self.current.apps().iter().cloned()).collect()
        };
        for (Application { app, .. }, socket) in &wanted {
            let renewed = match self.apps.find(&app.name) {
                Some(running) => {
                    let renewed = !running.app.runs_as(app);
                    if renewed {
                        running.since = SystemTime::now();
                    }
                    (running.app, running.socket) = (app.clone(), Arc::clone(socket));
                    renewed
                }
                None => {
                    self.apps.running.push(Running::new(app, socket));
                    false
                }
            };
            let want = Input::Want { processes: app.processes, renewed, stop_timeout: app.stop_timeout };
            self.give_app(&app.name, want);
        }
        self.retire_apps();
        self.tell_apps();
    }

    /// A serving process of one of the two configurations may have requests at its applications.
    pub(super) fn apps_used_by(&mut self, id: ChildId, which: Which) {
        let prepared = match (which, &self.candidate) {
            (Which::Candidate, Some(candidate)) => &candidate.prepared,
            _ => &self.current,
        };
        self.apps.users.insert(id, prepared.apps().iter().map(|socket| socket.name.clone()).collect());
    }

    /// A serving process has ended.
    pub(super) fn apps_left_by(&mut self, id: ChildId) {
        if self.apps.users.remove(&id).is_some() {
            self.retire_apps();
        }
    }

    /// Does what is due.
    pub(super) fn apps_on_time(&mut self) {
        let now = self.clock.now();
        let due = |app: &&Running| app.machine.deadline().is_some_and(|at| at <= now);
        let names: Vec<String> = self.apps.running.iter().filter(due).map(|app| app.app.name.clone()).collect();
        for name in names {
            let mut actions = Vec::new();
            if let Some(running) = self.apps.find(&name) {
                running.machine.handle_deadline(now, &mut actions);
            }
            self.perform_app(&name, actions);
        }
    }

    /// Something happened to an application.
    pub(super) fn give_app(&mut self, name: &str, input: Input) {
        let now = self.clock.now();
        let gone = match &input {
            Input::Exited(id, _) => Some(*id),
            _ => None,
        };
        let mut actions = Vec::new();
        if let Some(running) = self.apps.find(name) {
            running.machine.handle(input, now, &mut actions);
        }
        self.perform_app(name, actions);
        if let (Some(id), Some(running)) = (gone, self.apps.find(name)) {
            running.processes.retain(|process| process.id != id);
            self.tell_apps();
        }
    }

    /// No serving process is left: applications end, and then the service.
    pub(super) fn finish(&mut self, outcome: Result<(), String>) {
        self.apps.users.clear();
        self.apps.outcome = Some(outcome);
        let names: Vec<String> = self.apps.running.iter().map(|app| app.app.name.clone()).collect();
        for name in names {
            self.give_app(&name, Input::Retire);
        }
        self.finish_without_apps();
    }

    fn finish_without_apps(&mut self) {
        if self.apps.running.is_empty() && self.apps.outcome.is_some() {
            self.outcome = self.apps.outcome.take();
        }
    }

    /// Ends the applications that neither the configuration nor a process that finishes its requests has.
    fn retire_apps(&mut self) {
        let current = &self.current.config.applications;
        let users = &self.apps.users;
        let is_wanted = |name: &String| {
            current.iter().any(|application| application.app.name == *name)
                || users.values().any(|names| names.contains(name))
        };
        let names = self.apps.running.iter().map(|running| running.app.name.clone());
        let unwanted: Vec<String> = names.filter(|name| !is_wanted(name)).collect();
        for name in unwanted {
            self.give_app(&name, Input::Retire);
        }
    }

    fn perform_app(&mut self, name: &str, actions: Vec<Action>) {
        let changes = !actions.is_empty();
        for action in actions {
            match action {
                Action::Spawn(id) => self.start_process(name, id),
                Action::Terminate(id) => self.with_process(name, id, Process::terminate),
                Action::Kill(id) => self.with_process(name, id, Process::kill),
                Action::Log(notice) => self.tell_app(name, notice),
                Action::Gone => {
                    self.apps.running.retain(|running| running.app.name != name);
                    let text = format!("application {name} runs no more, as the configuration says");
                    self.record_app(Level::Info, Kind::AppEnded, name, &text);
                    self.finish_without_apps();
                }
            }
        }
        if changes {
            self.tell_apps();
        }
    }

    fn start_process(&mut self, name: &str, id: ProcessId) {
        let (clock, incoming) = (self.clock, self.incoming.clone());
        let Some(running) = self.apps.find(name) else { return };
        let started = match running.app.launch(running.socket.as_fd(), Path::new(THIS_PROGRAM)) {
            Ok(launched) => Process::listen(name, id, launched, clock, incoming)
                .map_err(|error| format!("it could not be listened to: {error}")),
            Err(unfit) => Err(unfit.to_string()),
        };
        match started {
            Ok(process) => running.processes.push(process),
            Err(why) => {
                let exited = Input::Exited(id, End::Badly(why));
                let _ = self.incoming.send(Incoming::AppHappened(name.to_owned(), exited));
            }
        }
    }

    fn with_process(&mut self, name: &str, id: ProcessId, act: fn(&Process)) {
        if let Some(process) = self.apps.find(name).and_then(|running| running.process(id)) {
            act(process);
        }
    }

    fn tell_app(&mut self, name: &str, notice: Notice) {
        let Some(running) = self.apps.find(name) else { return };
        let (severity, kind, text) = match notice {
            Notice::Begun { processes, renewed } => {
                let place = if renewed { "; the processes before them end once these have lived" } else { "" };
                let what = if processes == 1 { "1 process".to_owned() } else { format!("{processes} processes") };
                let text = format!("application {name}: {what} started as {}{place}", running.whom());
                (Level::Info, Kind::App, text)
            }
            Notice::Died(id, why, wait, last) => {
                let after = match (wait.is_zero(), last) {
                    (true, _) => "it is started again at once".to_owned(),
                    (false, false) => format!("it is started again in {}", units::write_duration(wait)),
                    (false, true) => {
                        format!("it is tried again every {}, which is not told any more", units::write_duration(wait))
                    }
                };
                let process = match running.pid(id) {
                    0 => "a process".to_owned(),
                    pid => format!("process {pid}"),
                };
                (Level::Error, Kind::AppDied, format!("{process} of application {name} ended: {why}; {after}"))
            }
            Notice::TooSlow(id) => {
                let pid = running.pid(id);
                let text = format!("process {pid} of application {name} does not end; it is ended by force");
                (Level::Warn, Kind::AppHung, text)
            }
        };
        self.record_app(severity, kind, name, &text);
    }

    fn record_app(&mut self, severity: Level, kind: Kind, name: &str, text: &str) {
        self.record.add(Event::new(severity, kind, name, self.generation, text));
    }

    /// The serving process shows them.
    pub(super) fn tell_apps(&self) {
        let serving = self.machine.serving().and_then(|id| self.children.iter().find(|child| child.id == id));
        if let Some(child) = serving.filter(|child| self.apps.users.contains_key(&child.id)) {
            child.send(ToServe::Applications(self.apps.status()), Vec::new());
        }
    }
}
