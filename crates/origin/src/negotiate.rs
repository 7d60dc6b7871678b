//! What a client says that it wants: codings, kinds of listing, and firmware that wants none of it.

use http_proto::Fields;

/// Codings that a file may lie in beside itself, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Zstd,
    Brotli,
    Gzip,
}

impl Coding {
    const ALL: [Coding; 3] = [Coding::Zstd, Coding::Brotli, Coding::Gzip];

    /// Its name in Content-Encoding.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Coding::Zstd => "zstd",
            Coding::Brotli => "br",
            Coding::Gzip => "gzip",
        }
    }

    /// What the sibling's name ends in.
    pub(crate) fn ending(self) -> &'static str {
        match self {
            Coding::Zstd => ".zst",
            Coding::Brotli => ".br",
            Coding::Gzip => ".gz",
        }
    }
}

/// The codings that Accept-Encoding prefers to none at all, the most wanted first (RFC 9110 §12.5.3).
pub(crate) fn codings(fields: Fields<'_>) -> impl Iterator<Item = Coding> {
    let mut wanted = Coding::ALL.map(|coding| (quality(fields, coding.name()), coding));
    // Identity is always acceptable, and when nothing is said about it, less welcome than what is named.
    let identity = stated_quality(fields, "identity").unwrap_or(0);
    wanted.sort_by_key(|(quality, _)| std::cmp::Reverse(*quality));
    wanted.into_iter().filter(move |(quality, _)| *quality > 0 && *quality >= identity).map(|(_, coding)| coding)
}

/// Whether the client asks for a listing as JSON: by `?format=json`, or by an Accept field that names it and not HTML.
pub(crate) fn wants_json(fields: Fields<'_>, query: Option<&str>) -> bool {
    match parameter(query, "format") {
        Some(format) => format == "json",
        None => {
            let accepts =
                |media: &str| elements(fields, "Accept").any(|(name, quality)| quality > 0 && is(name, media));
            accepts("application/json") && !accepts("text/html")
        }
    }
}

/// Whether the client takes bytes of no particular kind, `application/octet-stream` (RFC 9110 §12.5.1).
pub(crate) fn takes_bytes(fields: Fields<'_>) -> bool {
    let weight = |kind| elements(fields, "Accept").find(|(name, _)| is(name, kind)).map(|(_, quality)| quality);
    let says_nothing = elements(fields, "Accept").next().is_none();
    // What is most specific decides.
    let stated = ["application/octet-stream", "application/*", "*/*"].into_iter().find_map(weight);
    says_nothing || stated.is_some_and(|quality| quality > 0)
}

/// Whether the client asks for a SHA-256 of the whole: `sha-256` with a preference from 1 to 10 (RFC 9530 §4).
pub(crate) fn wants_sha256(fields: Fields<'_>) -> bool {
    let members = lines(fields, "Want-Repr-Digest").flat_map(|line| line.split(|&byte| byte == b','));
    let mut preferences = members.filter_map(|member| member.trim_ascii().strip_prefix(b"sha-256="));
    preferences.any(|preference| matches!(preference, [b'1'..=b'9'] | b"10"))
}

/// A parameter of the query, as it is written.
pub(crate) fn parameter<'q>(query: Option<&'q str>, name: &str) -> Option<&'q str> {
    query?.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// Whether boot firmware asks: it follows no redirect, and knows no coding.
pub(crate) fn is_firmware(fields: Fields<'_>) -> bool {
    const FIRMWARE: [&[u8]; 5] = [b"iPXE/", b"GRUB ", b"UefiHttpBoot", b"U-Boot", b"shim"];
    lines(fields, "User-Agent").any(|agent| FIRMWARE.iter().any(|name| agent.starts_with(name)))
}

fn quality(fields: Fields<'_>, coding: &str) -> u16 {
    stated_quality(fields, coding).or_else(|| stated_quality(fields, "*")).unwrap_or(0)
}

fn stated_quality(fields: Fields<'_>, coding: &str) -> Option<u16> {
    let alias = if coding == "gzip" { "x-gzip" } else { coding };
    elements(fields, "Accept-Encoding")
        .find(|(name, _)| is(name, coding) || is(name, alias))
        .map(|(_, quality)| quality)
}

fn is(name: &[u8], word: &str) -> bool {
    name.eq_ignore_ascii_case(word.as_bytes())
}

/// The elements of a list field and their weights in thousandths; a weight that cannot be read is zero.
fn elements<'b>(fields: Fields<'b>, name: &'static str) -> impl Iterator<Item = (&'b [u8], u16)> {
    lines(fields, name).flat_map(|line| line.split(|&byte| byte == b',')).filter_map(|element| {
        let mut parts = element.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().filter(|name| !name.is_empty())?;
        let weight = parts.find_map(|part| part.strip_prefix(b"q=").or_else(|| part.strip_prefix(b"Q=")));
        Some((name, weight.map_or(1000, thousandths)))
    })
}

