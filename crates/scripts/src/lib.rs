//! Programs that an administrator has written: run to find out whether something is well, and to tell that something
//! has happened, or that serve requests beside it; and files and processes that say the same without a program.
//!
//! A program is run only if nobody but root and the user that it runs as could have changed it, see [`Unfit`]. It never
//! holds up another one, nor who asked for it: it has its time, then it and all that it has started are ended.

mod app;
mod fifo;
mod judge;
mod look;
mod looker;
mod notifier;
mod path;
mod plan;
mod process;
mod runner;
mod watcher;

pub use app::{App, AppLimits, Launched, Program, check_program};
pub use fifo::{Fifo, FifoError};
pub use looker::{FILES_MAX, Look, Looker, Seen, check_looks};
pub use notifier::{Change, Note, Notifier, State, Subject};
pub use path::Unfit;
pub use plan::{Command, Notify, Watch, What};
pub use runner::{Ended, SCRIPTS_MAX, check};
pub use watcher::{Fact, Facts, Health, Watcher};
