use std::path::PathBuf;
use std::time::Duration;

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// An absolute path, and then its arguments; at least one.
    pub words: Vec<String>,
    /// Whom it is run as; `None`: whom the service runs as.
    pub user: Option<String>,
    /// It is ended by force after so long, with all that it has started.
    pub timeout: Duration,
}

/// Something that is looked at again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Its key among the facts, such as `script/NAME`; unique.
    pub key: String,
    /// What is looked at.
    pub what: What,
    /// From the beginning of one look to that of the next.
    pub interval: Duration,
    /// Looks in a row that make it well; the first look of all decides at once.
    pub rise: u32,
    /// Looks in a row that make it unwell.
    pub fall: u32,
}

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It ends with 0.
    Script(Command),
    /// So many processes of this name run at least.
    Process {
        /// The program's file name, as in `/proc/PID/comm` or the last part of its path.
        name: String,
        /// At least 1.
        at_least: u32,
    },
    /// The file holds a number; one that is not there or holds none is 0.
    File(PathBuf),
}

/// Who is told when a vip or a group changes its state, or a backend or server comes and goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notify {
    /// When it becomes active.
    pub active: Option<Command>,
    /// When it becomes a backup.
    pub backup: Option<Command>,
    /// When it lacks something.
    pub fault: Option<Command>,
    /// When it is stopped.
    pub stop: Option<Command>,
    /// When a backend has its quorum, or a server is usable.
    pub up: Option<Command>,
    /// When it has not, or is not any more.
    pub down: Option<Command>,
    /// At each change of a vip or a group, with four arguments more: `INSTANCE` or `GROUP`, the name, `MASTER`, `BACKUP`, `FAULT` or `STOP`,
    /// and the priority, as keepalived has it.
    pub any: Option<Command>,
}
