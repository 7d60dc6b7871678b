use std::time::Duration;

use ::tls::config::ServerTls;
use proxy::config::{
    AcceptProxy, Answer, BackendIndex, Frontend, FrontendIndex, FrontendTimeouts, LogFormat, Mode, Protocol,
    ProxyConfig, RateLimits, Server, TcpKeepalive,
};

use crate::binds::{Claim, Transport, Written};
use crate::context::Context;
use crate::read::{At, Period, Read, Some1, Whole, wrong};
use crate::schema::{Key, Schema, form, optional, required, says, with};
use crate::section::Section;
use crate::sections::answer::{self, Given};
use crate::sections::backend::Balance;
use crate::sections::users::{self, Known};
use crate::sections::{basic_auth, files, forward, headers, proxy_header, rate, route, shape, stick, tls};
use crate::tree::{Node, Table, Value};
use crate::{Listen, diagnostics::Excerpt};

const KEYS: [Key; 27] = {
    let [backend, redirect, respond, files, health, fastcgi, cgi] = answer::keys();
    [
        with(
            "mode",
            "`\"http\"`, `\"tcp\"`, `\"forward\"`",
            "\"http\"",
            "Requests are read and routed; or bytes relayed, unread; or packets forwarded by the kernel (see `forward`).",
        ),
        required(
            "bind",
            "address or list",
            "Where to listen: `\"10.0.0.1:80\"`, `\"[2001:db8::1]:80\"`, `\"0.0.0.0:80\"`, an interface's addresses `\"eth1:80\"`, `\"unix:/run/x.sock\"` or a table `bind`. The address need not be here yet.",
        ),
        says("max-connections", form::NUMBER, "no limit", "Clients at once; further ones wait to be accepted."),
        with(
            "tcp-keepalive",
            "true, false or table",
            "false",
            "Let the kernel probe silent clients; see `tcp-keepalive`.",
        ),
        proxy_header::accept_key(),
        rate::frontend_key(),
        optional("timeouts", form::TABLE, "How long each phase may last; see `timeouts`."),
        optional("route", form::TABLES, "Which request goes where; see `route`. HTTP only."),
        backend,
        redirect,
        respond,
        files,
        health,
        fastcgi,
        cgi,
        optional("request-headers", form::TABLE, "Changes to every request; see `request-headers`. HTTP only."),
        optional("response-headers", form::TABLE, "Changes to every answer. HTTP only."),
        optional("forwarded", form::TABLE, "What servers are told of the client; see `forwarded`. HTTP only."),
        with(
            "log",
            "`\"json\"`, `\"haproxy\"`, `\"off\"`",
            "\"json\"",
            "What a request or connection leaves in the access log: a JSON object, HAProxy's `httplog` or `tcplog` line, nothing.",
        ),
        users::frontend_key(),
        basic_auth::frontend_key(),
        shape::compress_key(),
        shape::error_pages_key(),
        optional("tls", form::TABLE, "TLS with the clients; see `tls`."),
        with(
            "http2",
            form::BOOLEAN,
            "true",
            "Whether clients may speak HTTP/2: over TLS where they agree on it (ALPN), in clear text where they begin so. HTTP only.",
        ),
        optional("forward", form::TABLE, "How the kernel forwards; see `forward`."),
        optional("sync", form::TABLE, "Connection tables copied to the other director; see `sync`.").later(),
    ]
};

pub(crate) static FRONTEND: Schema = Schema {
    path: "frontend.NAME",
    about: "What clients reach. One of `backend`, `redirect`, `respond`, `files`, `health`, `fastcgi`, `cgi` answers what no \
            route takes; without one, that is 404. In TCP mode, `backend` takes every connection.",
    keys: &KEYS,
};

pub(crate) static TIMEOUTS: Schema = Schema {
    path: "frontend.NAME.timeouts",
    about: "With clients. In TCP mode there is `tunnel`, and `header` beside `accept-proxy`.",
    keys: &[
        with(
            "header",
            form::TIME,
            "\"10s\"",
            "From a request's first byte to the end of its header; then 408. From a connection to the end of its PROXY header; then it is closed.",
        ),
        with(
            "idle",
            form::TIME,
            "\"60s\"",
            "Silence of a client that is sending a body or should take an answer; then the connection is cut.",
        ),
        with(
            "keep-alive",
            form::TIME,
            "\"60s\"",
            "Silence between two requests, and before the first; then the connection is closed.",
        ),
        with(
            "tunnel",
            form::TIME,
            "\"1h\"",
            "Silence on both sides of an upgraded connection, a CONNECT or a TCP relay; then it is closed.",
        ),
    ],
};

