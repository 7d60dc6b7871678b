use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The texts of PEM files, by the paths that the configuration names them by.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Material(BTreeMap<PathBuf, String>);

impl Material {
    /// Adds a file's text, or puts it in the place of what it was.
    pub fn insert(&mut self, path: PathBuf, text: String) {
        self.0.insert(path, text);
    }

    /// The text of the file.
    pub fn text(&self, path: &Path) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// All files.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.0.iter().map(|(path, text)| (path.as_path(), text.as_str()))
    }
}

impl FromIterator<(PathBuf, String)> for Material {
    fn from_iter<T: IntoIterator<Item = (PathBuf, String)>>(files: T) -> Material {
        Material(files.into_iter().collect())
    }
}

/// Shows names alone: there are keys in it.
impl std::fmt::Debug for Material {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}
