//! A file that is being fetched: its bytes under a name of their own, and what is known of them beside it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};

use crate::digest::{Digest, Hasher};
use crate::transfer::TransferError;

/// What is read at once of a file that is verified.
const READ_BYTES: usize = 1 << 20;

/// The journal of a file of any size is smaller than this: a number for each piece.
const JOURNAL_BYTES: u64 = 64 << 20;

/// A file on its way to `destination`.
#[derive(Debug)]
pub(crate) struct Partial {
    destination: PathBuf,
    data: PathBuf,
    journal: PathBuf,
    file: File,
}

/// What the bytes belong to: if one of these differs, they are worth nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) url: String,
    pub(crate) tag: String,
    pub(crate) length: u64,
}

impl Partial {
    /// Opens what there is, or begins; at most one program does.
    pub(crate) fn open(destination: &Path) -> Result<Partial, TransferError> {
        let wrong = |why| TransferError::File { path: destination.to_owned(), why };
        let name = destination.file_name().ok_or_else(|| wrong(io::ErrorKind::IsADirectory.into()))?;
        if destination.is_dir() {
            return Err(wrong(io::ErrorKind::IsADirectory.into()));
        }
        let beside = |end: &str| destination.with_file_name(format!(".{}.{end}", name.to_string_lossy()));
        let (data, journal) = (beside("perron-import"), beside("perron-import.json"));
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&data);
        let file = file.map_err(|why| TransferError::File { path: data.clone(), why })?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(wrong(io::Error::new(io::ErrorKind::ResourceBusy, "another import of it is under way")));
        }
        Ok(Partial { destination: destination.to_owned(), data, journal, file })
    }

    /// The pieces that are here, if they are of `origin`; else it begins anew.
    pub(crate) fn resume(&self, origin: &Origin) -> Result<Vec<u64>, TransferError> {
        let known = self.read_journal();
        let is_same = known.as_ref().is_some_and(|known| known["origin"] == origin.to_json());
        let is_whole = self.file.metadata().is_ok_and(|metadata| metadata.len() == origin.length);
        if is_same && is_whole {
            let done = known.as_ref().and_then(|known| known["done"].as_array());
            return Ok(done.map_or(Vec::new(), |done| done.iter().filter_map(Value::as_u64).collect()));
        }
        let _ = fs::remove_file(&self.journal);
        self.file.set_len(0).and_then(|()| self.file.set_len(origin.length)).map_err(|why| self.wrong(why))?;
        Ok(Vec::new())
    }

    fn read_journal(&self) -> Option<Value> {
        let mut text = String::new();
        File::open(&self.journal).ok()?.take(JOURNAL_BYTES).read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Writes bytes where they belong.
    pub(crate) fn write(&self, bytes: &[u8], offset: u64) -> Result<(), TransferError> {
        self.file.write_all_at(bytes, offset).map_err(|why| self.wrong(why))
    }

    /// Begins anew, without knowing how long it will be.
    pub(crate) fn clear(&self) -> Result<(), TransferError> {
        let _ = fs::remove_file(&self.journal);
        self.file.set_len(0).map_err(|why| self.wrong(why))
    }

    /// Notes which pieces are here, for a later program.
    pub(crate) fn note(&self, origin: &Origin, done: &[u64]) -> Result<(), TransferError> {
        let text = json!({ "origin": origin.to_json(), "done": done }).to_string();
        let new = self.journal.with_extension("new");
        // What the journal says is here must be so after a crash of the machine too.
        let written = self.file.sync_data().and_then(|()| fs::write(&new, text));
        let written = written.and_then(|()| fs::rename(&new, &self.journal));
        written.map_err(|why| TransferError::File { path: self.journal.clone(), why })
    }

    /// The digest of what is here.
    pub(crate) fn digest(&self, mut tell: impl FnMut(u64)) -> Result<Digest, TransferError> {
        let (mut hasher, mut buffer) = (Hasher::default(), vec![0; READ_BYTES]);
        loop {
            match self.file.read_at(&mut buffer, hasher.at).map_err(|why| self.wrong(why))? {
                0 => return Ok(hasher.digest()),
                read => hasher.update(&buffer[..read]),
            }
            tell(hasher.at);
        }
    }

    /// Puts it in its place, on the disk.
    pub(crate) fn finish(self) -> Result<(), TransferError> {
        let finished = self.file.sync_all().and_then(|()| fs::rename(&self.data, &self.destination)).and_then(|()| {
            let _ = fs::remove_file(&self.journal);
            let folder = self.destination.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        });
        finished.map_err(|why| TransferError::File { path: self.destination.clone(), why })
    }

    /// Forgets it: it is wrong.
    pub(crate) fn remove(self) {
        let _ = fs::remove_file(&self.journal);
        let _ = fs::remove_file(&self.data);
    }

    fn wrong(&self, why: io::Error) -> TransferError {
        TransferError::File { path: self.data.clone(), why }
    }
}

impl Origin {
    fn to_json(&self) -> Value {
        json!({ "url": self.url, "tag": self.tag, "length": self.length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin { url: "http://a/b".to_owned(), tag: "\"1\"".to_owned(), length: 5 }
    }

    #[test]
    fn what_came_before_is_gone_on_with_if_it_is_of_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let destination = folder.path().join("disk.img");
        let first = Partial::open(&destination).unwrap();
        assert!(Partial::open(&destination).unwrap_err().to_string().ends_with("another import of it is under way"));
        assert_eq!(first.resume(&origin()).unwrap(), [] as [u64; 0]);
        first.write(b"lo", 3).unwrap();
        first.note(&origin(), &[0, 2]).unwrap();
        drop(first);

        let second = Partial::open(&destination).unwrap();
        assert_eq!(second.resume(&origin()).unwrap(), [0, 2]);
        second.write(b"hel", 0).unwrap();
        assert_eq!(
            second.digest(|_| ()).unwrap().to_string(),
            "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
        );
        assert!(!destination.exists());
        second.finish().unwrap();
        assert_eq!(fs::read(&destination).unwrap(), b"hello");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn of_another_file_nothing_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let destination = folder.path().join("disk.img");
        let others = [
            Origin { tag: "\"2\"".to_owned(), ..origin() },
            Origin { url: "http://a/c".to_owned(), ..origin() },
            Origin { length: 6, ..origin() },
        ];
        for other in others {
            let partial = Partial::open(&destination).unwrap();
            partial.resume(&origin()).unwrap();
            partial.note(&origin(), &[0]).unwrap();
            assert_eq!(partial.resume(&other).unwrap(), [] as [u64; 0], "{other:?}");
            assert_eq!(partial.read_journal(), None);
            partial.remove();
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(Partial::open(folder.path()).is_err());
    }
}
