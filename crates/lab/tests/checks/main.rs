//! Each kind of check against a real server, and against one that fails.

mod kinds;
mod scripts;
mod weights;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use lab::{Host, Perron, SOON, wait_for};

/// A folder that everybody comes into, and nobody else writes to.
fn folder(host: &Host, label: &str) -> PathBuf {
    let folder = host.new_folder(label);
    for place in folder.ancestors().take_while(|place| *place != Path::new("/tmp")) {
        // Of folders above it some are not ours, and are open already.
        let _ = fs::set_permissions(place, fs::Permissions::from_mode(0o755));
    }
    folder
}

/// Writes a program of the shell, whole before it can be run.
fn program(folder: &Path, name: &str, lines: &str) -> String {
    let (path, new) = (folder.join(name), folder.join(format!("{name}.new")));
    fs::write(&new, format!("#!/bin/sh\n{lines}\n")).expect("the folder is ours");
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("the file is ours");
    fs::rename(&new, &path).expect("the folder is ours");
    path.display().to_string()
}

/// A backend `all` of servers, each with the lines that follow its name.
fn backend(servers: &[(&str, String)]) -> String {
    let servers = servers.iter().map(|(name, lines)| format!("[[backend.all.server]]\nname = \"{name}\"\n{lines}\n"));
    format!(
        "[frontend.all]\nbind = \"0.0.0.0:8080\"\nbackend = \"all\"\n[backend.all]\ninterval = \"100ms\"\n{}",
        servers.collect::<String>()
    )
}

/// A server at this address with this one check.
fn checked(address: &str, check: &str) -> String {
    format!("address = \"{address}\"\nchecks = [{{ timeout = \"2s\", {check} }}]")
}

/// Waits until a server has this status, and its check says these words.
#[track_caller]
fn wait_until(perron: &Perron, server: &str, status: &str, words: &str) {
    let name = format!("all/{server}");
    let mut last = perron.server(&name);
    let found = lab::eventually(SOON, || {
        last = perron.server(&name);
        last["status"] == status && last["check"]["text"].as_str().is_some_and(|text| text.contains(words))
    });
    assert!(found, "{server} is not {status} by \"{words}\": {last}");
}

/// Waits until a server's weight and administrative state are these.
#[track_caller]
fn wait_until_weight(perron: &Perron, server: &str, weight: u64, admin: &str) {
    let name = format!("all/{server}");
    wait_for(SOON, &format!("{server} has weight {weight} and is {admin}"), || {
        let server = perron.server(&name);
        server["weight"] == weight && server["admin"] == admin
    });
}
