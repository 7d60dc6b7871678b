use std::env;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::Listener;

/// Where systemd puts the first socket (sd_listen_fds(3)).
const FIRST_FD: RawFd = 3;

/// Sockets beyond this are not looked at.
const FDS_MAX: RawFd = 4096;

static TAKEN: AtomicBool = AtomicBool::new(false);

/// Tells the service manager how this process is (sd_notify(3)): lines such as `READY=1` or `STATUS=…`.
///
/// Nothing happens outside of systemd (`NOTIFY_SOCKET` unset).
///
/// # Errors
/// If its socket cannot be reached.
pub fn notify(lines: &str) -> io::Result<()> {
    let Some(address) = env::var_os("NOTIFY_SOCKET") else {
        return Ok(());
    };
    let address = match address.as_encoded_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(&address)?,
    };
    UnixDatagram::unbound()?.send_to_addr(lines.as_bytes(), &address)?;
    Ok(())
}

/// Microseconds of CLOCK_MONOTONIC, which `RELOADING=1` must be sent with.
pub fn monotonic_usec() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1_000
}

/// Whole seconds of CLOCK_MONOTONIC: the same to every process of this machine.
pub fn monotonic_seconds() -> u32 {
    u32::try_from(monotonic_usec() / 1_000_000).unwrap_or(u32::MAX)
}

/// How often the service manager wants to hear `WATCHDOG=1` at the latest; `None` if it does not.
pub fn watchdog_interval() -> Option<Duration> {
    let number = |name: &str| env::var(name).ok()?.parse::<u64>().ok();
    let meant = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    let micros = number("WATCHDOG_USEC").filter(|micros| *micros > 0 && meant)?;
    Some(Duration::from_micros(micros))
}

/// The listening sockets that the service manager opened for this process (socket activation), once.
///
/// What is no listening stream socket is left out.
pub fn inherited_listeners() -> Vec<Listener> {
    let number = |name: &str| env::var(name).ok()?.parse::<RawFd>().ok();
    let ours = number("LISTEN_PID").is_some_and(|pid| pid as u32 == std::process::id());
    if !ours || TAKEN.swap(true, Ordering::SeqCst) {
        return Vec::new();
    }
    let count = number("LISTEN_FDS").unwrap_or(0).clamp(0, FDS_MAX);
    (FIRST_FD..FIRST_FD + count)
        .filter_map(|fd| {
            // SAFETY: only looked at for this one call, which fails if it is not open.
            rustix::io::fcntl_getfd(unsafe { BorrowedFd::borrow_raw(fd) }).ok()?;
            // SAFETY: the protocol hands these descriptors to this process, and `TAKEN` lets them be taken but once.
            let fd = unsafe { OwnedFd::from_raw_fd(fd) };
            rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC).ok()?;
            Listener::from_fd(fd).ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_of_systemd_nothing_is_told_and_nothing_inherited() {
        assert!(env::var_os("NOTIFY_SOCKET").is_none(), "not to be run as a service");
        notify("READY=1").unwrap();
        assert!(inherited_listeners().is_empty());
        assert_eq!(watchdog_interval(), None);
    }

    #[test]
    fn the_monotonic_clock_runs() {
        let before = monotonic_usec();
        assert!(before > 0 && monotonic_usec() >= before);
    }
}
