use std::time::Duration;

use balance::{Algorithm, PoolConfig};
use check::CheckConfig;
use forward_plan::Scheduler;
use proxy::config::{Backend, BackendTimeouts};

use crate::BackendNotify;
use crate::context::Context;
use crate::read::{At, Period, Whole};
use crate::schema::{Key, Schema, form, optional, says, with};
use crate::section::Section;
use crate::sections::check::{self as checks, Defaults};
use crate::sections::http::is_token;
use crate::sections::quorum::{self, Programs};
use crate::sections::server::{Parts, Shared};
use crate::sections::{class, deliver, frontend, proxy_header, server, stick, tls};
use crate::sources::Span;
use crate::suggest;
use crate::tree::Entry;

const KEYS: [Key; 36] = {
    let [deliver, redirect_status, proxy_clients, redirect_clients, redirect_check, retry_after] =
        deliver::backend_keys();
    let [stick, stick_ttl, stick_size] = stick::backend_keys();
    let [quorum, hysteresis, quorum_up, quorum_down, sorry_server, alpha, omega, script_timeout, script_user] =
        quorum::backend_keys();
    [
        optional("server", form::TABLES, "The servers; see `server`. At least one, at most 16 384."),
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
        says(
            "max-requests",
            form::NUMBER,
            "no limit",
            "Requests in flight at once over all servers; further ones wait in the queue. For what all servers have behind them, such as a shared file system.",
        ),
        optional("max-connections", form::NUMBER, "The same in TCP mode's word; one of the two."),
        with("max-queue", form::NUMBER, "1024", "Requests that may wait for a server at once; 0: none waits."),
        retry_after,
        with("max-idle", form::NUMBER, "256", "Idle connections kept for each worker and server; 0: none."),
        with(
            "tcp-keepalive",
            "true, false or table",
            "false",
            "Let the kernel probe silent servers; see `tcp-keepalive`.",
        ),
        stick,
        stick_ttl,
        stick_size,
        deliver,
        redirect_status,
        proxy_clients,
        redirect_clients,
        redirect_check,
        optional("class", "tables `[backend.NAME.class.NAME]`", "Kinds of servers; see `class`."),
        proxy_header::backend_key(),
        server::protocol_key(),
        optional("tls", "true or table", "TLS with the servers; see `tls`."),
        quorum,
        hysteresis,
        quorum_up,
        quorum_down,
        sorry_server,
        alpha,
        omega,
        script_timeout,
        script_user,
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
            - `\"bandwidth\"`: the one expected to have sent its answer first: its `bandwidth` counts, and all that it \
            was asked for already. One of the client's own `zone`, unless those are busy.\n\
            - `\"source-hash\"`, `\"shortest-expected-delay\"`, `\"never-queue\"`, `\"failover\"`: with `mode = \"forward\"`.\n\n\
            The kernel, with `mode = \"forward\"`, balances by the words of the last line and by `round-robin`, \
            `least-connections`, `source` (the same as `source-hash`) and `maglev`; IPVS's own words are known too: `rr` and \
            `lc`, which pass over weights, `wrr`, `wlc`, `sh`, `mh` (the client's address alone), `sed`, `nq`, `fo`.\n\n\
            All are weighted: `\"weighted-round-robin\"` means the same as `\"round-robin\"`. What decides by something \
            keeps deciding the same when other servers come and go.\n\n\
            A backend is enough while its usable servers together weigh its `quorum`: that is what a vip goes by that \
            depends on the backend, what `on-quorum-up` and `on-quorum-down` are told, and below it the sorry server \
            stands in. Without one, requests go to whoever is left. Nobody is told of a quorum that is not known \
            yet, as long as servers have not answered that could make it. Who may be able to write to the programs that \
            are run: as of `track.script`.\n\n\
            With `stick` it decides only over a client's first server. The client then stays with it, through either of \
            several directors (see `peers`), while it is up: also while it is drained, has no weight any more, or is a \
            backup whose betters have come back. While it is full the client waits for it. When it is down, or fails the \
            request, the client is given another. A table of the clients survives reloads, upgrades and the death of \
            a serving process; when it is full, whom it has heard of least recently is forgotten. Requests without the \
            cookie go where the balance sends them.\n\n`deliver` says how an answer comes to the client:\n\n\
            - `\"proxy\"`: every answer is relayed.\n\
            - `\"redirect\"`: a GET or HEAD is answered with a redirect to the chosen server, if that has a \
            `redirect-to` that is well; the bytes then never come through here. Everything else is relayed.\n\
            - `\"auto\"`: the same for clients that are known to follow redirects; others' answers are relayed. A \
            built-in table of User-Agents says who is known; before it come `proxy-clients` and `redirect-clients`, \
            beginnings of User-Agents (letters of either case) of which the longest that fits decides.\n\n\
            The place of a `redirect-to` is checked beside the server, since clients may reach it in another way than \
            this director does. Unless `redirect-check` says otherwise it is asked what the server's first check of type \
            `http` or `https` asks of the server's own address and port: the same path, statuses and times, with the \
            place's own Host, by TLS if the place is `https://`. Without such a check it is enough that it takes the connection; a server without checks has none \
            here either. Its name is looked up each time, as clients do. While the place is not well, the server's \
            answers are relayed.",
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

/// What `[backend.NAME]` becomes.
pub(crate) struct Read {
    pub(crate) backend: Backend,
    /// By server.
    pub(crate) checks: Vec<Vec<CheckConfig>>,
    /// By server.
    pub(crate) redirect_checks: Vec<Option<CheckConfig>>,
    /// Where the text asks for redirects.
    pub(crate) deliver: Option<Span>,
    pub(crate) notify: BackendNotify,
    /// Who is chosen.
    pub(crate) balance: Balance,
}

/// Reads `[backend.NAME]`.
pub(crate) fn backend(entry: &Entry, mut section: Section<'_>, cx: &mut Context) -> Read {
    let classes = class::classes(&mut section, cx);
    let observe: Option<At<Whole<1, 1_000_000>>> = section.optional("observe", cx);
    let defaults = Defaults {
        interval: section.value::<Period>("interval", cx).0,
        observe_failures: observe.as_ref().map(|failures| failures.value.get()),
        send_proxy: proxy_header::send(&mut section, cx).flatten(),
    };
    let templates =
        section.entry("check").map(|check| checks::list(&check.node, &format!("{}.check", section.path), defaults, cx));
    let delivery = deliver::backend(&mut section, defaults, cx);
    let checks = templates.as_deref().unwrap_or_default();
    let tls = tls::server(&mut section, cx).map(|tls| tls.value);
    let protocol = server::protocol(&mut section, cx);
    let programs = Programs::read(&mut section, cx);
    let shared = Shared {
        classes: &classes,
        checks,
        redirect_check: &delivery.check,
        defaults,
        tls: tls.as_ref(),
        protocol,
        programs: &programs,
    };
    let mut servers = server::servers(&mut section, shared, cx);
    if let Some(observe) = observe.filter(|_| servers.iter().any(|server| !server.pool.checked)) {
        cx.error(observe.span, "a server that traffic takes down has no check to bring it back")
            .help("write check = { type = \"tcp\" }");
    }
    let (quorum, mut notify) = quorum::backend(&mut section, &programs, &servers, cx);
    let balance = balance(&mut section, cx);
    // Where only the kernel has it, nobody else leads here.
    let algorithm = balance.algorithm.clone().unwrap_or(Algorithm::RoundRobin);
    if cx.errors() == 0 {
        class::check(&classes, &servers, cx);
        deliver::check(&delivery, &servers, cx);
        check_links(&algorithm, &servers, cx);
    }
    let stick = stick::backend(&mut section, &algorithm, &servers, cx);
    if let Some(sorry) = quorum::sorry(&mut section, shared, &servers, cx) {
        notify.servers.push(sorry.notify.clone());
        servers.push(sorry);
    }
    let backend = Backend {
        name: entry.key.clone(),
        pool: PoolConfig {
            algorithm,
            slow_start: section.value::<Duration>("slow-start", cx),
            servers: servers.iter().map(|server| server.pool.clone()).collect(),
            classes: class::configs(&classes),
            max_in_flight: server::max_in_flight(&mut section, None, cx),
            quorum,
            alpha: section.value("alpha", cx),
        },
        servers: servers.iter().map(|server| server.proxy.clone()).collect(),
        timeouts: timeouts(section.section("timeouts", &TIMEOUTS, cx), cx),
        retries: section.value::<Whole<0, 100>>("retries", cx).get(),
        redispatch: section.value("redispatch", cx),
        tcp_keepalive: frontend::keepalive(&mut section, cx),
        max_queue: section.value::<Whole<0, 100_000_000>>("max-queue", cx).get(),
        max_idle: section.value::<Whole<0, 1_000_000>>("max-idle", cx).get(),
        observe_failures: defaults.observe_failures,
        deliver: delivery.deliver,
        retry_after: delivery.retry_after,
        stick,
        application: None,
    };
    let (checks, redirect_checks) = servers.into_iter().map(|server| (server.checks, server.redirect_check)).unzip();
    Read { backend, checks, redirect_checks, deliver: delivery.span, notify, balance }
}

/// Warns of links that are guessed beside others that are known, and of zones that decide nothing.
fn check_links(algorithm: &Algorithm, servers: &[Parts], cx: &mut Context) {
    if *algorithm != Algorithm::Bandwidth {
        if let Some(zone) = servers.iter().find_map(|server| server.zone) {
            cx.warn(zone, "where a server stands decides nothing here")
                .help("write balance = \"bandwidth\" in the backend");
        }
        return;
    }
    let known = servers.iter().any(|server| server.pool.bandwidth.is_some());
    if let Some(guessed) = servers.iter().find(|server| known && server.pool.bandwidth.is_none()) {
        let name = &guessed.pool.name;
        cx.warn(
            guessed.span,
            format!("server \"{name}\" has no bandwidth, unlike others: 1Gbit for each unit of its weight is assumed"),
        )
        .help("write bandwidth = \"1Gbit\" in the server or its class");
    }
}

pub(crate) fn timeouts(mut section: Section<'_>, cx: &mut Context) -> BackendTimeouts {
    BackendTimeouts {
        connect: section.value::<Period>("connect", cx).0,
        server: section.value::<Period>("server", cx).0,
        queue: section.value::<Period>("queue", cx).0,
        keep_alive: section.value::<Period>("keep-alive", cx).0,
    }
}

/// What `balance` says.
pub(crate) struct Balance {
    /// The word, less `weighted-`.
    pub(crate) word: String,
    pub(crate) span: Span,
    /// What it is to those who take clients' connections; `None`: nothing.
    pub(crate) algorithm: Option<Algorithm>,
    /// What it is to the kernel.
    pub(crate) scheduler: Option<Scheduler>,
}

/// Ours, and what the kernel makes of them.
const BOTH: [(&str, Algorithm, Option<Scheduler>); 8] = [
    ("round-robin", Algorithm::RoundRobin, Some(Scheduler::WeightedRoundRobin)),
    ("least-connections", Algorithm::LeastConnections, Some(Scheduler::WeightedLeastConnections)),
    ("source", Algorithm::Source, Some(Scheduler::SourceHash)),
    ("uri", Algorithm::Uri, None),
    ("random", Algorithm::Random, None),
    ("first", Algorithm::First, None),
    ("maglev", Algorithm::Maglev, Some(Scheduler::Maglev { ports: true })),
    ("bandwidth", Algorithm::Bandwidth, None),
];

/// The kernel's alone: ours, and IPVS's own.
const KERNEL: [(&str, Scheduler); 13] = [
    ("source-hash", Scheduler::SourceHash),
    ("shortest-expected-delay", Scheduler::ShortestExpectedDelay),
    ("never-queue", Scheduler::NeverQueue),
    ("failover", Scheduler::Failover),
    ("rr", Scheduler::RoundRobin),
    ("wrr", Scheduler::WeightedRoundRobin),
    ("lc", Scheduler::LeastConnections),
    ("wlc", Scheduler::WeightedLeastConnections),
    ("sh", Scheduler::SourceHash),
    ("mh", Scheduler::Maglev { ports: false }),
    ("sed", Scheduler::ShortestExpectedDelay),
    ("nq", Scheduler::NeverQueue),
    ("fo", Scheduler::Failover),
];

fn balance(section: &mut Section<'_>, cx: &mut Context) -> Balance {
    let word: At<String> = section.value("balance", cx);
    let plain = word.value.strip_prefix("weighted-").unwrap_or(&word.value);
    let balance = |algorithm, scheduler| Balance { word: plain.to_owned(), span: word.span, algorithm, scheduler };
    if let Some((_, algorithm, scheduler)) = BOTH.iter().find(|(known, ..)| *known == plain) {
        return balance(Some(algorithm.clone()), *scheduler);
    }
    if let Some((_, scheduler)) = KERNEL.iter().find(|(known, _)| *known == plain) {
        return balance(None, Some(*scheduler));
    }
    match plain.strip_prefix("header:") {
        Some(name) if is_token(name) => return balance(Some(Algorithm::Header(name.to_ascii_lowercase())), None),
        Some(_) => cx.error(word.span, "what follows header: is no field's name").help("write \"header:X-Session\""),
        None => {
            let ours = BOTH.iter().map(|(word, ..)| *word).chain(["header:NAME"]);
            let known: Vec<&str> = ours.chain(KERNEL.iter().map(|(word, _)| *word).take(4)).collect();
            let near = suggest::nearest(plain, &known).map(|near| format!("did you mean \"{near}\"? "));
            let help = format!("{}known: {}", near.unwrap_or_default(), known.join(", "));
            cx.error(word.span, format!("unknown balance \"{}\"", word.value.escape_debug())).help(help)
        }
    };
    balance(Some(Algorithm::RoundRobin), Some(Scheduler::WeightedRoundRobin))
}
