use std::io::{self, Write};

use super::{Interface, Packet};

/// Types of blocks and codes of options (draft-ietf-opsawg-pcapng §4).
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const COMMENT: u16 = 1;
const SECTION_APPLICATION: u16 = 4;
const INTERFACE_NAME: u16 = 2;
const INTERFACE_RESOLUTION: u16 = 9;

/// Times are in units of 10^-9 s.
const NANOSECONDS: u8 = 9;

/// An option's length has 16 bits; a comment that is longer is cut.
const OPTION_MAX: usize = 4096;

/// Writes pcapng. What is written is whole after each packet, so a file can be read while it grows.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    interfaces: u32,
    block: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// As `out`'s.
    pub fn new(out: W) -> io::Result<Writer<W>> {
        let mut writer = Writer { out, interfaces: 0, block: Vec::new() };
        writer.begin(SECTION_HEADER);
        writer.block.extend(BYTE_ORDER.to_le_bytes());
        // Version 1.0, and a section of unknown length.
        writer.block.extend([1, 0, 0, 0]);
        writer.block.extend((-1_i64).to_le_bytes());
        writer.option(SECTION_APPLICATION, concat!("perron ", env!("CARGO_PKG_VERSION")).as_bytes());
        writer.end()?;
        Ok(writer)
    }

    /// Adds an interface; packets name it by its number, from 0.
    ///
    /// # Errors
    /// As `out`'s.
    pub fn interface(&mut self, interface: &Interface) -> io::Result<()> {
        self.begin(INTERFACE_DESCRIPTION);
        self.block.extend(interface.link.0.to_le_bytes());
        // Two bytes of nothing, and no limit of a packet's length.
        self.block.extend([0; 6]);
        if let Some(name) = &interface.name {
            self.option(INTERFACE_NAME, name.as_bytes());
        }
        self.option(INTERFACE_RESOLUTION, &[NANOSECONDS]);
        self.interfaces += 1;
        self.end()
    }

    /// How many interfaces were added.
    pub fn interfaces(&self) -> u32 {
        self.interfaces
    }

    /// Adds a packet and what is to be said of it.
    ///
    /// # Errors
    /// As `out`'s.
    pub fn packet(&mut self, packet: &Packet<'_>, comment: Option<&str>) -> io::Result<()> {
        self.begin(ENHANCED_PACKET);
        let nanos = packet.time.as_nanos();
        for number in [packet.interface, (nanos >> 32) as u32, nanos as u32, packet.bytes.len() as u32, packet.length] {
            self.block.extend(number.to_le_bytes());
        }
        self.padded(packet.bytes);
        if let Some(comment) = comment {
            self.option(COMMENT, comment.as_bytes());
        }
        self.end()
    }

    /// Hands on what `out` holds back.
    ///
    /// # Errors
    /// As `out`'s.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// A block is its type, its length, what it says, and its length again.
    fn begin(&mut self, kind: u32) {
        self.block.clear();
        self.block.extend(kind.to_le_bytes());
        self.block.extend([0; 4]);
    }

    fn padded(&mut self, bytes: &[u8]) {
        self.block.extend(bytes);
        self.block.resize(self.block.len().next_multiple_of(4), 0);
    }

    fn option(&mut self, code: u16, value: &[u8]) {
        let value = &value[..value.len().min(OPTION_MAX)];
        let end = value.utf8_chunks().map(|chunk| chunk.valid().len()).next().unwrap_or(0);
        // Text is cut between two characters; a number is no text.
        let value = if value.len() == OPTION_MAX { &value[..end] } else { value };
        self.block.extend(code.to_le_bytes());
        self.block.extend((value.len() as u16).to_le_bytes());
        self.padded(value);
    }

    fn end(&mut self) -> io::Result<()> {
        // The end of the options, which there need not be any of.
        self.block.extend([0; 4]);
        let length = (self.block.len() + 4) as u32;
        self.block[4..8].copy_from_slice(&length.to_le_bytes());
        self.block.extend(length.to_le_bytes());
        self.out.write_all(&self.block)
    }
}
