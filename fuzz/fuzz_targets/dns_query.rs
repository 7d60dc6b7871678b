//! A question has at most one answer, which says whose it is, and no more by UDP than its client takes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| replay::dns_query(bytes));
