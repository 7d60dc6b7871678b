//! What the supervisor tells an operator: the sentences, and the service manager's lines.

use super::machine::{ChildId, Notice};
use super::{Supervisor, tell_manager};
use crate::control::Request;
use crate::event::{Event, Kind};
use crate::log::Level;

/// What its own events are about.
const SERVICE: &str = "service";

impl Supervisor {
    /// Something happened to the service: the log has it, and `perron events`.
    pub(super) fn tell(&mut self, severity: Level, kind: Kind, text: &str) {
        self.record.add(Event::new(severity, kind, SERVICE, self.generation, text));
    }

    pub(super) fn tell_start(&mut self) {
        let (workers, user) = self.current.describe();
        let text = format!(
            "perron {} starts with {workers} workers as {user}, listening on {}; dashboard {}, control socket {}",
            env!("CARGO_PKG_VERSION"),
            self.current.addresses(),
            self.current.dashboard(),
            self.socket.path().display(),
        );
        self.tell(Level::Info, Kind::Start, &text);
    }

    pub(super) fn tell_upgrade(&mut self, before: &str) {
        let text = format!(
            "perron {} has taken the place of {before}; generation {} is served, listening on {}",
            env!("CARGO_PKG_VERSION"),
            self.generation,
            self.current.addresses()
        );
        self.tell(Level::Info, Kind::Upgrade, &text);
    }

    /// Who wants something to change.
    pub(super) fn tell_command(&mut self, request: &Request, uid: u32) {
        let what = match request {
            Request::Status | Request::Events { .. } | Request::Vips | Request::Forwarding => return,
            Request::Reload => "a reload".to_owned(),
            Request::Upgrade { binary: None } => "an upgrade".to_owned(),
            Request::Upgrade { binary: Some(path) } => format!("an upgrade to {}", path.display()),
            Request::Stop => "the end".to_owned(),
            Request::Vip { name, order } => {
                let what = match order {
                    failover::Order::GiveUp => "given up",
                    failover::Order::Hold => "held",
                    failover::Order::Resume => "resumed",
                };
                format!("{} to be {what}", name.as_deref().unwrap_or("all vips"))
            }
            Request::Server(admin::Command::SetAdmin { backend, server, admin }) => {
                format!("{backend}/{server} set to {admin}")
            }
            Request::Server(admin::Command::SetWeight { backend, server, weight }) => {
                format!("{backend}/{server} to have weight {weight}")
            }
        };
        self.tell(Level::Info, Kind::Command, &format!("user {uid} wants {what}"));
    }

    pub(super) fn tell_serving(&mut self, id: ChildId) {
        let (pid, generation) = (self.pid(id), self.generation);
        self.tell(Level::Info, Kind::Serve, &format!("process {pid} serves generation {generation}"));
        tell_manager(&format!("READY=1\nSTATUS=generation {generation}, serving as process {pid}"));
    }

    pub(super) fn tell_notice(&mut self, notice: Notice) {
        let (severity, kind, text) = match notice {
            Notice::Died(id, why, wait) => {
                let after =
                    if wait.is_zero() { "at once".to_owned() } else { format!("in {}", units::write_duration(wait)) };
                let text = format!("serving process {} died: {why}; it is started again {after}", self.pid(id));
                (Level::Error, Kind::ServeDied, text)
            }
            Notice::Hung(id) => {
                (Level::Error, Kind::ServeHung, format!("serving process {} hangs; it is ended by force", self.pid(id)))
            }
            Notice::TooSlow(id) => {
                let text = format!("serving process {} does not begin; it is ended by force", self.pid(id));
                (Level::Error, Kind::ServeHung, text)
            }
            Notice::DrainOver(id) => {
                let text = format!("requests at process {} are cut off: the drain-timeout is over", self.pid(id));
                (Level::Warn, Kind::DrainOver, text)
            }
            Notice::TooMany(id) => {
                let text = format!(
                    "requests at process {} are cut off: too many earlier processes still finish theirs",
                    self.pid(id)
                );
                (Level::Warn, Kind::DrainOver, text)
            }
            Notice::Ended(id) => {
                (Level::Info, Kind::ServeEnded, format!("serving process {} ended, as it was told", self.pid(id)))
            }
        };
        self.tell(severity, kind, &text);
    }
}
