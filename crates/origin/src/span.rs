use crate::failure::Failure;
use rustix::fs::{Advice, StatFs};
use rustix::io::{Errno, ReadWriteFlags};
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// Bytes read at once to bring a file into the page cache.
const STRIDE: usize = 128 * 1024;

/// What waiting for a file's bytes may mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// They are in memory (tmpfs, ramfs).
    Memory,
    /// They are on a disk of this machine.
    Local,
    /// They may be on another machine, and even bytes in the page cache may cost a question to it.
    Remote,
}

impl Storage {
    pub(crate) fn of(file: BorrowedFd<'_>) -> Result<Storage, Errno> {
        rustix::fs::fstatfs(file).map(|system| Storage::from_magic(&system))
    }

    /// By the magic numbers of `linux/magic.h` and of the file systems themselves. Whatever is not known is remote, and
    /// so is an overlay: its lower layers may be NFS, as on nodes without disks.
    pub(crate) fn from_magic(system: &StatFs) -> Storage {
        match system.f_type as u64 & 0xffff_ffff {
            0x0102_1994 | 0x8584_58f6 => Storage::Memory, // tmpfs, ramfs
            0xef53 | 0x5846_5342 | 0x9123_683e | 0xf2f5_2010 | 0x2fc1_2fc1 | 0xca45_1a4e => Storage::Local, // ext2-4, xfs, btrfs, f2fs, zfs, bcachefs
            0x7371_7368 | 0xe0f5_e1e2 | 0x9660 | 0x1501_3346 | 0x4d44 | 0x2011_bab0 => Storage::Local, // squashfs, erofs, iso9660, udf, vfat, exfat
            _ => Storage::Remote,
        }
    }

    /// Whether a file's ctime changes when it is renamed: POSIX leaves that open. Those that cannot be written need not.
    pub(crate) fn tells_changes(self, system: &StatFs) -> bool {
        match self {
            Storage::Memory => true,
            Storage::Local => matches!(
                system.f_type as u64 & 0xffff_ffff,
                0xef53 | 0x5846_5342 | 0x9123_683e | 0xf2f5_2010 | 0x7371_7368 | 0xe0f5_e1e2 | 0x9660 // ext2-4, xfs, btrfs, f2fs; squashfs, erofs, iso9660
            ),
            Storage::Remote => false,
        }
    }
}

/// Bytes of an open file that are to be sent.
///
/// How to send them depends on where they are. From memory: `sendfile`. From a local disk: `sendfile` for each chunk
/// that [`is_resident`]; for others [`preread`] on a thread that may wait, then `sendfile` without asking again, for
/// some file systems cannot tell. From remote storage: [`read`] on that thread, for `sendfile` itself may hang.
#[derive(Clone, Debug)]
pub struct FileSpan {
    /// The file; a regular one.
    pub file: Arc<File>,
    /// Where the first byte is.
    pub offset: u64,
    /// How many bytes; the file may turn out to be shorter.
    pub length: u64,
    /// Where they are.
    pub storage: Storage,
}

/// Whether the bytes of a file can be sent without waiting, judged by the first and the last of them.
///
/// Never waits. False also on file systems that cannot tell: tmpfs, squashfs, NFS.
pub fn is_resident(file: &File, offset: u64, length: u64) -> bool {
    // Zero bytes mean that the file ends before: nothing to wait for.
    let has = |offset| read_at(file.as_fd(), offset, &mut [0], Reading::Now(Storage::Local)).is_ok();
    length == 0 || has(offset) && has(offset + length - 1)
}

/// Brings bytes of a file into the page cache; may wait. Returns how many there are: fewer when the file was cut.
pub fn preread(file: &File, offset: u64, length: u64) -> io::Result<u64> {
    if let Some(length) = NonZeroU64::new(length) {
        rustix::fs::fadvise(file, offset, Some(length), Advice::WillNeed)?;
    }
    let stride = |left: u64| usize::try_from(left).map_or(STRIDE, |left| left.min(STRIDE));
    let mut room = vec![0; stride(length)];
    let mut done = 0;
    while done < length {
        match rustix::io::pread(file, &mut room[..stride(length - done)], offset + done) {
            Ok(0) => break,
            Ok(read) => done += read as u64,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(done)
}

/// Appends bytes of a file; may wait. Returns how many there are: fewer when the file was cut.
pub fn read(file: &File, offset: u64, length: usize, out: &mut Vec<u8>) -> io::Result<usize> {
    fill(file.as_fd(), offset, length, Reading::Waits, out).map_err(io::Error::from)
}

/// Whether a read may wait; if not, for what storage.
#[derive(Clone, Copy)]
pub(crate) enum Reading {
    Now(Storage),
    Waits,
}

/// Appends exactly `length` bytes of the file, or nothing.
pub(crate) fn append(
    file: BorrowedFd<'_>,
    offset: u64,
    length: usize,
    reading: Reading,
    out: &mut Vec<u8>,
) -> Result<(), Failure> {
    let before = out.len();
    let failure = match fill(file, offset, length, reading, out) {
        Ok(read) if read == length => return Ok(()),
        Ok(_) => Failure::Changed,
        Err(error) => match reading {
            Reading::Waits => Failure::from_blocking(error),
            Reading::Now(_) => Failure::Wait,
        },
    };
    out.truncate(before);
    Err(failure)
}

fn fill(file: BorrowedFd<'_>, offset: u64, length: usize, reading: Reading, out: &mut Vec<u8>) -> Result<usize, Errno> {
    let before = out.len();
    out.resize(before + length, 0);
    let mut done = 0;
    let outcome = loop {
        if done == length {
            break Ok(done);
        }
        match read_at(file, offset + done as u64, &mut out[before + done..], reading) {
            Ok(0) => break Ok(done),
            Ok(read) => done += read,
            Err(Errno::INTR) => {}
            Err(error) => break Err(error),
        }
    };
    out.truncate(before + done);
    outcome
}

fn read_at(file: BorrowedFd<'_>, offset: u64, room: &mut [u8], reading: Reading) -> Result<usize, Errno> {
    match reading {
        Reading::Waits | Reading::Now(Storage::Memory) => rustix::io::pread(file, room, offset),
        Reading::Now(Storage::Remote) => Err(Errno::AGAIN),
        Reading::Now(Storage::Local) => {
            rustix::io::preadv2(file, &mut [IoSliceMut::new(room)], offset, ReadWriteFlags::NOWAIT)
        }
    }
}
