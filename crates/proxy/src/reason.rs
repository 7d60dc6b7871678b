use std::io;

use fcgi_proto::AnswerError;
use http_proto::{ChunkError, HeadError};
use tls::SessionError;
use wire::proxy_header::HeaderError;

use crate::http2::Http2Error;

/// Why a request was refused or ended before its time. One counter each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The request's head was refused.
    Head(HeadError),
    /// The request's chunked body was refused.
    Chunk(ChunkError),
    /// The PROXY header that had to come first was refused.
    ProxyHeader(HeaderError),
    /// A client's TLS was refused.
    Tls(SessionError),
    /// A client spoke in clear text where TLS is spoken.
    ClearText,
    /// The server could not be reached: TLS with it was refused.
    ServerTls(SessionError),
    /// An application's answer was refused, or the application refused the request.
    Application(AnswerError),
    /// HTTP/2 was, or one of its streams.
    Http2(Http2Error),
    /// The TLS handshake was not over in time.
    SlowHandshake,
    /// The PROXY header was not whole in time.
    SlowProxyHeader,
    /// The path has a malformed escape.
    Path,
    /// The head was not whole in time.
    SlowHead,
    /// The client sent or took nothing for too long.
    ClientTimeout,
    /// The client went away before its answer was whole.
    ClientGone,
    /// No route matches.
    NoRoute,
    /// The user, or whoever shows none, is not one that may.
    Forbidden,
    /// The request's body has no length, and the application needs one.
    LengthRequired,
    /// The client shows no name and password that are right.
    Unauthorized,
    /// No server is up.
    NoServer,
    /// As many requests wait for a server as may.
    QueueFull,
    /// No server was free in time.
    QueueTimeout,
    /// The server could not be reached.
    Connect,
    /// The server ended the connection before its answer.
    ServerClosed,
    /// The server's answer was malformed.
    ServerMalformed,
    /// The server said nothing for too long.
    ServerTimeout,
    /// The server ended the connection in the middle of its answer.
    ServerCut,
    /// The client, or all together, sent more requests than may come in so short a time.
    RateLimit,
    /// A handler's files took too long.
    HandlerTimeout,
    /// As many requests wait for a handler's files as may.
    HandlerBusy,
    /// A file became shorter, or unreadable, while it was being sent.
    FileCut,
}

/// The reasons that are not a parser's.
const OWN: &[Reason] = &[
    Reason::ClearText,
    Reason::SlowHandshake,
    Reason::SlowProxyHeader,
    Reason::Path,
    Reason::SlowHead,
    Reason::ClientTimeout,
    Reason::ClientGone,
    Reason::NoRoute,
    Reason::Forbidden,
    Reason::LengthRequired,
    Reason::Unauthorized,
    Reason::NoServer,
    Reason::QueueFull,
    Reason::QueueTimeout,
    Reason::Connect,
    Reason::ServerClosed,
    Reason::ServerMalformed,
    Reason::ServerTimeout,
    Reason::ServerCut,
    Reason::RateLimit,
    Reason::HandlerTimeout,
    Reason::HandlerBusy,
    Reason::FileCut,
];

impl Reason {
    /// How many there are.
    pub const COUNT: usize = OWN.len()
        + HeadError::ALL.len()
        + ChunkError::ALL.len()
        + HeaderError::ALL.len()
        + 2 * SessionError::ALL.len()
        + AnswerError::ALL.len()
        + Http2Error::ALL.len();

    /// Every reason, each at its [`Reason::index`].
    pub fn all() -> impl Iterator<Item = Reason> {
        let heads = HeadError::ALL.iter().copied().map(Reason::Head);
        let chunks = ChunkError::ALL.iter().copied().map(Reason::Chunk);
        let proxy_headers = HeaderError::ALL.iter().copied().map(Reason::ProxyHeader);
        let sessions = SessionError::ALL.iter().copied().map(Reason::Tls);
        let at_servers = SessionError::ALL.iter().copied().map(Reason::ServerTls);
        let applications = AnswerError::ALL.iter().copied().map(Reason::Application);
        let http2 = Http2Error::ALL.iter().copied().map(Reason::Http2);
        let parsers = heads.chain(chunks).chain(proxy_headers).chain(sessions).chain(at_servers);
        OWN.iter().copied().chain(parsers).chain(applications).chain(http2)
    }

    /// Its place among the counters.
    pub(crate) fn index(self) -> usize {
        let own = |reason: Reason| OWN.iter().position(|other| *other == reason).unwrap_or(0);
        match self {
            Reason::Head(error) => OWN.len() + HeadError::ALL.iter().position(|other| *other == error).unwrap_or(0),
            Reason::Chunk(error) => {
                let place = ChunkError::ALL.iter().position(|other| *other == error).unwrap_or(0);
                OWN.len() + HeadError::ALL.len() + place
            }
            Reason::ProxyHeader(error) => {
                let place = HeaderError::ALL.iter().position(|other| *other == error).unwrap_or(0);
                OWN.len() + HeadError::ALL.len() + ChunkError::ALL.len() + place
            }
            Reason::Tls(error) => {
                let place = SessionError::ALL.iter().position(|other| *other == error).unwrap_or(0);
                OWN.len() + HeadError::ALL.len() + ChunkError::ALL.len() + HeaderError::ALL.len() + place
            }
            Reason::ServerTls(error) => {
                let place = SessionError::ALL.iter().position(|other| *other == error).unwrap_or(0);
                Reason::COUNT - Http2Error::ALL.len() - AnswerError::ALL.len() - SessionError::ALL.len() + place
            }
            Reason::Application(error) => {
                let place = AnswerError::ALL.iter().position(|other| *other == error).unwrap_or(0);
                Reason::COUNT - Http2Error::ALL.len() - AnswerError::ALL.len() + place
            }
            Reason::Http2(error) => {
                let place = Http2Error::ALL.iter().position(|other| *other == error).unwrap_or(0);
                Reason::COUNT - Http2Error::ALL.len() + place
            }
            reason => own(reason),
        }
    }

