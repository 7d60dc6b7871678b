use std::ffi::{CStr, CString};
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;

use rustix::net::sockopt;
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, getrlimit, set_dumpable_behavior, set_parent_process_death_signal,
    setrlimit,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, remove_capability_from_bounding_set,
    set_capabilities, set_keep_capabilities, set_no_new_privs,
};

/// Answers of the user database larger than this are given up.
const PASSWD_MAX: usize = 1 << 20;

/// Supplementary groups beyond this are left out; the kernel's own limit (NGROUPS_MAX) is 65536.
const GROUPS_MAX: usize = 1024;

/// Capabilities are numbered from 0; the last is told by /proc/sys/kernel/cap_last_cap and cannot be over 63.
const CAPABILITIES: u32 = 64;

/// A user of this system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The user id.
    pub uid: u32,
    /// The primary group.
    pub gid: u32,
    /// All groups, the primary one among them.
    pub groups: Vec<u32>,
}

/// Who is at the other end of a unix socket, as of its connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The process.
    pub pid: u32,
    /// The effective user id.
    pub uid: u32,
    /// The effective group id.
    pub gid: u32,
    /// The supplementary groups.
    pub groups: Vec<u32>,
}

/// A step of giving up privileges that the kernel refused.
#[derive(Debug)]
pub struct PrivilegeError {
    step: &'static str,
    source: io::Error,
}

impl fmt::Display for PrivilegeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "cannot {}: {}", self.step, self.source)
    }
}

impl std::error::Error for PrivilegeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl User {
    /// The user called `name`; `None` if there is none.
    ///
    /// # Errors
    /// If the user database cannot be read.
    pub fn named(name: &str) -> io::Result<Option<User>> {
        let Ok(c_name) = CString::new(name) else {
            return Ok(None);
        };
        let mut buffer = vec![0 as libc::c_char; 4096];
        loop {
            // SAFETY: all zeroes is a valid `passwd`: integers and null pointers.
            let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
            let mut found: *mut libc::passwd = ptr::null_mut();
            // SAFETY: every pointer is to a live local; the buffer is as long as is said.
            let result =
                unsafe { libc::getpwnam_r(c_name.as_ptr(), &mut entry, buffer.as_mut_ptr(), buffer.len(), &mut found) };
            match result {
                libc::ERANGE if buffer.len() < PASSWD_MAX => buffer.resize(buffer.len() * 4, 0),
                0 if found.is_null() => return Ok(None),
                0 => {
                    let (uid, gid) = (entry.pw_uid, entry.pw_gid);
                    let groups = group_list(&c_name, gid);
                    return Ok(Some(User { name: name.to_owned(), uid, gid, groups }));
                }
                // What getpwnam_r(3) lists as "not found" beside 0.
                libc::ENOENT | libc::ESRCH => return Ok(None),
                errno => return Err(io::Error::from_raw_os_error(errno)),
            }
        }
    }
}

/// Gives up every privilege for good: becomes `user` if one is given, clears every capability set (the bounding set
/// too), forbids new ones through exec, and denies other processes of that user a look into the memory.
///
/// To be called before a second thread is started: some of this holds for the calling thread and its children only.
///
/// # Errors
/// If the kernel refuses a step that matters; the process must not go on then.
pub fn drop_privileges(user: Option<&User>) -> Result<(), PrivilegeError> {
    drop_privileges_except(user, CapabilitySet::empty())
}

/// Like [`drop_privileges`], but for these capabilities, which the process keeps and whatever it runs does not have.
///
/// # Errors
/// If the kernel refuses a step that matters, as it does when one of these capabilities is not held; the process must not
/// go on then.
pub fn drop_privileges_except(user: Option<&User>, kept: CapabilitySet) -> Result<(), PrivilegeError> {
    if rustix::process::geteuid().is_root() {
        step("empty the capability bounding set", empty_bounding_set())?;
    }
    step("keep capabilities beyond the change of user", set_keep_capabilities(!kept.is_empty()))?;
    if let Some(user) = user {
        step("set the groups", set_groups(&user.groups))?;
        // SAFETY: a plain system call on integers.
        let result = unsafe { libc::setresgid(user.gid, user.gid, user.gid) };
        step("become the group", checked(result))?;
        // SAFETY: a plain system call on integers.
        let result = unsafe { libc::setresuid(user.uid, user.uid, user.uid) };
        step("become the user", checked(result))?;
    }
    step("clear the ambient capabilities", clear_ambient_capability_set())?;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    step("clear the capabilities", set_capabilities(None, sets))?;
    step("let go of capabilities at another change of user", set_keep_capabilities(false))?;
    step("forbid new privileges", set_no_new_privs(true))?;
    step("deny others the memory", set_dumpable_behavior(DumpableBehavior::NotDumpable))
}

