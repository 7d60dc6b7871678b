use std::ops::ControlFlow;

/// What a client's connection begins with (RFC 9113 §3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The kinds of frames that are told apart (RFC 9113 §6).
pub mod kind {
    /// A part of a body.
    pub const DATA: u8 = 0;
    /// A head, or the beginning of one.
    pub const HEADERS: u8 = 1;
    /// What a stream depends on; of no use any more (RFC 9113 §5.3.2).
    pub const PRIORITY: u8 = 2;
    /// The end of a stream before its time.
    pub const RST_STREAM: u8 = 3;
    /// What a peer can bear.
    pub const SETTINGS: u8 = 4;
    /// A request that a server makes of itself.
    pub const PUSH_PROMISE: u8 = 5;
    /// Is anybody there?
    pub const PING: u8 = 6;
    /// A last word.
    pub const GOAWAY: u8 = 7;
    /// Room for more of a body.
    pub const WINDOW_UPDATE: u8 = 8;
    /// A further part of a head.
    pub const CONTINUATION: u8 = 9;
}

/// Flags, each of some kinds (RFC 9113 §6).
pub(super) mod flag {
    /// The stream ends with it.
    pub(crate) const END_STREAM: u8 = 1;
    /// It answers the peer's.
    pub(crate) const ACK: u8 = 1;
    /// The header block ends with it.
    pub(crate) const END_HEADERS: u8 = 4;
    /// It is longer than what it says.
    pub(crate) const PADDED: u8 = 8;
    /// It begins with a priority.
    pub(crate) const PRIORITY: u8 = 0x20;
}

/// A frame's header, nine bytes (RFC 9113 §4.1).
pub(super) const HEADER_BYTES: usize = 9;

/// The number of a stream, without the bit before it that means nothing (RFC 9113 §4.1).
const STREAM_BITS: u32 = 0x7fff_ffff;

/// The code of RST_STREAM follows its header (RFC 9113 §6.4).
const CODE_BYTES: usize = 4;

/// One frame, as far as it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// See [`kind`].
    pub kind: u8,
    /// As sent.
    pub flags: u8,
    /// Whose it is; 0: the connection's.
    pub stream: u32,
    /// Bytes of payload.
    pub length: u32,
    /// Of RST_STREAM, why; 0 otherwise.
    pub code: u32,
}

/// Why a frame ends its connection (RFC 9113 §5.4.1), as far as its header tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is where it has no business to be (PROTOCOL_ERROR).
    Protocol,
    /// Its kind has no frames of this length (FRAME_SIZE_ERROR).
    Size,
}

impl Frame {
    /// What a header says.
    pub(super) fn from_header(header: &[u8; HEADER_BYTES]) -> Frame {
        let [a, b, c, kind, flags, stream @ ..] = *header;
        let (length, stream) = (u32::from_be_bytes([0, a, b, c]), u32::from_be_bytes(stream) & STREAM_BITS);
        Frame { kind, flags, stream, length, code: 0 }
    }

    /// Its header.
    pub(super) fn header(self) -> [u8; HEADER_BYTES] {
        let [_, a, b, c] = self.length.to_be_bytes();
        let [d, e, f, g] = self.stream.to_be_bytes();
        [a, b, c, self.kind, self.flags, d, e, f, g]
    }

    /// Whether a connection may begin with it (RFC 9113 §3.4).
    pub fn begins_connection(self) -> bool {
        self.kind == kind::SETTINGS && self.flags & flag::ACK == 0
    }

    /// What is wrong with it: it is a stream's and not of one, or the other way round, or of a length that its kind does
    /// not have (RFC 9113 §6.1 to §6.10).
    pub fn fault(self) -> Option<Fault> {
        let of_stream = self.stream != 0;
        let (belongs, fits) = match self.kind {
            kind::DATA | kind::HEADERS | kind::PUSH_PROMISE | kind::CONTINUATION => (of_stream, true),
            kind::PRIORITY => (of_stream, self.length == 5),
            kind::RST_STREAM => (of_stream, self.length == 4),
            kind::SETTINGS if self.flags & flag::ACK != 0 => (!of_stream, self.length == 0),
            kind::SETTINGS => (!of_stream, self.length.is_multiple_of(6)),
            kind::PING => (!of_stream, self.length == 8),
            kind::GOAWAY => (!of_stream, self.length >= 8),
            kind::WINDOW_UPDATE => (true, self.length == 4),
            _ => (true, true),
        };
        match (belongs, fits) {
            (false, _) => Some(Fault::Protocol),
            (true, false) => Some(Fault::Size),
            (true, true) => None,
        }
    }

