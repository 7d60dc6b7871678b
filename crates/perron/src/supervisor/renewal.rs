//! Files of TLS while the service runs: read again when they change, judged, handed over; and a word before they expire.

mod expiry;
mod watch;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tls::{Expiry, Material};
use tokio::sync::mpsc;
use units::{Instant, Utc};

use super::machine::ChildId;
use super::{Incoming, Supervisor};
use crate::certificates;
use crate::event::{Event, Kind};
use crate::log::Level;
use crate::messages::ToServe;
use expiry::{Schedule, days};
pub(super) use watch::Changed;
use watch::Watcher;

/// What is watched, and what was told of it.
#[derive(Debug)]
pub(super) struct Renewal {
    watcher: Watcher,
    /// Counts the lists of files.
    round: u64,
    /// What was read and is not used: it does not go with the rest.
    pending: Material,
    schedule: Schedule,
    /// When to look next whether a certificate expires.
    deadline: Instant,
    /// Whether files have been taken over since a process was last started.
    renewed: bool,
}

impl Renewal {
    pub(super) fn new(incoming: mpsc::UnboundedSender<Incoming>) -> std::io::Result<Renewal> {
        Ok(Renewal {
            watcher: Watcher::start(incoming)?,
            round: 0,
            pending: Material::default(),
            schedule: Schedule::default(),
            deadline: Instant::ZERO,
            renewed: false,
        })
    }

    /// When [`Supervisor::tell_expiries`] is due.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// A process is started with all that there is.
    pub(super) fn spawned(&mut self) {
        self.renewed = false;
    }
}

impl Supervisor {
    /// Watches the files of the configuration that is served.
    pub(super) fn watch_files(&mut self) {
        self.renewal.round += 1;
        self.renewal.pending = Material::default();
        self.renewal.renewed = false;
        self.renewal.watcher.watch(self.renewal.round, self.current.found.stamps.clone());
        self.renewal.deadline = self.clock.now();
    }

    /// Files hold something else than before.
    pub(super) fn files_changed(&mut self, changed: Changed) {
        if changed.round != self.renewal.round {
            return;
        }
        let mut news = false;
        for (path, read) in changed.files {
            match read {
                Ok(text) => {
                    news |= self.current.found.material.text(&path) != Some(text.as_str());
                    self.renewal.pending.insert(path, text);
                }
                Err(why) => self.tell_refused(Some(&path), &why),
            }
        }
        let (config, material) = (&self.current.config, &self.current.found.material);
        let pending = std::mem::take(&mut self.renewal.pending);
        let differs = |(path, text): &(&Path, &str)| material.text(path) != Some(*text);
        let own = |(path, text): (&Path, &str)| (path.to_owned(), text.to_owned());
        let fresh: Material = pending.iter().filter(differs).map(own).collect();
        if !news {
            self.renewal.pending = fresh;
            return;
        }
        let renewed = certificates::renew(config, material, &fresh, SystemTime::now());
        let is_used = |(path, text): &(&Path, &str)| renewed.material.text(path) == Some(*text);
        let taken: Vec<PathBuf> = fresh.iter().filter(is_used).map(|(path, _)| path.to_owned()).collect();
        self.renewal.pending = fresh.iter().filter(|file| !is_used(file)).map(own).collect();
        for finding in &renewed.refused {
            self.tell_refused(finding.path.as_deref(), &finding.text);
        }
        if taken.is_empty() {
            return;
        }
        self.current.found.material = renewed.material;
        self.renewal.renewed = true;
        if let Some(id) = self.machine.serving() {
            self.send_secrets(id);
        }
        let shown = self.shown();
        for path in taken {
            self.tell_taken(&path, shown.iter().find(|shown| shown.path == path));
        }
        self.tell_expiries();
    }

    /// A process serves from now on that may have been started before files changed.
    pub(super) fn see_secrets(&self, id: ChildId) {
        if self.renewal.renewed {
            self.send_secrets(id);
        }
    }

    fn send_secrets(&self, id: ChildId) {
        let secrets = self.current.secrets(&self.origin);
        self.send(id, ToServe::Secrets(Box::new(secrets)), Vec::new());
    }

    /// Tells of certificates that expire, and finds out when to look again.
    pub(super) fn tell_expiries(&mut self) {
        let (shown, now) = (self.shown(), SystemTime::now());
        for (expiry, left) in self.renewal.schedule.due(&shown, now) {
            let (file, until) = (expiry.path.display(), day(expiry.at));
            let (level, text) = match left {
                Some(left) => (Level::Warn, format!("certificate {file} expires in {} days, on {until}", days(left))),
                None => (Level::Error, format!("certificate {file} has expired, on {until}")),
            };
            self.tell_file(level, Kind::CertificateExpires, &expiry.path, &text);
        }
        self.renewal.deadline = self.clock.now() + Schedule::wait(&shown, now);
    }

    fn shown(&self) -> Vec<Expiry> {
        certificates::shown(&self.current.config, &self.current.found.material)
    }

    fn tell_taken(&mut self, path: &Path, shown: Option<&Expiry>) {
        let file = path.display();
        let text = match shown {
            Some(shown) => format!("certificate {file} reloaded, valid until {}", day(shown.at)),
            None => format!("{file} reloaded"),
        };
        self.tell_file(Level::Info, Kind::CertificateReloaded, path, &text);
    }

    fn tell_refused(&mut self, path: Option<&Path>, why: &str) {
        let path = path.unwrap_or(Path::new("tls"));
        let text = format!("{} has changed and is not used, what was there before stays: {why}", path.display());
        self.tell_file(Level::Error, Kind::CertificateRefused, path, &text);
    }

    fn tell_file(&mut self, severity: Level, kind: Kind, path: &Path, text: &str) {
        self.record.add(Event::new(severity, kind, &path.display().to_string(), self.generation, text));
    }
}

/// `2026-11-01`, in universal time.
fn day(time: SystemTime) -> String {
    let utc = Utc::at(time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO));
    format!("{:04}-{:02}-{:02}", utc.year, utc.month, utc.day)
}
