//! Applications behind FastCGI: each is a backend without a name of its own in the text.

use std::path::PathBuf;
use std::time::Duration;

use balance::{Algorithm, PoolConfig, Quorum, ServerConfig};
use origin::FilesConfig;
use proxy::config::{
    Answer, Application, Backend, BackendIndex, BackendTimeouts, Deliver, Protocol, Script, SendFile, Server,
    ServerAddress,
};
use scripts::Program;
use units::{AdminState, Weight};

use crate::Handler;
use crate::context::Context;
use crate::names;
use crate::read::{At, Line, Read, Some1, Whole, wrong};
use crate::schema::{Key, Schema, form, optional, says, with};
use crate::section::Section;
use crate::sections::answer::handler;
use crate::sections::server::{Address, Limit};
use crate::sections::{application, backend, deliver};
use crate::sources::Span;
use crate::tree::{Node, Value};

/// Servers of one application: more are a cluster of their own, behind its own front door.
const ADDRESSES_MAX: usize = 256;

/// How long a file that an application names may take to be opened.
const SEND_FILE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

const KEYS: [Key; 23] = {
    let [command, processes] = application::command_keys();
    let [user, environment, directory, limits, stop_timeout] = application::keys();
    [
        optional(
            "address",
            "`\"IP:port\"`, `\"unix:/path\"` or list",
            "Where it listens; of several the one with the fewest requests in flight is chosen.",
        ),
        command,
        processes,
        user,
        environment,
        directory,
        limits,
        stop_timeout,
        says(
            "name",
            form::TEXT,
            "the frontend's, with the place of the route",
            "The backend's in logs, metrics and commands.",
        ),
        optional("root", form::PATH, "The folder that the paths of requests stand for: DOCUMENT_ROOT."),
        optional("script", form::PATH, "The program's file: SCRIPT_FILENAME of every request. Without `split`."),
        optional(
            "split",
            form::TEXT,
            "The path up to the first segment that ends so, such as `\".php\"`, is the script's, in the root; the rest is PATH_INFO.",
        ),
        with(
            "index",
            form::TEXT,
            "\"index.php\"",
            "The script of a folder, and the root's for a path without one. With `split`.",
        ),
        optional(
            "params",
            "table of texts",
            "More parameters, or others than the request's: `{ APP_ENV = \"site\" }`.",
        ),
        with(
            "keep-connection",
            form::BOOLEAN,
            "false",
            "Send one request after the other on a connection (FCGI_KEEP_CONN).",
        ),
        says(
            "length-required",
            form::BOOLEAN,
            "true with `split`, else false",
            "Answer 411 to a body without a length, for an application that takes it for empty.",
        ),
        optional(
            "sendfile-root",
            form::PATH,
            "Answers with X-Sendfile and a path in this folder are answered with the file.",
        ),
        says(
            "max-connections",
            form::NUMBER,
            "no limit",
            "Requests in flight at once at each address; further ones wait.",
        ),
        with("max-queue", form::NUMBER, "1024", "Requests that may wait at once; 0: none waits."),
        with("max-idle", form::NUMBER, "256", "Idle connections kept for each worker and address."),
        with(
            "retries",
            "0 to 100",
            "2",
            "Attempts after the first, on connections that fail and requests that may be repeated.",
        ),
        optional("timeouts", form::TABLE, "How long each phase may last; see `[backend.NAME.timeouts]`."),
        with(
            "retry-after",
            form::TIME,
            "\"5s\"",
            "What a client that is turned away for want of room is told to wait; whole seconds.",
        ),
    ]
};

pub(crate) static FASTCGI: Schema = Schema {
    path: "fastcgi",
    about: "In a frontend or a route: an application that speaks FastCGI; see docs/fastcgi.md. It is a backend with \
            `balance = \"least-connections\"`: what is said of backends holds for it.",
    keys: &KEYS,
};

