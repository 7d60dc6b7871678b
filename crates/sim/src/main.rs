//! Simulates directors for so many seeds, and says what does not hold.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

/// Directors on a simulated network, against what must hold.
#[derive(Parser)]
#[command(name = "sim")]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 256, conflicts_with = "seed")]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// This one alone.
    #[arg(long)]
    seed: Option<u64>,
    /// Simulated time of each, in hours.
    #[arg(long, default_value_t = 1.0)]
    hours: f64,
}

#[derive(Default)]
struct Sum {
    seeds: u64,
    broken: Vec<u64>,
    adverts: u64,
    troubles: u64,
    takeovers: u64,
    adoptions: u64,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let seeds = match arguments.seed {
        Some(seed) => seed..seed + 1,
        None => arguments.from..arguments.from + arguments.seeds,
    };
    let span = Duration::try_from_secs_f64(arguments.hours * 3600.0)?;
    let is_terminal = std::io::stderr().is_terminal();
    let began = Instant::now();
    let all = seeds.end - seeds.start;
    let (mut sum, mut told) = (Sum::default(), began);
    for seed in seeds {
        match sim::run(seed, span) {
            Ok(figures) => {
                sum.adverts += figures.adverts;
                sum.troubles += figures.troubles;
                sum.takeovers += figures.takeovers;
                sum.adoptions += figures.adoptions;
            }
            Err(broken) => {
                println!("{broken}");
                println!("replay: cargo run -p sim --release -- --seed {seed} --hours {}", arguments.hours);
                sum.broken.push(seed);
            }
        }
        sum.seeds += 1;
        let every = if is_terminal { Duration::from_millis(100) } else { Duration::from_secs(30) };
        if told.elapsed() >= every {
            told = Instant::now();
            tell(is_terminal, sum.seeds, all, began.elapsed())?;
        }
    }
    if is_terminal {
        eprint!("\r\x1b[K");
    }
    println!(
        "{} seeds of {} h in {:.1} s: {} adverts, {} troubles, {} takeovers, {} adoptions, {} seeds broken {:?}",
        sum.seeds,
        arguments.hours,
        began.elapsed().as_secs_f64(),
        sum.adverts,
        sum.troubles,
        sum.takeovers,
        sum.adoptions,
        sum.broken.len(),
        sum.broken,
    );
    Ok(if sum.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(is_terminal: bool, done: u64, all: u64, taken: Duration) -> std::io::Result<()> {
    let left = taken.mul_f64((all - done) as f64 / done as f64).as_secs();
    if is_terminal {
        let filled = (40 * done / all) as usize;
        eprint!("\r\x1b[K[{:-<40}] {done} of {all} seeds, {left} s left", "#".repeat(filled));
        return std::io::stderr().flush();
    }
    println!("{done} of {all} seeds, {left} s left");
    std::io::stdout().flush()
}
