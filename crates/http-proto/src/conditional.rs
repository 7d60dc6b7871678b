//! Conditional requests (RFC 9110 §13) and the dates they speak of (§5.6.7).

use crate::{Fields, RequestHead};
use std::time::{Duration, SystemTime};

/// What a representation is recognised by (RFC 9110 §8.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validators<'v> {
    /// A strong entity tag with its quotes: `"…"`.
    pub etag: &'v [u8],
    /// When it was last modified, in whole seconds since 1970.
    pub modified: u64,
    /// The answer's date, in whole seconds since 1970.
    pub now: u64,
}

/// What the conditions of a request ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Do what the method says.
    Proceed,
    /// Answer 304 without a body.
    NotModified,
    /// Answer 412.
    Failed,
}

/// Evaluates If-Match, If-Unmodified-Since, If-None-Match and If-Modified-Since in the order of RFC 9110 §13.2.2,
/// for a representation that exists.
pub fn evaluate(request: &RequestHead<'_>, validators: Validators<'_>) -> Precondition {
    evaluate_fields(request.method, request.fields, validators)
}

/// The same for a representation that does not exist: only If-Match asks for one (RFC 9110 §13.1).
pub fn evaluate_absent(fields: Fields<'_>) -> Precondition {
    if has(fields, "If-Match") { Precondition::Failed } else { Precondition::Proceed }
}

/// [`evaluate`] for a request of which these fields were kept.
pub fn evaluate_fields(method: &str, fields: Fields<'_>, validators: Validators<'_>) -> Precondition {
    let reads = matches!(method, "GET" | "HEAD");
    if has(fields, "If-Match") {
        if !names_tag(fields, "If-Match", validators.etag, Comparison::Strong) {
            return Precondition::Failed;
        }
    } else if date(fields, "If-Unmodified-Since").is_some_and(|date| validators.modified > date) {
        return Precondition::Failed;
    }
    if has(fields, "If-None-Match") {
        return match names_tag(fields, "If-None-Match", validators.etag, Comparison::Weak) {
            false => Precondition::Proceed,
            true if reads => Precondition::NotModified,
            true => Precondition::Failed,
        };
    }
    if reads && date(fields, "If-Modified-Since").is_some_and(|date| validators.modified <= date) {
        return Precondition::NotModified;
    }
    Precondition::Proceed
}

/// The value of the request's Range field, if it is to be honoured: the method is GET, the field is there once, and
/// If-Range, if any, names this very representation (RFC 9110 §13.1.5, §14.2).
pub fn applicable_range<'b>(request: &RequestHead<'b>, validators: Validators<'_>) -> Option<&'b [u8]> {
    if request.method != "GET" {
        return None;
    }
    let range = only(request.fields, "Range")?;
    if has(request.fields, "If-Range")
        && !only(request.fields, "If-Range").is_some_and(|is| matches_exactly(is, validators))
    {
        return None;
    }
    Some(range)
}

/// Seconds since 1970 as IMF-fixdate, such as `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
/// Dates after the year 9999, which have no such form, become its last second.
pub fn imf_fixdate(seconds: u64) -> [u8; 29] {
    const LAST: u64 = 253_402_300_799;
    let date = httpdate::HttpDate::from(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.min(LAST)));
    let mut text = [0; 29];
    let mut room = &mut text[..];
    std::io::Write::write_fmt(&mut room, format_args!("{date}")).expect("an IMF-fixdate has 29 bytes");
    text
}

/// Reads a date in any of the three forms of RFC 9110 §5.6.7, as seconds since 1970. None if it is malformed or earlier.
pub fn parse_date(value: &[u8]) -> Option<u64> {
    let date = httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()?;
    date.duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

fn lines<'b>(fields: Fields<'b>, name: &'static str) -> impl Iterator<Item = &'b [u8]> {
    fields.0.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value.trim_ascii())
}

fn has(fields: Fields<'_>, name: &'static str) -> bool {
    lines(fields, name).next().is_some()
}

/// The field's value, if it is there exactly once.
fn only<'b>(fields: Fields<'b>, name: &'static str) -> Option<&'b [u8]> {
    let mut lines = lines(fields, name);
    lines.next().filter(|_| lines.next().is_none())
}

/// A date that cannot be read, or several: as if the field were not there (RFC 9110 §13.1.3, §13.1.4).
fn date(fields: Fields<'_>, name: &'static str) -> Option<u64> {
    parse_date(only(fields, name)?)
}

