//! What can wait, and what must not.

use super::*;
use crate::hung::HungMount;
use crate::span::Storage;
use crate::testing::forget;
use crate::{is_resident, preread};
use std::os::fd::AsFd;
use std::sync::mpsc;

fn storage(path: &Path) -> Storage {
    Storage::of(fs::File::open(path).unwrap().as_fd()).unwrap()
}

#[test]
fn a_worker_serves_what_is_in_memory() {
    let tree = Tree::new();
    tree.write("a", "a");
    tree.write("large", vec![b'x'; 100_000]);
    let files = tree.files();
    assert!(attempt(&files, "GET", "/a", "", false).is_err(), "the root was walked by a worker");
    for target in ["/a", "/large", "/missing", "/missing/a"] {
        let waited = attempt(&files, "GET", target, "", true).unwrap().status;
        match attempt(&files, "GET", target, "", false) {
            Ok(answer) => assert_eq!(answer.status, waited, "{target}"),
            Err(WouldBlock) => {
                assert_eq!(storage(&tree.config.root), Storage::Remote, "{target} was not served from memory");
                eprintln!("SKIPPED: temporary files lie on a file system where a worker may not look");
            }
        }
    }
}

#[test]
fn files_that_were_read_are_resident() {
    let tree = Tree::new();
    tree.write("large", vec![b'x'; 1_000_000]);
    let file = fs::File::open(tree.path("large")).unwrap();
    assert_eq!(preread(&file, 1000, 10_000_000).unwrap(), 999_000);
    assert_eq!(preread(&file, 0, 0).unwrap(), 0);
    assert!(is_resident(&file, 0, 0));
    if !is_resident(&file, 1000, 999_000) {
        assert_ne!(storage(&tree.config.root), Storage::Local, "the file was read just now");
        eprintln!("SKIPPED: the file system of temporary files cannot tell what is resident");
        return;
    }
    file.sync_all().unwrap();
    forget(&file, || !is_resident(&file, 0, 1_000_000));
}

#[test]
fn a_hung_mount_hangs_no_worker() {
    let mut tree = Tree::new();
    tree.write("a", "a");
    fs::create_dir(tree.path("mnt")).unwrap();
    let Some(mount) = HungMount::new(&tree.path("mnt")) else {
        return;
    };
    let files = tree.files();
    assert_eq!(ask(&files, "GET", "/a", "").text(), "a");
    for target in ["/mnt", "/mnt/", "/mnt/a"] {
        assert!(attempt(&files, "GET", target, "", false).is_err(), "{target}");
    }
    tree.config.root = tree.path("mnt");
    let files = tree.files();
    assert!(attempt(&files, "GET", "/a", "", false).is_err());
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(attempt(&files, "GET", "/a", "", true).map(|answer| answer.status)));
    let hangs = receiver.recv_timeout(Duration::from_millis(100));
    assert_eq!(hangs, Err(mpsc::RecvTimeoutError::Timeout));
    drop(mount);
    assert_eq!(receiver.recv_timeout(Duration::from_secs(10)), Ok(Ok(503)));
}

#[test]
fn who_waited_too_long_is_told_when_to_come_again() {
    let tree = Tree::new();
    let mut out = Vec::new();
    let answer = request("GET", "/a", "", |request| tree.files().answer_late(request, &mut out));
    assert_eq!(answer.status, 503);
    assert!(String::from_utf8(out).unwrap().contains("\r\nRetry-After: 2\r\n"));
}
