use super::*;
use crate::hung::HungMount;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

fn health(files: &Path, timeout: Duration) -> Health {
    Health::new(HealthConfig { files: files.to_owned(), timeout })
}

/// Asks until the verdict is known, as a caller does.
fn settled(mut check: impl FnMut() -> Verdict) -> Verdict {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match check() {
            Verdict::Pending => assert!(Instant::now() < deadline, "the verdict stays pending"),
            verdict => return verdict,
        }
        thread::yield_now();
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::yield_now();
    }
}

#[test]
fn a_tree_that_can_be_read_is_ok_and_then_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    let health = health(&tree, Duration::from_secs(5));
    assert!(matches!(settled(|| health.check()), Verdict::Ok { .. }), "an empty folder");
    std::fs::write(tree.join("file"), "x").unwrap();
    std::fs::remove_dir_all(&tree).unwrap();
    let gone =
        |verdict| matches!(verdict, Verdict::Failed { step: Step::Open, reason } if reason.contains("os error 2"));
    until("the loss is not seen", || gone(health.check()));
    std::fs::create_dir(&tree).unwrap();
    until("the return is not seen", || matches!(health.check(), Verdict::Ok { .. }));
}

#[test]
fn each_step_looks_at_the_tree() {
    let folder = tempfile::tempdir().unwrap();
    let steps = |path: &Path| {
        let steps = Mutex::new(vec![Step::Open]);
        let outcome = look(path, &|step| steps.lock().unwrap().push(step));
        (outcome, steps.into_inner().unwrap())
    };
    assert_eq!(steps(folder.path()), (Ok(()), vec![Step::Open, Step::Status, Step::List]));
    rustix::fs::mknodat(CWD, folder.path().join("fifo"), FileType::Fifo, 0o644.into(), 0).unwrap();
    assert_eq!(steps(folder.path()), (Ok(()), vec![Step::Open, Step::Status, Step::List]));
    std::fs::write(folder.path().join("file"), "x").unwrap();
    assert_eq!(steps(folder.path()), (Ok(()), vec![Step::Open, Step::Status, Step::List, Step::Read]));
    assert_eq!(steps(&folder.path().join("file")), (Err(Errno::NOTDIR), vec![Step::Open]));
}

#[test]
fn a_look_that_hangs_is_told_and_never_doubled() {
    let health = health(Path::new("/"), Duration::from_millis(30));
    let looks = Arc::new(AtomicUsize::new(0));
    let (release, held) = mpsc::channel::<()>();
    let counted = Arc::clone(&looks);
    let mut held = Some(held);
    let mut look: Option<Look> = Some(Box::new(move |at| {
        counted.fetch_add(1, Ordering::SeqCst);
        at(Step::List);
        held.take().map(|held| held.recv());
        Ok(())
    }));
    let mut check = || health.check_with(|| look.take().expect("one thread for a tree"));
    assert!(matches!(settled(&mut check), Verdict::Hung { step: Step::List, .. }));
    for _ in 0..1000 {
        assert!(matches!(check(), Verdict::Hung { .. }));
    }
    assert_eq!(looks.load(Ordering::SeqCst), 1);
    release.send(()).unwrap();
    until("the thread does not go on", || matches!(check(), Verdict::Ok { .. }));
    assert!(looks.load(Ordering::SeqCst) >= 2);
}

#[test]
fn findings_age_and_nobody_is_served_an_old_one() {
    let timeout = Duration::from_secs(2);
    let start = Instant::now();
    let at = |millis| start + Duration::from_millis(millis);
    let ok = Verdict::Ok { took: Duration::from_millis(3) };
    let mut state = State { last: Some((start, ok.clone())), ..State::default() };
    assert_eq!(state.verdict(at(1000), timeout), ok);
    assert_eq!(state.verdict(at(1001), timeout), Verdict::Pending);
    state.current = Some((at(500), Step::Read));
    assert_eq!(state.verdict(at(900), timeout), ok);
    assert_eq!(state.verdict(at(2499), timeout), Verdict::Pending);
    assert_eq!(state.verdict(at(2500), timeout), Verdict::Hung { step: Step::Read, since: Duration::from_secs(2) });
    assert_eq!(state.due(at(0)), None);
    state.last_asked = Some(start);
    assert_eq!(state.due(at(0)), Some(start));
    state.last_began = Some(at(100));
    assert_eq!(state.due(at(200)), Some(at(600)));
    assert_eq!(state.due(at(3001)), None);
}

#[test]
fn a_hung_mount_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mount) = HungMount::new(folder.path()) else {
        return;
    };
    let health = health(folder.path(), Duration::from_millis(50));
    assert!(matches!(settled(|| health.check()), Verdict::Hung { .. }));
    drop(mount);
    until("the mount's end is not seen", || !matches!(health.check(), Verdict::Hung { .. } | Verdict::Pending));
}

#[test]
fn answers_are_json_and_say_what_is_wrong() {
    let health = health(Path::new("/srv/x"), Duration::from_secs(2));
    let answer = |verdict: Verdict, is_head: bool| {
        let mut out = Vec::new();
        let answer = health.answer(&verdict, is_head, b"", b"Connection: close\r\n", None, &mut out);
        (answer.status, String::from_utf8(out).unwrap())
    };
    let millis = Duration::from_millis;
    let expected = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 45\r\n\
        Cache-Control: no-store\r\n\r\n";
    let body = "{\"status\":\"ok\",\"files\":\"/srv/x\",\"took_ms\":3}\n";
    assert_eq!(answer(Verdict::Ok { took: millis(3) }, false), (200, format!("{expected}{body}")));
    assert_eq!(answer(Verdict::Ok { took: millis(3) }, true), (200, expected.to_owned()));
    let mut out = Vec::new();
    let load = LoadReport { sent: 5_000_000_000, left: 300, requests: 2 };
    health.answer(&Verdict::Ok { took: millis(3) }, true, b"", b"", Some(&load), &mut out);
    let head = String::from_utf8(out).unwrap();
    assert!(head.ends_with("\r\nPerron-Load: sent=5000000000, left=300, requests=2\r\n\r\n"), "{head}");
    let (status, text) = answer(Verdict::Hung { step: Step::Status, since: millis(2100) }, false);
    assert!(
        status == 503
            && text.ends_with("{\"status\":\"hung\",\"files\":\"/srv/x\",\"step\":\"status\",\"since_ms\":2100}\n")
    );
    let (status, text) = answer(Verdict::Failed { step: Step::Open, reason: "no \"x\"".into() }, false);
    let end = "{\"status\":\"failed\",\"files\":\"/srv/x\",\"step\":\"open\",\"reason\":\"no \\\"x\\\"\"}\n";
    assert!(status == 503 && text.ends_with(end), "{text}");
    let (status, text) = answer(Verdict::Pending, false);
    assert!(status == 503 && text.ends_with("{\"status\":\"hung\",\"files\":\"/srv/x\"}\n"), "{text}");
}
