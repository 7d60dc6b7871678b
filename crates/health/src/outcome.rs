use std::fmt;
use std::time::Duration;

use crate::Advice;

/// What came of one probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What was found.
    pub finding: Finding,
    /// The status of HTTP, the reply code of SMTP, the response code of DNS or the exit status of a script, if it got so
    /// far.
    pub status: Option<u16>,
    /// Of several pages the one that this is about, from 1; `None`: there is one question only, or all were answered.
    pub page: Option<u8>,
    /// What was said beside.
    pub advice: Advice,
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
    /// The answer's body has another digest.
    WrongDigest,
    /// The answer's body is longer than a digest is made of.
    BodyTooLong,
    /// The answer, or its head, is longer than any is.
    AnswerTooLong,
    /// What came back is no answer of the protocol, or the connection ended within it.
    BadAnswer,
    /// The answer was not whole in time.
    AnswerTimedOut,
    /// A datagram was sent, and nobody has said in time that it has no receiver.
    NotRefused,
    /// The answer lacks a record that it must have.
    WrongRecord,
    /// Its agent says something of it, and not whether it is well.
    Advised,
    /// Its agent says that it is not well.
    AgentDown,
    /// Its agent cannot be asked.
    AgentAway,
    /// What its agent says is not understood.
    AgentUnclear,
    /// A script has ended with success.
    ScriptPassed,
    /// A script has ended otherwise.
    ScriptFailed,
    /// A script had to be ended.
    ScriptTimedOut,
    /// A script could not be run.
    ScriptNotRun,
    /// A file is there, and says nothing against the server.
    FileThere,
    /// A file is not there.
    FileMissing,
    /// A file says that the server is not well.
    FileSaysDown,
    /// What a file says is not understood, or it cannot be read.
    FileUnclear,
    /// A file could not be read in time.
    FileTimedOut,
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
    /// Nothing against it: it is well, unless it was said not to be.
    Keep,
    /// Nothing: the fault is ours, or that of who was asked about it.
    Nothing,
}

impl Outcome {
    /// Of a probe that found this and nothing else.
    pub const fn new(finding: Finding, took: Duration) -> Outcome {
        Outcome { finding, status: None, page: None, advice: Advice::NONE, took }
    }
}

impl Finding {
    /// What it says of the server.
    pub const fn verdict(self) -> Verdict {
        match self {
            Finding::Connected
            | Finding::Secured
            | Finding::Answered
            | Finding::NotRefused
            | Finding::ScriptPassed
            | Finding::FileThere => Verdict::Pass,
            Finding::Advised => Verdict::Keep,
            Finding::LocalFault | Finding::AgentAway | Finding::AgentUnclear | Finding::ScriptNotRun => {
                Verdict::Nothing
            }
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
            | Finding::WrongDigest
            | Finding::BodyTooLong
            | Finding::AnswerTooLong
            | Finding::BadAnswer
            | Finding::AnswerTimedOut
            | Finding::WrongRecord
            | Finding::AgentDown
            | Finding::ScriptFailed
            | Finding::ScriptTimedOut
            | Finding::FileMissing
            | Finding::FileSaysDown
            | Finding::FileUnclear
            | Finding::FileTimedOut => Verdict::Fail,
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
            Finding::WrongDigest => "wrong_digest",
            Finding::BodyTooLong => "body_too_long",
            Finding::AnswerTooLong => "answer_too_long",
            Finding::BadAnswer => "bad_answer",
            Finding::AnswerTimedOut => "answer_timed_out",
            Finding::NotRefused => "not_refused",
            Finding::WrongRecord => "wrong_record",
            Finding::Advised => "advised",
            Finding::AgentDown => "agent_down",
            Finding::AgentAway => "agent_away",
            Finding::AgentUnclear => "agent_unclear",
            Finding::ScriptPassed => "script_passed",
            Finding::ScriptFailed => "script_failed",
            Finding::ScriptTimedOut => "script_timed_out",
            Finding::ScriptNotRun => "script_not_run",
            Finding::FileThere => "file_there",
            Finding::FileMissing => "file_missing",
            Finding::FileSaysDown => "file_says_down",
            Finding::FileUnclear => "file_unclear",
            Finding::FileTimedOut => "file_timed_out",
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
            Finding::WrongBody
            | Finding::WrongDigest
            | Finding::BodyTooLong
            | Finding::AnswerTooLong
            | Finding::BadAnswer => "L7RSP",
            Finding::AnswerTimedOut | Finding::FileTimedOut => "L7TOUT",
            Finding::NotRefused => "L4OK",
            Finding::WrongRecord | Finding::AgentUnclear | Finding::FileUnclear => "L7RSP",
            Finding::Advised | Finding::FileThere => "L7OK",
            Finding::AgentDown | Finding::FileMissing | Finding::FileSaysDown => "L7STS",
            Finding::AgentAway => "L4CON",
            Finding::ScriptPassed => "PROCOK",
            Finding::ScriptFailed | Finding::ScriptNotRun => "PROCERR",
            Finding::ScriptTimedOut => "PROCTOUT",
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
            Finding::WrongDigest => "answered with a body of another digest",
            Finding::BodyTooLong => "answered with more than a digest is made of",
            Finding::AnswerTooLong => "the answer is too long",
            Finding::BadAnswer => "no proper answer",
            Finding::AnswerTimedOut => "the answer timed out",
            Finding::NotRefused => "nobody refused the datagram",
            Finding::WrongRecord => "answered without the record that it must have",
            Finding::Advised => "its agent has answered",
            Finding::AgentDown => "its agent says that it is down",
            Finding::AgentAway => "its agent could not be asked",
            Finding::AgentUnclear => "its agent is not understood",
            Finding::ScriptPassed => "the script passed",
            Finding::ScriptFailed => "the script failed",
            Finding::ScriptTimedOut => "the script took too long and was ended",
            Finding::ScriptNotRun => "the script could not be run",
            Finding::FileThere => "the file is there",
            Finding::FileMissing => "the file is not there",
            Finding::FileSaysDown => "the file says that it is down",
            Finding::FileUnclear => "what the file says is not understood",
            Finding::FileTimedOut => "the file could not be read in time",
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
        if let Some(page) = self.page {
            write!(formatter, " on page {page}")?;
        }
        match self.took.as_micros() {
            micros @ ..1000 => write!(formatter, " after {micros}us"),
            _ => write!(formatter, " after {}ms", self.took.as_millis()),
        }
    }
}
