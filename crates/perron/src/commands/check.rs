use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::SystemTime;

use config::{Diagnostics, Loaded, Sources};
use serde_json::json;
use tls::Severity;

use super::print;
use crate::cli::Check;
use crate::{certificates, quickstart};

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
            let files = if options.text_only { Files::default() } else { Files::of(&loaded) };
            if options.json {
                print(&format!("{:#}\n", as_json(&loaded, &files, options.explain)))?;
            } else {
                show(&loaded, &files, options)?;
            }
            Ok(if files.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(2) })
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

/// What there is to say of the files of TLS, a line each.
#[derive(Default)]
struct Files {
    wrong: Vec<String>,
    warnings: Vec<String>,
    notes: Vec<String>,
}

impl Files {
    fn of(loaded: &Loaded) -> Files {
        let mut files = Files::default();
        let found = match certificates::read_of(&loaded.config) {
            Ok(found) => found,
            Err(lines) => {
                files.wrong.extend(lines.lines().map(|line| line.trim_start_matches("error: ").to_owned()));
                return files;
            }
        };
        for path in &found.open_to_others {
            files.warnings.push(format!("{}: {}", path.display(), certificates::OPEN_TO_OTHERS));
        }
        for (part, finding) in certificates::judge(&loaded.config, &found.material, SystemTime::now()) {
            let list = match finding.severity {
                Severity::Error => &mut files.wrong,
                Severity::Warning => &mut files.warnings,
                Severity::Note => &mut files.notes,
            };
            list.push(format!("{part}: {finding}"));
        }
        files
    }

    /// With the word that each begins with.
    fn lines(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let all = |word, list| Iterator::map(<[String]>::iter(list), move |line| (word, line));
        all("error", &self.wrong).chain(all("warning", &self.warnings)).chain(all("note", &self.notes))
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

fn as_json(loaded: &Loaded, files: &Files, explain: bool) -> serde_json::Value {
    let config = &loaded.config;
    let said = |(word, line)| json!({ "severity": word, "message": line });
    let mut answer = json!({
        "ok": files.wrong.is_empty(),
        "files": files.lines().map(said).collect::<Vec<_>>(),
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

fn show(loaded: &Loaded, files: &Files, options: &Check) -> anyhow::Result<()> {
    print_problems(&loaded.warnings);
    for (word, line) in files.lines() {
        eprintln!("{word}: {line}");
    }
    if !files.wrong.is_empty() {
        eprintln!("{}", count(files.wrong.len(), "error"));
        return Ok(());
    }
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
