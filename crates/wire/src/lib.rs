//! Readers and writers of bytes that programs exchange beside HTTP: pure, so that they can be fuzzed and simulated.

pub mod load_report;
pub mod peer;
pub mod proxy_header;
