//! Records: what every byte on a connection belongs to (FastCGI 1.0 §3.3).

/// The number of every request: connections carry one at a time.
pub const REQUEST_ID: u16 = 1;

/// A record's header.
pub const HEADER_BYTES: usize = 8;

/// The most that one record carries.
pub const CONTENT_MAX: usize = 65535;

/// Ends the request's body: STDIN without content.
pub const STDIN_END: [u8; HEADER_BYTES] = header(STDIN, 0);

/// Tells the application that nobody wants the answer any more (§5.4).
pub const ABORT: [u8; HEADER_BYTES] = header(ABORT_REQUEST, 0);

pub(crate) const BEGIN_REQUEST: u8 = 1;
pub(crate) const ABORT_REQUEST: u8 = 2;
pub(crate) const END_REQUEST: u8 = 3;
pub(crate) const PARAMS: u8 = 4;
pub(crate) const STDIN: u8 = 5;
pub(crate) const STDOUT: u8 = 6;
pub(crate) const STDERR: u8 = 7;

const VERSION_1: u8 = 1;

/// The header of a record that carries so much of the request's body; more than [`CONTENT_MAX`] is cut off at it.
pub const fn stdin_header(content: usize) -> [u8; HEADER_BYTES] {
    let content = if content > CONTENT_MAX { CONTENT_MAX } else { content };
    header(STDIN, content as u16)
}

pub(crate) const fn header(kind: u8, content: u16) -> [u8; HEADER_BYTES] {
    let [id_high, id_low] = REQUEST_ID.to_be_bytes();
    let [high, low] = content.to_be_bytes();
    [VERSION_1, kind, id_high, id_low, high, low, 0, 0]
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) version: u8,
    pub(crate) kind: u8,
    pub(crate) request_id: u16,
    pub(crate) content: u16,
    pub(crate) padding: u8,
}

impl Header {
    /// The last byte is reserved: whatever it is means nothing (§3.3).
    pub(crate) fn of([version, kind, id_high, id_low, high, low, padding, _]: [u8; HEADER_BYTES]) -> Header {
        Header {
            version,
            kind,
            request_id: u16::from_be_bytes([id_high, id_low]),
            content: u16::from_be_bytes([high, low]),
            padding,
        }
    }

    pub(crate) fn is_version_1(self) -> bool {
        self.version == VERSION_1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_laid_out_as_the_specification_has_them() {
        assert_eq!(STDIN_END, [1, 5, 0, 1, 0, 0, 0, 0]);
        assert_eq!(ABORT, [1, 2, 0, 1, 0, 0, 0, 0]);
        assert_eq!(stdin_header(258), [1, 5, 0, 1, 1, 2, 0, 0]);
        assert_eq!(stdin_header(65535), [1, 5, 0, 1, 255, 255, 0, 0]);
        assert_eq!(stdin_header(70000), [1, 5, 0, 1, 255, 255, 0, 0]);
        let read = Header::of([1, 6, 0x12, 0x34, 0xab, 0xcd, 7, 99]);
        assert_eq!(read, Header { version: 1, kind: 6, request_id: 0x1234, content: 0xabcd, padding: 7 });
    }
}
