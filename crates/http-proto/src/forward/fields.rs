//! Field lines of either direction.

use crate::forward::HeaderEdits;
use crate::head::{Fields, Raw};
use crate::token::offset_in;

/// Fields that edits pass over.
const NOT_EDITED: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Fields that a Connection field cannot make us drop. Without them the next server would see
/// another message, or another client, than the one we answer for.
const NOT_NOMINATED: [&str; 7] = [
    "content-length",
    "forwarded",
    "host",
    "transfer-encoding",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];

/// Copies the lines of `fields` that are not in `skip` as they were sent, in runs.
pub(super) fn copy_lines(out: &mut Vec<u8>, raw: Raw<'_>, fields: Fields<'_>, skip: u128) {
    let lines = fields.0;
    let line_start = |index: usize| match lines.get(index) {
        Some(field) => offset_in(raw.bytes, field.name.as_bytes()),
        None => raw.bytes.len() - b"\r\n".len(),
    };
    let mut index = 0;
    while index < lines.len() {
        let kept = (skip >> index).trailing_zeros() as usize;
        let run_end = (index + kept).min(lines.len());
        if kept > 0 {
            out.extend_from_slice(&raw.bytes[line_start(index)..line_start(run_end)]);
        }
        index = run_end + 1;
    }
}

/// Appends a field line whose value comes in pieces.
pub(super) fn write_line(out: &mut Vec<u8>, name: &str, value: &[&[u8]]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    for piece in value {
        out.extend_from_slice(piece);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends all lines of `name` as one list, followed by `, ` if there are any.
pub(super) fn write_joined(out: &mut Vec<u8>, fields: Fields<'_>, name: &str) {
    for value in fields.values(name).filter(|value| !value.is_empty()) {
        out.extend_from_slice(value);
        out.extend_from_slice(b", ");
    }
}

/// The lines that Connection's lines name (RFC 9110 §7.6.1).
#[cold]
pub(super) fn nominated(fields: Fields<'_>) -> u128 {
    select(fields, |name| !contains(&NOT_NOMINATED, name) && fields.has_token("connection", name))
}

/// The lines whose names only we may write to servers that are told of certificates.
pub(super) fn identifying(fields: Fields<'_>) -> u128 {
    let is_ours = |name: &str| {
        let begin = name.as_bytes().get(..4);
        begin.is_some_and(|begin| begin[..3].eq_ignore_ascii_case(b"ssl") && matches!(begin[3], b'-' | b'_'))
    };
    select(fields, is_ours)
}

/// The lines that edits remove or replace.
pub(super) fn edited(fields: Fields<'_>, edits: [&HeaderEdits; 2]) -> u128 {
    if edits.iter().all(|edits| edits.is_empty()) {
        return 0;
    }
    select(fields, |name| edits.iter().any(|edits| replaces(edits, name)))
}

/// Appends the lines that edits set and add.
pub(super) fn write_edits(out: &mut Vec<u8>, edits: [&HeaderEdits; 2]) {
    let [first, second] = edits;
    for (name, value) in first.set.iter().chain(&first.add) {
        if is_editable(name) && !replaces(second, name) {
            write_line(out, name, &[value.as_bytes()]);
        }
    }
    for (name, value) in second.set.iter().chain(&second.add) {
        if is_editable(name) {
            write_line(out, name, &[value.as_bytes()]);
        }
    }
}

/// Whether `edits` take away the lines of `name` that are there before them.
pub(super) fn replaces(edits: &HeaderEdits, name: &str) -> bool {
    let removes = edits.remove.iter().any(|other| other.eq_ignore_ascii_case(name));
    let sets = edits.set.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
    (removes || sets) && is_editable(name)
}

fn is_editable(name: &str) -> bool {
    !contains(&NOT_EDITED, name)
}

fn contains(names: &[&str], name: &str) -> bool {
    names.iter().any(|other| other.eq_ignore_ascii_case(name))
}

fn select(fields: Fields<'_>, chosen: impl Fn(&str) -> bool) -> u128 {
    let mut lines = 0;
    for (index, field) in fields.iter().enumerate() {
        if chosen(field.name) {
            lines |= 1 << index;
        }
    }
    lines
}
