//! `perron call`: a request whose answer is a stream of messages.

use std::io::{IsTerminal, Read};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use client::{Body, Message, Progress, Server, messages, separator_of};
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use indicatif::{ProgressBar, ProgressStyle};

use super::{dial, print, printable};
use crate::cli::{Call, Wanted};

/// The most that is sent: a request, no transfer.
const DATA_BYTES: u64 = 64 << 20;

/// How much of a refusal is shown.
const REFUSAL_BYTES: usize = 4096;

/// Steps of a bar that is told parts of a whole.
const STEPS: u64 = 10_000;

/// `perron call`.
pub(crate) fn call(options: &Call) -> anyhow::Result<ExitCode> {
    let request = request(options)?;
    let server = Server::new(options.url.clone(), dial::connector(&options.url, &options.tls)?)?;
    dial::block_on(run(options, &server, request))
}

fn request(options: &Call) -> anyhow::Result<Request<Body>> {
    let data = options.data.as_deref().map(data).transpose()?;
    let default = if data.is_some() { Method::POST } else { Method::GET };
    let mut request = Request::builder()
        .method(options.method.clone().unwrap_or(default))
        .uri(options.url.target())
        .header(header::ACCEPT, "application/json, text/event-stream, */*;q=0.1");
    if data.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let body = Full::new(data.unwrap_or_default()).map_err(|never| match never {}).boxed_unsync();
    let mut request = request.body(body)?;
    for (name, value) in &options.headers {
        request.headers_mut().insert(name, value.clone());
    }
    Ok(request)
}

/// What `--data` names.
fn data(text: &str) -> anyhow::Result<Bytes> {
    let Some(path) = text.strip_prefix('@') else {
        return Ok(text.to_owned().into());
    };
    let mut bytes = Vec::new();
    let read = match path {
        "-" => std::io::stdin().take(DATA_BYTES + 1).read_to_end(&mut bytes),
        path => std::fs::File::open(path).and_then(|file| file.take(DATA_BYTES + 1).read_to_end(&mut bytes)),
    };
    read.with_context(|| path.to_owned())?;
    if bytes.len() as u64 > DATA_BYTES {
        bail!("{path}: more than {} MiB: `perron export` sends files", DATA_BYTES >> 20);
    }
    Ok(bytes.into())
}

async fn run(options: &Call, server: &Server, request: Request<Body>) -> anyhow::Result<ExitCode> {
    let mut connection = server.connect().await?;
    let answer = tokio::time::timeout(options.patience, connection.send(request)).await;
    let answer = answer.map_err(|_| anyhow::anyhow!("no answer for {:?}", options.patience))??;
    if !answer.status().is_success() {
        return Err(refusal(answer).await);
    }
    let separator = match options.separator {
        Wanted::Auto => separator_of(answer.headers()),
        Wanted::Just(separator) => separator,
    };
    let mut messages = messages(answer.into_body(), separator).with_patience(options.patience);
    let mut screen = Screen::new(options.json);
    let mut last = None;
    while let Some(bytes) = messages.next().await.context("the stream broke off")? {
        if let Some(Message::Outcome(outcome)) = &last {
            // It was not the last message, and so none.
            screen.line(&outcome.value.to_string());
        }
        let message = Message::read(&bytes);
        screen.show(&bytes, &message)?;
        last = Some(message);
    }
    screen.end();
    let Some(Message::Outcome(outcome)) = last else {
        bail!("the stream ended without a result");
    };
    if !options.json {
        let text = outcome.value.as_str().map_or_else(|| format!("{:#}", outcome.value), str::to_owned);
        print(&format!("{text}\n"))?;
    }
    Ok(if outcome.success { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a server that does not answer 2xx says.
async fn refusal(answer: Response<Incoming>) -> anyhow::Error {
    let status = answer.status();
    let place = answer.headers().get(header::LOCATION).and_then(|place| place.to_str().ok()).map(str::to_owned);
    let text = Limited::new(answer.into_body(), REFUSAL_BYTES).collect().await;
    let text = text.map(|text| String::from_utf8_lossy(&text.to_bytes()).trim().to_owned()).unwrap_or_default();
    match place {
        Some(place) => anyhow::anyhow!("the server answers {status}, which is not followed, to {place}"),
        None if text.is_empty() => anyhow::anyhow!("the server answers {status}"),
        None => anyhow::anyhow!("the server answers {status}: {text}"),
    }
}

/// Where progress is shown: a bar on a terminal, lines elsewhere, JSON if that is asked for.
struct Screen {
    bar: Option<ProgressBar>,
    json: bool,
}

impl Screen {
    fn new(json: bool) -> Screen {
        let bar = (!json && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(STEPS);
            let style = ProgressStyle::with_template("{wide_bar} {percent:>3} % {elapsed} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        Screen { bar, json }
    }

    fn show(&mut self, bytes: &[u8], message: &Message) -> anyhow::Result<()> {
        if self.json {
            let text = String::from_utf8_lossy(bytes);
            let value = serde_json::from_str(&text).unwrap_or_else(|_| serde_json::Value::from(text.as_ref()));
            return print(&format!("{value}\n"));
        }
        match message {
            Message::Progress { progress, text } => self.progress(*progress, text.as_deref()),
            Message::Note(text) | Message::Other(text) => self.line(text),
            Message::Outcome(_) => {}
        }
        Ok(())
    }

    fn progress(&mut self, progress: Progress, text: Option<&str>) {
        let (done, total, mut words) = match progress {
            Progress::Part(part) => ((part * STEPS as f64) as u64, STEPS, format!("{:.0} %", part * 100.0)),
            Progress::Of { done, total } => (done, total, format!("{done} of {total}")),
        };
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
            if let Some(text) = text {
                bar.set_message(printable(text));
            }
            return;
        }
        if let Some(text) = text {
            words = format!("{words} {text}");
        }
        self.line(&words);
    }

    fn line(&self, text: &str) {
        let text = printable(text);
        match &self.bar {
            Some(bar) => bar.println(text),
            None if self.json => {}
            None => eprintln!("{text}"),
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
