use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use health::{Finding, Outcome};
use tls::Connector;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};
use wire::load_report::LoadReport;
use wire::proxy_header::{Header, write_header};

use crate::answer::{self, Head};
use crate::config::{CheckConfig, HttpCheck, Kind, Target};
use crate::lookup::Lookup;
use crate::secure::secure;

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

/// Asks once. Ends by the policy's time-out, which covers the look-up, the connect, the handshake and the answer together.
pub(crate) async fn probe(check: &CheckConfig, lookup: &Lookup, connector: Option<&Connector>) -> Probed {
    let begun = Instant::now();
    let deadline = begun + check.policy.timeout;
    let probed = |finding, head: Option<Head>| Probed {
        outcome: Outcome { finding, status: head.map(|head| head.status), took: begun.elapsed() },
        report: head.and_then(|head| head.report),
    };
    let mut stream = match connect(&check.target, lookup, deadline).await {
        Ok(stream) => stream,
        Err(finding) => return probed(finding, None),
    };
    let mut message = Vec::new();
    if let Some(version) = check.send_proxy {
        write_header(&mut message, version, Header::Local);
    }
    if check.tls.is_some() {
        stream = match secured(stream, &mut message, connector, &check.target, deadline).await {
            Ok(stream) => stream,
            Err(finding) => return probed(finding, None),
        };
    }
    let Kind::Http(http) = &check.kind else {
        let connected = probed(if check.tls.is_some() { Finding::Secured } else { Finding::Connected }, None);
        // The connection was taken; that it cannot be closed in order as well says nothing more.
        let goodbye = async {
            stream.write_all(&message).await?;
            stream.shutdown().await
        };
        let _ = timeout_at(deadline, goodbye).await;
        return connected;
    };
    let mut head = None;
    message.extend_from_slice(request(http, &check.target).as_bytes());
    let exchange = async {
        // A server may answer before it has read the request, and close; so the answer counts, not the write.
        if stream.write_all(&message).await.is_ok() {
            let _ = stream.flush().await;
        }
        answer::judge(&mut stream, http, &mut head).await
    };
    let finding = timeout_at(deadline, exchange).await.unwrap_or(Finding::AnswerTimedOut);
    let probed = probed(finding, head);
    let _ = timeout_at(deadline.min(Instant::now() + LINGER), read_out(&mut stream)).await;
    probed
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

fn request(check: &HttpCheck, target: &Target) -> String {
    let host = match (&check.host, target) {
        (Some(host), _) => host.clone(),
        (None, Target::Ip(address)) => address.to_string(),
        (None, Target::Unix(_)) => "localhost".to_owned(),
        // RFC 3986 §3.2.2: an IPv6 address stands in brackets.
        (None, Target::Name { host, port }) if host.contains(':') => format!("[{host}]:{port}"),
        (None, Target::Name { host, port }) => format!("{host}:{port}"),
    };
    format!(
        "{} {} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: perron\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        check.method, check.path
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
fn connect_fault(error: &io::Error) -> Finding {
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::EADDRNOTAVAIL) => Finding::LocalFault,
        _ => Finding::ConnectFailed,
    }
}

#[cfg(test)]
pub(crate) mod tests;
