//! Two hundred virtual routers on one director: what it costs to have them.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use lab::{Host, Lab, VirtualRouter, eventually};

use super::director::{Director, Kind, keepalived_version};
use crate::machine;

/// How long so many addresses may take to be put.
const START_LIMIT: Duration = Duration::from_secs(90);

/// After the last one has moved: the second round of announcements, five seconds later, is over.
const SETTLING: Duration = Duration::from_secs(8);

/// What is to be seen of many virtual routers.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// So many of them
    #[arg(long, value_name = "N", default_value_t = 200)]
    routers: u8,
    /// Rounds for each program
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    /// Length of a round
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    seconds: u64,
    /// The program to measure [default: target/release/perron]
    #[arg(long, value_name = "PATH")]
    perron: Option<PathBuf>,
}

/// An active director and its backup.
struct Pair {
    kind: Kind,
    directors: [Director; 2],
    _lab: Lab,
}

/// What a process that sends or hears adverts took in a round.
#[derive(Clone, Copy, Debug)]
struct Cost {
    /// Parts of a processor.
    processor: f64,
    /// Resident, in bytes: its own, and files that it maps with others.
    memory: u64,
    /// Of that, its own.
    private: u64,
}

/// Measures and prints a table.
///
/// # Errors
/// If a program is missing or does not come up.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    machine::stop_on_signals();
    let perron = crate::program::own(arguments.perron.as_deref())?;
    let conditions = machine::conditions()?;
    eprintln!("{conditions}");
    println!("{conditions}; {}\n", keepalived_version());
    println!(
        "{} virtual routers; {} rounds of {} s in turn: the process that sends and hears adverts, its median processor time \
         (least-most) and resident memory.\n",
        arguments.routers, arguments.rounds, arguments.seconds
    );
    println!(
        "| adverts each | director | program | processor | memory | of that, its own |\n|--:|---|---|--:|--:|--:|"
    );
    for interval in [Duration::from_secs(1), Duration::from_millis(100)] {
        eprintln!("adverts each {} ms", interval.as_millis());
        let [ours, theirs] = Kind::ALL.map(|kind| Pair::start(kind, interval, arguments.routers, &perron));
        let pairs = [ours?, theirs?];
        machine::pause(SETTLING)?;
        let mut costs: [[Vec<Cost>; 2]; 2] = Default::default();
        for _ in 0..arguments.rounds.max(1) {
            for (pair, costs) in pairs.iter().zip(&mut costs) {
                for (cost, costs) in pair.measure(Duration::from_secs(arguments.seconds.max(1)))?.into_iter().zip(costs)
                {
                    costs.push(cost);
                }
            }
        }
        for (role, name) in ["active", "backup"].into_iter().enumerate() {
            for (pair, costs) in pairs.iter().zip(&mut costs) {
                let figures = figures(&mut costs[role]);
                println!("| {} ms | {name} | {} | {figures} |", interval.as_millis(), pair.kind.title());
            }
        }
    }
    Ok(())
}

impl Pair {
    fn start(kind: Kind, interval: Duration, count: u8, perron: &std::path::Path) -> anyhow::Result<Pair> {
        let lab = Lab::new(kind.title()).map_err(|skip| anyhow::anyhow!("{skip}"))?;
        let hosts = [lab.host("one", "10.0.0.1/16"), lab.host("other", "10.0.0.2/16")];
        let start = |host: &Host, priority| Director::start(kind, host, &routers(count, priority, interval), perron);
        let directors = [start(&hosts[0], 200)?, start(&hosts[1], 100)?];
        let has_all = || addresses(&hosts[0]) == usize::from(count) && addresses(&hosts[1]) == 0;
        if !eventually(START_LIMIT, has_all) {
            bail!("{} has {} of {count} addresses on the active director", kind.title(), addresses(&hosts[0]));
        }
        Ok(Pair { kind, directors, _lab: lab })
    }

    fn measure(&self, round: Duration) -> anyhow::Result<Vec<Cost>> {
        let movers: Option<Vec<u32>> = self.directors.iter().map(Director::mover).collect();
        let movers = movers.with_context(|| format!("{} has no process that sends adverts", self.kind.title()))?;
        let before: Vec<Duration> = movers.iter().map(|&pid| processor_time(pid)).collect();
        let begun = Instant::now();
        machine::pause(round)?;
        let elapsed = begun.elapsed().as_secs_f64();
        let cost = |(&pid, before): (&u32, Duration)| Cost {
            processor: (processor_time(pid) - before).as_secs_f64() / elapsed,
            memory: memory(pid, &["Rss"]),
            private: memory(pid, &["Private_Clean", "Private_Dirty"]),
        };
        Ok(movers.iter().zip(before).map(cost).collect())
    }
}

fn routers(count: u8, priority: u8, interval: Duration) -> Vec<VirtualRouter> {
    let router = |number: u8| {
        let router = VirtualRouter::new(&format!("v{number}"), number, priority, &[&format!("10.0.1.{number}/32")]);
        VirtualRouter { interval, ..router }
    };
    (1..=count).map(router).collect()
}

fn addresses(host: &Host) -> usize {
    host.run(&["ip", "-o", "-4", "address", "show", "dev", "eth0"]).text().matches(" 10.0.1.").count()
}

/// Of all its threads; the scheduler counts nanoseconds where /proc/PID/stat has hundredths of a second.
fn processor_time(pid: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// The sum of some lines of /proc/PID/smaps_rollup, which are in KiB.
fn memory(pid: u32, names: &[&str]) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split_once(':')).filter(|(name, _)| names.contains(name));
    lines.filter_map(|(_, value)| value.trim().split(' ').next()?.parse::<u64>().ok()).sum::<u64>() * 1024
}

fn figures(costs: &mut [Cost]) -> String {
    costs.sort_by(|one, other| one.processor.total_cmp(&other.processor));
    let percent = |cost: &Cost| format!("{:.2}", cost.processor * 100.0);
    let most_of = |of: fn(&Cost) -> u64| costs.iter().map(of).max().unwrap_or(0) as f64 / f64::from(1 << 20);
    let (memory, private) = (most_of(|cost| cost.memory), most_of(|cost| cost.private));
    let (least, most) = (&costs[0], &costs[costs.len() - 1]);
    format!(
        "**{} %** ({}-{}) | {memory:.1} MiB | {private:.1} MiB",
        percent(&costs[costs.len() / 2]),
        percent(least),
        percent(most)
    )
}
