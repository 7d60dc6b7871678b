use std::fs::OpenOptions;
use std::io::{Read, pipe};
use std::os::fd::OwnedFd;

use super::*;

/// Longer than anything here takes.
const PATIENT: Duration = Duration::from_secs(20);

/// Hands over so many batches, each of lines of eight bytes and as long as a batch is; says how many lines were lost at once.
fn hand_over(log: &mut WorkerLog, batches: usize) -> u64 {
    let mut lost = 0;
    for _ in 0..batches {
        while !log.is_due() {
            log.buffer().extend_from_slice(b"1234567\n");
        }
        lost += log.flush();
    }
    lost
}

fn until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENT;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain");
        std::thread::yield_now();
    }
}

#[test]
fn what_nobody_reads_is_kept_up_to_4_mebibytes_and_then_lost_and_counted() {
    let (mut reader, writer) = pipe().unwrap();
    let sink = LogSink::to_file(OwnedFd::from(writer).into()).unwrap();
    let mut log = WorkerLog::new(sink.clone());
    // A batch of 16 KiB has 2048 lines; 256 of them wait, one is being written, and a pipe has taken four.
    let lost = hand_over(&mut log, 300);
    assert!((300 - 261..=300 - 256).any(|batches| lost == batches * 2048), "{lost} lines");

    // Who opens the log anew is not held up by who does not read.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    sink.reopen(OpenOptions::new().append(true).create(true).open(&path).unwrap());
    let drain = std::thread::spawn(move || reader.read(&mut [0; 64 * 1024]).unwrap());
    assert!(drain.join().unwrap() > 0);
    until(|| path.metadata().unwrap().len() > 0);
}

#[test]
fn a_full_disk_loses_lines_counts_them_and_is_written_again() {
    let sink = LogSink::to_file(OpenOptions::new().write(true).open("/dev/full").unwrap()).unwrap();
    let mut log = WorkerLog::new(sink.clone());
    let mut lost = hand_over(&mut log, 3);
    until(|| {
        lost += log.flush();
        lost == 3 * 2048
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    sink.reopen(OpenOptions::new().append(true).create(true).open(&path).unwrap());
    assert_eq!(hand_over(&mut log, 1), 0);
    until(|| path.metadata().unwrap().len() == 16 * 1024);
    assert_eq!(log.flush(), 0);
}
