//! Who could have changed a program.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use linux::User;
use thiserror::Error;

/// Symbolic links on the way to a program: the kernel follows no more (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// The bit of folders in which only an entry's owner removes it.
const STICKY: u32 = 0o1000;

/// Why a program is not run.
#[derive(Debug, Error)]
pub enum Unfit {
    /// Nothing is there.
    #[error("{} is not there", .path.display())]
    Missing {
        /// Of it, or of a folder on the way.
        path: PathBuf,
    },
    /// It is a folder, a device or the like.
    #[error("{} is no file", .path.display())]
    NotAFile {
        /// The program.
        path: PathBuf,
    },
    /// Its mode does not let the user execute it.
    #[error("{} cannot be executed by {user}: its mode is {mode:04o}; write chmod a+x", .path.display())]
    NotExecutable {
        /// The program.
        path: PathBuf,
        /// Whom it was to be run as.
        user: String,
        /// The permission bits.
        mode: u32,
    },
    /// Somebody else than root and the user could write here, so everybody could be made to run anything.
    #[error(
        "{} could be changed by {by} (owner {uid}, group {gid}, mode {mode:04o}), so the program is not run; {}",
        .path.display(),
        if *.by == "its owner" { "give it to root" } else { "write chmod go-w" }
    )]
    Writable {
        /// The program, or the folder or link on the way to it.
        path: PathBuf,
        /// Who.
        by: &'static str,
        /// The owner.
        uid: u32,
        /// The group.
        gid: u32,
        /// The permission bits.
        mode: u32,
    },
    /// More symbolic links than the kernel follows.
    #[error("the way to {} has more than {LINKS_MAX} symbolic links", .path.display())]
    Links {
        /// The program.
        path: PathBuf,
    },
    /// It could not be looked at.
    #[error("{} cannot be looked at: {source}", .path.display())]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The user does not exist.
    #[error("this system has no user {user}")]
    NoUser {
        /// The name.
        user: String,
    },
    /// The user database could not be read.
    #[error("the user {user} cannot be looked up: {source}")]
    Lookup {
        /// The name.
        user: String,
        /// Why.
        source: io::Error,
    },
    /// Nobody is named, and the service is root.
    #[error("it would be run as root; name whom it is to be run as, such as user = \"www-data\"")]
    Unnamed,
    /// The service is no root, and so it cannot become somebody else.
    #[error("only root can run it as {user}")]
    OtherUser {
        /// The name.
        user: String,
    },
    /// The system did not start it.
    #[error("{} cannot be started: {source}", .path.display())]
    Start {
        /// The program.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Looks at every element of the way to `program`, which is absolute, and at where links lead.
///
/// # Errors
/// If somebody else than root and `user` could have changed it, or `user` cannot execute it.
pub(crate) fn check(program: &Path, user: &User) -> Result<(), Unfit> {
    let mut at = PathBuf::from("/");
    let mut found = look(&at)?;
    trust(&at, &found, user)?;
    let mut ahead = words(program);
    let mut links = 0;
    while let Some(word) = ahead.pop() {
        if word == ".." {
            at.pop();
            found = look(&at)?;
            continue;
        }
        let next = at.join(&word);
        if !found.is_dir() {
            return Err(Unfit::Missing { path: next });
        }
        let entry = look(&next)?;
        trust(&next, &entry, user)?;
        if entry.is_symlink() {
            links += 1;
            if links > LINKS_MAX {
                return Err(Unfit::Links { path: program.to_owned() });
            }
            let target = fs::read_link(&next).map_err(|source| Unfit::Io { path: next, source })?;
            if target.is_absolute() {
                at = PathBuf::from("/");
                found = look(&at)?;
            }
            ahead.extend(words(&target));
        } else {
            at = next;
            found = entry;
        }
    }
    if !found.is_file() {
        return Err(Unfit::NotAFile { path: program.to_owned() });
    }
    if !executable(&found, user) {
        let mode = found.mode() & 0o7777;
        return Err(Unfit::NotExecutable { path: at, user: user.name.clone(), mode });
    }
    Ok(())
}

fn look(path: &Path) -> Result<Metadata, Unfit> {
    fs::symlink_metadata(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => Unfit::Missing { path: path.to_owned() },
        _ => Unfit::Io { path: path.to_owned(), source },
    })
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

fn trust(path: &Path, found: &Metadata, user: &User) -> Result<(), Unfit> {
    let (uid, gid, mode) = (found.uid(), found.gid(), found.mode() & 0o7777);
    // Of a folder with this bit nobody takes away what belongs to root, and what lies in it is looked at next.
    let sticky = found.is_dir() && mode & STICKY != 0;
    let by = if uid != 0 && uid != user.uid {
        "its owner"
    } else if found.is_symlink() || sticky {
        // A link's mode says nothing.
        return Ok(());
    } else if mode & 0o002 != 0 {
        "everybody"
    } else if mode & 0o020 != 0 && gid != 0 {
        "its group"
    } else {
        return Ok(());
    };
    Err(Unfit::Writable { path: path.to_owned(), by, uid, gid, mode })
}

fn executable(found: &Metadata, user: &User) -> bool {
    let bits = match user {
        User { uid: 0, .. } => 0o111,
        User { uid, .. } if *uid == found.uid() => 0o100,
        User { groups, .. } if groups.contains(&found.gid()) => 0o010,
        _ => 0o001,
    };
    found.mode() & bits != 0
}

#[cfg(test)]
mod tests;
