//! Whatever a capture file says, it is read to an end and explained within bounds; and what is written of it is read again.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| replay::capture_file(bytes));
