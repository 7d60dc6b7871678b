//! What a serving process keeps of the system: the files that its configuration names, and the calls that serving needs.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;
use std::{fs, io};

use anyhow::Context;
use check::{CheckConfig, Target};
use config::{Config, Handler, Sandbox};
use linux::{Refused, Seen};

use crate::log;

/// Trees that do not answer by then may lie on a file server that is away. Start and reload do not wait for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Links on the way to a tree: the kernel follows no more (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// What the C library reads when it looks a name up: shown by the folders that they are in, for they are replaced by
/// others when a network changes.
const NAMES: [&str; 3] = ["/etc/hosts", "/etc/nsswitch.conf", "/etc/resolv.conf"];

/// Where it has what asks for it: modules that nsswitch.conf names.
const MODULES: [&str; 4] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64"];

/// What to do about a kernel, or whoever filters system calls here, that has no sandbox.
const WITHOUT: &str = "write sandbox = \"off\" in [process] to serve without";

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
    linux::call_only_what_serving_needs(refused)
        .with_context(|| format!("system calls cannot be restricted ({WITHOUT})"))?;
    let calls = match refused {
        Refused::Fails => "others fail",
        Refused::IsLogged => "others are in the kernel's log",
    };
    log::info("the sandbox is closed", &[("files", &files), ("calls", &calls)]);
    Ok(())
}

fn see_only_trees(config: &Config) -> anyhow::Result<&'static str> {
    let Some(Shown { read, write, missing }) = Trees::of(config).shown() else {
        let help: log::Fields<'_> = &[("help", &"reload when all trees answer")];
        log::warn("a tree does not answer, so that nobody knows where it is: files are not restricted", help);
        return Ok("all that its user may see");
    };
    for tree in missing {
        let fields: log::Fields<'_> = &[("root", &tree.display()), ("help", &"reload when it is there")];
        log::warn("a tree that takes files is not there: it will take none", fields);
    }
    let seen = linux::see_only(&read, &write).with_context(|| format!("files cannot be restricted ({WITHOUT})"))?;
    Ok(match seen {
        Seen::Only => "those of the configuration",
        Seen::Partly => "those of the configuration; this kernel cannot keep it from other sockets and processes",
        Seen::Everything => "all that its user may see: this kernel has no landlock",
    })
}

/// What is to be seen.
#[derive(Debug, Default, PartialEq, Eq)]
struct Trees {
    /// To read, wherever they are by then.
    read: Vec<PathBuf>,
    /// To read, as they are now.
    modules: Vec<PathBuf>,
    /// To read and to write, as they are now.
    write: Vec<PathBuf>,
}

/// What of the file system these are.
struct Shown {
    read: Vec<OwnedFd>,
    write: Vec<OwnedFd>,
    /// What is to be written to and is not there: nobody knows what it will be.
    missing: Vec<PathBuf>,
}

impl Trees {
    /// Those that the configuration names. What else it names was read before, by this process or the supervisor.
    fn of(config: &Config) -> Trees {
        let mut trees = Trees::default();
        for handler in &config.handlers {
            match handler {
                Handler::Files(files) => {
                    trees.read.push(files.root.clone());
                    if files.upload.is_some() {
                        trees.write.push(files.root.clone());
                    }
                }
                Handler::Transfers(transfers) => {
                    trees.read.extend([transfers.files.root.clone(), transfers.described.clone()]);
                    trees.write.push(transfers.described.clone());
                }
                Handler::Health(health) => trees.read.push(health.files.clone()),
            }
        }
        if looks_names_up(config) {
            trees.read.extend(NAMES.map(PathBuf::from));
            trees.modules.extend(MODULES.map(PathBuf::from));
        }
        trees
    }

    /// `None`: one does not answer.
    fn shown(self) -> Option<Shown> {
        let Trees { read, modules, write } = self;
        let (tell, told) = mpsc::channel();
        let look = move || {
            let around: BTreeSet<PathBuf> = read.iter().flat_map(|tree| places(tree)).chain(modules).collect();
            let open = |place: &PathBuf| linux::show(place).ok();
            let read = around.iter().filter_map(open).collect();
            let (there, missing): (Vec<_>, Vec<_>) =
                write.into_iter().map(|tree| (open(&tree), tree)).partition(|(opened, _)| opened.is_some());
            let write = there.into_iter().filter_map(|(opened, _)| opened).collect();
            let missing = missing.into_iter().map(|(_, tree)| tree).collect();
            let _ = tell.send(Shown { read, write, missing });
        };
        // One that hangs goes on hanging, and holds up nobody.
        std::thread::Builder::new().name("trees".to_owned()).spawn(look).ok()?;
        told.recv_timeout(PATIENCE).ok()
    }
}

/// Whether anything is reached by its name: an authority, or places that clients are sent to, which are checked.
fn looks_names_up(config: &Config) -> bool {
    let is_name =
        |check: &CheckConfig| matches!(&check.target, Target::Name { host, .. } if host.parse::<IpAddr>().is_err());
    let authority = config.acme.as_ref().is_some_and(|acme| !acme.config.certificates.is_empty());
    authority || config.redirect_checks.iter().flatten().flatten().any(is_name)
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

    fn seen(text: &str) -> Trees {
        let sources = config::Sources::from_texts(vec![("perron.toml".into(), text.into())], "/etc/perron".into());
        Trees::of(&config::load(&sources).unwrap().config)
    }

    #[test]
    fn what_is_named_is_seen_and_names_are_looked_up_only_where_there_are_some() {
        let frontend = "[frontend.f]\nbind = \"127.0.0.1:1\"\n";
        let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(seen(&format!("{frontend}respond = {{}}\n")), Trees::default());
        let trees = seen(&format!(
            "{frontend}files = {{ root = \"/srv/in\", upload = true }}\n\
             [[frontend.f.route]]\npath = \"/a/\"\nfiles = \"/srv/www\"\n\
             [[frontend.f.route]]\npath = \"/b/\"\n\
             fastcgi = {{ address = \"127.0.0.1:9000\", sendfile-root = \"/srv/sent\" }}\n"
        ));
        let mut read = trees.read;
        read.sort();
        assert_eq!(read, paths(&["/srv/in", "/srv/sent", "/srv/www"]));
        assert_eq!(trees.write, paths(&["/srv/in"]));
        let shown = "tls = { certificate = \"a.pem\", client-certificate = \"required\", client-ca = \"ca.pem\" }";
        let files = "files = { root = \"/srv/out\", transfers = \"/srv/told\" }";
        let trees = seen(&format!("{frontend}{shown}\n{files}\n"));
        assert_eq!((trees.read, trees.write), (paths(&["/srv/out", "/srv/told"]), paths(&["/srv/told"])));
        let sent_to = |place: &str| {
            seen(&format!(
                "{frontend}backend = \"b\"\n[backend.b]\ndeliver = \"redirect\"\ncheck = {{ type = \"tcp\" }}\n\
                 [[backend.b.server]]\naddress = \"10.0.0.1:80\"\nredirect-to = \"http://{place}\"\n"
            ))
        };
        assert_eq!(sent_to("10.0.0.1"), Trees::default());
        assert!(sent_to("www1.example.org").read.contains(&"/etc/resolv.conf".into()));
    }

    #[test]
    fn links_without_end_end() {
        let folder = tempfile::tempdir().unwrap();
        symlink("loop", folder.path().join("loop")).unwrap();
        assert!(places(&folder.path().join("loop")).len() <= LINKS_MAX + 1);
    }
}
