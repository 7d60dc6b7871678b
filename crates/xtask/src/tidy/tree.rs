use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;

use super::code::blanked;

/// Folders that hold nothing of ours.
const FOREIGN: [&str; 5] = ["target", ".git", "fuzz/target", "fuzz/corpus", "fuzz/artifacts"];

/// Texts longer than this are data.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// The repository's texts by their paths below its root.
#[derive(Debug, Default)]
pub struct Tree {
    files: BTreeMap<String, File>,
}

/// One text.
#[derive(Debug)]
pub(super) struct File {
    /// As it is.
    pub(super) text: String,
    /// For Rust sources: with comments and the insides of literals blanked, line for line; else empty.
    pub(super) code: String,
}

impl Tree {
    /// All texts below `root` but for what is built.
    ///
    /// # Errors
    /// If a folder or file cannot be read.
    pub fn read(root: &Path) -> anyhow::Result<Tree> {
        let mut tree = Tree::default();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let entries = std::fs::read_dir(root.join(&folder)).with_context(|| folder.clone())?;
            for entry in entries {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                if entry.file_type()?.is_dir() {
                    if !FOREIGN.contains(&path.as_str()) {
                        folders.push(path);
                    }
                } else if let Ok(bytes) = std::fs::read(root.join(&path))
                    && bytes.len() <= TEXT_BYTES_MAX
                    && let Ok(text) = String::from_utf8(bytes)
                {
                    tree.insert(&path, &text);
                }
            }
        }
        Ok(tree)
    }

    /// Adds a text.
    pub fn insert(&mut self, path: &str, text: &str) {
        let code = if path.ends_with(".rs") { blanked(text) } else { String::new() };
        self.files.insert(path.to_owned(), File { text: text.to_owned(), code });
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(|file| file.text.as_str())
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &File)> {
        self.files.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// The Rust sources below a folder (`""`: all).
    pub(super) fn sources<'t>(&'t self, folder: &'t str) -> impl Iterator<Item = (&'t str, &'t File)> {
        self.files().filter(move |(path, _)| path.starts_with(folder) && path.ends_with(".rs"))
    }
}
