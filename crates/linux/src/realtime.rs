use std::hint::black_box;
use std::io;
use std::time::Duration;

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::CapabilitySet;
use rustix::time::{ClockId, clock_gettime};
use units::Instant;

use crate::process::is_capable;

/// Stack that is there before it is needed: many times what a thread of short functions uses.
const STACK_BYTES: usize = 256 << 10;

/// Now, by the clock that goes on while the machine is suspended (CLOCK_BOOTTIME), since the machine's start.
pub fn boot_clock() -> Instant {
    let now = clock_gettime(ClockId::Boottime);
    // Neither is negative on this clock.
    Instant::from_nanos(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64)
}

/// Has the calling thread run before all that are not real-time, and take turns with those of its priority, from 1 to 99
/// (SCHED_RR). Threads and processes that it starts are as others again.
///
/// # Errors
/// Without CAP_SYS_NICE and without a limit (RLIMIT_RTPRIO) that allows it, as in many containers:
/// [`io::ErrorKind::PermissionDenied`].
pub fn run_first(priority: u8) -> io::Result<()> {
    let parameter = libc::c_int::from(priority);
    let policy = libc::SCHED_RR | libc::SCHED_RESET_ON_FORK;
    // The system call itself: musl's wrapper refuses.
    // SAFETY: the kernel reads a `struct sched_param`, which is one int, at a live place. Thread 0 is the calling one.
    let result = unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, policy, &raw const parameter) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Has the kernel end this process (SIGXCPU) if a real-time thread of it runs so long without ever waiting: a fault must
/// not take the machine away from everybody else.
///
/// # Errors
/// If a stricter limit is set already.
pub fn limit_run(longest: Duration) -> io::Result<()> {
    let maximum = getrlimit(Resource::Rttime).maximum;
    let current = u64::try_from(longest.as_micros()).ok();
    Ok(setrlimit(Resource::Rttime, Rlimit { current, maximum })?)
}

/// Whether limits of this process may be lifted beyond what it was started with (CAP_SYS_RESOURCE).
pub fn may_lift_limits() -> bool {
    is_capable(CapabilitySet::SYS_RESOURCE)
}

/// Keeps all memory of this process, now and later, from being swapped out or left to be read from a disk, and has some
/// of the calling thread's stack there at once. The limit of locked memory is lifted for it: otherwise the next
/// allocation beyond it would fail. Who may not lift it, as in containers without CAP_SYS_RESOURCE, but holds
/// CAP_IPC_LOCK, is bound by no such limit as long as that is held; see [`may_lift_limits`].
///
/// # Errors
/// Where the limit is not lifted already (LimitMEMLOCK of systemd), without both
/// ([`io::ErrorKind::PermissionDenied`]): nothing is locked then.
pub fn lock_memory() -> io::Result<()> {
    match setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None }) {
        Err(_) if is_capable(CapabilitySet::IPC_LOCK) => {}
        lifted => lifted?,
    }
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE)?;
    touch_stack();
    Ok(())
}

#[inline(never)]
fn touch_stack() {
    black_box(&mut [0u8; STACK_BYTES]);
}

#[cfg(test)]
mod tests {
    use std::fs;

    use lab::Skip;
    use rustix::process::geteuid;

    use super::*;
    use crate::child::alone;

    fn is_root() -> bool {
        if !geteuid().is_root() {
            Skip::new("only root may have priority and locked memory").announce();
        }
        geteuid().is_root()
    }

    /// The 40th and 41st field of a thread's stat (proc(5)): real-time priority and policy.
    fn scheduling() -> (String, String) {
        let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        (fields[37].to_owned(), fields[38].to_owned())
    }

    #[test]
    fn the_clock_is_that_of_uptime() {
        let uptime = || {
            let text = fs::read_to_string("/proc/uptime").unwrap();
            let (seconds, hundredths) = text.split_whitespace().next().unwrap().split_once('.').unwrap();
            Instant::from_millis(seconds.parse::<u64>().unwrap() * 1000 + hundredths.parse::<u64>().unwrap() * 10)
        };
        let before = uptime();
        let now = boot_clock();
        // The file's last digit is cut off.
        assert!(before <= now && now <= uptime() + Duration::from_millis(10), "{before:?} {now:?}");
    }

    #[test]
    fn a_thread_that_runs_first_is_the_only_one() {
        if !is_root() {
            return;
        }
        std::thread::spawn(|| {
            let refused = run_first(0).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
            match run_first(50) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    Skip::new(format!("no real-time threads here: {error}")).announce();
                    return;
                }
                result => result.unwrap(),
            }
            // SCHED_RR is 2.
            assert_eq!(scheduling(), ("50".to_owned(), "2".to_owned()));
            let other = std::thread::spawn(scheduling).join().unwrap();
            assert_eq!(other, ("0".to_owned(), "0".to_owned()));
        })
        .join()
        .unwrap();
    }

    #[test]
    fn memory_is_locked_with_what_comes_later() {
        if !is_root() || !alone("realtime::tests::memory_is_locked_with_what_comes_later") {
            return;
        }
        let locked = || {
            let status = fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
            line.trim().trim_end_matches(" kB").parse::<usize>().unwrap()
        };
        assert_eq!(locked(), 0);
        lock_memory().unwrap();
        let before = locked();
        assert!(before > STACK_BYTES / 1024);
        // More than the limit that most systems set, 8 MiB.
        let later = black_box(vec![1u8; 64 << 20]);
        assert!(locked() >= before + later.len() / 1024);
        assert_eq!(getrlimit(Resource::Memlock).current.is_none(), may_lift_limits());
    }

    #[test]
    fn the_limit_of_a_run_is_in_microseconds() {
        if !alone("realtime::tests::the_limit_of_a_run_is_in_microseconds") {
            return;
        }
        let maximum = getrlimit(Resource::Rttime).maximum;
        limit_run(Duration::from_millis(100)).unwrap();
        assert_eq!(getrlimit(Resource::Rttime), Rlimit { current: Some(100_000), maximum });
        let limits = fs::read_to_string("/proc/self/limits").unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max realtime timeout")).unwrap();
        assert!(line.contains("100000") && line.trim_end().ends_with("us"), "{line}");
    }
}
