//! Byte ranges of a representation (RFC 9110 §14).

/// The most ranges that one request may name; a field with more is ignored (RFC 9110 §17.15).
///
/// Downloaders of package deltas ask for some tens at once; thousands come only from attacks.
pub const RANGES_MAX: usize = 64;

/// Some of a representation's bytes: at least one, and all of them exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// The first byte, counted from zero.
    pub start: u64,
    /// How many bytes; never zero.
    pub length: u64,
}

impl ByteRange {
    /// The last byte, as `Content-Range` names it.
    pub fn last(self) -> u64 {
        self.start + (self.length - 1)
    }

    fn end(self) -> u64 {
        self.start + self.length
    }

    fn meets(self, other: ByteRange) -> bool {
        self.start <= other.end() && other.start <= self.end()
    }

    fn joined(self, other: ByteRange) -> ByteRange {
        let start = self.start.min(other.start);
        ByteRange { start, length: self.end().max(other.end()) - start }
    }
}

/// What a `Range` field means for a representation of known length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ranges {
    /// The field is to be ignored: send everything with 200.
    Whole,
    /// One byte range or several, in the order asked for: send them with 206.
    Parts(Vec<ByteRange>),
    /// Nothing of what was asked for exists: answer 416.
    Unsatisfiable,
}

/// Resolves a `Range` field's value against a representation of `length` bytes (RFC 9110 §14.1.2, §14.2).
///
/// Ranges that overlap or touch are joined at the place of the earliest (§15.3.7.2), so the parts never hold more than
/// `length` bytes together. Another unit, a malformed value, or more than [`RANGES_MAX`] ranges: [`Ranges::Whole`].
/// An empty representation is always sent whole, for no `Content-Range` can describe a part of it.
pub fn resolve_ranges(value: &[u8], length: u64) -> Ranges {
    let Some(set) = strip_unit(value) else {
        return Ranges::Whole;
    };
    if length == 0 {
        return Ranges::Whole;
    }
    let mut parts = Vec::new();
    let mut named = 0;
    for (position, element) in set.split(|&byte| byte == b',').enumerate() {
        let element = element.trim_ascii();
        if position > 2 * RANGES_MAX || named == RANGES_MAX && !element.is_empty() {
            return Ranges::Whole;
        }
        // Empty list elements are to be accepted (RFC 9110 §5.6.1.2).
        if element.is_empty() {
            continue;
        }
        named += 1;
        match resolve(element, length) {
            Err(Malformed) => return Ranges::Whole,
            Ok(None) => {}
            Ok(Some(range)) => join(&mut parts, range),
        }
    }
    match (named, parts.is_empty()) {
        (0, _) => Ranges::Whole,
        (_, true) => Ranges::Unsatisfiable,
        (_, false) => Ranges::Parts(parts),
    }
}

struct Malformed;

fn strip_unit(value: &[u8]) -> Option<&[u8]> {
    let (unit, set) = value.split_at_checked(b"bytes=".len())?;
    unit.eq_ignore_ascii_case(b"bytes=").then_some(set)
}

fn resolve(spec: &[u8], length: u64) -> Result<Option<ByteRange>, Malformed> {
    let dash = spec.iter().position(|&byte| byte == b'-').ok_or(Malformed)?;
    let (first, last) = (&spec[..dash], &spec[dash + 1..]);
    if first.is_empty() {
        let suffix = number(last)?.min(length);
        return Ok((suffix > 0).then(|| ByteRange { start: length - suffix, length: suffix }));
    }
    let start = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < start {
        return Err(Malformed);
    }
    // Beyond the end is cut, not refused (RFC 9110 §14.1.2).
    Ok((start < length).then(|| ByteRange { start, length: last.min(length - 1) - start + 1 }))
}

/// Numbers beyond 64 bits mean "beyond the end" like any other large one.
fn number(digits: &[u8]) -> Result<u64, Malformed> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Malformed);
    }
    Ok(digits.iter().fold(0u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))))
}

