use std::io::Read;

use pcap_parser::traits::PcapReaderIterator;
use pcap_parser::{Block, InterfaceDescriptionBlock, OptionCode, PcapBlockOwned, PcapError, PcapHeader, create_reader};
use units::Instant;

use super::{Interface, Packet};
use crate::Link;

/// What is read at once, to begin with.
const READ_BYTES: usize = 64 << 10;

/// A block of a file, a packet's for instance: the longest that is read. No link has packets as long.
pub const BLOCK_MAX: usize = 1 << 20;

/// Interfaces of a file, all its sections together.
pub const INTERFACES_MAX: usize = 4096;

/// Characters of an interface's name: four times what Linux allows.
const NAME_MAX: usize = 64;

/// Why a file cannot be read, or not any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It begins as no capture does.
    #[error("it is no capture: neither pcap nor pcapng")]
    NotACapture,
    /// The system does not give it.
    #[error("it cannot be read to its end")]
    Unreadable,
    /// It ends within a packet.
    #[error("it ends within a packet")]
    CutOff,
    /// See [`BLOCK_MAX`].
    #[error("it has a packet or block of more than a megabyte")]
    TooLong,
    /// See [`INTERFACES_MAX`].
    #[error("it has more than 4096 interfaces")]
    TooManyInterfaces,
    /// A packet of an interface that the file does not describe.
    #[error("it has a packet of an interface that it does not describe")]
    NoInterface,
    /// Its blocks contradict themselves.
    #[error("it is damaged")]
    Damaged,
}

/// Reads pcap and pcapng of either order of bytes, packet by packet.
pub struct Reader<'r> {
    blocks: Box<dyn PcapReaderIterator + Send + 'r>,
    /// All interfaces of all sections so far.
    interfaces: Vec<Interface>,
    clocks: Vec<Clock>,
    /// Where those of this section begin.
    section: usize,
    big_endian: bool,
    /// What of the block that was handed out last is to be dropped.
    used: usize,
    /// Bytes that there is room for.
    capacity: usize,
}

/// What an interface's times mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clock {
    /// Units of a second.
    resolution: u128,
    offset_seconds: i64,
}

/// What a block brings.
enum Found {
    Nothing,
    Packet { time: Instant, interface: usize, length: u32 },
}

impl<'r> Reader<'r> {
    /// Looks at the beginning of a file.
    ///
    /// # Errors
    /// If it is no capture.
    pub fn new(file: impl Read + Send + 'r) -> Result<Reader<'r>, ReadError> {
        let blocks = create_reader(READ_BYTES, file).map_err(|error| match error {
            PcapError::ReadError => ReadError::Unreadable,
            _ => ReadError::NotACapture,
        })?;
        let (interfaces, clocks) = (Vec::new(), Vec::new());
        Ok(Reader { blocks, interfaces, clocks, section: 0, big_endian: false, used: 0, capacity: READ_BYTES })
    }

    /// The next packet and its interface; `None` at the end.
    ///
    /// # Errors
    /// If the file cannot be read any further. What was read until then is good.
    pub fn next_packet(&mut self) -> Result<Option<(&Interface, Packet<'_>)>, ReadError> {
        let (time, interface, length) = loop {
            self.blocks.consume(std::mem::take(&mut self.used));
            match self.look()? {
                None => return Ok(None),
                Some(Found::Nothing) => {}
                Some(Found::Packet { time, interface, length }) => break (time, interface, length),
            }
        };
        let described = self.interfaces.get(interface).ok_or(ReadError::NoInterface)?;
        // Looked at a second time, for the borrow of a packet must not outlive a turn of the loop.
        let bytes = match self.blocks.next() {
            Ok((_, PcapBlockOwned::Legacy(block))) => block.data,
            Ok((_, PcapBlockOwned::NG(Block::EnhancedPacket(block)))) => {
                &block.data[..block.data.len().min(block.caplen as usize)]
            }
            Ok((_, PcapBlockOwned::NG(Block::SimplePacket(block)))) => {
                &block.data[..block.data.len().min(block.origlen as usize)]
            }
            _ => return Err(ReadError::Damaged),
        };
        Ok(Some((described, Packet { time, interface: interface as u32, bytes, length })))
    }

    /// Reads one block; `None` at the end.
    fn look(&mut self) -> Result<Option<Found>, ReadError> {
        loop {
            let is_too_small = match self.blocks.next() {
                Ok((used, block)) => {
                    self.used = used;
                    let mut sight = Sight {
                        interfaces: &mut self.interfaces,
                        clocks: &mut self.clocks,
                        section: &mut self.section,
                        big_endian: &mut self.big_endian,
                    };
                    return sight.of(&block).map(Some);
                }
                Err(PcapError::Eof) => return Ok(None),
                Err(PcapError::Incomplete(_)) => false,
                Err(PcapError::BufferTooSmall) => true,
                Err(PcapError::UnexpectedEof) => return Err(ReadError::CutOff),
                Err(PcapError::ReadError) => return Err(ReadError::Unreadable),
                Err(_) => return Err(ReadError::Damaged),
            };
            let before = self.blocks.data().len();
            if is_too_small {
                self.grow()?;
            }
            self.blocks.refill().map_err(|_| ReadError::Unreadable)?;
            if self.blocks.data().len() == before && !is_too_small && !self.blocks.reader_exhausted() {
                self.grow()?;
            }
        }
    }

    fn grow(&mut self) -> Result<(), ReadError> {
        if self.capacity >= BLOCK_MAX {
            return Err(ReadError::TooLong);
        }
        self.capacity *= 2;
        self.blocks.grow(self.capacity);
        Ok(())
    }
}

/// What blocks change of a reader, while it lends one.
struct Sight<'a> {
    interfaces: &'a mut Vec<Interface>,
    clocks: &'a mut Vec<Clock>,
    section: &'a mut usize,
    big_endian: &'a mut bool,
}

