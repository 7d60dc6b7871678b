//! Bytes of file names as text in URLs and in HTML.

/// Appends bytes percent-encoded, all but the unreserved (RFC 3986 §2.3).
pub(crate) fn encode_segment(bytes: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(byte);
        } else {
            out.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

/// The same, with slashes kept.
pub(crate) fn encode_path(path: &[u8], out: &mut Vec<u8>) {
    for (position, segment) in path.split(|&byte| byte == b'/').enumerate() {
        if position > 0 {
            out.push(b'/');
        }
        encode_segment(segment, out);
    }
}

/// Appends bytes as HTML text, also fit for a quoted attribute. What is not UTF-8 is shown as U+FFFD.
pub(crate) fn escape_html(bytes: &[u8], out: &mut Vec<u8>) {
    for character in String::from_utf8_lossy(bytes).chars() {
        match character {
            '&' => out.extend(b"&amp;"),
            '<' => out.extend(b"&lt;"),
            '>' => out.extend(b"&gt;"),
            '"' => out.extend(b"&quot;"),
            '\'' => out.extend(b"&#39;"),
            // Control and direction characters could make a name look like another.
            '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                out.extend("\u{fffd}".as_bytes());
            }
            character => out.extend(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_bytes_become_urls() {
        let mut out = Vec::new();
        encode_path(b"/a b/%2F\xff:?#~/", &mut out);
        assert_eq!(out, b"/a%20b/%252F%FF%3A%3F%23~/");
    }

    #[test]
    fn names_of_any_bytes_become_html() {
        let mut out = Vec::new();
        escape_html("<a href=\"x\">&'é\n\u{202e}".as_bytes(), &mut out);
        escape_html(b"\xff", &mut out);
        let expected = "&lt;a href=&quot;x&quot;&gt;&amp;&#39;é\u{fffd}\u{fffd}\u{fffd}";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
