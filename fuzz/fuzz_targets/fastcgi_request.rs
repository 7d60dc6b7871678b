//! Whatever a gateway sends is the same request however it is cut, and no more of its parameters is held than may be.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| replay::fastcgi_request(bytes));
