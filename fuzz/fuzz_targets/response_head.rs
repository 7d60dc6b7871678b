//! An accepted answer head, written back, is accepted again and frames the same body.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| replay::response_head(bytes));
