//! What happened to the service and why: a line of the log and an event of `perron events`, made once for both.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use units::Utc;

use crate::log::{self, Level};

/// Longer texts are cut: a reason may be as long as what a configuration or another program says.
pub(crate) const TEXT_MAX: usize = 2048;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Event {
    /// Counts the events of a service from 1; 0 until the supervisor has it.
    pub(crate) sequence: u64,
    /// When, in milliseconds since 1970.
    pub(crate) time_unix_ms: u64,
    /// How much an operator cares.
    pub(crate) severity: Level,
    /// A word of [`Kind`]; another version may know more of them.
    pub(crate) kind: String,
    /// What it happened to: `BACKEND/SERVER`, a file's path, or the service itself.
    pub(crate) subject: String,
    /// Which configuration was served then.
    pub(crate) generation: u64,
    /// A sentence, on one line.
    pub(crate) text: String,
}

/// What can happen, one stable word each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The service begins.
    Start,
    /// A process serves: the first, or after a death or reload.
    Serve,
    /// A new configuration is served.
    Reload,
    /// A new configuration, or what it needs, is wrong; the old one is served on.
    ReloadRefused,
    /// Another version of the program has taken this one's place.
    Upgrade,
    /// Another program could not; the old one goes on.
    UpgradeRefused,
    /// A setting that a reload cannot change.
    RestartNeeded,
    /// A serving process ended that should not have.
    ServeDied,
    /// A serving process hung, or did not begin, and is ended by force.
    ServeHung,
    /// A serving process ended as it was told.
    ServeEnded,
    /// Requests were cut off at the end of their time.
    DrainOver,
    /// Somebody at the control socket wants something done.
    Command,
    /// The service begins to end.
    Stop,
    /// A check's answers changed what is known of a server.
    ServerUp,
    /// See [`Kind::ServerUp`].
    ServerDown,
    /// See [`Kind::ServerUp`].
    ServerUnknown,
    /// An administrator wants something else of a server.
    ServerReady,
    /// See [`Kind::ServerReady`].
    ServerDrain,
    /// See [`Kind::ServerReady`].
    ServerMaintenance,
    /// A server's share changed.
    ServerWeight,
    /// Enough servers of a backend are usable.
    QuorumUp,
    /// Not enough are any more, or were at the start.
    QuorumDown,
    /// The place that a server's clients are redirected to is well.
    RedirectsOn,
    /// It is not: they are relayed.
    RedirectsOff,
    /// Another director is told which servers clients are given.
    PeerConnected,
    /// It cannot be any more.
    PeerLost,
    /// What another director says is not listened to any more.
    PeerRefused,
    /// A process moves the addresses: the first, or after a death or upgrade.
    Network,
    /// It ended and should not have.
    NetworkDied,
    /// It hung, did not begin or did not end, and is ended by force.
    NetworkHung,
    /// It ended as it was told.
    NetworkEnded,
    /// A vip's addresses are here from now on.
    VipActive,
    /// They are another director's, if any has them.
    VipBackup,
    /// A vip lacks what it needs on this machine.
    VipFault,
    /// A vip is moved no more.
    VipStopped,
    /// Something about a vip that an operator should know.
    VipNote,
    /// Something about what the kernel forwards that an operator should know.
    Forward,
    /// A file of TLS has changed, and is used.
    CertificateReloaded,
    /// It has changed, and what was there before stays in use.
    CertificateRefused,
    /// An authority has given a certificate, or says why not.
    CertificateGiven,
    /// A certificate has not much time left, or none.
    CertificateExpires,
    /// Processes of an application are started.
    App,
    /// A process of an application ended that should not have.
    AppDied,
    /// A process of an application does not end, and is ended by force.
    AppHung,
    /// An application is run no more.
    AppEnded,
    /// No address of the cluster's name is up.
    NameNoneUp,
    /// One is again.
    NameUp,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::Start => "start",
            Kind::Serve => "serve",
            Kind::Reload => "reload",
            Kind::ReloadRefused => "reload-refused",
            Kind::Upgrade => "upgrade",
            Kind::UpgradeRefused => "upgrade-refused",
            Kind::RestartNeeded => "restart-needed",
            Kind::ServeDied => "serve-died",
            Kind::ServeHung => "serve-hung",
            Kind::ServeEnded => "serve-ended",
            Kind::DrainOver => "drain-over",
            Kind::Command => "command",
            Kind::Stop => "stop",
            Kind::ServerUp => "server-up",
            Kind::ServerDown => "server-down",
            Kind::ServerUnknown => "server-unknown",
            Kind::ServerReady => "server-ready",
            Kind::ServerDrain => "server-drain",
            Kind::ServerMaintenance => "server-maintenance",
            Kind::ServerWeight => "server-weight",
            Kind::QuorumUp => "quorum-up",
            Kind::QuorumDown => "quorum-down",
            Kind::RedirectsOn => "redirects-on",
            Kind::RedirectsOff => "redirects-off",
            Kind::PeerConnected => "peer-connected",
            Kind::PeerLost => "peer-lost",
            Kind::PeerRefused => "peer-refused",
            Kind::Network => "network",
            Kind::NetworkDied => "network-died",
            Kind::NetworkHung => "network-hung",
            Kind::NetworkEnded => "network-ended",
            Kind::VipActive => "vip-active",
            Kind::VipBackup => "vip-backup",
            Kind::VipFault => "vip-fault",
            Kind::VipStopped => "vip-stopped",
            Kind::VipNote => "vip-note",
            Kind::Forward => "forward",
            Kind::CertificateReloaded => "certificate-reloaded",
            Kind::CertificateRefused => "certificate-refused",
            Kind::CertificateGiven => "certificate-given",
            Kind::CertificateExpires => "certificate-expires",
            Kind::App => "app",
            Kind::AppDied => "app-died",
            Kind::AppHung => "app-hung",
            Kind::AppEnded => "app-ended",
            Kind::NameNoneUp => "name-none-up",
            Kind::NameUp => "name-up",
        }
    }
}

