use super::*;
use crate::testing::forget;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

const FILES: u64 = u64::MAX;

/// A tree with files that this thread keeps open.
struct Kept {
    folder: tempfile::TempDir,
    root: Root,
    now: Instant,
}

impl Kept {
    /// None, and a line that says so, where the file system does not tell changes.
    fn new(paths: &[&str]) -> Option<Kept> {
        let folder = tempfile::tempdir().unwrap();
        for path in paths {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "old").unwrap();
        }
        let now = Instant::now();
        let root = Root::open(folder.path(), false, now).unwrap();
        if !root.tells_changes() {
            eprintln!("SKIPPED: temporary files lie on a file system that does not tell changes");
            return None;
        }
        let kept = Kept { folder, root, now };
        let deadline = now + Duration::from_secs(10);
        for path in paths {
            while !is_kept(path) {
                assert!(Instant::now() < deadline, "{path} is not kept open");
                assert_eq!(kept.read(path).as_deref(), Ok("old"), "{path}");
                std::thread::yield_now();
            }
        }
        Some(kept)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// As a worker, and a thread that may wait after it, would.
    fn read(&self, path: &str) -> Result<String, Failure> {
        match open(FILES, &self.root, path.as_bytes(), self.now) {
            Err(Failure::Wait) => content(self.root.open_beneath(path.as_bytes(), true)),
            opened => content(opened),
        }
    }
}

fn content(opened: Result<Opened, Failure>) -> Result<String, Failure> {
    let opened = opened?;
    if opened.kind != FileType::RegularFile {
        return Ok("no file".to_owned());
    }
    let mut bytes = vec![0; usize::try_from(opened.size).unwrap()];
    std::os::unix::fs::FileExt::read_exact_at(&*opened.file, &mut bytes, 0).unwrap();
    Ok(String::from_utf8(bytes).unwrap())
}

fn is_kept(path: &str) -> bool {
    TREES.with_borrow(|trees| {
        trees.get(&FILES).is_some_and(|tree| matches!(tree.paths.get(path.as_bytes()), Some(Memory::Open(_))))
    })
}

/// Descriptors of this process that lead to a path.
fn descriptors(path: &Path) -> usize {
    let links = fs::read_dir("/proc/self/fd").unwrap();
    links.filter(|link| fs::read_link(link.as_ref().unwrap().path()).is_ok_and(|to| to == path)).count()
}

#[test]
fn what_changes_while_it_is_kept_open_is_served_changed_at_once() {
    let paths =
        ["replaced", "rewritten", "longer", "shorter", "deleted", "renamed", "folder", "linked", "secret", "d/e/same"];
    let Some(kept) = Kept::new(&paths) else {
        return;
    };
    let path = |name: &str| kept.path(name);
    for name in paths {
        assert_eq!(kept.read(name).as_deref(), Ok("old"), "{name}");
    }
    fs::write(path("other"), "new").unwrap();
    fs::rename(path("other"), path("replaced")).unwrap();
    assert_eq!(kept.read("replaced").as_deref(), Ok("new"));
    fs::write(path("rewritten"), "new").unwrap();
    assert!(!is_current("rewritten"), "its time and so its tag are others");
    assert_eq!(kept.read("rewritten").as_deref(), Ok("new"));
    fs::write(path("longer"), "longer").unwrap();
    assert_eq!(kept.read("longer").as_deref(), Ok("longer"));
    fs::write(path("shorter"), "").unwrap();
    assert_eq!(kept.read("shorter").as_deref(), Ok(""));
    fs::remove_file(path("deleted")).unwrap();
    assert_eq!(kept.read("deleted"), Err(Failure::Missing));
    fs::rename(path("renamed"), path("elsewhere")).unwrap();
    assert_eq!(kept.read("renamed"), Err(Failure::Missing));
    fs::remove_file(path("folder")).unwrap();
    fs::create_dir(path("folder")).unwrap();
    assert_eq!(kept.read("folder").as_deref(), Ok("no file"));
    fs::rename(path("linked"), path("target")).unwrap();
    symlink("target", path("linked")).unwrap();
    assert_eq!(kept.read("linked"), Err(Failure::Missing), "symbolic links are not followed");
    fs::set_permissions(path("secret"), fs::Permissions::from_mode(0o000)).unwrap();
    assert!(!is_current("secret"), "it may be forbidden");
    assert_eq!(kept.read("d/e/same").as_deref(), Ok("old"));
    assert!(is_current("d/e/same"));
}

