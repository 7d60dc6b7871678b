//! A report of a server's load that is understood can be written, and means the same when it is read again.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| replay::load_report(bytes));
