//! Connections of commands to servers: clear text or TLS, HTTP/1.1.

use std::fmt;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// How long one address may take to take a connection, and TLS on it to be agreed on.
const CONNECT: Duration = Duration::from_secs(10);

/// What servers are told of who asks.
const USER_AGENT: &str = concat!("perron/", env!("CARGO_PKG_VERSION"));

/// A request's body.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Why nothing came of a request.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is none that can be asked.
    #[error("{0}")]
    Url(String),
    /// Nobody took the connection.
    #[error("cannot connect to {to}: {why}")]
    Connect {
        /// Whom.
        to: String,
        /// What the system says.
        why: io::Error,
    },
    /// There was no TLS.
    #[error("no TLS with {to}: {why}")]
    Tls {
        /// With whom.
        to: String,
        /// Why.
        why: tls::ConnectError,
    },
    /// The connection ended, or what came was no HTTP.
    #[error("{}", text_of(.0))]
    Http(#[from] hyper::Error),
}

/// hyper's own words, and those of what is below.
fn text_of(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(below) => format!("{error}: {below}"),
        None => error.to_string(),
    }
}

/// What is asked for, and of whom: `http://HOST[:PORT]/PATH`, or `https://`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    uri: Uri,
    host: String,
    port: u16,
    is_secure: bool,
}

/// Who can be asked, and how.
#[derive(Clone, Debug)]
pub struct Server {
    url: Url,
    tls: Option<tls::Connector>,
}

/// A connection to a server; requests go over it one after the other.
pub struct Connection {
    sender: SendRequest<Body>,
    authority: HeaderValue,
}

impl Url {
    /// # Errors
    /// In words, if it is another kind of URL, or names a user.
    pub fn parse(text: &str) -> Result<Url, String> {
        let uri: Uri = text.parse().map_err(|error| format!("{error}"))?;
        let (port, is_secure) = match uri.scheme_str() {
            Some("http") => (80, false),
            Some("https") => (443, true),
            _ => return Err("write http:// or https:// before it".to_owned()),
        };
        let authority = uri.authority().ok_or("there is no host in it")?;
        if authority.as_str().contains('@') {
            return Err("a user has no place in it: write --header \"Authorization: …\"".to_owned());
        }
        let (host, port) = (authority.host().to_owned(), authority.port_u16().unwrap_or(port));
        Ok(Url { host, port, is_secure, uri })
    }

    /// Whether it is asked for over TLS.
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// Its name or address; one of IPv6 stands in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port, where the URL names none that of its scheme.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as the URL has them: what a request's Host is.
    pub fn authority(&self) -> &str {
        self.uri.authority().map_or("", |authority| authority.as_str())
    }

    /// What requests name: path and query.
    pub fn target(&self) -> &str {
        self.uri.path_and_query().map_or("/", |target| target.as_str())
    }

    /// The same server's URL of another path and query.
    pub fn with_target(&self, target: &str) -> Option<Url> {
        let mut parts = self.uri.clone().into_parts();
        parts.path_and_query = Some(target.parse().ok()?);
        Some(Url { uri: Uri::from_parts(parts).ok()?, ..self.clone() })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uri.fmt(formatter)
    }
}

impl Server {
    /// The server of `url`.
    ///
    /// # Errors
    /// If it is asked for over TLS, and `tls` is `None`.
    pub fn new(url: Url, tls: Option<tls::Connector>) -> Result<Server, Error> {
        let tls = tls.filter(|_| url.is_secure);
        if url.is_secure && tls.is_none() {
            return Err(Error::Url(format!("{url}: nothing is known of how to speak TLS")));
        }
        Ok(Server { url, tls })
    }

    /// What is asked for.
    pub fn url(&self) -> &Url {
        &self.url
    }

    fn name(&self) -> String {
        format!("{}:{}", self.url.host, self.url.port)
    }

    /// A connection to the first of its addresses that takes one.
    ///
    /// # Errors
    /// If none does.
    pub async fn connect(&self) -> Result<Connection, Error> {
        let stream = self.reach().await.map_err(|why| Error::Connect { to: self.name(), why })?;
        let authority = HeaderValue::from_str(self.url.authority()).map_err(|error| Error::Url(error.to_string()))?;
        let sender = match &self.tls {
            None => begin(stream).await?,
            Some(connector) => {
                let shaken = tokio::time::timeout(CONNECT, tls::connect(connector, &self.url.host, stream)).await;
                let shaken = shaken.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()));
                let (stream, _) = shaken.map_err(|why| Error::Tls { to: self.name(), why })?;
                begin(stream).await?
            }
        };
        Ok(Connection { sender, authority })
    }

    async fn reach(&self) -> io::Result<TcpStream> {
        let bare = self.url.host.trim_start_matches('[').trim_end_matches(']');
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "it has no address");
        for address in tokio::net::lookup_host((bare, self.url.port)).await? {
            match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Ok(Err(error)) => failed = error,
                Err(_) => failed = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(failed)
    }
}

async fn begin(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<SendRequest<Body>, Error> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // What goes wrong on the connection, the request that is under way on it hears.
    tokio::spawn(connection);
    Ok(sender)
}

impl Connection {
    /// Whether no further request can go over it.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends a request and waits for its answer's head.
    ///
    /// # Errors
    /// If the connection ends before, or something that is no HTTP comes.
    pub async fn send(&mut self, mut request: Request<Body>) -> Result<Response<Incoming>, Error> {
        self.sender.ready().await?;
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.authority.clone());
        headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(USER_AGENT));
        Ok(self.sender.send_request(request).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_say_whom_to_ask() {
        let of = |text| Url::parse(text).map(|url| (url.host.clone(), url.port, url.target().to_owned()));
        let is = |host: &str, port, target: &str| Ok((host.to_owned(), port, target.to_owned()));
        assert_eq!(of("http://node1/rpc/x?y=1"), is("node1", 80, "/rpc/x?y=1"));
        assert_eq!(of("https://10.0.0.1:1811"), is("10.0.0.1", 1811, "/"));
        assert_eq!(of("https://[fe80::1]/a"), is("[fe80::1]", 443, "/a"));
        for wrong in ["node1/rpc", "ftp://node1/", "/rpc", "http://", "http://me:secret@node1/", "http://a b/"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
        let url = Url::parse("https://node1:1811/export/a").unwrap();
        assert_eq!(
            url.with_target("/export/a?upload=6f").unwrap().to_string(),
            "https://node1:1811/export/a?upload=6f"
        );
        assert_eq!(url.with_target("http://elsewhere/"), None);
    }
}
