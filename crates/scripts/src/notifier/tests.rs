use std::fs;
use std::io::Read;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

fn script(folder: &Path, name: &str, lines: &str) -> Command {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\ncd {}\n{lines}\n", folder.display())).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    Command { words: vec![path.display().to_string()], user: None, timeout: PATIENCE }
}

fn change(name: &str, state: State, priority: u8, notify: &Notify) -> Change {
    Change { subject: Subject::Vip, name: name.into(), state, priority: Some(priority), notify: notify.clone() }
}

/// All that was noted.
fn said(notes: &mut mpsc::Receiver<Note>) -> Vec<String> {
    std::iter::from_fn(|| notes.try_recv().ok()).map(|note| format!("{}: {}", note.name, note.text)).collect()
}

#[tokio::test]
async fn who_is_told_what_and_in_which_order() {
    let folder = tempfile::tempdir().unwrap();
    let tells = |name: &str, word: &str| Some(script(folder.path(), name, &format!("echo {word} \"$@\" >>told")));
    let notify = Notify {
        active: tells("active", "up"),
        backup: tells("backup", "down"),
        fault: tells("fault", "lame"),
        stop: tells("stop", "gone"),
        any: tells("any", "any"),
        ..Notify::default()
    };
    let (mut notifier, mut notes) = Notifier::new(None, None);
    for (state, priority) in [(State::Backup, 100), (State::Active, 100), (State::Fault, 0), (State::Stop, 90)] {
        notifier.tell(change("VI_1", state, priority, &notify));
    }
    assert!(notifier.finish(PATIENCE).await);
    let group = Change { subject: Subject::Group, ..change("VG_1", State::Active, 254, &notify) };
    notifier.tell(group);
    assert!(notifier.finish(PATIENCE).await);
    // As keepalived calls its notify scripts.
    let expected = "down\nany INSTANCE VI_1 BACKUP 100\nup\nany INSTANCE VI_1 MASTER 100\n\
                    lame\nany INSTANCE VI_1 FAULT 0\ngone\nany INSTANCE VI_1 STOP 90\n\
                    up\nany GROUP VG_1 MASTER 254\n";
    assert_eq!(fs::read_to_string(folder.path().join("told")).unwrap(), expected);
    assert_eq!(said(&mut notes), [""; 0]);
}

#[tokio::test]
async fn backends_and_servers_are_told_with_what_is_written_alone() {
    let folder = tempfile::tempdir().unwrap();
    let tells = |name: &str, word: &str| Some(script(folder.path(), name, &format!("echo {word} \"$@\" >>told")));
    let notify = Notify { up: tells("up", "there"), down: tells("down", "gone"), ..Notify::default() };
    let (mut notifier, mut notes) = Notifier::new(None, None);
    for state in [State::Up, State::Down, State::Active] {
        let (subject, name) = (Subject::Backend, "web".to_owned());
        let change = Change { subject, name, state, priority: None, notify: notify.clone() };
        notifier.tell(change.clone());
        assert!(notifier.finish(PATIENCE).await);
    }
    assert_eq!(fs::read_to_string(folder.path().join("told")).unwrap(), "there\ngone\n");
    let server = Change { subject: Subject::Server, name: "web/a".into(), state: State::Down, priority: None, notify };
    // keepalived: `RS name name DOWN`; a server's name holds its backend's here.
    assert_eq!(server.line(), "RS \"web/a\" DOWN\n");
    assert_eq!(Change { subject: Subject::Backend, state: State::Up, ..server }.line(), "VS \"web/a\" UP\n");
    assert_eq!(said(&mut notes), [""; 0]);
}

