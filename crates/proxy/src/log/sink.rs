//! From workers to a descriptor, by a thread that may be held up without holding up a worker.

use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A batch is handed over when it has grown to this, or when the worker has a quiet moment.
const BATCH_BYTES: usize = 16 * 1024;

/// Batches that may wait for a slow reader: 4 MiB. What comes on top is dropped and counted.
const BATCHES_MAX: usize = 256;

/// Between two words about a log that cannot be written: a full disk fails each batch.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);

/// Where access log lines go. Clones share one writer.
#[derive(Clone)]
pub struct LogSink {
    batches: Option<SyncSender<Vec<u8>>>,
    target: Arc<Target>,
}

#[derive(Default)]
struct Target {
    /// The lock is not held while writing: a write may hang, and who opens the log anew must not hang with it.
    file: Mutex<Option<Arc<File>>>,
    /// Lines that could not be written, and that no worker has counted yet.
    lost: AtomicU64,
}

impl LogSink {
    /// Lines go nowhere.
    pub fn off() -> LogSink {
        LogSink { batches: None, target: Arc::default() }
    }

    /// Lines go to `file`.
    ///
    /// # Errors
    /// If the writing thread cannot be started.
    pub fn to_file(file: File) -> io::Result<LogSink> {
        let (batches, received) = sync_channel(BATCHES_MAX);
        let sink = LogSink { batches: Some(batches), target: Arc::default() };
        sink.reopen(file);
        let target = Arc::clone(&sink.target);
        std::thread::Builder::new().name("access-log".to_owned()).spawn(move || write_batches(&received, &target))?;
        Ok(sink)
    }

    /// From here on lines go to `file` (its predecessor was rotated away).
    pub fn reopen(&self, file: File) {
        *self.target.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(file));
    }
}

/// A full disk loses lines, never requests; the next batch tries again.
fn write_batches(received: &Receiver<Vec<u8>>, target: &Target) {
    let mut complained: Option<Instant> = None;
    let mut torn = None;
    for batch in received {
        let Some(file) = target.file.lock().unwrap_or_else(PoisonError::into_inner).clone() else { continue };
        // A line that was cut off must not swallow the next one.
        let ends_torn = torn.take_if(|before| Arc::ptr_eq(before, &file)).is_some();
        let written = match ends_torn {
            true => (&*file).write_all(b"\n").map_err(|error| (0, error)),
            false => Ok(()),
        };
        let Err((written, error)) = written.and_then(|()| write_all(&file, &batch)) else { continue };
        target.lost.fetch_add(count_lines(&batch[written..]), Ordering::Relaxed);
        if written.checked_sub(1).map_or(ends_torn, |last| batch[last] != b'\n') {
            torn = Some(file);
        }
        if complained.is_none_or(|before| before.elapsed() > COMPLAINT_INTERVAL) {
            complained = Some(Instant::now());
            complain(&error);
        }
    }
}

/// Writes all of it, or says how much was and why not the rest.
fn write_all(mut file: &File, batch: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    while written < batch.len() {
        match file.write(&batch[written..]) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}

fn complain(error: &io::Error) {
    // Nobody is left to be told that standard error is gone.
    let _ = writeln!(io::stderr().lock(), "the access log cannot be written, and loses lines: {error}");
}

/// A worker's lines that are not handed over yet.
pub(crate) struct WorkerLog {
    sink: LogSink,
    pending: Vec<u8>,
}

impl WorkerLog {
    pub(crate) fn new(sink: LogSink) -> WorkerLog {
        WorkerLog { sink, pending: Vec::new() }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.sink.batches.is_some()
    }

    /// Where the next line is to be appended, with its line end.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.pending
    }

    pub(crate) fn is_due(&self) -> bool {
        self.pending.len() >= BATCH_BYTES
    }

    /// Hands the lines over; says how many were lost since it was last asked: these, or earlier ones at the disk.
    pub(crate) fn flush(&mut self) -> u64 {
        let Some(batches) = &self.sink.batches else {
            return 0;
        };
        let lost = match self.sink.target.lost.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.sink.target.lost.swap(0, Ordering::Relaxed),
        };
        if self.pending.is_empty() {
            return lost;
        }
        match batches.try_send(std::mem::take(&mut self.pending)) {
            Ok(()) => lost,
            Err(TrySendError::Full(more) | TrySendError::Disconnected(more)) => lost + count_lines(&more),
        }
    }
}

fn count_lines(lines: &[u8]) -> u64 {
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests;
