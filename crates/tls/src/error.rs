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
    /// The peer showed no certificate and had to.
    CertificateMissing,
    /// The peer's certificate has expired.
    CertificateExpired,
    /// The peer's certificate is not yet valid: one of the two clocks may be wrong.
    CertificateNotYetValid,
    /// No authority that is believed has signed the peer's certificate.
    CertificateAuthority,
    /// The peer's certificate is for other names.
    CertificateName,
    /// The peer's certificate is revoked.
    CertificateRevoked,
    /// The peer's certificate is not for this use, malformed, or wrong in another way.
    Certificate,
    /// The peer ended it with an alert.
    Alert,
    /// The peer broke the protocol.
    Protocol,
}

/// Why [`crate::connect`] has no session.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// What was asked for cannot be.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// TLS itself.
    #[error("{text}")]
    Refused {
        /// Why, in one word.
        why: SessionError,
        /// Why, for people.
        text: String,
    },
    /// The connection below.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl SessionError {
    /// Every one.
    pub const ALL: [SessionError; 11] = [
        SessionError::NotTls,
        SessionError::NothingInCommon,
        SessionError::CertificateMissing,
        SessionError::CertificateExpired,
        SessionError::CertificateNotYetValid,
        SessionError::CertificateAuthority,
        SessionError::CertificateName,
        SessionError::CertificateRevoked,
        SessionError::Certificate,
        SessionError::Alert,
        SessionError::Protocol,
    ];

    /// The word in logs and metrics.
    pub fn reason(self) -> &'static str {
        match self {
            SessionError::NotTls => "tls_not_tls",
            SessionError::NothingInCommon => "tls_nothing_in_common",
            SessionError::CertificateMissing => "tls_certificate_missing",
            SessionError::CertificateExpired => "tls_certificate_expired",
            SessionError::CertificateNotYetValid => "tls_certificate_not_yet_valid",
            SessionError::CertificateAuthority => "tls_certificate_authority",
            SessionError::CertificateName => "tls_certificate_name",
            SessionError::CertificateRevoked => "tls_certificate_revoked",
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
            Error::NoCertificatesPresented => SessionError::CertificateMissing,
            Error::InvalidCertificate(error) => of_certificate(&error),
            Error::InvalidCertRevocationList(_) | Error::UnsupportedNameType => SessionError::Certificate,
            Error::AlertReceived(_) => SessionError::Alert,
            _ => SessionError::Protocol,
        }
    }
}

fn of_certificate(error: &rustls::CertificateError) -> SessionError {
    use rustls::CertificateError;
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => SessionError::CertificateExpired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            SessionError::CertificateNotYetValid
        }
        CertificateError::UnknownIssuer => SessionError::CertificateAuthority,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            SessionError::CertificateName
        }
        CertificateError::Revoked => SessionError::CertificateRevoked,
        _ => SessionError::Certificate,
    }
}

#[cfg(test)]
mod tests;
