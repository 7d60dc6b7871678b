//! Programs under test and servers behind them: started on a core, measured, ended.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::machine;

/// How long a program may take to end before it is killed.
const END_LIMIT: Duration = Duration::from_secs(3);

/// A running program with all processes of its group.
#[derive(Debug)]
pub(crate) struct Running {
    name: String,
    child: Child,
}

impl Running {
    /// Starts the command as the leader of a group of its own on a core; what it says goes to `log`.
    pub(crate) fn start(name: &str, mut command: Command, core: usize, log: &Path) -> anyhow::Result<Running> {
        let file = File::create(log).with_context(|| log.display().to_string())?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).process_group(0);
        let child = machine::on_core(core, || command.spawn())?.with_context(|| format!("{name} does not start"))?;
        Ok(Running { name: name.to_owned(), child })
    }

    /// Complains if it has ended.
    pub(crate) fn check(&mut self, log: &Path) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let said = fs::read_to_string(log).unwrap_or_default();
            bail!("{} ended ({status}): {}", self.name, said.trim());
        }
        Ok(())
    }

    /// User and system time that its processes have taken.
    pub(crate) fn processor_time(&self) -> Duration {
        processor_time_of(self.child.id())
    }

    /// Resident memory of its processes together, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let page = rustix::param::page_size() as u64;
        self.family().iter().map(|status| status.pages * page).sum()
    }

    /// Its group and all that descend from it, in whatever group.
    fn family(&self) -> Vec<Status> {
        family(self.child.id())
    }

    /// Sends each of its processes a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        for id in self.family().iter().filter_map(|status| Pid::from_raw(status.id)) {
            // One that has ended needs no signal.
            let _ = kill_process(id, signal);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(Signal::CONT);
        self.signal(Signal::TERM);
        let deadline = Instant::now() + END_LIMIT;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}

/// User and system time that the processes of a group, and all that descend from it, have taken.
pub(crate) fn processor_time_of(group: u32) -> Duration {
    machine::from_ticks(family(group).iter().map(|status| status.ticks).sum())
}

fn family(group: u32) -> Vec<Status> {
    let (mut family, mut others): (Vec<_>, Vec<_>) = statuses().partition(|status| status.group == group);
    loop {
        let is_child = |status: &Status| family.iter().any(|known| known.id == status.parent);
        let (children, rest): (Vec<_>, Vec<_>) = others.into_iter().partition(is_child);
        if children.is_empty() {
            return family;
        }
        family.extend(children);
        others = rest;
    }
}

/// A line of /proc/PID/stat, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
struct Status {
    id: i32,
    parent: i32,
    group: u32,
    ticks: u64,
    pages: u64,
}

fn statuses() -> impl Iterator<Item = Status> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes =
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(|c: char| c.is_ascii_digit()));
    processes.filter_map(|entry| status(&fs::read_to_string(entry.path().join("stat")).ok()?))
}

/// The name, in parentheses, may hold anything: fields are counted from behind it.
fn status(line: &str) -> Option<Status> {
    let fields: Vec<&str> = line[line.rfind(')')? + 1..].split_whitespace().collect();
    let number = |field: usize| fields.get(field).and_then(|word| word.parse::<u64>().ok());
    Some(Status {
        id: line.split(' ').next()?.parse().ok()?,
        parent: i32::try_from(number(1)?).ok()?,
        group: u32::try_from(number(2)?).ok()?,
        ticks: number(11)? + number(12)?,
        pages: number(21)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_line_is_read_behind_its_name() {
        let line =
            "77 (a) b) S 1 76 75 0 -1 4194560 100 0 0 0 250 50 3 4 20 0 1 0 1234 50000000 1217 18446744073709551615";
        assert_eq!(status(line), Some(Status { id: 77, parent: 1, group: 76, ticks: 300, pages: 1217 }));
    }
}
