//! What a frontend, its routes and a backend are, valid by construction: the `config` crate parses text into these.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http_proto::{Condition, Forwarded, HeaderEdits};
use units::Network;
use wire::proxy_header;

use crate::stream::Coding;
use crate::users::AllowUsers;

/// Everything that the workers need to carry traffic.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ProxyConfig {
    /// In the order of the text; a [`FrontendIndex`] points here.
    pub frontends: Vec<Frontend>,
    /// In the order of the text; a [`BackendIndex`] points here.
    pub backends: Vec<Backend>,
    /// In the order of the text; a [`balance::ZoneIndex`] points here.
    pub zones: Vec<Zone>,
    /// In the order of the text; a [`PasswordsIndex`] points here. The wiring reads them.
    pub password_files: Vec<PathBuf>,
}

/// Where clients and servers stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// The word in the text, the logs and the metrics.
    pub name: String,
    /// The addresses that stand there. An address in networks of several zones stands in that of the longest prefix.
    pub networks: Vec<Network>,
}

/// A frontend's place in [`ProxyConfig::frontends`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrontendIndex(pub u16);

/// A backend's place in [`ProxyConfig::backends`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BackendIndex(pub u16);

/// The place of a handler (files, health) in the list that the wiring hands to the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HandlerIndex(pub u16);

/// What clients reach. Its listening sockets are opened elsewhere and handed over.
#[derive(Clone, Debug, PartialEq)]
pub struct Frontend {
    /// The word in the text, the logs and the metrics.
    pub name: String,
    /// Whether requests are read, or bytes relayed.
    pub mode: Mode,
    /// Clients at once; further ones wait in the kernel's backlog. `None`: no limit of its own.
    pub max_connections: Option<u32>,
    /// Probes on idle client connections (SO_KEEPALIVE).
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// Whose connections begin with a PROXY header.
    pub accept_proxy: AcceptProxy,
    /// How long each phase may last.
    pub timeouts: FrontendTimeouts,
    /// Tried in this order; the first that matches answers. Empty in TCP mode.
    pub routes: Vec<Route>,
    /// What answers a request that no route matches; in TCP mode, every connection. `None`: 404.
    pub default: Option<Answer>,
    /// What servers are told of the client.
    pub forwarded: Forwarded,
    /// Changes to every request before it goes on.
    pub request_headers: HeaderEdits,
    /// Changes to every answer before it goes out.
    pub response_headers: HeaderEdits,
    /// What a finished request or connection leaves in the log.
    pub log: LogFormat,
    /// How many requests it takes; see [`RateLimits`].
    pub rate_limits: RateLimits,
    /// Who may ask, where a route says nothing else; `None`: everybody.
    pub allow_users: Option<AllowUsers>,
    /// How clients show who they are, where a route says nothing else.
    pub basic_auth: Option<BasicAuth>,
    /// What answers may be coded in, the most wanted first, where a route says nothing else.
    pub compress: Vec<Coding>,
    /// Pages for errors of this program's own.
    pub error_pages: Vec<ErrorPageFile>,
    /// What its clients' connections begin with. The wiring makes an acceptor of it, with what the files hold.
    pub tls: Option<tls::config::ServerTls>,
    /// Whether clients in clear text may speak HTTP/2 from the first byte (RFC 9113 §3.3). Over TLS it is agreed on
    /// with [`tls::config::ServerTls::http2`].
    pub http2: bool,
}

/// How many requests are taken; those beyond are answered 429 with the time to wait in `Retry-After`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct RateLimits {
    /// Of one client: an IPv4 address, or an IPv6 network of 64 bits. Clients on unix sockets are one.
    pub client: Option<Rate>,
    /// Of all clients together.
    pub total: Option<Rate>,
}

/// A number of requests in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The time of one request, on average; not zero.
    pub period: Duration,
    /// How many may come at once after a silence; at least 1.
    pub burst: u32,
}

/// Whose connections must begin with a PROXY header; it is not looked for on others.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum AcceptProxy {
    /// Nobody's.
    #[default]
    Nobody,
    /// Those of peers in these networks.
    From(Vec<Network>),
    /// Everybody's, those of peers on unix sockets too.
    Everybody,
}

/// What a frontend does with its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Requests are read, routed and relayed one by one.
    Http,
    /// Bytes are relayed both ways, unread.
    Tcp,
}

/// The kernel's keepalive probes; a `None` leaves the kernel's own setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TcpKeepalive {
    /// Silence before the first probe.
    pub idle: Option<Duration>,
    /// Between probes.
    pub interval: Option<Duration>,
    /// Unanswered probes that end the connection.
    pub count: Option<u32>,
}

