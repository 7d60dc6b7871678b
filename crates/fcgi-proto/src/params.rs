//! The beginning of a request: BEGIN_REQUEST, and what the application is told of it (FastCGI 1.0 §3.4, §5.1, §5.2).

use crate::record::{BEGIN_REQUEST, CONTENT_MAX, HEADER_BYTES, PARAMS, header};

/// Responder: it answers the request (§6.2).
const ROLE: u8 = 1;

/// The connection is the gateway's to close (§5.1).
const KEEP_CONN: u8 = 1;

/// Lengths below are one byte, others four of which the first bit is set (§3.4).
const LONG: usize = 128;

/// Writes BEGIN_REQUEST and parameters. These fill as many records as they need, and one parameter may lie in two.
#[derive(Debug)]
pub struct Params<'o> {
    out: &'o mut Vec<u8>,
    /// Where the record that is being filled begins.
    record: usize,
}

impl<'o> Params<'o> {
    /// Appends BEGIN_REQUEST; `keep`: the application is to leave the connection open after its answer.
    pub fn begin(out: &'o mut Vec<u8>, keep: bool) -> Params<'o> {
        out.extend_from_slice(&header(BEGIN_REQUEST, 8));
        out.extend_from_slice(&[0, ROLE, if keep { KEEP_CONN } else { 0 }, 0, 0, 0, 0, 0]);
        let record = out.len();
        out.extend_from_slice(&header(PARAMS, 0));
        Params { out, record }
    }

    /// Appends a parameter.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        self.add_joined(name, &[value]);
    }

    /// Appends a parameter whose value is in pieces.
    pub fn add_joined(&mut self, name: &[u8], value: &[&[u8]]) {
        self.add_length(name.len());
        self.add_length(value.iter().map(|piece| piece.len()).sum());
        self.append(name);
        for piece in value {
            self.append(piece);
        }
    }

    /// Appends the parameter of a field of the request's head: `X-Forwarded-For` is HTTP_X_FORWARDED_FOR
    /// (RFC 3875 §4.1.18).
    pub fn add_field(&mut self, name: &[u8], value: &[u8]) {
        const PREFIX: &[u8] = b"HTTP_";
        self.add_length(PREFIX.len() + name.len());
        self.add_length(value.len());
        self.append(PREFIX);
        for piece in name.chunks(64) {
            let mut written = [0; 64];
            let written = &mut written[..piece.len()];
            written.copy_from_slice(piece);
            write_name(written);
            self.append(written);
        }
        self.append(value);
    }

    /// Ends the parameters, with the record that says so.
    pub fn end(mut self) {
        if self.content() > 0 {
            self.next_record();
        }
    }

    fn add_length(&mut self, length: usize) {
        if length < LONG {
            self.append(&[length as u8]);
        } else {
            let length = u32::try_from(length).unwrap_or(u32::MAX) | 1 << 31;
            self.append(&length.to_be_bytes());
        }
    }

    fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.content() == CONTENT_MAX {
                self.next_record();
            }
            let fits = bytes.len().min(CONTENT_MAX - self.content());
            self.out.extend_from_slice(&bytes[..fits]);
            bytes = &bytes[fits..];
        }
        let content = self.content() as u16;
        self.out[self.record..self.record + HEADER_BYTES].copy_from_slice(&header(PARAMS, content));
    }

    fn next_record(&mut self) {
        let content = self.content() as u16;
        self.out[self.record..self.record + HEADER_BYTES].copy_from_slice(&header(PARAMS, content));
        self.record = self.out.len();
        self.out.extend_from_slice(&header(PARAMS, 0));
    }

    fn content(&self) -> usize {
        self.out.len() - self.record - HEADER_BYTES
    }
}

/// Makes a field's name the end of a variable's.
fn write_name(name: &mut [u8]) {
    for byte in name {
        *byte = if *byte == b'-' { b'_' } else { byte.to_ascii_uppercase() };
    }
}

#[cfg(test)]
mod tests;
