//! Opens what lies beneath a root, and nothing else.

use crate::failure::Failure;
use crate::span::Storage;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// Attempts to open while other processes rename folders on the way (EAGAIN of RESOLVE_BENEATH).
const ATTEMPTS_MAX: usize = 16;

/// The folder that everything is opened beneath.
pub(crate) struct Root {
    folder: OwnedFd,
    device: u64,
    storage: Storage,
    opened: Instant,
    symlinks: bool,
}

/// Something open, and what it was when it was opened.
pub(crate) struct Opened {
    pub(crate) file: OwnedFd,
    pub(crate) kind: FileType,
    pub(crate) size: u64,
    /// Seconds since 1970; zero for earlier.
    pub(crate) modified: u64,
    /// The same moment in nanoseconds, modulo 2⁶⁴.
    pub(crate) modified_nanos: u64,
    pub(crate) storage: Storage,
}

impl Root {
    /// Walks the path; may wait. Its age counts from `now`.
    pub(crate) fn open(path: &Path, symlinks: bool, now: Instant) -> Result<Root, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty())?;
        let storage = Storage::of(folder.as_fd())?;
        let device = rustix::fs::fstat(&folder)?.st_dev;
        Ok(Root { folder, device, storage, opened: now, symlinks })
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

    /// What is at the path, without the right to read it; may wait.
    pub(crate) fn locate(&self, path: &[u8]) -> Result<Opened, Failure> {
        self.resolve(path, OFlags::PATH, true)
    }

    fn resolve(&self, path: &[u8], flags: OFlags, blocking: bool) -> Result<Opened, Failure> {
        let path = if path.is_empty() { b"." } else { path };
        let (file, storage) = if blocking {
            let file = self.open_waiting(path, flags)?;
            (file, None)
        } else if self.storage == Storage::Remote {
            return Err(Failure::Wait);
        } else {
            // Nothing in memory waits; but tmpfs caches no name that is missing, so RESOLVE_CACHED would never say so.
            let cached = match self.storage {
                Storage::Memory => ResolveFlags::empty(),
                _ => ResolveFlags::CACHED,
            };
            let cached = self.resolve_flags() | cached | ResolveFlags::NO_XDEV;
            let file = self.open_with(path, flags, cached).map_err(Failure::from_cached)?;
            (file, Some(self.storage))
        };
        let stat = rustix::fs::fstat(&file).map_err(Failure::from_blocking)?;
        let storage = match storage {
            Some(storage) => storage,
            None if stat.st_dev == self.device => self.storage,
            None => Storage::of(file.as_fd()).map_err(Failure::from_blocking)?,
        };
        Ok(Opened::new(file, &stat, storage))
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
        let seconds = stat.st_mtime;
        Opened {
            file,
            kind: FileType::from_raw_mode(stat.st_mode),
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: u64::try_from(seconds).unwrap_or(0),
            modified_nanos: (seconds as u64).wrapping_mul(1_000_000_000).wrapping_add(stat.st_mtime_nsec),
            storage,
        }
    }
}

/// Whether this kernel, and whatever filters its system calls, has openat2 (Linux 5.6).
pub(crate) fn probe_openat2() -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    rustix::fs::openat2(CWD, "/", flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS).map(drop)
}