    /// Whether the request was refused for what it is, before anybody was asked.
    pub fn is_refusal(self) -> bool {
        matches!(
            self,
            Reason::Head(_)
                | Reason::Chunk(_)
                | Reason::ProxyHeader(_)
                | Reason::SlowProxyHeader
                | Reason::Tls(_)
                | Reason::ClearText
                | Reason::SlowHandshake
                | Reason::Http2(_)
                | Reason::Path
                | Reason::SlowHead
                | Reason::NoRoute
                | Reason::Forbidden
                | Reason::LengthRequired
                | Reason::Unauthorized
                | Reason::RateLimit
        )
    }

    /// Whether a server that had taken the request is to blame.
    pub(crate) fn is_servers(self) -> bool {
        matches!(
            self,
            Reason::ServerClosed
                | Reason::ServerMalformed
                | Reason::ServerTimeout
                | Reason::ServerCut
                | Reason::Application(_)
        )
    }

    /// The status that the client gets, if it can still be told one.
    pub(crate) fn status(self) -> u16 {
        match self {
            Reason::Head(error) => error.status(),
            Reason::Chunk(_) | Reason::ProxyHeader(_) | Reason::Tls(_) | Reason::Http2(_) => 400,
            Reason::ClearText | Reason::Path => 400,
            Reason::SlowHead | Reason::SlowProxyHeader | Reason::SlowHandshake | Reason::ClientTimeout => 408,
            Reason::ClientGone => 400,
            Reason::Forbidden => 403,
            Reason::Unauthorized => 401,
            Reason::NoRoute => 404,
            Reason::LengthRequired => 411,
            Reason::RateLimit => 429,
            Reason::Application(AnswerError::Overloaded) => 503,
            Reason::Application(_) => 502,
            Reason::NoServer | Reason::QueueFull | Reason::QueueTimeout | Reason::Connect | Reason::ServerTls(_) => 503,
            Reason::HandlerTimeout | Reason::HandlerBusy | Reason::FileCut => 503,
            Reason::ServerClosed | Reason::ServerMalformed | Reason::ServerCut => 502,
            Reason::ServerTimeout => 504,
        }
    }

    /// The word in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Head(error) => error.reason(),
            Reason::Chunk(error) => error.reason(),
            Reason::ProxyHeader(error) => error.reason(),
            Reason::Tls(error) => error.reason(),
            Reason::ClearText => "clear_text",
            Reason::ServerTls(error) => at_server(error),
            Reason::Application(error) => error.reason(),
            Reason::Http2(error) => error.reason(),
            Reason::SlowHandshake => "slow_handshake",
            Reason::SlowProxyHeader => "slow_proxy_header",
            Reason::Path => "malformed_path",
            Reason::SlowHead => "slow_header",
            Reason::ClientTimeout => "client_timeout",
            Reason::ClientGone => "client_gone",
            Reason::NoRoute => "no_route",
            Reason::Forbidden => "forbidden",
            Reason::LengthRequired => "length_required",
            Reason::Unauthorized => "unauthorized",
            Reason::NoServer => "no_server",
            Reason::QueueFull => "queue_full",
            Reason::QueueTimeout => "queue_timeout",
            Reason::RateLimit => "rate_limit",
            Reason::Connect => "connect_failed",
            Reason::ServerClosed => "server_closed",
            Reason::ServerMalformed => "server_malformed",
            Reason::ServerTimeout => "server_timeout",
            Reason::ServerCut => "server_cut",
            Reason::HandlerTimeout => "files_timeout",
            Reason::HandlerBusy => "files_busy",
            Reason::FileCut => "file_cut",
        }
    }
}

/// The word for what was wrong with a server's TLS.
fn at_server(error: SessionError) -> &'static str {
    match error {
        SessionError::NotTls => "server_tls_not_tls",
        SessionError::NothingInCommon => "server_tls_nothing_in_common",
        SessionError::CertificateMissing => "server_tls_certificate_missing",
        SessionError::CertificateExpired => "server_tls_certificate_expired",
        SessionError::CertificateNotYetValid => "server_tls_certificate_not_yet_valid",
        SessionError::CertificateAuthority => "server_tls_certificate_authority",
        SessionError::CertificateName => "server_tls_certificate_name",
        SessionError::CertificateRevoked => "server_tls_certificate_revoked",
        SessionError::Certificate => "server_tls_certificate",
        SessionError::Alert => "server_tls_alert",
        SessionError::Protocol => "server_tls_protocol",
    }
}

/// An error of a connection that says why a request ends with it.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{}", .0.as_str())]
pub(crate) struct Told(pub(crate) Reason);

impl From<Told> for io::Error {
    fn from(told: Told) -> io::Error {
        io::Error::other(told)
    }
}

impl Told {
    /// What `error` says, if it is one of these.
    pub(crate) fn by(error: &io::Error) -> Option<Reason> {
        error.get_ref()?.downcast_ref().map(|Told(reason)| *reason)
    }
}
