//! What an origin says of its load in its health answer: a dictionary of integers (RFC 8941 §3.2), in one field.
//!
//! `Perron-Load: sent=1073741824, left=52428800, requests=12`

use std::io::Write;

/// The field's name.
pub const FIELD: &str = "Perron-Load";

/// The longest value that is looked at.
const VALUE_MAX: usize = 256;

/// What an origin has sent, and what it has still to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LoadReport {
    /// Bytes of bodies sent since it started.
    pub sent: u64,
    /// Bytes of bodies that answers under way have still to send.
    pub left: u64,
    /// Requests under way.
    pub requests: u32,
}

/// Appends the field's value.
pub fn write(out: &mut Vec<u8>, report: &LoadReport) {
    let LoadReport { sent, left, requests } = report;
    // Writing to a Vec cannot fail.
    let _ = write!(out, "sent={sent}, left={left}, requests={requests}");
}

/// Reads the field's value; members of other names are passed over. `None`: it is no such dictionary, or lacks a member.
pub fn parse(value: &[u8]) -> Option<LoadReport> {
    if value.len() > VALUE_MAX {
        return None;
    }
    let (mut sent, mut left, mut requests) = (None, None, None);
    for member in std::str::from_utf8(value).ok()?.split(',') {
        let (name, value) = member.trim_matches([' ', '\t']).split_once('=')?;
        match name {
            "sent" => sent = Some(integer(value)?),
            "left" => left = Some(integer(value)?),
            "requests" => requests = Some(u32::try_from(integer(value)?).ok()?),
            _ => {}
        }
    }
    Some(LoadReport { sent: sent?, left: left?, requests: requests? })
}

fn integer(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_as_it_is_written() {
        let report = LoadReport { sent: 1_073_741_824, left: 52_428_800, requests: 12 };
        let mut value = Vec::new();
        write(&mut value, &report);
        assert_eq!(value, b"sent=1073741824, left=52428800, requests=12");
        assert_eq!(parse(&value), Some(report));
        assert_eq!(parse(b"requests=1,\tleft=2 ,later=x, sent=3"), Some(LoadReport { sent: 3, left: 2, requests: 1 }));
    }

    #[test]
    fn what_is_no_report_is_none() {
        let wrong: [&[u8]; 7] = [
            b"",
            b"sent=1, left=2",
            b"sent=-1, left=2, requests=3",
            b"sent=1, left=2, requests=4294967296",
            b"sent=99999999999999999999, left=2, requests=3",
            b"sent=, left=2, requests=3",
            b"sent=1, left=2, requests=3, \xff=1",
        ];
        for value in wrong {
            assert_eq!(parse(value), None, "{value:?}");
        }
        let long = [b"sent=1, left=2, requests=3, x=".to_vec(), vec![b'1'; 256]].concat();
        assert_eq!(parse(&long), None);
    }
}
