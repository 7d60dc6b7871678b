//! What is known of the running service: the answer of `/api/v1/status` and of `perron status --json`.
//!
//! Field names are stable: they may be added, never renamed. Counters run from the process's start;
//! whoever wants a rate takes two answers and divides by the difference of their `taken_unix_ms`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use units::latency::{BOUNDS_MICROS, HELD_BOUNDS_MICROS};

/// Everything, at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// How many configurations this service has had; 1 until the first reload.
    pub generation: u64,
    /// The process that carries the traffic.
    pub pid: u32,
    /// When that process started, in seconds since 1970.
    pub started_unix: u64,
    /// How long it has run, in seconds.
    pub uptime_s: u64,
    /// When these numbers were taken, in milliseconds since 1970.
    pub taken_unix_ms: u64,
    /// The upper bounds of every [`Histogram`] here, in microseconds.
    pub latency_bounds_us: Vec<u64>,
    /// The upper bounds of every [`Held`] here, in microseconds.
    #[serde(default)]
    pub held_bounds_us: Vec<u64>,
    /// In the order of the configuration.
    pub frontends: Vec<Frontend>,
    /// In the order of the configuration.
    pub backends: Vec<Backend>,
    /// Requests and connections refused or ended early, by reason, over all frontends.
    pub reasons: BTreeMap<String, u64>,
    /// What the process uses.
    pub process: ProcessStats,
    /// The other directors; `null` if there are none.
    #[serde(default)]
    pub peers: Option<Peers>,
    /// The addresses that move between directors; `null` if this one moves none.
    #[serde(default)]
    pub vips: Option<failover::Report>,
    /// The applications that the service runs.
    #[serde(default)]
    pub applications: Vec<Application>,
    /// The name service; `null` if there is none.
    #[serde(default)]
    pub name_service: Option<NameService>,
    /// The certificates that are shown to clients and servers.
    #[serde(default)]
    pub certificates: Vec<Certificate>,
}

/// A certificate that is shown to clients or servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Where it was read.
    pub file: String,
    /// Whose it is (RFC 2253).
    pub subject: String,
    /// The hosts that it is for.
    pub names: Vec<String>,
    /// When it expires, in seconds since 1970.
    pub expires_unix: u64,
}

/// An application that the service runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// Its name.
    pub name: String,
    /// What is run.
    pub command: String,
    /// Whom it runs as; `null`: whoever started the service.
    pub user: Option<String>,
    /// How many processes there are.
    pub processes: u64,
    /// How many there should be.
    pub wanted: u64,
    /// How often a process was started in the place of one that had ended.
    pub restarts: u64,
    /// Since when it has been run as it is configured, in seconds since 1970.
    pub since_unix: u64,
    /// Its processes, those that are about to end among them.
    pub pids: Vec<u32>,
}

/// The other directors, which know which server each client was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peers {
    /// What this director is called among them.
    pub name: String,
    /// In the order of the configuration.
    pub peers: Vec<Peer>,
    /// The names of those that are listened to.
    pub heard: Vec<String>,
    /// Entries sent to them.
    pub sent: u64,
    /// Entries received from them.
    pub received: u64,
    /// Those of the received that were news.
    pub news: u64,
    /// How often one was told everything anew, as more had changed than waits for it.
    pub overflows: u64,
    /// Connections ended from here, by reason.
    pub refused: BTreeMap<String, u64>,
}

/// Another director.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Where it listens.
    pub address: String,
    /// Whether it is told what changes.
    pub connected: bool,
}

/// The cluster's name, and what was answered for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameService {
    /// The name.
    pub name: String,
    /// In the order of the configuration.
    pub addresses: Vec<NameAddress>,
    /// Questions by what they were answered with.
    pub answers: BTreeMap<String, u64>,
    /// Questions and connections that had no answer, by reason.
    pub dropped: BTreeMap<String, u64>,
}

/// An address that the name may be answered with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameAddress {
    /// It.
    pub address: String,
    /// Whether it is known to be up on any director.
    pub up: bool,
}

