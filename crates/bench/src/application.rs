//! What an application reads and writes as FastCGI has it.

use crate::upstream::Asked;

/// The most that one record carries.
const CONTENT_MAX: usize = 65535;

/// Of a record's header.
const HEADER: usize = 8;

const BEGIN_REQUEST: u8 = 1;
const END_REQUEST: u8 = 3;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;

/// An answer with so many bytes, whole.
pub(crate) fn answer(bytes: usize) -> Vec<u8> {
    let head = format!("Content-Type: text/plain\r\nContent-Length: {bytes}\r\n\r\n");
    let whole = [head.into_bytes(), vec![b'x'; bytes]].concat();
    let mut records = Vec::with_capacity(whole.len() + 1024);
    for piece in whole.chunks(CONTENT_MAX) {
        records.extend(header(STDOUT, piece.len() as u16));
        records.extend(piece);
    }
    records.extend(header(END_REQUEST, 8));
    records.extend([0; 8]);
    records
}

fn header(kind: u8, content: u16) -> [u8; HEADER] {
    let [high, low] = content.to_be_bytes();
    [1, kind, 0, 1, high, low, 0, 0]
}

/// A connection on which requests come.
#[derive(Default)]
pub(crate) struct Listening {
    /// The beginning of a record that is not whole yet.
    held: Vec<u8>,
    /// Whether the gateway keeps the connection.
    keeps: bool,
}

impl Listening {
    /// How many requests end in `bytes`.
    pub(crate) fn hear(&mut self, bytes: &[u8]) -> Asked {
        self.held.extend_from_slice(bytes);
        let (mut at, mut answers) = (0, 0);
        while let Some(record) = self.held[at..].get(..HEADER) {
            let (kind, padding) = (record[1], usize::from(record[6]));
            let content = usize::from(u16::from_be_bytes([record[4], record[5]]));
            let Some(record) = self.held[at..].get(..HEADER + content + padding) else { break };
            match kind {
                BEGIN_REQUEST => self.keeps = record[HEADER + 2] & 1 == 1,
                STDIN if content == 0 => answers += 1,
                _ => {}
            }
            at += record.len();
        }
        self.held.drain(..at);
        Asked { answers, is_last: answers > 0 && !self.keeps }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_ends_with_its_empty_record() {
        let begin = [1, BEGIN_REQUEST, 0, 1, 0, 8, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0];
        let end = [1, STDIN, 0, 1, 0, 0, 0, 0];
        let mut listening = Listening::default();
        assert_eq!(listening.hear(&begin[..12]), Asked::default());
        assert_eq!(listening.hear(&[&begin[12..], &end[..5]].concat()), Asked::default());
        assert_eq!(listening.hear(&end[5..]), Asked { answers: 1, is_last: false });
        let mut unkept = begin;
        unkept[10] = 0;
        assert_eq!(listening.hear(&[&unkept[..], &end].concat()), Asked { answers: 1, is_last: true });
    }
}
