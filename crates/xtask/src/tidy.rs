//! What the repository promises about itself, each promise as a function from its files to a list of problems.
//!
//! The rules know a [`Tree`] of texts and a [`Workspace`] of crates, never the disk, so that a test can break each
//! of them with a few lines.

mod code;
mod crates;
mod documents;
mod fuzz;
mod purity;
mod size;
mod tree;
mod words;

use std::fmt;
use std::path::Path;

use anyhow::Context;

pub use crates::{Crate, Row, Workspace};
pub use tree::Tree;

/// One thing to mend.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Below the repository's root.
    pub path: String,
    /// Counted from one; zero: the whole file.
    pub line: usize,
    /// What is wrong, and what to do instead.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(formatter, "{}: {}", self.path, self.text),
            line => write!(formatter, "{}:{line}: {}", self.path, self.text),
        }
    }
}

/// Everything wrong with the repository at `root`, in the order of its files.
///
/// # Errors
/// If a file cannot be read or `cargo metadata` cannot be run; never for a problem found.
pub fn check(root: &Path) -> anyhow::Result<Vec<Problem>> {
    let tree = Tree::read(root)?;
    let workspace = Workspace::read(root)?;
    Ok(problems(&tree, &workspace))
}

/// Lowers the ratchet's numbers to what the functions and files named in it have shrunk to, and drops what needs none.
///
/// # Errors
/// If a file cannot be read, or the ratchet not be written.
pub fn lower_ratchet(root: &Path) -> anyhow::Result<()> {
    let tree = Tree::read(root)?;
    let text = size::lowered(&tree);
    std::fs::write(root.join(size::RATCHET), text).with_context(|| size::RATCHET.to_owned())
}

/// What every rule has to say, sorted.
fn problems(tree: &Tree, workspace: &Workspace) -> Vec<Problem> {
    let mut found = Vec::new();
    crates::rules(tree, workspace, &mut found);
    purity::rules(tree, workspace, &mut found);
    size::rules(tree, &mut found);
    words::rules(tree, &mut found);
    fuzz::rules(tree, workspace, &mut found);
    documents::rules(tree, workspace, &mut found);
    found.sort();
    found
}

/// Adds a problem at a line of a file.
fn complain(found: &mut Vec<Problem>, path: &str, line: usize, text: impl Into<String>) {
    found.push(Problem { path: path.to_owned(), line, text: text.into() });
}

#[cfg(test)]
mod tests;
