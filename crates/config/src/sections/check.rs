use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use check::{BodyMatch, CheckConfig, HttpCheck, Kind, Target};
use health::Policy;
use proxy::config::ServerAddress;
use tls::config::ClientTls;
use units::write_duration;
use wire::proxy_header::Version;

use crate::context::Context;
use crate::read::{At, Command, Line, Period, Read, Some1, Whole, better_address};
use crate::schema::{Schema, form, optional, required, says, with};
use crate::section::Section;
use crate::sections::http::{Host, Method, Path, Statuses};
use crate::sections::redirect_to::Place;
use crate::sections::tls::{Asked, certificate_name};
use crate::sources::Span;
use crate::tree::{Node, Value};

/// A probe without a time-out of its own waits its interval, but not longer than this.
const TIMEOUT_MAX: Duration = Duration::from_secs(5);

pub(crate) static CHECK: Schema = Schema {
    path: "check",
    about: "A backend's `check` (a table or a list of them) is done to every server; a server's `checks` to it alone, \
            instead. One failing check of several is enough to take a server down. The very first answer decides \
            alone; until then a server is unknown and gets nothing.",
    keys: &[
        required(
            "type",
            "word",
            "`\"tcp\"`: the connection is taken. `\"http\"`: a request is answered as expected. `\"https\"`: the same by TLS. Later: `\"smtp\"`, `\"dns\"`, `\"ping\"`, `\"script\"`.",
        ),
        says("interval", form::TIME, "the backend's interval", "Between two probes."),
        says("fast-interval", form::TIME, "the interval", "Between two probes while a change is under way."),
        says("down-interval", form::TIME, "the interval", "Between two probes of a server that is down."),
        says(
            "timeout",
            form::TIME,
            "the interval, at most 5s",
            "A probe not answered by then has failed: connecting and the answer together.",
        ),
        optional("connect-timeout", form::TIME, "The same in another word; one of the two."),
        with("rise", "1 to 1000", "2", "Passes in a row that bring a server up."),
        with("fall", "1 to 1000", "3", "Failures in a row that take it down."),
        optional("address", "`\"IP:port\"` or `\"IP\"`", "Whom to ask instead of the server's own address."),
        optional("port", "1 to 65535", "The port to ask instead of the server's own."),
        with("method", form::TEXT, "\"GET\"", "http, https: the request's method."),
        with("path", form::PATH, "\"/\"", "http, https: its path, with a query if need be."),
        says("host", form::TEXT, "the address and port", "http, https: its Host."),
        with(
            "status",
            "number, text or list",
            "[\"200-399\"]",
            "http, https: statuses that pass: `200`, `\"300-399\"`.",
        ),
        optional("body", form::TEXT, "http, https: text that the first 64 KiB of the body must hold."),
        optional("digest", "hexadecimal text", "http: the digest that the body must have (`perron digest`).").later(),
        optional("pages", "list of tables", "http: several requests, each with `path`, `status`, `digest`.").later(),
        optional("retries", "0 to 1000", "Further tries within one probe.").later(),
        optional("retry-delay", form::TIME, "Between these tries.").later(),
        says("ca", form::PATH, "the server's tls", "https: PEM with the authorities of the certificate."),
        says("verify", form::BOOLEAN, "the server's tls, else true", "https: whether the certificate must be right."),
        says(
            "name",
            form::TEXT,
            "the server's tls",
            "https: the name that the certificate must have, and that is asked for (SNI). dns: the name to ask for (later).",
        ),
        optional("helo", form::TEXT, "smtp: the name to greet with.").later(),
        optional("record", form::TEXT, "dns: the record to ask for, such as `\"AAAA\"`.").later(),
        optional("command", form::COMMAND, "script: what to run.").later(),
        optional("user", form::TEXT, "script: the user to run it as.").later(),
        optional("sets-weight", form::BOOLEAN, "script: its exit code sets the weight.").later(),
    ],
};

pub(crate) static PAGE: Schema = Schema {
    path: "pages",
    about: "One request of a `check` that makes several.",
    keys: &[
        required("path", form::PATH, "Its path.").later(),
        optional("status", "number, text or list", "Statuses that pass.").later(),
        optional("digest", "hexadecimal text", "The digest that the body must have.").later(),
    ],
};

/// What a check takes from its backend.
#[derive(Clone, Copy)]
pub(crate) struct Defaults {
    pub(crate) interval: Duration,
    pub(crate) observe_failures: Option<u32>,
    /// For the backend's servers.
    pub(crate) send_proxy: Option<Version>,
}

/// A check before it is aimed at a server.
pub(crate) struct Template {
    /// `None`: not yet run.
    kind: Option<Kind>,
    /// Of type `https`: what it says of the certificate.
    asked: Option<Asked>,
    policy: Policy,
    address: Option<Override>,
    port: Option<At<u16>>,
}

