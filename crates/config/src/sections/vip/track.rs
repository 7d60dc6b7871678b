//! What a vip depends on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use failover::{Subject, Track};
use scripts::{Watch, What};

use super::addresses::Interface;
use crate::context::Context;
use crate::names::{self, Kind};
use crate::read::{At, Command, Line, Whole};
use crate::schema::{Schema, form, optional, says, with};
use crate::section::Section;
use crate::sources::Span;
use crate::tree::Node;

/// The shortest time between two looks: a shorter one would cost more than what it looks at.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

/// A process's name in bytes: `/proc/PID/comm` has no more, but the last part of its path may.
const PROCESS_MAX: usize = 255;

pub(crate) static TRACK: Schema = Schema {
    path: "vip.NAME.track",
    about: "One of `frontend`, `backend`, `interface`, `script`, `process`, `file`: while it is not well, the priority \
            is lowered by `weight`, or without one the addresses are given away.",
    keys: &[
        optional("frontend", "name of a frontend", "It cannot serve."),
        optional("backend", "name of a backend", "It has no server."),
        optional("interface", form::TEXT, "It is down."),
        optional(
            "script",
            form::COMMAND,
            "It ends with another status than 0, or not in time. Nobody but root and `user` may be able to write to the program, its folder or one above.",
        ),
        optional("process", form::TEXT, "None of this name runs, or fewer than `at-least`."),
        optional("file", form::PATH, "The number in it, times `weight`, is added to the priority. No file: 0."),
        says(
            "weight",
            "-254 to 254",
            "none; file: 1",
            "What is added to the priority while it is not well; a positive one while it is. Without it: no addresses \
             here while it is not well.",
        ),
        with("reverse", form::BOOLEAN, "false", "Well and not well change places; not of a file."),
        says("at-least", form::NUMBER, "1", "process: so many."),
        says("interval", form::TIME, "\"1s\"", "script, process, file: between two looks; 100ms at least."),
        says(
            "timeout",
            form::TIME,
            "`interval`",
            "script: how long a run may take; then it and what it started are ended.",
        ),
        says("rise", "1 to 1000", "1", "script, process: passes in a row; the very first look decides at once."),
        says("fall", "1 to 1000", "1", "script, process: failures in a row."),
        says("user", form::TEXT, "the service's user", "script: the user to run it as."),
    ],
};

/// What is asked of a subject is allowed for these.
const OWN_KEYS: [(&str, &[&str]); 6] = [
    ("at-least", &["process"]),
    ("interval", &["script", "process", "file"]),
    ("timeout", &["script"]),
    ("rise", &["script", "process"]),
    ("fall", &["script", "process"]),
    ("user", &["script"]),
];

/// What a table tracks.
const SUBJECTS: [&str; 6] = ["frontend", "backend", "interface", "script", "process", "file"];

/// Reads one table of `track`; what is to be looked at joins `watches`.
pub(super) fn track(node: &Node, path: String, watches: &mut Vec<Watch>, cx: &mut Context) -> Option<At<Track>> {
    let mut section = Section::open(node, &TRACK, path, cx)?;
    let subjects: Vec<&str> = SUBJECTS.into_iter().filter(|key| section.has(key)).collect();
    if subjects.len() != 1 {
        cx.error(section.span, "one thing is tracked by each table")
            .help(format!("write one of {}", SUBJECTS.join(", ")));
    }
    let span = section.span;
    section.ignore(&OWN_KEYS.map(|(key, _)| key));
    for (key, of) in OWN_KEYS {
        if !subjects.iter().any(|subject| of.contains(subject)) {
            let what: Vec<String> =
                of.iter().map(|of| if *of == "process" { "processes".to_owned() } else { format!("{of}s") }).collect();
            let help = format!("remove it, or track a {}", of[0]);
            section.refuse(&[key], &format!("is for {}", what.join(", ")), &help, cx);
        }
    }
    let subject = subject(&mut section, &subjects, watches, cx);
    let weight = weight(&mut section, &subjects, cx);
    let reverse: bool = section.value("reverse", cx);
    if subjects == ["file"] && reverse {
        section.refuse(&["reverse"], "is not for files", "write a weight of the other sign", cx);
    }
    Some(At { value: Track { subject: subject?, weight, reverse }, span })
}

fn weight(section: &mut Section<'_>, subjects: &[&str], cx: &mut Context) -> Option<i16> {
    let file = subjects == ["file"];
    section.ignore(&["weight"]);
    if !file && !section.has("weight") {
        return None;
    }
    let one = At { value: Whole::<-254, 254>::of(1), span: section.span };
    let weight = section.computed("weight", one, "1".to_owned(), cx);
    if weight.value.get::<i16>() == 0 {
        let help = match file {
            true => "write -254 to 254, or remove the table",
            false => "write -254 to 254, or leave weight out: then the addresses are given away",
        };
        cx.error(weight.span, "a weight of 0 changes nothing").help(help);
    }
    Some(weight.value.get())
}

