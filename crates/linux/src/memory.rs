//! Memory that processes share.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::slice;
use std::sync::atomic::AtomicU64;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap};

/// What keeps a mapping sound: the memory behind it is there as long as the mapping is.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

/// Makes shared memory of so many words, all zero, that cannot become smaller. Pages that nobody has touched cost
/// nothing. `name` is seen in `/proc/PID/maps`.
///
/// # Errors
/// If the system has no room for it.
pub fn shared_memory(name: &str, words: usize) -> io::Result<OwnedFd> {
    let bytes = words.checked_mul(size_of::<AtomicU64>()).ok_or(io::ErrorKind::InvalidInput)?;
    let memory = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    ftruncate(&memory, bytes as u64)?;
    fcntl_add_seals(&memory, SEALS)?;
    Ok(memory)
}

/// Makes the words of shared memory this process's too, to its end.
///
/// # Errors
/// If this is no [`shared_memory`], or the process may map no more.
pub fn map_words(memory: BorrowedFd<'_>) -> io::Result<&'static [AtomicU64]> {
    if !fcntl_get_seals(memory.as_fd())?.contains(SealFlags::SHRINK) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let bytes = usize::try_from(fstat(memory.as_fd())?.st_size).map_err(io::Error::other)?;
    if bytes == 0 {
        return Ok(&[]);
    }
    // SAFETY: a new mapping where the kernel wants it touches no other memory of this process.
    let start = unsafe {
        mmap(ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, memory.as_fd(), 0)?
    };
    // SAFETY: the mapping begins at a page, has `bytes` bytes, is never unmapped, and never loses its memory: the seal
    // says that it does not shrink. Any bits are an `AtomicU64`, and those are valid while others write them, in this
    // process or another.
    Ok(unsafe { slice::from_raw_parts(start.cast::<AtomicU64>(), bytes / size_of::<AtomicU64>()) })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    #[test]
    fn what_is_written_in_one_mapping_is_read_in_another() {
        let memory = shared_memory("perron-test", 3).unwrap();
        let one = map_words(memory.as_fd()).unwrap();
        let copy = memory.try_clone().unwrap();
        drop(memory);
        let other = map_words(copy.as_fd()).unwrap();
        assert_ne!(one.as_ptr(), other.as_ptr());
        assert_eq!(other.iter().map(|word| word.load(Relaxed)).collect::<Vec<_>>(), [0, 0, 0]);
        one[2].store(7, Relaxed);
        assert_eq!(other[2].load(Relaxed), 7);
    }

    #[test]
    fn shared_memory_keeps_its_size() {
        let memory = shared_memory("perron-test", 1024).unwrap();
        assert_eq!(ftruncate(&memory, 0), Err(rustix::io::Errno::PERM));
        assert_eq!(ftruncate(&memory, 1 << 20), Err(rustix::io::Errno::PERM));
        assert_eq!(fcntl_add_seals(&memory, SealFlags::WRITE), Err(rustix::io::Errno::PERM));
    }

    #[test]
    fn memory_that_could_shrink_is_not_mapped() {
        let memory = memfd_create("perron-test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        ftruncate(&memory, 4096).unwrap();
        assert_eq!(map_words(memory.as_fd()).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        let file = tempfile::tempfile().unwrap();
        assert!(map_words(file.as_fd()).is_err());
    }
}
