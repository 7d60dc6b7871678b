//! The programs to compare, as found on this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// Where daemons stand that a user's PATH does not reach.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/bin", "/usr/local/sbin"];

/// Which language a program's configuration is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Perron,
    Haproxy,
    Nginx,
    Lighttpd,
    Apache,
}

/// A program to measure.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) kind: Kind,
    /// With its version, as the table shows it.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// perron first if it is built, then every HAProxy (Debian's, those in PATH, `$HAPROXY`), nginx, lighttpd and Apache.
///
/// # Errors
/// If there is nothing to compare.
pub(crate) fn find(perron: Option<&Path>) -> anyhow::Result<Vec<Program>> {
    let mut programs = Vec::new();
    match own(perron) {
        Ok(path) => programs.push(Program { kind: Kind::Perron, name: "perron".to_owned(), path }),
        Err(error) => eprintln!("{error:#}"),
    }
    let named = std::env::var_os("HAPROXY").and_then(|path| PathBuf::from(path).canonicalize().ok());
    for path in named.into_iter().chain(every("haproxy")) {
        add(&mut programs, Kind::Haproxy, "HAProxy", path, &["-v"]);
    }
    for path in every("nginx").into_iter().take(1) {
        add(&mut programs, Kind::Nginx, "nginx", path, &["-v"]);
    }
    for path in every("lighttpd").into_iter().take(1) {
        add(&mut programs, Kind::Lighttpd, "lighttpd", path, &["-v"]);
    }
    for path in every("apache2").into_iter().take(1) {
        add(&mut programs, Kind::Apache, "Apache httpd", path, &["-v"]);
    }
    if programs.len() < 2 {
        bail!("neither HAProxy nor nginx is installed: scripts/setup test");
    }
    Ok(programs)
}

/// The program in question: the one named, or the one beside this one.
///
/// # Errors
/// If it is not there.
pub(crate) fn own(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    let path = named.map_or_else(|| beside_this_program("perron"), Path::to_path_buf);
    // Programs run in the folder of their configuration.
    path.canonicalize().with_context(|| format!("{} is not there: cargo build --release -p perron", path.display()))
}

fn add(programs: &mut Vec<Program>, kind: Kind, label: &str, path: PathBuf, arguments: &[&str]) {
    let Ok(output) = Command::new(&path).args(arguments).output() else {
        return;
    };
    let said = [output.stdout, output.stderr].concat();
    let Some(version) = version(&String::from_utf8_lossy(&said)) else {
        return;
    };
    let name = format!("{label} {version}");
    if programs.iter().all(|known| known.name != name) {
        programs.push(Program { kind, name, path });
    }
}

/// The first word of numbers and dots: `2.6.12` of `HAProxy version 2.6.12-1 …`.
fn version(said: &str) -> Option<String> {
    let numbers = said.split(|c: char| !c.is_ascii_digit() && c != '.');
    numbers.map(|word| word.trim_matches('.')).find(|word| word.contains('.')).map(str::to_owned)
}

/// Every file of this name in the system's folders and in PATH, each once.
fn every(name: &str) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = SYSTEM_FOLDERS.iter().map(PathBuf::from).chain(std::env::split_paths(&path));
    let mut found: Vec<PathBuf> = Vec::new();
    for candidate in folders.map(|folder| folder.join(name)).filter(|path| path.is_file()) {
        let real = candidate.canonicalize().unwrap_or(candidate);
        if !found.contains(&real) {
            found.push(real);
        }
    }
    found
}

fn beside_this_program(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say_of_themselves() {
        let debian = "HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/";
        assert_eq!(version(debian).as_deref(), Some("2.6.12"));
        assert_eq!(version("nginx version: nginx/1.22.1\n").as_deref(), Some("1.22.1"));
        assert_eq!(version("no number here."), None);
    }
}
