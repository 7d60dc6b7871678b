//! A report of a server's load that is understood can be written, and means the same when it is read again.

use wire::load_report::{LoadReport, parse, write};

use crate::split_number;

/// The field's value.
pub fn load_report(bytes: &[u8]) {
    if let Some(report) = parse(bytes) {
        assert_eq!(again(&report), Some(report));
    }
    let (sent, rest) = split_number(bytes);
    let (left, rest) = split_number(rest);
    let report = LoadReport { sent, left, requests: split_number(rest).0 as u32 };
    assert_eq!(again(&report), Some(report));
}

fn again(report: &LoadReport) -> Option<LoadReport> {
    let mut value = Vec::new();
    write(&mut value, report);
    parse(&value)
}