#[test]
fn folders_on_the_way_are_looked_at_too() {
    let Some(kept) = Kept::new(&["moved/d/a", "swapped/a", "link/a", "gone/a", "closed/a"]) else {
        return;
    };
    let path = |name: &str| kept.path(name);
    fs::rename(path("moved"), path("elsewhere")).unwrap();
    assert_eq!(kept.read("moved/d/a"), Err(Failure::Missing));
    fs::create_dir(path("next")).unwrap();
    fs::write(path("next/a"), "new").unwrap();
    fs::rename(path("swapped"), path("before")).unwrap();
    fs::rename(path("next"), path("swapped")).unwrap();
    assert_eq!(kept.read("swapped/a").as_deref(), Ok("new"));
    fs::rename(path("link"), path("behind")).unwrap();
    symlink("behind", path("link")).unwrap();
    assert_eq!(kept.read("link/a"), Err(Failure::Missing), "symbolic links are not followed");
    fs::remove_dir_all(path("gone")).unwrap();
    assert_eq!(kept.read("gone/a"), Err(Failure::Missing));
    fs::set_permissions(path("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    assert!(!is_current("closed/a"), "it may be forbidden");
}

#[test]
fn a_short_file_is_as_good_as_in_memory_if_it_is_in_the_page_cache() {
    let Some(kept) = Kept::new(&["short"]) else {
        return;
    };
    let opened = kept.root.open_beneath(b"short", true).unwrap();
    if opened.storage != Storage::Local {
        eprintln!("SKIPPED: temporary files do not lie on a disk");
        return;
    }
    assert_eq!(open(FILES, &kept.root, b"short", kept.now).unwrap().storage, Storage::Memory);
    opened.file.sync_all().unwrap();
    forget(&opened.file, || opened.clone().resident_if_short().storage == Storage::Local);
}

#[test]
fn another_root_is_another_tree() {
    let Some(kept) = Kept::new(&["a"]) else {
        return;
    };
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("a"), "other").unwrap();
    let root = Root::open(other.path(), false, kept.now).unwrap();
    assert_eq!(content(open(FILES, &root, b"a", kept.now)).as_deref(), Ok("other"));
    assert!(!is_kept("a"));
    assert_eq!(descriptors(&kept.path("a")), 0);
}

#[test]
fn what_nobody_asks_for_is_let_go() {
    let Some(kept) = Kept::new(&["a"]) else {
        return;
    };
    assert_eq!(descriptors(&kept.path("a")), 1);
    let_go_at(kept.now + Duration::from_secs(5));
    assert_eq!(descriptors(&kept.path("a")), 1);
    let_go_at(kept.now + Duration::from_millis(5001));
    assert_eq!(descriptors(&kept.path("a")), 0);
}

#[test]
fn what_was_changed_just_now_and_what_is_asked_for_once_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::open(folder.path(), false, Instant::now()).unwrap();
    if !root.tells_changes() {
        eprintln!("SKIPPED: temporary files lie on a file system that does not tell changes");
        return;
    }
    for at in 0..2 * PATHS_MAX {
        let name = at.to_string();
        fs::write(folder.path().join(&name), "new").unwrap();
        for _ in 0..3 {
            assert_eq!(content(open(FILES, &root, name.as_bytes(), root.opened())).as_deref(), Ok("new"));
            assert!(!is_kept(&name), "its next change could bear the same time");
        }
    }
    assert_eq!(TREES.with_borrow(|trees| trees[&FILES].paths.len()), PATHS_MAX);
}

fn is_current(path: &str) -> bool {
    TREES.with_borrow(|trees| match &trees[&FILES].paths[path.as_bytes()] {
        Memory::Open(kept) => kept.is_current(),
        Memory::Asked => false,
    })
}
