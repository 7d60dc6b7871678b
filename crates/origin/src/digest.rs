//! Checksums that requests bring, in their heads or trailers, and answers tell (RFC 9530).

use data_encoding::HEXLOWER_PERMISSIVE;
pub(crate) use http_proto::DigestAlgorithm as Algorithm;
use http_proto::{read_digests, write_digest};
use sha2::{Digest, Sha256, Sha512};

/// What a checksum is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The file as it is to be.
    Whole,
    /// One request's body.
    Body,
}

/// A checksum that a request says something has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) algorithm: Algorithm,
    pub(crate) scope: Scope,
    pub(crate) value: Vec<u8>,
}

/// A SHA-256.
pub(crate) type Sha256Value = [u8; 32];

/// The value of a checksum's field cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// A checksum in the making.
#[derive(Clone)]
pub(crate) enum Hasher {
    Sha256(Box<Sha256>),
    Sha512(Box<Sha512>),
}

impl Hasher {
    pub(crate) fn new(algorithm: Algorithm) -> Hasher {
        match algorithm {
            Algorithm::Sha256 => Hasher::Sha256(Box::default()),
            Algorithm::Sha512 => Hasher::Sha512(Box::default()),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(hasher) => hasher.update(bytes),
            Hasher::Sha512(hasher) => hasher.update(bytes),
        }
    }

    pub(crate) fn value(self) -> Vec<u8> {
        match self {
            Hasher::Sha256(hasher) => hasher.finalize().to_vec(),
            Hasher::Sha512(hasher) => hasher.finalize().to_vec(),
        }
    }
}

/// What fields say, those of other names passed over.
pub(crate) fn claims<'f>(fields: impl Iterator<Item = (&'f str, &'f [u8])>) -> Result<Vec<Claim>, Malformed> {
    let mut claims = Vec::new();
    for (name, value) in fields {
        if name.eq_ignore_ascii_case("repr-digest") {
            claims.extend(said(value, Scope::Whole).ok_or(Malformed("Repr-Digest"))?);
        } else if name.eq_ignore_ascii_case("content-digest") {
            claims.extend(said(value, Scope::Body).ok_or(Malformed("Content-Digest"))?);
        } else if name.eq_ignore_ascii_case("x-checksum-sha256") {
            let value = HEXLOWER_PERMISSIVE.decode(value).ok().filter(|value| value.len() == 32);
            let value = value.ok_or(Malformed("X-Checksum-Sha256"))?;
            claims.push(Claim { algorithm: Algorithm::Sha256, scope: Scope::Whole, value });
        }
    }
    Ok(claims)
}

/// Checksums, each as long as its algorithm makes it.
fn said(value: &[u8], scope: Scope) -> Option<Vec<Claim>> {
    let claim = |(algorithm, value): (Algorithm, Vec<u8>)| {
        (value.len() == algorithm.bytes()).then_some(Claim { algorithm, scope, value })
    };
    read_digests(value)?.into_iter().map(claim).collect()
}

/// The value of a field that tells what SHA-256 the whole has.
pub(crate) fn sha256_field(value: &Sha256Value) -> String {
    write_digest(Algorithm::Sha256, value)
}

/// From 64 hexadecimal digits.
pub(crate) fn sha256_of_text(text: &[u8]) -> Option<Sha256Value> {
    HEXLOWER_PERMISSIVE.decode(text).ok()?.try_into().ok()
}

/// What `sha256sum` has written of one file: the digits, then nothing, or a space and the file's name.
pub(crate) fn sha256_of_sum(line: &[u8]) -> Option<Sha256Value> {
    let (digits, rest) = line.split_at_checked(64)?;
    let is_end = rest.first().is_none_or(u8::is_ascii_whitespace);
    sha256_of_text(digits).filter(|_| is_end)
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;

    use super::*;

    /// `echo -n 'hello world' | openssl dgst -sha256 -binary | base64`.
    const SHA256: &str = "uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=";

    fn of(name: &'static str, value: &str) -> Result<Vec<Claim>, Malformed> {
        claims([(name, value.as_bytes())].into_iter())
    }

    #[test]
    fn checksums_are_those_of_other_programs() {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(b"hello ");
        hasher.update(b"world");
        assert_eq!(BASE64.encode(&hasher.value()), SHA256);
        // FIPS 180-2, appendix C.1.
        let mut hasher = Hasher::new(Algorithm::Sha512);
        hasher.update(b"abc");
        assert_eq!(hasher.value()[..8], [0xdd, 0xaf, 0x35, 0xa1, 0x93, 0x61, 0x7a, 0xba]);
    }

    #[test]
    fn fields_say_what_is_of_what() {
        let claim =
            |scope| Claim { algorithm: Algorithm::Sha256, scope, value: BASE64.decode(SHA256.as_bytes()).unwrap() };
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

    #[test]
    fn a_sum_is_what_sha256sum_writes() {
        // `printf 'hello world' | sha256sum`, and the same of a file `a`.
        let digits = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";
        let value = sha256_of_text(digits.as_bytes()).unwrap();
        assert_eq!(sha256_field(&value), format!("sha-256=:{SHA256}:"));
        for line in [digits.to_owned(), format!("{digits}\n"), format!("{digits}  a\n"), digits.to_uppercase()] {
            assert_eq!(sha256_of_sum(line.as_bytes()), Some(value), "{line}");
        }
        for wrong in
            ["", &digits[1..], &format!("{digits}0"), &digits.replace('b', "g"), &format!("SHA256 (a) = {digits}")]
        {
            assert_eq!(sha256_of_sum(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
