//! Applications of which the service runs the processes: by FastCGI itself, or a program for each request.

use std::path::PathBuf;
use std::time::Duration;

use proxy::config::BackendIndex;
use scripts::{App, AppLimits, Program};
use units::ByteSize;

use crate::Application;
use crate::context::Context;
use crate::read::{At, Command, Line, Period, Read, Whole, wrong};
use crate::schema::{Key, Schema, form, optional, says, with};
use crate::section::Section;
use crate::sources::Span;
use crate::tree::Value;

/// Processes of one application: each is one of the system's, which has some tens of thousands.
type Processes = Whole<1, 1024>;

/// Applications of a configuration: each has a socket and processes.
const APPLICATIONS_MAX: usize = 1024;

/// What a bridge to programs of CGI has open beside what each of these takes.
pub(crate) const BRIDGE_FILES: u64 = 64;

/// Open descriptors of a process.
type Files = Whole<16, 1_048_576>;

/// The keys that say how processes are run, beside what is run.
pub(crate) const fn keys() -> [Key; 5] {
    [
        says(
            "user",
            form::TEXT,
            "whoever started the service; required if that is root",
            "The user that processes run as, in all of its groups; `\"root\"` only if that is written.",
        ),
        optional("environment", "table of texts", "Variables of processes, which inherit nothing: `{ LANG = \"C\" }`."),
        with("directory", form::PATH, "\"/\"", "Where processes begin."),
        optional("limits", form::TABLE, "What one process may use; see `limits`."),
        with("stop-timeout", form::TIME, "\"10s\"", "From SIGTERM to SIGKILL when a process is to end."),
    ]
}

/// The keys of `fastcgi` with `command`, beside [`keys`].
pub(crate) const fn command_keys() -> [Key; 2] {
    [
        optional(
            "command",
            form::COMMAND,
            "Run here, instead of an `address`: a program that accepts on its standard input (FCGI_LISTENSOCK_FILENO).",
        ),
        with("processes", "1 to 1024", "4", "With `command`: how many of it, all on one socket."),
    ]
}

pub(crate) static LIMITS: Schema = Schema {
    path: "limits",
    about: "In `fastcgi` with a `command`, and in `cgi`: what one process may use.",
    keys: &[
        optional(
            "memory",
            "size",
            "Address space, such as `\"512MiB\"` (RLIMIT_AS); what more it asks for it does not get.",
        ),
        with("files", "16 to 1048576", "1024", "Open descriptors (RLIMIT_NOFILE)."),
        optional("cpu-time", form::TIME, "Processor time; then it is ended (RLIMIT_CPU). Whole seconds."),
    ],
};

/// How processes are run.
pub(crate) struct Running {
    user: Option<String>,
    environment: Vec<(String, String)>,
    directory: PathBuf,
    pub(crate) limits: AppLimits,
    stop_timeout: Duration,
}

/// Reads what [`keys`] say.
pub(crate) fn running(section: &mut Section<'_>, cx: &mut Context) -> Running {
    let directory = section.value("directory", cx);
    running_in(directory, section, cx)
}

/// Reads what they say but for `directory`.
pub(crate) fn running_in(directory: PathBuf, section: &mut Section<'_>, cx: &mut Context) -> Running {
    Running {
        user: section.optional("user", cx).map(|Line(user)| user),
        environment: environment(section, cx),
        directory,
        limits: limits(section.section("limits", &LIMITS, cx), cx),
        stop_timeout: section.value::<Period>("stop-timeout", cx).0,
    }
}

/// Reads what [`command_keys`] say: the program, and how many of it.
pub(crate) fn command(section: &mut Section<'_>, cx: &mut Context) -> (Option<Program>, u16) {
    let processes = section.value::<Processes>("processes", cx).get();
    let command: Option<Command> = section.optional("command", cx);
    (command.filter(|Command(words)| !words.is_empty()).map(|Command(words)| Program::Command(words)), processes)
}

/// Refuses the keys of applications that are run here in one that is not.
pub(crate) fn refuse(section: &mut Section<'_>, cx: &mut Context) {
    section.ignore(&["command"]);
    let names = ["processes", "user", "environment", "directory", "limits", "stop-timeout"];
    section.refuse(
        &names,
        "is for an application that is run here",
        "write command = [\"/usr/bin/…\"], or remove it",
        cx,
    );
}