/// What the connections of a server begin with, and where its address stands.
#[derive(Clone, Copy)]
pub(crate) struct Begun<'s> {
    pub(crate) send_proxy: Option<Version>,
    pub(crate) tls: Option<&'s ClientTls>,
    pub(crate) span: Span,
}

#[derive(Clone, Copy)]
struct Override {
    ip: IpAddr,
    port: Option<u16>,
}

impl Template {
    /// What the server's connections begin with, if this check, of type `https`, asks the server's own port.
    pub(crate) fn implied_tls(&self) -> Option<ClientTls> {
        let asked = self.asked.clone().filter(|_| self.is_at_home())?;
        Some(asked.over(ClientTls::default()))
    }

    fn is_at_home(&self) -> bool {
        self.address.is_none() && self.port.is_none()
    }

    /// The check of the server at `server`, whose connections begin with a PROXY header, or with TLS. Who listens
    /// elsewhere was not told to expect these.
    pub(crate) fn aim(&self, server: &ServerAddress, begun: Begun<'_>, cx: &mut Context) -> Option<CheckConfig> {
        let own_port = match server {
            ServerAddress::Ip(address) => Some(address.port()),
            ServerAddress::Unix(_) => None,
        };
        let port = self.port.as_ref().map(|port| port.value);
        let target = match (self.address, server) {
            (Some(over), _) => over.port.or(port).or(own_port).map(|port| Target::Ip(SocketAddr::new(over.ip, port))),
            (None, ServerAddress::Ip(address)) => {
                Some(Target::Ip(SocketAddr::new(address.ip(), port.unwrap_or(address.port()))))
            }
            (None, ServerAddress::Unix(path)) => port.is_none().then(|| Target::Unix(path.clone())),
        };
        if target.is_none() {
            let problem = cx.error(begun.span, "this server's check needs an IP address with a port, and it has none");
            problem.help("write the check's address = \"IP:port\", or leave its port out");
            if let Some(port) = &self.port {
                problem.note(port.span, "this port");
            }
        }
        let send_proxy = begun.send_proxy.filter(|_| self.is_at_home());
        let plain = ClientTls::default();
        let tls = match (&self.kind, &self.asked) {
            (_, Some(asked)) => Some(asked.clone().over(begun.tls.unwrap_or(&plain).clone())),
            (Some(Kind::Http(_)), None) => begun.tls.filter(|_| self.is_at_home()).cloned(),
            _ => None,
        };
        Some(CheckConfig { kind: self.kind.clone()?, target: target?, send_proxy, tls, policy: self.policy })
    }

    /// The check of where clients are sent, whose server's connections begin with `tls`. They say the host that they
    /// were sent to, and no PROXY header; what happens to requests that are relayed says nothing of theirs.
    pub(crate) fn aim_at_clients_place(&self, place: &Place, tls: Option<&ClientTls>) -> Option<CheckConfig> {
        let to = &place.to;
        let mut kind = self.kind.clone()?;
        let by_tls = self.asked.is_some() || (place.tls && matches!(kind, Kind::Http(_)));
        let tls = by_tls.then(|| {
            let plain = ClientTls::default();
            let base = ClientTls { name: Some(certificate_name(&to.host)), ..tls.unwrap_or(&plain).clone() };
            self.asked.clone().map_or_else(|| base.clone(), |asked| asked.over(base.clone()))
        });
        if let Kind::Http(http) = &mut kind {
            http.host.get_or_insert_with(|| authority(place));
        }
        let target = Target::Name { host: to.host.clone(), port: to.port };
        let policy = Policy { observe_failures: None, ..self.policy };
        Some(CheckConfig { kind, target, send_proxy: None, tls, policy })
    }
}

/// The check of where a server's clients are sent that asks what `own`, the server's checks, ask of it: by HTTP if one
/// of them asks the server's own port so, otherwise whether the connection is taken.
pub(crate) fn alike(own: &[Template], place: &Place, tls: Option<&ClientTls>) -> Option<CheckConfig> {
    let request = own.iter().filter(|template| template.is_at_home()).find_map(|template| match &template.kind {
        Some(Kind::Http(http)) => Some((http, template)),
        _ => None,
    });
    let (kind, like) = match request {
        Some((http, template)) => (Kind::Http(HttpCheck { host: None, ..http.clone() }), template),
        None => (Kind::Tcp, own.iter().find(|template| template.kind.is_some())?),
    };
    let asked = like.asked.clone().filter(|_| place.tls && kind != Kind::Tcp).map(Asked::without_name);
    let template = Template { kind: Some(kind), asked, policy: like.policy, address: None, port: None };
    template.aim_at_clients_place(place, tls)
}

