//! The repository's own checks, `cargo xtask tidy`: a rule without a check is a wish.
//!
//! It changes nothing but its own ratchet, and only when asked to.

pub mod tidy;
