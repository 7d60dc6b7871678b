//! Ranges lie within the representation, do not touch each other, and are few.

use http_proto::{RANGES_MAX, Ranges, resolve_ranges};

use crate::split_number;

/// Eight bytes, the least first, are the representation's length; the rest is the field's value.
pub fn range(bytes: &[u8]) {
    let (length, set) = split_number(bytes);
    for value in [set.to_vec(), [b"bytes=", set].concat()] {
        let Ranges::Parts(mut parts) = resolve_ranges(&value, length) else { continue };
        assert!(!parts.is_empty() && parts.len() <= RANGES_MAX);
        parts.sort_by_key(|part| part.start);
        assert!(parts.iter().all(|part| part.length > 0 && part.last() < length));
        assert!(parts.windows(2).all(|pair| pair[0].last() + 1 < pair[1].start));
    }
}
