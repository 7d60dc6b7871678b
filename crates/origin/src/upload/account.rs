//! What a tree holds, what it may hold, and which uploads nobody goes on with.

use super::UploadConfig;
use super::receipt::Receipt;
use crate::tree::is_temporary;
use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

/// Folders deeper than this below a root are not looked into: each level keeps a descriptor open.
const DEPTH_MAX: usize = 64;

/// Uploads under way that one look remembers; of more, those are left for the next look.
const PARTIALS_MAX: usize = 10_000;

/// The bytes of a tree: as they were counted last, and what has changed since by this process.
#[derive(Default)]
pub(super) struct Account(Mutex<Bytes>);

#[derive(Clone, Copy, Default)]
struct Bytes {
    /// `None`: nobody has counted yet.
    held: Option<u64>,
    /// Promised to uploads that have said their length.
    reserved: u64,
    /// How often `held` has changed by what this process did.
    changes: u64,
}

/// An upload that is under way, or was left.
struct Left {
    folder: Vec<u8>,
    name: Vec<u8>,
    size: u64,
    modified: SystemTime,
}

/// What a look at a tree finds.
#[derive(Default)]
struct Found {
    bytes: u64,
    left: Vec<Left>,
}

impl Account {
    /// Whether somebody has counted.
    pub(super) fn is_known(&self) -> bool {
        self.with(|bytes| bytes.held.is_some())
    }

    /// Sets `more` bytes aside, if they fit.
    pub(super) fn reserve(&self, more: u64, quota: Option<u64>) -> Result<(), Receipt> {
        self.with(|bytes| {
            let after = bytes.held.unwrap_or(0).saturating_add(bytes.reserved).saturating_add(more);
            if quota.is_some_and(|quota| after > quota) {
                return Err(Receipt::full("the quota of this tree is used up"));
            }
            bytes.reserved += more;
            Ok(())
        })
    }

    /// Gives back what was set aside.
    pub(super) fn release(&self, less: u64) {
        self.with(|bytes| bytes.reserved = bytes.reserved.saturating_sub(less));
    }

    /// What was set aside is written.
    pub(super) fn written(&self, count: u64) {
        self.with(|bytes| {
            bytes.reserved = bytes.reserved.saturating_sub(count);
            bytes.changes += 1;
            bytes.held = bytes.held.map(|held| held.saturating_add(count));
        });
    }

    /// A file is gone.
    pub(super) fn removed(&self, count: u64) {
        self.with(|bytes| {
            bytes.changes += 1;
            bytes.held = bytes.held.map(|held| held.saturating_sub(count));
        });
    }

    /// Counts the tree anew and removes the uploads that nobody goes on with; may wait.
    pub(super) fn look(&self, root: &Path, config: &UploadConfig, now: SystemTime) -> Result<(), Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(root, flags, Mode::empty())?;
        let device = rustix::fs::fstat(&folder)?.st_dev;
        let before = self.with(|bytes| bytes.changes);
        let mut found = Found::default();
        found.look_into(&folder, &mut Vec::new(), device, 0);
        let removed = found.remove_left(&folder, config, now);
        self.with(|bytes| {
            // Nobody knows whether what changed meanwhile was seen before or after.
            if bytes.changes == before || bytes.held.is_none() {
                bytes.held = Some(found.bytes.saturating_sub(removed));
            }
        });
        Ok(())
    }

    fn with<T>(&self, then: impl FnOnce(&mut Bytes) -> T) -> T {
        then(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Found {
    /// What cannot be read is passed over: it is not the uploads'.
    fn look_into(&mut self, folder: &OwnedFd, path: &mut Vec<u8>, device: u64, depth: usize) {
        let Ok(entries) = Dir::read_from(folder) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let Ok(stat) = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let before = path.len();
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => self.add(path, name, &stat),
                FileType::Directory if stat.st_dev == device && depth < DEPTH_MAX => {
                    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    if let Ok(below) = rustix::fs::openat(folder, name, flags, Mode::empty()) {
                        path.extend_from_slice(name);
                        path.push(b'/');
                        self.look_into(&below, path, device, depth + 1);
                        path.truncate(before);
                    }
                }
                _ => {}
            }
        }
    }

    fn add(&mut self, folder: &[u8], name: &[u8], stat: &Stat) {
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        self.bytes = self.bytes.saturating_add(size);
        if is_temporary(name) && self.left.len() < PARTIALS_MAX {
            let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(stat.st_mtime).unwrap_or(0));
            self.left.push(Left { folder: folder.to_vec(), name: name.to_vec(), size, modified });
        }
    }

    /// How many bytes that freed.
    fn remove_left(&mut self, root: &OwnedFd, config: &UploadConfig, now: SystemTime) -> u64 {
        self.left.sort_by_key(|left| left.modified);
        let mut all: u64 = self.left.iter().map(|left| left.size).sum();
        let mut removed = 0;
        for left in &self.left {
            let is_stale = now.duration_since(left.modified).is_ok_and(|age| age >= config.keep_partial);
            let is_too_much = config.partial_quota.is_some_and(|quota| all > quota);
            if (is_stale || is_too_much) && left.remove(root).is_ok() {
                all -= left.size;
                removed += left.size;
            }
        }
        removed
    }
}

