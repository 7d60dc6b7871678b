//! Whatever an application sends is the same answer however it is cut, and takes no more room than it has.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| replay::fastcgi_answer(bytes));