/// Reads `fastcgi`; `prefixes` are the route's.
pub(crate) fn fastcgi(node: &Node, path: String, prefixes: &[String], cx: &mut Context) -> Option<Answer> {
    let (name, frontend) = (default_name(&path), frontend_of(&path));
    let mut section = Section::open(node, &FASTCGI, path, cx)?;
    let own: Option<At<Line>> = section.optional("name", cx);
    let own = own.map(|own| At { value: own.value.0, span: own.span });
    let name = own.clone().unwrap_or(At { value: name, span: node.span });
    if section.has("command") {
        return run_here(section, own.as_ref(), &name, &frontend, prefixes, cx);
    }
    application::refuse(&mut section, cx);
    if !section.has("address") && !cx.broken {
        cx.error(section.span, "nothing says what answers").help(
            "write address = \"unix:/path\" of an application that runs, or command = [\"/usr/bin/…\"] of one to run here",
        );
    }
    let addresses: Option<Some1<At<Address>>> = section.optional("address", cx);
    let application = application(&mut section, prefixes, cx);
    let addresses = addresses.map_or(Vec::new(), |Some1(addresses)| addresses);
    if let Some(beyond) = addresses.get(ADDRESSES_MAX) {
        cx.error(beyond.span, format!("an application has at most {ADDRESSES_MAX} addresses"))
            .help("put a front door of its own before so many");
    }
    let plain = |At { value: Address(address), span }| At { value: address, span };
    let addresses: Vec<At<ServerAddress>> = addresses.into_iter().map(plain).collect();
    let room = room(&mut section, cx);
    let backend = backend(&name, &addresses, application, room, cx);
    (!addresses.is_empty()).then(|| Answer::Backend(add(backend, name.span, cx)))
}

/// An application whose processes are run here.
fn run_here(
    mut section: Section<'_>,
    own: Option<&At<String>>,
    name: &At<String>,
    frontend: &str,
    prefixes: &[String],
    cx: &mut Context,
) -> Option<Answer> {
    section.refuse(&["address"], "and command cannot both say what answers", "keep one of the two", cx);
    let (program, processes) = application::command(&mut section, cx);
    let running = application::running(&mut section, cx);
    let told = application(&mut section, prefixes, cx);
    let room = room(&mut section, cx);
    // The supervisor chooses where it is.
    let address = At { value: ServerAddress::Unix("app".into()), span: name.span };
    let mut backend = backend(name, &[address], told, room, cx);
    backend.pool.servers[0].name = "app".to_owned();
    let program = program?;
    let index = add(backend, name.span, cx);
    let word = match &program {
        Program::Command(words) => words[0].clone(),
        Program::Own(_) => String::new(),
    };
    application::add(own, (frontend, &word), (program, processes), running, (index, name.span), cx);
    Some(Answer::Backend(index))
}

/// `frontend.node.route[0].fastcgi` is in `node`.
pub(crate) fn frontend_of(path: &str) -> String {
    path.split('.').nth(1).unwrap_or(path).to_owned()
}

/// `frontend.node.route[0].fastcgi` is `node.route0.fastcgi`.
pub(crate) fn default_name(path: &str) -> String {
    path.strip_prefix("frontend.").unwrap_or(path).replace(['[', ']'], "")
}

/// What the application is told, and how it is treated.
pub(crate) fn application(section: &mut Section<'_>, prefixes: &[String], cx: &mut Context) -> Application {
    let root: Option<PathBuf> = section.optional("root", cx);
    let file: Option<At<PathBuf>> = section.optional("script", cx);
    let split: Option<At<Line>> = section.optional("split", cx);
    let index: At<Line> = section.value("index", cx);
    let length_required = split.is_some();
    let script = match split {
        None => Script::Prefix { prefixes: prefixes.to_vec(), file: file.map(|file| file.value) },
        Some(split) => {
            check_split(section, root.as_ref(), file.as_ref(), &split, cx);
            Script::File { ending: split.value.0, index: index.value.0 }
        }
    };
    let params = params(section, cx);
    let keep_connection = section.value("keep-connection", cx);
    let length_required = section.computed("length-required", length_required, length_required.to_string(), cx);
    let send_file = section.optional::<At<PathBuf>>("sendfile-root", cx);
    let send_file = send_file.and_then(|root| send_file_from(root, cx));
    Application { root, script, params, keep_connection, length_required, send_file }
}

fn check_split(
    section: &Section<'_>,
    root: Option<&PathBuf>,
    file: Option<&At<PathBuf>>,
    split: &At<Line>,
    cx: &mut Context,
) {
    if let Some(file) = file {
        cx.error(file.span, "with split the request's path names the script").help("keep one of the two");
    }
    if root.is_none() && !section.has("root") {
        cx.error(split.span, "nothing says where scripts are").help("write root = \"/srv/www\"");
    }
    if split.value.0.is_empty() || split.value.0.contains('/') {
        cx.error(split.span, "no segment of a path ends so").help("write \".php\"");
    }
}

