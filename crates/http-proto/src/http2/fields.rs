//! Field lines of heads and trailers that this program has written itself, on their way into HTTP/2.

/// One line: its name as it was written, its value without surrounding white space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'b> {
    /// The name.
    pub name: &'b [u8],
    /// The value.
    pub value: &'b [u8],
}

/// The first line of a head and its field lines, if the head is whole at the beginning of `bytes`; and how many bytes
/// it takes.
pub fn split_head(bytes: &[u8]) -> Option<(&[u8], &[u8], usize)> {
    let end = memchr::memmem::find(bytes, b"\r\n\r\n")?;
    let first = memchr::memchr(b'\r', &bytes[..end]).unwrap_or(end);
    let fields = bytes.get(first + 2..end + 2).unwrap_or_default();
    Some((&bytes[..first], fields, end + 4))
}

/// The field lines in `bytes`; what is none is passed over.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        loop {
            let end = memchr::memchr(b'\n', rest)?;
            let line = &rest[..end];
            rest = &rest[end + 1..];
            if let Some(colon) = memchr::memchr(b':', line) {
                return Some(Line { name: &line[..colon], value: line[colon + 1..].trim_ascii() });
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_taken_apart() {
        let bytes = b"HTTP/1.1 200 OK\r\nA: b\r\nLong:  c: d \r\n\r\nbody";
        let (first, fields, taken) = split_head(bytes).unwrap();
        assert_eq!((first, taken), (&b"HTTP/1.1 200 OK"[..], bytes.len() - 4));
        let all: Vec<Line<'_>> = lines(fields).collect();
        assert_eq!(all, [Line { name: b"A", value: b"b" }, Line { name: b"Long", value: b"c: d" }]);
        let (first, fields, taken) = split_head(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        assert_eq!((first, fields, taken), (&b"HTTP/1.1 204 No Content"[..], &b""[..], 27));
        assert_eq!(split_head(b"HTTP/1.1 200 OK\r\nA: b\r\n"), None);
    }
}
