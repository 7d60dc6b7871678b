//! Opens what lies beneath a root, and nothing else.

use crate::failure::Failure;
use crate::span::Storage;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// What stands between a file's name and a token in the name of its upload.
pub(crate) const TEMPORARY: &[u8] = b".perron-";

/// Attempts to open while other processes rename folders on the way (EAGAIN of RESOLVE_BENEATH).
const ATTEMPTS_MAX: usize = 16;

static ROOTS: AtomicU64 = AtomicU64::new(0);

/// The folder that everything is opened beneath.
pub(crate) struct Root {
    folder: OwnedFd,
    device: u64,
    storage: Storage,
    opened: Instant,
    symlinks: bool,
    /// No two roots of a process have the same.
    number: u64,
    tells_changes: bool,
}

/// What changes of an inode whenever it, or its name, is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    changed: (i64, u64),
    modified: (i64, u64),
    size: i64,
    links: u64,
}

/// Something open, and what it was when it was opened.
#[derive(Clone)]
pub(crate) struct Opened {
    pub(crate) file: Arc<File>,
    pub(crate) kind: FileType,
    pub(crate) size: u64,
    /// Seconds since 1970; zero for earlier.
    pub(crate) modified: u64,
    /// The same moment in nanoseconds, modulo 2⁶⁴.
    pub(crate) modified_nanos: u64,
    pub(crate) storage: Storage,
    pub(crate) stamp: Stamp,
}

impl Root {
    /// Walks the path; may wait. Its age counts from `now`.
    pub(crate) fn open(path: &Path, symlinks: bool, now: Instant) -> Result<Root, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty())?;
        let system = rustix::fs::fstatfs(&folder)?;
        let storage = Storage::from_magic(&system);
        let tells_changes = !symlinks && storage.tells_changes(&system);
        let number = ROOTS.fetch_add(1, Ordering::Relaxed);
        let device = rustix::fs::fstat(&folder)?.st_dev;
        Ok(Root { folder, device, storage, opened: now, symlinks, number, tells_changes })
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// When the walk to it began.
    pub(crate) fn opened(&self) -> Instant {
        self.opened
    }

    /// Whether a [`Stamp`] tells of every change beneath it but mounts. Symbolic links are not stamped.
    pub(crate) fn tells_changes(&self) -> bool {
        self.tells_changes
    }

    /// Opens a folder on the way to a file, without waiting; only to see whether it is changed.
    pub(crate) fn stamp_folder(&self, path: &[u8]) -> Result<(OwnedFd, Stamp), Failure> {
        let (folder, stat) = self.find(path, OFlags::PATH | OFlags::DIRECTORY, false)?;
        Ok((folder, Stamp::from_stat(&stat)))
    }

    /// How long ago the walk to it began.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.opened)
    }

    /// Opens a file or folder for reading. `path` is relative to the root; empty means the root.
    /// Nothing is waited for: neither a FIFO's writer nor, unless `blocking`, a disk.
    pub(crate) fn open_beneath(&self, path: &[u8], blocking: bool) -> Result<Opened, Failure> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        self.resolve(path, flags, blocking)
    }

    /// Opens a folder if it is one; only to know that it is there.
    pub(crate) fn locate_folder(&self, path: &[u8], blocking: bool) -> Result<(), Failure> {
        self.resolve(path, OFlags::PATH | OFlags::DIRECTORY, blocking).map(drop)
    }

    /// Opens a folder to change what is in it; may wait.
    pub(crate) fn open_folder(&self, path: &[u8]) -> Result<OwnedFd, Failure> {
        self.find(path, OFlags::RDONLY | OFlags::DIRECTORY, true).map(|(folder, _)| folder)
    }

    /// What is at the path, without the right to read it; may wait.
    pub(crate) fn locate(&self, path: &[u8]) -> Result<Opened, Failure> {
        self.resolve(path, OFlags::PATH, true)
    }

    fn resolve(&self, path: &[u8], flags: OFlags, blocking: bool) -> Result<Opened, Failure> {
        let (file, stat) = self.find(path, flags, blocking)?;
        // Without blocking no other mount is entered.
        let storage = if !blocking || stat.st_dev == self.device {
            self.storage
        } else {
            Storage::of(file.as_fd()).map_err(Failure::from_blocking)?
        };
        Ok(Opened::new(file, &stat, storage))
    }

    fn find(&self, path: &[u8], flags: OFlags, blocking: bool) -> Result<(OwnedFd, Stat), Failure> {
        let path = if path.is_empty() { b"." } else { path };
        let file = if blocking {
            self.open_waiting(path, flags)?
        } else if self.storage == Storage::Remote {
            return Err(Failure::Wait);
        } else {
            // Nothing in memory waits; but tmpfs caches no name that is missing, so RESOLVE_CACHED would never say so.
            let cached = match self.storage {
                Storage::Memory => ResolveFlags::empty(),
                _ => ResolveFlags::CACHED,
            };
            let cached = self.resolve_flags() | cached | ResolveFlags::NO_XDEV;
            self.open_with(path, flags, cached).map_err(Failure::from_cached)?
        };
        let stat = rustix::fs::fstat(&file).map_err(Failure::from_blocking)?;
        Ok((file, stat))
    }

    fn open_waiting(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Failure> {
        for _ in 0..ATTEMPTS_MAX {
            match self.open_with(path, flags, self.resolve_flags()) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                outcome => return outcome.map_err(Failure::from_blocking),
            }
        }
        Err(Failure::Unavailable)
    }

    fn open_with(&self, path: &[u8], flags: OFlags, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
        rustix::fs::openat2(&self.folder, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
    }

    fn resolve_flags(&self) -> ResolveFlags {
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        if self.symlinks { beneath } else { beneath | ResolveFlags::NO_SYMLINKS }
    }
}