fn params(section: &mut Section<'_>, cx: &mut Context) -> Vec<(String, String)> {
    let Some(entry) = section.entry("params") else { return Vec::new() };
    let Value::Table(table) = &entry.node.value else {
        let _: Option<()> = wrong(&entry.node, "a table of texts", "write params = { NAME = \"value\" }", cx);
        return Vec::new();
    };
    let mut params = Vec::new();
    for entry in &table.entries {
        let fine = entry.key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !fine {
            cx.error(entry.span, format!("\"{}\" is no parameter's name", entry.key.escape_debug()))
                .help("use A-Z a-z 0-9 _");
        }
        params.extend(String::read(&entry.node, cx).map(|value| (entry.key.clone(), value)));
    }
    params
}

fn send_file_from(root: At<PathBuf>, cx: &mut Context) -> Option<SendFile> {
    let files = FilesConfig {
        root: root.value.clone(),
        strip_prefix: "/".to_owned(),
        listing: false,
        index: Vec::new(),
        symlinks: false,
        precompressed: false,
        timeout: SEND_FILE_TIMEOUT,
        upload: None,
    };
    match handler(Handler::Files(files), root.span, cx) {
        Answer::Handler(handler) => Some(SendFile { root: root.value, handler }),
        _ => None,
    }
}

/// How many requests an application takes, and how long each phase may last.
pub(crate) struct Room {
    pub(crate) max_in_flight: Option<u32>,
    pub(crate) timeouts: BackendTimeouts,
    pub(crate) retries: u8,
    pub(crate) max_queue: u32,
    pub(crate) max_idle: u32,
    pub(crate) retry_after: Duration,
}

fn room(section: &mut Section<'_>, cx: &mut Context) -> Room {
    Room {
        max_in_flight: section.optional::<Limit>("max-connections", cx).map(Limit::get),
        timeouts: backend::timeouts(section.section("timeouts", &backend::TIMEOUTS, cx), cx),
        retries: section.value::<Whole<0, 100>>("retries", cx).get(),
        max_queue: section.value::<Whole<0, 100_000_000>>("max-queue", cx).get(),
        max_idle: section.value::<Whole<0, 1_000_000>>("max-idle", cx).get(),
        retry_after: deliver::retry_after(section, cx),
    }
}

/// The backend of an application.
pub(crate) fn backend(
    name: &At<String>,
    addresses: &[At<ServerAddress>],
    application: Application,
    room: Room,
    cx: &mut Context,
) -> Backend {
    let server = |address: &ServerAddress| ServerConfig {
        name: address.to_string(),
        weight: Weight::new(1),
        max_in_flight: room.max_in_flight,
        tier: 0,
        checked: false,
        admin: AdminState::Ready,
        class: None,
        zone: None,
        bandwidth: None,
        sorry: false,
    };
    for (index, address) in addresses.iter().enumerate() {
        if let Some(first) = addresses[..index].iter().find(|first| first.value == address.value) {
            cx.error(address.span, "this address is there already")
                .help("keep one of the two")
                .note(first.span, "first here");
        }
    }
    let servers = addresses.iter().map(|address| Server {
        address: address.value.clone(),
        send_proxy: None,
        redirect_to: None,
        rate_limit: None,
        tls: None,
        protocol: Protocol::FastCgi,
    });
    Backend {
        name: name.value.clone(),
        pool: PoolConfig {
            algorithm: Algorithm::LeastConnections,
            slow_start: std::time::Duration::ZERO,
            servers: addresses.iter().map(|address| server(&address.value)).collect(),
            classes: Vec::new(),
            max_in_flight: None,
            quorum: Quorum::default(),
            alpha: true,
        },
        servers: servers.collect(),
        timeouts: room.timeouts,
        retries: room.retries,
        redispatch: true,
        tcp_keepalive: None,
        max_queue: room.max_queue,
        max_idle: room.max_idle,
        observe_failures: None,
        deliver: Deliver::default(),
        retry_after: room.retry_after,
        stick: None,
        application: Some(application),
    }
}

/// Puts the backend behind those that the text names.
pub(crate) fn add(backend: Backend, span: Span, cx: &mut Context) -> BackendIndex {
    names::check("backend", &backend.name, span, cx);
    let named = cx.names.backends();
    let is_taken = named.contains(&backend.name) || cx.applications.iter().any(|other| other.name == backend.name);
    if is_taken {
        cx.error(span, format!("there is a backend \"{}\" already", backend.name)).help("give this one another name");
    }
    let index = u16::try_from(named.len() + cx.applications.len()).unwrap_or_else(|_| {
        cx.error(span, "more than 65536 backends").help("spread them over several directors");
        0
    });
    cx.applications.push(backend);
    BackendIndex(index)
}
