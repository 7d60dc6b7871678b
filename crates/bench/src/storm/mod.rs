//! A boot storm: thirty clients in two zones fetch files of every size through two directors from five origins with unequal links.
//!
//! Hosts in network namespaces, links limited by the kernel, the real programs. The same list of files, by the same clients,
//! for every director; every byte that comes is compared with what it should be.

mod chart;
mod client;
mod director;
mod report;
mod run;
mod site;
mod work;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;

use crate::machine;
use crate::program::{self, Kind};
use director::Director;
use site::Site;
use work::Work;

/// What is to be seen of a storm.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// So much work that the links take this long
    #[arg(long, value_name = "SECONDS", default_value_t = 25)]
    seconds: u64,
    /// Of the list of files
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Only undisturbed storms: no origin is killed
    #[arg(long)]
    calm: bool,
    /// Write how busy the links were under the first and the last calm director
    #[arg(long, value_name = "FILE.svg")]
    chart: Option<PathBuf>,
    /// Also write the results, with samples, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The program to measure, and the origins' [default: target/release/perron]
    #[arg(long, value_name = "PATH")]
    perron: Option<PathBuf>,
    /// Who directs, in this order
    #[arg(value_enum, default_values = ["perron", "haproxy-round-robin", "haproxy-weighted", "haproxy-least-conn"])]
    directors: Vec<Director>,
}

/// Runs the storms and prints the tables.
///
/// # Errors
/// If the site cannot be made, a program does not start, or a storm does not end.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    machine::stop_on_signals();
    let programs = program::find(arguments.perron.as_deref())?;
    let perron = programs.iter().find(|program| program.kind == Kind::Perron);
    let perron = perron.context("the origins are perron, which is not built")?.path.clone();
    let conditions = machine::conditions()?;
    eprintln!("{conditions}");
    let site = Site::new()?;
    let volume = (site::bandwidth() * arguments.seconds as f64) as u64;
    let work = Arc::new(Work::new(arguments.seed, volume));
    work.write(&site.tree)?;
    let mut storms = Vec::new();
    for kills in [false, true] {
        for &director in &arguments.directors {
            if kills && arguments.calm {
                continue;
            }
            let storm = run::run(&site, &work, director, &programs, &perron, kills)?;
            eprintln!("{}: {:.1} % of the links", storm.title, storm.busy_share() * 100.0);
            for error in storm.tallies.iter().flat_map(|tally| &tally.errors) {
                eprintln!("  {error}");
            }
            storms.push(storm);
        }
    }
    println!(
        "{conditions}; {} files, {:.2} GiB, seed {}\n\n{}",
        work.list().len(),
        work.volume() as f64 / f64::from(1 << 30),
        arguments.seed,
        report::markdown(&storms)
    );
    if let Some(path) = &arguments.chart {
        let calm: Vec<&run::Storm> = storms.iter().filter(|storm| storm.killed.is_none()).collect();
        let ends = [calm.first(), calm.last()].into_iter().flatten().copied().collect::<Vec<_>>();
        write(path, &chart::svg(&ends))?;
    }
    if let Some(path) = &arguments.json {
        write(path, &(serde_json::to_string(&report::json(&storms))? + "\n"))?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| path.display().to_string())
}
