use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;

/// Scripts of a test.
struct Scripts(tempfile::TempDir);

impl Scripts {
    fn new() -> Scripts {
        let folder = tempfile::tempdir().unwrap();
        // Whoever a script is run as comes in here.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Scripts(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// One of these lines; `HERE` stands for the folder.
    fn script(&self, name: &str, lines: &str) -> Command {
        let path = self.path(name);
        let lines = lines.replace("HERE", &self.0.path().display().to_string());
        fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Command { words: vec![path.display().to_string()], user: None, timeout: Duration::from_secs(60) }
    }
}

/// Waits until a file holds a process's number. Who waits so keeps a paused clock from going on.
async fn number(path: &std::path::Path) -> u32 {
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(number) = fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()) {
            return number;
        }
        assert!(std::time::Instant::now() < deadline, "{} holds no number", path.display());
        tokio::task::yield_now().await;
    }
}

/// Waits until a process is no more, not even as one that nobody has waited for.
async fn gone(number: u32) {
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while fs::exists(format!("/proc/{number}")).unwrap() {
        assert!(std::time::Instant::now() < deadline, "process {number} is still there");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn how_it_ended_and_what_it_said_last() {
    let scripts = Scripts::new();
    let runner = Runner::new(None);
    let table = [
        ("exit 0", "it ended with status 0"),
        ("echo one; echo two >&2; exit 3", "it ended with status 3: two"),
        ("kill -SEGV $$", "it was killed by SIGSEGV"),
        ("kill -40 $$", "it was killed by signal 40"),
        ("echo \"$1-$2\"", "it ended with status 0: a b-"),
        ("read line || echo nothing to read", "it ended with status 0: nothing to read"),
        ("pwd", "it ended with status 0: /"),
        // Nothing of ours is inherited but the descriptor of the output.
        // The shell has its script as 10, and ls the folder as 3.
        ("ls /proc/self/fd | grep -v -x 10 | tr '\\n' ' '", "it ended with status 0: 0 1 2 3"),
        ("yes | head -c 1000000; echo end", "it ended with status 0: end"),
    ];
    for (lines, expected) in table {
        let command = scripts.script("script", lines);
        let run = runner.run(&command, &["a b".to_owned()]).await;
        assert_eq!(run.to_string(), expected, "{lines}");
        assert_eq!(run.ended.is_good(), expected.contains("status 0"));
    }
    let run = runner.run(&scripts.script("script", "env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD="), &[]).await;
    assert_eq!(run.said, format!("PATH={}", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
}

#[tokio::test]
async fn what_it_leaves_behind_holds_nobody_up() {
    let scripts = Scripts::new();
    let command = scripts.script("script", "sleep 1000 &\necho $! >HERE/pid\necho on its way");
    let run = Runner::new(None).run(&command, &[]).await;
    assert_eq!(run.to_string(), "it ended with status 0: on its way");
    let left = number(&scripts.path("pid")).await;
    assert!(fs::exists(format!("/proc/{left}")).unwrap(), "what it leaves behind on purpose goes on");
    let left = rustix::process::Pid::from_raw(left.cast_signed()).unwrap();
    rustix::process::kill_process(left, Signal::KILL).unwrap();
}

/// Runs what hangs, and sees that nothing of it is left.
async fn is_ended_whole(lines: &str, obeys: bool) {
    let scripts = Scripts::new();
    let command = scripts.script("script", lines);
    let runner = Runner::new(None);
    let run = runner.run(&command, &[]);
    let watch = async {
        let own = number(&scripts.path("own")).await;
        let child = number(&scripts.path("child")).await;
        if obeys {
            // Its time is over, and the grace after it is not while somebody waits like this.
            tokio::time::advance(Duration::from_secs(60)).await;
            gone(own).await;
        }
        (own, child)
    };
    let (run, (own, child)) = tokio::join!(run, watch);
    assert_eq!(run.to_string(), "it took longer than 60s and was ended");
    gone(own).await;
    // The child is init's now, or that of whoever takes orphans here: that it has ended is enough.
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while fs::read_to_string(format!("/proc/{child}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(std::time::Instant::now() < deadline, "what it has started goes on");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_is_ended_with_all_that_it_has_started() {
    is_ended_whole("trap '' TERM\nsleep 1000 &\necho $! >HERE/child\necho $$ >HERE/own\nwhile :; do wait; done", false)
        .await;
    // It obeys the request to end, and what it has started does not.
    is_ended_whole(
        "sh -c 'trap \"\" TERM; echo $$ >HERE/child; exec sleep 1000' &\necho $$ >HERE/own\nsleep 1000",
        true,
    )
    .await;
}

#[tokio::test]
async fn who_is_no_longer_wanted_is_ended() {
    let scripts = Scripts::new();
    let command = scripts.script("script", "echo $$ >HERE/own\nsleep 1000");
    let runner = Runner::new(None);
    let run = tokio::spawn(async move { runner.run(&command, &[]).await.to_string() });
    let own = number(&scripts.path("own")).await;
    run.abort();
    assert!(run.await.unwrap_err().is_cancelled());
    gone(own).await;
}

#[tokio::test]
async fn so_many_run_at_once_and_the_next_waits_in_line() {
    let scripts = Scripts::new();
    let runner = Runner::new(None);
    let waiting = scripts.script("waiting", "echo $$ >HERE/own-$1\nuntil [ -e HERE/go ]; do sleep 0.01; done");
    let mut runs = Vec::new();
    for turn in 0..SCRIPTS_MAX {
        let (runner, command) = (runner.clone(), waiting.clone());
        runs.push(tokio::spawn(async move { runner.run(&command, &[turn.to_string()]).await.ended.is_good() }));
    }
    for turn in 0..SCRIPTS_MAX {
        number(&scripts.path(&format!("own-{turn}"))).await;
    }
    assert_eq!(runner.room.available_permits(), 0);
    let next = scripts.script("next", "echo $$ >HERE/own-next");
    let one_more = tokio::spawn({
        let runner = runner.clone();
        async move { runner.run(&next, &[]).await.ended.is_good() }
    });
    tokio::task::yield_now().await;
    assert!(!scripts.path("own-next").exists());
    fs::write(scripts.path("go"), "").unwrap();
    for run in runs {
        assert!(run.await.unwrap());
    }
    assert!(one_more.await.unwrap());
    assert_eq!(runner.room.available_permits(), SCRIPTS_MAX);
}

#[tokio::test]
async fn what_is_unfit_is_not_begun() {
    let scripts = Scripts::new();
    let runner = Runner::new(Some("no-such-user-here".into()));
    let mut command = scripts.script("script", "touch HERE/begun");
    let said = async |command: &Command| runner.run(command, &[]).await.to_string();
    assert_eq!(said(&command).await, "this system has no user no-such-user-here");
    command.words[0] += "-absent";
    let runner = Runner::new(None);
    let run = runner.run(&command, &[]).await;
    assert_eq!(run.to_string(), format!("{} is not there", command.words[0]));
    assert!(matches!(run.ended, Ended::Unfit(_)) && !run.ended.is_good());
    // What the system cannot execute it says itself.
    let command = scripts.script("script", "");
    fs::write(&command.words[0], "#!/nowhere/sh\n").unwrap();
    let run = runner.run(&command, &[]).await;
    let expected = "cannot be started: No such file or directory (os error 2)";
    assert_eq!(run.to_string(), format!("{} {expected}", command.words[0]));
    assert!(!scripts.path("begun").exists());
}

#[tokio::test]
async fn what_is_being_written_is_tried_for_a_while() {
    let scripts = Scripts::new();
    let command = scripts.script("script", "echo here I am");
    let writer = fs::OpenOptions::new().append(true).open(&command.words[0]).unwrap();
    let run = Runner::new(None).run(&command, &[]).await;
    assert_eq!(run.to_string(), format!("{} cannot be started: Text file busy (os error 26)", command.words[0]));
    drop(writer);
    assert_eq!(Runner::new(None).run(&command, &[]).await.said, "here I am");
}

#[tokio::test]
async fn root_runs_it_as_the_user_in_that_ones_groups() {
    if !geteuid().is_root() {
        eprintln!("SKIPPED: only root can run a program as another user");
        return;
    }
    let scripts = Scripts::new();
    let nobody = linux::User::named("nobody").unwrap().unwrap();
    let mut command =
        scripts.script("script", "id -u; id -g; id -G; id -u | tr '\\n' ' '; id -g | tr '\\n' ' '; id -G");
    let groups: Vec<String> = nobody.groups.iter().map(u32::to_string).collect();
    let expected = format!("{} {} {}", nobody.uid, nobody.gid, groups.join(" "));
    assert_eq!(Runner::new(Some("nobody".into())).run(&command, &[]).await.said, expected);
    command.user = Some("root".into());
    let run = Runner::new(Some("nobody".into())).run(&command, &[]).await;
    assert!(run.said.starts_with("0 0 "), "{run}");
}

#[test]
fn a_configuration_s_programs_are_looked_at_before_they_are_needed() {
    let scripts = Scripts::new();
    let fine = scripts.script("fine", "");
    let open = scripts.script("open", "");
    fs::set_permissions(&open.words[0], fs::Permissions::from_mode(0o777)).unwrap();
    let watch = |what| Watch { key: "x".into(), what, interval: GRACE, rise: 1, fall: 1 };
    let watches =
        [watch(What::Script(fine.clone())), watch(What::Script(open.clone())), watch(What::File("/nowhere".into()))];
    let notify = Notify { active: Some(fine.clone()), any: Some(open.clone()), ..Notify::default() };
    assert!(check(None, &watches[..1], []).is_ok());
    let unfit = check(None, &watches, [&notify]).unwrap_err();
    let commands: Vec<&Command> = unfit.iter().map(|(command, _)| *command).collect();
    assert_eq!(commands, [&open, &open]);
    assert!(unfit[0].1.to_string().starts_with(&format!("{} could be changed by everybody", open.words[0])));
    let unfit = check(Some("no-such-user-here"), &watches[..1], []).unwrap_err();
    assert_eq!(unfit[0].1.to_string(), "this system has no user no-such-user-here");
}
