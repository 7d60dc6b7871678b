//! A program that serves requests on a socket that it is handed, as FastCGI has it.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use linux::Confinement;

use crate::process::PATH;
use crate::runner::runs_as;
use crate::{Unfit, path};

/// A program of which some processes serve, all on one socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// Unique; the word in the logs, the events and the metrics.
    pub name: String,
    /// What is run.
    pub program: Program,
    /// Whom it runs as; `None`: whoever the service is started as, which must not be root.
    pub user: Option<String>,
    /// How many processes; at least 1.
    pub processes: u16,
    /// Beside `PATH`.
    pub environment: Vec<(String, String)>,
    /// Where it begins.
    pub directory: PathBuf,
    /// Of each process.
    pub limits: AppLimits,
    /// From the request to end (SIGTERM) to the end by force (SIGKILL).
    pub stop_timeout: Duration,
}

/// What is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// An absolute path, and then its arguments.
    Command(Vec<String>),
    /// This very program, with these arguments.
    Own(Vec<String>),
}

/// What a process may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppLimits {
    /// Address space, in bytes.
    pub memory: Option<u64>,
    /// Open descriptors.
    pub files: u64,
    /// Processor time; then it is ended.
    pub cpu_time: Option<Duration>,
}

/// Looks at whether somebody else than root and `user` could have changed a program, whose path is absolute, and whether
/// `user` may execute it.
///
/// # Errors
/// If one could, or may not.
pub fn check_program(program: &Path, user: &linux::User) -> Result<(), Unfit> {
    path::check(program, user)
}

/// A process that was started; whoever has it waits for its end.
#[derive(Debug)]
pub struct Launched {
    /// Its id, and that of its session and process group.
    pub pid: u32,
    /// What it says: its standard output and errors. Does not wait.
    pub output: OwnedFd,
}

impl App {
    /// Whether its processes are the same as another's, however many there are and whatever it is called.
    pub fn runs_as(&self, other: &App) -> bool {
        let App { name, processes, stop_timeout, .. } = self;
        *self == App { name: name.clone(), processes: *processes, stop_timeout: *stop_timeout, ..other.clone() }
    }

    /// What is run, for people.
    pub fn words(&self) -> String {
        match &self.program {
            Program::Command(words) => words.join(" "),
            Program::Own(words) => format!("perron {}", words.join(" ")),
        }
    }

    /// Looks at whether it would be run.
    ///
    /// # Errors
    /// If somebody else than root and its user could have changed the program, its user does not exist or may not
    /// execute it, or nobody is named and it would be root.
    pub fn check(&self) -> Result<(), Unfit> {
        let (user, _) = self.runner()?;
        match &self.program {
            Program::Command(words) => path::check(Path::new(&words[0]), &user),
            Program::Own(_) => Ok(()),
        }
    }

    /// Starts a process whose standard input is `socket`; `own` is this program. To be called by the main thread.
    ///
    /// # Errors
    /// If it is not to be run, or the system does not start it.
    pub fn launch(&self, socket: BorrowedFd<'_>, own: &Path) -> Result<Launched, Unfit> {
        let (user, other) = self.runner()?;
        let (program, arguments) = match &self.program {
            Program::Command(words) => {
                path::check(Path::new(&words[0]), &user)?;
                (Path::new(&words[0]), &words[1..])
            }
            Program::Own(words) => (own, &words[..]),
        };
        let confinement = Confinement {
            user: other.then_some(user),
            memory: self.limits.memory,
            files: self.limits.files,
            cpu_seconds: self.limits.cpu_time.map(|time| time.as_secs().max(1)),
        };
        self.spawn(program, arguments, socket, &confinement)
            .map_err(|source| Unfit::Start { path: program.to_owned(), source })
    }

    fn runner(&self) -> Result<(linux::User, bool), Unfit> {
        if self.user.is_none() && rustix::process::geteuid().is_root() {
            return Err(Unfit::Unnamed);
        }
        runs_as(self.user.as_deref())
    }

