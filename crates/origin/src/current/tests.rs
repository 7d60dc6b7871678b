use super::*;
use crate::hung::HungMount;
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::mpsc;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A root by way of a symbolic link that can be switched.
struct Switch {
    folder: tempfile::TempDir,
    root: Arc<CurrentRoot>,
}

impl Switch {
    fn new(patience: Duration) -> Switch {
        let folder = tempfile::tempdir().unwrap();
        let root = CurrentRoot::new(folder.path().join("current"), false, patience);
        let switch = Switch { folder, root: Arc::new(root) };
        switch.to("one");
        switch
    }

    /// Leads the path to a folder with a file of the same name.
    fn to(&self, name: &str) {
        let folder = self.folder.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        if name != "mnt" {
            fs::write(folder.join(name), name).unwrap();
        }
        let next = self.folder.path().join("next");
        symlink(&folder, &next).unwrap();
        fs::rename(&next, self.folder.path().join("current")).unwrap();
    }

    /// Walks on another thread, and says what came of it.
    fn walk_elsewhere(&self, now: Instant) -> mpsc::Receiver<Result<(), Failure>> {
        let (sender, receiver) = mpsc::channel();
        let root = Arc::clone(&self.root);
        std::thread::spawn(move || sender.send(root.waiting(now).map(drop)));
        receiver
    }

    fn wait_for_walks_under_way(&self, count: u32) {
        let deadline = Instant::now() + seconds(10);
        while self.root.walks().under_way != count {
            assert!(Instant::now() < deadline, "{count} walks are not under way");
            std::thread::yield_now();
        }
    }
}

/// Which of the two folders it is; folders that cannot be asked without waiting are asked with it.
fn name(root: Result<Arc<Root>, Failure>) -> Result<&'static str, Failure> {
    let root = root?;
    Ok(if root.open_beneath(b"one", true).is_ok() { "one" } else { "two" })
}

#[test]
fn one_request_is_sent_to_a_root_that_is_due_and_the_others_go_on() {
    let switch = Switch::new(seconds(5));
    let (root, start) = (&switch.root, Instant::now());
    assert_eq!(name(root.at_once(start)), Err(Failure::Wait));
    assert_eq!(name(root.at_once(start)), Err(Failure::Wait), "nobody has a root yet");
    assert_eq!(name(root.waiting(start)), Ok("one"));
    switch.to("two");
    assert_eq!(name(root.at_once(start + seconds(1))), Ok("one"), "not due");
    let due = start + Duration::from_millis(1500);
    assert_eq!(name(root.at_once(due)), Err(Failure::Wait));
    for _ in 0..100 {
        assert_eq!(name(root.at_once(due)), Ok("one"), "all but the first go on");
    }
    assert_eq!(name(root.at_once(due + seconds(1))), Err(Failure::Wait), "the first one may have been lost");
    assert_eq!(name(root.waiting(due + seconds(1))), Ok("two"));
    assert_eq!(name(root.at_once(due + seconds(1))), Ok("two"));
}

#[test]
fn an_old_root_is_not_used() {
    let switch = Switch::new(seconds(5));
    let (root, start) = (&switch.root, Instant::now());
    assert_eq!(name(root.waiting(start)), Ok("one"));
    switch.to("two");
    let later = start + Duration::from_millis(5001);
    for _ in 0..3 {
        assert_eq!(name(root.at_once(later)), Err(Failure::Wait));
    }
    assert_eq!(name(root.waiting(later)), Ok("two"));
}

#[test]
fn a_root_that_is_gone_is_not_used_on() {
    let switch = Switch::new(seconds(5));
    let (root, start) = (&switch.root, Instant::now());
    assert_eq!(name(root.waiting(start)), Ok("one"));
    fs::remove_file(switch.folder.path().join("current")).unwrap();
    assert_eq!(name(root.waiting(start + seconds(2))), Err(Failure::Unavailable));
    assert_eq!(name(root.at_once(start + seconds(2))), Err(Failure::Wait));
    switch.to("two");
    assert_eq!(name(root.waiting(start + seconds(2))), Ok("two"), "a walk that failed is no reason to wait");
}

#[test]
fn a_walk_that_hangs_is_not_repeated_by_everybody() {
    let switch = Switch::new(Duration::from_millis(50));
    let (root, start) = (&switch.root, Instant::now());
    assert_eq!(name(root.waiting(start)), Ok("one"));
    switch.to("mnt");
    let Some(mount) = HungMount::new(&switch.folder.path().join("mnt")) else {
        return;
    };
    let due = start + seconds(2);
    let first = switch.walk_elsewhere(due);
    switch.wait_for_walks_under_way(1);
    for _ in 0..40 {
        assert_eq!(name(root.waiting(due)), Ok("one"), "those that could wait go on too");
    }
    let old = start + seconds(6);
    assert_eq!(name(root.at_once(old)), Err(Failure::Unavailable), "no thread is taken in vain");
    assert_eq!(name(root.waiting(old)), Err(Failure::Unavailable));
    assert_eq!(root.walks().begun, 2);
    // Ten seconds after the first, twenty after the second.
    let second = switch.walk_elsewhere(due + seconds(10));
    switch.wait_for_walks_under_way(2);
    assert_eq!(name(root.waiting(due + seconds(20))), Err(Failure::Unavailable));
    switch.to("two");
    assert_eq!(name(root.waiting(due + seconds(30))), Ok("two"));
    drop(mount);
    assert_eq!(first.recv_timeout(seconds(10)), Ok(Err(Failure::Unavailable)));
    assert_eq!(second.recv_timeout(seconds(10)), Ok(Err(Failure::Unavailable)));
    assert_eq!(name(root.at_once(due + seconds(30))), Ok("two"), "what hung brings no old news");
}

#[test]
fn who_comes_during_a_walk_waits_for_it_a_while() {
    let switch = Switch::new(Duration::from_millis(50));
    switch.to("mnt");
    let Some(mount) = HungMount::new(&switch.folder.path().join("mnt")) else {
        return;
    };
    let start = Instant::now();
    let first = switch.walk_elsewhere(start);
    switch.wait_for_walks_under_way(1);
    assert_eq!(name(switch.root.at_once(start)), Err(Failure::Wait));
    assert_eq!(name(switch.root.waiting(start)), Err(Failure::Unavailable));
    assert!(start.elapsed() >= Duration::from_millis(50), "it did not wait");
    assert_eq!(switch.root.walks().begun, 1);
    drop(mount);
    assert_eq!(first.recv_timeout(seconds(10)), Ok(Err(Failure::Unavailable)));
}
