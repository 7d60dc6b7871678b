//! A director fails, and another takes its addresses over: how long nobody answers, beside keepalived.
//!
//! Two directors of each program and a client that asks the address every millisecond, in network namespaces on one
//! bridge. The programs take turns, fault by fault, at the same moments after an advert: at random ones the moment alone
//! makes a difference of a whole interval.

pub(crate) mod crowd;
mod director;
mod fault;
pub(crate) mod flood;
mod report;
mod site;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use lab::program;

use crate::machine;
use director::Kind;
use fault::Fault;
use site::Site;

/// What is to be seen of failovers.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// In less than three minutes
    #[arg(long)]
    quick: bool,
    /// Only adverts at this interval [default: 10, 100 and 1000]
    #[arg(long, value_name = "MILLISECONDS")]
    interval: Option<u64>,
    /// Moments after an advert
    #[arg(long, value_name = "N")]
    phases: Option<u32>,
    /// Also write each trial as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The program to measure [default: target/release/perron]
    #[arg(long, value_name = "PATH")]
    perron: Option<PathBuf>,
    /// Faults [default: all]
    #[arg(value_enum)]
    faults: Vec<Fault>,
}

/// An interval, and how often each fault is tried at it.
#[derive(Clone, Copy, Debug)]
struct Setting {
    interval: Duration,
    phases: u32,
    /// Only faults that matter most: others differ by the same.
    few: bool,
}

/// One fault, of one program, at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    pub(crate) interval: Duration,
    pub(crate) fault: Fault,
    pub(crate) kind: Kind,
    /// After an advert.
    pub(crate) phase: Duration,
    /// The longest time without an answer; `None`: the other director never answered.
    pub(crate) silence: Option<Duration>,
}

/// Runs all trials and prints the table.
///
/// # Errors
/// If a program is missing or does not come up.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    machine::stop_on_signals();
    let perron = crate::program::own(arguments.perron.as_deref())?;
    program("keepalived").map_err(|skip| anyhow::anyhow!("{skip}"))?;
    let conditions = machine::conditions()?;
    eprintln!("{conditions}");
    let mut trials = Vec::new();
    for setting in settings(arguments) {
        let [ours, theirs] = Kind::ALL.map(|kind| Site::new(kind, setting.interval, &perron));
        let mut sites = [ours?, theirs?];
        for fault in faults(arguments, setting) {
            eprintln!("adverts each {} ms: {}", setting.interval.as_millis(), fault.title());
            for place in 0..setting.phases {
                let phase = setting.interval * (2 * place + 1) / (2 * setting.phases);
                for site in &mut sites {
                    if fault.is_known_to(site.kind) {
                        let silence = site.try_out(fault, phase)?;
                        let (interval, kind) = (setting.interval, site.kind);
                        trials.push(Trial { interval, fault, kind, phase, silence });
                    }
                }
            }
        }
    }
    println!("{conditions}; {}\n\n{}", director::keepalived_version(), report::markdown(&trials));
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&report::json(&trials))? + "\n";
        std::fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn settings(arguments: &Arguments) -> Vec<Setting> {
    let (quick, long) = (arguments.quick, !arguments.quick);
    let all = [
        (10, if quick { 8 } else { 20 }, false),
        (100, if quick { 3 } else { 10 }, quick),
        (1000, if quick { 1 } else { 5 }, true),
    ];
    let wanted = |interval: u64| arguments.interval.is_none_or(|only| only == interval);
    let setting = |(interval, phases, few)| Setting {
        interval: Duration::from_millis(interval),
        phases: arguments.phases.unwrap_or(phases).max(1),
        few: few && (long || arguments.faults.is_empty()),
    };
    all.into_iter().filter(|&(interval, ..)| wanted(interval)).map(setting).collect()
}

fn faults(arguments: &Arguments, setting: Setting) -> Vec<Fault> {
    let named = |fault: &Fault| arguments.faults.is_empty() || arguments.faults.contains(fault);
    Fault::ALL.into_iter().filter(named).filter(|fault| !setting.few || fault.matters_most()).collect()
}