impl Event {
    /// Something that happens now; `text` is a sentence without a full stop.
    pub(crate) fn new(severity: Level, kind: Kind, subject: &str, generation: u64, text: &str) -> Event {
        let time_unix_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Event {
            sequence: 0,
            time_unix_ms: u64::try_from(time_unix_ms).unwrap_or(u64::MAX),
            severity,
            kind: kind.as_str().to_owned(),
            subject: subject.to_owned(),
            generation,
            text: one_line(text),
        }
    }

    /// Writes it to the log.
    pub(crate) fn log(&self) {
        let fields: log::Fields<'_> =
            &[("event", &self.kind), ("subject", &self.subject), ("generation", &self.generation)];
        log::write_at(self.time(), self.severity, &self.text, fields);
    }

    /// When it happened.
    pub(crate) fn time(&self) -> Utc {
        Utc::at(Duration::from_millis(self.time_unix_ms))
    }
}

impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {:5} {:18} {}", self.time(), self.severity.word(), self.kind, self.text)
    }
}

/// A text of several lines, or too long a one, as one line.
fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.split(char::is_control).map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut line = lines.join("; ");
    if line.len() > TEXT_MAX {
        line.truncate(line.floor_char_boundary(TEXT_MAX));
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_line_of_limited_length() {
        let event = |text: &str| Event::new(Level::Info, Kind::Start, "service", 1, text).text;
        assert_eq!(event("no such file\n --> site.toml:3\n\n"), "no such file; --> site.toml:3");
        assert_eq!(event("a\r\n\x1b[31mb"), "a; [31mb");
        let long = event(&"ü".repeat(2000));
        assert_eq!((long.len(), long.ends_with("ü…")), (2048 + 3, true));
    }

    #[test]
    fn an_event_reads_as_when_how_bad_what_and_why() {
        let mut event = Event::new(Level::Warn, Kind::ServerDown, "web/a", 3, "web/a is down");
        event.time_unix_ms = 1_795_226_164_250;
        assert_eq!(event.to_string(), "2026-11-21T01:56:04.250Z warn  server-down        web/a is down");
    }
}
