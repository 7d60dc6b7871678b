use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use admin::model::{Backend, Certificate, Check, Frontend, Held, NameService, Peers, Quorum, Status, Streams};
use anyhow::Context;
use units::Utc;

use super::ask::ask;
use super::{forward, print, vip};
use crate::cli::{self, StatusPart};
use crate::control::Request;

/// Between two looks of `--watch` and of `perron top`.
pub(super) const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Takes the cursor home and clears what is below it, so that a new look replaces the last without a flicker.
pub(super) const HOME: &str = "\x1b[H\x1b[J";

/// `perron status`.
pub(crate) fn status(options: &cli::Status) -> anyhow::Result<ExitCode> {
    loop {
        let mut shown = Ok(());
        let code = match options.part {
            None => ask(&options.client, &Request::Status, |answer| shown = show(answer, options))?,
            Some(StatusPart::Forward) => {
                ask(&options.client, &Request::Forwarding, |answer| shown = show_forwarding(answer, options))?
            }
        };
        shown?;
        if !options.watch || code != ExitCode::SUCCESS {
            return Ok(code);
        }
        std::thread::sleep(WATCH_INTERVAL);
    }
}

fn show(answer: &serde_json::Value, options: &cli::Status) -> anyhow::Result<()> {
    print(&match (options.json, options.watch) {
        (true, true) => format!("{answer}\n"),
        (true, false) => format!("{answer:#}\n"),
        (false, watch) => {
            let status: Status = serde_json::from_value(answer.clone()).context("the service is of another version")?;
            format!("{}{}", if watch { HOME } else { "" }, text(&status))
        }
    })
}

fn show_forwarding(answer: &serde_json::Value, options: &cli::Status) -> anyhow::Result<()> {
    print(&match (options.json, options.watch) {
        (true, true) => format!("{answer}\n"),
        (true, false) => format!("{answer:#}\n"),
        (false, watch) => {
            let report = serde_json::from_value(answer.clone()).context("the service is of another version")?;
            format!("{}{}", if watch { HOME } else { "" }, forward::text(&report))
        }
    })
}

fn text(status: &Status) -> String {
    let mut rows = Table::new(&["frontend", "listens", "connections", "requests", "/s", "4xx", "5xx"]);
    for frontend in &status.frontends {
        rows.push(frontend_row(frontend));
    }
    let mut text = format!(
        "perron {}, generation {}, process {}, up {}, {} MiB, {} of {} files open\n\n{rows}",
        status.version,
        status.generation,
        status.pid,
        uptime(status.uptime_s),
        status.process.rss_bytes >> 20,
        status.process.open_fds,
        status.process.max_fds,
        rows = rows.text(),
    );
    for frontend in &status.frontends {
        text += &frontend.streams.as_ref().map_or_else(String::new, |streams| streams_line(&frontend.name, streams));
    }
    for backend in &status.backends {
        let head = format!(
            "\nbackend {} ({}): {}, {} at servers, {} waiting\n",
            backend.name, backend.algorithm, backend.status, backend.in_flight.now, backend.queue.now
        );
        text += &head;
        if let Some(stick) = backend.stick {
            writeln!(text, "{} of {} clients' servers remembered", stick.entries, stick.capacity)
                .expect("a string takes everything");
        }
        if let Some(quorum) = backend.quorum {
            writeln!(text, "{}", quorum_line(&quorum)).expect("a string takes everything");
        }
        text += &servers(backend).text();
    }
    if !status.applications.is_empty() {
        text += "\n";
        text += &applications(status).text();
    }
    if let Some(report) = status.vips.as_ref().filter(|report| !report.vips.is_empty()) {
        text += "\n";
        text += &vip::table(report, vip::unix_ms());
    }
    if let Some(peers) = &status.peers {
        text += &peers_line(peers);
    }
    if !status.certificates.is_empty() {
        text += &format!("\n{}", certificates(&status.certificates, status.taken_unix_ms / 1000).text());
    }
    if let Some(names) = &status.name_service {
        text += &name_line(names);
    }
    let refused: Vec<String> =
        status.reasons.iter().filter(|(_, n)| **n > 0).map(|(why, n)| format!("{why} {n}")).collect();
    if !refused.is_empty() {
        writeln!(text, "\nrefused or ended early: {}", refused.join(", ")).expect("a string takes everything");
    }
    text
}

/// How long the bytes of a frontend's streams were here, in a line.
fn streams_line(frontend: &str, streams: &Streams) -> String {
    let told = |held: &Held| match held.count() {
        0 => "none".to_owned(),
        reads => {
            let mean = held.sum_us as f64 / reads as f64 / 1000.0;
            format!("{reads} for {mean:.3} ms, {:.3} ms at most", held.max_us as f64 / 1000.0)
        }
    };
    format!(
        "\nstreams of {frontend}: reads held {}; behind what the client had not taken {}\n",
        told(&streams.at_once),
        told(&streams.after_client)
    )
}