    fn spawn(
        &self,
        program: &Path,
        arguments: &[String],
        socket: BorrowedFd<'_>,
        confinement: &Confinement,
    ) -> io::Result<Launched> {
        let (output, writer) = io::pipe()?;
        let output = OwnedFd::from(output);
        rustix::fs::fcntl_setfl(&output, rustix::fs::fcntl_getfl(&output)? | rustix::fs::OFlags::NONBLOCK)?;
        let mut command = Command::new(program);
        if let Program::Own(words) = &self.program {
            command.arg0(format!("perron: {}", words.first().map_or("application", String::as_str)));
        }
        command.args(arguments).env_clear().env("PATH", PATH).current_dir(&self.directory);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::from(socket.try_clone_to_owned()?)).stdout(writer.try_clone()?).stderr(writer);
        linux::confine(&mut command, confinement);
        Ok(Launched { pid: command.spawn()?.id(), output })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use rustix::process::{Pid, Signal, WaitOptions, geteuid, kill_process_group, waitpid};

    use super::*;

    fn app(words: &[&str]) -> App {
        let user = linux::User::named("daemon").unwrap().filter(|_| geteuid().is_root()).map(|user| user.name);
        App {
            name: "a".to_owned(),
            program: Program::Command(words.iter().map(|&word| word.to_owned()).collect()),
            user,
            processes: 1,
            environment: vec![("COLOUR".to_owned(), "blue".to_owned())],
            directory: "/".into(),
            limits: AppLimits { memory: None, files: 64, cpu_time: None },
            stop_timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn a_process_accepts_on_its_standard_input_as_its_user_and_says_what_it_says_into_the_pipe() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let socket = linux::listen_for(&path, None).unwrap();
        let text = "import os, socket\n\
                    listener = socket.socket(fileno=0)\n\
                    peer, _ = listener.accept()\n\
                    peer.sendall(peer.recv(5) + b' ' + str(os.getuid()).encode() + b' ' + os.environ['COLOUR'].encode())\n\
                    os.write(2, b'was here\\n')\n";
        let app = app(&["/usr/bin/python3", "-c", text]);
        app.check().unwrap();
        let launched = app.launch(socket.as_fd(), Path::new("/proc/self/exe")).unwrap();
        let mut client = UnixStream::connect(&path).unwrap();
        client.write_all(b"hello").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        let uid = app.user.as_deref().map_or(geteuid().as_raw(), |name| linux::User::named(name).unwrap().unwrap().uid);
        assert_eq!(answer, format!("hello {uid} blue"));
        let pid = Pid::from_raw(launched.pid.cast_signed()).unwrap();
        waitpid(Some(pid), WaitOptions::empty()).unwrap();
        let mut said = [0; 64];
        let length = rustix::io::read(&launched.output, &mut said).unwrap();
        assert_eq!(&said[..length], b"was here\n");
    }

    #[test]
    fn a_process_leads_its_group() {
        let app = app(&["/bin/sleep", "1000"]);
        let (_, socket) = UnixStream::pair().unwrap();
        let launched = app.launch(socket.as_fd(), Path::new("/proc/self/exe")).unwrap();
        let pid = Pid::from_raw(launched.pid.cast_signed()).unwrap();
        kill_process_group(pid, Signal::KILL).unwrap();
        waitpid(Some(pid), WaitOptions::empty()).unwrap();
    }

    #[test]
    fn nobody_runs_as_root_unless_that_is_written() {
        if !geteuid().is_root() {
            eprintln!("SKIPPED: only root could start it as root");
            return;
        }
        let unnamed = App { user: None, ..app(&["/bin/true"]) };
        assert!(matches!(unnamed.check(), Err(Unfit::Unnamed)));
        App { user: Some("root".to_owned()), ..unnamed }.check().unwrap();
    }

    #[test]
    fn a_program_that_another_could_change_is_not_run() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let (_, socket) = UnixStream::pair().unwrap();
        let refused = app(&[path.to_str().unwrap()]).launch(socket.as_fd(), Path::new("/")).unwrap_err();
        assert!(refused.to_string().contains(path.to_str().unwrap()), "{refused}");
    }

    #[test]
    fn what_changes_processes_is_not_their_number() {
        let one = app(&["/bin/true"]);
        assert!(one.runs_as(&App { processes: 9, stop_timeout: Duration::from_secs(9), ..one.clone() }));
        assert!(!one.runs_as(&App { directory: "/tmp".into(), ..one.clone() }));
        assert!(!one.runs_as(&app(&["/bin/true", "x"])));
    }
}
