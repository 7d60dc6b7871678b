//! What mail servers, agents and pinged hosts answer means the same whatever comes after it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| replay::probe_answer(bytes));
