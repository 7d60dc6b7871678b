use data_encoding::BASE64;

use crate::base64::from_base64;

/// How a digest is made (RFC 9530 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestAlgorithm {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl DigestAlgorithm {
    const ALL: [DigestAlgorithm; 2] = [DigestAlgorithm::Sha256, DigestAlgorithm::Sha512];

    /// Its key in fields.
    pub fn key(self) -> &'static str {
        match self {
            DigestAlgorithm::Sha256 => "sha-256",
            DigestAlgorithm::Sha512 => "sha-512",
        }
    }

    /// How long its digests are.
    pub fn bytes(self) -> usize {
        match self {
            DigestAlgorithm::Sha256 => 32,
            DigestAlgorithm::Sha512 => 64,
        }
    }
}

/// What a `Repr-Digest` or a `Content-Digest` says (RFC 9530 §2, §3), in its order and of any length; other algorithms
/// are passed over. `None`: the value is no dictionary of byte sequences (RFC 8941 §3.2, §3.3.5).
pub fn read_digests(value: &[u8]) -> Option<Vec<(DigestAlgorithm, Vec<u8>)>> {
    let mut digests = Vec::new();
    for member in value.split(|&byte| byte == b',') {
        let member = member.trim_ascii();
        let equals = member.iter().position(|&byte| byte == b'=')?;
        let (key, item) = (&member[..equals], &member[equals + 1..]);
        let known = DigestAlgorithm::ALL.into_iter().find(|algorithm| algorithm.key().as_bytes() == key);
        let Some(algorithm) = known else { continue };
        let text = item.strip_prefix(b":")?.strip_suffix(b":")?;
        // RFC 8941 §4.2.7: padding that is missing is no reason to fail.
        digests.push((algorithm, from_base64(text)?));
    }
    Some(digests)
}

/// The value of a field that says one digest.
pub fn write_digest(algorithm: DigestAlgorithm, digest: &[u8]) -> String {
    format!("{}=:{}:", algorithm.key(), BASE64.encode(digest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 9530 Appendix B.1: of `{"hello": "world"}` and a line's end.
    const FIELD: &str = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
    const BYTES: [u8; 32] = [
        0x44, 0xaf, 0xf4, 0xab, 0x2d, 0x7c, 0x32, 0x50, 0x52, 0x56, 0x75, 0xa0, 0x8f, 0x0c, 0xfa, 0x95, 0x91, 0x16,
        0x8c, 0xff, 0xe5, 0x17, 0x91, 0xc5, 0xf5, 0xbb, 0xc4, 0x17, 0xc1, 0x5a, 0x6c, 0x38,
    ];

    #[test]
    fn a_field_is_as_in_the_standard() {
        let said = |text: &str| read_digests(text.as_bytes());
        let one = Some(vec![(DigestAlgorithm::Sha256, BYTES.to_vec())]);
        assert_eq!(write_digest(DigestAlgorithm::Sha256, &BYTES), FIELD);
        assert_eq!(said(FIELD), one);
        assert_eq!(said(&format!("{}:", FIELD.trim_end_matches("=:"))), one, "without padding");
        assert_eq!(said(&format!("unixsum=:AAAA:, {FIELD} ,md5=?")), one);
        assert_eq!(said("md5=:AAAA:"), Some(Vec::new()));
        let both = said(&format!("sha-512=:AAAA:,{FIELD}"));
        let short = (DigestAlgorithm::Sha512, vec![0; 3]);
        assert_eq!(both, Some(vec![short, (DigestAlgorithm::Sha256, BYTES.to_vec())]));
        for wrong in ["", "sha-256", "sha-256=", "sha-256=uU0n", "sha-256=RK", "sha-256=:AAA=A:", "sha-512=:AAAA:,"] {
            assert_eq!(said(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(value: Vec<u8>) {
            let value = [b"sha-256=:", &value[..], b":"].concat();
            prop_assert!(read_digests(&value).is_none_or(|digests| digests.len() <= value.len() / 8));
        }
    }
}