fn join(parts: &mut Vec<ByteRange>, range: ByteRange) {
    let Some(mut at) = parts.iter().position(|part| part.meets(range)) else {
        parts.push(range);
        return;
    };
    parts[at] = parts[at].joined(range);
    // What has grown may now meet others, before it or after it.
    while let Some(other) = (0..parts.len()).find(|&other| other != at && parts[other].meets(parts[at])) {
        let (keep, drop) = (at.min(other), at.max(other));
        parts[keep] = parts[keep].joined(parts[drop]);
        parts.remove(drop);
        at = keep;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(value: &str, length: u64) -> Vec<(u64, u64)> {
        match resolve_ranges(value.as_bytes(), length) {
            Ranges::Parts(parts) => parts.iter().map(|part| (part.start, part.last())).collect(),
            other => panic!("{value}: {other:?}"),
        }
    }

    /// The examples of RFC 9110 §14.1.2, for its representation of 10 000 bytes.
    #[test]
    fn examples_of_the_standard() {
        assert_eq!(parts("bytes=0-499", 10_000), [(0, 499)]);
        assert_eq!(parts("bytes=500-999", 10_000), [(500, 999)]);
        assert_eq!(parts("bytes=-500", 10_000), [(9500, 9999)]);
        assert_eq!(parts("bytes=9500-", 10_000), [(9500, 9999)]);
        assert_eq!(parts("bytes=0-0,-1", 10_000), [(0, 0), (9999, 9999)]);
        assert_eq!(parts("bytes= 0-999, 4500-5499, -1000", 10_000), [(0, 999), (4500, 5499), (9000, 9999)]);
        assert_eq!(parts("bytes=500-600,601-999", 10_000), [(500, 999)]);
        assert_eq!(parts("bytes=500-700,601-999", 10_000), [(500, 999)]);
    }

    #[test]
    fn ends_are_cut_to_what_exists() {
        assert_eq!(parts("bytes=90-200", 100), [(90, 99)]);
        assert_eq!(parts("bytes=-200", 100), [(0, 99)]);
        assert_eq!(parts("BYTES=0-99999999999999999999999", 100), [(0, 99)]);
        assert_eq!(parts("bytes=,,5-6 ,", 100), [(5, 6)]);
        assert_eq!(parts("bytes=5-6,100-", 100), [(5, 6)]);
        assert_eq!(parts("bytes=0-", u64::MAX), [(0, u64::MAX - 1)]);
    }

    #[test]
    fn nothing_that_exists_is_unsatisfiable() {
        for value in ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=99999999999999999999999-", "bytes=-0, 100-100"]
        {
            assert_eq!(resolve_ranges(value.as_bytes(), 100), Ranges::Unsatisfiable, "{value}");
        }
    }

    #[test]
    fn the_malformed_is_ignored() {
        let malformed = [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=5",
            "bytes=6-5",
            "bytes=0-1,x",
            "bytes=1-2-3",
            "bytes =0-1",
            "bytes=+1-2",
            "bytes=0 - 1",
            "items=0-1",
            "bytes:0-1",
            "bytes=0-1;2-3",
        ];
        for value in malformed {
            assert_eq!(resolve_ranges(value.as_bytes(), 100), Ranges::Whole, "{value}");
        }
        assert_eq!(resolve_ranges(b"bytes=0-0", 0), Ranges::Whole);
        assert_eq!(resolve_ranges(b"bytes=-1", 0), Ranges::Whole);
    }

    #[test]
    fn joined_ranges_stand_where_the_earliest_stood() {
        assert_eq!(parts("bytes=50-59,0-9,20-29,5-25", 100), [(50, 59), (0, 29)]);
        assert_eq!(parts("bytes=20-29,0-9,10-19", 100), [(0, 29)]);
        assert_eq!(parts("bytes=0-9,11-19", 100), [(0, 9), (11, 19)]);
    }

    #[test]
    fn too_many_ranges_are_ignored() {
        let list = |count: usize| (0..count).map(|at| format!("{}-{}", 4 * at, 4 * at)).collect::<Vec<_>>().join(",");
        assert_eq!(parts(&format!("bytes={}", list(64)), 1000).len(), 64);
        assert_eq!(resolve_ranges(format!("bytes={}", list(65)).as_bytes(), 1000), Ranges::Whole);
        assert_eq!(resolve_ranges(format!("bytes=0-0{}", ",".repeat(1000)).as_bytes(), 1000), Ranges::Whole);
    }

    fn check(value: &[u8], length: u64) {
        if let Ranges::Parts(parts) = resolve_ranges(value, length) {
            assert!(!parts.is_empty() && parts.len() <= RANGES_MAX);
            let mut sorted = parts.clone();
            sorted.sort_by_key(|part| part.start);
            assert!(sorted.iter().all(|part| part.length > 0 && part.last() < length));
            assert!(sorted.windows(2).all(|pair| pair[0].last() + 1 < pair[1].start), "{sorted:?}");
        }
    }

    proptest! {
        #[test]
        fn noise_stays_within_the_length(value in prop::collection::vec(any::<u8>(), 0..200), length: u64) {
            check(&value, length);
            check(&[b"bytes=", &value[..]].concat(), length);
        }

        #[test]
        fn likely_sets_stay_within_the_length(set in "[0-9]{0,3}-[0-9]{0,3}(, ?[0-9]{0,3}-[0-9]{0,3}){0,20}", length in 0u64..1200) {
            check(format!("bytes={set}").as_bytes(), length);
        }
    }
}
