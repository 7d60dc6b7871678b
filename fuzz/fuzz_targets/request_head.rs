//! An accepted request head, written onward, is accepted again and means the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| replay::request_head(bytes));