pub(crate) static KEEPALIVE: Schema = Schema {
    path: "tcp-keepalive",
    about: "In a frontend (its clients) or a backend (its servers): `true`, or a table with these keys. \
            A connection whose other end is gone without a word is found by it.",
    keys: &[
        says(
            "idle",
            form::TIME,
            "the kernel's (net.ipv4.tcp_keepalive_time)",
            "Silence before the first probe; whole seconds.",
        ),
        says("interval", form::TIME, "the kernel's (net.ipv4.tcp_keepalive_intvl)", "Between probes; whole seconds."),
        says(
            "count",
            form::NUMBER,
            "the kernel's (net.ipv4.tcp_keepalive_probes)",
            "Unanswered probes that end the connection, 1 to 127.",
        ),
    ],
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Http,
    Tcp,
    Forward,
}

/// What only means something where requests are read.
const HTTP_ONLY: [&str; 16] = [
    "basic-auth",
    "compress",
    "error-pages",
    "route",
    "redirect",
    "respond",
    "files",
    "health",
    "fastcgi",
    "cgi",
    "request-headers",
    "response-headers",
    "forwarded",
    "rate-limit",
    "allow-users",
    "http2",
];

/// Reads `[frontend.NAME]` into `proxy` and `listens`.
pub(crate) fn frontend(
    name: &At<String>,
    mut section: Section<'_>,
    proxy: &mut ProxyConfig,
    listens: &mut Vec<Listen>,
    forward: &mut Forwarding<'_>,
    cx: &mut Context,
) {
    let words = [("http", Wanted::Http), ("tcp", Wanted::Tcp), ("forward", Wanted::Forward)];
    let mode = section.choice("mode", &words, cx);
    if mode == Wanted::Forward {
        forwarding(name, section, proxy, forward, cx);
        return;
    }
    let binds = section.required::<Some1<At<Written>>>("bind", cx).map_or(Vec::new(), |Some1(binds)| binds);
    for bind in &binds {
        cx.claims.push(Claim::new(Transport::Tcp, bind.value.bind.clone(), bind.span));
    }
    section.refuse(&["forward", "sync"], "is for packets that the kernel forwards", "write mode = \"forward\"", cx);
    let tls = section.optional_section("tls", &tls::FRONTEND_TLS, cx);
    let tls = tls.and_then(|tls| tls::frontend(tls, mode == Wanted::Http, cx));
    let accept_proxy = proxy_header::accept(&mut section, &binds, cx);
    let frontend = terminating(name, section, mode, accept_proxy, tls, cx);
    if let Some(Answer::Backend(backend)) = frontend.default {
        // An application's is not there yet, and is not for TCP.
        if let Some(backend) = proxy.backends.get(usize::from(backend.0)) {
            check_tcp_backend(name, &frontend, backend, cx);
        }
    }
    let index = FrontendIndex(u16::try_from(proxy.frontends.len()).unwrap_or(u16::MAX));
    proxy.frontends.push(frontend);
    listens.extend(binds.into_iter().map(|bind| Listen {
        frontend: index,
        bind: bind.value.bind,
        text: bind.value.text,
        place: Excerpt::new(cx.sources, bind.span).place,
    }));
}

