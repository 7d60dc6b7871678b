use std::time::Duration;

use tls::Connector;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout_at};
use wire::proxy_header::{self, Header, write_header};

use crate::answer;
use crate::config::Target;
use crate::lookup::Lookup;
use crate::probe::{connect, secured};

/// How many bytes a server has at a path, by a HEAD request of our own. `path` is the path and query, `host` the Host
/// field, both as a client sent them; with a connector it is asked through TLS. `None`: the server says anything but 200
/// with a length, or nothing within `timeout`.
pub async fn content_length(
    target: &Target,
    send_proxy: Option<proxy_header::Version>,
    connector: Option<&Connector>,
    path: &str,
    host: &str,
    timeout: Duration,
) -> Option<u64> {
    let deadline = Instant::now() + timeout;
    let mut stream = connect(target, &Lookup::new(), deadline).await.ok()?;
    let mut message = Vec::new();
    if let Some(version) = send_proxy {
        write_header(&mut message, version, Header::Local);
    }
    if connector.is_some() {
        stream = secured(stream, &mut message, connector, target, deadline).await.ok()?;
    }
    let request = format!("HEAD {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: perron\r\nConnection: close\r\n\r\n");
    message.extend_from_slice(request.as_bytes());
    let exchange = async {
        stream.write_all(&message).await.ok()?;
        stream.flush().await.ok()?;
        answer::read_head(&mut stream, "HEAD", &mut Vec::new()).await.ok()
    };
    let head = timeout_at(deadline, exchange).await.ok()??;
    head.length.filter(|_| head.status == 200)
}

#[cfg(test)]
mod tests;
