use std::net::SocketAddr;
use std::path::PathBuf;

use linux::Bind;

use crate::binds::{Claim, Transport};
use crate::context::Context;
use crate::read::{At, Line, Period, Read, Whole};
use crate::schema::{Schema, form, optional, says, with};
use crate::section::Section;
use crate::{AccessLog, Admin, Process, Sandbox};

pub(crate) static PROCESS: Schema = Schema {
    path: "process",
    about: "The program itself: whom it runs as, how it starts, stops and writes.",
    keys: &[
        says(
            "user",
            form::TEXT,
            "nobody when started by root, else whoever started it",
            "The user that the workers run as.",
        ),
        says("workers", form::NUMBER, "one for each core that the process may use", "Worker threads, 1 to 1024."),
        says(
            "control-socket",
            form::PATH,
            "chosen by the program",
            "Where `perron status`, `reload` and the like reach it.",
        ),
        with(
            "drain-timeout",
            form::TIME,
            "\"30s\"",
            "How long a stop, or the old generation of a reload, waits for requests to finish.",
        ),
        with(
            "access-log",
            "`\"stdout\"`, `\"stderr\"`, `\"off\"` or a path",
            "\"stdout\"",
            "Where the frontends' logs go; a path holds a `/`.",
        ),
        with(
            "sandbox",
            "`\"on\"`, `\"off\"` or `\"log\"`",
            "\"on\"",
            "Whether a serving process sees only the files that are named here and can make only the system calls that \
             serving needs (docs/sandbox.md); with `\"log\"` it can do more, and the kernel's log tells of the calls.",
        ),
        optional(
            "notify-fifo",
            form::PATH,
            "A FIFO that gets a line for each change of a vip or a group, `INSTANCE \"NAME\" MASTER 100`, of a backend that \
             says something of its quorum, `VS \"NAME\" UP`, and of a server that tells programs, `RS \"BACKEND/NAME\" DOWN`.",
        ),
    ],
};

pub(crate) static ADMIN: Schema = Schema {
    path: "admin",
    about: "What operators and monitors see: dashboard, API, metrics, HAProxy's CSV. Anyone who can connect can use it.",
    keys: &[with("bind", "`\"IP:port\"` or `\"off\"`", "\"127.0.0.1:7070\"", "Where it listens.")],
};

const SANDBOX: [(&str, Sandbox); 3] = [("on", Sandbox::On), ("off", Sandbox::Off), ("log", Sandbox::Log)];

impl Read for AccessLog {
    fn read(node: &crate::tree::Node, cx: &mut Context) -> Option<AccessLog> {
        let Line(text) = Line::read(node, cx)?;
        match text.as_str() {
            "stdout" => Some(AccessLog::Stdout),
            "stderr" => Some(AccessLog::Stderr),
            "off" => Some(AccessLog::Off),
            path if path.contains('/') => Some(AccessLog::File(cx.sources.base().join(path))),
            word => {
                let words = [("stdout", ()), ("stderr", ()), ("off", ())];
                crate::section::unknown_word("access-log", word, &words, node.span, cx);
                None
            }
        }
    }
}

/// Reads `[process]`, and where changes of vips are written.
pub(crate) fn process(mut section: Section<'_>, cx: &mut Context) -> (Process, Option<PathBuf>) {
    let control_socket: Option<At<PathBuf>> = section.optional("control-socket", cx);
    if let Some(socket) = &control_socket {
        let bind = Bind::Unix { path: socket.value.clone(), mode: 0o660 };
        cx.claims.push(Claim::new(Transport::Tcp, bind, socket.span));
    }
    let process = Process {
        user: section.optional("user", cx).map(|Line(user)| user),
        workers: section.optional("workers", cx).map(Whole::<1, 1024>::get),
        control_socket: control_socket.map(|socket| socket.value),
        drain_timeout: section.value::<Period>("drain-timeout", cx).0,
        access_log: section.value("access-log", cx),
        sandbox: section.choice("sandbox", &SANDBOX, cx),
    };
    (process, section.optional("notify-fifo", cx))
}

/// Reads `[admin]`.
pub(crate) fn admin(mut section: Section<'_>, cx: &mut Context) -> Admin {
    let bind: AdminBind = section.value("bind", cx);
    if let AdminBind(Some(address)) = &bind {
        let claim = Claim::ip(Transport::Tcp, address);
        let implied = (!section.has("bind")).then_some("[admin] has 127.0.0.1:7070, as nothing else is said");
        cx.claims.push(Claim { implied, ..claim });
    }
    Admin { bind: bind.0.map(|address| address.value) }
}

struct AdminBind(Option<At<SocketAddr>>);

impl Read for AdminBind {
    fn read(node: &crate::tree::Node, cx: &mut Context) -> Option<AdminBind> {
        if matches!(&node.value, crate::tree::Value::Text(word) if word == "off") {
            return Some(AdminBind(None));
        }
        At::read(node, cx).map(|address| AdminBind(Some(address)))
    }
}
