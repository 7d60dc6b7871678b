//! What a serving process keeps of the system: the files that its configuration names, and the calls that serving needs.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;
use std::{fs, io};

use anyhow::Context;
use config::{Config, Handler, Sandbox};
use linux::{Refused, Seen};

use crate::log;

/// Trees that do not answer by then may lie on a file server that is away. Start and reload do not wait for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Links on the way to a tree: the kernel follows no more (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// Where systems keep the certificates of authorities, which servers are verified by unless others are named.
const AUTHORITIES: [&str; 4] =
    ["/etc/ssl/certs", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/etc/pki"];

/// Gives up everything else, for this thread and those that it starts from now on.
///
/// # Errors
/// If the kernel refuses what it says that it can.
pub(super) fn enter(config: &Config) -> anyhow::Result<()> {
    let refused = match config.process.sandbox {
        Sandbox::Off => {
            log::warn("no sandbox: this process sees all files that its user may see", &[]);
            return Ok(());
        }
        Sandbox::On => Refused::Fails,
        Sandbox::Log => Refused::IsLogged,
    };
    let files = match refused {
        Refused::Fails => see_only_trees(config)?,
        Refused::IsLogged => "all that its user may see",
    };
    linux::call_only_what_serving_needs(refused).context("system calls cannot be restricted")?;
    let calls = match refused {
        Refused::Fails => "others fail",
        Refused::IsLogged => "others are in the kernel's log",
    };
    log::info("the sandbox is closed", &[("files", &files), ("calls", &calls)]);
    Ok(())
}

fn see_only_trees(config: &Config) -> anyhow::Result<&'static str> {
    let (read, write) = trees(config);
    let Some((read, write)) = shown(read, write) else {
        return Ok("all that its user may see: a tree does not answer, so that nobody knows where it is");
    };
    Ok(match linux::see_only(&read, &write).context("files cannot be restricted")? {
        Seen::Only => "those of the configuration",
        Seen::Partly => "those of the configuration; this kernel cannot keep it from other sockets and processes",
        Seen::Everything => "all that its user may see: this kernel has no landlock",
    })
}

/// The trees that the configuration names: to read, and to write.
fn trees(config: &Config) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let mut read: Vec<PathBuf> = AUTHORITIES.iter().map(PathBuf::from).collect();
    let mut write = Vec::new();
    for handler in &config.handlers {
        match handler {
            Handler::Files(files) => {
                read.push(files.root.clone());
                if files.upload.is_some() {
                    write.push(files.root.clone());
                }
            }
            Handler::Health(health) => read.push(health.files.clone()),
        }
    }
    (read, write)
}

/// What of the file system has these; `None`: one does not answer.
fn shown(read: Vec<PathBuf>, write: Vec<PathBuf>) -> Option<(Vec<OwnedFd>, Vec<OwnedFd>)> {
    let (tell, told) = mpsc::channel();
    let look = move || {
        let around: BTreeSet<PathBuf> = read.iter().flat_map(|tree| places(tree)).collect();
        let open = |place: &PathBuf| linux::show(place).ok();
        // Nothing beside a tree is written.
        let _ = tell.send((around.iter().filter_map(open).collect(), write.iter().filter_map(open).collect()));
    };
    // One that hangs goes on hanging, and holds up nobody.
    std::thread::Builder::new().name("trees".to_owned()).spawn(look).ok()?;
    told.recv_timeout(PATIENCE).ok()
}

/// What has to be seen for a tree to be: the folder that it is in, so that what takes its place is the tree from then
/// on, and likewise where links on the way lead. A tree at the top is seen itself, since all is in the folder that it is
/// in.
fn places(tree: &Path) -> Vec<PathBuf> {
    let mut places = Vec::new();
    let mut at = PathBuf::from("/");
    let mut ahead = words(tree);
    let mut links = 0;
    while let Some(word) = ahead.pop() {
        if word == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&word);
        match fs::read_link(&next) {
            Ok(target) if links < LINKS_MAX => {
                links += 1;
                places.push(beside(&next));
                places.extend(fs::canonicalize(&next).ok().map(|place| beside(&place)));
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                ahead.extend(words(&target));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // It may come later: whatever is there already has it then.
                places.push(if at == Path::new("/") { next } else { at });
                return places;
            }
            _ => at = next,
        }
    }
    places.push(beside(&at));
    places
}

/// The folder that `path` is in, unless that is all there is.
fn beside(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("/") => parent.to_owned(),
        _ => path.to_owned(),
    }
}

/// The elements, the last one first.
fn words(path: &Path) -> Vec<OsString> {
    let words = path.components().rev().filter_map(|component| match component {
        Component::Normal(word) => Some(word.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_tree_is_seen_by_the_folder_that_it_is_in_and_that_its_links_lead_to() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("releases/1/public")).unwrap();
        fs::create_dir_all(at("app")).unwrap();
        symlink("../releases/1", at("app/current")).unwrap();
        assert_eq!(places(&at("releases/1")), [at("releases")]);
        assert_eq!(places(&at("app/current")), [at("app"), at("releases"), at("releases")]);
        // The next release is beside this one.
        assert_eq!(places(&at("app/current/public")), [at("app"), at("releases"), at("releases/1")]);
        assert_eq!(places(&at("app/none/yet")), [at("app")]);
        assert_eq!(places(Path::new("/etc")), [PathBuf::from("/etc")]);
        assert_eq!(places(Path::new("/not-there")), [PathBuf::from("/not-there")]);
    }

    #[test]
    fn links_without_end_end() {
        let folder = tempfile::tempdir().unwrap();
        symlink("loop", folder.path().join("loop")).unwrap();
        assert!(places(&folder.path().join("loop")).len() <= LINKS_MAX + 1);
    }
}
