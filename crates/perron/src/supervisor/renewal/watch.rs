//! Looks whether files change, on a thread that may hang as their file system does.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::super::Incoming;
use crate::certificates::{self, Stamp};

/// Between two looks. Links that are switched and files that are renamed are seen as well as what is written, on every
/// file system; that is worth a `stat` of each.
const LOOK: Duration = Duration::from_secs(1);

/// Between two looks at what is just changing: a certificate and its key are two files, which should be read together.
const SETTLE: Duration = Duration::from_millis(200);

/// What changes for longer is read as it is.
const SETTLE_LOOKS: u32 = 20;

/// Files as they were, by path; `None`: that is not known, or there is none.
pub(super) type Stamps = BTreeMap<PathBuf, Option<Stamp>>;

/// Where to say what is to be watched.
#[derive(Debug)]
pub(super) struct Watcher(Sender<(u64, Stamps)>);

/// What the files that have changed hold now.
pub(in crate::supervisor) struct Changed {
    /// Which list of files this is of.
    pub(super) round: u64,
    /// By path: the text, or why there is none.
    pub(super) files: Vec<(PathBuf, Result<String, String>)>,
}

/// Shows names alone.
impl fmt::Debug for Changed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.files.iter().map(|(path, _)| path)).finish()
    }
}

impl Watcher {
    /// Starts the thread, which watches nothing yet.
    pub(super) fn start(incoming: UnboundedSender<Incoming>) -> std::io::Result<Watcher> {
        let (to, from) = channel();
        std::thread::Builder::new().name("files".to_owned()).spawn(move || watch(&from, &incoming))?;
        Ok(Watcher(to))
    }

    /// Watches these files from now on, and no others.
    pub(super) fn watch(&self, round: u64, stamps: Stamps) {
        // The thread ends with the service.
        let _ = self.0.send((round, stamps));
    }
}

fn watch(from: &Receiver<(u64, Stamps)>, incoming: &UnboundedSender<Incoming>) {
    let (mut round, mut looking) = (0, Looking::default());
    loop {
        match from.recv_timeout(looking.wait()) {
            Ok((next, stamps)) => (round, looking) = (next, Looking::new(stamps)),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                let changed = looking.look(looking.paths().map(|path| (path.to_owned(), Stamp::of(path))).collect());
                let read = |path: PathBuf| {
                    let text = certificates::read_one(&path).map(|(text, _)| text);
                    (path, text)
                };
                let files: Vec<_> = changed.into_iter().map(read).collect();
                if !files.is_empty() && incoming.send(Incoming::Files(Changed { round, files })).is_err() {
                    return;
                }
            }
        }
    }
}

/// Which files have changed, and have ceased to.
#[derive(Debug, Default)]
struct Looking {
    known: Stamps,
    /// How they were at the last look, if that was different, and how many looks ago it began to be.
    unsettled: Option<(Stamps, u32)>,
}

impl Looking {
    fn new(known: Stamps) -> Looking {
        Looking { known, unsettled: None }
    }

    fn paths(&self) -> impl Iterator<Item = &Path> {
        self.known.keys().map(PathBuf::as_path)
    }

    /// When to look next.
    fn wait(&self) -> Duration {
        if self.unsettled.is_some() { SETTLE } else { LOOK }
    }

    /// Those that have changed, once they stay as they are now.
    fn look(&mut self, now: Stamps) -> Vec<PathBuf> {
        if now == self.known {
            self.unsettled = None;
            return Vec::new();
        }
        let looks = match self.unsettled.take() {
            Some((last, looks)) if last != now && looks < SETTLE_LOOKS => Some(looks + 1),
            Some(_) => None,
            None => Some(1),
        };
        if let Some(looks) = looks {
            self.unsettled = Some((now, looks));
            return Vec::new();
        }
        let changed = now.iter().filter(|(path, stamp)| self.known.get(*path) != Some(*stamp));
        let changed = changed.map(|(path, _)| path.clone()).collect();
        self.known = now;
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files, each of which has been written so often.
    fn stamps(written: &[(&str, u8)]) -> Stamps {
        let folder = tempfile::tempdir().unwrap();
        let stamp = |length: u8| {
            let path = folder.path().join(length.to_string());
            std::fs::write(&path, vec![b'x'; usize::from(length)]).unwrap();
            Stamp::of(&path)
        };
        // One that is there twice is the same.
        let made: BTreeMap<u8, Option<Stamp>> = written.iter().map(|(_, length)| (*length, stamp(*length))).collect();
        written.iter().map(|(path, length)| (path.into(), made[length])).collect()
    }

    #[test]
    fn what_has_changed_is_told_once_when_it_has_settled() {
        let all = stamps(&[("a", 1), ("b", 2), ("c", 3), ("d", 4)]);
        let as_is = |of: [&str; 2]| -> Stamps {
            [("cert".into(), all[Path::new(of[0])]), ("key".into(), all[Path::new(of[1])])].into_iter().collect()
        };
        let mut looking = Looking::new(as_is(["a", "b"]));
        assert!(looking.look(as_is(["a", "b"])).is_empty());
        assert_eq!(looking.wait(), LOOK);
        assert!(looking.look(as_is(["c", "b"])).is_empty());
        assert_eq!(looking.wait(), SETTLE);
        assert!(looking.look(as_is(["c", "d"])).is_empty());
        assert_eq!(looking.look(as_is(["c", "d"])), [Path::new("cert"), Path::new("key")]);
        assert!(looking.look(as_is(["c", "d"])).is_empty());
        assert_eq!(looking.wait(), LOOK);
    }

    #[test]
    fn what_changes_back_is_not_told_and_what_never_settles_is() {
        let all = stamps(&[("a", 1), ("b", 2), ("c", 3)]);
        let as_is = |of: &str| -> Stamps { [("cert".into(), all[Path::new(of)])].into_iter().collect() };
        let mut looking = Looking::new(as_is("a"));
        assert!(looking.look(as_is("b")).is_empty());
        assert!(looking.look(as_is("a")).is_empty());
        let told = |looks: usize| (0..looks).map(|look| looking.look(as_is(["b", "c"][look % 2])).len()).collect();
        let told: Vec<usize> = {
            let mut told = told;
            told(21)
        };
        assert_eq!((told.iter().sum::<usize>(), told[20]), (1, 1));
    }

    #[test]
    fn another_file_under_the_same_name_and_the_end_of_a_switched_link_are_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("one"), "same").unwrap();
        std::fs::write(path("two"), "same").unwrap();
        std::os::unix::fs::symlink("one", path("link")).unwrap();
        let before = Stamp::of(&path("link"));
        std::os::unix::fs::symlink("two", path("next")).unwrap();
        std::fs::rename(path("next"), path("link")).unwrap();
        let switched = Stamp::of(&path("link"));
        assert!(before.is_some() && switched.is_some() && before != switched);
        std::fs::rename(path("one"), path("two")).unwrap();
        let renamed = Stamp::of(&path("link"));
        assert!(renamed.is_some() && renamed != switched);
        std::fs::remove_file(path("two")).unwrap();
        assert_eq!(Stamp::of(&path("link")), None);
    }
}