    /// Whether it is DATA or HEADERS, the last of its stream.
    pub fn ends_stream(self) -> bool {
        matches!(self.kind, kind::DATA | kind::HEADERS) && self.flags & flag::END_STREAM != 0
    }
}

/// Follows the frames of one direction of a connection through the pieces in which they pass.
#[derive(Clone, Debug)]
pub struct Frames {
    /// Bytes to pass over: the preface's, a payload's.
    passed_over: u32,
    held: [u8; HEADER_BYTES + CODE_BYTES],
    held_bytes: usize,
}

impl Frames {
    /// At the beginning of what a client sends, its preface included.
    pub const fn after_preface() -> Frames {
        Frames { passed_over: PREFACE.len() as u32, ..Frames::new() }
    }

    /// At the beginning of what a server sends.
    pub const fn new() -> Frames {
        Frames { passed_over: 0, held: [0; HEADER_BYTES + CODE_BYTES], held_bytes: 0 }
    }

    /// Goes on through `bytes`; `seen` is told of each frame once its header has passed, and may break off there. Returns
    /// how many of `bytes` come before the frame at which it did, or all of them.
    pub fn follow(&mut self, bytes: &[u8], mut seen: impl FnMut(Frame) -> ControlFlow<()>) -> usize {
        let mut at = 0;
        let mut begin = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            if self.passed_over > 0 {
                let passed = rest.len().min(usize::try_from(self.passed_over).unwrap_or(usize::MAX));
                self.passed_over -= passed as u32;
                at += passed;
                continue;
            }
            if self.held_bytes == 0 {
                begin = at;
            }
            let want = if self.held_bytes < HEADER_BYTES { HEADER_BYTES } else { HEADER_BYTES + CODE_BYTES };
            let taken = rest.len().min(want - self.held_bytes);
            self.held[self.held_bytes..self.held_bytes + taken].copy_from_slice(&rest[..taken]);
            self.held_bytes += taken;
            at += taken;
            if self.held_bytes == want
                && let Some(frame) = self.frame()
            {
                self.passed_over = frame.length - (self.held_bytes - HEADER_BYTES) as u32;
                self.held_bytes = 0;
                if seen(frame).is_break() {
                    return begin;
                }
            }
        }
        bytes.len()
    }

    /// The frame whose header is held; `None`: its code is still to come.
    fn frame(&self) -> Option<Frame> {
        let [a, b, c, kind, flags, stream @ .., d, e, f, g] = self.held;
        let (code, stream) = ([d, e, f, g], u32::from_be_bytes(stream) & STREAM_BITS);
        let length = u32::from_be_bytes([0, a, b, c]);
        let has_code = kind == kind::RST_STREAM && length as usize >= CODE_BYTES;
        match has_code {
            true if self.held_bytes == HEADER_BYTES => None,
            true => Some(Frame { kind, flags, stream, length, code: u32::from_be_bytes(code) }),
            false => Some(Frame { kind, flags, stream, length, code: 0 }),
        }
    }
}