/// What the process uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessStats {
    /// Worker threads.
    pub workers: u64,
    /// Memory in use, in bytes.
    pub rss_bytes: u64,
    /// Address space, in bytes.
    pub virtual_bytes: u64,
    /// File descriptors open.
    pub open_fds: u64,
    /// File descriptors allowed.
    pub max_fds: u64,
    /// Processor time, user and system, in microseconds.
    pub cpu_us: u64,
    /// Lines of the access log dropped because nobody took them.
    pub log_lost: u64,
}

/// What clients reach.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frontend {
    /// Its name in the configuration.
    pub name: String,
    /// Whether requests are read.
    pub mode: Mode,
    /// Where it listens.
    pub binds: Vec<String>,
    /// Client connections open.
    pub connections: Level,
    /// Client connections accepted.
    pub connections_total: u64,
    /// New connections in the last second.
    pub connection_rate: Rate,
    /// Requests begun; in TCP mode, connections.
    pub requests: u64,
    /// Requests begun in the last second; in TCP mode, connections.
    pub request_rate: Rate,
    /// Answers by class.
    pub responses: Classes,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients.
    pub bytes_out: u64,
    /// Requests refused here, by reason.
    pub refused: BTreeMap<String, u64>,
    /// From a request's first byte to its answer's last.
    pub total_time: Histogram,
    /// How long the bytes of its streams were here; `null` if none of its routes has streams.
    #[serde(default)]
    pub streams: Option<Streams>,
    /// How its TLS connections began; `null` if it has no TLS.
    #[serde(default)]
    pub handshakes: Option<Handshakes>,
}

/// TLS handshakes that went well; why others did not is among the reasons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handshakes {
    /// With all that belongs to one.
    pub full: u64,
    /// Of peers that had a session from before.
    pub resumed: u64,
}

/// How long the bytes of streams were here, from the read that brought them until the client's socket had the last of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streams {
    /// Of reads whose bytes the client's socket took at once.
    pub at_once: Held,
    /// Of reads whose bytes had to wait for the client, who had not taken the ones before.
    pub after_client: Held,
}

/// How many reads fell in each bucket of [`units::latency::HELD_BOUNDS_MICROS`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// One count a bound and one beyond the last; not cumulative.
    pub counts: Vec<u64>,
    /// All of them together, in microseconds.
    pub sum_us: u64,
    /// The longest, in microseconds, rounded up.
    pub max_us: u64,
}

impl Held {
    /// How many reads there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl Default for Held {
    /// Of no reads.
    fn default() -> Held {
        Held { counts: vec![0; HELD_BOUNDS_MICROS.len() + 1], sum_us: 0, max_us: 0 }
    }
}

/// Whether requests are read, or bytes relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Requests are read, routed and relayed one by one.
    Http,
    /// Bytes are relayed both ways, unread.
    Tcp,
}

impl Mode {
    /// The word in the configuration, the API and HAProxy's CSV.
    pub const fn as_str(self) -> &'static str {
        match self {
            Mode::Http => "http",
            Mode::Tcp => "tcp",
        }
    }
}

/// A pool of servers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backend {
    /// Its name in the configuration.
    pub name: String,
    /// Whether requests are read.
    pub mode: Mode,
    /// How it chooses, in the configuration's words.
    pub algorithm: String,
    /// Up while one of its servers takes traffic.
    #[serde(with = "StatusWord")]
    pub status: units::Status,
    /// Requests waiting for a server.
    pub queue: Level,
    /// Time in the queue of all requests together, in microseconds.
    pub queued_us: u64,
    /// Requests at its servers; in TCP mode, connections.
    pub in_flight: Level,
    /// How answers come to clients, in the configuration's word: `proxy`, `redirect` or `auto`.
    pub deliver: String,
    /// What went through it.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// The clients that stay with their servers; `null` if none do.
    #[serde(default)]
    pub stick: Option<Stick>,
    /// Kinds of servers, in the order of the configuration.
    pub classes: Vec<Class>,
    /// How much of it is enough; `null` if the configuration says nothing of that.
    #[serde(default)]
    pub quorum: Option<Quorum>,
    /// In the order of the configuration.
    pub servers: Vec<Server>,
}

