//! Programs that are run for each request (CGI), by a bridge that speaks FastCGI.

use std::path::PathBuf;

use proxy::config::{Answer, Application, Script, ServerAddress};
use scripts::Program;

use crate::context::Context;
use crate::read::{At, Line, Period, Whole};
use crate::schema::{Key, Schema, form, optional, says, with};
use crate::section::Section;
use crate::sections::{application, backend, deliver, fastcgi};
use crate::tree::Node;

/// Programs of one route at once; each is a process, or some.
type MaxProcesses = Whole<1, 1024>;

const KEYS: [Key; 12] = {
    let [user, environment, _, limits, stop_timeout] = application::keys();
    [
        optional(
            "root",
            form::PATH,
            "The folder of the programs: the first file on the way that the rest of the path is from it is run, what \
             follows is PATH_INFO.",
        ),
        optional("script", form::PATH, "The only program, instead of `root`; the rest of the path is PATH_INFO."),
        with(
            "timeout",
            form::TIME,
            "\"60s\"",
            "How long a program may take; then it is ended, and what it has started.",
        ),
        with("max-processes", "1 to 1024", "16", "Programs that run at once; further requests wait."),
        says(
            "name",
            form::TEXT,
            "the frontend's, with the place of the route",
            "The backend's and the application's in logs, metrics and commands.",
        ),
        user,
        environment,
        limits,
        stop_timeout,
        with("max-queue", form::NUMBER, "1024", "Requests that may wait at once; 0: none waits."),
        optional("timeouts", form::TABLE, "How long each phase may last; see `[backend.NAME.timeouts]`."),
        with(
            "retry-after",
            form::TIME,
            "\"5s\"",
            "What a client that is turned away for want of room is told to wait; whole seconds.",
        ),
    ]
};

pub(crate) static CGI: Schema = Schema {
    path: "cgi",
    about: "In a frontend or a route: a program that is run for each request, as CGI has it (RFC 3875); see \
            docs/fastcgi.md. Nobody but root and `user` may be able to write to it, nor to a folder on the way to it. \
            Its `limits` are those of one program; it begins in its own folder.",
    keys: &KEYS,
};

/// Reads `cgi`; `prefixes` are the route's.
pub(crate) fn cgi(node: &Node, path: String, prefixes: &[String], cx: &mut Context) -> Option<Answer> {
    let (name, frontend) = (fastcgi::default_name(&path), fastcgi::frontend_of(&path));
    let mut section = Section::open(node, &CGI, path, cx)?;
    let own: Option<At<Line>> = section.optional("name", cx);
    let own = own.map(|own| At { value: own.value.0, span: own.span });
    let place = place(&mut section, cx);
    let timeout: Period = section.value("timeout", cx);
    let max_processes: u32 = section.value::<MaxProcesses>("max-processes", cx).get();
    let mut running = application::running_in("/".into(), &mut section, cx);
    let room = fastcgi::Room {
        max_in_flight: Some(max_processes),
        timeouts: backend::timeouts(section.section("timeouts", &backend::TIMEOUTS, cx), cx),
        // A program that has begun may have done something.
        retries: 0,
        max_queue: section.value::<Whole<0, 100_000_000>>("max-queue", cx).get(),
        max_idle: 0,
        retry_after: deliver::retry_after(&mut section, cx),
    };
    let (option, place) = place?;
    let mut arguments = vec!["cgi-bridge".to_owned(), option.to_owned(), place.display().to_string()];
    let mut argument = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
    argument("--timeout-ms", timeout.0.as_millis().to_string());
    argument("--max-processes", max_processes.to_string());
    argument("--files", running.limits.files.to_string());
    // These are of each program: the bridge is one process for all of them, and small.
    if let Some(memory) = running.limits.memory.take() {
        argument("--memory", memory.to_string());
    }
    if let Some(time) = running.limits.cpu_time.take() {
        argument("--cpu-seconds", time.as_secs().to_string());
    }
    running.limits.files = running.limits.files.max(application::BRIDGE_FILES + 8 * u64::from(max_processes));
    let file = (option == "--script").then(|| place.clone());
    let told = Application {
        root: None,
        script: Script::Prefix { prefixes: prefixes.to_vec(), file },
        params: Vec::new(),
        keep_connection: false,
        length_required: false,
        send_file: None,
    };
    let word = place.display().to_string();
    let name = own.clone().unwrap_or(At { value: name, span: node.span });
    let address = At { value: ServerAddress::Unix("app".into()), span: node.span };
    let mut backend = fastcgi::backend(&name, &[address], told, room, cx);
    backend.pool.servers[0].name = "app".to_owned();
    let index = fastcgi::add(backend, name.span, cx);
    let program = (Program::Own(arguments), 1);
    application::add(own.as_ref(), (&frontend, &word), program, running, (index, node.span), cx);
    Some(Answer::Backend(index))
}

/// Where programs are, and the bridge's option that says so.
fn place(section: &mut Section<'_>, cx: &mut Context) -> Option<(&'static str, PathBuf)> {
    let root: Option<At<PathBuf>> = section.optional("root", cx);
    let script: Option<At<PathBuf>> = section.optional("script", cx);
    match (root, script) {
        (Some(root), Some(script)) => {
            cx.error(script.span, "root and script cannot both say what is run")
                .help("keep one of the two")
                .note(root.span, "first here");
            None
        }
        (Some(root), None) => Some(("--root", root.value)),
        (None, Some(script)) => Some(("--script", script.value)),
        (None, None) => {
            if !section.has("root") && !section.has("script") && !cx.broken {
                cx.error(section.span, "nothing says what is run")
                    .help("write root = \"/usr/lib/cgi-bin\", or script = \"/path/of/one\"");
            }
            None
        }
    }
}
