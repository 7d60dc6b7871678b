use crate::span::FileSpan;
use http_proto::reason_phrase;

/// An answer whose head, and perhaps body, was written; and what of it is still to be sent.
#[derive(Debug)]
pub struct FileAnswer {
    /// The status in the head.
    pub status: u16,
    /// What follows the bytes that were written.
    pub body: Body,
}

/// The part of a body that was not written with the head.
#[derive(Debug)]
pub enum Body {
    /// Nothing: the answer is whole.
    Done,
    /// The bytes of a file.
    File(FileSpan),
    /// Several ranges of a file with what stands between them (`multipart/byteranges`, RFC 9110 §14.6).
    Parts(Vec<Part>),
}

/// A piece of a body in several parts.
#[derive(Debug)]
pub enum Part {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Bytes of a file.
    File(FileSpan),
}

/// Writes a head field by field.
///
/// Names are in their canonical case, for GRUB compares it; and no value is empty, for EDK2 fails on that.
pub(crate) struct HeadWriter<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> HeadWriter<'o> {
    /// `date` may be empty; `connection` is whole field lines or empty.
    pub(crate) fn new(status: u16, date: &[u8], connection: &[u8], out: &'o mut Vec<u8>) -> HeadWriter<'o> {
        out.extend_from_slice(b"HTTP/1.1 ");
        push_status(status, out);
        out.extend_from_slice(b"\r\n");
        let mut head = HeadWriter { out };
        if !date.is_empty() {
            head = head.field("Date", date);
        }
        head.out.extend_from_slice(connection);
        head
    }

    pub(crate) fn field(self, name: &str, value: &[u8]) -> HeadWriter<'o> {
        self.field_of(name, &[value])
    }

    /// A field whose value is in pieces.
    pub(crate) fn field_of(self, name: &str, value: &[&[u8]]) -> HeadWriter<'o> {
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b": ");
        for piece in value {
            self.out.extend_from_slice(piece);
        }
        self.out.extend_from_slice(b"\r\n");
        self
    }

    pub(crate) fn length(self, length: u64) -> HeadWriter<'o> {
        self.out.extend_from_slice(b"Content-Length: ");
        push_number(length, self.out);
        self.out.extend_from_slice(b"\r\n");
        self
    }

    pub(crate) fn end(self) {
        self.out.extend_from_slice(b"\r\n");
    }
}

/// Appends a number in decimal.
pub(crate) fn push_number(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a status with its phrase (RFC 9110 §15).
pub(crate) fn push_status(status: u16, out: &mut Vec<u8>) {
    push_number(u64::from(status), out);
    out.push(b' ');
    out.extend_from_slice(reason_phrase(status).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_decimal() {
        let mut out = Vec::new();
        for number in [0, 9, 10, 4_294_967_296, u64::MAX] {
            push_number(number, &mut out);
            out.push(b' ');
        }
        assert_eq!(out, b"0 9 10 4294967296 18446744073709551615 ");
    }
}
