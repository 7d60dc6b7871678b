//! The machine: a network of our own, cores, what else runs on it, and an orderly end.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The core of the program under test.
pub(crate) const CORE: usize = 0;

/// The core of everything else.
pub(crate) const OTHER_CORE: usize = 1;

/// Set in the environment of the run inside a network namespace.
const APART: &str = "PERRON_BENCH_APART";

/// A machine busier than this, in parts of core 0, measures itself.
const QUIET: f64 = 0.03;

const CONGESTION: &str = "/proc/sys/net/ipv4/tcp_congestion_control";

static STOPPED: AtomicBool = AtomicBool::new(false);

/// Goes on in a network namespace of its own, where the machine's settings and ports are not ours to disturb.
///
/// BBR, some machines' default, limits loopback itself; inside, every program has the kernel's own default, cubic, or reno.
/// Returns when that is not possible (not root), or is done already.
pub(crate) fn run_apart() -> anyhow::Result<Option<ExitCode>> {
    if std::env::var_os(APART).is_none() && rustix::process::geteuid().is_root() {
        let own = std::env::current_exe().context("this program's path")?;
        let mut command = Command::new("unshare");
        command.arg("--net").arg(own).args(std::env::args_os().skip(1)).env(APART, "yes");
        eprintln!("no network namespace ({}): measuring in the machine's own", command.exec());
        return Ok(None);
    }
    if std::env::var_os(APART).is_some() {
        let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().context("ip")?;
        if !up.success() {
            bail!("the loopback of the namespace does not come up");
        }
        // Some kernels let a namespace have reno only; without loss, as on loopback, the two are alike.
        if fs::write(CONGESTION, "cubic").is_err() {
            fs::write(CONGESTION, "reno").unwrap_or_else(|error| eprintln!("{CONGESTION}: {error}"));
        }
    }
    Ok(None)
}

/// From now on SIGINT and SIGTERM end the run by an error, so that everything started is ended too.
pub(crate) fn stop_on_signals() {
    thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let (Ok(mut interrupt), Ok(mut terminate)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                return;
            };
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            STOPPED.store(true, Ordering::Relaxed);
        });
    });
}

pub(crate) fn is_stopped() -> bool {
    STOPPED.load(Ordering::Relaxed)
}

/// Waits a moment.
///
/// # Errors
/// If the run is to end.
pub(crate) fn pause(duration: Duration) -> anyhow::Result<()> {
    thread::sleep(duration);
    if is_stopped() {
        bail!("stopped by a signal");
    }
    Ok(())
}

/// Runs `action` with this thread, and what it starts, held on a core.
pub(crate) fn on_core<T>(core: usize, action: impl FnOnce() -> T) -> anyhow::Result<T> {
    let before = sched_getaffinity(None).context("the cores allowed")?;
    let mut only = CpuSet::new();
    only.set(core);
    sched_setaffinity(None, &only).with_context(|| format!("core {core}"))?;
    let result = action();
    sched_setaffinity(None, &before).context("the cores allowed")?;
    Ok(result)
}

/// How core 0 has spent its time since the machine was started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CoreTime {
    /// Everything but waiting and what the hypervisor stole.
    pub(crate) busy: Duration,
    /// Of that, interrupts, soft ones included.
    pub(crate) interrupts: Duration,
}

/// Core 0's time until now.
pub(crate) fn core_time() -> anyhow::Result<CoreTime> {
    let text = fs::read_to_string("/proc/stat").context("/proc/stat")?;
    let name = format!("cpu{CORE} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&name)).context("/proc/stat lacks the core")?;
    let ticks: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let sum = |columns: &[usize]| from_ticks(columns.iter().filter_map(|&column| ticks.get(column)).sum());
    // user nice system idle iowait irq softirq steal
    Ok(CoreTime { busy: sum(&[0, 1, 2, 5, 6]), interrupts: sum(&[5, 6]) })
}

/// Clock ticks as time.
pub(crate) fn from_ticks(ticks: u64) -> Duration {
    Duration::from_micros(ticks * 1_000_000 / rustix::param::clock_ticks_per_second().max(1))
}

/// What a reader of the figures must know of the machine, in one line; complains if it is not quiet.
pub(crate) fn conditions() -> anyhow::Result<String> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    if cores < 2 {
        bail!("two cores are needed: one for the program under test, one for the load");
    }
    let before = core_time()?.busy;
    pause(Duration::from_secs(1))?;
    let busy = (core_time()?.busy - before).as_secs_f64();
    if busy > QUIET {
        eprintln!("warning: core {CORE} is {:.0} % busy with something else; the figures will show it", busy * 100.0);
    }
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let congestion = fs::read_to_string(CONGESTION).unwrap_or_default();
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown processor");
    Ok(format!(
        "{cores} cores ({}), Linux {}, TCP {}, core {CORE} {:.0} % busy before",
        model.trim_start_matches([' ', '\t', ':']),
        release.trim(),
        congestion.trim(),
        busy * 100.0
    ))
}
