//! The files that a worker has open because they were asked for more than once in the last moments.
//!
//! Opening a file beneath the root costs more than sending a small one. So each worker keeps a few open, and asks with
//! fstat(2) on what it holds, which never waits and walks no path, whether they still lie where they were found:
//! writing to a file, deleting it, renaming it or something over it, and linking it change its ctime, and so does
//! renaming a folder or forbidding it. Nothing of a file's content is kept. What no ctime tells is a mount over a folder
//! on the way; therefore nothing is kept for longer than the root it was found beneath, as little as a mount over that
//! is seen.
//!
//! Asking for the path itself would be no better: statx(2) cannot be told to walk only what is cached, and would hang
//! with whatever was mounted or linked on the way.

use crate::failure::Failure;
use crate::span::{Reading, Storage, append};
use crate::tree::{Opened, Root, Stamp};
use rustix::fs::FileType;
use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime};

/// Paths that a worker remembers of one tree.
const PATHS_MAX: usize = 256;

/// Folders between the root and a file that is remembered: each is asked for its ctime with every request, and further
/// ones would make that as dear as opening.
const FOLDERS_MAX: usize = 4;

/// How old a root may become before what was found beneath it is let go even if no other root was found.
const AGE_MAX: Duration = Duration::from_secs(5);

/// A file changed so recently is not kept, for the next change could bear the same time: clocks of file systems tick
/// every 10 ms at the slowest.
const SETTLED: Duration = Duration::from_secs(1);

/// Files up to this size are looked at whole, once, to see whether they are in the page cache.
const SHORT: u64 = 128 * 1024;

thread_local! {
    static TREES: RefCell<HashMap<u64, Tree>> = RefCell::default();
}

/// What was found beneath one root.
struct Tree {
    root: u64,
    found: Instant,
    paths: HashMap<Box<[u8]>, Memory>,
}

/// What is known of a path.
enum Memory {
    /// It was asked for.
    Asked,
    /// It was asked for more than once, and is a file.
    Open(Kept),
}

struct Kept {
    opened: Opened,
    /// On the way from the root to it.
    folders: Vec<(OwnedFd, Stamp)>,
}

/// Opens a file or folder as [`Root::open_beneath`] does without blocking, or finds it still open. `files` tells apart
/// the trees that one thread serves.
pub(crate) fn open(files: u64, root: &Root, path: &[u8], now: Instant) -> Result<Opened, Failure> {
    if !root.tells_changes() {
        return root.open_beneath(path, false);
    }
    TREES.with_borrow_mut(|trees| {
        let tree = trees.entry(files).or_insert_with(|| Tree::of(root));
        if tree.root != root.number() {
            *tree = Tree::of(root);
            trees.retain(|_, tree| tree.is_young(now));
            return root.open_beneath(path, false);
        }
        tree.open(root, path)
    })
}

/// Closes what this thread keeps open and nobody asked for in the last seconds.
///
/// A worker is to call it now and then also when it has no requests, or else what was deleted stays on the disk, and
/// what is mounted cannot be unmounted, until its next request.
pub fn let_go() {
    let_go_at(Instant::now());
}

/// The same, at a given moment.
pub(crate) fn let_go_at(now: Instant) {
    TREES.with_borrow_mut(|trees| trees.retain(|_, tree| tree.is_young(now)));
}

impl Tree {
    fn of(root: &Root) -> Tree {
        Tree { root: root.number(), found: root.opened(), paths: HashMap::new() }
    }

    fn is_young(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.found) <= AGE_MAX
    }

    fn open(&mut self, root: &Root, path: &[u8]) -> Result<Opened, Failure> {
        match self.paths.get_mut(path) {
            Some(Memory::Open(kept)) if kept.is_current() => Ok(kept.opened.clone()),
            Some(memory) => {
                *memory = Memory::Asked;
                let (opened, kept) = Kept::open(root, path)?;
                if let Some(kept) = kept {
                    *memory = Memory::Open(kept);
                }
                Ok(opened)
            }
            None => {
                if self.paths.len() < PATHS_MAX {
                    self.paths.insert(path.into(), Memory::Asked);
                }
                root.open_beneath(path, false)
            }
        }
    }
}

impl Kept {
    /// The folders are stamped before the file is found beneath them: what is renamed in between shows at the next look.
    fn open(root: &Root, path: &[u8]) -> Result<(Opened, Option<Kept>), Failure> {
        let settled = SystemTime::now().checked_sub(SETTLED);
        let slashes = || path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        if slashes().count() > FOLDERS_MAX {
            return Ok((root.open_beneath(path, false)?, None));
        }
        let mut folders = Vec::new();
        for slash in slashes() {
            folders.push(root.stamp_folder(&path[..slash])?);
        }
        let opened = root.open_beneath(path, false)?;
        let is_settled = |stamp: &Stamp| settled.is_some_and(|settled| stamp.is_before(settled));
        let is_kept = opened.kind == FileType::RegularFile
            && is_settled(&opened.stamp)
            && folders.iter().all(|(_, stamp)| is_settled(stamp));
        let kept = is_kept.then(|| Kept { opened: opened.clone().resident_if_short(), folders });
        Ok((opened, kept))
    }

    fn is_current(&self) -> bool {
        Stamp::of(&*self.opened.file) == Ok(self.opened.stamp)
            && self.folders.iter().all(|(folder, stamp)| Stamp::of(folder) == Ok(*stamp))
    }
}

impl Opened {
    /// A short file whose every byte can be read at once is as good as in memory for the moments that it is kept: what is
    /// asked for so often is the last that is evicted.
    fn resident_if_short(mut self) -> Opened {
        let reading = Reading::Now(self.storage);
        if self.size <= SHORT && append(self.file.as_fd(), 0, self.size as usize, reading, &mut Vec::new()).is_ok() {
            self.storage = Storage::Memory;
        }
        self
    }
}

#[cfg(test)]
mod tests;
