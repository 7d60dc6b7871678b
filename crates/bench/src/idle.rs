//! Memory of connections on which nothing happens.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::Signal;

use crate::case::{self, Case, Contestant};
use crate::load::{Expected, read_head, request};
use crate::machine;
use crate::measure::{Outcome, Plan, Row, Sample, Unit};
use crate::process::Running;
use crate::secure::{Stream, stream};

/// Clients that stay.
const CONNECTIONS: usize = 2000;

/// How long a program gets to give back what it no longer needs.
const SETTLING: Duration = Duration::from_secs(1);

/// Memory differs less from run to run than time does.
const ROUNDS_MAX: usize = 3;

/// Fresh processes, in turn: memory over that before the connections, after a request on each, and after a burst on all.
///
/// # Errors
/// If fewer than two programs do it rightly.
pub(crate) fn measure(
    case: Case,
    contestants: &[Contestant],
    plan: &Plan,
    expected: &Expected,
    folder: &Path,
) -> anyhow::Result<Outcome> {
    let mut rows: Vec<Row> = contestants.iter().map(|c| Row { name: c.name.clone(), samples: Vec::new() }).collect();
    for _ in 0..plan.rounds.min(ROUNDS_MAX) {
        for (contestant, row) in contestants.iter().zip(&mut rows) {
            match case::start(contestant, expected, folder).and_then(|(process, port)| sample(&process, port, expected))
            {
                Ok(sample) => row.samples.push(sample),
                Err(error) if machine::is_stopped() => return Err(error),
                Err(error) => eprintln!("  left out: {}: {error:#}", contestant.name),
            }
        }
    }
    rows.retain(|row| !row.samples.is_empty());
    if rows.len() < 2 {
        bail!("there is nothing to compare");
    }
    Ok(Outcome { case, unit: Unit::IdleConnection, rows })
}

fn sample(process: &Running, port: u16, expected: &Expected) -> anyhow::Result<Sample> {
    machine::pause(SETTLING)?;
    let before = process.resident();
    let asked = request(expected.path);
    let mut clients = Vec::with_capacity(CONNECTIONS);
    for number in 0..CONNECTIONS {
        let mut client = stream(port, expected.secure).with_context(|| format!("connection {number}"))?;
        client.write_all(&asked)?;
        take_answer(&mut *client, expected)?;
        clients.push(client);
    }
    machine::pause(SETTLING)?;
    let single = process.resident();
    // Stopped, it finds them all waiting at once.
    process.signal(Signal::STOP);
    let sent: Result<(), _> = clients.iter_mut().try_for_each(|client| client.write_all(&asked));
    process.signal(Signal::CONT);
    sent?;
    for client in &mut clients {
        take_answer(&mut **client, expected)?;
    }
    machine::pause(SETTLING)?;
    let burst = process.resident();
    let each = |after: u64| after.saturating_sub(before) as f64 / 1024.0 / CONNECTIONS as f64;
    Ok(Sample { cost: each(single), own: each(burst), rate: 0.0, foreign: 0.0 })
}

fn take_answer(client: &mut dyn Stream, expected: &Expected) -> anyhow::Result<()> {
    let head = read_head(&mut &mut *client)?;
    if head.status != expected.status {
        bail!("answers {}", head.status);
    }
    let mut body = vec![0; usize::try_from(head.length).context("a small body")?];
    client.read_exact(&mut body).context("the body")?;
    Ok(())
}
