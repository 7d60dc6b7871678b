//! Netlink messages and their attributes as bytes (RFC 3549, linux/netlink.h, linux/rtnetlink.h).
//! Numbers are in the machine's own order, addresses in the network's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An answer to a request: an errno, or zero, and the request's header (NLMSG_ERROR).
pub(crate) const ERROR: u16 = 2;
/// The end of a list (NLMSG_DONE).
pub(crate) const DONE: u16 = 3;

pub(crate) const NEW_LINK: u16 = 16;
pub(crate) const DELETE_LINK: u16 = 17;
pub(crate) const LIST_LINKS: u16 = 18;
pub(crate) const NEW_ADDRESS: u16 = 20;
pub(crate) const DELETE_ADDRESS: u16 = 21;
pub(crate) const LIST_ADDRESSES: u16 = 22;
pub(crate) const NEW_ROUTE: u16 = 24;
pub(crate) const DELETE_ROUTE: u16 = 25;
pub(crate) const LIST_ROUTES: u16 = 26;
pub(crate) const NEW_RULE: u16 = 32;
pub(crate) const DELETE_RULE: u16 = 33;
pub(crate) const LIST_RULES: u16 = 34;

/// NLM_F_REQUEST | NLM_F_ACK: obeyed and answered.
pub(crate) const CHANGE: u16 = 0x01 | 0x04;
/// Beside [`CHANGE`], NLM_F_CREATE | NLM_F_EXCL: made, and refused if it is there.
pub(crate) const CREATE: u16 = CHANGE | 0x400 | 0x200;
/// NLM_F_REQUEST | NLM_F_DUMP: the whole list.
pub(crate) const DUMP: u16 = 0x01 | 0x300;
/// On a list's messages (NLM_F_DUMP_INTR): it changed while it was told.
pub(crate) const INTERRUPTED: u16 = 0x10;

/// AF_UNSPEC: of no family, or of all.
pub(crate) const ANY_FAMILY: u8 = 0;
/// AF_INET.
pub(crate) const IPV4: u8 = 2;
/// AF_INET6.
pub(crate) const IPV6: u8 = 10;

/// Length, kind, flags, sequence number, port.
const HEADER: usize = 16;
/// Length and kind.
const ATTRIBUTE_HEADER: usize = 4;
/// Messages and attributes begin at multiples of this.
const ALIGN: usize = 4;
/// Without NLA_F_NESTED and NLA_F_NET_BYTEORDER, the two highest bits of an attribute's kind.
const KIND: u16 = 0x3fff;
const NESTED: u16 = 0x8000;

/// The bytes are no message, or an attribute is not of the length that its kind has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// One message of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    pub(crate) body: &'a [u8],
}

/// The messages of a datagram; after one that is malformed there are no more.
#[derive(Clone, Debug)]
pub(crate) struct Messages<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let bytes = std::mem::take(&mut self.0);
        let Some((message, length)) = message(bytes) else {
            return Some(Err(Malformed));
        };
        self.0 = bytes.get(aligned(length)..).unwrap_or_default();
        Some(Ok(message))
    }
}

fn message(bytes: &[u8]) -> Option<(Message<'_>, usize)> {
    let length = number(bytes, 0).ok()? as usize;
    let body = bytes.get(HEADER..length)?;
    let (kind, flags) = (short(bytes, 4).ok()?, short(bytes, 6).ok()?);
    Some((Message { kind, flags, sequence: number(bytes, 8).ok()?, body }, length))
}

/// The attributes that follow a message's fixed part, or lie within another attribute: kind and value.
/// After one that is malformed there are no more.
#[derive(Clone, Debug)]
pub(crate) struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// Those after the first `fixed` bytes.
    pub(crate) fn after(body: &'a [u8], fixed: usize) -> Attributes<'a> {
        Attributes(body.get(aligned(fixed)..).unwrap_or_default())
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<(u16, &'a [u8]), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let bytes = std::mem::take(&mut self.0);
        let (Ok(length), Ok(kind)) = (short(bytes, 0), short(bytes, 2)) else {
            return Some(Err(Malformed));
        };
        let length = usize::from(length);
        let Some(value) = bytes.get(ATTRIBUTE_HEADER..length) else {
            return Some(Err(Malformed));
        };
        self.0 = bytes.get(aligned(length)..).unwrap_or_default();
        Some(Ok((kind & KIND, value)))
    }
}

/// Requests, one after the other, as one datagram takes them to the kernel.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    bytes: Vec<u8>,
    begin: usize,
}

