use crate::upload::UploadConfig;
use std::path::PathBuf;
use std::time::Duration;

/// A tree of files to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesConfig {
    /// The tree; nothing outside it is ever opened.
    pub root: PathBuf,
    /// The part of the request's path that stands for the root: `/` or the route's prefix when it is to be taken off.
    pub strip_prefix: String,
    /// Whether a folder without an index is listed.
    pub listing: bool,
    /// Files looked for in a folder, in this order.
    pub index: Vec<String>,
    /// Whether symbolic links are followed (never out of the root).
    pub symlinks: bool,
    /// Whether `NAME.zst`, `NAME.br` and `NAME.gz` beside a file are sent to clients that accept them.
    pub precompressed: bool,
    /// How long opening or reading may take before the client gets 503.
    pub timeout: Duration,
    /// How files are taken in; `None`: they are not.
    pub upload: Option<UploadConfig>,
}

/// Files that are each for one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransfersConfig {
    /// Where the files are, and how they are read; the rest of a request's path behind its prefix is a transfer's.
    pub files: FilesConfig,
    /// The folder with the descriptions of transfers.
    pub described: PathBuf,
}

/// A health route: whether a tree can be opened and read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthConfig {
    /// The tree.
    pub files: PathBuf,
    /// How long that may take before the answer is 503.
    pub timeout: Duration,
}