/// What the table tracks; every key that could say so is read.
fn subject(
    section: &mut Section<'_>,
    subjects: &[&str],
    watches: &mut Vec<Watch>,
    cx: &mut Context,
) -> Option<Subject> {
    let mut subject = None;
    for (key, kind) in [("frontend", Kind::Frontend), ("backend", Kind::Backend)] {
        if let Some(name) = section.optional::<At<String>>(key, cx) {
            names::resolve(kind, &name, cx);
            subject = Some(Subject::Served(format!("{key}/{}", name.value)));
        }
    }
    if let Some(Interface(name)) = section.optional("interface", cx) {
        subject = Some(Subject::Interface(name));
    }
    let script: Option<Command> = section.optional("script", cx);
    let process: Option<At<Line>> = section.optional("process", cx);
    let file: Option<PathBuf> = section.optional("file", cx);
    let watched = subjects.iter().any(|subject| ["script", "process", "file"].contains(subject));
    if !watched || subjects.len() != 1 {
        return subject;
    }
    let interval = interval(section, cx);
    let what = match (script, process, file) {
        (Some(Command(words)), ..) => What::Script(script_command(section, words, interval, cx)),
        (_, Some(name), _) => What::Process { name: process_name(&name, cx)?, at_least: at_least(section, cx) },
        (.., Some(path)) => What::File(path),
        _ => return None,
    };
    let (rise, fall) = match what {
        What::File(_) => (1, 1),
        _ => (in_a_row(section, "rise", cx), in_a_row(section, "fall", cx)),
    };
    Some(Subject::Fact(watch(Watch { key: key(&what), what, interval, rise, fall }, watches)))
}

fn interval(section: &mut Section<'_>, cx: &mut Context) -> Duration {
    let span = section.entry("interval").map_or(section.span, |entry| entry.node.span);
    let interval = section.computed("interval", Duration::from_secs(1), "\"1s\"".to_owned(), cx);
    if interval < INTERVAL_MIN {
        cx.error(span, "the interval is too short").help("write \"100ms\" or more");
        return INTERVAL_MIN;
    }
    interval
}

fn script_command(
    section: &mut Section<'_>,
    words: Vec<String>,
    interval: Duration,
    cx: &mut Context,
) -> scripts::Command {
    let span: Option<Span> = section.entry("timeout").map(|entry| entry.node.span);
    let written = format!("\"{}\"", units::write_duration(interval));
    let timeout: Duration = section.computed("timeout", interval, written, cx);
    if let (true, Some(span)) = (timeout.is_zero(), span) {
        cx.error(span, "the time is zero").help("write how long it may be, such as \"5s\"");
    }
    let user = section.optional("user", cx).map(|Line(user)| user);
    scripts::Command { words, user, timeout }
}

fn process_name(name: &At<Line>, cx: &mut Context) -> Option<String> {
    let Line(text) = &name.value;
    if text.contains('/') || text.len() > PROCESS_MAX {
        let last = text.rsplit('/').next().unwrap_or_default();
        cx.error(name.span, "a process is known by the name of its program's file, without a folder")
            .help(format!("write \"{}\"", last.escape_debug()));
        return None;
    }
    Some(text.clone())
}

fn at_least(section: &mut Section<'_>, cx: &mut Context) -> u32 {
    section.computed("at-least", Whole::<1, 1_000_000>::of(1), "1".to_owned(), cx).get()
}

fn in_a_row(section: &mut Section<'_>, name: &str, cx: &mut Context) -> u32 {
    section.computed(name, Whole::<1, 1000>::of(1), "1".to_owned(), cx).get()
}

/// What something is called among the facts, if nothing else is called so.
fn key(what: &What) -> String {
    let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    match what {
        What::Script(command) => {
            let words: Vec<String> = command
                .words
                .first()
                .map(|program| last(program))
                .into_iter()
                .chain(command.words.iter().skip(1).cloned())
                .collect();
            format!("script/{}", words.join(" "))
        }
        What::Process { name, at_least: 1 } => format!("process/{name}"),
        What::Process { name, at_least } => format!("process/{name} ({at_least})"),
        What::File(path) => format!("file/{}", path.strip_prefix("/").unwrap_or(Path::new(path)).display()),
    }
}

/// The key under which `wanted` is looked at: that of the same watch of another vip, or one of its own.
fn watch(wanted: Watch, watches: &mut Vec<Watch>) -> String {
    let like = |known: &&Watch| {
        (&known.what, known.interval, known.rise, known.fall)
            == (&wanted.what, wanted.interval, wanted.rise, wanted.fall)
    };
    if let Some(known) = watches.iter().find(like) {
        return known.key.clone();
    }
    let plain = wanted.key.clone();
    let key = std::iter::once(plain.clone())
        .chain((2..).map(|turn| format!("{plain} #{turn}")))
        .find(|key| watches.iter().all(|known| known.key != *key))
        .expect("there are more numbers than watches");
    watches.push(Watch { key: key.clone(), ..wanted });
    key
}
