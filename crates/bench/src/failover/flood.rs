//! A hostile machine sends bad adverts by the thousand: what becomes of good ones.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use lab::{Adverts, Host, Lab, Process, advert_v3, eventually};

use super::director::{Director, Kind, keepalived_version, router};
use crate::machine;

const ADDRESS: &str = "10.0.0.100/32";

/// The director whose adverts are listened to.
const ACTIVE: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 0, 0, 1);

/// For programs to start, on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Packets between two looks at the clock.
const BATCH: u32 = 50;

/// What is to be seen of a flood.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Of bad adverts in a second, as many as can be made at the most
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    rate: u32,
    /// How long each program is flooded
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    seconds: u64,
    /// Between good adverts
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 100)]
    interval: u64,
    /// The program to measure [default: target/release/perron]
    #[arg(long, value_name = "PATH")]
    perron: Option<PathBuf>,
}

/// A program's good adverts under the flood.
struct Outcome {
    /// Times between two adverts of the active director, in order of size.
    spaces: Vec<Duration>,
    /// How often the backup was given the address.
    taken: u64,
    /// Bad adverts in a second.
    rate: f64,
}

/// Floods each program and prints a table.
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
        "Adverts with our number and a wrong checksum, from a third host, for {} s; good adverts each {} ms.\n",
        arguments.seconds, arguments.interval
    );
    println!(
        "| program | bad adverts a second | between good adverts, median | 99 of 100 | most | the backup had the address |\n\
         |---|--:|--:|--:|--:|--:|"
    );
    for kind in Kind::ALL {
        let Outcome { spaces, taken, rate } = flood(kind, arguments, &perron)?;
        let at = |part: usize| spaces[(spaces.len() - 1) * part / 100].as_secs_f64() * 1000.0;
        println!(
            "| {} | {rate:.0} | {:.1} ms | {:.1} ms | {:.1} ms | {taken} times |",
            kind.title(),
            at(50),
            at(99),
            at(100)
        );
    }
    Ok(())
}

fn flood(kind: Kind, arguments: &Arguments, perron: &Path) -> anyhow::Result<Outcome> {
    let lab = Lab::new(kind.title()).map_err(|skip| anyhow::anyhow!("{skip}"))?;
    let hosts = [("one", "10.0.0.1/24"), ("other", "10.0.0.2/24"), ("hostile", "10.0.0.66/24"), ("ear", "10.0.0.9/24")];
    let [one, other, hostile, ear] = hosts.map(|(name, address)| lab.host(name, address));
    let interval = Duration::from_millis(arguments.interval);
    let _active = Director::start(kind, &one, &[router(200, interval)], perron)?;
    let _backup = Director::start(kind, &other, &[router(100, interval)], perron)?;
    if !eventually(START_LIMIT, || one.has_address(ADDRESS) && !other.has_address(ADDRESS)) {
        bail!("{} does not become active", kind.title());
    }
    // In the kernel, so that listening costs nothing but for good adverts.
    ear.drop_incoming("ip saddr 10.0.0.66");
    let adverts = Adverts::on(&ear);
    let watch = watch(&other);
    let stop = Arc::new(AtomicBool::new(false));
    let sent = Arc::new(AtomicU64::new(0));
    let flooding = {
        let (stop, sent, rate) = (stop.clone(), sent.clone(), arguments.rate.max(1));
        let mouth = Adverts::on(&hostile);
        hostile.thread(move || send(&mouth, rate, &stop, &sent))
    };
    let begun = Instant::now();
    let deadline = begun + Duration::from_secs(arguments.seconds.max(1));
    let (mut spaces, mut last) = (Vec::new(), Instant::now());
    while Instant::now() < deadline && !machine::is_stopped() {
        if let Some(advert) = adverts.next_of(ACTIVE, interval) {
            spaces.push(advert.at - last);
            last = advert.at;
        }
    }
    spaces.push(last.elapsed());
    stop.store(true, Ordering::Relaxed);
    let rate = sent.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
    // It ends within a batch.
    let _ = flooding.join();
    spaces.sort();
    let taken =
        watch.stdout().lines().filter(|line| line.contains(ADDRESS) && !line.contains("Deleted")).count() as u64;
    Ok(Outcome { spaces, taken, rate })
}

/// Lists each address that the host is given.
fn watch(host: &Host) -> Process {
    host.spawn(&["ip", "-o", "monitor", "address"])
}

fn send(mouth: &Adverts, rate: u32, stop: &AtomicBool, sent: &AtomicU64) {
    let mut bad = advert_v3(51, 255, 10, &[std::net::Ipv4Addr::new(10, 0, 0, 100)]);
    bad[6] ^= 0xff;
    let mut next = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..BATCH {
            // A queue that is full takes the next one.
            let _ = mouth.send(&bad);
        }
        sent.fetch_add(u64::from(BATCH), Ordering::Relaxed);
        next = (next + Duration::from_secs(1) * BATCH / rate).max(Instant::now() - Duration::from_millis(10));
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}
