//! The figures, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::measure::{Outcome, Plan, Row, Sample, Unit, median};

/// Where others had more than this part of the core, its figures say so.
const DISTURBED: f64 = 0.08;

/// Everything in one Markdown table.
pub(crate) fn markdown(conditions: &str, plan: &Plan, outcomes: &[Outcome]) -> String {
    let mut text = format!(
        "{conditions}; {} rounds of {} s in turn, medians. Core: time of core 0 for each unit, soft interrupts included; \
         own: what the processes are charged, to go by where others were on the core.\nRatio: the first program's to \
         this one's, taken within each round (lowest-highest). Under 1 the first is cheaper; differences under 0.05 are \
         ties.\n\n",
        plan.rounds,
        plan.round.as_secs()
    );
    text += "| case | program | core | own | rate | ratio | ratio of own |\n|---|---|--:|--:|--:|--:|--:|\n";
    for outcome in outcomes {
        for (place, row) in outcome.rows.iter().enumerate() {
            let case = if place == 0 { outcome.case.title() } else { "" };
            let (cost, own, rate) = figures(outcome.unit, row);
            let by_core = ratio_text(outcome, place, |sample| sample.cost);
            let by_own = ratio_text(outcome, place, |sample| sample.own);
            let foreign = middle(row, |sample| sample.foreign);
            let disturbed = if foreign > DISTURBED {
                format!(" (disturbed: {:.0} % of the core was others')", foreign * 100.0)
            } else {
                String::new()
            };
            let _ =
                writeln!(text, "| {case} | {} | {cost}{disturbed} | {own} | {rate} | {by_core} | {by_own} |", row.name);
        }
    }
    text
}

/// The same with every round.
pub(crate) fn json(conditions: &str, plan: &Plan, outcomes: &[Outcome]) -> Value {
    let cases: Vec<Value> = outcomes
        .iter()
        .map(|outcome| {
            let programs: Vec<Value> = outcome
                .rows
                .iter()
                .enumerate()
                .map(|(place, row)| {
                    json!({
                        "name": row.name,
                        "cost": middle(row, |sample| sample.cost),
                        "own": middle(row, |sample| sample.own),
                        "rate": middle(row, |sample| sample.rate),
                        "ratio": median(ratios(outcome, place, |sample| sample.cost)),
                        "own_ratio": median(ratios(outcome, place, |sample| sample.own)),
                        "samples": row.samples,
                    })
                })
                .collect();
            json!({ "case": outcome.case.name(), "title": outcome.case.title(), "unit": outcome.unit, "programs": programs })
        })
        .collect();
    json!({ "conditions": conditions, "plan": plan, "cases": cases })
}

fn figures(unit: Unit, row: &Row) -> (String, String, String) {
    let cost = middle(row, |sample| sample.cost);
    let own = middle(row, |sample| sample.own);
    let rate = middle(row, |sample| sample.rate);
    match unit {
        Unit::Request => (format!("{cost:.2} µs"), format!("{own:.2} µs"), format!("{rate:.0}/s")),
        Unit::Gibibyte => (format!("{cost:.0} ms/GiB"), format!("{own:.0} ms/GiB"), format!("{rate:.2} GiB/s")),
        Unit::IdleConnection => (format!("{cost:.2} KiB"), format!("{own:.2} KiB after a burst"), String::new()),
        Unit::Latency => (format!("{cost:.0} µs p50"), format!("{own:.0} µs p99"), format!("{rate:.0} µs p99.9")),
    }
}

/// The middle of the rounds' ratios, and the lowest and highest of them.
fn ratio_text(outcome: &Outcome, place: usize, figure: fn(&Sample) -> f64) -> String {
    if place == 0 {
        return String::new();
    }
    let ratios = ratios(outcome, place, figure);
    let lowest = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = ratios.iter().copied().fold(0.0, f64::max);
    format!("**{:.2}** ({lowest:.2}-{highest:.2})", median(ratios))
}

fn ratios(outcome: &Outcome, place: usize, figure: fn(&Sample) -> f64) -> Vec<f64> {
    let pairs = outcome.rows[0].samples.iter().zip(&outcome.rows[place].samples);
    pairs.filter(|(_, other)| figure(other) > 0.0).map(|(first, other)| figure(first) / figure(other)).collect()
}

fn middle(row: &Row, figure: fn(&Sample) -> f64) -> f64 {
    median(row.samples.iter().map(figure).collect())
}