/// A frontend's time-outs. Each ends in the answer or close named with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrontendTimeouts {
    /// From a request's first byte to the end of its header: 408.
    pub header: Duration,
    /// Silence of the client while its body is awaited or its answer not taken: the connection is cut.
    pub idle: Duration,
    /// Silence between two requests on a kept connection, and before the first: a silent close.
    pub keep_alive: Duration,
    /// Silence on both sides of an upgraded connection, a CONNECT or a TCP relay: a close.
    pub tunnel: Duration,
}

impl Default for FrontendTimeouts {
    fn default() -> FrontendTimeouts {
        FrontendTimeouts {
            header: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            keep_alive: Duration::from_secs(60),
            tunnel: Duration::from_secs(3600),
        }
    }
}

/// Which requests, and what answers them.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// All of these must hold; empty: every request.
    pub when: Vec<Condition>,
    /// What answers.
    pub answer: Answer,
    /// Changes to the request, after the frontend's.
    pub request_headers: HeaderEdits,
    /// Changes to the answer, after the frontend's.
    pub response_headers: HeaderEdits,
    /// How many requests it takes, beside the frontend's limits.
    pub rate_limits: RateLimits,
    /// Who may ask; `None`: whoever the frontend allows.
    pub allow_users: Option<AllowUsers>,
    /// How clients show who they are; `None`: as the frontend says.
    pub basic_auth: Option<BasicAuth>,
    /// What answers may be coded in; `None`: what the frontend says.
    pub compress: Option<Vec<Coding>>,
    /// Another path for the server. With a backend only.
    pub rewrite: Option<Rewrite>,
    /// Whether its answers are streams of messages, each of which is to be at the client before the next is made.
    pub stream: Option<StreamConfig>,
}

/// What a route of streams does otherwise than others: nothing is held, and how long bytes were here is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamConfig {
    /// Silence of the server, and of a client whose request is a stream too, in place of the backend's `server` and the
    /// frontend's `idle`.
    pub idle: Duration,
}

/// Who asks shows a name and a password (RFC 7617).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BasicAuth {
    /// Whose they may be.
    pub passwords: PasswordsIndex,
    /// What the client is told it is for; ASCII without control characters.
    pub realm: String,
}

/// A file of users' place in [`ProxyConfig::password_files`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PasswordsIndex(pub u16);

/// Another beginning of the path for servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// The beginning of the path, decoded and resolved.
    pub from: String,
    /// What stands in its place.
    pub to: String,
}

/// A page for an error, and where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorPageFile {
    /// 400 to 599.
    pub status: u16,
    /// The wiring reads it.
    pub path: PathBuf,
    /// What it is.
    pub content_type: String,
}

/// What answers a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// One of a backend's servers.
    Backend(BackendIndex),
    /// A redirect made here.
    Redirect(Redirect),
    /// A fixed answer made here.
    Respond(Respond),
    /// Files or a health report, by the handler of this index.
    Handler(HandlerIndex),
}

/// A redirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    /// A URL; `{host}`, `{path}` and `{query}` (with its `?`, or empty) stand for the request's own.
    pub location: String,
}

/// A fixed answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Respond {
    /// 200 to 599.
    pub status: u16,
    /// The Content-Type of the body.
    pub content_type: String,
    /// The body; left out for HEAD, 204 and 304.
    pub body: String,
}

/// The access log's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Nothing is written.
    Off,
    /// A JSON object a line.
    #[default]
    Json,
    /// HAProxy's `option httplog` (TCP mode: `option tcplog`).
    Haproxy,
}

/// A pool of servers.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    /// The word in the text, the logs and the metrics.
    pub name: String,
    /// Who is chosen. `pool.servers` and `servers` run in step.
    pub pool: balance::PoolConfig,
    /// How each is reached.
    pub servers: Vec<Server>,
    /// How long each phase may last.
    pub timeouts: BackendTimeouts,
    /// Attempts after the first, on connections that fail and on requests that may be repeated.
    pub retries: u8,
    /// Whether a retry may go to another server than the one that a hash or the balance chose.
    pub redispatch: bool,
    /// Probes on idle server connections (SO_KEEPALIVE).
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// Requests that may wait for a server at once; 0: none waits.
    pub max_queue: u32,
    /// Idle connections kept per worker and server.
    pub max_idle: u32,
    /// Traffic that counts as a check's answer: this many failures in a row mark a server down. `None`: not observed.
    pub observe_failures: Option<u32>,
    /// How an answer comes to the client.
    pub deliver: Deliver,
    /// What a client that is turned away for want of room is told to wait.
    pub retry_after: Duration,
    /// Whether clients stay with the server that they were given.
    pub stick: Option<StickConfig>,
    /// Its servers are an application's, and speak [`Protocol::FastCgi`] all.
    pub application: Option<Application>,
}

