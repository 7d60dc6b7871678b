//! `perron demo`: a whole cluster on this machine, to play with.
//!
//! Each director and origin is a `perron run` of its own, with a configuration that is there to be looked at.

mod cluster;
mod load;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::cli::Demo;
use cluster::Cluster;
use load::{Load, Seen};

/// Between two looks at the processes and the load.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Without a terminal, a line of numbers each time so many looks have passed.
const LOOKS_PER_LINE: u64 = 10;

/// `perron demo`.
pub(crate) fn run(options: &Demo) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(play(options.seconds.map(Duration::from_secs)))
}

async fn play(length: Option<Duration>) -> anyhow::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut cluster = Cluster::start().await?;
    let load = Load::start(cluster.director_addresses());
    print!("{}", cluster.introduction());
    let end = length.map(|length| Instant::now() + length);
    let mut looks = interval(LOOK_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut screen = Screen::new();
    loop {
        tokio::select! {
            _ = looks.tick() => {
                for event in cluster.look_after() {
                    screen.event(&event);
                }
                screen.numbers(&load.seen());
            }
            () = over(end) => break,
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
        }
    }
    let seen = load.stop();
    screen.event("ending: every process finishes its requests");
    cluster.stop().await;
    println!("{} requests, {} without an answer", seen.answered(), seen.failed);
    let fine = length.is_none() || seen.failed == 0 && seen.answered() > 0;
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn over(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// One line of numbers that is written over on a terminal, with events above it.
struct Screen {
    terminal: bool,
    looks: u64,
    before: (Instant, u64),
    rate: f64,
}

impl Screen {
    fn new() -> Screen {
        Screen { terminal: std::io::stdout().is_terminal(), looks: 0, before: (Instant::now(), 0), rate: 0.0 }
    }

    fn event(&self, text: &str) {
        println!("{}{text}", if self.terminal { "\r\x1b[K" } else { "" });
    }

    fn numbers(&mut self, seen: &Seen) {
        self.looks += 1;
        let (then, answered) = self.before;
        let passed = then.elapsed();
        if passed >= Duration::from_secs(1) {
            self.rate = (seen.answered() - answered) as f64 / passed.as_secs_f64();
            self.before = (Instant::now(), seen.answered());
        }
        let shares: Vec<String> = seen.by_origin.iter().map(|(name, count)| format!("{name} {count}")).collect();
        let line = format!(
            "{:4.1} requests/s   {}   retried {}   without an answer {}   slowest {:.1} ms",
            self.rate,
            shares.join("  "),
            seen.retried,
            seen.failed,
            seen.slowest.as_secs_f64() * 1000.0
        );
        if self.terminal {
            print!("\r\x1b[K{line}");
            // A terminal that is gone ends the demo by a signal.
            let _ = std::io::stdout().flush();
        } else if self.looks.is_multiple_of(LOOKS_PER_LINE) {
            println!("{line}");
        }
    }
}
