//! Whether a tree can be opened and read, found out by a thread that may hang for it.
//!
//! There is one thread for a tree, whatever happens: one that hangs is not replaced, and tells by hanging what is wrong.
//! It looks twice a second while somebody asks, and not at all when nobody does.

use crate::answer::{Body, FileAnswer, HeadWriter};
use crate::config::HealthConfig;
use crate::listing::json;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use wire::load_report::{self, LoadReport};

/// How old a finding may be to count as the present.
const FRESH: Duration = Duration::from_secs(1);

/// From one look's beginning to the next one's, so that a finding is replaced before it is stale.
const PERIOD: Duration = Duration::from_millis(500);

/// How long after the last question the thread goes on looking. Checks ask every few seconds.
const ASKED: Duration = Duration::from_secs(3);

/// Entries of the folder among which a file to read is sought.
const ENTRIES_MAX: usize = 64;

/// Watches one tree.
pub struct Health {
    config: HealthConfig,
    shared: Arc<Shared>,
}

/// What is known about the tree now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was opened and read.
    Ok {
        /// In so long a time.
        took: Duration,
    },
    /// It was not, and the system says why.
    Failed {
        /// What was being done.
        step: Step,
        /// The system's words.
        reason: String,
    },
    /// It has not answered within the time-out.
    Hung {
        /// What it does not answer to.
        step: Step,
        /// For how long.
        since: Duration,
    },
    /// Nothing is known yet, a look has begun: ask again in some milliseconds. This turns into another verdict within the time-out.
    Pending,
}

/// What a look at the tree consists of, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The folder is opened.
    Open,
    /// The file system is asked how it is, which goes to the server of a network file system each time.
    Status,
    /// The folder's first entries are read.
    List,
    /// A byte of a file in it is read.
    Read,
}

impl Step {
    /// Words for people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Step::Open => "open",
            Step::Status => "status",
            Step::List => "list",
            Step::Read => "read",
        }
    }
}

struct Shared {
    timeout: Duration,
    state: Mutex<State>,
    asked: Condvar,
}

#[derive(Default)]
struct State {
    spawned: bool,
    stopped: bool,
    last_asked: Option<Instant>,
    last_began: Option<Instant>,
    /// The look that is going on: since when, and how far it is.
    current: Option<(Instant, Step)>,
    /// The last one's end, and what came out.
    last: Option<(Instant, Verdict)>,
}

type Look = Box<dyn FnMut(&dyn Fn(Step)) -> Result<(), Errno> + Send>;

impl Health {
    /// Prepares to watch; nothing is touched before the first question.
    pub fn new(config: HealthConfig) -> Health {
        let shared = Shared { timeout: config.timeout, state: Mutex::default(), asked: Condvar::new() };
        Health { config, shared: Arc::new(shared) }
    }

    /// What is known now. Never waits.
    pub fn check(&self) -> Verdict {
        let path = self.config.files.clone();
        self.check_with(move || Box::new(move |at| look(&path, at)))
    }

    /// How long [`Verdict::Pending`] can last.
    pub fn timeout(&self) -> Duration {
        self.config.timeout
    }

    /// Appends a whole answer for a verdict, a JSON object: 200 if all is well, else 503. Pending is taken as hung.
    /// `load` is told beside it, whatever the verdict.
    pub fn answer(
        &self,
        verdict: &Verdict,
        is_head: bool,
        date: &[u8],
        connection: &[u8],
        load: Option<&LoadReport>,
        out: &mut Vec<u8>,
    ) -> FileAnswer {
        let status = if matches!(verdict, Verdict::Ok { .. }) { 200 } else { 503 };
        let mut body = Vec::new();
        self.describe(verdict, &mut body);
        let mut head = HeadWriter::new(status, date, connection, out)
            .field("Content-Type", b"application/json")
            .length(body.len() as u64)
            .field("Cache-Control", b"no-store");
        if let Some(load) = load {
            let mut value = Vec::new();
            load_report::write(&mut value, load);
            head = head.field(load_report::FIELD, &value);
        }
        head.end();
        if !is_head {
            out.extend_from_slice(&body);
        }
        FileAnswer { status, body: Body::Done }
    }

    fn describe(&self, verdict: &Verdict, out: &mut Vec<u8>) {
        let word = match verdict {
            Verdict::Ok { .. } => "ok",
            Verdict::Failed { .. } => "failed",
            Verdict::Hung { .. } | Verdict::Pending => "hung",
        };
        write!(out, "{{\"status\":\"{word}\",\"files\":").expect("a Vec takes every byte");
        json::string(self.config.files.as_os_str().as_encoded_bytes(), out);
        match verdict {
            Verdict::Ok { took } => write!(out, ",\"took_ms\":{}", took.as_millis()),
            Verdict::Hung { step, since } => {
                write!(out, ",\"step\":\"{}\",\"since_ms\":{}", step.name(), since.as_millis())
            }
            Verdict::Failed { step, reason } => {
                let before = write!(out, ",\"step\":\"{}\",\"reason\":", step.name());
                json::string(reason.as_bytes(), out);
                before
            }
            Verdict::Pending => Ok(()),
        }
        .expect("a Vec takes every byte");
        out.extend_from_slice(b"}\n");
    }

