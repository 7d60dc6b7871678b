//! Tests that change their whole process have one of their own.

use std::io::{self, Write};
use std::process::Command;

/// Names the test that a process was started for.
const VARIABLE: &str = "PERRON_TEST_ALONE";

/// Whether this process is the test's own; otherwise one is started for the test of this name, and has passed.
#[track_caller]
pub(crate) fn alone(test: &str) -> bool {
    if std::env::var_os(VARIABLE).is_some_and(|name| name == test) {
        return true;
    }
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program).args(["--exact", test, "--nocapture"]).env(VARIABLE, test).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let passed = output.status.success() && said.contains("1 passed");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(passed, "{}\n{said}{complaints}", output.status);
    // What it could not do, it has said there.
    let _ = io::stderr().write_all(complaints.as_bytes());
    false
}
