//! A process that becomes another program and keeps some of its descriptors.

use std::convert::Infallible;
use std::env;
use std::ffi::{CString, OsStr, c_char};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::ptr;
use std::sync::Mutex;

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

/// The first descriptor that is neither standard input, output nor error.
const FIRST_FD: RawFd = 3;

/// What a service may be sent while it becomes another program.
const HELD: [libc::c_int; 5] = [libc::SIGHUP, libc::SIGINT, libc::SIGTERM, libc::SIGUSR1, libc::SIGUSR2];

static TAKING: Mutex<()> = Mutex::new(());

/// Has SIGHUP, SIGINT, SIGTERM, SIGUSR1 and SIGUSR2 wait until [`release_signals`], across [`replace_program`] too.
///
/// # Errors
/// Never, on Linux.
pub fn hold_signals() -> io::Result<()> {
    mask_signals(libc::SIG_BLOCK)
}

/// Lets the signals come that [`hold_signals`] held, those that came meanwhile among them.
///
/// # Errors
/// Never, on Linux.
pub fn release_signals() -> io::Result<()> {
    mask_signals(libc::SIG_UNBLOCK)
}

/// Becomes the program that `program` is open on, with these arguments, the first of which is its name. Descriptors
/// `keep` stay open beside the standard ones, and variables `without` are taken out of the environment.
///
/// To be called by a process with a single thread: others would end without a word.
///
/// # Errors
/// As execve(2). Then nothing has changed.
pub fn replace_program(
    program: BorrowedFd<'_>,
    arguments: &[CString],
    without: &[&str],
    keep: &[BorrowedFd<'_>],
) -> io::Result<Infallible> {
    let path = CString::new(format!("/proc/self/fd/{}", program.as_raw_fd()))?;
    let variables = env::vars_os().filter(|(name, _)| !without.iter().any(|gone| name == OsStr::new(gone)));
    let variables = variables.map(|(name, value)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()));
    let variables = variables.collect::<Result<Vec<CString>, _>>()?;
    let (arguments, variables) = (pointers(arguments), pointers(&variables));
    for fd in keep {
        fcntl_setfd(fd, FdFlags::empty())?;
    }
    // SAFETY: the path is a C string; both arrays hold pointers to C strings that live as long as this call, and end
    // with a null pointer. The call returns only if it failed.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), variables.as_ptr()) };
    let error = io::Error::last_os_error();
    for fd in keep {
        fcntl_setfd(fd, FdFlags::CLOEXEC)?;
    }
    Err(error)
}

/// A descriptor that the program before [`replace_program`] kept open for this one; closed on exec from now on.
///
/// # Errors
/// If none is open at that number, or this process has opened or taken it itself.
pub fn inherited_descriptor(number: RawFd) -> io::Result<OwnedFd> {
    let _one_at_a_time = TAKING.lock();
    if number < FIRST_FD {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a standard descriptor"));
    }
    // SAFETY: only looked at for this one call, which fails if it is not open.
    let flags = fcntl_getfd(unsafe { BorrowedFd::borrow_raw(number) })?;
    if flags.contains(FdFlags::CLOEXEC) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a descriptor from before"));
    }
    // SAFETY: it is open, and whatever this process opens, by std, tokio or rustix as it is used here, is closed on exec
    // from its first moment: this one was handed over by exec and has no owner yet. It has one from now on, and is closed
    // on exec, so that it is not taken twice.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    fcntl_setfd(&fd, FdFlags::CLOEXEC)?;
    Ok(fd)
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

fn mask_signals(how: libc::c_int) -> io::Result<()> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set that it is given.
    let mut set = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    };
    for signal in HELD {
        // SAFETY: the set is initialised and the signal's number is one of this system's.
        unsafe { libc::sigaddset(&mut set, signal) };
    }
    // SAFETY: the set lives as long as the call; the old one is not asked for.
    match unsafe { libc::pthread_sigmask(how, &set, ptr::null_mut()) } {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::{AsFd, IntoRawFd};

    use super::*;

    #[test]
    fn only_what_was_handed_over_is_taken_and_only_once() {
        let file = File::open("/dev/null").unwrap();
        assert!(inherited_descriptor(file.as_raw_fd()).is_err(), "this process opened it");
        assert!(inherited_descriptor(0).is_err() && inherited_descriptor(-1).is_err());
        assert!(inherited_descriptor(1 << 20).is_err(), "nothing is open there");
        fcntl_setfd(&file, FdFlags::empty()).unwrap();
        let number = file.into_raw_fd();
        let taken = inherited_descriptor(number).unwrap();
        assert_eq!(taken.as_raw_fd(), number);
        assert!(inherited_descriptor(number).is_err());
    }

    #[test]
    fn a_program_that_cannot_be_run_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("not-a-program");
        std::fs::write(&path, "text").unwrap();
        let (program, kept) = (File::open(&path).unwrap(), File::open("/dev/null").unwrap());
        let failed = replace_program(program.as_fd(), &[c"x".to_owned()], &[], &[kept.as_fd()]);
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert!(fcntl_getfd(&kept).unwrap().contains(FdFlags::CLOEXEC));
    }
}