#[tokio::test]
async fn a_slow_program_holds_up_its_own_vip_alone_and_loses_the_oldest() {
    let folder = tempfile::tempdir().unwrap();
    let lines = "echo $4 >>told; until [ -e go ]; do sleep 0.01; done";
    let slow = Notify { any: Some(script(folder.path(), "slow", lines)), ..Notify::default() };
    let quick = Notify { any: Some(script(folder.path(), "quick", "echo >quick-told")), ..Notify::default() };
    let (mut notifier, mut notes) = Notifier::new(None, None);
    // One is told of, as many as may wait, and two more.
    for priority in 0..19 {
        notifier.tell(change("slow", State::Backup, priority, &slow));
    }
    notifier.tell(change("quick", State::Backup, 1, &quick));
    let deadline = std::time::Instant::now() + PATIENCE;
    while !folder.path().join("quick-told").exists() {
        assert!(std::time::Instant::now() < deadline, "the slow one holds the quick one up");
        tokio::task::yield_now().await;
    }
    assert!(!notifier.finish(Duration::ZERO).await);
    fs::write(folder.path().join("go"), "").unwrap();
    assert!(notifier.finish(PATIENCE).await);
    let told = fs::read_to_string(folder.path().join("told")).unwrap();
    let expected: Vec<String> = [0].into_iter().chain(3..19).map(|priority: u8| priority.to_string()).collect();
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
    let lost = "slow: nobody was told that it became BACKUP: the programs are slower than the changes";
    assert_eq!(said(&mut notes), [lost; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_program_that_fails_or_hangs_is_told_of_and_the_next_is_run() {
    let folder = tempfile::tempdir().unwrap();
    let active = Some(script(folder.path(), "active", "sleep 1000"));
    let any = Some(Command { words: vec!["/nowhere/at/all".into()], user: None, timeout: PATIENCE });
    let (mut notifier, mut notes) = Notifier::new(None, None);
    notifier.tell(change("a", State::Active, 1, &Notify { active, any, ..Notify::default() }));
    assert!(notifier.finish(10 * PATIENCE).await);
    let program = folder.path().join("active");
    let expected = [
        format!("a: {}, for MASTER: it took longer than 60s and was ended", program.display()),
        "a: /nowhere/at/all, for MASTER: /nowhere is not there".to_owned(),
    ];
    assert_eq!(said(&mut notes), expected);
}

#[tokio::test]
async fn notes_that_nobody_reads_are_dropped() {
    let any = Some(Command { words: vec!["/nowhere/at/all".into()], user: None, timeout: PATIENCE });
    let notify = Notify { any, ..Notify::default() };
    let (mut notifier, mut notes) = Notifier::new(None, None);
    for turn in 0..257 {
        notifier.tell(change(&turn.to_string(), State::Active, 1, &notify));
    }
    assert!(notifier.finish(PATIENCE).await);
    assert_eq!(said(&mut notes).len(), 256);
}

fn read_all(path: &Path) -> String {
    let flags = OFlags::NONBLOCK.bits() as i32;
    let mut reader = fs::OpenOptions::new().read(true).custom_flags(flags).open(path).unwrap();
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    while let Ok(length @ 1..) = reader.read(&mut buffer) {
        text += str::from_utf8(&buffer[..length]).unwrap();
    }
    text
}

#[tokio::test]
async fn readers_of_the_fifo_get_keepalived_s_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    let fifo = Fifo::open(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    let (mut notifier, mut notes) = Notifier::new(None, Some(fifo));
    let nobody = Notify::default();
    notifier.tell(change("VI_1", State::Active, 100, &nobody));
    notifier.tell(Change { subject: Subject::Group, ..change("VG_1", State::Fault, 0, &nobody) });
    assert_eq!(read_all(&path), "INSTANCE \"VI_1\" MASTER 100\nGROUP \"VG_1\" FAULT 0\n");
    // It stays, and so does what was written, until somebody reads.
    notifier.tell(change("VI_1", State::Stop, 100, &nobody));
    notifier.change_fifo(Some(Fifo::open(&path).unwrap()));
    assert_eq!(read_all(&path), "INSTANCE \"VI_1\" STOP 100\n");
    assert_eq!(said(&mut notes), [""; 0]);
}

#[tokio::test]
async fn lines_that_nobody_reads_are_lost_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    let (mut notifier, mut notes) = Notifier::new(None, Some(Fifo::open(&path).unwrap()));
    let told = change("VI_1", State::Backup, 100, &Notify::default());
    let line = "INSTANCE \"VI_1\" BACKUP 100\n";
    // A pipe holds 64 KiB (pipe(7)).
    let fit = 65_536 / line.len();
    let mut lost = 0;
    for _ in 0..fit + 100 {
        notifier.tell(told.clone());
        lost = notifier.lost_lines;
    }
    assert!(lost > 0);
    let [first] = said(&mut notes).try_into().expect("one note of them all");
    assert!(
        first.starts_with(&format!("VI_1: a line did not go into {}, does nobody read it?", path.display())),
        "{first}"
    );
    let kept = read_all(&path);
    assert_eq!(kept.len() / line.len() + usize::try_from(lost).unwrap(), fit + 100);
    assert_eq!(kept.replace(line, ""), "", "whole lines alone");
    notifier.tell(told);
    assert_eq!(read_all(&path), line);
    assert_eq!(said(&mut notes), [format!("VI_1: lines that did not go into {} before: {lost}", path.display())]);
}

#[test]
fn what_is_no_fifo_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let said = |path: PathBuf| Fifo::open(&path).unwrap_err().to_string();
    let file = folder.path().join("file");
    fs::write(&file, "precious").unwrap();
    assert_eq!(said(file.clone()), format!("{} is there and is no FIFO", file.display()));
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    let fifo = folder.path().join("fifo");
    drop(Fifo::open(&fifo).unwrap());
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&fifo, &link).unwrap();
    assert_eq!(said(link.clone()), format!("{} is there and is no FIFO", link.display()));
    let nowhere = folder.path().join("no/fifo");
    let told = said(nowhere.clone());
    assert!(told.starts_with(&format!("{} cannot be made or opened: No such file", nowhere.display())), "{told}");
}
