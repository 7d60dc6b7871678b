//! However a stream of messages is cut, the same messages come of it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| replay::messages(bytes));
