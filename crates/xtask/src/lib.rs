//! The repository's own checks, `cargo xtask tidy`: a rule without a check is a wish. And the corpora of the fuzz
//! targets, `cargo xtask corpus`.
//!
//! It changes nothing but its own ratchet and the texts of the corpora, and only when asked to.

pub mod corpus;
pub mod tidy;