impl Requests {
    /// Begins a message with its fixed part; its attributes follow, then [`end`](Requests::end).
    pub(crate) fn begin(&mut self, kind: u16, flags: u16, fixed: &[u8]) -> &mut Requests {
        self.begin = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 8]);
        self.bytes.extend_from_slice(fixed);
        self.pad();
        self
    }

    /// More of the fixed part, right behind [`begin`](Requests::begin).
    pub(crate) fn fixed(&mut self, bytes: &[u8]) -> &mut Requests {
        self.bytes.extend_from_slice(bytes);
        self.pad();
        self
    }

    /// Attributes that were written elsewhere.
    pub(crate) fn append(&mut self, attributes: &Requests) -> &mut Requests {
        self.bytes.extend_from_slice(&attributes.bytes);
        self
    }

    pub(crate) fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Requests {
        self.nest_of(kind, |inside| inside.bytes.extend_from_slice(value))
    }

    pub(crate) fn number(&mut self, kind: u16, value: u32) -> &mut Requests {
        self.attribute(kind, &value.to_ne_bytes())
    }

    pub(crate) fn ip(&mut self, kind: u16, ip: IpAddr) -> &mut Requests {
        match ip {
            IpAddr::V4(v4) => self.attribute(kind, &v4.octets()),
            IpAddr::V6(v6) => self.attribute(kind, &v6.octets()),
        }
    }

    /// A name, with the zero that ends it.
    pub(crate) fn text(&mut self, kind: u16, value: &str) -> &mut Requests {
        self.nest_of(kind, |inside| {
            inside.bytes.extend_from_slice(value.as_bytes());
            inside.bytes.push(0);
        })
    }

    /// An attribute that holds attributes.
    pub(crate) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Requests)) -> &mut Requests {
        self.nest_of(kind | NESTED, fill)
    }

    /// Ends the message that was begun last.
    pub(crate) fn end(&mut self, sequence: u32) {
        let (length, begin) = (self.bytes.len() - self.begin, self.begin);
        self.bytes[begin..begin + 4].copy_from_slice(&(length as u32).to_ne_bytes());
        self.bytes[begin + 8..begin + 12].copy_from_slice(&sequence.to_ne_bytes());
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A value whose length is beyond what its header can say (64 KiB) is cut to nothing, which the kernel refuses.
    fn nest_of(&mut self, kind: u16, fill: impl FnOnce(&mut Requests)) -> &mut Requests {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        fill(self);
        let length = u16::try_from(self.bytes.len() - at).unwrap_or_else(|_| {
            self.bytes.truncate(at + ATTRIBUTE_HEADER);
            ATTRIBUTE_HEADER as u16
        });
        self.bytes[at..at + 2].copy_from_slice(&length.to_ne_bytes());
        self.pad();
        self
    }

    fn pad(&mut self) {
        self.bytes.resize(aligned(self.bytes.len()), 0);
    }
}

/// The number at a place of the fixed part.
pub(crate) fn number(bytes: &[u8], at: usize) -> Result<u32, Malformed> {
    let four = bytes.get(at..).and_then(<[u8]>::first_chunk::<4>).ok_or(Malformed)?;
    Ok(u32::from_ne_bytes(*four))
}

/// The short number at a place of the fixed part.
pub(crate) fn short(bytes: &[u8], at: usize) -> Result<u16, Malformed> {
    let two = bytes.get(at..).and_then(<[u8]>::first_chunk::<2>).ok_or(Malformed)?;
    Ok(u16::from_ne_bytes(*two))
}

/// The byte at a place of the fixed part.
pub(crate) fn byte(bytes: &[u8], at: usize) -> Result<u8, Malformed> {
    bytes.get(at).copied().ok_or(Malformed)
}

/// An address, whose family its length tells.
pub(crate) fn ip(value: &[u8]) -> Result<IpAddr, Malformed> {
    if let Ok(four) = <[u8; 4]>::try_from(value) {
        return Ok(IpAddr::V4(Ipv4Addr::from(four)));
    }
    <[u8; 16]>::try_from(value).map(|sixteen| IpAddr::V6(Ipv6Addr::from(sixteen))).map_err(|_| Malformed)
}

/// A name, without the zero that ends it.
pub(crate) fn text(value: &[u8]) -> String {
    let name = value.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

/// The number of an address's family.
pub(crate) fn family(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { IPV4 } else { IPV6 }
}

fn aligned(length: usize) -> usize {
    length.next_multiple_of(ALIGN)
}
