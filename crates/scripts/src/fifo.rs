//! A FIFO that another program reads changes from.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, mkfifoat, open};
use rustix::io::Errno;
use thiserror::Error;

/// A FIFO, open for as long as this is there: readers come and go.
#[derive(Debug)]
pub struct Fifo {
    path: PathBuf,
    fd: OwnedFd,
}

/// Why there is no such FIFO.
#[derive(Debug, Error)]
pub enum FifoError {
    /// Something else is there.
    #[error("{} is there and is no FIFO", .path.display())]
    NotAFifo {
        /// Where.
        path: PathBuf,
    },
    /// It could not be made or opened.
    #[error("{} cannot be made or opened: {source}", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Fifo {
    /// Opens it; one that is not there is made, for this user alone (mode 0600).
    ///
    /// # Errors
    /// If something else is there, or it cannot be made.
    pub fn open(path: &Path) -> Result<Fifo, FifoError> {
        let fail = |errno: Errno| FifoError::Io { path: path.to_owned(), source: errno.into() };
        match mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(fail(errno)),
        }
        let not_a_fifo = || FifoError::NotAFifo { path: path.to_owned() };
        // Opening something else could do something, such as rewind a tape.
        let kind = rustix::fs::lstat(path).map(|found| FileType::from_raw_mode(found.st_mode)).map_err(fail)?;
        if kind != FileType::Fifo {
            return Err(not_a_fifo());
        }
        // Also for reading: so it can be opened, and does not break, while nobody reads.
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = open(path, flags, Mode::empty()).map_err(fail)?;
        let kind = fstat(&fd).map(|found| FileType::from_raw_mode(found.st_mode)).map_err(fail)?;
        if kind != FileType::Fifo {
            return Err(not_a_fifo());
        }
        Ok(Fifo { path: path.to_owned(), fd })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a line, whole or not at all: there is no room when nobody has read for long.
    ///
    /// # Errors
    /// If it was not written.
    pub(crate) fn write(&self, line: &str) -> io::Result<()> {
        loop {
            match rustix::io::write(&self.fd, line.as_bytes()) {
                Ok(length) if length == line.len() => return Ok(()),
                // Lines are shorter than PIPE_BUF, and so are written whole (pipe(7)).
                Ok(_) => return Err(io::ErrorKind::WriteZero.into()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}
