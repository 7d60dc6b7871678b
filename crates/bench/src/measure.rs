//! Rounds in turn, and what they say.

use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use serde::Serialize;

use crate::case::{self, Case, Contestant};
use crate::load::{Expected, Moved};
use crate::machine;
use crate::process::Running;

/// How much is measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) round: Duration,
}

/// What costs are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    /// Microseconds of processor time for each.
    Request,
    /// Milliseconds of processor time for each.
    Gibibyte,
    /// KiB of memory for each, after one request on each.
    IdleConnection,
    /// No cost: microseconds until the answer is there.
    Latency,
}

/// One round of one program.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Sample {
    /// The headline. Processor time of the core for each unit, soft interrupts included; for memory, KiB after single requests;
    /// for latency, the median.
    pub(crate) cost: f64,
    /// Processor time that the program's own processes are charged for each unit; for memory, KiB after a burst; for latency,
    /// what 99 of 100 keep to.
    pub(crate) own: f64,
    /// Units in a second; for memory, zero; for latency, what 999 of 1000 keep to.
    pub(crate) rate: f64,
    /// The part of the core's time that others had, who should not be there.
    pub(crate) foreign: f64,
}

/// A program's rounds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) samples: Vec<Sample>,
}

/// A case's rounds; the first row is the program in question.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) case: Case,
    pub(crate) unit: Unit,
    pub(crate) rows: Vec<Row>,
}

/// The load of a case: a port, and for how long.
pub(crate) type Load<'l> = &'l dyn Fn(u16, Duration) -> anyhow::Result<Moved>;

/// A contestant at work.
pub(crate) struct Started {
    pub(crate) name: String,
    pub(crate) process: Running,
    pub(crate) port: u16,
    /// What it did for the first second.
    pub(crate) warmed: Moved,
}

/// Starts all contestants and warms each up; those that do not do the work rightly are left out.
///
/// # Errors
/// If fewer than two are left.
pub(crate) fn start_all(
    contestants: &[Contestant],
    expected: &Expected,
    folder: &Path,
    load: Load<'_>,
) -> anyhow::Result<Vec<Started>> {
    let mut running = Vec::new();
    for contestant in contestants {
        let started = case::start(contestant, expected, folder);
        let warmed = started.and_then(|(process, port)| Ok((load(port, Duration::from_secs(1))?, process, port)));
        match warmed {
            Ok((warmed, process, port)) => {
                running.push(Started { name: contestant.name.clone(), process, port, warmed });
            }
            Err(error) if machine::is_stopped() => return Err(error),
            Err(error) => eprintln!("  left out: {}: {error:#}", contestant.name),
        }
    }
    if running.len() < 2 {
        bail!("there is nothing to compare");
    }
    Ok(running)
}

/// Starts all contestants, warms each up, and lets them take turns.
///
/// # Errors
/// If fewer than two of them do the work rightly.
pub(crate) fn take_turns(
    case: Case,
    unit: Unit,
    contestants: &[Contestant],
    plan: &Plan,
    expected: &Expected,
    folder: &Path,
    load: Load<'_>,
) -> anyhow::Result<Outcome> {
    let running = start_all(contestants, expected, folder, load)?;
    let mut rows: Vec<Row> =
        running.iter().map(|started| Row { name: started.name.clone(), samples: Vec::new() }).collect();
    for round in 0..plan.rounds {
        for turn in 0..running.len() {
            // Each goes first in some round: what the one before left in the caches meets all.
            let place = (round + turn) % running.len();
            let Started { process, port, .. } = &running[place];
            rows[place].samples.push(sample(process, unit, || load(*port, plan.round))?);
        }
    }
    Ok(Outcome { case, unit, rows })
}

fn sample(process: &Running, unit: Unit, load: impl FnOnce() -> anyhow::Result<Moved>) -> anyhow::Result<Sample> {
    let (before, own_before) = (machine::core_time()?, process.processor_time());
    let moved = load()?;
    let after = machine::core_time()?;
    let core = after.busy.saturating_sub(before.busy).as_secs_f64();
    let interrupts = after.interrupts.saturating_sub(before.interrupts).as_secs_f64();
    let own = process.processor_time().saturating_sub(own_before).as_secs_f64();
    let foreign = if core > 0.0 { ((core - own - interrupts) / core).max(0.0) } else { 0.0 };
    let (units, scale) = match unit {
        Unit::Gibibyte => (moved.bytes as f64 / f64::from(1 << 30), 1e3),
        Unit::Request | Unit::IdleConnection | Unit::Latency => (moved.requests as f64, 1e6),
    };
    if units <= 0.0 {
        bail!("nothing was moved");
    }
    let rate = units / moved.elapsed.as_secs_f64();
    Ok(Sample { cost: core * scale / units, own: own * scale / units, rate, foreign })
}

/// The middle of some numbers; of an even count the mean of the two; zero of none.
pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => numbers[middle],
        _ => f64::midpoint(numbers[middle - 1], numbers[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![9.0, 1.0, 5.0]).to_bits(), 5.0_f64.to_bits());
        assert_eq!(median(vec![4.0, 1.0, 2.0, 9.0]).to_bits(), 3.0_f64.to_bits());
        assert_eq!(median(Vec::new()).to_bits(), 0.0_f64.to_bits());
    }
}
