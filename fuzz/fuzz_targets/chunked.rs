//! A chunked body means the same whole, in pieces, scanned, and with its payload passed unseen.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| replay::chunked(bytes));