fn matches_exactly(value: &[u8], validators: Validators<'_>) -> bool {
    if value.starts_with(b"\"") {
        return value == validators.etag;
    }
    // A date counts only when the representation cannot have changed twice within its second (RFC 9110 §8.8.2.2).
    parse_date(value) == Some(validators.modified) && validators.modified < validators.now
}

/// Whether the field is `*` or a list with this tag in it. Everything after a malformed tag is ignored.
fn names_tag(fields: Fields<'_>, name: &'static str, etag: &[u8], comparison: Comparison) -> bool {
    if only(fields, name) == Some(b"*") {
        return true;
    }
    lines(fields, name).any(|list| {
        let mut rest = list;
        while let Some((weak, tag, after)) = next_tag(rest) {
            if tag == etag && (comparison == Comparison::Weak || !weak) {
                return true;
            }
            rest = after;
        }
        false
    })
}

/// Takes the first entity tag from a list: whether it is weak, the tag with its quotes, what comes after it.
fn next_tag(list: &[u8]) -> Option<(bool, &[u8], &[u8])> {
    let start = list.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b','))?;
    let list = &list[start..];
    let (weak, list) = list.strip_prefix(b"W/").map_or((false, list), |list| (true, list));
    let opaque = list.strip_prefix(b"\"")?;
    let length = opaque.iter().position(|byte| !matches!(byte, 0x21 | 0x23..=0x7e | 0x80..))?;
    if opaque[length] != b'"' {
        return None;
    }
    let (tag, rest) = list.split_at(length + 2);
    let ends = rest.trim_ascii_start();
    (ends.is_empty() || ends[0] == b',').then_some((weak, tag, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Field, Framing, Version};
    use Precondition::{Failed, NotModified, Proceed};

    /// Sun, 06 Nov 1994 08:49:37 GMT: the example date of RFC 9110 §5.6.7.
    const MODIFIED: u64 = 784_111_777;
    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const VALIDATORS: Validators<'static> = Validators { etag: b"\"xyzzy\"", modified: MODIFIED, now: MODIFIED + 3600 };

    fn with<T>(method: &str, fields: &[(&str, &str)], then: impl FnOnce(&RequestHead<'_>) -> T) -> T {
        let fields: Vec<Field<'_>> =
            fields.iter().map(|(name, value)| Field { name, value: value.as_bytes() }).collect();
        then(&RequestHead {
            method,
            target: "/",
            path_and_query: "/",
            host: "",
            version: Version::Http11,
            fields: Fields(&fields),
            framing: Framing::None,
            keep_alive: true,
            expects_continue: false,
            upgrade: None,
            raw: Default::default(),
        })
    }

    fn outcome(method: &str, fields: &[(&str, &str)]) -> Precondition {
        with(method, fields, |request| evaluate(request, VALIDATORS))
    }

    fn check(table: &[(&[(&str, &str)], Precondition)]) {
        for (fields, expected) in table {
            assert_eq!(outcome("GET", fields), *expected, "GET {fields:?}");
            assert_eq!(outcome("HEAD", fields), *expected, "HEAD {fields:?}");
        }
    }

    #[test]
    fn if_match_and_if_unmodified_since() {
        check(&[
            (&[], Proceed),
            (&[("If-Match", "\"xyzzy\"")], Proceed),
            (&[("if-match", "*")], Proceed),
            (&[("If-Match", "\"a\", \"xyzzy\" , \"b\"")], Proceed),
            (&[("If-Match", "\"a,b\"")], Failed),
            (&[("If-Match", "W/\"xyzzy\"")], Failed),
            (&[("If-Match", "xyzzy")], Failed),
            (&[("If-Match", "")], Failed),
            (&[("If-Match", "\"a\""), ("If-Match", "\"xyzzy\"")], Proceed),
            (&[("If-Match", "\"xyzzy\""), ("If-Unmodified-Since", EARLIER)], Proceed),
            (&[("If-Unmodified-Since", EARLIER)], Failed),
            (&[("If-Unmodified-Since", SAME)], Proceed),
            (&[("If-Unmodified-Since", LATER)], Proceed),
            (&[("If-Unmodified-Since", "yesterday")], Proceed),
        ]);
    }

    #[test]
    fn what_is_not_there_matches_no_tag() {
        let of = |fields: &[(&str, &str)]| with("PUT", fields, |request| evaluate_absent(request.fields));
        assert_eq!(of(&[]), Proceed);
        assert_eq!(of(&[("If-None-Match", "*")]), Proceed);
        assert_eq!(of(&[("If-Match", "*")]), Failed);
        assert_eq!(of(&[("If-Match", "\"xyzzy\"")]), Failed);
        assert_eq!(outcome("PUT", &[("If-None-Match", "*")]), Failed);
        assert_eq!(outcome("PUT", &[("If-Match", "\"xyzzy\"")]), Proceed);
    }

    #[test]
    fn if_none_match_and_if_modified_since() {
        check(&[
            (&[("If-None-Match", "\"xyzzy\"")], NotModified),
            (&[("If-None-Match", "W/\"xyzzy\"")], NotModified),
            (&[("If-None-Match", "*")], NotModified),
            (&[("If-None-Match", "\"other\",,W/\"a,b\",\"xyzzy\"")], NotModified),
            (&[("If-None-Match", "\"other\"")], Proceed),
            (&[("If-None-Match", "\"xyzzy")], Proceed),
            (&[("If-None-Match", "\"other\""), ("If-Modified-Since", LATER)], Proceed),
            (&[("If-None-Match", "\"xyzzy\""), ("If-Modified-Since", EARLIER)], NotModified),
            (&[("If-Modified-Since", EARLIER)], Proceed),
            (&[("If-Modified-Since", SAME)], NotModified),
            (&[("If-Modified-Since", LATER)], NotModified),
            (&[("If-Modified-Since", "Sunday, 06-Nov-94 08:49:37 GMT")], NotModified),
            (&[("If-Modified-Since", "Sun Nov  6 08:49:37 1994")], NotModified),
            (&[("If-Modified-Since", SAME), ("If-Modified-Since", SAME)], Proceed),
        ]);
        assert_eq!(outcome("PUT", &[("If-None-Match", "*")]), Failed);
        assert_eq!(outcome("PUT", &[("If-Modified-Since", LATER)]), Proceed);
    }

    #[test]
    fn conditions_in_the_order_of_the_standard() {
        check(&[
            (&[("If-Match", "\"xyzzy\""), ("If-None-Match", "\"xyzzy\"")], NotModified),
            (&[("If-Match", "\"other\""), ("If-None-Match", "\"xyzzy\"")], Failed),
            (&[("If-Unmodified-Since", EARLIER), ("If-Modified-Since", SAME)], Failed),
        ]);
    }

    #[test]
    fn a_range_counts_only_for_the_same_representation() {
        let range = |method: &str, fields: &[(&str, &str)], validators: Validators<'_>| {
            let fields: Vec<(&str, &str)> = [("Range", "bytes=0-1")].iter().chain(fields).copied().collect();
            with(method, &fields, |request| applicable_range(request, validators).is_some())
        };
        let fresh = Validators { now: MODIFIED, ..VALIDATORS };
        assert!(range("GET", &[], VALIDATORS));
        assert!(!range("HEAD", &[], VALIDATORS));
        assert!(!range("GET", &[("Range", "bytes=2-3")], VALIDATORS));
        assert!(range("GET", &[("If-Range", "\"xyzzy\"")], VALIDATORS));
        assert!(!range("GET", &[("If-Range", "W/\"xyzzy\"")], VALIDATORS));
        assert!(!range("GET", &[("If-Range", "\"other\"")], VALIDATORS));
        assert!(range("GET", &[("If-Range", SAME)], VALIDATORS));
        assert!(!range("GET", &[("If-Range", EARLIER)], VALIDATORS));
        assert!(!range("GET", &[("If-Range", LATER)], VALIDATORS));
        assert!(!range("GET", &[("If-Range", SAME)], fresh));
        assert!(!range("GET", &[("If-Range", "")], VALIDATORS));
    }

    #[test]
    fn dates_are_imf_fixdates() {
        assert_eq!(&imf_fixdate(MODIFIED), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(&imf_fixdate(0), b"Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(&imf_fixdate(u64::MAX), b"Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(parse_date(b"Sun, 06 Nov 1994 08:49:37 GMT"), Some(MODIFIED));
        assert_eq!(parse_date(b"Sun, 31 Feb 1994 08:49:37 GMT"), None);
        assert_eq!(parse_date(b"\xff"), None);
    }

    proptest::proptest! {
        #[test]
        fn noise_never_panics(value in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60)) {
            parse_date(&value);
            let mut rest = &value[..];
            while let Some((_, tag, after)) = next_tag(rest) {
                assert!(tag.len() >= 2 && after.len() < rest.len());
                rest = after;
            }
        }
    }
}
