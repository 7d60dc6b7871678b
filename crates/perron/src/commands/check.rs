use std::io::IsTerminal;
use std::process::ExitCode;

use config::{Diagnostics, Loaded, Sources};
use serde_json::json;

use super::print;
use crate::cli::Check;
use crate::quickstart;

/// `perron check`.
pub(crate) fn check(options: &Check) -> anyhow::Result<ExitCode> {
    let sources = match &options.config.config {
        Some(path) => match Sources::read(path) {
            Ok(sources) => sources,
            Err(error) => {
                report_unreadable(options, &anyhow::Error::new(error));
                return Ok(ExitCode::from(2));
            }
        },
        None => quickstart::sources()?,
    };
    match config::load(&sources) {
        Ok(loaded) => {
            if options.json {
                print(&format!("{:#}\n", as_json(&loaded, options.explain)))?;
            } else {
                show(&loaded, options)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(wrong) => {
            if options.json {
                println!("{:#}", json!({ "ok": false, "problems": wrong }));
            } else {
                print_problems(&wrong);
                eprintln!("{}", count(wrong.errors(), "error"));
            }
            Ok(ExitCode::from(2))
        }
    }
}

fn report_unreadable(options: &Check, error: &anyhow::Error) {
    if options.json {
        println!(
            "{:#}",
            json!({ "ok": false, "problems": [{ "severity": "error", "message": format!("{error:#}") }] })
        );
    } else {
        eprintln!("perron: {error:#}");
    }
}

fn print_problems(problems: &Diagnostics) {
    match std::io::stderr().is_terminal() {
        true => eprint!("{}", problems.coloured()),
        false => eprint!("{problems}"),
    }
}

fn as_json(loaded: &Loaded, explain: bool) -> serde_json::Value {
    let config = &loaded.config;
    let mut answer = json!({
        "ok": true,
        "problems": loaded.warnings,
        "frontends": config.proxy.frontends.len(),
        "backends": config.proxy.backends.len(),
        "servers": config.proxy.backends.iter().map(|backend| backend.servers.len()).sum::<usize>(),
        "later": config.later,
    });
    if explain {
        answer["defaults"] = json!(loaded.defaults);
    }
    answer
}

fn show(loaded: &Loaded, options: &Check) -> anyhow::Result<()> {
    print_problems(&loaded.warnings);
    let config = &loaded.config;
    let mut text = String::new();
    if options.explain {
        if options.config.config.is_none() {
            text += &format!("{}\n", quickstart::TEXT);
        }
        text += &defaults(loaded);
    }
    for later in &config.later {
        text += &format!("{}: {}: this version cannot run it yet\n", later.place, later.part);
    }
    let servers: usize = config.proxy.backends.iter().map(|backend| backend.servers.len()).sum();
    let frontends = count(config.proxy.frontends.len(), "frontend");
    let backends = count(config.proxy.backends.len(), "backend");
    print(&format!("{text}right: {frontends}, {backends}, {}\n", count(servers, "server")))
}

fn defaults(loaded: &Loaded) -> String {
    let mut text = "Defaults that apply:\n".to_owned();
    let width = loaded.defaults.iter().map(|key| key.path.len() + key.value.len() + 3).max().unwrap_or(0);
    for default in &loaded.defaults {
        let key = format!("{} = {}", default.path, default.value);
        text += &format!("  {key:width$}  {}\n", default.meaning);
    }
    text + "\n"
}

fn count(number: usize, word: &str) -> String {
    match number {
        1 => format!("1 {word}"),
        _ => format!("{number} {word}s"),
    }
}
