//! Frames that a link brings are read to an end, and what is read of them means the same when it is written again.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| replay::announcement(bytes));
