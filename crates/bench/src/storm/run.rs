//! One storm: fresh origins, one kind of directors, all clients at once.

use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use lab::{Host, Process};
use serde::Serialize;

use super::client::{Client, KINDS, Shared, Tally};
use super::director::Director;
use super::site::{self, CLIENTS, DIRECTORS, KILLED, ORIGINS, Site};
use super::work::Work;
use crate::machine;
use crate::program::Program;

/// Between two looks at the links.
const SAMPLE_EVERY: Duration = Duration::from_millis(100);

/// For the checks to have seen every origin, and for reports of their load.
const SETTLING: Duration = Duration::from_secs(3);

/// A storm that is not over by then is broken.
const LONGEST: Duration = Duration::from_secs(240);

/// The killed origin dies when this part of the volume has been delivered.
const KILLED_AFTER: f64 = 0.4;

/// What a storm was like.
#[derive(Clone, Debug)]
pub(crate) struct Storm {
    pub(crate) title: String,
    pub(crate) volume: u64,
    /// When the work list was exhausted, and the bytes delivered by then.
    pub(crate) exhausted: (Duration, u64),
    pub(crate) tallies: Vec<Tally>,
    pub(crate) samples: Vec<Sample>,
    /// Bytes that the directors sent.
    pub(crate) through_directors: u64,
    /// When the killed origin died.
    pub(crate) killed: Option<Duration>,
    /// Processor time of both directors.
    pub(crate) directing: Duration,
}

/// The site at one moment.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) at: Duration,
    /// Bytes that each origin has sent since the storm began, frame headers included.
    pub(crate) sent: Vec<u64>,
    /// Answers on their way from each origin.
    pub(crate) in_flight: Vec<u32>,
    /// Bytes of files that have come to clients.
    pub(crate) delivered: u64,
}

/// Lets it come and go.
pub(crate) fn run(
    site: &Site,
    work: &Arc<Work>,
    director: Director,
    programs: &[Program],
    perron: &Path,
    kills: bool,
) -> anyhow::Result<Storm> {
    let program = director.program(programs)?;
    let origins: anyhow::Result<Vec<Process>> =
        (0..ORIGINS.len()).map(|place| site.start_origin(place, perron)).collect();
    let mut origins = origins?;
    let directors = director.start(site, program)?;
    machine::pause(SETTLING)?;
    let shared = Arc::new(Shared {
        work: Arc::clone(work),
        next: AtomicUsize::new(0),
        delivered: AtomicU64::new(0),
        began: Instant::now(),
        exhausted: OnceLock::new(),
        in_flight: ORIGINS.iter().map(|_| AtomicU32::new(0)).collect(),
    });
    let sent_before = sent(&site.origins);
    let directors_before: u64 = sent(&site.directors).iter().sum();
    let clients = site.clients.iter().enumerate().map(|(place, host)| start_client(place, host, &shared));
    let clients: Vec<JoinHandle<Tally>> = clients.collect();
    let (mut samples, mut killed) = (Vec::new(), None);
    loop {
        machine::pause(SAMPLE_EVERY)?;
        samples.push(sample(site, &shared, &sent_before));
        let delivered = shared.delivered.load(Ordering::Relaxed);
        if kills && killed.is_none() && delivered as f64 > work.volume() as f64 * KILLED_AFTER {
            origins[KILLED].kill();
            killed = Some(shared.began.elapsed());
        }
        if clients.iter().all(JoinHandle::is_finished) {
            break;
        }
        if shared.began.elapsed() > LONGEST {
            bail!("not over after {LONGEST:?}: {delivered} of {} bytes", work.volume());
        }
    }
    let through_directors = sent(&site.directors).iter().sum::<u64>() - directors_before;
    let tallies = clients.into_iter().map(|client| client.join().expect("clients do not panic")).collect();
    let exhausted = *shared.exhausted.get().context("no client came to the end of the list")?;
    let directing = directors.iter().map(|process| crate::process::processor_time_of(process.id())).sum();
    let (title, volume) = (director.title(program), work.volume());
    Ok(Storm { title, volume, exhausted, tallies, samples, through_directors, killed, directing })
}

/// Clients alternate between zones, every second pair has the other director, every second four another program.
fn start_client(place: usize, host: &Host, shared: &Arc<Shared>) -> JoinHandle<Tally> {
    debug_assert!(place < CLIENTS);
    let director = DIRECTORS[(place / site::ZONES.len()) % DIRECTORS.len()];
    let director = format!("{director}:80").parse().expect("a literal address");
    let kind = KINDS[(place / site::ZONES.len() / DIRECTORS.len()) % KINDS.len()];
    let client = Client::new(director, kind, Arc::clone(shared));
    host.thread(move || client.run())
}

fn sample(site: &Site, shared: &Shared, before: &[u64]) -> Sample {
    let sent = sent(&site.origins).into_iter().zip(before).map(|(after, before)| after - before);
    Sample {
        at: shared.began.elapsed(),
        sent: sent.collect(),
        in_flight: shared.in_flight.iter().map(|count| count.load(Ordering::Relaxed)).collect(),
        delivered: shared.delivered.load(Ordering::Relaxed),
    }
}

fn sent(hosts: &[Host]) -> Vec<u64> {
    hosts.iter().map(|host| host.traffic().sent).collect()
}
