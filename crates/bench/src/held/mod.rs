//! How old messages are at their clients: an application tells, a front passes on, and each message brings its birth.

mod ends;
mod front;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;

use crate::machine::{self, CORE, OTHER_CORE};
use crate::process::Running;
use crate::program;
use ends::Heard;
use front::{Front, Said};

/// Where applications listen, and fronts.
const APPLICATION: u16 = 18_900;
const FRONT: u16 = 18_901;

/// From a front's first answer to the first stream.
const SETTLED: Duration = Duration::from_secs(1);

/// How many of the oldest messages are told singly.
const SHOWN: usize = 3;

/// How long a front may take to answer.
const START: Duration = Duration::from_secs(10);

/// `bench held`.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Streams at once
    #[arg(long, value_name = "N", default_value_t = 500)]
    streams: usize,
    /// Messages of each
    #[arg(long, value_name = "N", default_value_t = 100)]
    messages: u32,
    /// Between two messages of a stream
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 100)]
    apart: u64,
    /// Reach the application by FastCGI, not by HTTP
    #[arg(long)]
    fastcgi: bool,
    /// The program to measure [default: the one beside this one]
    #[arg(long, value_name = "PATH")]
    perron: Option<PathBuf>,
}

/// What streams are like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) streams: usize,
    pub(crate) messages: u32,
    pub(crate) apart: Duration,
}

/// Ages of messages, and what the front says itself.
struct Ages {
    name: String,
    /// In their order.
    sorted: Vec<Duration>,
    own: Option<Said>,
}

/// Measures each front and prints a table.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if let Some(code) = machine::run_apart()? {
        return Ok(code);
    }
    machine::stop_on_signals();
    let perron = program::own(arguments.perron.as_deref())?;
    let conditions = machine::conditions()?;
    eprintln!("{conditions}");
    let shape = Shape {
        streams: arguments.streams.clamp(1, 8000),
        messages: arguments.messages.clamp(1, 100_000),
        apart: Duration::from_millis(arguments.apart.clamp(1, 60_000)),
    };
    let began = Instant::now();
    let application = move || ends::tell(APPLICATION, shape, began);
    machine::on_core(OTHER_CORE, || std::thread::Builder::new().name("application".to_owned()).spawn(application))?
        .context("the application's thread")?;
    let folder = tempfile::tempdir().context("a folder for configurations")?;
    let mut rows = vec![measure("no front", APPLICATION, shape, began)?];
    for front in front::all(&perron, arguments.fastcgi) {
        eprintln!("{}", front.name());
        match through(&front, shape, began, folder.path()) {
            Ok(ages) => rows.push(ages),
            Err(error) if machine::is_stopped() => return Err(error),
            Err(error) => eprintln!("  not measured: {error:#}"),
        }
    }
    print(&conditions, shape, arguments.fastcgi, &rows);
    Ok(ExitCode::SUCCESS)
}

fn through(front: &Front, shape: Shape, began: Instant, folder: &std::path::Path) -> anyhow::Result<Ages> {
    let log = folder.join("front.log");
    let command = front.command(folder, APPLICATION, FRONT)?;
    let mut running = Running::start(&front.name(), command, CORE, &log)?;
    let deadline = Instant::now() + START;
    while std::net::TcpStream::connect(("127.0.0.1", FRONT)).is_err() {
        running.check(&log)?;
        if Instant::now() > deadline {
            bail!("it does not listen");
        }
        machine::pause(Duration::from_millis(20))?;
    }
    let mut ages = measure(&front.name(), FRONT, shape, began)?;
    ages.own = front.says();
    Ok(ages)
}

fn measure(name: &str, port: u16, shape: Shape, began: Instant) -> anyhow::Result<Ages> {
    // Whatever a program does at its start is done by then.
    machine::pause(SETTLED)?;
    let mut heard = machine::on_core(OTHER_CORE, || ends::hear(port, shape, began))??;
    let wanted = shape.streams * shape.messages as usize;
    if heard.len() != wanted {
        bail!("{} messages came, of {wanted}", heard.len());
    }
    heard.sort_unstable_by_key(|heard| heard.age);
    let first = heard.iter().map(|heard| heard.born).min().unwrap_or_default();
    for Heard { age, born } in heard.iter().rev().take(SHOWN) {
        eprintln!("  {} old: made {:.2} s after the first", millis(*age), (*born - first).as_secs_f64());
    }
    let sorted = heard.iter().map(|heard| heard.age).collect();
    Ok(Ages { name: name.to_owned(), sorted, own: None })
}

fn print(conditions: &str, shape: Shape, fastcgi: bool, rows: &[Ages]) {
    println!("{conditions}\n");
    let by = if fastcgi { "FastCGI" } else { "HTTP" };
    println!("{} streams by {by}, {} messages of each, {:?} apart\n", shape.streams, shape.messages, shape.apart);
    println!("| front | half of the messages | 99 % | the oldest | held, as it says itself |");
    println!("|---|--:|--:|--:|--:|");
    for Ages { name, sorted, own } in rows {
        let of = |thousandth: usize| millis(sorted[(sorted.len() - 1) * thousandth / 1000]);
        let own = own.as_ref().map_or_else(|| "-".to_owned(), |own| format!("at most {}", millis(own.longest)));
        println!("| {name} | {} | {} | {} | {own} |", of(500), of(990), of(1000));
    }
    for Ages { name, own, .. } in rows {
        let Some(Said { within, waited, .. }) = own else { continue };
        let counts: Vec<_> =
            within.iter().map(|(seconds, count)| format!("{count} within {} ms", seconds * 1000.0)).collect();
        println!("\nReads of {name}: {}; {waited} had to wait for their client", counts.join(", "));
    }
}

fn millis(age: Duration) -> String {
    let millis = age.as_secs_f64() * 1000.0;
    if millis < 100.0 { format!("{millis:.2} ms") } else { format!("{millis:.0} ms") }
}
