//! Bulk between two descriptors, moved inside the kernel.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use linux::Pipe;

use crate::stream::Stream;
use crate::timer::Timer;
use crate::transfer::{Halt, readable, writable};

/// Below this many bytes, copying through the worker's buffer costs less than moving.
pub(crate) const BULK: u64 = 64 * 1024;

/// A large pipe means fewer, larger moves. The kernel allows a user 64 MiB of pipes in all (pipe-user-pages-soft),
/// so only the first few of a worker are this large.
const LARGE_PIPE: usize = 1 << 20;
const LARGE_PIPES: usize = 16;
const SMALL_PIPE: usize = 256 * 1024;

/// Pipes in use at once, large and small; further transfers are copied.
const PIPES_MAX: usize = 64;

/// A pipe that the kernel made smaller than this is not worth its descriptors.
const PIPE_MIN: usize = 64 * 1024;

/// The empty pipes of one worker.
#[derive(Default)]
pub(crate) struct PipePool {
    spare: RefCell<Vec<Pipe>>,
    made: Cell<usize>,
}

impl PipePool {
    /// An empty pipe between two streams; `None` when the kernel cannot move their bytes, as many pipes are in use as may
    /// be, or the kernel grants no useful one.
    pub(crate) fn take_between(&self, from: &Stream, to: &Stream) -> Option<Lease<'_>> {
        (from.can_splice() && to.socket().is_some()).then(|| self.take())?
    }

    fn take(&self) -> Option<Lease<'_>> {
        if let Some(pipe) = self.spare.borrow_mut().pop() {
            return Some(Lease { pool: self, pipe: Some(pipe), held: 0 });
        }
        let made = self.made.get();
        if made >= PIPES_MAX {
            return None;
        }
        let pipe = Pipe::new(if made < LARGE_PIPES { LARGE_PIPE } else { SMALL_PIPE }).ok()?;
        if pipe.capacity < PIPE_MIN {
            return None;
        }
        self.made.set(made + 1);
        Some(Lease { pool: self, pipe: Some(pipe), held: 0 })
    }
}

/// A pipe on loan. It goes back only if it is empty: bytes of one client never reach another.
pub(crate) struct Lease<'a> {
    pool: &'a PipePool,
    pipe: Option<Pipe>,
    held: usize,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        match self.pipe.take() {
            Some(pipe) if self.held == 0 => self.pool.spare.borrow_mut().push(pipe),
            _ => self.pool.made.set(self.pool.made.get() - 1),
        }
    }
}

/// How a move ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// All that was asked for.
    All,
    /// The giving side ended first.
    Ended,
    /// What comes next from the giving side has to be read.
    Unmovable,
    /// The giving side failed or was silent for too long.
    From(Halt),
    /// The taking side failed or took nothing for too long.
    To(Halt),
}

/// How long each side of a move may be silent.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) from: Duration,
    pub(crate) to: Duration,
}

/// Moves `length` bytes from one stream to another; `moved` counts what has left, also when the future is dropped.
pub(crate) async fn move_bytes(
    lease: &mut Lease<'_>,
    from: &Stream,
    to: &Stream,
    length: u64,
    timer: &mut Timer,
    patience: Patience,
    moved: &mut u64,
) -> Moved {
    let mut left = length;
    while left > 0 {
        let pipe = lease.pipe.as_ref().expect("a lease holds its pipe until it is dropped");
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(pipe.capacity);
        match from.try_splice(pipe.write.as_fd(), want) {
            Ok(0) => return Moved::Ended,
            Ok(read) => {
                left -= read as u64;
                lease.held = read;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                timer.set(patience.from);
                match readable(from, timer).await {
                    Ok(()) => continue,
                    Err(halt) => return Moved::From(halt),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Unsupported => return Moved::Unmovable,
            Err(error) => return Moved::From(error.into()),
        }
        if let Err(halt) = empty(lease, to, timer, patience.to, moved).await {
            return Moved::To(halt);
        }
    }
    Moved::All
}

async fn empty(
    lease: &mut Lease<'_>,
    to: &Stream,
    timer: &mut Timer,
    patience: Duration,
    moved: &mut u64,
) -> Result<(), Halt> {
    while lease.held > 0 {
        let pipe = lease.pipe.as_ref().expect("a lease holds its pipe until it is dropped");
        match to.try_write_io(|fd| linux::splice(pipe.read.as_fd(), fd, lease.held)) {
            Ok(0) => return Err(Halt::Closed),
            Ok(written) => {
                lease.held -= written;
                *moved += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                timer.set(patience);
                writable(to, timer).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_pipes_are_in_use_than_may_be_and_only_empty_ones_come_back() {
        let pool = PipePool::default();
        let mut leases: Vec<_> = (0..64).map(|_| pool.take().expect("64 may be in use")).collect();
        let capacity = |lease: &Lease<'_>| lease.pipe.as_ref().map_or(0, |pipe| pipe.capacity);
        // 16 of 1 MiB, the others of 256 KiB.
        assert_eq!([0, 15, 16, 63].map(|index| capacity(&leases[index])), [1 << 20, 1 << 20, 1 << 18, 1 << 18]);
        assert!(pool.take().is_none());

        let mut held = leases.pop().expect("there are 64");
        held.held = 1;
        drop(held);
        drop(leases.pop());
        assert_eq!(pool.spare.borrow().len(), 1, "bytes of one client never reach another");
        let again = [pool.take(), pool.take(), pool.take()];
        assert_eq!(again.map(|lease| lease.is_some()), [true, true, false]);
    }
}
