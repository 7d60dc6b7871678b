//! A host has one spelling, wherever a request says it, and nothing that another reader could take for a different one.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| replay::authority(bytes));