fn terminating(
    name: &At<String>,
    mut section: Section<'_>,
    mode: Wanted,
    accept_proxy: AcceptProxy,
    tls: Option<ServerTls>,
    cx: &mut Context,
) -> Frontend {
    let http = mode == Wanted::Http;
    if !http {
        let help = "write mode = \"http\", or keep bind, backend, max-connections, tcp-keepalive, accept-proxy, timeouts.tunnel, log";
        section.refuse(&HTTP_ONLY, "is for HTTP; this frontend relays bytes unread", help, cx);
    }
    let max_connections = section.optional("max-connections", cx).map(Whole::<1, 100_000_000>::get);
    let tcp_keepalive = keepalive(&mut section, cx);
    let timeouts = section.section("timeouts", &TIMEOUTS, cx);
    let timeouts = timeouts_of(timeouts, http, accept_proxy != AcceptProxy::Nobody, cx);
    let http2 = http && section.value("http2", cx);
    let mut frontend = Frontend {
        name: name.value.clone(),
        mode: if http { Mode::Http } else { Mode::Tcp },
        max_connections,
        tcp_keepalive,
        accept_proxy,
        timeouts,
        routes: Vec::new(),
        default: None,
        forwarded: http_proto::Forwarded::default(),
        request_headers: http_proto::HeaderEdits::default(),
        response_headers: http_proto::HeaderEdits::default(),
        log: section.choice("log", &LOGS, cx),
        rate_limits: RateLimits::default(),
        allow_users: None,
        basic_auth: None,
        compress: Vec::new(),
        error_pages: Vec::new(),
        tls: tls.map(|tls| ServerTls { http2, ..tls }),
        http2,
    };
    if http {
        let forwarded = section.section("forwarded", &headers::FORWARDED, cx);
        frontend.rate_limits = rate::limits(&mut section, cx);
        frontend.forwarded = headers::forwarded(forwarded, cx);
        frontend.request_headers = headers::edits(&mut section, "request-headers", cx);
        frontend.response_headers = headers::edits(&mut section, "response-headers", cx);
        frontend.basic_auth = basic_auth::basic_auth(&mut section, cx);
        frontend.compress = shape::compress(&mut section, cx).unwrap_or_default();
        frontend.error_pages = shape::error_pages(&mut section, cx);
        let shows = frontend.basic_auth.is_some();
        let known = if shows { Known::Yes } else { Known::of(frontend.tls.as_ref(), section.has("tls")) };
        // A section that is wrong itself says enough.
        let shown = frontend.tls.as_ref().map_or(section.has("tls"), |tls| tls.client.is_some());
        frontend.routes = route::routes(&mut section, known, shown, cx);
        frontend.allow_users = users::allow(&mut section, known, cx);
        frontend.default = default_answer(&mut section, &frontend, shown, cx);
    } else {
        frontend.default = tcp_backend(&mut section, cx).map(Answer::Backend);
    }
    frontend
}

const LOGS: [(&str, LogFormat); 3] =
    [("json", LogFormat::Json), ("haproxy", LogFormat::Haproxy), ("off", LogFormat::Off)];

fn default_answer(section: &mut Section<'_>, frontend: &Frontend, shown: bool, cx: &mut Context) -> Option<Answer> {
    let given = answer::read(section, &[], cx);
    let says_nothing = answer::KEYS.iter().all(|key| !section.has(key)) && !section.has("route");
    if says_nothing && !cx.broken {
        cx.error(section.span, "this frontend answers nothing")
            .help("write backend = \"NAME\", files = \"/path\", or a [[frontend.NAME.route]]");
    }
    let entry = answer::KEYS.iter().find_map(|key| section.entry(key));
    if let (Some(entry), true) = (entry, frontend.routes.iter().any(|route| route.when.is_empty())) {
        cx.warn(entry.span, format!("nothing is left for this {}: a route takes every request", entry.key))
            .help("remove one of the two");
    }
    match given {
        Given::Answer(answer) => Some(answer),
        Given::Files(mut answers) => {
            answers.iter().for_each(|(_, answer)| files::check_transfers(section, answer, shown, cx));
            answers.pop().map(|(_, answer)| answer)
        }
        Given::Nothing => None,
    }
}

fn tcp_backend(section: &mut Section<'_>, cx: &mut Context) -> Option<BackendIndex> {
    let Some(entry) = section.entry("backend") else {
        section.missing("backend", cx);
        return None;
    };
    answer::backend(&entry.node, cx)
}

fn check_tcp_backend(name: &At<String>, frontend: &Frontend, backend: &proxy::config::Backend, cx: &mut Context) {
    use balance::Algorithm::{Header, Uri};
    if frontend.mode == Mode::Tcp {
        stick::check_tcp(name.span, backend, cx);
    }
    let is_plain = |server: &Server| server.protocol == Protocol::Http1;
    if frontend.mode == Mode::Tcp && !backend.servers.iter().all(is_plain) {
        let message =
            format!("servers of backend \"{}\" are asked in a protocol, and this frontend reads none", backend.name);
        cx.error(name.span, message).help("write mode = \"http\" here");
    }
    if frontend.mode == Mode::Tcp && matches!(backend.pool.algorithm, Uri | Header(_)) {
        let message =
            format!("backend \"{}\" balances by what requests say, and this frontend reads none", backend.name);
        cx.error(name.span, message).help("write mode = \"http\" here, or balance = \"source\" there");
    }
}

