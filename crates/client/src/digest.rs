//! SHA-256 of what is transferred, and how HTTP writes it (RFC 9530). Pure.

use sha2::{Digest as _, Sha256};

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

/// The alphabet of RFC 4648 §4.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The digest of bytes as they pass.
#[derive(Clone, Default)]
pub(crate) struct Hasher {
    state: Sha256,
    /// How many have passed.
    pub(crate) at: u64,
}

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.state.update(bytes);
        self.at += bytes.len() as u64;
    }

    /// The digest of all so far.
    pub(crate) fn digest(&self) -> Digest {
        Digest(self.state.clone().finalize().into())
    }
}

impl Digest {
    /// From 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Digest> {
        let mut bytes = [0; 32];
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Digest(bytes))
    }

    /// The value of a `Repr-Digest` with it.
    pub(crate) fn field(&self) -> String {
        format!("sha-256=:{}:", to_base64(&self.0))
    }

    /// The one in a `Repr-Digest`'s value; other algorithms beside it are passed over.
    pub(crate) fn of_field(value: &str) -> Option<Digest> {
        let member = value.split(',').find_map(|member| member.trim().strip_prefix("sha-256="))?;
        let text = member.strip_prefix(':')?.split(':').next()?;
        from_base64(text)?.try_into().ok().map(Digest)
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, formatter)
    }
}

fn to_base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let number = group.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let letter = ALPHABET[(number >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= group.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let letters = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::new();
    for group in letters.chunks(4) {
        let mut number = 0;
        for letter in group {
            number = number << 6 | ALPHABET.iter().position(|known| known == letter)?;
        }
        number <<= 6 * (4 - group.len());
        let whole = [(number >> 16) as u8, (number >> 8) as u8, number as u8];
        bytes.extend_from_slice(&whole[..(group.len() * 6 / 8)]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648 §10.
    #[test]
    fn base64_is_the_standards() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(to_base64(bytes.as_bytes()), text);
            assert_eq!(from_base64(text).as_deref(), Some(bytes.as_bytes()));
        }
        assert_eq!(from_base64("Zg=?"), None);
    }

    /// RFC 9530 Appendix B.1: the digest of `{"hello": "world"}` and a line's end.
    #[test]
    fn a_field_is_as_in_the_standard() {
        let mut hasher = Hasher::default();
        hasher.update(b"{\"hello\": ");
        hasher.update(b"\"world\"}\n");
        assert_eq!(hasher.at, 19);
        let field = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
        assert_eq!(hasher.digest().field(), field);
        let hex = "44aff4ab2d7c3250525675a08f0cfa9591168cffe51791c5f5bbc417c15a6c38";
        assert_eq!(hasher.digest().to_string(), hex);
        assert_eq!(Digest::from_hex(hex), Some(hasher.digest()));
        assert_eq!(Digest::of_field(&format!("sha-512=:AAAA:, {field}")), Some(hasher.digest()));
        for wrong in ["", "sha-256=RK", "sha-256=:AAAA:", "sha-512=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"] {
            assert_eq!(Digest::of_field(wrong), None, "{wrong}");
        }
        assert_eq!(Digest::from_hex("44af"), None);
    }
}