/// Whether the calling thread holds all of these capabilities in effect.
pub fn is_capable(of: CapabilitySet) -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(of))
}

/// Has a program get no descriptor but its standard ones, and run as `user` if one is given, in all of the user's groups
/// and in no other. Only root can do that; a refusal is an error of the program's start.
pub fn isolate(command: &mut Command, user: Option<&User>) {
    let user = user.cloned();
    let isolate = move || {
        close_from_third();
        user.as_ref().map_or(Ok(()), become_user)
    };
    // SAFETY: the closure makes system calls alone: it neither allocates nor takes a lock, and it touches no memory but
    // its own, which was copied by the fork.
    unsafe { command.pre_exec(isolate) };
}

/// Has an exec close every descriptor but the standard ones.
pub(crate) fn close_from_third() {
    // Not closed: by one of them the parent is told whether the program was started. A kernel without the call
    // (before 5.11) leaves to the program what whoever started this process left open, which is none of this one's.
    // SAFETY: a plain system call on integers.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
}

/// Becomes another user, in all of its groups, by system calls alone.
pub(crate) fn become_user(user: &User) -> io::Result<()> {
    let User { uid, gid, groups, .. } = user;
    let (uid, gid) = (*uid, *gid);
    set_groups(groups)?;
    // SAFETY: a plain system call on integers.
    checked(unsafe { libc::setresgid(gid, gid, gid) })?;
    // SAFETY: a plain system call on integers.
    checked(unsafe { libc::setresuid(uid, uid, uid) })
}

/// Has the kernel send this process SIGTERM when its parent dies. A change of user clears it: call it after that.
///
/// # Errors
/// Never, on Linux since 2.1.57.
pub fn end_with_parent() -> io::Result<()> {
    Ok(set_parent_process_death_signal(Some(Signal::TERM))?)
}

/// Raises the limit of open descriptors to the most that this process may have, which is returned.
///
/// # Errors
/// If the kernel refuses.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(maximum.unwrap_or(u64::MAX))
}

/// Who connected this unix socket.
///
/// # Errors
/// If it is no connected unix socket.
pub fn peer_credentials(socket: BorrowedFd<'_>) -> io::Result<Peer> {
    let credentials = sockopt::socket_peercred(socket)?;
    Ok(Peer {
        pid: credentials.pid.as_raw_nonzero().get().unsigned_abs(),
        uid: credentials.uid.as_raw(),
        gid: credentials.gid.as_raw(),
        groups: peer_groups(socket)?,
    })
}

fn peer_groups(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut groups = vec![0u32; GROUPS_MAX];
    let mut length = (groups.len() * size_of::<u32>()) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into `groups`, which is that long, and both outlive the call.
    checked(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERGROUPS,
            groups.as_mut_ptr().cast(),
            &mut length,
        )
    })?;
    groups.truncate(length as usize / size_of::<u32>());
    Ok(groups)
}

fn group_list(name: &CStr, gid: u32) -> Vec<u32> {
    let mut groups = vec![0u32; GROUPS_MAX];
    let mut count = GROUPS_MAX as libc::c_int;
    // SAFETY: `groups` has room for `count` entries; `name` is a C string.
    let result = unsafe { libc::getgrouplist(name.as_ptr(), gid, groups.as_mut_ptr(), &mut count) };
    let count = usize::try_from(count).unwrap_or(0).min(GROUPS_MAX);
    if result < 0 || count == 0 {
        return vec![gid];
    }
    groups.truncate(count);
    groups
}

fn set_groups(groups: &[u32]) -> io::Result<()> {
    // SAFETY: the pointer and the length are of one slice.
    checked(unsafe { libc::setgroups(groups.len(), groups.as_ptr()) })
}

pub(crate) fn empty_bounding_set() -> io::Result<()> {
    for number in 0..CAPABILITIES {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match remove_capability_from_bounding_set(capability) {
            // Beyond the last one that this kernel knows.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

fn checked(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn step<E: Into<io::Error>>(step: &'static str, result: Result<(), E>) -> Result<(), PrivilegeError> {
    result.map_err(|source| PrivilegeError { step, source: source.into() })
}

#[cfg(test)]
mod tests;