fn certificates(certificates: &[Certificate], now: u64) -> Table {
    let mut rows = Table::new(&["certificate", "of", "names", "expires", "days left"]);
    for shown in certificates {
        let until = Utc::at(Duration::from_secs(shown.expires_unix));
        let left = (shown.expires_unix.cast_signed() - now.cast_signed()).div_euclid(24 * 60 * 60);
        rows.push(vec![
            shown.file.clone(),
            shown.subject.clone(),
            shown.names.join(" "),
            format!("{:04}-{:02}-{:02}", until.year, until.month, until.day),
            left.to_string(),
        ]);
    }
    rows
}

/// The applications that the service runs.
fn applications(status: &Status) -> Table {
    let mut rows = Table::new(&["application", "user", "processes", "restarts", "runs for", "command"]);
    let now = status.taken_unix_ms / 1000;
    for application in &status.applications {
        rows.push(vec![
            application.name.clone(),
            application.user.clone().unwrap_or_else(|| "-".to_owned()),
            format!("{} of {}", application.processes, application.wanted),
            application.restarts.to_string(),
            uptime(now.saturating_sub(application.since_unix)),
            application.command.clone(),
        ]);
    }
    rows
}

/// The other directors, in a line.
fn peers_line(peers: &Peers) -> String {
    let told = peers.peers.iter().map(|peer| {
        let connected = if peer.connected { "connected" } else { "not connected" };
        format!("{} {connected}", peer.address)
    });
    let heard = if peers.heard.is_empty() { "nobody".to_owned() } else { peers.heard.join(" ") };
    let told: Vec<String> = told.collect();
    format!(
        "\npeers of {}: {}; hears {heard}; {} clients told, {} heard\n",
        peers.name,
        told.join(", "),
        peers.sent,
        peers.received
    )
}

/// The name service, in a line.
fn name_line(names: &NameService) -> String {
    let addresses = names.addresses.iter();
    let addresses: Vec<String> = addresses
        .map(|known| format!("{} {}", known.address, if known.up { "up" } else { "not known to be up" }))
        .collect();
    let answered: Vec<String> =
        names.answers.iter().filter(|(_, n)| **n > 0).map(|(answer, n)| format!("{answer} {n}")).collect();
    let answered = if answered.is_empty() { "nothing".to_owned() } else { answered.join(", ") };
    let dropped: u64 = names.dropped.values().sum();
    format!("\nname {}: {}; answered {answered}; {dropped} dropped\n", names.name, addresses.join(", "))
}

fn frontend_row(frontend: &Frontend) -> Vec<String> {
    let level = &frontend.connections;
    let connections = match level.limit {
        Some(limit) => format!("{} of {limit}", level.now),
        None => level.now.to_string(),
    };
    vec![
        frontend.name.clone(),
        frontend.binds.join(" "),
        connections,
        frontend.requests.to_string(),
        frontend.request_rate.now.to_string(),
        frontend.responses.client_error.to_string(),
        frontend.responses.server_error.to_string(),
    ]
}

fn servers(backend: &Backend) -> Table {
    let mut rows =
        Table::new(&["server", "address", "status", "admin", "weight", "now", "requests", "/s", "5xx", "check"]);
    for server in &backend.servers {
        rows.push(vec![
            server.name.clone(),
            server.address.clone(),
            server.status.to_string(),
            server.admin.as_str().to_owned(),
            weight(server.weight, server.effective_weight),
            server.in_flight.now.to_string(),
            server.traffic.requests.to_string(),
            server.traffic.request_rate.now.to_string(),
            server.traffic.responses.server_error.to_string(),
            server.check.as_ref().map_or_else(|| "none".to_owned(), check),
        ]);
    }
    rows
}

fn quorum_line(quorum: &Quorum) -> String {
    let word = match quorum.is_there {
        Some(true) => "there",
        Some(false) => "lost",
        None => "not known yet",
    };
    let sorry = if quorum.sorry { "; the sorry server stands in" } else { "" };
    format!("quorum {word}: usable servers weigh {} of {}{sorry}", quorum.weight, quorum.wanted)
}

fn weight(set: u64, effective: u64) -> String {
    if set == effective { set.to_string() } else { format!("{effective} of {set}") }
}

fn check(check: &Check) -> String {
    let millis = check.duration_us as f64 / 1000.0;
    match check.http_status {
        Some(status) => format!("{} {status} in {millis:.1} ms", check.code),
        None => format!("{} in {millis:.1} ms", check.code),
    }
}

pub(super) fn uptime(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, _, _) => format!("{hours}h{minutes:02}m"),
        _ => format!("{days}d{hours:02}h"),
    }
}

/// Rows in columns as wide as their widest cell.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(head: &[&str]) -> Table {
        Table { rows: vec![head.iter().map(|&word| word.to_owned()).collect()] }
    }

    pub(super) fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    pub(super) fn text(&self) -> String {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.rows[0].len()).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
            text += cells.join("  ").trim_end();
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["server", "n"]);
        table.push(vec!["a".to_owned(), "1000".to_owned()]);
        table.push(vec!["somewhat-longer".to_owned(), "2".to_owned()]);
        assert_eq!(table.text(), "server           n\na                1000\nsomewhat-longer  2\n");
    }

    #[test]
    fn times_are_told_in_two_units() {
        let told = [(7, "7s"), (61, "1m01s"), (7_200, "2h00m"), (90_061, "1d01h")];
        for (seconds, expected) in told {
            assert_eq!(uptime(seconds), expected);
        }
    }
}
