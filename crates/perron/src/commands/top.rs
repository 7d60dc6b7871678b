use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::process::ExitCode;

use admin::model::{Backend, Classes, Frontend, Histogram, Server, Status, Traffic};
use anyhow::Context;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use super::ask::ask;
use super::print;
use super::status::{HOME, Table, WATCH_INTERVAL};
use crate::cli::Top;
use crate::control::Request;

/// Takes another screen, without a cursor; the first stays as it is.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";

/// Back to the first screen.
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// Of a terminal that does not say: as large as the oldest.
const SIZE: (usize, usize) = (24, 80);

/// One look, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Look {
    taken_unix_ms: u64,
    rows: Vec<Row>,
}

/// What went through something, a second.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Row {
    /// `frontend`, `backend` or `server`.
    kind: &'static str,
    name: String,
    /// Empty for a frontend.
    status: String,
    requests: f64,
    bytes_in: f64,
    bytes_out: f64,
    /// Connections of a frontend, requests at servers else.
    now: u64,
    /// Requests that wait for a server of the backend.
    waiting: Option<u64>,
    /// In microseconds; `None`: no request ended, or it took longer than is told apart.
    p95_us: Option<u64>,
    /// Answers 5xx, and requests that failed at the server.
    errors: f64,
}

/// The counters of a row.
#[derive(Clone, Copy)]
struct Counters<'a> {
    requests: u64,
    bytes_in: u64,
    bytes_out: u64,
    errors: u64,
    times: &'a Histogram,
}

/// `perron top`.
pub(crate) fn top(options: &Top) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let screen = std::io::stdout().is_terminal() && !options.json && !options.once;
    if screen {
        print(ENTER)?;
    }
    let outcome = runtime.block_on(watch(options, screen));
    if screen {
        print(LEAVE)?;
    }
    outcome
}

async fn watch(options: &Top, screen: bool) -> anyhow::Result<ExitCode> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut before: Option<Status> = None;
    loop {
        let mut answer = serde_json::Value::Null;
        let code = ask(&options.client, &Request::Status, |found| answer = found.clone())?;
        if code != ExitCode::SUCCESS {
            return Ok(code);
        }
        let now: Status = serde_json::from_value(answer).context("the service is of another version")?;
        if let Some(before) = &before {
            let look = Look { taken_unix_ms: now.taken_unix_ms, rows: rows(before, &now) };
            print(&match (options.json, screen) {
                (true, _) => serde_json::to_string(&look)? + "\n",
                (false, true) => format!("{HOME}{}", fit(&text(&now, &look.rows), size())),
                (false, false) => text(&now, &look.rows) + "\n",
            })?;
            if options.once {
                return Ok(ExitCode::SUCCESS);
            }
        }
        before = Some(now);
        tokio::select! {
            () = tokio::time::sleep(WATCH_INTERVAL) => {}
            _ = interrupt.recv() => return Ok(ExitCode::SUCCESS),
            _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
        }
    }
}

/// Every part, the busiest first.
fn rows(before: &Status, now: &Status) -> Vec<Row> {
    let seconds = now.taken_unix_ms.saturating_sub(before.taken_unix_ms).max(1) as f64 / 1000.0;
    // Another process has begun to count anew.
    let same = now.pid == before.pid;
    let rate = Rate { seconds, bounds: &now.latency_bounds_us };
    let mut rows = Vec::new();
    for frontend in &now.frontends {
        let old = before.frontends.iter().find(|old| same && old.name == frontend.name);
        let mut row = rate.row("frontend", frontend.name.clone(), of_frontend(frontend), old.map(of_frontend));
        row.now = frontend.connections.now;
        rows.push(row);
    }
    for backend in &now.backends {
        let old: Option<&Backend> = before.backends.iter().find(|old| same && old.name == backend.name);
        let old_traffic = old.map(|old| of_traffic(&old.traffic));
        let mut row = rate.row("backend", backend.name.clone(), of_traffic(&backend.traffic), old_traffic);
        row.status = backend.status.to_string();
        (row.now, row.waiting) = (backend.in_flight.now, Some(backend.queue.now));
        rows.push(row);
        for server in &backend.servers {
            let known = |old: &&Server| old.name == server.name;
            let old = old.and_then(|old| old.servers.iter().find(known)).map(|old| of_traffic(&old.traffic));
            let name = format!("{}/{}", backend.name, server.name);
            let mut row = rate.row("server", name, of_traffic(&server.traffic), old);
            row.status = match server.admin {
                units::AdminState::Ready => server.status.to_string(),
                admin => format!("{}, {admin}", server.status),
            };
            row.now = server.in_flight.now;
            rows.push(row);
        }
    }
    rows.sort_by(|one, other| {
        let bytes = |row: &Row| row.bytes_in + row.bytes_out;
        bytes(other).total_cmp(&bytes(one)).then(other.requests.total_cmp(&one.requests))
    });
    rows
}

