//! Frames are seen the same however their bytes are cut, and no more of them than there are bytes for.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| replay::http2_frames(bytes));
