//! The figures of failovers, for people and for programs.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::Trial;
use super::director::Kind;
use super::fault::Fault;

/// A row for each interval and fault.
pub(crate) fn markdown(trials: &[Trial]) -> String {
    let mut text = String::from(
        "Milliseconds without an answer: median (least-most) of so many faults, each at another moment between two adverts.\n\n\
         | adverts each | fault | faults | Perron | keepalived | most, to keepalived's |\n|--:|---|--:|--:|--:|--:|\n",
    );
    let mut rows: Vec<(Duration, Fault)> = trials.iter().map(|trial| (trial.interval, trial.fault)).collect();
    rows.dedup();
    for (interval, fault) in rows {
        let of = |kind| {
            let mut found: Vec<Option<f64>> = trials
                .iter()
                .filter(|trial| (trial.interval, trial.fault, trial.kind) == (interval, fault, kind))
                .map(|trial| trial.silence.map(milliseconds))
                .collect();
            // Those without an end are the longest.
            found.sort_by(|one, other| one.unwrap_or(f64::MAX).total_cmp(&other.unwrap_or(f64::MAX)));
            found
        };
        let [ours, theirs] = Kind::ALL.map(of);
        let most = |found: &[Option<f64>]| found.last().copied().flatten();
        let ratio =
            most(&ours).zip(most(&theirs)).map_or(String::new(), |(ours, theirs)| format!("{:.2}", ours / theirs));
        let _ = writeln!(
            text,
            "| {} ms | {} | {} | {} | {} | {ratio} |",
            interval.as_millis(),
            fault.title(),
            ours.len(),
            figures(&ours),
            figures(&theirs)
        );
    }
    text
}

/// Every trial.
pub(crate) fn json(trials: &[Trial]) -> Value {
    let trial = |trial: &Trial| {
        json!({
            "interval_ms": milliseconds(trial.interval),
            "fault": trial.fault.title(),
            "program": trial.kind.title(),
            "phase_ms": milliseconds(trial.phase),
            "silence_ms": trial.silence.map(milliseconds),
        })
    };
    trials.iter().map(trial).collect()
}

fn figures(sorted: &[Option<f64>]) -> String {
    let show = |silence: Option<f64>| silence.map_or_else(|| "for ever".to_owned(), |ms| format!("{ms:.1}"));
    let (Some(&least), Some(&most)) = (sorted.first(), sorted.last()) else { return "-".to_owned() };
    format!("**{}** ({}-{})", show(sorted[sorted.len() / 2]), show(least), show(most))
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
