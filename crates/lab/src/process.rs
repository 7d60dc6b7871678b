//! A program on a host: its output in files, its end with the value.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::{eventually, wait_for};

/// How long a program that is run to its end may take.
const RUN_LIMIT: Duration = Duration::from_secs(60);

/// How much of a log a failure shows.
const SHOWN_BYTES: usize = 4096;

/// A running program, leader of a process group of its own. Dropping it kills the group.
#[derive(Debug)]
pub struct Process {
    label: String,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// What a program that ended left.
#[derive(Debug)]
pub struct Output {
    label: String,
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: String,
}

impl Process {
    /// Starts the command from this thread, so in its namespace; `log` is the path of its output files without their extension.
    pub(crate) fn start(mut command: Command, label: String, log: PathBuf) -> io::Result<Process> {
        let (stdout, stderr) = (log.with_extension("out"), log.with_extension("err"));
        command.stdout(File::create(&stdout)?).stderr(File::create(&stderr)?).process_group(0);
        Ok(Process { child: command.spawn()?, label, stdout, stderr })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends the process, not its children, a signal.
    pub fn signal(&self, signal: Signal) {
        // One that has ended needs no signal.
        let _ = kill_process(self.pid(), signal);
    }

    /// Kills it and its children at once.
    pub fn kill(&mut self) {
        let _ = kill_process_group(self.pid(), Signal::KILL);
        let _ = self.child.wait();
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it does not come in time.
    #[track_caller]
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        wait_for(limit, &format!("{} ends", self.label), || !matches!(self.child.try_wait(), Ok(None)));
        self.child.wait().expect("it was just seen to have ended")
    }

    /// Waits a minute at most for its end, and collects what it wrote.
    #[track_caller]
    pub fn output(mut self) -> Output {
        let status = self.wait(RUN_LIMIT);
        Output {
            label: self.label.clone(),
            code: status.code(),
            stdout: fs::read(&self.stdout).unwrap_or_default(),
            stderr: lossy(&self.stderr),
        }
    }

    /// What it wrote to its standard output so far.
    pub fn stdout(&self) -> String {
        lossy(&self.stdout)
    }

    /// What it wrote to its standard error so far.
    pub fn stderr(&self) -> String {
        lossy(&self.stderr)
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let ended = self.child.try_wait().ok().flatten();
        // The group outlives its leader as long as a child is in it.
        let _ = kill_process_group(self.pid(), Signal::KILL);
        eventually(RUN_LIMIT, || !matches!(self.child.try_wait(), Ok(None)));
        if std::thread::panicking() {
            let end = ended.map_or("ran until now".to_owned(), |status| format!("ended before: {status}"));
            eprintln!("---- {} ({end})\n{}{}", self.label, tail(&self.stdout()), tail(&self.stderr()));
        }
    }
}

impl Output {
    /// Itself, if the program ended well.
    ///
    /// # Panics
    /// If it did not, with what it wrote.
    #[track_caller]
    pub fn success(self) -> Output {
        let written = String::from_utf8_lossy(&self.stdout);
        assert_eq!(self.code, Some(0), "{} ended badly: {}{}", self.label, tail(&written), tail(&self.stderr));
        self
    }

    /// Its standard output as text, if it ended well.
    #[track_caller]
    pub fn text(self) -> String {
        String::from_utf8_lossy(&self.success().stdout).into_owned()
    }
}

/// The process ids of a process's children that have not ended.
pub fn children_of(parent: u32) -> Vec<u32> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // The name, in parentheses, may hold anything; state and parent follow its last one.
            let mut after_name = stat.rsplit(") ").next().unwrap_or_default().split(' ');
            after_name.next() != Some("Z") && after_name.next() == Some(&parent.to_string())
        })
        .collect()
}

fn lossy(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

fn tail(text: &str) -> &str {
    let mut start = text.len().saturating_sub(SHOWN_BYTES);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}
