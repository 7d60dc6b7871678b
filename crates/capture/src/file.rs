//! Capture files: pcap and pcapng are read, pcapng with comments is written.

mod read;
mod write;

pub use read::{BLOCK_MAX, INTERFACES_MAX, ReadError, Reader};
pub use write::Writer;

use units::Instant;

use crate::Link;

/// An interface of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name, if the file has one.
    pub name: Option<String>,
    /// What its packets begin with.
    pub link: Link,
}

/// A packet of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// When it was captured, since 1970.
    pub time: Instant,
    /// Which of the capture's interfaces.
    pub interface: u32,
    /// As many of its bytes as were captured.
    pub bytes: &'a [u8],
    /// How many it had.
    pub length: u32,
}
