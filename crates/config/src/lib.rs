//! The configuration: from text to what the program runs, or to errors that say what to write instead.
//!
//! It opens nothing and starts nothing. What comes out can run, save the parts listed in [`Config::later`].
//!
//! ```
//! let text = r#"
//!     [frontend.web]
//!     bind = "127.0.0.1:8080"
//!     backend = "app"
//!     [[backend.app.server]]
//!     address = "127.0.0.1:9000"
//! "#;
//! let sources = config::Sources::from_texts(vec![("perron.toml".into(), text.into())], "/etc/perron".into());
//! let loaded = config::load(&sources).expect("the text is right");
//! assert_eq!(loaded.config.proxy.backends[0].name, "app");
//! ```

mod applications;
mod binds;
mod context;
mod diagnostics;
mod leave_out;
mod load;
mod names;
mod read;
mod reference;
mod schema;
mod section;
mod sections;
mod sources;
mod suggest;
mod tree;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use applications::Application;
pub use diagnostics::{Diagnostic, Diagnostics, Excerpt, Note, Place, Severity};
pub use load::load;
pub use reference::reference;
pub use sources::{ReadError, Sources};

/// A text that is right, and what there is to say of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// What to run.
    pub config: Config,
    /// What is probably not what was meant.
    pub warnings: Diagnostics,
    /// Every default that applied, in the order in which parts were read.
    pub defaults: Vec<AppliedDefault>,
}

/// A key that the text leaves out, and what applies instead.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct AppliedDefault {
    /// Such as `backend.api.timeouts.connect`.
    pub path: String,
    /// As it would be written, or what applies in words.
    pub value: String,
    /// One line.
    pub meaning: String,
}

/// What to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The program itself.
    pub process: Process,
    /// What operators see.
    pub admin: Admin,
    /// Every socket to open for the frontends.
    pub listens: Vec<Listen>,
    /// What the workers carry traffic by.
    pub proxy: proxy::config::ProxyConfig,
    /// By backend, server and check; in step with `proxy`.
    pub checks: Vec<Vec<Vec<check::CheckConfig>>>,
    /// By backend and server; in step with `proxy`: how the place is checked that its clients are redirected to.
    pub redirect_checks: Vec<Vec<Option<check::CheckConfig>>>,
    /// What the kernel forwards.
    pub forward: forward::Plan,
    /// What a [`proxy::config::HandlerIndex`] points to.
    pub handlers: Vec<Handler>,
    /// The applications that are run here.
    pub applications: Vec<Application>,
    /// The other directors.
    pub peers: Option<peers::PeersConfig>,
    /// The addresses that move.
    pub failover: failover::Plan,
    /// What is looked at for them; their keys are what [`failover::Subject::Fact`] names.
    pub watches: Vec<scripts::Watch>,
    /// Who is told of vips; in step with those of `failover`.
    pub vip_notify: Vec<scripts::Notify>,
    /// Who is told of groups; in step with those of `failover`.
    pub group_notify: Vec<scripts::Notify>,
    /// Who is told of backends and their servers; in step with `proxy`.
    pub backend_notify: Vec<BackendNotify>,
    /// Where changes of vips and groups are written, and of backends with a quorum, a line each.
    pub notify_fifo: Option<PathBuf>,
    /// The cluster's name.
    pub dns: Option<dns::Plan>,
    /// Where certificates come from that are not handed over.
    pub acme: Option<Acme>,
    /// Parts that [`Config::leave_out`] can take away, in the order of the text.
    pub parts: Vec<Part>,
    /// Parts that are right but that this version cannot run, in the order of the text.
    pub later: Vec<Part>,
}

/// Who is told when a backend gains or loses its quorum, and when its servers come and go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendNotify {
    /// Whether the text says anything of a quorum, so that its coming and going is worth telling.
    pub counts: bool,
    /// Of the quorum: `up` and `down` alone.
    pub quorum: scripts::Notify,
    /// By server, likewise.
    pub servers: Vec<scripts::Notify>,
    /// Whether the end of the service is told as the end of all of them.
    pub omega: bool,
}

/// Where certificates come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acme {
    /// The authority, and what is asked of it.
    pub config: acme::AcmeConfig,
    /// What connections to it begin with.
    pub tls: tls::config::ClientTls,
    /// Where they are kept, with their keys and the account's: a certificate's file is called by its first name.
    pub folder: PathBuf,
}

impl BackendNotify {
    /// Whether anybody is told of any of it.
    pub fn tells(&self) -> bool {
        self.counts || self.servers.iter().any(|server| *server != scripts::Notify::default())
    }
}

impl Acme {
    /// The file of the certificate and its key.
    pub fn file(&self, label: &str) -> PathBuf {
        self.folder.join(format!("{label}.pem"))
    }

    /// The file of the account with the authority.
    pub fn account(&self) -> PathBuf {
        self.folder.join("account.json")
    }
}

/// A socket to open.
#[derive(Clone, Debug, PartialEq)]
pub struct Listen {
    /// Whose clients come in here.
    pub frontend: proxy::config::FrontendIndex,
    /// Where.
    pub bind: linux::Bind,
    /// As the text has it.
    pub text: String,
    /// Where the text has it.
    pub place: Place,
}

/// What answers requests without a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handler {
    /// Files of a tree.
    Files(origin::FilesConfig),
    /// Files that are each for one client.
    Transfers(origin::TransfersConfig),
    /// Whether a tree can be read.
    Health(origin::HealthConfig),
}

/// The program itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Whom the workers run as.
    pub user: Option<String>,
    /// Worker threads; `None`: one a core.
    pub workers: Option<u16>,
    /// Where commands reach it.
    pub control_socket: Option<PathBuf>,
    /// How long a stop or an old generation waits for requests.
    pub drain_timeout: Duration,
    /// Where the frontends' logs go.
    pub access_log: AccessLog,
    /// What a serving process gives up.
    pub sandbox: Sandbox,
}

/// What a serving process gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sandbox {
    /// Files that the configuration does not name, and system calls that serving does not need.
    On,
    /// Nothing, but the kernel's log tells of those calls.
    Log,
    /// Nothing.
    Off,
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// To standard output.
    Stdout,
    /// To standard error.
    Stderr,
    /// To the end of this file.
    File(PathBuf),
    /// Nowhere.
    Off,
}

/// What operators see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Where it listens; `None`: nowhere.
    pub bind: Option<SocketAddr>,
}

/// A part of the text.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Part {
    /// Such as `vip.api: floating addresses (VRRP)`.
    pub part: String,
    /// Where it stands.
    #[serde(flatten)]
    pub place: Place,
}
