//! Whatever a configuration says, it is read to the end, and each problem is told with its place.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| replay::config(bytes));
