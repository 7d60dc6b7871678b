use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{fs, io};

use thiserror::Error;

/// The largest file that is read, in bytes: a hundred thousand servers fit, a disk image named by mistake does not.
const FILE_MAX: u64 = 64 << 20;

/// The text of a configuration: one file, or those of a folder, in the order of their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    files: Vec<SourceFile>,
    base: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct SourceFile {
    name: String,
    text: String,
}

/// Why a configuration could not be read at all.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The file or folder could not be read.
    #[error("cannot read {path}")]
    Io {
        /// What was to be read.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not UTF-8, as TOML must be.
    #[error("{path} is no text: its byte {offset} is not UTF-8")]
    NotText {
        /// The file.
        path: PathBuf,
        /// How many bytes are right.
        offset: usize,
    },
    /// The file is larger than any configuration.
    #[error("{path} has more than {} MiB", FILE_MAX >> 20)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The folder holds no file whose name ends in `.toml`.
    #[error("{path} is a folder without a file NAME.toml")]
    Empty {
        /// The folder.
        path: PathBuf,
    },
}

/// Some bytes of one of the files; the file's place in [`Sources`] and byte offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) file: u32,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Sources {
    /// Reads a file, or every `*.toml` of a folder in the order of their names (hidden ones are left out).
    ///
    /// Relative paths in the text are relative to the file's folder.
    ///
    /// # Errors
    /// If anything cannot be read, is too large or is no text, or the folder has no such file.
    pub fn read(path: &Path) -> Result<Sources, ReadError> {
        let io = |source| ReadError::Io { path: path.to_owned(), source };
        let whole = std::path::absolute(path).map_err(io)?;
        if !fs::metadata(path).map_err(io)?.is_dir() {
            let base = whole.parent().unwrap_or(Path::new("/")).to_owned();
            return Ok(Sources { files: vec![read_file(path)?], base });
        }
        let mut paths = Vec::new();
        for entry in fs::read_dir(path).map_err(io)? {
            let found = entry.map_err(io)?.path();
            let hidden = found.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if found.extension() == Some(OsStr::new("toml")) && !hidden && found.is_file() {
                paths.push(found);
            }
        }
        paths.sort();
        if paths.is_empty() {
            return Err(ReadError::Empty { path: path.to_owned() });
        }
        let files = paths.iter().map(|path| read_file(path)).collect::<Result<_, _>>()?;
        Ok(Sources { files, base: whole })
    }

    /// The same from texts at hand, each with the name that errors give it; relative paths are relative to `base`.
    pub fn from_texts(texts: Vec<(String, String)>, base: PathBuf) -> Sources {
        let mut files: Vec<_> = texts.into_iter().map(|(name, text)| SourceFile { name, text }).collect();
        if files.is_empty() {
            files.push(SourceFile { name: "(no file)".to_owned(), text: String::new() });
        }
        Sources { files, base }
    }

    /// The files' names and texts, as [`Sources::from_texts`] takes them.
    pub fn texts(&self) -> Vec<(String, String)> {
        self.files.iter().map(|file| (file.name.clone(), file.text.clone())).collect()
    }

    /// The folder that relative paths in the text are relative to.
    pub fn base(&self) -> &Path {
        &self.base
    }

    pub(crate) fn file(&self, file: u32) -> (&str, &str) {
        let file = &self.files[file as usize];
        (&file.name, &file.text)
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = (u32, &str)> {
        (0..).zip(self.files.iter().map(|file| file.text.as_str()))
    }
}

fn read_file(path: &Path) -> Result<SourceFile, ReadError> {
    let io = |source| ReadError::Io { path: path.to_owned(), source };
    if fs::metadata(path).map_err(io)?.len() > FILE_MAX {
        return Err(ReadError::TooLarge { path: path.to_owned() });
    }
    let text = String::from_utf8(fs::read(path).map_err(io)?)
        .map_err(|error| ReadError::NotText { path: path.to_owned(), offset: error.utf8_error().valid_up_to() })?;
    Ok(SourceFile { name: path.display().to_string(), text })
}