impl Opened {
    fn new(file: OwnedFd, stat: &Stat, storage: Storage) -> Opened {
        let (modified, modified_nanos) = stamp_of(stat);
        Opened {
            file: Arc::new(File::from(file)),
            kind: FileType::from_raw_mode(stat.st_mode),
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified,
            modified_nanos,
            storage,
            stamp: Stamp::from_stat(stat),
        }
    }
}

impl Stamp {
    /// As it is now. Never waits on the file systems that tell changes.
    pub(crate) fn of(file: impl AsFd) -> Result<Stamp, Errno> {
        rustix::fs::fstat(file).map(|stat| Stamp::from_stat(&stat))
    }

    /// Whether the last change was before a moment.
    pub(crate) fn is_before(&self, moment: SystemTime) -> bool {
        let seconds = moment.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        u64::try_from(self.changed.0).is_ok_and(|changed| changed < seconds)
    }

    fn from_stat(stat: &Stat) -> Stamp {
        Stamp {
            changed: (stat.st_ctime, stat.st_ctime_nsec),
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            size: stat.st_size,
            links: stat.st_nlink,
        }
    }
}

/// When a file was modified: in seconds since 1970, zero for earlier; and in nanoseconds, modulo 2⁶⁴.
pub(crate) fn stamp_of(stat: &Stat) -> (u64, u64) {
    let nanos = (stat.st_mtime as u64).wrapping_mul(1_000_000_000).wrapping_add(stat.st_mtime_nsec);
    (u64::try_from(stat.st_mtime).unwrap_or(0), nanos)
}

/// Whether a path ends in the name of an upload that is under way: a dot before, [`TEMPORARY`] and digits at the end.
pub(crate) fn is_temporary(path: &[u8]) -> bool {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let at = name.windows(TEMPORARY.len()).rposition(|window| window == TEMPORARY);
    let digits = at.map(|at| &name[at + TEMPORARY.len()..]);
    name.starts_with(b".")
        && digits.is_some_and(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit))
}

/// Whether this kernel, and whatever filters its system calls, has openat2 (Linux 5.6).
pub(crate) fn probe_openat2() -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    rustix::fs::openat2(CWD, "/", flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS).map(drop)
}