fn of_frontend(frontend: &Frontend) -> Counters<'_> {
    Counters {
        requests: frontend.requests,
        bytes_in: frontend.bytes_in,
        bytes_out: frontend.bytes_out,
        errors: failed(&frontend.responses),
        times: &frontend.total_time,
    }
}

fn of_traffic(traffic: &Traffic) -> Counters<'_> {
    Counters {
        requests: traffic.requests,
        bytes_in: traffic.bytes_in,
        bytes_out: traffic.bytes_out,
        errors: failed(&traffic.responses) + traffic.connection_errors + traffic.response_errors,
        times: &traffic.total_time,
    }
}

fn failed(responses: &Classes) -> u64 {
    responses.server_error
}

/// From counters to what they grew by in a second.
struct Rate<'a> {
    seconds: f64,
    bounds: &'a [u64],
}

impl Rate<'_> {
    /// Without earlier counters nothing is known of the last second yet.
    fn row(&self, kind: &'static str, name: String, now: Counters<'_>, before: Option<Counters<'_>>) -> Row {
        let before = before.unwrap_or(now);
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / self.seconds;
        Row {
            kind,
            name,
            status: String::new(),
            requests: rate(now.requests, before.requests),
            bytes_in: rate(now.bytes_in, before.bytes_in),
            bytes_out: rate(now.bytes_out, before.bytes_out),
            now: 0,
            waiting: None,
            p95_us: self.p95(now.times, before.times),
            errors: rate(now.errors, before.errors),
        }
    }

    fn p95(&self, now: &Histogram, before: &Histogram) -> Option<u64> {
        let grown = now.counts.iter().zip(&before.counts).map(|(now, before)| now.saturating_sub(*before));
        let grown: Vec<u64> = grown.collect();
        let total: u64 = grown.iter().sum();
        let mut seen = 0;
        let place = grown.iter().position(|count| {
            seen += count;
            total > 0 && seen * 100 >= total * 95
        });
        self.bounds.get(place?).copied()
    }
}

fn text(status: &Status, rows: &[Row]) -> String {
    let mut table = Table::new(&["", "name", "status", "req/s", "in/s", "out/s", "now", "waiting", "p95", "err/s"]);
    for row in rows {
        table.push(vec![
            row.kind.to_owned(),
            row.name.clone(),
            row.status.clone(),
            format!("{:.0}", row.requests),
            bytes(row.bytes_in),
            bytes(row.bytes_out),
            row.now.to_string(),
            row.waiting.map_or_else(String::new, |waiting| waiting.to_string()),
            row.p95_us.map_or_else(String::new, |micros| format!("{} ms", micros as f64 / 1000.0)),
            format!("{:.0}", row.errors),
        ]);
    }
    format!("perron {}, generation {}, process {}\n\n{}", status.version, status.generation, status.pid, table.text())
}

fn bytes(rate: f64) -> String {
    let units = [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
    match units.iter().find(|(_, size)| rate >= *size) {
        Some((unit, size)) => format!("{:.1} {unit}", rate / size),
        None => format!("{rate:.0} B"),
    }
}

/// What a terminal of so many lines and columns shows at once.
fn fit(text: &str, (lines, columns): (usize, usize)) -> String {
    let cut = text.lines().take(lines.saturating_sub(1));
    cut.map(|line| line.chars().take(columns).collect::<String>() + "\n").collect()
}

/// Lines and columns of the terminal.
fn size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(std::io::stdout().as_fd()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => (size.ws_row.into(), size.ws_col.into()),
        _ => SIZE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_what_counters_grew_by_in_a_second() {
        let (mut old, mut new) = (Histogram::default(), Histogram::default());
        (old.counts[0], new.counts[0], new.counts[1], new.counts[2]) = (10, 104, 1, 5);
        let bounds = [100, 250, 500];
        let rate = Rate { seconds: 2.0, bounds: &bounds };
        let of = |count, times| Counters { requests: count, bytes_in: count, bytes_out: 3 * count, errors: 0, times };
        let row = rate.row("frontend", "web".to_owned(), of(300, &new), Some(of(100, &old)));
        // 94 of the hundred that ended are within the first bound, 95 within the second.
        assert_eq!((row.requests, row.bytes_out, row.p95_us), (100.0, 300.0, Some(250)));
        let row = rate.row("frontend", "web".to_owned(), of(300, &new), None);
        assert_eq!((row.requests, row.p95_us), (0.0, None));
        let row = rate.row("frontend", "web".to_owned(), of(1, &new), Some(of(100, &old)));
        assert_eq!(row.requests, 0.0);
    }

    #[test]
    fn a_look_fits_its_terminal_and_bytes_their_column() {
        assert_eq!(fit("one\ntwo\nthree\n", (3, 2)), "on\ntw\n");
        let told = [(999.0, "999 B"), (1000.0, "1.0 kB"), (12_340_000.0, "12.3 MB"), (5e9, "5.0 GB")];
        for (rate, expected) in told {
            assert_eq!(bytes(rate), expected);
        }
    }
}