/// What an application is told, and how it is treated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// The folder that the paths of requests stand for.
    pub root: Option<PathBuf>,
    /// Which part of a request's path names the program.
    pub script: Script,
    /// More parameters: those of these names are these, whatever the request says.
    pub params: Vec<(String, String)>,
    /// Whether its connections carry one request after the other.
    pub keep_connection: bool,
    /// Whether a request's body must have a length: others are answered 411.
    pub length_required: bool,
    /// What it may have sent in its place.
    pub send_file: Option<SendFile>,
}

/// Which part of a request's path names the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Script {
    /// The longest of these prefixes that the path is below, without a `/` at its end; the rest is for the program.
    Prefix {
        /// Begin with `/`. Of a path below none of them all is for the program.
        prefixes: Vec<String>,
        /// The program's file; `None`: the prefix beneath the root.
        file: Option<PathBuf>,
    },
    /// All up to the first segment that ends so; the rest is for the program.
    File {
        /// Such as `.php`.
        ending: String,
        /// The program in a folder; and the root's for a path that names none.
        index: String,
    },
}

/// Files that an application has sent in its place, by naming them in X-Sendfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendFile {
    /// None outside of it is sent.
    pub root: PathBuf,
    /// Sends what is beneath the root, as the path below it.
    pub handler: HandlerIndex,
}

/// How clients stay with the server that they were given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StickConfig {
    /// What they are known by.
    pub by: StickBy,
    /// How long after its last use a client is forgotten.
    pub ttl: Duration,
    /// How many of them are remembered at least.
    pub size: u32,
}

/// What clients are known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StickBy {
    /// Their addresses.
    Source,
    /// The value of the cookie of this name, which their requests bring or answers to them set.
    Cookie(String),
}

/// How an answer comes to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deliver {
    /// Through here, or straight from the server.
    pub mode: DeliverMode,
    /// The status of redirects: 302, 307 or 308.
    pub status: u16,
    /// What the text knows of clients, before the built-in table: the first whose User-Agent begins so decides.
    pub clients: Vec<ClientRule>,
}

impl Default for Deliver {
    fn default() -> Deliver {
        Deliver { mode: DeliverMode::Proxy, status: 302, clients: Vec::new() }
    }
}

/// Through here, or straight from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliverMode {
    /// Every answer is relayed.
    Proxy,
    /// GET and HEAD are redirected to the server, where it has a [`Server::redirect_to`] that is well.
    Redirect,
    /// The same for clients that are known to follow redirects; the others' are relayed.
    Auto,
}

/// What is known of a kind of client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRule {
    /// The beginning of its User-Agent, letters of either case.
    pub prefix: String,
    /// Whether it follows redirects.
    pub follows: bool,
}

/// How a server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where its requests go.
    pub address: ServerAddress,
    /// The PROXY header that each connection to it begins with.
    pub send_proxy: Option<proxy_header::Version>,
    /// Where clients are sent that are to have their answers straight from it.
    pub redirect_to: Option<RedirectTo>,
    /// How many requests it gets; those beyond go elsewhere or wait.
    pub rate_limit: Option<Rate>,
    /// What connections to it begin with. The wiring makes a connector of it, with what the files hold.
    pub tls: Option<tls::config::ClientTls>,
    /// What it speaks.
    pub protocol: Protocol,
}

/// What a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Protocol {
    /// One request after the other on a connection (RFC 9112).
    #[default]
    Http1,
    /// Many at once on one (RFC 9113): known beforehand in clear text, agreed on in TLS.
    Http2,
    /// An application's.
    FastCgi,
}

/// Where clients reach a server themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectTo {
    /// `scheme://authority`, and perhaps a path, without a `/` at its end: the request's path and query follow it.
    pub base: String,
    /// The host in it, lower case: a name, or an address without brackets.
    pub host: String,
    /// The port in it, or the scheme's own.
    pub port: u16,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerAddress {
    /// IPv4 or IPv6.
    Ip(SocketAddr),
    /// A unix stream socket.
    Unix(PathBuf),
}

impl std::fmt::Display for ServerAddress {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ServerAddress::Ip(address) => address.fmt(formatter),
            ServerAddress::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

/// A backend's time-outs. Each ends in the answer named with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackendTimeouts {
    /// One attempt to connect: a retry, then 503.
    pub connect: Duration,
    /// Silence of a server while its answer or its body is awaited: 504, or the connection is cut.
    pub server: Duration,
    /// A request's wait for a server that is free: 503.
    pub queue: Duration,
    /// Idle connections to servers are closed after this.
    pub keep_alive: Duration,
}

impl Default for BackendTimeouts {
    fn default() -> BackendTimeouts {
        BackendTimeouts {
            connect: Duration::from_secs(5),
            server: Duration::from_secs(60),
            queue: Duration::from_secs(30),
            keep_alive: Duration::from_secs(30),
        }
    }
}