/// What frontends whose packets the kernel forwards are read with, and into.
pub(crate) struct Forwarding<'b> {
    /// By backend.
    pub(crate) balances: &'b [Balance],
    pub(crate) plan: ::forward::Plan,
}

/// The kernel forwards: what is said of connections and requests has no meaning.
fn forwarding(
    name: &At<String>,
    mut section: Section<'_>,
    proxy: &ProxyConfig,
    forward: &mut Forwarding<'_>,
    cx: &mut Context,
) {
    let backend = tcp_backend(&mut section, cx).map(|BackendIndex(index)| usize::from(index));
    let backend = backend.and_then(|index| Some((index, proxy.backends.get(index)?, forward.balances.get(index)?)));
    let frontend = forward::frontend(name, &mut section, backend, cx);
    forward.plan.frontends.extend(frontend);
    let help = "keep bind, backend, forward, sync; or write mode = \"http\" or \"tcp\"";
    let terminated = ["max-connections", "tcp-keepalive", "accept-proxy", "timeouts", "log", "tls"];
    section.refuse(&HTTP_ONLY, "is for HTTP; this frontend's packets are forwarded by the kernel", help, cx);
    section.refuse(&terminated, "is for connections that end here; these are forwarded by the kernel", help, cx);
}

const UNREAD: &str = "is for HTTP; this frontend relays bytes unread";
const TUNNEL_ONLY: &str = "write tunnel: how long both sides may be silent";

fn timeouts_of(mut section: Section<'_>, http: bool, announced: bool, cx: &mut Context) -> FrontendTimeouts {
    let mut timeouts = FrontendTimeouts::default();
    if http || announced {
        timeouts.header = section.value::<Period>("header", cx).0;
    } else {
        section.refuse(&["header"], UNREAD, TUNNEL_ONLY, cx);
    }
    if http {
        timeouts.idle = section.value::<Period>("idle", cx).0;
        timeouts.keep_alive = section.value::<Period>("keep-alive", cx).0;
    } else {
        section.refuse(&["idle", "keep-alive"], UNREAD, TUNNEL_ONLY, cx);
    }
    timeouts.tunnel = section.value::<Period>("tunnel", cx).0;
    timeouts
}

/// Reads `tcp-keepalive` of a frontend or a backend.
pub(crate) fn keepalive(owner: &mut Section<'_>, cx: &mut Context) -> Option<TcpKeepalive> {
    let keepalive: Keepalive = match owner.entry("tcp-keepalive") {
        Some(entry) if matches!(entry.node.value, Value::Table(_)) => {
            let section = owner.optional_section("tcp-keepalive", &KEEPALIVE, cx)?;
            return Some(keepalive_table(section, cx));
        }
        _ => owner.value("tcp-keepalive", cx),
    };
    if !keepalive.0 {
        return None;
    }
    let path = format!("{}.tcp-keepalive", owner.path);
    let section = Section::of(Table::EMPTY, owner.span, &KEEPALIVE, path, cx);
    Some(keepalive_table(section, cx))
}

struct Keepalive(bool);

impl Read for Keepalive {
    fn read(node: &Node, cx: &mut Context) -> Option<Keepalive> {
        match node.value {
            Value::Boolean(wanted) => Some(Keepalive(wanted)),
            _ => wrong(
                node,
                "true, false or a table",
                "write true, or { idle = \"60s\", interval = \"10s\", count = 3 }",
                cx,
            ),
        }
    }
}

fn keepalive_table(mut section: Section<'_>, cx: &mut Context) -> TcpKeepalive {
    TcpKeepalive {
        idle: seconds(&mut section, "idle", cx),
        interval: seconds(&mut section, "interval", cx),
        count: section.optional("count", cx).map(Whole::<1, 127>::get),
    }
}

/// Whole seconds from 1 to 32767, as TCP_KEEPIDLE and TCP_KEEPINTVL take them (tcp(7)).
fn seconds(section: &mut Section<'_>, key: &str, cx: &mut Context) -> Option<Duration> {
    let period: At<Period> = section.optional(key, cx)?;
    let Period(duration) = period.value;
    if !forward::is_multiple(duration, Duration::from_secs(1)) || duration.as_secs() > 32767 {
        cx.error(period.span, "the kernel takes whole seconds, 1s to 32767s").help("write \"60s\"");
        return None;
    }
    Some(duration)
}
