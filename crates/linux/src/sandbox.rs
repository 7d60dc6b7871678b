//! What is left to a process that nobody can trust any more: the files that it is shown, and the system calls that it
//! needs.
//!
//! Both hold for the calling thread and those that it starts from then on. Neither can be taken back.

use std::io;
use std::os::fd::OwnedFd;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, NetPort, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

mod calls;

/// The newest version of landlock whose restrictions are asked for; of an older kernel's, those that it has.
const ABI_ASKED: ABI = ABI::V6;

/// How much of what was asked for is enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// All.
    Only,
    /// What this kernel can: an older one lacks the restriction of ports, or of abstract sockets and signals.
    Partly,
    /// Nothing: this kernel has no landlock, or it is not switched on.
    Everything,
}

/// What becomes of a system call that no serving process needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It fails with EPERM.
    Fails,
    /// It works, and the kernel's log says so.
    IsLogged,
}

/// What stands in a sandbox's way.
#[derive(Debug)]
pub struct SandboxError(Box<dyn std::error::Error + Send + Sync>);

impl std::fmt::Display for SandboxError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

impl std::error::Error for SandboxError {}

/// Shows this thread nothing of the file system but what is beneath these, to read or to read and write. What is open
/// stays so. No TCP port can be listened on either, no abstract socket connected, and no other process sent a signal.
///
/// # Errors
/// If the kernel refuses what it says that it can.
pub fn see_only(read: &[OwnedFd], write: &[OwnedFd]) -> Result<Seen, SandboxError> {
    restrict(read, write).map_err(|error| SandboxError(error.into()))
}

fn restrict(read: &[OwnedFd], write: &[OwnedFd]) -> Result<Seen, landlock::RulesetError> {
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI_ASKED))?
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::from_all(ABI_ASKED))?;
    // Port 0 is one of the kernel's choice, that nobody asks for: connections to others may begin there.
    let mut ruleset = ruleset.create()?.add_rule(NetPort::new(0, AccessNet::BindTcp))?;
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    // Files and folders, made, written, renamed where they are and removed: no device, link, socket or program.
    let writing = reading
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir;
    for (fds, access) in [(read, reading), (write, writing)] {
        for fd in fds {
            ruleset = ruleset.add_rule(PathBeneath::new(fd, access))?;
        }
    }
    Ok(match ruleset.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => Seen::Only,
        RulesetStatus::PartiallyEnforced => Seen::Partly,
        RulesetStatus::NotEnforced => Seen::Everything,
    })
}

/// Leaves this thread the system calls that carrying traffic, serving files and taking them need.
///
/// # Errors
/// If this kernel has no filters of system calls, or this program none for this processor.
pub fn call_only_what_serving_needs(refused: Refused) -> Result<(), SandboxError> {
    let failed = |error: seccompiler::Error| SandboxError(error.into());
    let architecture =
        std::env::consts::ARCH.try_into().map_err(|error: seccompiler::BackendError| failed(error.into()))?;
    let build = |rules: Vec<(i64, Vec<SeccompRule>)>, otherwise, matching| -> Result<BpfProgram, SandboxError> {
        let filter = SeccompFilter::new(rules.into_iter().collect(), otherwise, matching, architecture);
        filter.and_then(BpfProgram::try_from).map_err(|error| failed(error.into()))
    };
    let action = match refused {
        Refused::Fails => SeccompAction::Errno(libc::EPERM as u32),
        Refused::IsLogged => SeccompAction::Log,
    };
    let allowed = calls::NEEDED.iter().map(|call| (*call, Vec::new())).chain(with_arguments()?);
    let allowed = build(allowed.collect(), action, SeccompAction::Allow)?;
    // A filter does not see what clone3 is asked for. Without it the C library starts threads by clone.
    let clone3 = vec![(libc::SYS_clone3, Vec::new())];
    let without_clone3 = build(clone3, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32))?;
    seccompiler::apply_filter(&without_clone3).map_err(failed)?;
    seccompiler::apply_filter(&allowed).map_err(failed)
}

/// Calls that are needed with some arguments only.
fn with_arguments() -> Result<Vec<(i64, Vec<SeccompRule>)>, SandboxError> {
    use SeccompCmpArgLen::{Dword, Qword};
    use SeccompCmpOp::{Eq, MaskedEq};
    let rule = |argument, length, op, value| -> Result<SeccompRule, SandboxError> {
        let condition = SeccompCondition::new(argument, length, op, value);
        let rule = condition.and_then(|condition| SeccompRule::new(vec![condition]));
        rule.map_err(|error| SandboxError(error.into()))
    };
    let one_of = |argument, values: &[u64]| -> Result<Vec<SeccompRule>, SandboxError> {
        values.iter().map(|value| rule(argument, Dword, Eq, *value)).collect()
    };
    let thread = libc::CLONE_THREAD as u64;
    let families = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6].map(|family| family as u64);
    let names = [libc::PR_SET_NAME, libc::PR_GET_NAME, libc::PR_SET_VMA].map(|name| name as u64);
    // Whether a descriptor waits, is closed on exec, is a terminal, and how much waits in it: nothing of a device's.
    let controls = [libc::FIONBIO, libc::FIOCLEX, libc::FIONCLEX, libc::TCGETS, libc::FIONREAD, libc::TIOCOUTQ];
    let this_process = u64::from(std::process::id());
    Ok(vec![
        // Threads, and no processes.
        (libc::SYS_clone, vec![rule(0, Qword, MaskedEq(thread), thread)?]),
        (libc::SYS_socket, one_of(0, &families)?),
        (libc::SYS_prctl, one_of(0, &names)?),
        (libc::SYS_ioctl, one_of(1, &controls)?),
        // The C library's abort, and nobody else's end.
        (libc::SYS_tgkill, one_of(0, &[this_process])?),
        // This process's limits, and nobody else's.
        (libc::SYS_prlimit64, one_of(0, &[0])?),
    ])
}

/// Opens a file or folder for [`see_only`].
///
/// # Errors
/// As open(2).
pub fn show(path: &std::path::Path) -> io::Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags, open};
    Ok(open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

#[cfg(test)]
mod tests;