    fn check_with(&self, look: impl FnOnce() -> Look) -> Verdict {
        let now = Instant::now();
        let mut state = self.shared.lock();
        state.last_asked = Some(now);
        if !state.spawned {
            let (shared, look) = (Arc::clone(&self.shared), look());
            let spawned = thread::Builder::new().name("health".into()).spawn(move || watch(&shared, look));
            if let Err(error) = spawned {
                return Verdict::Failed { step: Step::Open, reason: format!("no thread to look with: {error}") };
            }
            state.spawned = true;
        }
        let verdict = state.verdict(now, self.shared.timeout);
        if verdict == Verdict::Pending {
            self.shared.asked.notify_one();
        }
        verdict
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        // The thread is not waited for: it may hang.
        self.shared.lock().stopped = true;
        self.shared.asked.notify_one();
    }
}

impl State {
    fn verdict(&self, now: Instant, timeout: Duration) -> Verdict {
        if let Some((since, step)) = self.current
            && now.saturating_duration_since(since) >= timeout
        {
            return Verdict::Hung { step, since: now.saturating_duration_since(since) };
        }
        match &self.last {
            Some((ended, verdict)) if now.saturating_duration_since(*ended) <= FRESH => verdict.clone(),
            _ => Verdict::Pending,
        }
    }

    /// When the next look is due; never while nobody asks.
    fn due(&self, now: Instant) -> Option<Instant> {
        let asked = self.last_asked.is_some_and(|asked| now.saturating_duration_since(asked) <= ASKED);
        asked.then(|| self.last_began.map_or(now, |began| began + PERIOD))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a look is due, and says that it begins. None: no more.
    fn begin(&self) -> Option<Instant> {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return None;
            }
            let now = Instant::now();
            state = match state.due(now) {
                None => self.asked.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(due) if due > now => {
                    self.asked.wait_timeout(state, due - now).unwrap_or_else(PoisonError::into_inner).0
                }
                Some(_) => {
                    state.last_began = Some(now);
                    state.current = Some((now, Step::Open));
                    return Some(now);
                }
            };
        }
    }

    fn enter(&self, step: Step) {
        if let Some((_, current)) = &mut self.lock().current {
            *current = step;
        }
    }

    fn end(&self, began: Instant, outcome: Result<(), Errno>) {
        let mut state = self.lock();
        let step = state.current.take().map_or(Step::Open, |(_, step)| step);
        let now = Instant::now();
        let took = now.saturating_duration_since(began);
        let verdict = match outcome {
            Err(error) => Verdict::Failed { step, reason: error.to_string() },
            Ok(()) if took >= self.timeout => {
                Verdict::Failed { step, reason: format!("took {} ms, which is too long", took.as_millis()) }
            }
            Ok(()) => Verdict::Ok { took },
        };
        state.last = Some((now, verdict));
    }
}

fn watch(shared: &Shared, mut look: Look) {
    while let Some(began) = shared.begin() {
        let outcome = look(&|step| shared.enter(step));
        shared.end(began, outcome);
    }
}

/// Opens and reads; each step may hang. A folder without a readable file is well.
fn look(path: &Path, at: &dyn Fn(Step)) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let folder = rustix::fs::openat(CWD, path, flags | OFlags::DIRECTORY, Mode::empty())?;
    at(Step::Status);
    rustix::fs::fstatfs(&folder)?;
    at(Step::List);
    let mut file = None;
    for found in Dir::read_from(&folder)?.take(ENTRIES_MAX) {
        let found = found?;
        let kind = match found.file_type() {
            FileType::Unknown => match rustix::fs::statat(folder.as_fd(), found.file_name(), AtFlags::SYMLINK_NOFOLLOW)
            {
                Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error),
            },
            kind => kind,
        };
        if kind == FileType::RegularFile {
            file = Some(found.file_name().to_owned());
            break;
        }
    }
    let Some(file) = file else {
        return Ok(());
    };
    at(Step::Read);
    let file = match rustix::fs::openat(&folder, file, flags | OFlags::NOFOLLOW, Mode::empty()) {
        // Not ours to read, or gone by now: neither is the file system's fault.
        Err(Errno::ACCESS | Errno::PERM | Errno::NOENT | Errno::LOOP) => return Ok(()),
        outcome => outcome?,
    };
    rustix::io::pread(&file, &mut [0; 1][..], 0).map(drop)
}

#[cfg(test)]
mod tests;
