//! Programs that serve beside this one: as somebody else, within limits, and without anything of this one's.

use std::fs::Permissions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
use rustix::process::{Resource, Rlimit, Signal, getppid, set_parent_process_death_signal, setrlimit, setsid, umask};
use rustix::thread::{CapabilitySet, CapabilitySets, clear_ambient_capability_set, set_capabilities, set_no_new_privs};

use crate::User;
use crate::process::{become_user, close_from_third, empty_bounding_set};

/// Connections that may wait until a program accepts them; the kernel clamps it to net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// What a confined program makes is its own to write, and everybody's to read.
const UMASK: u32 = 0o022;

/// What a program gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confinement {
    /// Whom it runs as, in all of the user's groups and in no other; `None`: as this process. Only root can become
    /// somebody else.
    pub user: Option<User>,
    /// Address space, in bytes (RLIMIT_AS).
    pub memory: Option<u64>,
    /// Open descriptors (RLIMIT_NOFILE).
    pub files: u64,
    /// Seconds of processor time, after which it is ended (RLIMIT_CPU).
    pub cpu_seconds: Option<u64>,
}

/// Has a program run in a session of its own, within these limits, with no descriptor but its standard ones, no
/// capability, not even as root, and no way to any (no_new_privs). It gets SIGTERM when the thread that starts it ends:
/// that is to be the main thread. A refusal is an error of the program's start.
pub fn confine(command: &mut Command, to: &Confinement) {
    let Confinement { user, memory, files, cpu_seconds } = to.clone();
    let parent = rustix::process::getpid();
    let root = rustix::process::geteuid().is_root();
    let confine = move || {
        close_from_third();
        setsid()?;
        umask(Mode::from_raw_mode(UMASK));
        limit(Resource::Core, Some(0))?;
        limit(Resource::As, memory)?;
        limit(Resource::Nofile, Some(files))?;
        limit(Resource::Cpu, cpu_seconds)?;
        if root {
            empty_bounding_set()?;
        }
        if let Some(user) = &user {
            become_user(user)?;
        }
        clear_ambient_capability_set()?;
        let none = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
        set_no_new_privs(true)?;
        // A change of user clears it, so it comes after that.
        set_parent_process_death_signal(Some(Signal::TERM))?;
        match getppid() {
            Some(now) if now == parent => Ok(()),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    };
    // SAFETY: the closure makes system calls alone: it neither allocates nor takes a lock, and it touches no memory but
    // its own, which was copied by the fork.
    unsafe { command.pre_exec(confine) };
}

fn limit(resource: Resource, to: Option<u64>) -> io::Result<()> {
    match to {
        Some(_) => Ok(setrlimit(resource, Rlimit { current: to, maximum: to })?),
        None => Ok(()),
    }
}

/// A listening unix socket at `path` for a confined program, which accepts blockingly: only `owner` may connect, or
/// if there is none whoever this is. Closed on exec here. The folder is to be nobody else's to write.
///
/// # Errors
/// If something is there already, or the path is longer than the kernel takes (107 bytes).
pub fn listen_for(path: &Path, owner: Option<&User>) -> io::Result<OwnedFd> {
    let address = SocketAddrUnix::new(path)?;
    let fd = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&fd, &address)?;
    // Nobody can connect before `listen`, so the permissions are never wider than these.
    let opened = std::fs::set_permissions(path, Permissions::from_mode(0o600))
        .and_then(|()| owner.map_or(Ok(()), |user| std::os::unix::fs::chown(path, Some(user.uid), Some(user.gid))))
        .and_then(|()| Ok(listen(&fd, BACKLOG)?));
    match opened {
        Ok(()) => Ok(fd),
        Err(error) => {
            let _ = std::fs::remove_file(path);
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::process::Stdio;

    use super::*;

    fn confined(text: &str, to: &Confinement) -> String {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", text]).stdin(Stdio::null()).stdout(Stdio::piped());
        confine(&mut command, to);
        let mut child = command.spawn().unwrap();
        let mut said = String::new();
        child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        child.wait().unwrap();
        said
    }

    #[test]
    fn a_confined_program_has_its_limits_and_no_privilege() {
        let to = Confinement { user: None, memory: Some(1 << 30), files: 77, cpu_seconds: Some(5) };
        let said = confined("ulimit -v; ulimit -n; ulimit -t; ulimit -c; umask; ls /proc/self/fd | wc -l", &to);
        // `ls` itself has the folder open beside the three; a shell tells address space in KiB.
        assert_eq!(said.split_whitespace().collect::<Vec<_>>(), ["1048576", "77", "5", "0", "0022", "4"]);
        let said = confined("grep -E '^(Cap(Prm|Eff|Bnd|Amb|Inh)|NoNewPrivs)' /proc/self/status", &to);
        let values: Vec<&str> = said.lines().map(|line| line.split_whitespace().nth(1).unwrap()).collect();
        let nothing = "0000000000000000";
        // Only root can empty the bounding set.
        let bounding = if rustix::process::geteuid().is_root() { nothing } else { values[3] };
        assert_eq!(values, [nothing, nothing, nothing, bounding, nothing, "1"]);
        let said = confined("cut -d' ' -f1,5,6 /proc/$$/stat", &to);
        let numbers: Vec<&str> = said.split_whitespace().collect();
        assert_eq!([numbers[1], numbers[2]], [numbers[0]; 2], "its own group and session");
    }

    #[test]
    fn a_socket_for_a_program_is_its_callers_alone_and_at_most_once_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let socket = listen_for(&path, None).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!rustix::fs::fcntl_getfl(&socket).unwrap().contains(rustix::fs::OFlags::NONBLOCK));
        UnixStream::connect(&path).unwrap();
        assert_eq!(listen_for(&path, None).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert!(listen_for(&folder.path().join("x".repeat(108)), None).is_err());
    }
}
