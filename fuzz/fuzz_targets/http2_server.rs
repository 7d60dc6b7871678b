//! A client's connection of HTTP/2 means the same however its bytes are cut.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| replay::http2_server(bytes));
