//! Ranges lie within the representation, do not touch each other, and are few.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| replay::range(bytes));
