//! Hostile and ambiguous messages, in both directions, through the program to real servers and back.
//!
//! The corpus is in `requests/` and `answers/`. Each message has its section of the standard, and every outcome that
//! the section allows. `CONFORMANCE_TABLE=1 cargo test -p lab --test conformance -- --nocapture` runs it through
//! HAProxy and nginx as well and prints the table of `docs/conformance.md`.

mod answers;
mod corpus;
mod programs;
mod reading;
mod recorder;
mod requests;
mod table;

use std::time::Duration;

use corpus::{Case, Family};
use programs::{Program, Server, Site};
use table::Scored;

/// The environment variable that asks for the table.
const TABLE_VARIABLE: &str = "CONFORMANCE_TABLE";

/// The corpus is not allowed to shrink below this.
const CASES_MIN: usize = 400;

/// Who has neither answered nor closed by then waits for bytes that will never come.
const STUCK: Duration = Duration::from_secs(3);

#[test]
fn messages_go_on_as_the_standards_say_or_not_at_all() {
    let wants_table = std::env::var_os(TABLE_VARIABLE).is_some();
    let programs = if wants_table { &Program::ALL[..] } else { &[Program::Perron] };
    let (requests, answers) = (corpus::families("requests"), corpus::families("answers"));
    let cases = requests.iter().chain(&answers).map(|family| family.cases.len()).sum::<usize>();
    assert!(cases >= CASES_MIN, "the corpus has only {cases} cases");
    let site = lab::require!(Site::new(programs));
    let scored = run(&site, programs, &requests, &answers);
    if wants_table {
        println!("{}", table::of(&scored));
    }
    let complaints = table::complaints(&scored);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Every program with every server at once, each through its cases in their order.
fn run<'c>(site: &Site, programs: &[Program], requests: &'c [Family], answers: &'c [Family]) -> Vec<Scored<'c>> {
    let (asked, answered) = (flat(requests), flat(answers));
    let cases = |flat: &[(&'c Family, &'c Case)]| flat.iter().map(|(_, case)| *case).collect::<Vec<_>>();
    let (asked_cases, answered_cases) = (cases(&asked), cases(&answered));
    let mut scored = Vec::new();
    std::thread::scope(|scope| {
        let mut running = Vec::new();
        for &program in programs {
            for server in [Server::Nginx, Server::Apache, Server::Recorder] {
                let cases = &asked_cases;
                let run = scope.spawn(move || requests::run(site, program, server, cases));
                running.push((program, server, &asked, run));
            }
            let cases = &answered_cases;
            let run = scope.spawn(move || answers::run(site, program, cases));
            running.push((program, Server::Scripted, &answered, run));
        }
        for (program, server, flat, run) in running {
            let outcomes = run.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            for (&(family, case), outcome) in flat.iter().zip(outcomes) {
                let is_same = |one: &&mut Scored<'_>| one.program == program && std::ptr::eq(one.case, case);
                match scored.iter_mut().find(is_same) {
                    Some(one) => one.outcomes.push((server.name(), outcome)),
                    None => scored.push(Scored { program, family, case, outcomes: vec![(server.name(), outcome)] }),
                }
            }
        }
    });
    scored
}

fn flat(families: &[Family]) -> Vec<(&Family, &Case)> {
    families.iter().flat_map(|family| family.cases.iter().map(move |case| (family, case))).collect()
}
