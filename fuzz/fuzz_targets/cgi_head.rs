//! Whatever a program's head is made into frames the body that follows it, or is refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| replay::cgi_head(bytes));
