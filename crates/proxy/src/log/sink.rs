//! From workers to a descriptor, by a thread that may be held up without holding up a worker.

use std::fs::File;
use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

/// A batch is handed over when it has grown to this, or when the worker has a quiet moment.
const BATCH_BYTES: usize = 16 * 1024;

/// Batches that may wait for a slow reader: 4 MiB. What comes on top is dropped and counted.
const BATCHES_MAX: usize = 256;

/// Where access log lines go. Clones share one writer.
#[derive(Clone)]
pub struct LogSink {
    batches: Option<SyncSender<Vec<u8>>>,
    target: Arc<Mutex<Option<File>>>,
}

impl LogSink {
    /// Lines go nowhere.
    pub fn off() -> LogSink {
        LogSink { batches: None, target: Arc::new(Mutex::new(None)) }
    }

    /// Lines go to `file`.
    ///
    /// # Errors
    /// If the writing thread cannot be started.
    pub fn to_file(file: File) -> std::io::Result<LogSink> {
        let (batches, received) = sync_channel(BATCHES_MAX);
        let target = Arc::new(Mutex::new(Some(file)));
        let shared = Arc::clone(&target);
        std::thread::Builder::new().name("access-log".to_owned()).spawn(move || write_batches(&received, &shared))?;
        Ok(LogSink { batches: Some(batches), target })
    }

    /// From here on lines go to `file` (its predecessor was rotated away).
    pub fn reopen(&self, file: File) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
    }
}

fn write_batches(received: &Receiver<Vec<u8>>, target: &Mutex<Option<File>>) {
    for batch in received {
        let mut target = target.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = target.as_mut() {
            // A full disk loses lines, never requests; the next batch tries again.
            let _ = file.write_all(&batch);
        }
    }
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

    /// Hands the lines over; says how many were dropped instead.
    pub(crate) fn flush(&mut self) -> u64 {
        let Some(batches) = &self.sink.batches else {
            return 0;
        };
        if self.pending.is_empty() {
            return 0;
        }
        match batches.try_send(std::mem::take(&mut self.pending)) {
            Ok(()) => 0,
            Err(TrySendError::Full(lost) | TrySendError::Disconnected(lost)) => count_lines(&lost),
        }
    }
}

fn count_lines(lines: &[u8]) -> u64 {
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}
