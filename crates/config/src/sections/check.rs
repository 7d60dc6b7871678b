mod kinds;
mod pages;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use check::{AgentCheck, CheckConfig, HttpCheck, Kind, Target};
use health::Policy;
use proxy::config::ServerAddress;
use tls::config::ClientTls;
use units::write_duration;
use wire::proxy_header::Version;

use crate::context::Context;
use crate::read::{At, Line, Period, Read, Whole, better_address};
use crate::schema::{Schema, form, optional, required, says, with};
use crate::section::Section;
use crate::sections::redirect_to::Place;
use crate::sections::tls::{Asked, certificate_name};
use crate::sources::Span;
use crate::tree::{Node, Value};
use kinds::{aimed, dns, file, script, smtp, udp};
pub(crate) use pages::PAGE;
use pages::http;

/// A probe without a time-out of its own waits its interval, but not longer than this.
const TIMEOUT_MAX: Duration = Duration::from_secs(5);

pub(crate) static CHECK: Schema = Schema {
    path: "check",
    about: "A backend's `check` (a table or a list of them) is done to every server; a server's `checks` to it alone, \
            instead. One failing check of several is enough to take a server down. The very first answer decides \
            alone; until then a server is unknown and gets nothing. What scripts, files and agents say of weights and \
            of draining is told in [checks](checks.md).",
    keys: &[
        required(
            "type",
            "word",
            "`\"tcp\"`: the connection is taken. `\"http\"`: requests are answered as expected. `\"https\"`: the same by TLS. `\"smtp\"`: a mail server greets and takes a greeting. `\"dns\"`: a name server answers a question by UDP. `\"ping\"`: the host answers an echo request. `\"udp\"`: a datagram is not refused, or answered. `\"agent\"`: what an agent beside the server says. `\"script\"`: a program ends with success. `\"file\"`: a file is there, and says nothing else.",
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
        says("rise", "1 to 1000", "2; 1 with `retries`, and of an agent", "Passes in a row that bring a server up."),
        says("fall", "1 to 1000", "3; 1 with `retries`, and of an agent", "Failures in a row that take it down."),
        with(
            "retries",
            "0 to 1000",
            "0",
            "Further tries within one probe, of a server that is up; each has its own time-out.",
        ),
        with("retry-delay", form::TIME, "\"1s\"", "From the end of a try to the next."),
        says(
            "warmup",
            form::TIME,
            "1s, or the interval if that is less",
            "Within this the first probes go out, each check's at a moment of its own; `\"0s\"`: at once.",
        ),
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
        optional(
            "digest",
            "hexadecimal text",
            "http, https: the digest that the body must have, MD5 or SHA-256, as `perron digest URL` prints them.",
        ),
        optional(
            "pages",
            form::TABLES,
            "http, https: several requests instead of one, in turn, each with keys of its own; see `pages`.",
        ),
        says("ca", form::PATH, "the server's tls", "https: PEM with the authorities of the certificate."),
        says("verify", form::BOOLEAN, "the server's tls, else true", "https: whether the certificate must be right."),
        says(
            "name",
            form::TEXT,
            "the server's tls",
            "https: the name that the certificate must have, and that is asked for (SNI). dns: the name to ask for.",
        ),
        with("helo", form::TEXT, "\"localhost\"", "smtp: the name to greet with."),
        with(
            "record",
            "`\"A\"`, `\"AAAA\"`, `\"CNAME\"`, `\"MX\"`, `\"NS\"`, `\"SOA\"`, `\"TXT\"`",
            "\"A\"",
            "dns: the record to ask for.",
        ),
        optional(
            "expect",
            form::TEXTS,
            "dns: what must be among the answers: addresses, the names that CNAME, MX and NS lead to, texts. Without, an answer without error is enough.",
        ),
        optional(
            "send",
            form::TEXT,
            "udp: the datagram, as text or as `\"hex:00 ff\"`. agent: what it is told first, a line feed included.",
        ),
        optional(
            "reply",
            form::TEXT,
            "udp: what a reply must begin with, as text or as `\"hex:00 XX ff\"`, where `XX` is any byte. Without, any reply passes, and so does silence until the time-out: nobody has refused.",
        ),
        optional(
            "command",
            form::COMMAND,
            "script: what to run. `{address}`, `{ip}` and `{port}` in its arguments are the server's.",
        ),
        says("user", form::TEXT, "the service's", "script: the user to run it as."),
        optional(
            "file",
            form::PATH,
            "file: the file. One that is there passes, unless it holds a number of 0 or less.",
        ),
        with(
            "sets-weight",
            form::BOOLEAN,
            "false",
            "script: exit status 2 to 255 passes too, and sets the weight 0 to 253. file: its number is the weight; less than 0 is a failure.",
        ),
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
    kind: Kind,
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

    /// Whether it can be done to a place that clients are sent to.
    pub(crate) fn is_of_clients_places(&self) -> bool {
        matches!(self.kind, Kind::Tcp | Kind::Http(_))
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
        if let (ServerAddress::Unix(_), None, Kind::Ping | Kind::Udp(_) | Kind::Dns(_)) =
            (server, self.address, &self.kind)
            && port.is_none()
        {
            cx.error(begun.span, "this server's check needs an IP address, and it has none")
                .help("write the check's address = \"IP:port\", or a check of another type");
            return None;
        }
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
            (Kind::Http(_), None) => begun.tls.filter(|_| self.is_at_home()).cloned(),
            _ => None,
        };
        let kind = match &self.kind {
            Kind::Script(script) => Kind::Script(aimed(script, server, begun.span, cx)?),
            kind => kind.clone(),
        };
        Some(CheckConfig { kind, target: target?, send_proxy, tls, policy: self.policy })
    }

    /// The check of where clients are sent, whose server's connections begin with `tls`. They say the host that they
    /// were sent to, and no PROXY header; what happens to requests that are relayed says nothing of theirs.
    pub(crate) fn aim_at_clients_place(&self, place: &Place, tls: Option<&ClientTls>) -> Option<CheckConfig> {
        let to = &place.to;
        let mut kind = self.kind.clone();
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
        Kind::Http(http) => Some((http, template)),
        _ => None,
    });
    let (kind, like) = match request {
        Some((http, template)) => (Kind::Http(HttpCheck { host: None, ..http.clone() }), template),
        None => (Kind::Tcp, own.first()?),
    };
    let asked = like.asked.clone().filter(|_| place.tls && kind != Kind::Tcp).map(Asked::without_name);
    let template = Template { kind, asked, policy: like.policy, address: None, port: None };
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
    Udp,
    Agent,
    Script,
    File,
}

