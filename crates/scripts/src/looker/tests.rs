use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::SCRIPTS_MAX;

/// A folder with one script of these lines, in which `HERE` stands for it.
fn script(lines: &str) -> (tempfile::TempDir, Command) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = folder.path().join("script");
    fs::write(&path, format!("#!/bin/sh\n{}\n", lines.replace("HERE", &folder.path().display().to_string()))).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let command = Command { words: vec![path.display().to_string()], user: None, timeout: Duration::from_secs(60) };
    (folder, command)
}

async fn seen(looker: &Looker, look: Look) -> Seen {
    let mut seen = None;
    looker.look(look, |it| seen = Some(it)).await;
    seen.expect("something is told")
}

#[tokio::test]
async fn what_programs_and_files_say_is_told() {
    let looker = Looker::new(None);
    for (lines, status) in [("exit 0", 0), ("exit 255", 255), ("yes | head -c 10000000; exit 7", 7)] {
        let (_folder, command) = script(lines);
        assert!(matches!(seen(&looker, Look::Script(command)).await, Seen::Ended(Ended::Status(its)) if its == status));
    }
    let (_folder, command) = script("kill -KILL $$");
    assert!(matches!(seen(&looker, Look::Script(command)).await, Seen::Ended(Ended::Signal(9))));
    let (folder, command) = script("exit 0");
    fs::set_permissions(&command.words[0], fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(
        check_looks(None, &[Look::Script(command.clone()), Look::Script(command.clone())]).unwrap_err().len(),
        1
    );
    assert!(
        matches!(seen(&looker, Look::Script(command)).await, Seen::Ended(Ended::Unfit(_))),
        "anybody could change it"
    );

    let file = folder.path().join("file");
    let read = || Look::File(file.clone(), Duration::from_secs(60));
    assert!(matches!(seen(&looker, read()).await, Seen::Missing));
    for (text, expected) in [("", None), ("12\n", Some(12)), ("-1", Some(-1))] {
        fs::write(&file, text).unwrap();
        assert!(matches!(seen(&looker, read()).await, Seen::Holds(it) if it == expected), "{text:?}");
    }
    fs::write(&file, "up").unwrap();
    assert!(matches!(seen(&looker, read()).await, Seen::Unclear));
}

/// Of 5000 that are asked for at once, no more run than may, and each has its turn.
#[tokio::test]
async fn many_wait_for_their_turn() {
    let (folder, command) = script("echo >HERE/run.$$; exit 3");
    let running = folder.path().join("running");
    fs::create_dir(&running).unwrap();
    let looker = Looker::new(None);
    let (told, mut tells) = tokio::sync::mpsc::unbounded_channel();
    let mut looks = tokio::task::JoinSet::new();
    for _ in 0..5_000 {
        let (looker, command, told) = (looker.clone(), command.clone(), told.clone());
        looks.spawn(async move {
            looker.look(Look::Script(command), |seen| told.send(seen).unwrap()).await;
        });
    }
    for _ in 0..3 * SCRIPTS_MAX {
        assert!(matches!(tells.recv().await, Some(Seen::Ended(Ended::Status(3)))));
        assert!(children() <= 2 * SCRIPTS_MAX, "{} at once", children());
    }
    // Whoever asked is gone: nothing is begun any more, and nothing that runs goes on.
    looks.abort_all();
    while looks.join_next().await.is_some() {}
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while children() > 0 {
        assert!(std::time::Instant::now() < deadline, "{} are left", children());
        tokio::task::yield_now().await;
    }
}

/// Processes that this one has started and not waited for.
fn children() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let of_task = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).unwrap_or_default();
    tasks.map(of_task).map(|list| list.split_whitespace().count()).sum()
}

#[tokio::test]
async fn files_that_hang_take_no_more_threads_than_they_may() {
    let looker = Looker::new(None);
    let room = Arc::clone(&looker.files).acquire_many_owned(FILES_MAX as u32).await.unwrap();
    let look = Look::File("/".into(), Duration::from_millis(20));
    assert!(matches!(seen(&looker, look.clone()).await, Seen::NoRoom));
    drop(room);
    assert!(matches!(seen(&looker, look).await, Seen::Unclear));
}
