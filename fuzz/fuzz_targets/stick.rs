//! Whatever other processes have left in a table of clients and their servers, it says what was recorded last, and says
//! it to all.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| replay::stick(bytes));
