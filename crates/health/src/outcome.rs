use std::fmt;
use std::time::Duration;

/// What came of one probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What was found.
    pub finding: Finding,
    /// The HTTP status, if an answer got so far.
    pub status: Option<u16>,
    /// From the first step of the connect until this was known.
    pub took: Duration,
}

/// What a probe found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Finding {
    /// The connection was taken, and no more was asked.
    Connected,
    /// Its name could not be looked up, or not in time.
    LookupFailed,
    /// The connection was refused, reset, or had no way to the server.
    ConnectFailed,
    /// The connection was not taken in time.
    ConnectTimedOut,
    /// TLS was agreed on, and no more was asked.
    Secured,
    /// TLS was not agreed on in time.
    TlsTimedOut,
    /// TLS was not agreed on.
    TlsFailed,
    /// The server's certificate has expired.
    CertificateExpired,
    /// The server's certificate is not yet valid.
    CertificateNotYetValid,
    /// No authority that is believed has signed the server's certificate.
    CertificateAuthority,
    /// The server's certificate is for other names.
    CertificateName,
    /// The server's certificate is revoked, not for this use, or wrong in another way.
    CertificateRefused,
    /// The request was answered as expected.
    Answered,
    /// The answer's status is none of those that pass.
    WrongStatus,
    /// The answer's body does not hold what it must.
    WrongBody,
    /// What came back is no HTTP answer, or the connection ended within it.
    BadAnswer,
    /// The answer was not whole in time.
    AnswerTimedOut,
    /// This host could not probe (out of descriptors, ports or memory).
    LocalFault,
}

/// What a finding says of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is well.
    Pass,
    /// It is not.
    Fail,
    /// Nothing: the fault is ours.
    Nothing,
}

impl Finding {
    /// What it says of the server.
    pub const fn verdict(self) -> Verdict {
        match self {
            Finding::Connected | Finding::Secured | Finding::Answered => Verdict::Pass,
            Finding::LocalFault => Verdict::Nothing,
            Finding::LookupFailed
            | Finding::ConnectFailed
            | Finding::ConnectTimedOut
            | Finding::TlsTimedOut
            | Finding::TlsFailed
            | Finding::CertificateExpired
            | Finding::CertificateNotYetValid
            | Finding::CertificateAuthority
            | Finding::CertificateName
            | Finding::CertificateRefused
            | Finding::WrongStatus
            | Finding::WrongBody
            | Finding::BadAnswer
            | Finding::AnswerTimedOut => Verdict::Fail,
        }
    }

    /// The word in logs, metrics and the API.
    pub const fn reason(self) -> &'static str {
        match self {
            Finding::Connected => "connected",
            Finding::LookupFailed => "lookup_failed",
            Finding::ConnectFailed => "connect_failed",
            Finding::ConnectTimedOut => "connect_timed_out",
            Finding::Secured => "secured",
            Finding::TlsTimedOut => "tls_timed_out",
            Finding::TlsFailed => "tls_failed",
            Finding::CertificateExpired => "certificate_expired",
            Finding::CertificateNotYetValid => "certificate_not_yet_valid",
            Finding::CertificateAuthority => "certificate_authority",
            Finding::CertificateName => "certificate_name",
            Finding::CertificateRefused => "certificate_refused",
            Finding::Answered => "answered",
            Finding::WrongStatus => "wrong_status",
            Finding::WrongBody => "wrong_body",
            Finding::BadAnswer => "bad_answer",
            Finding::AnswerTimedOut => "answer_timed_out",
            Finding::LocalFault => "local_fault",
        }
    }

    /// HAProxy's code for it, as in the `check_status` column of its CSV.
    pub const fn haproxy_code(self) -> &'static str {
        match self {
            Finding::Connected => "L4OK",
            Finding::LookupFailed | Finding::ConnectFailed => "L4CON",
            Finding::ConnectTimedOut => "L4TOUT",
            Finding::Secured => "L6OK",
            Finding::TlsTimedOut => "L6TOUT",
            Finding::TlsFailed
            | Finding::CertificateExpired
            | Finding::CertificateNotYetValid
            | Finding::CertificateAuthority
            | Finding::CertificateName
            | Finding::CertificateRefused => "L6RSP",
            Finding::Answered => "L7OK",
            Finding::WrongStatus => "L7STS",
            Finding::WrongBody | Finding::BadAnswer => "L7RSP",
            Finding::AnswerTimedOut => "L7TOUT",
            Finding::LocalFault => "SOCKERR",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Finding::Connected => "connected",
            Finding::LookupFailed => "its name could not be looked up",
            Finding::ConnectFailed => "the connection failed",
            Finding::ConnectTimedOut => "the connection timed out",
            Finding::Secured => "TLS was agreed on",
            Finding::TlsTimedOut => "the TLS handshake timed out",
            Finding::TlsFailed => "no TLS could be agreed on",
            Finding::CertificateExpired => "its certificate has expired",
            Finding::CertificateNotYetValid => "its certificate is not yet valid",
            Finding::CertificateAuthority => "its certificate is of an authority that is not believed",
            Finding::CertificateName => "its certificate is for other names",
            Finding::CertificateRefused => "its certificate is refused",
            Finding::Answered => "answered as expected",
            Finding::WrongStatus => "answered with another status",
            Finding::WrongBody => "answered with another body",
            Finding::BadAnswer => "no proper answer",
            Finding::AnswerTimedOut => "the answer timed out",
            Finding::LocalFault => "this host could not probe",
        })
    }
}

impl fmt::Display for Outcome {
    /// As in `answered with another status (503) after 12ms`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.finding.fmt(formatter)?;
        if let Some(status) = self.status {
            write!(formatter, " ({status})")?;
        }
        match self.took.as_micros() {
            micros @ ..1000 => write!(formatter, " after {micros}us"),
            _ => write!(formatter, " after {}ms", self.took.as_millis()),
        }
    }
}
