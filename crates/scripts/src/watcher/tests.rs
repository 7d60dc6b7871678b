use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;
use crate::Command;

const SECOND: Duration = Duration::from_secs(1);

/// `script`, ended if it takes a minute.
fn script(folder: &Path, name: &str, lines: &str) -> What {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\ncd {}\n{lines}\n", folder.display())).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    What::Script(Command { words: vec![path.display().to_string()], user: None, timeout: Duration::from_secs(60) })
}

fn watch(key: &str, what: What) -> Watch {
    Watch { key: key.into(), what, interval: Duration::from_millis(1), rise: 1, fall: 1 }
}

/// Waits until a watch is so.
async fn until(facts: &mut watch::Receiver<Facts>, key: &str, health: Health) -> String {
    let so = facts.wait_for(|facts| facts.get(key).is_some_and(|fact| fact.health == health));
    let facts = timeout(Duration::from_secs(60), so).await.expect("it comes in time").expect("the watcher is there");
    facts[key].why.clone()
}

#[tokio::test]
async fn scripts_processes_and_files_are_looked_at_on_and_on() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("fails"), "").unwrap();
    let looked = script(at, "script", "[ ! -e fails ] || { echo no way; exit 2; }");
    let none = What::Process { name: "no-such-process".into(), at_least: 1 };
    let own = fs::read_to_string("/proc/self/comm").unwrap().trim().to_owned();
    let ours = What::Process { name: own.clone(), at_least: 1 };
    let watches = vec![
        watch("script/s", looked),
        watch("file/n", What::File(at.join("n"))),
        watch("process/none", none),
        watch("process/ours", ours),
    ];
    let watcher = Watcher::start(None, watches);
    let mut facts = watcher.facts();
    let all: Vec<(String, Health)> = facts.borrow().iter().map(|(key, fact)| (key.clone(), fact.health)).collect();
    assert_eq!(all, ["file/n", "process/none", "process/ours", "script/s"].map(|key| (key.into(), Health::Unknown)));
    assert_eq!(until(&mut facts, "script/s", Health::Unwell).await, "it ended with status 2: no way");
    assert_eq!(until(&mut facts, "file/n", Health::Number(0)).await, "it holds 0");
    assert_eq!(until(&mut facts, "process/none", Health::Unwell).await, "no no-such-process runs");
    assert_eq!(until(&mut facts, "process/ours", Health::Well).await, format!("{own} runs"));
    fs::remove_file(at.join("fails")).unwrap();
    fs::write(at.join("n"), "-7").unwrap();
    assert_eq!(until(&mut facts, "script/s", Health::Well).await, "it ended with status 0");
    until(&mut facts, "file/n", Health::Number(-7)).await;
}

#[tokio::test]
async fn it_takes_some_in_a_row() {
    let folder = tempfile::tempdir().unwrap();
    // It passes once, and fails from then on.
    let what = script(folder.path(), "script", "echo >>runs; [ \"$(wc -l <runs)\" = 1 ]");
    let runs = || fs::read_to_string(folder.path().join("runs")).unwrap_or_default().len();
    let watch = Watch { fall: 3, ..watch("s", what) };
    let watcher = Watcher::start(None, vec![watch]);
    let mut facts = watcher.facts();
    until(&mut facts, "s", Health::Well).await;
    until(&mut facts, "s", Health::Unwell).await;
    assert!(runs() >= 4, "one that passed, and three that failed: {}", runs());
}

#[tokio::test(start_paused = true)]
async fn looks_are_so_far_apart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("n");
    let begun = Instant::now();
    let watcher = Watcher::start(None, vec![Watch { interval: 7 * SECOND, ..watch("n", What::File(file.clone())) }]);
    let mut facts = watcher.facts();
    for (number, seconds) in [(0, 0), (5, 7), (6, 14)] {
        facts.wait_for(|facts| facts["n"].health == Health::Number(number)).await.unwrap();
        assert_eq!(begun.elapsed().as_secs(), seconds);
        fs::write(&file, (if number == 0 { 5 } else { 6 }).to_string()).unwrap();
    }
}

#[tokio::test]
async fn one_that_hangs_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let hangs = script(folder.path(), "hangs", "echo $$ >pid; sleep 1000");
    let mut watches: Vec<Watch> = vec![watch("hangs", hangs)];
    watches.push(watch("fine", script(folder.path(), "fine", "")));
    let mut watcher = Watcher::start(None, watches.clone());
    let mut facts = watcher.facts();
    until(&mut facts, "fine", Health::Well).await;
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    let pid = loop {
        let text = fs::read_to_string(folder.path().join("pid")).unwrap_or_default();
        if text.ends_with('\n') {
            break text.trim().to_owned();
        }
        assert!(std::time::Instant::now() < deadline, "it does not begin");
        tokio::task::yield_now().await;
    };
    assert_eq!(facts.borrow()["hangs"].health, Health::Unknown);
    // Nobody wants to know any more: it is ended.
    watcher.change(None, watches.split_off(1));
    assert!(!facts.borrow_and_update().contains_key("hangs"));
    while fs::exists(format!("/proc/{pid}")).unwrap() {
        assert!(std::time::Instant::now() < deadline, "it goes on");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_script_that_takes_too_long_is_unwell() {
    let folder = tempfile::tempdir().unwrap();
    let hangs = script(folder.path(), "hangs", "sleep 1000");
    let watcher = Watcher::start(None, vec![watch("hangs", hangs)]);
    let mut facts = watcher.facts();
    facts.wait_for(|facts| facts["hangs"].health == Health::Unwell).await.unwrap();
    assert_eq!(facts.borrow()["hangs"].why, "it took longer than 60s and was ended");
}

#[tokio::test]
async fn what_is_known_of_those_that_stay_stays_known() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let slow = |key: &str, what: What| Watch { interval: 1000 * SECOND, ..watch(key, what) };
    let one = slow("one", script(at, "one", "echo >>one-runs; exit 1"));
    let two = slow("two", script(at, "two", ""));
    let mut watcher = Watcher::start(None, vec![one.clone(), two.clone()]);
    let mut facts = watcher.facts();
    until(&mut facts, "one", Health::Unwell).await;
    until(&mut facts, "two", Health::Well).await;
    // One as it was, the other called otherwise and looked at more often: both are known, and another is not yet.
    let renamed = Watch { key: "second".into(), interval: 2000 * SECOND, ..two };
    let three = slow("three", What::File(at.join("n")));
    watcher.change(None, vec![renamed, three, one]);
    let all: Vec<(String, Health)> =
        facts.borrow_and_update().iter().map(|(key, fact)| (key.clone(), fact.health)).collect();
    let expected = [("one", Health::Unwell), ("second", Health::Well), ("three", Health::Unknown)];
    assert_eq!(all, expected.map(|(key, health)| (key.to_owned(), health)));
    assert_eq!(facts.borrow()["one"].why, "it ended with status 1");
    until(&mut facts, "three", Health::Number(0)).await;
    assert_eq!(fs::read_to_string(at.join("one-runs")).unwrap(), "\n", "it was not begun anew");
}
