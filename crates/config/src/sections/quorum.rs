//! How much of a backend is enough, who stands in for it below that, and who is told.

use ::tls::config::ClientTls;
use balance::{Quorum, ServerConfig};
use proxy::config::Server;
use scripts::Notify;
use units::{AdminState, Weight};

use crate::BackendNotify;
use crate::context::Context;
use crate::read::{At, Command, Line, Period, Whole};
use crate::schema::{Key, form, optional, says, with};
use crate::section::Section;
use crate::sections::server::{Address, Parts, Shared};
use crate::sections::tls;

/// What the server is called that stands in for the others.
const SORRY_NAME: &str = "sorry-server";

/// The backend's keys.
pub(crate) const fn backend_keys() -> [Key; 9] {
    [
        with("quorum", "1 to 1000000", "1", "So much weight of usable servers is enough."),
        with(
            "hysteresis",
            "0 to the quorum - 1",
            "0",
            "The quorum is lost below `quorum` - `hysteresis` (or with nothing left), and there again from `quorum` + `hysteresis` on.",
        ),
        optional("on-quorum-up", form::COMMAND, "Run when the quorum is there, or there again."),
        optional("on-quorum-down", form::COMMAND, "Run when the quorum is lost, or not reached at the start."),
        optional(
            "sorry-server",
            "`\"IP:port\"` or `\"unix:/path\"`",
            "Gets everything in place of the servers while the quorum is lost, or none of them is usable. Spoken with as they are; not checked.",
        ),
        with(
            "alpha",
            form::BOOLEAN,
            "true",
            "Whether a server gets nothing until its checks have answered; else it is up until they say no.",
        ),
        with(
            "omega",
            form::BOOLEAN,
            "false",
            "Whether the end of the service is told as the end of servers and quorum.",
        ),
        with(
            "script-timeout",
            form::TIME,
            "\"60s\"",
            "How long a program that is told may take; then it and what it started are ended.",
        ),
        says("script-user", form::TEXT, "the service's user", "The user to run these programs as."),
    ]
}

/// A server's keys.
pub(crate) const fn server_keys() -> [Key; 2] {
    [
        optional("on-up", form::COMMAND, "Run when it is usable, or usable again."),
        optional("on-down", form::COMMAND, "Run when it is not usable any more, or not at the start."),
    ]
}

/// How the backend's programs are run.
pub(crate) struct Programs {
    user: Option<String>,
    timeout: Period,
}

impl Programs {
    /// Reads `script-user` and `script-timeout` of a backend.
    pub(crate) fn read(owner: &mut Section<'_>, cx: &mut Context) -> Programs {
        let user = owner.optional("script-user", cx).map(|Line(user)| user);
        Programs { user, timeout: owner.value("script-timeout", cx) }
    }

    /// Reads the programs that are told of both edges.
    pub(crate) fn told(&self, owner: &mut Section<'_>, [up, down]: [&str; 2], cx: &mut Context) -> Notify {
        let mut command = |key| {
            let command: Option<Command> = owner.optional(key, cx);
            let of = |Command(words)| scripts::Command { words, user: self.user.clone(), timeout: self.timeout.0 };
            command.map(of)
        };
        Notify { up: command(up), down: command(down), ..Notify::default() }
    }
}

/// Reads how much is enough, and who is told; `servers` are the backend's, without the sorry server.
pub(crate) fn backend(
    owner: &mut Section<'_>,
    programs: &Programs,
    servers: &[Parts],
    cx: &mut Context,
) -> (Quorum, BackendNotify) {
    let weight: Whole<1, 1_000_000> = owner.value("quorum", cx);
    let hysteresis: Whole<0, 1_000_000> = owner.value("hysteresis", cx);
    let quorum = Quorum { weight: weight.get(), hysteresis: hysteresis.get() };
    if let Some(entry) = owner.entry("hysteresis").filter(|_| quorum.hysteresis >= quorum.weight) {
        let problem = format!("a hysteresis of {} is not less than the quorum of {}", quorum.hysteresis, quorum.weight);
        cx.error(entry.node.span, problem)
            .help(format!("write hysteresis = {}, or a larger quorum", quorum.weight - 1));
    }
    let all: u32 = servers.iter().map(|server| u32::from(server.pool.weight.get())).sum();
    let needed = quorum.weight.saturating_add(quorum.hysteresis);
    if let Some(entry) =
        owner.entry("quorum").filter(|_| all < needed && !servers.is_empty() && quorum.hysteresis < quorum.weight)
    {
        let problem =
            format!("all servers together weigh {all}, and the quorum comes with {needed}: it is never there");
        cx.warn(entry.node.span, problem).help("ask for less, or give the servers more weight");
    }
    let told = programs.told(owner, ["on-quorum-up", "on-quorum-down"], cx);
    let notify = BackendNotify {
        counts: ["quorum", "hysteresis", "sorry-server", "on-quorum-up", "on-quorum-down"]
            .iter()
            .any(|key| owner.has(key)),
        quorum: told,
        servers: servers.iter().map(|server| server.notify.clone()).collect(),
        omega: owner.value("omega", cx),
    };
    (quorum, notify)
}

/// Reads `sorry-server`, which becomes the last of the servers.
pub(crate) fn sorry(owner: &mut Section<'_>, shared: Shared<'_>, taken: &[Parts], cx: &mut Context) -> Option<Parts> {
    let At { value: Address(address), span } = owner.optional("sorry-server", cx)?;
    if let Some(other) = taken.iter().find(|server| server.pool.name == SORRY_NAME) {
        cx.error(other.span, format!("\"{SORRY_NAME}\" is what the backend's sorry server is called"))
            .help("give this server another name")
            .note(span, "the sorry server");
    }
    let tls = tls::of_server(shared.tls, &[], None);
    tls::check_name(tls.as_ref(), &address, span, cx);
    let protocol = shared.protocol.unwrap_or_default();
    Some(Parts {
        pool: ServerConfig {
            name: SORRY_NAME.to_owned(),
            weight: Weight::new(1),
            max_in_flight: None,
            tier: u8::MAX,
            checked: false,
            admin: AdminState::Ready,
            class: None,
            zone: None,
            bandwidth: None,
            sorry: true,
        },
        proxy: Server {
            address,
            send_proxy: shared.defaults.send_proxy,
            redirect_to: None,
            rate_limit: None,
            tls: tls.map(|tls| ClientTls { http2: protocol == proxy::config::Protocol::Http2, ..tls }),
            protocol,
        },
        checks: Vec::new(),
        redirect_check: None,
        notify: Notify::default(),
        span,
        redirect_to: None,
        zone: None,
    })
}