impl Left {
    /// Removes it, unless somebody writes to it.
    fn remove(&self, root: &OwnedFd) -> Result<(), Errno> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let resolve = rustix::fs::ResolveFlags::BENEATH | rustix::fs::ResolveFlags::NO_SYMLINKS;
        let path = [&self.folder[..], b"."].concat();
        let folder = rustix::fs::openat2(
            root,
            path,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        )?;
        let file = rustix::fs::openat(&folder, &self.name[..], flags, Mode::empty())?;
        rustix::fs::flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive)?;
        rustix::fs::unlinkat(&folder, &self.name[..], AtFlags::empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upload::tests::config;
    use std::fs;

    const LEFT: &str = ".a.bin.perron-00000000000000000000000000000000";

    fn full(account: &Account, more: u64) -> bool {
        let reserved = account.reserve(more, Some(1000));
        let is_full = reserved.is_err();
        account.release(if is_full { 0 } else { more });
        is_full
    }

    #[test]
    fn what_is_there_what_is_promised_and_what_is_written_count() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("below")).unwrap();
        fs::write(folder.path().join("below/a"), vec![0; 300]).unwrap();
        fs::write(folder.path().join("b"), vec![0; 100]).unwrap();
        let account = Account::default();
        assert!(!account.is_known());
        account.look(folder.path(), &config(), SystemTime::now()).unwrap();
        assert!(account.is_known());
        assert!(!full(&account, 600));
        assert!(full(&account, 601));
        account.reserve(500, Some(1000)).unwrap();
        assert!(full(&account, 101), "what is promised to one is not promised to another");
        account.written(200);
        assert!(full(&account, 101), "what is written was promised");
        account.release(300);
        assert!(!full(&account, 400));
        account.removed(100);
        assert!(!full(&account, 500));
    }

    #[test]
    fn what_nobody_goes_on_with_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join(LEFT);
        let other = folder.path().join(LEFT.replace("a.bin", "b.bin"));
        let account = Account::default();
        let day = Duration::from_secs(86_400);
        let look = |after: Duration, config: UploadConfig| {
            account.look(folder.path(), &config, SystemTime::now() + after).unwrap();
            [left.exists(), other.exists()]
        };
        fs::write(&left, vec![0; 600]).unwrap();
        fs::write(&other, vec![0; 600]).unwrap();
        assert_eq!(look(Duration::ZERO, config()), [true, true]);
        let held = fs::File::open(&left).unwrap();
        rustix::fs::flock(&held, FlockOperation::NonBlockingLockExclusive).unwrap();
        assert_eq!(look(day * 2, config()), [true, false], "the first is being written to");
        drop(held);
        fs::write(&other, vec![0; 600]).unwrap();
        let old = SystemTime::now() - Duration::from_secs(60);
        fs::File::options().write(true).open(&left).unwrap().set_modified(old).unwrap();
        let small = UploadConfig { partial_quota: Some(1000), ..config() };
        assert_eq!(look(Duration::ZERO, small), [false, true], "the one untouched for longer goes first");
        assert_eq!(look(day * 2, config()), [false, false]);
        assert!(!full(&account, 1000));
    }
}
