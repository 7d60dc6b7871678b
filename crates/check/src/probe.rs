use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use health::{Advice, Finding, Outcome};
use tls::Connector;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};
use wire::load_report::LoadReport;
use wire::proxy_header::{Header, write_header};

use crate::config::{CheckConfig, HttpCheck, Kind, Page, Target};
use crate::digest::Digests;
use crate::lookup::Lookup;
use crate::means::Means;
use crate::secure::secure;
use crate::{agent, answer, datagram, dns, smtp};

/// For how long, and how many bytes, the rest of an answer is read after it was judged: a server whose answer is
/// cut off logs an error at every check.
const LINGER: Duration = Duration::from_millis(250);
const LINGER_BYTES: usize = 64 * 1024;

/// What came of asking once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probed {
    pub(crate) outcome: Outcome,
    /// What the answer said of the server's load.
    pub(crate) report: Option<LoadReport>,
}

/// A connection of either family, or TLS on one.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Probed {
    /// Nothing else was found.
    pub(crate) fn of(finding: Finding, begun: Instant) -> Probed {
        Probed { outcome: Outcome::new(finding, begun.elapsed()), report: None }
    }
}

/// Asks once. Ends by the policy's time-out, which covers the look-up, the connect, the handshake and the answer
/// together; where there are several pages, each has it.
pub(crate) async fn probe(
    check: &CheckConfig,
    lookup: &Lookup,
    means: &Means,
    connector: Option<&Connector>,
) -> Probed {
    let begun = Instant::now();
    let deadline = begun + check.policy.timeout;
    let probed = |(finding, status): (Finding, Option<u16>)| {
        let probed = Probed::of(finding, begun);
        Probed { outcome: Outcome { status, ..probed.outcome }, ..probed }
    };
    match &check.kind {
        Kind::Tcp => connection(check, lookup, connector).await,
        Kind::Http(http) => pages(check, http, lookup, connector).await,
        Kind::Smtp(smtp) => probed(match opened(check, lookup, connector, deadline).await {
            Ok(mut stream) => {
                let found = timeout_at(deadline, smtp::judge(&mut stream, smtp)).await;
                let _ = timeout_at(deadline, stream.shutdown()).await;
                found.unwrap_or((Finding::AnswerTimedOut, None))
            }
            Err(finding) => (finding, None),
        }),
        // The driver asks somebody else.
        Kind::Script(_) | Kind::File(_) => probed((Finding::LocalFault, None)),
        Kind::Dns(question) => probed(dns::judge(&check.target, question, deadline).await),
        Kind::Udp(udp) => probed((datagram::judge(&check.target, udp, deadline).await, None)),
        Kind::Ping => {
            let found = match (&means.pinger, datagram::address_of(&check.target)) {
                (Some(pinger), Ok(address)) => pinger.judge(address, deadline).await,
                _ => Finding::LocalFault,
            };
            probed((found, None))
        }
        Kind::Agent(agent) => {
            let (finding, advice) = match opened(check, lookup, connector, deadline).await {
                Ok(mut stream) => {
                    let found = timeout_at(deadline, agent::judge(&mut stream, agent)).await;
                    let _ = timeout_at(deadline, stream.shutdown()).await;
                    found.unwrap_or((Finding::AgentAway, Advice::NONE))
                }
                // What it said last holds: that it rests says nothing of the server.
                Err(_) => (Finding::AgentAway, Advice::NONE),
            };
            let probed = probed((finding, None));
            Probed { outcome: Outcome { advice, ..probed.outcome }, ..probed }
        }
    }
}

/// A connection on which everything that comes before the question has been said.
async fn opened(
    check: &CheckConfig,
    lookup: &Lookup,
    connector: Option<&Connector>,
    deadline: Instant,
) -> Result<Box<dyn Stream>, Finding> {
    let (mut stream, message) = begin(check, lookup, connector, deadline).await?;
    if !message.is_empty() {
        let said = timeout_at(deadline, stream.write_all(&message)).await;
        said.map_err(|_| Finding::AnswerTimedOut)?.map_err(|_| Finding::BadAnswer)?;
    }
    Ok(stream)
}