/// A weight of RFC 9110 §12.4.2: `0`, `0.25`, `1.000`.
fn thousandths(weight: &[u8]) -> u16 {
    let (whole, fraction) = match weight {
        [whole, b'.', fraction @ ..] if fraction.len() <= 3 => (whole, fraction),
        [whole] => (whole, &[][..]),
        _ => return 0,
    };
    if !fraction.iter().all(u8::is_ascii_digit) {
        return 0;
    }
    match whole {
        b'0' => (0..3).fold(0, |sum, at| 10 * sum + fraction.get(at).map_or(0, |digit| u16::from(digit - b'0'))),
        b'1' if fraction.iter().all(|&digit| digit == b'0') => 1000,
        _ => 0,
    }
}

fn lines<'b>(fields: Fields<'b>, name: &'static str) -> impl Iterator<Item = &'b [u8]> {
    fields.0.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_proto::Field;

    fn accepted(value: &[u8]) -> Vec<&'static str> {
        codings(Fields(&[Field { name: "accept-encoding", value }])).map(Coding::name).collect()
    }

    #[test]
    fn codings_by_the_standard() {
        for (value, expected) in [
            ("", &[][..]),
            ("gzip", &["gzip"]),
            ("gzip, deflate, br, zstd", &["zstd", "br", "gzip"]),
            ("GZIP;q=1.0, br;Q=0.5", &["gzip", "br"]),
            ("gzip;q=0", &[]),
            ("gzip ; q=0.000, *", &["zstd", "br"]),
            ("*;q=0", &[]),
            ("x-gzip", &["gzip"]),
            ("identity, gzip;q=0.5", &[]),
            ("identity;q=0.5, gzip;q=0.5", &["gzip"]),
            ("identity;q=0", &[]),
            ("gzip;q=0.001, br;q=2, zstd;q=x", &["gzip"]),
        ] {
            assert_eq!(accepted(value.as_bytes()), expected, "{value}");
        }
        assert!(codings(Fields(&[])).next().is_none());
    }

    #[test]
    fn json_is_asked_for() {
        let accept = |value: &'static [u8]| wants_json(Fields(&[Field { name: "Accept", value }]), None);
        assert!(accept(b"application/json"));
        assert!(accept(b"application/json;q=0.9, */*;q=0.1"));
        assert!(!accept(b"text/html, application/json"));
        assert!(!accept(b"application/json;q=0"));
        assert!(!accept(b"*/*"));
        assert!(wants_json(Fields(&[]), Some("sort=size&format=json")));
        assert!(!wants_json(Fields(&[]), Some("format=html")));
    }

    #[test]
    fn bytes_of_no_kind_are_taken() {
        let accept = |value: &'static [u8]| takes_bytes(Fields(&[Field { name: "Accept", value }]));
        assert!(takes_bytes(Fields(&[])));
        assert!(accept(b"application/octet-stream"));
        assert!(accept(b"text/html, application/*;q=0.1"));
        assert!(accept(b"text/html;q=0.9, */*"));
        assert!(!accept(b"text/html"));
        assert!(!accept(b"text/html, */*;q=0"));
        assert!(!accept(b"*/*, application/octet-stream;q=0"));
    }

    #[test]
    fn a_digest_is_wanted() {
        let want = |value: &'static [u8]| wants_sha256(Fields(&[Field { name: "want-repr-digest", value }]));
        // RFC 9530 §4: preferences from 0, which is not acceptable, to 10.
        assert!(want(b"sha-256=1") && want(b"sha-512=3, sha-256=10, unixsum=0"));
        assert!(!want(b"sha-256=0") && !want(b"sha-512=10") && !want(b"sha-256") && !want(b"sha-256=11"));
        assert!(!wants_sha256(Fields(&[])));
    }

    #[test]
    fn firmware_is_known_by_its_name() {
        let agent = |value: &'static [u8]| is_firmware(Fields(&[Field { name: "User-Agent", value }]));
        assert!(agent(b"iPXE/1.21.1+git"));
        assert!(agent(b"GRUB 2.06"));
        assert!(agent(b"UefiHttpBoot/1.0"));
        assert!(!agent(b"curl/8.5.0"));
    }

    proptest::proptest! {
        #[test]
        fn noise_never_panics(value in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80)) {
            accepted(&value);
        }

        #[test]
        fn likely_lists_never_panic(value in "((gzip|br|zstd|\\*|identity)?(;q=[01]?\\.?[0-9]{0,4})?,? ?){0,8}") {
            accepted(value.as_bytes());
        }
    }
}
