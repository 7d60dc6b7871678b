use std::time::Duration;

use balance::{Algorithm, PoolConfig};
use check::CheckConfig;
use proxy::config::{Backend, BackendTimeouts, Deliver};

use crate::context::Context;
use crate::read::{At, Line, Period, Some1, Whole};
use crate::schema::{Key, Schema, form, optional, says, with};
use crate::section::Section;
use crate::sections::check::{self as checks, Defaults};
use crate::sections::http::is_token;
use crate::sections::{forward, frontend, proxy_header, server, tls};
use crate::suggest;
use crate::tree::Entry;

const KEYS: [Key; 22] = {
    let [quorum, hysteresis, on_quorum_up, on_quorum_down, sorry_server] = forward::backend_keys();
    [
        optional("server", form::TABLES, "The servers; see `server`. At least one, at most 4096."),
        with("balance", "word", "\"round-robin\"", "Who is chosen; see above."),
        with(
            "slow-start",
            form::TIME,
            "\"0s\"",
            "How long a server that came back takes from a tenth of its weight to all of it.",
        ),
        optional(
            "check",
            "table or list",
            "How its servers are checked, unless they have `checks` of their own; see `check`.",
        ),
        with("interval", form::TIME, "\"2s\"", "Between two checks of a server, where the check says nothing else."),
        says(
            "observe",
            form::NUMBER,
            "traffic is not observed",
            "Failures of real requests in a row that take a server down until its checks bring it back.",
        ),
        optional("timeouts", form::TABLE, "How long each phase may last; see `timeouts`."),
        with(
            "retries",
            "0 to 100",
            "2",
            "Attempts after the first, on connections that fail and requests that may be repeated.",
        ),
        with(
            "redispatch",
            form::BOOLEAN,
            "true",
            "Whether a retry may go to another server than the one that was chosen first.",
        ),
        with("max-queue", form::NUMBER, "1024", "Requests that may wait for a server at once; 0: none waits."),
        with("max-idle", form::NUMBER, "256", "Idle connections kept for each worker and server; 0: none."),
        with(
            "tcp-keepalive",
            "true, false or table",
            "false",
            "Let the kernel probe silent servers; see `tcp-keepalive`.",
        ),
        with(
            "deliver",
            "`\"proxy\"`, `\"redirect\"`, `\"auto\"`",
            "\"proxy\"",
            "Requests are relayed; or clients sent to the server (later); or whichever the client can (later).",
        ),
        optional("proxy-clients", form::TEXTS, "Beginnings of User-Agents that are never redirected.").later(),
        optional("class", "tables `[backend.NAME.class.NAME]`", "Kinds of servers; see `class`.").later(),
        proxy_header::backend_key(),
        optional("tls", "true or table", "TLS with the servers; see `tls`.").later(),
        quorum,
        hysteresis,
        on_quorum_up,
        on_quorum_down,
        sorry_server,
    ]
};

pub(crate) static BACKEND: Schema = Schema {
    path: "backend.NAME",
    about: "A pool of servers. `balance` is one of:\n\n\
            - `\"round-robin\"`: turns, smoothly by weight.\n\
            - `\"least-connections\"`: the fewest requests in flight for its weight.\n\
            - `\"source\"`: the client's address decides; one client, one server.\n\
            - `\"uri\"`: the path and query decide.\n\
            - `\"header:NAME\"`: this field of the request decides; requests without it take turns.\n\
            - `\"maglev\"`: the client's address and port decide.\n\
            - `\"random\"`: the less loaded of two drawn by weight.\n\
            - `\"first\"`: the first in the list that has room.\n\
            - `\"bandwidth\"`: the largest free bandwidth, nearest zone first (later).\n\
            - `\"source-hash\"`, `\"shortest-expected-delay\"`, `\"never-queue\"`, `\"failover\"`: with `mode = \"forward\"` (later).\n\n\
            All are weighted: `\"weighted-round-robin\"` means the same as `\"round-robin\"`. What decides by something \
            keeps deciding the same when other servers come and go.",
    keys: &KEYS,
};

pub(crate) static TIMEOUTS: Schema = Schema {
    path: "backend.NAME.timeouts",
    about: "With servers.",
    keys: &[
        with("connect", form::TIME, "\"5s\"", "One attempt to connect; then a retry, at last 503."),
        with(
            "server",
            form::TIME,
            "\"60s\"",
            "Silence of a server whose answer or body is awaited; then 504, or the connection is cut.",
        ),
        with("queue", form::TIME, "\"30s\"", "A request's wait for a server that is free; then 503."),
        with("keep-alive", form::TIME, "\"30s\"", "Idle connections are closed after this."),
    ],
};

pub(crate) static CLASS: Schema = Schema {
    path: "backend.NAME.class.NAME",
    about: "A kind of servers, and what one of them can bear.",
    keys: &[
        with("weight", "0 to 65535", "1", "Their share.").later(),
        optional("bandwidth", "bandwidth: `\"10Gbit\"`", "What one can send.").later(),
        optional("max-requests", form::NUMBER, "In flight on one of them.").later(),
        optional("max-share", "percentage: `\"25%\"`", "Of all requests, over all of them together.").later(),
    ],
};

