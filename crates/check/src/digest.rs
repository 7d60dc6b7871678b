//! Digests of bodies, as they come.

use md5::{Digest as _, Md5};
use sha2::Sha256;

use crate::config::PageDigest;

/// The longest body that a digest is made of: a page that says whether a server is well is small, and one without end
/// would be read at every probe until its time is over.
pub(crate) const DIGEST_MAX: u64 = 16 << 20;

/// Both digests of a page's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digests {
    /// MD5, as keepalived's genhash prints it.
    pub md5: [u8; 16],
    /// SHA-256.
    pub sha256: [u8; 32],
    /// How many bytes the body has.
    pub length: u64,
}

/// The digests of what has come so far.
#[derive(Clone, Default)]
pub(crate) struct Hasher {
    md5: Option<Md5>,
    sha256: Option<Sha256>,
    /// How many bytes have come, of which only [`DIGEST_MAX`] count.
    pub(crate) length: u64,
}

impl Hasher {
    /// For both.
    pub(crate) fn of_both() -> Hasher {
        Hasher { md5: Some(Md5::new()), sha256: Some(Sha256::new()), length: 0 }
    }

    /// For the one that is to be compared.
    pub(crate) fn of(wanted: &PageDigest) -> Hasher {
        match wanted {
            PageDigest::Md5(_) => Hasher { md5: Some(Md5::new()), ..Hasher::default() },
            PageDigest::Sha256(_) => Hasher { sha256: Some(Sha256::new()), ..Hasher::default() },
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        if self.is_full() {
            return;
        }
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
    }

    /// Whether more has come than a digest is made of.
    pub(crate) fn is_full(&self) -> bool {
        self.length > DIGEST_MAX
    }

    /// Whether what has come has this digest.
    pub(crate) fn is(self, wanted: &PageDigest) -> bool {
        let Digests { md5, sha256, .. } = self.digests();
        match wanted {
            PageDigest::Md5(wanted) => *wanted == md5,
            PageDigest::Sha256(wanted) => *wanted == sha256,
        }
    }

    /// The digests; of one that was not asked for, zeros.
    pub(crate) fn digests(self) -> Digests {
        Digests {
            md5: self.md5.map_or([0; 16], |md5| md5.finalize().into()),
            sha256: self.sha256.map_or([0; 32], |sha256| sha256.finalize().into()),
            length: self.length,
        }
    }
}
