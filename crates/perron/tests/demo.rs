//! `perron demo` for a few seconds.

use std::process::Command;

#[test]
fn a_cluster_starts_answers_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_perron"))
        .args(["demo", "--seconds", "2"])
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complained}");
    assert!(said.contains("director north") && said.contains("origin   gamma"), "{said}");
    assert!(said.contains(" requests, 0 without an answer"), "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
