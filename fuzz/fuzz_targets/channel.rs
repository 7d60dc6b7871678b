//! What arrives between two of our processes is the same messages in whatever pieces it comes, or noise that is refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| replay::channel(bytes));