/// An application that is run here, through this backend; its name is `own`, or made of the frontend's and `word`.
pub(crate) fn add(
    own: Option<&At<String>>,
    (frontend, word): (&str, &str),
    (program, processes): (Program, u16),
    running: Running,
    (backend, span): (BackendIndex, Span),
    cx: &mut Context,
) {
    let Running { user, environment, directory, limits, stop_timeout } = running;
    let name = match own {
        Some(own) => own.value.clone(),
        None => free_name(frontend, word, cx),
    };
    if cx.spawned.iter().any(|other| other.app.name == name) {
        let span = own.map_or(span, |own| own.span);
        cx.error(span, format!("there is an application \"{name}\" already")).help("give this one another name");
        return;
    }
    if cx.spawned.len() == APPLICATIONS_MAX {
        cx.error(span, format!("more than {APPLICATIONS_MAX} applications")).help("let one of them do more");
    }
    let app = App { name, program, user, processes, environment, directory, limits, stop_timeout };
    cx.spawned.push(Application { app, backends: vec![backend] });
}

/// `FRONTEND/PROGRAM`, which stays when routes come before it.
fn free_name(frontend: &str, word: &str, cx: &Context) -> String {
    let word = word.rsplit('/').find(|part| !part.is_empty()).unwrap_or("app");
    let names = (1u32..).map(|number| match number {
        1 => format!("{frontend}/{word}"),
        _ => format!("{frontend}/{word}-{number}"),
    });
    let is_free = |name: &String| cx.spawned.iter().all(|other| other.app.name != *name);
    names.into_iter().find(is_free).expect("there are fewer applications than numbers")
}

fn environment(section: &mut Section<'_>, cx: &mut Context) -> Vec<(String, String)> {
    let Some(entry) = section.entry("environment") else { return Vec::new() };
    let Value::Table(table) = &entry.node.value else {
        let _: Option<()> = wrong(&entry.node, "a table of texts", "write environment = { NAME = \"value\" }", cx);
        return Vec::new();
    };
    let mut variables = Vec::new();
    for entry in &table.entries {
        let is_name = entry.key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !entry.key.starts_with(|first: char| first.is_ascii_digit());
        if !is_name {
            cx.error(entry.span, format!("\"{}\" is no variable's name", entry.key.escape_debug()))
                .help("use A-Z a-z 0-9 _, no digit first");
        }
        let value: Option<At<String>> = At::read(&entry.node, cx);
        match value {
            Some(value) if value.value.contains('\0') => {
                cx.error(value.span, "a variable cannot hold NUL").help("remove \\u0000");
            }
            value => variables.extend(value.map(|value| (entry.key.clone(), value.value))),
        }
    }
    variables
}

fn limits(mut section: Section<'_>, cx: &mut Context) -> AppLimits {
    let cpu_time: Option<At<Period>> = section.optional("cpu-time", cx);
    if let Some(At { value: Period(time), span }) = &cpu_time
        && time.subsec_nanos() > 0
    {
        cx.error(*span, "processor time is counted in whole seconds").help("write \"10s\"");
    }
    AppLimits {
        memory: section.optional::<Memory>("memory", cx).map(|Memory(bytes)| bytes),
        files: section.value::<Files>("files", cx).get(),
        cpu_time: cpu_time.map(|time| time.value.0),
    }
}

/// Bytes; so many that a program can begin.
struct Memory(u64);

impl Read for Memory {
    fn read(node: &crate::tree::Node, cx: &mut Context) -> Option<Memory> {
        const HELP: &str = "write a whole number and one of KiB, MiB, GiB, of 1 MiB or more: \"512MiB\"";
        let Value::Text(text) = &node.value else {
            return wrong(node, "a size", HELP, cx);
        };
        match text.parse::<ByteSize>() {
            Ok(ByteSize(bytes)) if bytes >= 1 << 20 => return Some(Memory(bytes)),
            Ok(_) => cx.error(node.span, "no program begins with so little memory").help(HELP),
            Err(error) => cx.error(node.span, format!("\"{}\" is no size: {error}", text.escape_debug())).help(HELP),
        };
        None
    }
}
