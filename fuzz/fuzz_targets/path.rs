//! A resolved path stays below its root, and resolving it again changes nothing but what is still encoded.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| replay::path(bytes));
