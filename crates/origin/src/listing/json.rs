use crate::listing::{ENTRIES_MAX, Listing};
use crate::url;
use http_proto::imf_fixdate;
use std::io::Write;

/// Appends a listing as a JSON object. `path` is the folder's, as the client asked for it.
///
/// `href` reaches an entry even when its name is not UTF-8 and `name` therefore only resembles it.
pub(crate) fn write(listing: &Listing, path: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"path\":");
    string(path, out);
    let limit = ENTRIES_MAX;
    write!(out, ",\"truncated\":{},\"limit\":{limit},\"entries\":[", listing.cut).expect("a Vec takes every byte");
    for (position, entry) in listing.entries.iter().enumerate() {
        out.extend_from_slice(if position == 0 { b"\n{\"name\":" } else { b",\n{\"name\":" });
        string(&entry.name, out);
        out.extend_from_slice(b",\"href\":\"");
        url::encode_segment(&entry.name, out);
        if entry.is_folder {
            out.extend_from_slice(b"/\",\"type\":\"directory\",\"modified\":\"");
        } else {
            write!(out, "\",\"type\":\"file\",\"size\":{},\"modified\":\"", entry.size)
                .expect("a Vec takes every byte");
        }
        out.extend_from_slice(&rfc3339(entry.modified));
        out.extend_from_slice(b"\"}");
    }
    out.extend_from_slice(b"\n]}\n");
}

/// Appends bytes as a JSON string. What is not UTF-8 becomes U+FFFD.
pub(crate) fn string(bytes: &[u8], out: &mut Vec<u8>) {
    serde_json::to_writer(out, &String::from_utf8_lossy(bytes)).expect("a string is always JSON");
}

/// Seconds since 1970 as `1994-11-06T08:49:37Z`.
pub(crate) fn rfc3339(seconds: u64) -> [u8; 20] {
    const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let http = imf_fixdate(seconds);
    let month = 1 + MONTHS.chunks(3).position(|month| month == &http[8..11]).expect("the twelve months") as u8;
    let mut text = *b"0000-00-00T00:00:00Z";
    text[..4].copy_from_slice(&http[12..16]);
    text[5..7].copy_from_slice(&[b'0' + month / 10, b'0' + month % 10]);
    text[8..10].copy_from_slice(&http[5..7]);
    text[11..19].copy_from_slice(&http[17..25]);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_as_rfc_3339() {
        assert_eq!(&rfc3339(784_111_777), b"1994-11-06T08:49:37Z");
        assert_eq!(&rfc3339(0), b"1970-01-01T00:00:00Z");
        assert_eq!(&rfc3339(u64::MAX), b"9999-12-31T23:59:59Z");
    }
}
