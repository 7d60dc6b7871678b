/// What a client's connection begins with (RFC 9113 §3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The kinds of frames that are told apart (RFC 9113 §6).
pub mod kind {
    /// A part of a body.
    pub const DATA: u8 = 0;
    /// A head, or the beginning of one.
    pub const HEADERS: u8 = 1;
    /// The end of a stream before its time.
    pub const RST_STREAM: u8 = 3;
}

/// The frame's stream ends with it (RFC 9113 §6.1, §6.2).
const END_STREAM: u8 = 1;

/// A frame's header, nine bytes (RFC 9113 §4.1).
const HEADER_BYTES: usize = 9;

/// The code of RST_STREAM follows its header (RFC 9113 §6.4).
const CODE_BYTES: usize = 4;

/// One frame, as far as it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// See [`kind`].
    pub kind: u8,
    /// As sent.
    pub flags: u8,
    /// Bytes of payload.
    pub length: u32,
    /// Of RST_STREAM, why; 0 otherwise.
    pub code: u32,
}

impl Frame {
    /// Whether it is DATA or HEADERS, the last of its stream.
    pub fn ends_stream(self) -> bool {
        matches!(self.kind, kind::DATA | kind::HEADERS) && self.flags & END_STREAM != 0
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

    /// Goes on through `bytes`; `seen` is told of each frame once its header has passed.
    pub fn follow(&mut self, mut bytes: &[u8], mut seen: impl FnMut(Frame)) {
        while !bytes.is_empty() {
            if self.passed_over > 0 {
                let passed = bytes.len().min(usize::try_from(self.passed_over).unwrap_or(usize::MAX));
                self.passed_over -= passed as u32;
                bytes = &bytes[passed..];
                continue;
            }
            let want = if self.held_bytes < HEADER_BYTES { HEADER_BYTES } else { HEADER_BYTES + CODE_BYTES };
            let taken = bytes.len().min(want - self.held_bytes);
            self.held[self.held_bytes..self.held_bytes + taken].copy_from_slice(&bytes[..taken]);
            self.held_bytes += taken;
            bytes = &bytes[taken..];
            if self.held_bytes == want
                && let Some(frame) = self.frame()
            {
                self.passed_over = frame.length - (self.held_bytes - HEADER_BYTES) as u32;
                self.held_bytes = 0;
                seen(frame);
            }
        }
    }

    /// The frame whose header is held; `None`: its code is still to come.
    fn frame(&self) -> Option<Frame> {
        let [a, b, c, kind, flags, _, _, _, _, code @ ..] = self.held;
        let length = u32::from_be_bytes([0, a, b, c]);
        let has_code = kind == kind::RST_STREAM && length as usize >= CODE_BYTES;
        match has_code {
            true if self.held_bytes == HEADER_BYTES => None,
            true => Some(Frame { kind, flags, length, code: u32::from_be_bytes(code) }),
            false => Some(Frame { kind, flags, length, code: 0 }),
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
        frames.follow(bytes, |frame| all.push(frame));
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
        Frame { kind: 4, flags: 0, length: 0, code: 0 },
        Frame { kind: 6, flags: 0, length: 8, code: 0 },
        Frame { kind: 3, flags: 0, length: 4, code: 8 },
        Frame { kind: 0, flags: 1, length: 2, code: 0 },
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
}
