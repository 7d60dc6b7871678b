//! `perron export` and `perron import-data`.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use client::{Done, Server, Source, Tell, Transfer, Url};
use http::HeaderMap;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{dial, print};
use crate::cli::{Export, Import, Way};

/// Between two lines that say how far it is, where there is no terminal.
const LINES: Duration = Duration::from_secs(10);

/// `perron export`.
pub(crate) fn export(options: Export) -> anyhow::Result<ExitCode> {
    let transfer = transfer(&options.url, &options.way)?;
    let began = Instant::now();
    let done = dial::block_on(async {
        if options.source == Path::new("-") {
            if options.resume.is_some() {
                bail!("what comes from standard input cannot be gone on with");
            }
            return Ok(transfer.upload_from(Box::new(std::io::stdin())).await?);
        }
        Ok(transfer.upload(Source::open(&options.source)?, options.resume).await?)
    })?;
    conclude(&done, began, &options.url.to_string(), options.way.json, true)
}

/// `perron import-data`.
pub(crate) fn import(options: Import) -> anyhow::Result<ExitCode> {
    let transfer = transfer(&options.url, &options.way)?;
    let began = Instant::now();
    let is_pipe = options.destination == Path::new("-");
    let told = options.done.then(|| done_of(&options.url)).transpose()?;
    let done = dial::block_on(async {
        let done = match is_pipe {
            true => transfer.download_to(&mut std::io::stdout(), options.sha256).await?,
            false => transfer.download(&options.destination, options.parallel.into(), options.sha256).await?,
        };
        if let Some(target) = told {
            transfer.post(&target).await.context("it is there, but the server could not be told")?;
        }
        Ok(done)
    })?;
    let place = options.destination.display().to_string();
    conclude(&done, began, &place, options.way.json, !is_pipe)
}

/// Where a server is told that a transfer is done.
fn done_of(url: &Url) -> anyhow::Result<String> {
    let path = url.target().split('?').next().unwrap_or_default();
    let transfer = path.strip_suffix("/contents").context("--done is for URLs that end in /contents")?;
    Ok(format!("{transfer}/done"))
}

fn transfer(url: &Url, way: &Way) -> anyhow::Result<Transfer> {
    let server = Server::new(url.clone(), dial::connector(url, &way.tls)?)?;
    let screen = Mutex::new(Screen::new());
    Ok(Transfer {
        server,
        headers: HeaderMap::from_iter(way.headers.clone()),
        patience: way.patience,
        tell: Arc::new(move |what| screen.lock().unwrap_or_else(PoisonError::into_inner).show(what)),
    })
}

/// Says what has become of it, on standard output if that is free.
fn conclude(done: &Done, began: Instant, place: &str, json: bool, is_free: bool) -> anyhow::Result<ExitCode> {
    let took = began.elapsed().as_secs_f64();
    if !done.verified {
        eprintln!("perron: the server does not say what SHA-256 it should have: compare it");
    }
    let text = match json {
        true => {
            let Done { bytes, digest, verified, breaks } = done;
            let digest = digest.to_string();
            let said =
                json!({ "bytes": bytes, "sha256": digest, "verified": verified, "breaks": breaks, "seconds": took });
            format!("{said}\n")
        }
        false => format!("{}  {place}\n", done.digest),
    };
    if is_free {
        print(&text)?;
    } else {
        eprint!("{text}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Where progress is shown: a bar on a terminal, lines elsewhere.
struct Screen {
    bar: Option<ProgressBar>,
    /// When the last line was, and of which kind.
    last: Option<(Instant, bool)>,
}

impl Screen {
    fn new() -> Screen {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::no_length();
            let style = ProgressStyle::with_template(
                "{wide_bar} {binary_bytes} of {binary_total_bytes} {binary_bytes_per_sec} {eta} {msg}",
            );
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Screen { bar, last: None }
    }

    fn show(&mut self, what: Tell) {
        match what {
            Tell::Bytes(done, total) => self.progress(done, total, false),
            Tell::Verified(done, total) => self.progress(done, Some(total), true),
            Tell::Place(place) => self.line(&format!("should this end early, go on with --resume '{place}'")),
            Tell::Note(text) => self.line(&text),
        }
    }

    fn progress(&mut self, done: u64, total: Option<u64>, is_verifying: bool) {
        if let Some(bar) = &self.bar {
            bar.set_message(if is_verifying { "verifying" } else { "" });
            total.into_iter().for_each(|total| bar.set_length(total));
            bar.set_position(done);
            return;
        }
        let now = Instant::now();
        let is_due = match self.last {
            Some((then, of)) => of != is_verifying || now.duration_since(then) >= LINES || total == Some(done),
            None => true,
        };
        if is_due {
            self.last = Some((now, is_verifying));
            let verb = if is_verifying { "verified" } else { "there" };
            let of = total.map_or(String::new(), |total| format!(" of {}", mebibytes(total)));
            eprintln!("{}{of} MiB {verb}", mebibytes(done));
        }
    }

    fn line(&self, text: &str) {
        let text = super::printable(text);
        match &self.bar {
            Some(bar) => bar.println(text),
            None => eprintln!("{text}"),
        }
    }
}

fn mebibytes(bytes: u64) -> u64 {
    bytes >> 20
}
