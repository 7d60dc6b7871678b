//! Applications from one supervisor to the next, in whose process they go on as if nothing had happened.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use scripts::{App, AppLimits, Launched, Program};
use serde::{Deserialize, Serialize};

use super::machine::{Carried, Machine};
use super::process::Process;
use super::{Apps, End, Input, ProcessId, Running};
use crate::supervisor::machine::ChildId;
use crate::supervisor::prepare::{AppSocket, HeldApp, Prepared};
use crate::supervisor::{Incoming, Supervisor};

/// What the next supervisor is handed. Descriptors are told by their numbers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(in crate::supervisor) struct CarriedApps {
    running: Vec<CarriedRunning>,
    users: Vec<(ChildId, Vec<String>)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct CarriedRunning {
    app: CarriedApp,
    since_unix: u64,
    machine: Carried,
    /// Id, process id, what it says.
    processes: Vec<(ProcessId, u32, RawFd)>,
    /// `None`: it is among those of the configuration.
    socket: Option<HeldApp>,
}

/// A [`scripts::App`].
#[derive(Debug, Serialize, Deserialize)]
struct CarriedApp {
    name: String,
    command: Option<Vec<String>>,
    own: Option<Vec<String>>,
    user: Option<String>,
    processes: u16,
    environment: Vec<(String, String)>,
    directory: std::path::PathBuf,
    memory: Option<u64>,
    files: u64,
    cpu_time_ms: Option<u64>,
    stop_timeout_ms: u64,
}

/// The same, with its descriptors taken.
#[derive(Debug)]
pub(in crate::supervisor) struct TakenApps {
    running: Vec<TakenRunning>,
    users: Vec<(ChildId, Vec<String>)>,
}

#[derive(Debug)]
struct TakenRunning {
    app: App,
    since: SystemTime,
    machine: Carried,
    processes: Vec<(ProcessId, u32, OwnedFd)>,
    socket: Option<Arc<AppSocket>>,
}

impl Apps {
    /// What the next supervisor is handed beside what is held for `next`, and the descriptors that it tells the numbers
    /// of.
    pub(in crate::supervisor) fn carried(&self, next: &Prepared) -> (CarriedApps, Vec<BorrowedFd<'_>>) {
        let mut keep = Vec::new();
        let mut running = Vec::new();
        for app in &self.running {
            let held = next.apps().iter().any(|socket| Arc::ptr_eq(socket, &app.socket));
            if !held {
                keep.push(app.socket.as_fd());
            }
            keep.extend(app.processes.iter().map(AsFd::as_fd));
            let processes = app.processes.iter().map(|process| (process.id, process.pid, process.output()));
            running.push(CarriedRunning {
                app: CarriedApp::new(&app.app),
                since_unix: app.since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
                machine: app.machine.carried(),
                processes: processes.collect(),
                socket: (!held).then(|| HeldApp::new(&app.socket)),
            });
        }
        let users = self.users.iter().map(|(id, names)| (*id, names.clone())).collect();
        (CarriedApps { running, users }, keep)
    }
}

impl CarriedApps {
    /// Takes the descriptors over.
    pub(in crate::supervisor) fn take_over(self) -> io::Result<TakenApps> {
        let mut running = Vec::new();
        for carried in self.running {
            let mut processes = Vec::new();
            for (id, pid, output) in carried.processes {
                processes.push((id, pid, linux::inherited_descriptor(output)?));
            }
            running.push(TakenRunning {
                app: carried.app.restored(),
                since: UNIX_EPOCH + Duration::from_secs(carried.since_unix),
                machine: carried.machine,
                processes,
                socket: carried.socket.map(HeldApp::take_over).transpose()?,
            });
        }
        Ok(TakenApps { running, users: self.users })
    }
}

impl Supervisor {
    /// Goes on with the applications of the program before this one; what is wanted of them is told next.
    pub(in crate::supervisor) fn apps_go_on(&mut self, taken: TakenApps) {
        self.apps.users = taken.users.into_iter().collect();
        for taken in taken.running {
            let name = taken.app.name.clone();
            let held = self.current.apps().iter().find(|socket| socket.name == name).cloned();
            let Some(socket) = taken.socket.or(held) else { continue };
            self.origin.know_app(&socket);
            let machine = Machine::take_over(taken.machine, taken.app.stop_timeout, self.clock.now());
            let mut running = Running { machine, since: taken.since, ..Running::new(&taken.app, &socket) };
            for (id, pid, output) in taken.processes {
                let launched = Launched { pid, output };
                match Process::listen(&name, id, launched, self.clock, self.incoming.clone()) {
                    Ok(process) => running.processes.push(process),
                    Err(error) => {
                        let exited = Input::Exited(id, End::Badly(format!("it could not be found again: {error}")));
                        let _ = self.incoming.send(Incoming::AppHappened(name.clone(), exited));
                    }
                }
            }
            self.apps.running.push(running);
        }
    }
}

impl CarriedApp {
    fn new(app: &App) -> CarriedApp {
        let App { name, program, user, processes, environment, directory, limits, stop_timeout } = app.clone();
        let (command, own) = match program {
            Program::Command(words) => (Some(words), None),
            Program::Own(words) => (None, Some(words)),
        };
        CarriedApp {
            name,
            command,
            own,
            user,
            processes,
            environment,
            directory,
            memory: limits.memory,
            files: limits.files,
            cpu_time_ms: limits.cpu_time.map(millis),
            stop_timeout_ms: millis(stop_timeout),
        }
    }

    fn restored(self) -> App {
        let program = match (self.command, self.own) {
            (Some(words), _) => Program::Command(words),
            (None, words) => Program::Own(words.unwrap_or_default()),
        };
        let cpu_time = self.cpu_time_ms.map(Duration::from_millis);
        App {
            name: self.name,
            program,
            user: self.user,
            processes: self.processes,
            environment: self.environment,
            directory: self.directory,
            limits: AppLimits { memory: self.memory, files: self.files, cpu_time },
            stop_timeout: Duration::from_millis(self.stop_timeout_ms),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