impl Default for Frames {
    fn default() -> Frames {
        Frames::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(frames: &mut Frames, bytes: &[u8]) -> Vec<Frame> {
        let mut all = Vec::new();
        let passed = frames.follow(bytes, |frame| {
            all.push(frame);
            ControlFlow::Continue(())
        });
        assert_eq!(passed, bytes.len());
        all
    }

    /// A preface, empty SETTINGS, PING, RST_STREAM of stream 1 with CANCEL, DATA "ab" that ends stream 3.
    fn connection() -> Vec<u8> {
        let mut bytes = PREFACE.to_vec();
        bytes.extend_from_slice(b"\0\0\0\x04\0\0\0\0\0");
        bytes.extend_from_slice(b"\0\0\x08\x06\0\0\0\0\0pingpong");
        bytes.extend_from_slice(b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08");
        bytes.extend_from_slice(b"\0\0\x02\0\x01\0\0\0\x03ab");
        bytes
    }

    const EXPECTED: [Frame; 4] = [
        Frame { kind: 4, flags: 0, stream: 0, length: 0, code: 0 },
        Frame { kind: 6, flags: 0, stream: 0, length: 8, code: 0 },
        Frame { kind: 3, flags: 0, stream: 1, length: 4, code: 8 },
        Frame { kind: 0, flags: 1, stream: 3, length: 2, code: 0 },
    ];

    #[test]
    fn frames_are_seen_however_they_are_cut() {
        let bytes = connection();
        assert_eq!(seen(&mut Frames::after_preface(), &bytes), EXPECTED);
        for cut in 1..bytes.len() {
            let mut frames = Frames::after_preface();
            let mut all = seen(&mut frames, &bytes[..cut]);
            all.extend(seen(&mut frames, &bytes[cut..]));
            assert_eq!(all, EXPECTED, "cut at {cut}");
        }
        let mut frames = Frames::after_preface();
        let single: Vec<Frame> = bytes.iter().flat_map(|byte| seen(&mut frames, &[*byte])).collect();
        assert_eq!(single, EXPECTED);
        assert!(EXPECTED[3].ends_stream() && !EXPECTED[1].ends_stream());
    }

    #[test]
    fn a_reset_without_room_for_its_code_is_a_frame_all_the_same() {
        let bytes = b"\0\0\x02\x03\0\0\0\0\x01xx\0\0\0\x04\x01\0\0\0\0";
        let all = seen(&mut Frames::new(), bytes);
        assert_eq!(all.iter().map(|frame| (frame.kind, frame.length)).collect::<Vec<_>>(), [(3, 2), (4, 0)]);
    }

    #[test]
    fn what_comes_before_a_frame_is_told_apart_from_it() {
        let bytes = connection();
        let stop = |frame: Frame| if frame.kind == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        // The preface, SETTINGS and PING: 24, 9 and 17 bytes.
        assert_eq!(Frames::after_preface().follow(&bytes, stop), 50);
        let mut frames = Frames::after_preface();
        assert_eq!((frames.follow(&bytes[..52], stop), frames.follow(&bytes[52..], stop)), (52, 0));
    }

    #[test]
    fn headers_of_frames_tell_what_is_wrong_with_them() {
        use Fault::{Protocol, Size};
        let frame = |kind, flags, stream, length| Frame { kind, flags, stream, length, code: 0 };
        for (kind, length) in [(0, 1), (1, 1), (2, 5), (3, 4), (5, 4), (9, 0)] {
            assert_eq!(frame(kind, 0, 1, length).fault(), None, "{kind}");
            assert_eq!(frame(kind, 0, 0, length).fault(), Some(Protocol), "{kind} on stream 0");
        }
        for (kind, length) in [(4, 0), (4, 12), (6, 8), (7, 8), (7, 20)] {
            assert_eq!(frame(kind, 0, 0, length).fault(), None, "{kind}");
            assert_eq!(frame(kind, 0, 1, length).fault(), Some(Protocol), "{kind} on a stream");
        }
        for (kind, stream, length) in
            [(2, 1, 4), (2, 1, 6), (3, 1, 3), (3, 1, 5), (4, 0, 3), (4, 0, 7), (6, 0, 7), (6, 0, 9), (7, 0, 7)]
        {
            assert_eq!(frame(kind, 0, stream, length).fault(), Some(Size), "{kind} of {length}");
        }
        assert_eq!((frame(4, 1, 0, 0).fault(), frame(4, 1, 0, 6).fault()), (None, Some(Size)));
        for stream in [0, 1] {
            assert_eq!((frame(8, 0, stream, 4).fault(), frame(8, 0, stream, 3).fault()), (None, Some(Size)));
            assert_eq!(frame(0xfe, 0xff, stream, 99).fault(), None);
        }
        assert!(frame(4, 0, 0, 0).begins_connection());
        assert!(!frame(4, 1, 0, 0).begins_connection() && !frame(6, 0, 0, 8).begins_connection());
    }
}
