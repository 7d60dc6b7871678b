//! What the serving process uses, as the kernel counts it.

use std::fs;

use lab::{Perron, SOON, wait_for};

/// KiB for each misbehaving client that the program may take at most: what one read brings (64 KiB), a head that is
/// not whole (32 KiB), and as much again for copies on their way.
pub(crate) const BYSTANDER_KIB: u64 = 192;

/// KiB for each client who asked, and whose answer or body goes on slowly: 5 KiB were seen.
pub(crate) const SLOW_KIB: u64 = 16;

/// The one serving process.
#[track_caller]
pub(crate) fn serving(perron: &Perron) -> u32 {
    match perron.serve_pids()[..] {
        [pid] => pid,
        ref pids => panic!("one process should serve: {pids:?}"),
    }
}

/// Memory in use by the serving process.
#[track_caller]
pub(crate) fn resident_kib(perron: &Perron) -> u64 {
    status_kib(serving(perron), "VmRSS:")
}

/// The most memory that the serving process has ever used.
#[track_caller]
pub(crate) fn peak_kib(perron: &Perron) -> u64 {
    status_kib(serving(perron), "VmHWM:")
}

/// Forgets the peak so far.
#[track_caller]
pub(crate) fn reset_peak(perron: &Perron) {
    fs::write(format!("/proc/{}/clear_refs", serving(perron)), "5").expect("root may reset a process's peak");
}

#[track_caller]
fn status_kib(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let value = status.lines().find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB")?.parse().ok());
    value.unwrap_or_else(|| panic!("{field} is in {status}"))
}

/// Processor time of the serving process so far, in ticks of a hundredth of a second.
#[track_caller]
pub(crate) fn ticks(perron: &Perron) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", serving(perron))).expect("the process runs");
    // proc_pid_stat(5): utime and stime are fields 14 and 15, the name in parentheses is field 2.
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
    fields.map(|field| field.parse::<u64>().expect("the kernel writes numbers")).sum()
}

/// Descriptors that the serving process has open.
#[track_caller]
pub(crate) fn descriptors(perron: &Perron) -> u64 {
    fs::read_dir(format!("/proc/{}/fd", serving(perron))).expect("the process runs").count() as u64
}

/// Waits until this reason was counted so often, or more often.
#[track_caller]
pub(crate) fn await_reason(perron: &Perron, reason: &str, least: u64) {
    wait_for(SOON * 3, &format!("{reason} is counted {least} times"), || {
        perron.status()["reasons"][reason].as_u64().is_some_and(|count| count >= least)
    });
}

/// How often this reason was counted.
pub(crate) fn reason(perron: &Perron, reason: &str) -> u64 {
    perron.status()["reasons"][reason].as_u64().unwrap_or(0)
}

/// Waits until the frontend holds so many connections.
#[track_caller]
pub(crate) fn await_connections(perron: &Perron, holds: impl Fn(u64) -> bool) {
    wait_for(SOON * 3, "the frontend holds the connections that it should", || {
        perron.status()["frontends"][0]["connections"]["now"].as_u64().is_some_and(&holds)
    });
}