/// How a client's Host names it: without the port that the scheme has anyway (RFC 9110 section 7.2).
fn authority(Place { to, tls }: &Place) -> String {
    let host = if to.host.contains(':') { format!("[{}]", to.host) } else { to.host.clone() };
    if to.port == if *tls { 443 } else { 80 } { host } else { format!("{host}:{}", to.port) }
}

impl Read for Override {
    fn read(node: &Node, cx: &mut Context) -> Option<Override> {
        let Line(text) = Line::read(node, cx)?;
        if let Ok(ip) = text.parse() {
            return Some(Override { ip, port: None });
        }
        match text.parse::<SocketAddr>() {
            Ok(address) if address.port() != 0 => Some(Override { ip: address.ip(), port: Some(address.port()) }),
            _ => {
                cx.error(node.span, format!("\"{}\" is no IP address, with or without a port", text.escape_debug()))
                    .help(better_address(&text));
                None
            }
        }
    }
}

/// Reads `check` or `checks` at `node`: a table, or a list of them.
pub(crate) fn list(node: &Node, path: &str, defaults: Defaults, cx: &mut Context) -> Vec<Template> {
    let one = |(index, node): (usize, &Node), cx: &mut Context| {
        let path = if index == 0 { path.to_owned() } else { format!("{path}[{index}]") };
        Section::open(node, &CHECK, path, cx).and_then(|section| template(section, defaults, cx))
    };
    match &node.value {
        Value::Array(items) => items.iter().enumerate().filter_map(|item| one(item, cx)).collect(),
        _ => one((0, node), cx).into_iter().collect(),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Tcp,
    Http,
    Https,
    Smtp,
    Dns,
    Ping,
    Script,
}

const TYPES: [(&str, Type); 7] = [
    ("tcp", Type::Tcp),
    ("http", Type::Http),
    ("https", Type::Https),
    ("smtp", Type::Smtp),
    ("dns", Type::Dns),
    ("ping", Type::Ping),
    ("script", Type::Script),
];

/// Keys that belong to some types only.
const OWN_KEYS: [(&[&str], &[Type], &str); 6] = [
    (&["method", "path", "host", "status", "body", "digest", "pages"], &[Type::Http, Type::Https], "http and https"),
    (&["ca", "verify"], &[Type::Https], "https"),
    (&["name"], &[Type::Https, Type::Dns], "https and dns"),
    (&["helo"], &[Type::Smtp], "smtp"),
    (&["record"], &[Type::Dns], "dns"),
    (&["command", "user", "sets-weight"], &[Type::Script], "script"),
];

/// Reads one check.
pub(crate) fn template(mut section: Section<'_>, defaults: Defaults, cx: &mut Context) -> Option<Template> {
    if !section.has("type") {
        section.missing("type", cx);
        section.abandon();
        return None;
    }
    let Some(kind) = section.optional_choice("type", &TYPES, cx) else {
        section.abandon();
        return None;
    };
    let word = TYPES.iter().find(|(_, known)| *known == kind).map_or("", |(word, _)| word);
    for (keys, kinds, belongs) in OWN_KEYS {
        if !kinds.contains(&kind) {
            let help = format!("remove it, or write type = \"{}\"", belongs.split(' ').next().unwrap_or_default());
            section.refuse(keys, &format!("is for checks of type {belongs}, not {word}"), &help, cx);
        }
    }
    let policy = policy(&mut section, defaults, cx);
    let address = section.optional("address", cx);
    let port = section.optional::<At<Whole<1, 65535>>>("port", cx);
    let port = port.map(|port| At { value: port.value.get(), span: port.span });
    if let (Some(Override { port: Some(_), .. }), Some(port)) = (&address, &port) {
        cx.error(port.span, "the check's address has a port already").help("keep one of the two");
    }
    let retries = section.entry("retries");
    let _: Option<Whole<0, 1000>> = section.optional("retries", cx);
    let _: Option<Duration> = section.optional("retry-delay", cx);
    if let Some(entry) = retries.or(section.entry("retry-delay")) {
        cx.later(format!("{}.{}: tries within one probe", section.path, entry.key), entry.span);
    }
    let http = matches!(kind, Type::Http | Type::Https).then(|| http(&mut section, cx));
    let asked = (kind == Type::Https).then(|| Asked::read(&mut section, cx));
    if !matches!(kind, Type::Tcp | Type::Http | Type::Https) {
        later(&mut section, kind, word, cx);
    }
    let kind = match kind {
        Type::Tcp => Some(Kind::Tcp),
        Type::Http | Type::Https => http.map(Kind::Http),
        _ => None,
    };
    Some(Template { kind, asked, policy, address, port })
}

fn policy(section: &mut Section<'_>, defaults: Defaults, cx: &mut Context) -> Policy {
    let Period(interval) = section.computed("interval", Period(defaults.interval), time(defaults.interval), cx);
    let fast: Period = section.computed("fast-interval", Period(interval), time(interval), cx);
    if let Some(entry) = section.entry("fast-interval")
        && fast.0 > interval
    {
        cx.warn(entry.span, "fast-interval is longer than the interval, so changes are seen later")
            .help(format!("write less than {}", time(interval)));
    }
    let down: Period = section.computed("down-interval", Period(interval), time(interval), cx);
    let timeout = match section.optional::<At<Period>>("connect-timeout", cx) {
        Some(connect) => {
            if let Some(entry) = section.entry("timeout") {
                cx.error(entry.span, "timeout and connect-timeout are two words for one time")
                    .help("keep timeout")
                    .note(connect.span, "the other");
            }
            connect.value
        }
        None => {
            let default = interval.min(TIMEOUT_MAX);
            section.computed("timeout", Period(default), time(default), cx)
        }
    };
    Policy {
        interval,
        fast_interval: fast.0,
        down_interval: down.0,
        timeout: timeout.0,
        rise: section.value::<Whole<1, 1000>>("rise", cx).get(),
        fall: section.value::<Whole<1, 1000>>("fall", cx).get(),
        observe_failures: defaults.observe_failures,
    }
}

/// A duration as the text has it.
fn time(duration: Duration) -> String {
    format!("\"{}\"", write_duration(duration))
}

fn http(section: &mut Section<'_>, cx: &mut Context) -> HttpCheck {
    let Method(method) = section.value("method", cx);
    let Path(path) = section.value("path", cx);
    let host = section.optional::<HostAndPort>("host", cx).map(|HostAndPort(host)| host);
    let Some1(statuses) = section.value::<Some1<Statuses>>("status", cx);
    let body = section.optional::<Line>("body", cx).map(|Line(text)| BodyMatch::Contains(text));
    if let Some(digest) = section.entry("digest") {
        let _: Option<Digest> = Digest::read(&digest.node, cx);
        cx.later(format!("{}.digest: digests of pages", section.path), digest.span);
    }
    let pages = section.list("pages");
    if let Some(entry) = section.entry("pages") {
        cx.later(format!("{}.pages: several pages", section.path), entry.span);
    }
    for (index, node) in pages.into_iter().enumerate() {
        if let Some(mut page) = Section::open(node, &PAGE, format!("{}.pages[{index}]", section.path), cx) {
            let _: Option<Path> = page.required("path", cx);
            let _: Option<Some1<Statuses>> = page.optional("status", cx);
            let _: Option<Digest> = page.optional("digest", cx);
        }
    }
    let statuses = check::Statuses(statuses.into_iter().map(|Statuses(range)| range).collect());
    HttpCheck { method, path, host, statuses, body }
}

/// A host as a request names it: perhaps with a port.
struct HostAndPort(String);

impl Read for HostAndPort {
    fn read(node: &Node, cx: &mut Context) -> Option<HostAndPort> {
        let Line(text) = Line::read(node, cx)?;
        let name = match text.rsplit_once(':') {
            Some((name, port)) if port.parse::<u16>().is_ok() => name,
            _ => &text,
        };
        let bare = Node { value: Value::Text(name.to_owned()), span: node.span };
        Host::read(&bare, cx).map(|_| HostAndPort(text))
    }
}

/// MD5 or SHA-256, in hexadecimal.
struct Digest;

impl Read for Digest {
    fn read(node: &Node, cx: &mut Context) -> Option<Digest> {
        let Line(text) = Line::read(node, cx)?;
        if ![32, 64].contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            cx.error(node.span, "a digest has 32 (MD5) or 64 (SHA-256) hexadecimal digits")
                .help("let `perron digest URL` write it");
            return None;
        }
        Some(Digest)
    }
}

fn later(section: &mut Section<'_>, kind: Type, word: &str, cx: &mut Context) {
    cx.later(format!("{}: checks of type {word}", section.path), section.span);
    match kind {
        Type::Smtp => {
            let _: Option<Line> = section.optional("helo", cx);
        }
        Type::Dns => {
            let _: Option<Line> = section.required("name", cx);
            let records = ["A", "AAAA", "CNAME", "MX", "NS", "SOA", "TXT"].map(|record| (record, ()));
            section.optional_choice("record", &records, cx);
        }
        Type::Script => {
            let _: Option<Command> = section.required("command", cx);
            let _: Option<Line> = section.optional("user", cx);
            let _: Option<bool> = section.optional("sets-weight", cx);
        }
        Type::Tcp | Type::Http | Type::Https | Type::Ping => {}
    }
}
