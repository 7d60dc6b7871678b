//! A client without a library's good manners: it writes frames and reads frames.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Codes of RFC 9113 §7.
pub(crate) mod code {
    pub(crate) const NO_ERROR: u32 = 0;
    pub(crate) const PROTOCOL_ERROR: u32 = 1;
    pub(crate) const FLOW_CONTROL_ERROR: u32 = 3;
    pub(crate) const STREAM_CLOSED: u32 = 5;
    pub(crate) const FRAME_SIZE_ERROR: u32 = 6;
    pub(crate) const REFUSED_STREAM: u32 = 7;
    pub(crate) const CANCEL: u32 = 8;
    pub(crate) const COMPRESSION_ERROR: u32 = 9;
    pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;
}

/// Kinds of RFC 9113 §6.
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const PRIORITY: u8 = 2;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PUSH_PROMISE: u8 = 5;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
}

/// Flags of RFC 9113 §6, each for the kinds that have it.
pub(crate) mod flag {
    pub(crate) const ACK: u8 = 1;
    pub(crate) const END_STREAM: u8 = 1;
    pub(crate) const END_HEADERS: u8 = 4;
    pub(crate) const PADDED: u8 = 8;
    pub(crate) const PRIORITY: u8 = 0x20;
}

/// `GET http://t/own`, by the static table and literals (RFC 7541 §6).
pub(crate) const OWN: &[u8] = b"\x82\x86\x01\x01t\x04\x04/own";

/// The same for `/hang`.
pub(crate) const HANG: &[u8] = b"\x82\x86\x01\x01t\x04\x05/hang";

/// A frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A field as a literal without a name of the tables (RFC 7541 §6.2.2).
pub(crate) fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0, name.len() as u8];
    bytes.extend(name.bytes());
    bytes.push(value.len() as u8);
    bytes.extend(value.bytes());
    bytes
}

/// A client.
pub(crate) struct Raw(pub(crate) TcpStream);

/// A frame as it came.
#[derive(Debug)]
pub(crate) struct Came {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Came {
    /// The code of RST_STREAM or GOAWAY.
    pub(crate) fn code(&self) -> u32 {
        let at = if self.kind == kind::GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    /// Whether it is DATA or HEADERS, the last of its stream.
    pub(crate) fn ends_stream(&self) -> bool {
        matches!(self.kind, kind::DATA | kind::HEADERS) && self.flags & flag::END_STREAM != 0
    }
}

impl Raw {
    pub(crate) fn connect(address: SocketAddr) -> Raw {
        let mut raw = Raw::silent(address);
        raw.send(PREFACE);
        raw.send(&frame(kind::SETTINGS, 0, 0, b""));
        raw
    }

    /// One that has said nothing yet.
    pub(crate) fn silent(address: SocketAddr) -> Raw {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Raw(stream)
    }

    /// Whoever is cut off meanwhile hears of it by reading.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    /// The next frame; `None`: the connection has ended.
    pub(crate) fn next(&mut self) -> Option<Came> {
        let mut head = [0; 9];
        self.read(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.read(&mut payload)?;
        let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
        Some(Came { kind: head[3], flags: head[4], stream, payload })
    }

    fn read(&mut self, bytes: &mut [u8]) -> Option<()> {
        let came = self.0.read_exact(bytes);
        let is_late = |error: &Error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        assert!(!came.as_ref().is_err_and(is_late), "nothing comes, and the connection does not end");
        came.ok()
    }

    pub(crate) fn wait_for(&mut self, wanted: impl Fn(&Came) -> bool) -> Came {
        let mut others = Vec::new();
        while let Some(came) = self.next() {
            if wanted(&came) {
                return came;
            }
            others.push(came);
        }
        panic!("it does not come, but {others:?}");
    }

    /// The code that the connection ends with.
    pub(crate) fn end(&mut self) -> u32 {
        self.wait_for(|came| came.kind == kind::GOAWAY).code()
    }

    /// The code that a stream ends with.
    pub(crate) fn reset(&mut self, stream: u32) -> u32 {
        self.wait_for(|came| came.kind == kind::RST_STREAM && came.stream == stream).code()
    }

    /// Whether requests are still answered.
    pub(crate) fn is_served(&mut self, stream: u32) {
        self.send(&frame(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, stream, OWN));
        self.wait_for(|came| came.stream == stream && came.kind == kind::DATA && came.payload == b"own");
    }
}
