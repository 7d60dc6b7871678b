//! A program that answers one request.

use std::io;
use std::os::fd::OwnedFd;
use std::process::Stdio;

use fcgi_proto::Given;
use linux::{Confinement, User};
use rustix::process::{Pid, Signal, getegid, geteuid, getgroups, kill_process_group};
use scripts::Unfit;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::process::{Child, Command};

use super::Bridge;
use super::locate::{Found, variables};

/// A program that runs. Dropped, it is ended by force, with all that it has started and that has not left its session.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) child: Child,
    /// `None`: it was ended, and the number may be another's.
    group: Option<Pid>,
    /// `None`: the body is over, or the program wants no more of it.
    pub(super) input: Option<Sender>,
    pub(super) output: Receiver,
    pub(super) errors: Receiver,
}

impl Script {
    /// Starts it, with the standard input, output and errors of a CGI program.
    ///
    /// # Errors
    /// If it is not to be run, or the system does not start it.
    pub(super) fn start(found: &Found, given: &Given, bridge: &Bridge) -> Result<Script, Unfit> {
        scripts::check_program(&found.file, &own_user())?;
        Script::spawn(found, given, bridge).map_err(|source| Unfit::Start { path: found.file.clone(), source })
    }

    fn spawn(found: &Found, given: &Given, bridge: &Bridge) -> io::Result<Script> {
        let (theirs, input) = io::pipe()?;
        let (output, stdout) = io::pipe()?;
        let (errors, stderr) = io::pipe()?;
        let mut command = std::process::Command::new(&found.file);
        command.envs(variables(given, found)).stdin(Stdio::from(theirs)).stdout(stdout).stderr(stderr);
        if let Some(folder) = found.file.parent() {
            // RFC 3875 §7.2: where the program is.
            command.current_dir(folder);
        }
        let Bridge { memory, files, cpu_seconds, .. } = *bridge;
        linux::confine(&mut command, &Confinement { user: None, memory, files, cpu_seconds });
        let mut child = Command::from(command).kill_on_drop(true).spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed())).ok_or(io::ErrorKind::InvalidData)?;
        let pipes = || -> io::Result<_> {
            let input = Sender::from_owned_fd(OwnedFd::from(input))?;
            Ok((input, Receiver::from_owned_fd(output.into())?, Receiver::from_owned_fd(errors.into())?))
        };
        match pipes() {
            Ok((input, output, errors)) => Ok(Script { child, group: Some(group), input: Some(input), output, errors }),
            Err(error) => {
                let _ = child.start_kill();
                Err(error)
            }
        }
    }

    /// Ends what it has started and left behind.
    pub(super) fn end(&mut self) {
        if let Some(group) = self.group.take() {
            // Its number is its session's as long as anything is left of that.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whom programs are run as: as whoever this is.
fn own_user() -> User {
    let uid = geteuid().as_raw();
    let groups = getgroups().unwrap_or_default().iter().map(|group| group.as_raw()).collect();
    User { name: format!("user {uid}"), uid, gid: getegid().as_raw(), groups }
}
