//! Programs that an administrator has written: run to find out whether something is well, and to tell that something
//! has happened; and files and processes that say the same without a program.

mod plan;

pub use plan::{Command, Notify, Watch, What};
