//! A peer's frame means the same whole and in pieces, and what it says can be written and read again.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| replay::peer(bytes));
