use data_encoding::BASE64_NOPAD;

/// What base64 says (RFC 4648 §4), padded or not; `None`: it is none, or one that has another way to be written.
pub fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    if padding > 2 || (padding > 0 && !text.len().is_multiple_of(4)) {
        return None;
    }
    BASE64_NOPAD.decode(&text[..text.len() - padding]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648 §10, and §3.5: bits that no byte is made of are zero.
    #[test]
    fn it_is_the_standards_padded_or_not() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(from_base64(text.as_bytes()).as_deref(), Some(bytes.as_bytes()), "{text}");
            let bare = text.trim_end_matches('=');
            assert_eq!(from_base64(bare.as_bytes()).as_deref(), Some(bytes.as_bytes()), "{bare}");
        }
        let wrong = ["Zg=", "Z", "Z===", "====", "Zh==", "Zm9=", "Zm 8", "Zm8-", "=Zm8", "Zg=?", "Zg==Zg==", "Zg==\n"];
        for wrong in wrong {
            assert_eq!(from_base64(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
