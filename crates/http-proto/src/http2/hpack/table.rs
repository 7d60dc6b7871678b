//! The two tables of fields (RFC 7541 §2.3).

use std::collections::VecDeque;

use super::PackError;

/// What each entry takes besides its bytes (RFC 7541 §4.1).
pub(super) const ENTRY_BYTES: usize = 32;

/// RFC 7541, appendix A.
pub(super) static STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// The place of an answer's field name, in lower case, in the static table.
pub(super) fn static_name(name: &[u8]) -> Option<u8> {
    let place = match name {
        b"accept-ranges" => 18,
        b"access-control-allow-origin" => 20,
        b"age" => 21,
        b"allow" => 22,
        b"cache-control" => 24,
        b"content-disposition" => 25,
        b"content-encoding" => 26,
        b"content-language" => 27,
        b"content-length" => 28,
        b"content-location" => 29,
        b"content-range" => 30,
        b"content-type" => 31,
        b"date" => 33,
        b"etag" => 34,
        b"expires" => 36,
        b"last-modified" => 44,
        b"link" => 45,
        b"location" => 46,
        b"proxy-authenticate" => 48,
        b"refresh" => 52,
        b"retry-after" => 53,
        b"server" => 54,
        b"set-cookie" => 55,
        b"strict-transport-security" => 56,
        b"vary" => 59,
        b"via" => 60,
        b"www-authenticate" => 61,
        _ => return None,
    };
    Some(place)
}

/// The fields that a peer has had kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Dynamic {
    /// The youngest last; where each begins in `bytes`, and how long its name and its value are.
    entries: VecDeque<Entry>,
    bytes: Vec<u8>,
    size: usize,
    size_max: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: usize,
    name: usize,
    value: usize,
}

impl Entry {
    fn size(self) -> usize {
        self.name + self.value + ENTRY_BYTES
    }
}

/// The name of an entry that is made.
pub(super) enum Name<'a> {
    /// That of another entry, by its place: 0 is the youngest.
    Of(usize),
    Text(&'a [u8]),
}

impl Dynamic {
    pub(super) fn new(size_max: usize) -> Dynamic {
        Dynamic { size_max, ..Dynamic::default() }
    }

    /// The entry at a place, name and value; 0 is the youngest.
    pub(super) fn entry(&self, place: usize) -> Result<(&[u8], &[u8]), PackError> {
        let at = self.entries.len().checked_sub(place + 1).ok_or(PackError::Index)?;
        let Entry { start, name, value } = self.entries[at];
        Ok(self.bytes[start..start + name + value].split_at(name))
    }

    /// Enters a field; older ones make room for it (RFC 7541 §4.4).
    pub(super) fn insert(&mut self, name: Name<'_>, value: &[u8]) -> Result<(), PackError> {
        let name_bytes = match name {
            Name::Of(place) => self.entry(place)?.0.len(),
            Name::Text(text) => text.len(),
        };
        let start = self.bytes.len();
        match name {
            // The entry may be one of those that make room.
            Name::Of(place) => {
                let from = self.entries[self.entries.len() - 1 - place].start;
                self.bytes.extend_from_within(from..from + name_bytes);
            }
            Name::Text(text) => self.bytes.extend_from_slice(text),
        }
        self.bytes.extend_from_slice(value);
        let entry = Entry { start, name: name_bytes, value: value.len() };
        self.shrink(self.size_max.saturating_sub(entry.size()));
        if entry.size() <= self.size_max {
            self.size += entry.size();
            self.entries.push_back(entry);
        }
        self.tidy();
        Ok(())
    }

    /// Holds no more than this from now on.
    pub(super) fn resize(&mut self, size_max: usize) {
        self.size_max = size_max;
        self.shrink(size_max);
        self.tidy();
    }

    fn shrink(&mut self, size: usize) {
        while self.size > size
            && let Some(oldest) = self.entries.pop_front()
        {
            self.size -= oldest.size();
        }
    }

    /// Bytes of entries that have gone are let go when they are more than those of the others may be.
    fn tidy(&mut self) {
        let Some(oldest) = self.entries.front() else {
            self.bytes.clear();
            return;
        };
        let gone = oldest.start;
        if gone > self.size_max {
            self.bytes.drain(..gone);
            for entry in &mut self.entries {
                entry.start -= gone;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_answers_are_where_the_standard_has_them() {
        let mut known = 0;
        for (index, (name, _)) in STATIC.iter().enumerate() {
            if let Some(place) = static_name(name.as_bytes()) {
                assert_eq!(usize::from(place), index + 1, "{name}");
                known += 1;
            }
        }
        assert_eq!(known, 27);
        assert_eq!(static_name(b"x-other"), None);
    }

    #[test]
    fn old_entries_make_room() {
        let mut table = Dynamic::new(100);
        table.insert(Name::Text(b"a"), b"1").unwrap();
        table.insert(Name::Text(b"b"), b"2").unwrap();
        // 34 bytes each: the third does not fit beside both.
        table.insert(Name::Of(1), b"3").unwrap();
        assert_eq!(table.entry(0), Ok((&b"a"[..], &b"3"[..])));
        assert_eq!(table.entry(1), Ok((&b"b"[..], &b"2"[..])));
        assert_eq!(table.entry(2), Err(PackError::Index));
        // One that is larger than the table empties it.
        table.insert(Name::Text(b"c"), &[b'x'; 100]).unwrap();
        assert_eq!(table.entry(0), Err(PackError::Index));
        assert!(table.bytes.is_empty());
    }

    #[test]
    fn what_it_holds_does_not_grow() {
        let mut table = Dynamic::new(4096);
        for n in 0..100_000_u32 {
            table.insert(Name::Text(&n.to_be_bytes()), &[0; 60]).unwrap();
        }
        assert!(table.bytes.len() < 3 * 4096 && table.entries.len() == 4096 / 96, "{}", table.bytes.len());
        assert_eq!(table.entry(41).unwrap().0, 99_958_u32.to_be_bytes());
    }
}
