//! Files that are there whole or not at all, whatever happens meanwhile.

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::NamedTempFile;

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readable {
    ByAll,
    ByOwner,
}

/// Puts `text` into the place of what was there, or, unless it is to `replace` that, where nothing was.
///
/// # Errors
/// If it cannot be written, or if there is something that is not to be replaced.
pub(crate) fn write(path: &Path, text: &str, readable: Readable, replace: bool) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Only its owner may read it: tempfile's way.
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    if readable == Readable::ByAll {
        file.as_file().set_permissions(Permissions::from_mode(0o644))?;
    }
    file.as_file().sync_all()?;
    let done = if replace { file.persist(path) } else { file.persist_noclobber(path) };
    done.map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_replaced_only_where_it_may_be_and_read_only_by_whom_it_is_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it.pem");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        write(&path, "first", Readable::ByAll, false).unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode()), ("first", 0o644));
        let error = write(&path, "second", Readable::ByOwner, false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
        write(&path, "second", Readable::ByOwner, true).unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode()), ("second", 0o600));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}