/// How much of a backend is enough, and whether there is so much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quorum {
    /// Whether it is there; `null`: not all servers have answered yet that could bring it.
    pub is_there: Option<bool>,
    /// What usable servers weigh together.
    pub weight: u64,
    /// What is enough.
    pub wanted: u64,
    /// How much less does not lose it yet, and how much more brings it back.
    pub hysteresis: u64,
    /// Whether the sorry server stands in for all others.
    pub sorry: bool,
}

/// Clients that stay with their servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stick {
    /// How many are remembered.
    pub entries: u64,
    /// How many can be.
    pub capacity: u64,
    /// Requests of clients whose server was remembered.
    pub hits: u64,
    /// Requests of clients whose server could have been and was not.
    pub misses: u64,
}

/// A kind of servers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// Its name in the configuration, unique in its backend.
    pub name: String,
    /// Requests at its servers.
    pub in_flight: u64,
    /// How many its servers together may have, which moves with the requests at the backend; `null`: no limit.
    pub limit: Option<u64>,
}

/// One server of a backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// Its name in the configuration, unique in its backend.
    pub name: String,
    /// Where its requests go.
    pub address: String,
    /// What its checks say.
    #[serde(with = "StatusWord")]
    pub status: units::Status,
    /// What an administrator wants of it.
    #[serde(with = "AdminWord")]
    pub admin: units::AdminState,
    /// Its share as configured or as set since.
    pub weight: u64,
    /// Its share now; lower than its weight during a slow start.
    pub effective_weight: u64,
    /// 0: serves always; n: serves when no server of a lower tier can.
    pub tier: u8,
    /// Whether it stands in for all others while these are not enough.
    #[serde(default)]
    pub sorry: bool,
    /// The kind of server that it is.
    pub class: Option<String>,
    /// Where it stands.
    pub zone: Option<String>,
    /// Requests at it, those of clients that were redirected to it included; in TCP mode, connections.
    pub in_flight: Level,
    /// Idle connections kept to it.
    pub idle_connections: u64,
    /// What went through it.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// How long its status and administrative state have been what they are, in seconds.
    pub last_change_s: u64,
    /// The last check's answer; `null` if nothing checks it.
    pub check: Option<Check>,
    /// Where its clients are redirected; `null` if they never are.
    pub redirect: Option<Redirect>,
    /// What its link has to carry; `null` where that is not counted.
    pub link: Option<Link>,
    /// How TLS connections to it began; `null` if it has no TLS.
    #[serde(default)]
    pub handshakes: Option<Handshakes>,
}

/// Where a server's clients are redirected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    /// The URL before which the request's own path goes.
    pub to: String,
    /// Why nobody is redirected there now; `null`: clients are.
    pub why_not: Option<String>,
    /// Clients that were redirected and are thought to be under way there.
    pub in_flight: u64,
    /// The last check of that place; `null` if nothing checks it.
    pub check: Option<Check>,
}

/// What a server's link has to carry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Bytes that clients were promised of it.
    pub promised_bytes: u64,
    /// Until it will have sent what it has to, in microseconds.
    pub backlog_us: u64,
    /// Bytes a second that one more client may expect.
    pub rate: u64,
    /// Bytes a second that it is believed to take: what is configured, or less if it showed itself weaker.
    pub rate_believed: u64,
    /// Bytes a second that it was last seen to send; `null` if it does not report.
    pub rate_seen: Option<u64>,
    /// What it said last of its load; `null` if it does not report.
    pub report: Option<Report>,
}

/// What a server says of its load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Bytes of bodies sent since it started.
    pub sent: u64,
    /// Bytes of bodies that it has still to send.
    pub left: u64,
    /// Requests under way at it, whoever sent them.
    pub requests: u64,
}

