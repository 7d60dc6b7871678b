//! What storms were like, side by side.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::run::Storm;
use super::site::{self, KILLED, ORIGINS};

impl Storm {
    /// Content delivered until the list was exhausted, of what the links could have sent in that time.
    pub(crate) fn busy_share(&self) -> f64 {
        let (time, bytes) = self.exhausted;
        bytes as f64 / self.could_send(time)
    }

    /// The same until the last file was whole.
    fn whole_share(&self) -> f64 {
        self.volume as f64 / self.could_send(self.last_file())
    }

    /// Bytes that the links can take until then, a dead origin's until its death.
    fn could_send(&self, until: Duration) -> f64 {
        let link = |origin: usize| ORIGINS[origin].bytes_a_second() * self.lived(origin, until).as_secs_f64();
        (0..ORIGINS.len()).map(link).sum()
    }

    fn lived(&self, origin: usize, until: Duration) -> Duration {
        self.killed.filter(|_| origin == KILLED).map_or(until, |killed| killed.min(until))
    }

    pub(crate) fn last_file(&self) -> Duration {
        self.tallies.iter().map(|tally| tally.ended).max().unwrap_or_default()
    }

    /// Bytes from each origin.
    fn from(&self, origin: usize) -> u64 {
        self.tallies.iter().map(|tally| tally.bytes_from[origin]).sum()
    }

    /// Of all bytes, those from an origin of the client's own zone.
    fn own_zone(&self) -> f64 {
        let own = |client: usize, origin: usize| ORIGINS[origin].zone == site::zone_of(client);
        let bytes = self.tallies.iter().enumerate().flat_map(|(client, tally)| {
            tally.bytes_from.iter().enumerate().filter(move |(origin, _)| own(client, *origin)).map(|(_, bytes)| bytes)
        });
        bytes.sum::<u64>() as f64 / self.volume as f64
    }

    /// How busy an origin's link was while the list lasted and the origin lived.
    fn utilisation(&self, origin: usize) -> f64 {
        let while_busy = self.samples.iter().take_while(|sample| sample.at <= self.exhausted.0).last();
        while_busy.map_or(0.0, |sample| {
            sample.sent[origin] as f64
                / (self.lived(origin, sample.at).as_secs_f64() * ORIGINS[origin].bytes_a_second())
        })
    }

    /// Of all answers on their way at a moment the part that came from workers: the mean while the list lasted, and the most.
    fn workers_in_flight(&self) -> (f64, f64) {
        let busy = self.samples.iter().filter(|sample| sample.at <= self.exhausted.0);
        let shares: Vec<f64> = busy
            .map(|sample| {
                let all: u32 = sample.in_flight.iter().sum();
                let workers: u32 = workers().map(|origin| sample.in_flight[origin]).sum();
                f64::from(workers) / f64::from(all.max(1))
            })
            .collect();
        let most = shares.iter().copied().fold(0.0, f64::max);
        (shares.iter().sum::<f64>() / shares.len().max(1) as f64, most)
    }

    fn workers_bytes(&self) -> f64 {
        workers().map(|origin| self.from(origin)).sum::<u64>() as f64 / self.volume as f64
    }

    fn sum(&self, figure: fn(&super::client::Tally) -> u64) -> u64 {
        self.tallies.iter().map(figure).sum()
    }
}

fn workers() -> impl Iterator<Item = usize> {
    (0..ORIGINS.len()).filter(|&origin| ORIGINS[origin].is_worker)
}

/// The tables.
pub(crate) fn markdown(storms: &[Storm]) -> String {
    let mut text = String::from(
        "| director | until the list ended | until the last file | last file whole after | own zone | redirected | proxied | through directors | directors' time | tried again: \
         refused, cut, put off | errors |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for storm in storms {
        let _ = writeln!(
            text,
            "| {} | **{}** | {} | {:.1} s | {} | {} | {} | {} | {:.1} s | {}, {}, {} | {} |",
            name(storm),
            percent(storm.busy_share()),
            percent(storm.whole_share()),
            storm.last_file().as_secs_f64(),
            percent(storm.own_zone()),
            storm.sum(|tally| tally.redirected),
            storm.sum(|tally| tally.proxied),
            percent(storm.through_directors as f64 / storm.volume as f64),
            storm.directing.as_secs_f64(),
            storm.sum(|tally| tally.refused),
            storm.sum(|tally| tally.cut),
            storm.sum(|tally| tally.put_off),
            storm.sum(|tally| tally.errors.len() as u64),
        );
    }
    text += "\n| director |";
    for origin in ORIGINS {
        let _ = write!(text, " {}, {} Mbit |", origin.name, origin.mbit);
    }
    text += " workers' bytes | workers in flight: mean, most |\n|---|--:|--:|--:|--:|--:|--:|--:|\n";
    for storm in storms {
        let _ = write!(text, "| {} |", name(storm));
        for origin in 0..ORIGINS.len() {
            let _ = write!(text, " {} |", percent(storm.utilisation(origin)));
        }
        let (mean, most) = storm.workers_in_flight();
        let _ = writeln!(text, " {} | {}, {} |", percent(storm.workers_bytes()), percent(mean), percent(most));
    }
    text
}

/// The same with every sample.
pub(crate) fn json(storms: &[Storm]) -> Value {
    let storms = storms.iter().map(|storm| {
        let errors: Vec<&String> = storm.tallies.iter().flat_map(|tally| &tally.errors).collect();
        json!({
            "director": storm.title,
            "killed_at": storm.killed,
            "busy_share": storm.busy_share(),
            "whole_share": storm.whole_share(),
            "exhausted": storm.exhausted.0,
            "last_file": storm.last_file(),
            "own_zone": storm.own_zone(),
            "errors": errors,
            "samples": storm.samples,
        })
    });
    Value::Array(storms.collect())
}

fn name(storm: &Storm) -> String {
    let killed = storm.killed.map(|at| format!("; an island's origin killed at {:.1} s", at.as_secs_f64()));
    storm.title.clone() + &killed.unwrap_or_default()
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
