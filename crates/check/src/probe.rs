use std::future::Future;
use std::io;
use std::time::Duration;

use health::{Finding, Outcome};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};
use wire::proxy_header::{Header, write_header};

use crate::answer;
use crate::config::{CheckConfig, HttpCheck, Kind, Target};

/// For how long, and how many bytes, the rest of an answer is read after it was judged: a server whose answer is
/// cut off logs an error at every check.
const LINGER: Duration = Duration::from_millis(250);
const LINGER_BYTES: usize = 64 * 1024;

/// Asks once. Ends by the policy's time-out, which covers the connect and the answer together.
pub async fn probe(check: &CheckConfig) -> Outcome {
    let begun = Instant::now();
    match &check.target {
        Target::Ip(address) => ask(TcpStream::connect(address), check, begun).await,
        Target::Unix(path) => ask(UnixStream::connect(path), check, begun).await,
        Target::Name { host, port } => ask(TcpStream::connect((host.as_str(), *port)), check, begun).await,
    }
}

async fn ask<S>(connecting: impl Future<Output = io::Result<S>>, check: &CheckConfig, begun: Instant) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let deadline = begun + check.policy.timeout;
    let outcome = |finding, status| Outcome { finding, status, took: begun.elapsed() };
    let mut stream = match timeout_at(deadline, connecting).await {
        Err(_) => return outcome(Finding::ConnectTimedOut, None),
        Ok(Err(error)) => return outcome(connect_fault(&error), None),
        Ok(Ok(stream)) => stream,
    };
    let mut message = Vec::new();
    if let Some(version) = check.send_proxy {
        write_header(&mut message, version, Header::Local);
    }
    let Kind::Http(http) = &check.kind else {
        let connected = outcome(Finding::Connected, None);
        // The connection was taken; that it cannot be closed in order as well says nothing more.
        let goodbye = async {
            stream.write_all(&message).await?;
            stream.shutdown().await
        };
        let _ = timeout_at(deadline, goodbye).await;
        return connected;
    };
    let mut status = None;
    message.extend_from_slice(request(http, &check.target).as_bytes());
    let exchange = async {
        // A server may answer before it has read the request, and close; so the answer counts, not the write.
        let _ = stream.write_all(&message).await;
        answer::judge(&mut stream, http, &mut status).await
    };
    let finding = timeout_at(deadline, exchange).await.unwrap_or(Finding::AnswerTimedOut);
    let outcome = outcome(finding, status);
    let _ = timeout_at(deadline.min(Instant::now() + LINGER), read_out(&mut stream)).await;
    outcome
}

fn request(check: &HttpCheck, target: &Target) -> String {
    let host = match (&check.host, target) {
        (Some(host), _) => host.clone(),
        (None, Target::Ip(address)) => address.to_string(),
        (None, Target::Unix(_)) => "localhost".to_owned(),
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
mod tests;
