//! Checksums that requests bring, in their heads or trailers (RFC 9530).

use sha2::{Digest, Sha256, Sha512};

/// How a checksum is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Sha256,
    Sha512,
}

/// What a checksum is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The file as it is to be.
    Whole,
    /// One request's body.
    Body,
}

/// A checksum that a request says something has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) algorithm: Algorithm,
    pub(super) scope: Scope,
    pub(super) value: Vec<u8>,
}

/// The value of a checksum's field cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// A checksum in the making.
#[derive(Clone)]
pub(super) enum Hasher {
    Sha256(Box<Sha256>),
    Sha512(Box<Sha512>),
}

impl Algorithm {
    /// Its key in the fields of RFC 9530.
    pub(super) fn key(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "sha-256",
            Algorithm::Sha512 => "sha-512",
        }
    }

    fn bytes(self) -> usize {
        match self {
            Algorithm::Sha256 => 32,
            Algorithm::Sha512 => 64,
        }
    }
}

impl Hasher {
    pub(super) fn new(algorithm: Algorithm) -> Hasher {
        match algorithm {
            Algorithm::Sha256 => Hasher::Sha256(Box::default()),
            Algorithm::Sha512 => Hasher::Sha512(Box::default()),
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(hasher) => hasher.update(bytes),
            Hasher::Sha512(hasher) => hasher.update(bytes),
        }
    }

    pub(super) fn value(self) -> Vec<u8> {
        match self {
            Hasher::Sha256(hasher) => hasher.finalize().to_vec(),
            Hasher::Sha512(hasher) => hasher.finalize().to_vec(),
        }
    }
}

/// What fields say, those of other names passed over.
pub(super) fn claims<'f>(fields: impl Iterator<Item = (&'f str, &'f [u8])>) -> Result<Vec<Claim>, Malformed> {
    let mut claims = Vec::new();
    for (name, value) in fields {
        if name.eq_ignore_ascii_case("repr-digest") {
            dictionary(value, Scope::Whole, &mut claims).ok_or(Malformed("Repr-Digest"))?;
        } else if name.eq_ignore_ascii_case("content-digest") {
            dictionary(value, Scope::Body, &mut claims).ok_or(Malformed("Content-Digest"))?;
        } else if name.eq_ignore_ascii_case("x-checksum-sha256") {
            let value = from_hexadecimal(value).filter(|value| value.len() == 32);
            let value = value.ok_or(Malformed("X-Checksum-Sha256"))?;
            claims.push(Claim { algorithm: Algorithm::Sha256, scope: Scope::Whole, value });
        }
    }
    Ok(claims)
}

/// A dictionary of byte sequences (RFC 8941 §3.2, §3.3.5), of which only known keys matter.
fn dictionary(value: &[u8], scope: Scope, claims: &mut Vec<Claim>) -> Option<()> {
    for member in value.split(|&byte| byte == b',') {
        let member = member.trim_ascii();
        let equals = member.iter().position(|&byte| byte == b'=')?;
        let (key, value) = (&member[..equals], &member[equals + 1..]);
        let known = [Algorithm::Sha256, Algorithm::Sha512];
        let Some(algorithm) = known.into_iter().find(|algorithm| algorithm.key().as_bytes() == key) else {
            continue;
        };
        let value = from_base64(value.strip_prefix(b":")?.strip_suffix(b":")?)?;
        claims.push(Claim { algorithm, scope, value: Some(value).filter(|value| value.len() == algorithm.bytes())? });
    }
    Some(())
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Bytes as text (RFC 4648 §4).
pub(super) fn to_base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for place in 0..4 {
            let digit = BASE64[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place > group.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

/// Text as bytes; padded, and with nothing in the bits that the padding leaves over.
fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
    if padding > 2 {
        return None;
    }
    let digits = &text[..text.len() - padding];
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for group in digits.chunks(4) {
        let mut bits = 0u32;
        for place in 0..4 {
            let value = match group.get(place) {
                Some(digit) => BASE64.iter().position(|known| known == digit)? as u32,
                None => 0,
            };
            bits = bits << 6 | value;
        }
        let [_, three @ ..] = bits.to_be_bytes();
        let count = group.len() - 1;
        if three[count..].iter().any(|&byte| byte != 0) {
            return None;
        }
        bytes.extend_from_slice(&three[..count]);
    }
    Some(bytes)
}

fn from_hexadecimal(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    text.is_ascii().then_some(())?;
    text.chunks(2).map(|pair| Some((digit(pair[0])? << 4 | digit(*pair.get(1)?)?) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `echo -n 'hello world' | openssl dgst -sha256 -binary | base64`.
    const SHA256: &str = "uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=";

    fn of(name: &'static str, value: &str) -> Result<Vec<Claim>, Malformed> {
        claims([(name, value.as_bytes())].into_iter())
    }

    #[test]
    fn base64_as_the_standard_has_it() {
        // RFC 4648 §10.
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
            assert_eq!(from_base64(text.as_bytes()).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        for wrong in ["Zg", "Zg=", "Z===", "====", "Zh==", "Zm9=", "Zm 8", "Zm8-", "=Zm8"] {
            assert_eq!(from_base64(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn checksums_are_those_of_other_programs() {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(b"hello ");
        hasher.update(b"world");
        assert_eq!(to_base64(&hasher.value()), SHA256);
        // FIPS 180-2, appendix C.1.
        let mut hasher = Hasher::new(Algorithm::Sha512);
        hasher.update(b"abc");
        assert_eq!(hasher.value()[..8], [0xdd, 0xaf, 0x35, 0xa1, 0x93, 0x61, 0x7a, 0xba]);
    }

    #[test]
    fn fields_say_what_is_of_what() {
        let claim =
            |scope| Claim { algorithm: Algorithm::Sha256, scope, value: from_base64(SHA256.as_bytes()).unwrap() };
        assert_eq!(of("Repr-Digest", &format!("sha-256=:{SHA256}:")), Ok(vec![claim(Scope::Whole)]));
        let several = format!("unixsum=:AAAA:, sha-256=:{SHA256}: ,md5=?");
        assert_eq!(of("content-digest", &several), Ok(vec![claim(Scope::Body)]));
        let hexadecimal = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";
        assert_eq!(of("X-Checksum-SHA256", hexadecimal), Ok(vec![claim(Scope::Whole)]));
        assert_eq!(of("ETag", "x"), Ok(Vec::new()));
        for wrong in ["", "sha-256", "sha-256=", "sha-256=:AAAA:", "sha-256=uU0n", "sha-512=:AAAA:"] {
            assert_eq!(of("Repr-Digest", wrong), Err(Malformed("Repr-Digest")), "{wrong}");
        }
        for wrong in ["", "b9", &hexadecimal[1..], &hexadecimal.replace('b', "g")] {
            assert_eq!(of("X-Checksum-Sha256", wrong), Err(Malformed("X-Checksum-Sha256")), "{wrong}");
        }
    }
}