/// Sees whether the connection is taken.
async fn connection(check: &CheckConfig, lookup: &Lookup, connector: Option<&Connector>) -> Probed {
    let begun = Instant::now();
    let deadline = begun + check.policy.timeout;
    let (mut stream, message) = match begin(check, lookup, connector, deadline).await {
        Ok(begun) => begun,
        Err(finding) => return Probed::of(finding, begun),
    };
    let connected = Probed::of(if check.tls.is_some() { Finding::Secured } else { Finding::Connected }, begun);
    // The connection was taken; that it cannot be closed in order as well says nothing more.
    let goodbye = async {
        stream.write_all(&message).await?;
        stream.shutdown().await
    };
    let _ = timeout_at(deadline, goodbye).await;
    connected
}

/// Asks for the pages in turn, up to the first that is not as it must be.
async fn pages(check: &CheckConfig, http: &HttpCheck, lookup: &Lookup, connector: Option<&Connector>) -> Probed {
    let begun = Instant::now();
    let mut report = None;
    let mut last = Probed::of(Finding::LocalFault, begun);
    for (number, page) in (1..=u8::MAX).zip(&http.pages) {
        last = one_page(check, (http, page), lookup, connector).await;
        report = report.or(last.report);
        if last.outcome.finding != Finding::Answered {
            last.outcome.page = (http.pages.len() > 1).then_some(number);
            break;
        }
    }
    Probed { outcome: Outcome { took: begun.elapsed(), ..last.outcome }, report }
}

async fn one_page(
    check: &CheckConfig,
    (http, page): (&HttpCheck, &Page),
    lookup: &Lookup,
    connector: Option<&Connector>,
) -> Probed {
    let begun = Instant::now();
    let deadline = begun + check.policy.timeout;
    let (mut stream, mut message) = match begin(check, lookup, connector, deadline).await {
        Ok(begun) => begun,
        Err(finding) => return Probed::of(finding, begun),
    };
    let mut head = None;
    let request = request(&http.method, &page.path, http.host.as_deref(), &check.target);
    message.extend_from_slice(request.as_bytes());
    let exchange = async {
        // A server may answer before it has read the request, and close; so the answer counts, not the write.
        if stream.write_all(&message).await.is_ok() {
            let _ = stream.flush().await;
        }
        answer::judge(&mut stream, &http.method, page, &mut head).await
    };
    let finding = timeout_at(deadline, exchange).await.unwrap_or(Finding::AnswerTimedOut);
    let outcome = Outcome { status: head.map(|head| head.status), ..Outcome::new(finding, begun.elapsed()) };
    let probed = Probed { outcome, report: head.and_then(|head| head.report) };
    let _ = timeout_at(deadline.min(Instant::now() + LINGER), read_out(&mut stream)).await;
    probed
}

/// What a page's body is, asked for as a check asks: status and digests. `host` is the Host field, `None` the target's
/// address and port; with a connector it is asked through TLS.
///
/// # Errors
/// What was found instead, as a check would say it.
pub async fn digests(
    target: &Target,
    connector: Option<&Connector>,
    path: &str,
    host: Option<&str>,
    timeout: Duration,
) -> Result<(u16, Digests), Finding> {
    let deadline = Instant::now() + timeout;
    let mut stream = connect(target, &Lookup::new(), deadline).await?;
    if connector.is_some() {
        stream = secured(stream, &mut Vec::new(), connector, target, deadline).await?;
    }
    let request = request("GET", path, host, target);
    let exchange = async {
        if stream.write_all(request.as_bytes()).await.is_ok() {
            let _ = stream.flush().await;
        }
        answer::digests(&mut stream).await
    };
    timeout_at(deadline, exchange).await.unwrap_or(Err(Finding::AnswerTimedOut))
}