impl Server {
    /// Whether it may be given new requests. The sorry server is asked for nothing while another can.
    pub fn takes_traffic(&self) -> bool {
        let is_up = self.status == units::Status::Up && self.admin == units::AdminState::Ready;
        is_up && self.effective_weight > 0 && !self.sorry
    }
}

/// What a server's checks found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The last answer in HAProxy's code, such as `L7OK`, `L7STS` or `L4CON`; `INI` before the first.
    pub code: String,
    /// The status of the last answer, if it was HTTP.
    pub http_status: Option<u16>,
    /// How long the last check took, in microseconds.
    pub duration_us: u64,
    /// Checks that failed.
    pub failures: u64,
    /// How often they took the server down.
    pub downs: u64,
    /// What the last answer said, for people.
    pub text: String,
}

/// What went through a backend or a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Requests given to it; in TCP mode, connections.
    pub requests: u64,
    /// Requests given to it in the last second; in TCP mode, connections.
    pub request_rate: Rate,
    /// Answers by class.
    pub responses: Classes,
    /// Bytes to servers.
    pub bytes_in: u64,
    /// Bytes from servers.
    pub bytes_out: u64,
    /// Connections that could not be made.
    pub connection_errors: u64,
    /// Answers that were malformed, late or cut off.
    pub response_errors: u64,
    /// Requests sent again.
    pub retries: u64,
    /// Requests sent again to another server.
    pub redispatches: u64,
    /// Clients sent to the server itself by a redirect.
    pub redirects: u64,
    /// Requests that the client gave up.
    pub client_aborts: u64,
    /// Connections made.
    pub connections_opened: u64,
    /// Requests sent on a connection that had served before.
    pub connections_reused: u64,
    /// From a request's last byte sent to its answer's head.
    pub first_byte: Histogram,
    /// From a request's first byte to its answer's last.
    pub total_time: Histogram,
}

/// A number that rises and falls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// The number now.
    pub now: u64,
    /// The highest seen.
    pub max: u64,
    /// What it may not exceed; `null`: no limit.
    pub limit: Option<u64>,
}

/// Events a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// In the last whole second.
    pub now: u64,
    /// The highest seen.
    pub max: u64,
}

/// Answers by the first digit of their status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classes {
    /// 100 to 199.
    #[serde(rename = "1xx")]
    pub informational: u64,
    /// 200 to 299.
    #[serde(rename = "2xx")]
    pub success: u64,
    /// 300 to 399.
    #[serde(rename = "3xx")]
    pub redirection: u64,
    /// 400 to 499.
    #[serde(rename = "4xx")]
    pub client_error: u64,
    /// 500 to 599.
    #[serde(rename = "5xx")]
    pub server_error: u64,
    /// Requests that ended without an answer.
    pub other: u64,
}

impl Classes {
    /// Each class's name, as in JSON and in metrics, and its number.
    pub fn named(&self) -> [(&'static str, u64); 6] {
        [
            ("1xx", self.informational),
            ("2xx", self.success),
            ("3xx", self.redirection),
            ("4xx", self.client_error),
            ("5xx", self.server_error),
            ("other", self.other),
        ]
    }
}

/// How many durations fell in each bucket of [`units::latency::BOUNDS_MICROS`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// One count a bound and one beyond the last; not cumulative.
    pub counts: Vec<u64>,
    /// All durations together, in microseconds.
    pub sum_us: u64,
}

impl Histogram {
    /// How many durations there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl Default for Histogram {
    /// One without any durations.
    fn default() -> Histogram {
        Histogram { counts: vec![0; BOUNDS_MICROS.len() + 1], sum_us: 0 }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "units::Status", rename_all = "snake_case")]
enum StatusWord {
    Unknown,
    Up,
    Down,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "units::AdminState", rename_all = "snake_case")]
pub(crate) enum AdminWord {
    Ready,
    Drain,
    Maintenance,
}
