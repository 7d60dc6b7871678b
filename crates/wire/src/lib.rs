//! Readers and writers of bytes that programs and machines exchange beside HTTP: pure, so that they can be fuzzed and
//! simulated.

pub mod agent;
pub mod arp;
pub mod checksum;
pub mod icmp;
pub mod ipv4;
pub mod link;
pub mod load_report;
pub mod neighbour;
pub mod peer;
pub mod proxy_header;
pub mod smtp;