impl Sight<'_> {
    fn of(&mut self, block: &PcapBlockOwned<'_>) -> Result<Found, ReadError> {
        match block {
            PcapBlockOwned::LegacyHeader(header) => {
                self.add(Interface { name: None, link: link_of(header) }, clock_of(header))?;
            }
            PcapBlockOwned::Legacy(block) => {
                let clock = self.clocks.first().ok_or(ReadError::NoInterface)?;
                let ticks = u128::from(block.ts_sec) * clock.resolution + u128::from(block.ts_usec);
                let time = clock.time(ticks);
                return Ok(Found::Packet { time, interface: 0, length: block.origlen });
            }
            PcapBlockOwned::NG(Block::SectionHeader(header)) => {
                *self.section = self.interfaces.len();
                *self.big_endian = header.big_endian();
            }
            PcapBlockOwned::NG(Block::InterfaceDescription(description)) => {
                let name = description.if_name().and_then(Result::ok).map(printable);
                let link = Link(u16::try_from(description.linktype.0).unwrap_or(u16::MAX));
                self.add(Interface { name, link }, described_clock(description, *self.big_endian))?;
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(block)) => {
                let index = self.section.saturating_add(block.if_id as usize);
                let clock = self.clocks.get(index).ok_or(ReadError::NoInterface)?;
                let ticks = u128::from(block.ts_high) << 32 | u128::from(block.ts_low);
                return Ok(Found::Packet { time: clock.time(ticks), interface: index, length: block.origlen });
            }
            // It has no time: it is that of no packet (draft-ietf-opsawg-pcapng §4.4).
            PcapBlockOwned::NG(Block::SimplePacket(block)) => {
                let index = *self.section;
                self.clocks.get(index).ok_or(ReadError::NoInterface)?;
                return Ok(Found::Packet { time: Instant::ZERO, interface: index, length: block.origlen });
            }
            PcapBlockOwned::NG(_) => {}
        }
        Ok(Found::Nothing)
    }

    fn add(&mut self, interface: Interface, clock: Clock) -> Result<(), ReadError> {
        if self.interfaces.len() >= INTERFACES_MAX {
            return Err(ReadError::TooManyInterfaces);
        }
        self.interfaces.push(interface);
        self.clocks.push(clock);
        Ok(())
    }
}

impl Clock {
    /// Before 1970 and after 2554 counts as then.
    fn time(self, ticks: u128) -> Instant {
        let nanos = ticks * 1_000_000_000 / self.resolution;
        let nanos = i128::try_from(nanos).unwrap_or(i128::MAX);
        let nanos = nanos.saturating_add(i128::from(self.offset_seconds) * 1_000_000_000);
        Instant::from_nanos(nanos.clamp(0, i128::from(u64::MAX)) as u64)
    }
}

/// A name as it can be shown.
fn printable(name: &str) -> String {
    name.chars().filter(|character| !character.is_control()).take(NAME_MAX).collect()
}

fn link_of(header: &PcapHeader) -> Link {
    // The upper bits say something of a frame's check sequence.
    Link((header.network.0 & 0xffff) as u16)
}

fn clock_of(header: &PcapHeader) -> Clock {
    let resolution = if header.is_nanosecond_precision() { 1_000_000_000 } else { 1_000_000 };
    Clock { resolution, offset_seconds: 0 }
}

/// draft-ietf-opsawg-pcapng §4.2: microseconds unless it says otherwise.
fn described_clock(description: &InterfaceDescriptionBlock<'_>, big_endian: bool) -> Clock {
    let resolution = match description.if_tsresol {
        decimal @ 0..=19 => 10_u128.pow(u32::from(decimal)),
        binary @ 0x80..=0xbf => 1_u128 << (binary & 0x3f),
        _ => 1_000_000,
    };
    let offset = description.options.iter().find(|option| option.code == OptionCode::IfTsoffset);
    let offset = offset.and_then(|option| <[u8; 8]>::try_from(option.as_bytes().ok()?).ok());
    let offset_seconds = match (offset, big_endian) {
        (Some(bytes), true) => i64::from_be_bytes(bytes),
        (Some(bytes), false) => i64::from_le_bytes(bytes),
        (None, _) => 0,
    };
    Clock { resolution, offset_seconds }
}
