use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use wire::proxy_header;

use crate::dns::DnsCheck;

/// One check of one server.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckConfig {
    /// What is asked.
    pub kind: Kind,
    /// Whom.
    pub target: Target,
    /// The PROXY header that the connection begins with; it says that nobody is relayed.
    pub send_proxy: Option<proxy_header::Version>,
    /// What the connection begins with. The wiring makes a connector of it, with what the files hold.
    pub tls: Option<tls::config::ClientTls>,
    /// When, and what answers mean.
    pub policy: health::Policy,
}

/// Where a probe goes: the server's own address unless the check names another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// IPv4 or IPv6.
    Ip(SocketAddr),
    /// A unix stream socket.
    Unix(PathBuf),
    /// A name that is looked up at each probe, as clients do, or an address without brackets; and a port.
    Name {
        /// The name.
        host: String,
        /// The port.
        port: u16,
    },
}

/// What a probe asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// That the connection is taken.
    Tcp,
    /// That a request is answered as expected.
    Http(HttpCheck),
    /// That a mail server greets.
    Smtp(SmtpCheck),
    /// That a name server answers a question.
    Dns(DnsCheck),
    /// That the host answers an echo request.
    Ping,
    /// That a datagram is taken.
    Udp(UdpCheck),
    /// What an agent beside the server says.
    Agent(AgentCheck),
    /// How a program ends, which somebody else runs.
    Script(ScriptCheck),
    /// What a file says, which somebody else reads.
    File(FileCheck),
}

/// A program that finds out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptCheck {
    /// An absolute path, and then its arguments; at least one.
    pub words: Vec<String>,
    /// Whom it is run as; `None`: whom the service runs as.
    pub user: Option<String>,
    /// Whether exit statuses from 2 on are weights.
    pub sets_weight: bool,
}

/// A file that says how a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileCheck {
    /// Where it is.
    pub path: PathBuf,
    /// Whether its number is the weight.
    pub sets_weight: bool,
}

/// How a mail server is greeted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpCheck {
    /// Who we are.
    pub helo: String,
}

/// A datagram, and what comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpCheck {
    /// What is sent.
    pub send: Vec<u8>,
    /// What a reply must begin with, `None` in it standing for any byte; if there is none, silence passes as well.
    pub reply: Option<Vec<Option<u8>>>,
}

/// What an agent is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentCheck {
    /// Before its answer; `None`: nothing.
    pub send: Option<String>,
}

/// HTTP requests and what their answers must be. Redirects are not followed: they are answers like others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCheck {
    /// The method.
    pub method: String,
    /// The Host field; `None`: the target's address and port.
    pub host: Option<String>,
    /// What is asked for, in turn and each on a connection of its own; at least one, and at most 255.
    pub pages: Vec<Page>,
}

/// A page, and what its answer must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The path and query.
    pub path: String,
    /// Statuses that pass.
    pub statuses: Statuses,
    /// What the first 64 KiB of the body must hold.
    pub body: Option<BodyMatch>,
    /// Of the whole body.
    pub digest: Option<PageDigest>,
}

/// The digest of a page: of its body alone, without the chunks in which it may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageDigest {
    /// As keepalived's genhash has it.
    Md5([u8; 16]),
    /// SHA-256.
    Sha256([u8; 32]),
}

/// Statuses that pass: any of these ranges. HAProxy's and our default is 200 to 399.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(pub Vec<RangeInclusive<u16>>);

impl Default for Statuses {
    fn default() -> Statuses {
        Statuses(vec![200..=399])
    }
}

/// What a body must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyMatch {
    /// These bytes, somewhere.
    Contains(String),
}
