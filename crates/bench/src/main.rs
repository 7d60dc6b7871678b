//! Perron beside HAProxy and nginx: processor time per unit of work, requests per second, memory per idle connection.
//!
//! The program under test has core 0 to itself; the load and the servers behind it share core 1. Programs take turns in
//! short rounds, so that what else the machine does meets all of them, and ratios are taken within a round. Nothing here
//! is a test that can fail by being slow.

mod application;
mod case;
mod config;
mod failover;
mod held;
mod idle;
mod latency;
mod load;
mod machine;
mod measure;
mod process;
mod program;
mod report;
mod secure;
mod storm;
mod upstream;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};

use case::Case;
use measure::Plan;

/// Measures perron beside HAProxy and nginx on this machine.
#[derive(Parser)]
#[command(name = "bench")]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    /// Three rounds of a second instead of seven of two
    #[arg(long)]
    quick: bool,
    /// Also write the results as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The program to measure [default: target/release/perron]
    #[arg(long, value_name = "PATH")]
    perron: Option<PathBuf>,
    /// Rounds for each program and case
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Length of a round
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
    /// Cases to run [default: all]
    #[arg(value_enum)]
    cases: Vec<Case>,
}

#[derive(Subcommand)]
enum Role {
    /// A boot storm through two directors, with HAProxy in their place for comparison (root)
    Storm(storm::Arguments),
    /// An address moves to another director, with keepalived's for comparison (root)
    Failover(failover::Arguments),
    /// Two hundred virtual routers on a director: processor time and memory, with keepalived's for comparison (root)
    Vips(failover::crowd::Arguments),
    /// Bad adverts by the thousand, and what becomes of good ones, with keepalived's for comparison (root)
    Flood(failover::flood::Arguments),
    /// How old messages are at their clients, through perron, nginx and lighttpd
    Held(held::Arguments),
    /// The server behind the proxies: answers every request with as many bytes
    #[command(hide = true)]
    Upstream {
        /// On 127.0.0.1.
        port: u16,
        /// Of each answer's body.
        bytes: usize,
    },
    /// The application behind FastCGI: answers every request with as many bytes
    #[command(hide = true)]
    Application {
        /// Where it listens.
        socket: PathBuf,
        /// Of each answer's body.
        bytes: usize,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    match arguments.role {
        Some(Role::Upstream { port, bytes }) => {
            upstream::serve(port, bytes).context("upstream")?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(Role::Application { socket, bytes }) => {
            upstream::serve_application(&socket, bytes).context("application")?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(Role::Storm(arguments)) => {
            storm::run(&arguments).context("storm")?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(Role::Failover(arguments)) => {
            failover::run(&arguments).context("failover")?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(Role::Vips(arguments)) => {
            failover::crowd::run(&arguments).context("vips")?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(Role::Flood(arguments)) => {
            failover::flood::run(&arguments).context("flood")?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(Role::Held(arguments)) => return held::run(&arguments).context("held"),
        None => {}
    }
    if let Some(code) = machine::run_apart()? {
        return Ok(code);
    }
    machine::stop_on_signals();
    let plan = Plan {
        rounds: arguments.rounds.unwrap_or(if arguments.quick { 3 } else { 7 }).clamp(1, 99),
        round: Duration::from_secs(arguments.seconds.unwrap_or(if arguments.quick { 1 } else { 2 }).clamp(1, 60)),
    };
    let cases = if arguments.cases.is_empty() { Case::value_variants().to_vec() } else { arguments.cases };
    let programs = program::find(arguments.perron.as_deref())?;
    let conditions = machine::conditions()?;
    eprintln!("{conditions}");
    let folder = tempfile::tempdir().context("a folder for configurations and files")?;
    let mut results = Vec::new();
    let mut stopped = None;
    for case in cases {
        eprintln!("{}: {}", case.name(), case.title());
        let result = case::run(case, &programs, &plan, folder.path());
        match result {
            Ok(result) => results.push(result),
            Err(error) if machine::is_stopped() => {
                // Minutes of work stand in those that are done.
                stopped = Some(error);
                break;
            }
            Err(error) => eprintln!("{}: not measured: {error:#}", case.name()),
        }
    }
    println!("{}", report::markdown(&conditions, &plan, &results));
    if let Some(path) = arguments.json {
        let text = serde_json::to_string_pretty(&report::json(&conditions, &plan, &results))?;
        std::fs::write(&path, text + "\n").with_context(|| path.display().to_string())?;
    }
    stopped.map_or(Ok(ExitCode::SUCCESS), Err)
}
