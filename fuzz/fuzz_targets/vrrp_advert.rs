//! An advert that is read can be written and means the same again, and whatever it says, a router stays in order.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| replay::vrrp_advert(bytes));
