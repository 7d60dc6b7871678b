//! A request of HTTP/2 becomes one head of HTTP/1 that says the same, or none.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| replay::http2_head(bytes));
