//! What this machine lacks for a test, said so that nobody takes the test for passed.

use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The environment variable that, set to `required`, makes each skip a failure.
const MODE_VARIABLE: &str = "PERRON_LAB";

/// Where programs are looked for besides `PATH`: daemons often stand where a user's path does not reach.
const SYSTEM_FOLDERS: [&str; 6] = ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin", "/usr/local/sbin"];

/// Why a test cannot run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    reason: String,
}

impl Skip {
    /// A skip for this reason: what is missing, and how to have it.
    pub fn new(reason: impl Into<String>) -> Skip {
        Skip { reason: reason.into() }
    }

    /// Says on the real standard error, past the test harness's capture, that the test was skipped and why.
    ///
    /// # Panics
    /// If the environment says `PERRON_LAB=required`.
    #[track_caller]
    pub fn announce(&self) {
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a test");
        assert!(
            std::env::var_os(MODE_VARIABLE).is_none_or(|mode| mode != "required"),
            "{MODE_VARIABLE}=required, but {test} cannot run here: {self}"
        );
        // A closed standard error leaves nobody to tell.
        let _ = std::io::stderr().write_all(format!("\nSKIPPED: {test}: {self}\n").as_bytes());
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.reason)
    }
}

/// Where a program is.
///
/// # Errors
/// If it is not installed.
pub fn program(name: &str) -> Result<PathBuf, Skip> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    SYSTEM_FOLDERS
        .iter()
        .map(PathBuf::from)
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| Skip::new(format!("{name} is not installed")))
}

/// That the system's Python has a module.
///
/// # Errors
/// If it has not, or there is no Python.
pub fn python_module(name: &str) -> Result<(), Skip> {
    let found = Command::new(program("python3")?)
        .args(["-c", &format!("import {name}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if found { Ok(()) } else { Err(Skip::new(format!("Python has no module {name} (Debian: python3-{name})"))) }
}