const TYPES: [(&str, Type); 10] = [
    ("tcp", Type::Tcp),
    ("http", Type::Http),
    ("https", Type::Https),
    ("smtp", Type::Smtp),
    ("dns", Type::Dns),
    ("ping", Type::Ping),
    ("udp", Type::Udp),
    ("agent", Type::Agent),
    ("script", Type::Script),
    ("file", Type::File),
];

/// Those that ask a host.
const ASKING: [Type; 8] =
    [Type::Tcp, Type::Http, Type::Https, Type::Smtp, Type::Dns, Type::Ping, Type::Udp, Type::Agent];

/// Those that do so at a port.
const AT_PORTS: [Type; 7] = [Type::Tcp, Type::Http, Type::Https, Type::Smtp, Type::Dns, Type::Udp, Type::Agent];

/// Keys that belong to some types only.
const OWN_KEYS: [(&[&str], &[Type], &str); 12] = [
    (&["method", "path", "host", "status", "body", "digest", "pages"], &[Type::Http, Type::Https], "http and https"),
    (&["ca", "verify"], &[Type::Https], "https"),
    (&["name"], &[Type::Https, Type::Dns], "https and dns"),
    (&["helo"], &[Type::Smtp], "smtp"),
    (&["record", "expect"], &[Type::Dns], "dns"),
    (&["send"], &[Type::Udp, Type::Agent], "udp and agent"),
    (&["reply"], &[Type::Udp], "udp"),
    (&["command", "user"], &[Type::Script], "script"),
    (&["file"], &[Type::File], "file"),
    (&["sets-weight"], &[Type::Script, Type::File], "script and file"),
    (&["address"], &ASKING, "tcp and others that ask a host"),
    (&["port"], &AT_PORTS, "tcp and others that ask at a port"),
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
    let policy = policy(&mut section, kind, defaults, cx);
    let address = section.optional("address", cx);
    let port = section.optional::<At<Whole<1, 65535>>>("port", cx);
    let port = port.map(|port| At { value: port.value.get(), span: port.span });
    if let (Some(Override { port: Some(_), .. }), Some(port)) = (&address, &port) {
        cx.error(port.span, "the check's address has a port already").help("keep one of the two");
    }
    let asked = (kind == Type::Https).then(|| Asked::read(&mut section, cx));
    let kind = match kind {
        Type::Tcp => Some(Kind::Tcp),
        Type::Http | Type::Https => Some(Kind::Http(http(&mut section, cx))),
        Type::Smtp => smtp(&mut section, cx).map(Kind::Smtp),
        Type::Dns => dns(&mut section, cx).map(Kind::Dns),
        Type::Ping => Some(Kind::Ping),
        Type::Udp => udp(&mut section, cx).map(Kind::Udp),
        Type::Agent => Some(Kind::Agent(AgentCheck { send: section.optional("send", cx) })),
        Type::Script => script(&mut section, cx).map(Kind::Script),
        Type::File => file(&mut section, cx).map(Kind::File),
    };
    Some(Template { kind: kind?, asked, policy, address, port })
}

fn policy(section: &mut Section<'_>, kind: Type, defaults: Defaults, cx: &mut Context) -> Policy {
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
    let retries = section.value::<Whole<0, 1000>>("retries", cx).get();
    let mut in_a_row = |name: &str, without: i64| {
        // What an agent says is no accident; HAProxy believes it at once too.
        let default = if retries > 0 || kind == Type::Agent { 1 } else { without };
        section.computed(name, InARow::of(default), default.to_string(), cx).get()
    };
    let (rise, fall) = (in_a_row("rise", 2), in_a_row("fall", 3));
    let retry_delay: At<Duration> = section.value("retry-delay", cx);
    if retries == 0 && section.has("retry-delay") {
        cx.warn(retry_delay.span, "there are no tries to wait between").help("write retries = 3, or leave this out");
    }
    Policy {
        interval,
        fast_interval: fast.0,
        down_interval: down.0,
        timeout: timeout.0,
        retries,
        retry_delay: retry_delay.value,
        warmup: section.optional("warmup", cx),
        rise,
        fall,
        observe_failures: defaults.observe_failures,
    }
}

/// A duration as the text has it.
fn time(duration: Duration) -> String {
    format!("\"{}\"", write_duration(duration))
}

/// Passes or failures.
type InARow = Whole<1, 1000>;
