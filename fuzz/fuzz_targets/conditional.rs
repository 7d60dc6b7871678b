//! Conditions of any request are evaluated; without any, a request proceeds.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| replay::conditional(bytes));