/// Connects, and sends what comes before TLS; what comes before the question otherwise is handed back.
pub(crate) async fn begin(
    check: &CheckConfig,
    lookup: &Lookup,
    connector: Option<&Connector>,
    deadline: Instant,
) -> Result<(Box<dyn Stream>, Vec<u8>), Finding> {
    let mut stream = connect(&check.target, lookup, deadline).await?;
    let mut message = Vec::new();
    if let Some(version) = check.send_proxy {
        write_header(&mut message, version, Header::Local);
    }
    if check.tls.is_some() {
        stream = secured(stream, &mut message, connector, &check.target, deadline).await?;
    }
    Ok((stream, message))
}

/// Connects, or says what was found instead.
pub(crate) async fn connect(target: &Target, lookup: &Lookup, deadline: Instant) -> Result<Box<dyn Stream>, Finding> {
    match target {
        Target::Ip(address) => taken(TcpStream::connect(address), deadline).await,
        Target::Unix(path) => taken(UnixStream::connect(path), deadline).await,
        Target::Name { host, port } => {
            if let Ok(address) = host.parse::<IpAddr>() {
                return taken(TcpStream::connect((address, *port)), deadline).await;
            }
            let looked_up = timeout_at(deadline, lookup.addresses(host, *port)).await;
            let addresses = looked_up.unwrap_or(Err(Finding::LookupFailed))?;
            taken(TcpStream::connect(&addresses[..]), deadline).await
        }
    }
}

/// Sends what comes before TLS, and leaves nothing of it; then shakes hands.
pub(crate) async fn secured(
    mut stream: Box<dyn Stream>,
    first: &mut Vec<u8>,
    connector: Option<&Connector>,
    target: &Target,
    deadline: Instant,
) -> Result<Box<dyn Stream>, Finding> {
    let first = std::mem::take(first);
    let handshake = async {
        stream.write_all(&first).await.map_err(|_| Finding::TlsFailed)?;
        secure(stream, connector, target).await
    };
    timeout_at(deadline, handshake).await.unwrap_or(Err(Finding::TlsTimedOut))
}

async fn taken<S>(
    connecting: impl Future<Output = io::Result<S>>,
    deadline: Instant,
) -> Result<Box<dyn Stream>, Finding>
where
    S: Stream + 'static,
{
    match timeout_at(deadline, connecting).await {
        Err(_) => Err(Finding::ConnectTimedOut),
        Ok(Err(error)) => Err(connect_fault(&error)),
        Ok(Ok(stream)) => Ok(Box::new(stream)),
    }
}

fn request(method: &str, path: &str, host: Option<&str>, target: &Target) -> String {
    let host = match (host, target) {
        (Some(host), _) => host.to_owned(),
        (None, Target::Ip(address)) => address.to_string(),
        (None, Target::Unix(_)) => "localhost".to_owned(),
        // RFC 3986 §3.2.2: an IPv6 address stands in brackets.
        (None, Target::Name { host, port }) if host.contains(':') => format!("[{host}]:{port}"),
        (None, Target::Name { host, port }) => format!("{host}:{port}"),
    };
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: perron\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )
}

async fn read_out<S: AsyncRead + Unpin>(stream: &mut S) {
    let mut piece = [0; 4 * 1024];
    let mut left = LINGER_BYTES;
    while let Ok(length @ 1..) = stream.read(&mut piece).await
        && length < left
    {
        left -= length;
    }
}

/// Whether a connect failed by the server's fault or for want of something on this host.
pub(crate) fn connect_fault(error: &io::Error) -> Finding {
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::EADDRNOTAVAIL) => Finding::LocalFault,
        _ => Finding::ConnectFailed,
    }
}

#[cfg(test)]
pub(crate) mod tests;
