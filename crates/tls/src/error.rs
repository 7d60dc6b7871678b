use std::path::PathBuf;

/// Why certificates, keys and authorities cannot be used as configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// Nobody handed the file over.
    #[error("{}: the file was not read", .0.display())]
    Absent(PathBuf),
    /// It is no PEM, or not what is looked for in it.
    #[error("{}: {what}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// No single file is to blame.
    #[error("{0}")]
    Other(String),
}

/// Why a connection cannot go on. One word each, for the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionError {
    /// What came is no TLS.
    NotTls,
    /// Nothing that both sides have: version, suite, group, application protocol.
    NothingInCommon,
    /// The peer's certificate is missing, wrong, expired, revoked or not for this.
    Certificate,
    /// The peer ended it with an alert.
    Alert,
    /// The peer broke the protocol.
    Protocol,
}

impl SessionError {
    /// Every one.
    pub const ALL: [SessionError; 5] = [
        SessionError::NotTls,
        SessionError::NothingInCommon,
        SessionError::Certificate,
        SessionError::Alert,
        SessionError::Protocol,
    ];

    /// The word in logs and metrics.
    pub fn reason(self) -> &'static str {
        match self {
            SessionError::NotTls => "tls_not_tls",
            SessionError::NothingInCommon => "tls_nothing_in_common",
            SessionError::Certificate => "tls_certificate",
            SessionError::Alert => "tls_alert",
            SessionError::Protocol => "tls_protocol",
        }
    }
}

impl From<rustls::Error> for SessionError {
    fn from(error: rustls::Error) -> SessionError {
        use rustls::Error;
        match error {
            Error::InvalidMessage(
                rustls::InvalidMessage::InvalidContentType | rustls::InvalidMessage::UnknownProtocolVersion,
            ) => SessionError::NotTls,
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol => SessionError::NothingInCommon,
            Error::InvalidCertificate(_)
            | Error::NoCertificatesPresented
            | Error::InvalidCertRevocationList(_)
            | Error::UnsupportedNameType => SessionError::Certificate,
            Error::AlertReceived(_) => SessionError::Alert,
            _ => SessionError::Protocol,
        }
    }
}
