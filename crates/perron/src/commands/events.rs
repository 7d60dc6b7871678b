use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use serde::Deserialize;

use super::ask::ask;
use super::print;
use crate::cli::Events;
use crate::control::Request;
use crate::event::Event;
use crate::log::Level;

/// Without a word about how many.
const LINES: usize = 50;

/// Between two looks of `--follow`.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(250);

/// What a service answers.
#[derive(Deserialize)]
struct Found {
    events: Vec<Event>,
    last: u64,
}

/// `perron events`.
pub(crate) fn events(options: &Events) -> anyhow::Result<ExitCode> {
    let everything = if options.since.is_some() { usize::MAX } else { LINES };
    let earliest = options.since.map_or(0, |since| unix_ms().saturating_sub(since.as_millis()));
    let mut limit = options.lines.unwrap_or(everything);
    let mut since = 0;
    loop {
        let mut found = Ok(Found { events: Vec::new(), last: since });
        let request = Request::Events { since, limit };
        let code = ask(&options.client, &request, |answer| found = serde_json::from_value(answer.clone()))?;
        let found = found.context("the service is of another version")?;
        if found.last < since {
            // Another service has begun to count.
            since = 0;
            continue;
        }
        let recent = found.events.iter().filter(|event| u128::from(event.time_unix_ms) >= earliest);
        let mut lines = String::new();
        for event in recent {
            lines += &line(event, options.json)?;
        }
        print(&lines)?;
        if !options.follow || code != ExitCode::SUCCESS {
            return Ok(code);
        }
        since = found.last;
        limit = usize::MAX;
        std::thread::sleep(FOLLOW_INTERVAL);
    }
}

fn line(event: &Event, json: bool) -> anyhow::Result<String> {
    if json {
        return Ok(serde_json::to_string(event)? + "\n");
    }
    Ok(match (std::io::stdout().is_terminal(), event.severity) {
        (true, Level::Error) => format!("\x1b[31m{event}\x1b[0m\n"),
        (true, Level::Warn) => format!("\x1b[33m{event}\x1b[0m\n"),
        (false, _) | (true, Level::Info) => format!("{event}\n"),
    })
}

fn unix_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}
