//! SHA-256 of what is transferred, and how HTTP writes it (RFC 9530). Pure.

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use http_proto::{DigestAlgorithm, read_digests, write_digest};
use sha2::{Digest as _, Sha256};

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

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
        HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?.try_into().ok().map(Digest)
    }

    /// The value of a `Repr-Digest` with it.
    pub(crate) fn field(&self) -> String {
        write_digest(DigestAlgorithm::Sha256, &self.0)
    }

    /// The one in a `Repr-Digest`'s value; other algorithms beside it are passed over.
    pub(crate) fn of_field(value: &str) -> Option<Digest> {
        let mut digests = read_digests(value.as_bytes())?.into_iter().rev();
        let (_, value) = digests.find(|(algorithm, _)| *algorithm == DigestAlgorithm::Sha256)?;
        value.try_into().ok().map(Digest)
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
