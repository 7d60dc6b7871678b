//! Uploads that are under way: their names beside what they will be, and who writes to which.

use crate::tree::TEMPORARY;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Hexadecimal digits of a token: 128 bits, which nobody guesses.
pub(super) const TOKEN_DIGITS: usize = 32;

/// Bytes of a name that a temporary one keeps: with what stands around them, no more than a file system takes (255).
const NAME_KEPT: usize = 200;

/// The file of an upload that is under way, and who may write to it.
pub(super) struct Partial {
    pub(super) file: File,
    /// The number of the request that it belongs to: a later one takes it over.
    owner: Mutex<u64>,
}

/// What this process writes to.
#[derive(Default)]
pub(super) struct Open(Mutex<HashMap<Vec<u8>, Weak<Partial>>>);

/// Makes a token.
pub(super) fn token() -> String {
    // Each state is keyed anew by what the kernel gave this thread in secret.
    let chance = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", chance(), chance())
}

pub(super) fn is_token(text: &str) -> bool {
    text.len() == TOKEN_DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// What the upload of a file is called meanwhile.
pub(super) fn temporary_name(name: &[u8], token: &str) -> Vec<u8> {
    [b".", &name[..name.len().min(NAME_KEPT)], TEMPORARY, token.as_bytes()].concat()
}

impl Partial {
    /// Makes the file; nobody else has it.
    pub(super) fn create(folder: &OwnedFd, name: &[u8]) -> Result<Partial, Errno> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(folder, name, flags, Mode::RUSR | Mode::WUSR)?);
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Partial { file, owner: Mutex::new(0) })
    }

    /// Opens one that was left; `WOULDBLOCK` while another process writes to it.
    fn open(folder: &OwnedFd, name: &[u8]) -> Result<Partial, Errno> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(folder, name, flags, Mode::empty())?);
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        // It may have been removed between the two.
        if rustix::fs::fstat(&file)?.st_nlink == 0 {
            return Err(Errno::NOENT);
        }
        Ok(Partial { file, owner: Mutex::new(0) })
    }

    /// Takes it from whoever had it; waits for a write that is under way.
    pub(super) fn seize(&self) -> u64 {
        let mut owner = self.lock();
        *owner += 1;
        *owner
    }

    /// Keeps others from writing and from taking it over; `None` once one has.
    pub(super) fn hold(&self, number: u64) -> Option<MutexGuard<'_, u64>> {
        Some(self.lock()).filter(|owner| **owner == number)
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.owner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Remembers one for those who go on with it.
    pub(super) fn insert(&self, temporary: &[u8], partial: &Arc<Partial>) {
        let mut open = self.lock();
        open.retain(|_, partial| partial.strong_count() > 0);
        open.insert(temporary.to_vec(), Arc::downgrade(partial));
    }

    /// The one of this name: as this process has it, or from the disk.
    pub(super) fn find(&self, folder: &OwnedFd, temporary: &[u8]) -> Result<Arc<Partial>, Errno> {
        if let Some(partial) = self.lock().get(temporary).and_then(Weak::upgrade) {
            return Ok(partial);
        }
        let partial = Arc::new(Partial::open(folder, temporary)?);
        self.insert(temporary, &partial);
        Ok(partial)
    }

    /// Forgets one that is complete or removed.
    pub(super) fn remove(&self, temporary: &[u8]) {
        self.lock().remove(temporary);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Weak<Partial>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes the file of this name; one that is gone is no failure.
pub(super) fn unlink(folder: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error),
    }
}