/// What a client that is turned away is told to wait.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Reads `[backend.NAME]`: the backend, and each server's checks.
pub(crate) fn backend(entry: &Entry, mut section: Section<'_>, cx: &mut Context) -> (Backend, Vec<Vec<CheckConfig>>) {
    let classes = classes(&mut section, cx);
    let observe: Option<At<Whole<1, 1_000_000>>> = section.optional("observe", cx);
    let defaults = Defaults {
        interval: section.value::<Period>("interval", cx).0,
        observe_failures: observe.as_ref().map(|failures| failures.value.get()),
        send_proxy: proxy_header::send(&mut section, cx).flatten(),
    };
    let templates =
        section.entry("check").map(|check| checks::list(&check.node, &format!("{}.check", section.path), defaults, cx));
    let servers = server::servers(&mut section, &classes, templates.as_deref().unwrap_or_default(), defaults, cx);
    if let Some(observe) = observe.filter(|_| servers.iter().any(|server| !server.pool.checked)) {
        cx.error(observe.span, "a server that traffic takes down has no check to bring it back")
            .help("write check = { type = \"tcp\" }");
    }
    later_parts(&mut section, cx);
    let backend = Backend {
        name: entry.key.clone(),
        pool: PoolConfig {
            algorithm: balance(&mut section, cx),
            slow_start: section.value::<Duration>("slow-start", cx),
            servers: servers.iter().map(|server| server.pool.clone()).collect(),
            classes: Vec::new(),
            max_in_flight: None,
        },
        servers: servers.iter().map(|server| server.proxy.clone()).collect(),
        timeouts: timeouts(section.section("timeouts", &TIMEOUTS, cx), cx),
        retries: section.value::<Whole<0, 100>>("retries", cx).get(),
        redispatch: section.value("redispatch", cx),
        tcp_keepalive: frontend::keepalive(&mut section, cx),
        max_queue: section.value::<Whole<0, 100_000_000>>("max-queue", cx).get(),
        max_idle: section.value::<Whole<0, 1_000_000>>("max-idle", cx).get(),
        observe_failures: defaults.observe_failures,
        deliver: Deliver::default(),
        retry_after: RETRY_AFTER,
    };
    (backend, servers.into_iter().map(|server| server.checks).collect())
}

fn timeouts(mut section: Section<'_>, cx: &mut Context) -> BackendTimeouts {
    BackendTimeouts {
        connect: section.value::<Period>("connect", cx).0,
        server: section.value::<Period>("server", cx).0,
        queue: section.value::<Period>("queue", cx).0,
        keep_alive: section.value::<Period>("keep-alive", cx).0,
    }
}

const NOW: [(&str, Algorithm); 7] = [
    ("round-robin", Algorithm::RoundRobin),
    ("least-connections", Algorithm::LeastConnections),
    ("source", Algorithm::Source),
    ("uri", Algorithm::Uri),
    ("random", Algorithm::Random),
    ("first", Algorithm::First),
    ("maglev", Algorithm::Maglev),
];

const LATER: [&str; 5] = ["bandwidth", "source-hash", "shortest-expected-delay", "never-queue", "failover"];

/// The algorithm; one that is not yet run is replaced by turns.
fn balance(section: &mut Section<'_>, cx: &mut Context) -> Algorithm {
    let word: At<String> = section.value("balance", cx);
    let plain = word.value.strip_prefix("weighted-").unwrap_or(&word.value);
    if let Some((_, algorithm)) = NOW.iter().find(|(known, _)| *known == plain) {
        return algorithm.clone();
    }
    if LATER.contains(&plain) {
        cx.later(format!("{}.balance: balancing by {plain}", section.path), word.span);
        return Algorithm::RoundRobin;
    }
    match plain.strip_prefix("header:") {
        Some(name) if is_token(name) => return Algorithm::Header(name.to_ascii_lowercase()),
        Some(_) => cx.error(word.span, "what follows header: is no field's name").help("write \"header:X-Session\""),
        None => {
            let known: Vec<&str> = NOW.iter().map(|(word, _)| *word).chain(["header:NAME"]).chain(LATER).collect();
            let near = suggest::nearest(plain, &known).map(|near| format!("did you mean \"{near}\"? "));
            let help = format!("{}known: {}", near.unwrap_or_default(), known.join(", "));
            cx.error(word.span, format!("unknown balance \"{}\"", word.value.escape_debug())).help(help)
        }
    };
    Algorithm::RoundRobin
}

fn later_parts(section: &mut Section<'_>, cx: &mut Context) {
    let modes = [("proxy", None), ("redirect", Some("redirect")), ("auto", Some("auto"))];
    let deliver = section.choice("deliver", &modes, cx);
    if let (Some(mode), Some(entry)) = (deliver, section.entry("deliver")) {
        cx.later(format!("{}.deliver: delivery by {mode}", section.path), entry.span);
    }
    let _: Option<Some1<Line>> = section.optional("proxy-clients", cx);
    if let (Some(entry), None) = (section.entry("proxy-clients"), deliver) {
        cx.error(entry.span, "proxy-clients only means something where others are redirected")
            .help("write deliver = \"auto\"");
    }
    tls::server(section, cx);
    forward::backend(section, cx);
}

/// The classes' names.
fn classes(owner: &mut Section<'_>, cx: &mut Context) -> Vec<String> {
    let mut names = Vec::new();
    for (entry, mut section) in owner.named("class", &CLASS, cx) {
        cx.later(format!("{}: classes of servers", section.path), entry.span);
        let _: Whole<0, 65535> = section.value("weight", cx);
        let _: Option<units::Bandwidth> = section.optional("bandwidth", cx);
        let _: Option<Whole<1, 100_000_000>> = section.optional("max-requests", cx);
        if let Some(share) = section.optional::<At<String>>("max-share", cx) {
            let percent = share.value.strip_suffix('%').and_then(|number| number.parse::<u8>().ok());
            if percent.is_none_or(|percent| percent == 0 || percent > 100) {
                cx.error(share.span, "a share is a percentage from 1% to 100%").help("write \"25%\"");
            }
        }
        names.push(entry.key.clone());
    }
    names
}
