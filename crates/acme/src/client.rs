//! Requests to the authority: one connection each, for there are few.

use std::error::Error as StdError;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Body;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use tls::Connector;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// How long one request and its answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest answer: a chain of certificates, with room.
const ANSWER_BYTES: usize = 1 << 20;

type Failure = Box<dyn StdError + Send + Sync>;

/// Speaks HTTPS with whoever the connector trusts.
pub(crate) struct Client(pub(crate) Connector);

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let connector = self.0.clone();
        Box::pin(async move {
            let url = request.uri().to_string();
            let done = tokio::time::timeout(PATIENCE, exchange(&connector, request)).await;
            match done.unwrap_or_else(|_| Err("no answer in 30 s".into())) {
                Ok(answer) => Ok(BytesResponse::from(answer)),
                Err(error) => Err(Error::Other(format!("{url}: {error}").into())),
            }
        })
    }
}

async fn exchange(
    connector: &Connector,
    mut request: Request<BodyWrapper<Bytes>>,
) -> Result<Response<Full<Bytes>>, Failure> {
    let uri = request.uri().clone();
    if uri.scheme_str() != Some("https") {
        return Err("authorities are asked over https alone".into());
    }
    let authority = uri.authority().ok_or("the URL names no host")?;
    let host = authority.host().trim_matches(['[', ']']);
    let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(443))).await?;
    let (stream, _) = tls::connect(connector, host, stream).await?;
    request.headers_mut().insert(header::HOST, authority.as_str().parse()?);
    let path = uri.path_and_query().map_or("/", |path| path.as_str()).parse::<Uri>()?;
    *request.uri_mut() = path;
    ask(stream, request).await
}

async fn ask<B>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<B>,
) -> Result<Response<Full<Bytes>>, Failure>
where
    B: Body<Data: Send, Error: Into<Failure>> + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let answered = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES).collect().await?.to_bytes();
        Ok(Response::from_parts(head, Full::new(body)))
    };
    // What it says is read by whoever drives the connection, which ends when nobody wants more of it.
    tokio::pin!(answered, connection);
    tokio::select! {
        answer = &mut answered => answer,
        ended = &mut connection => match ended {
            Ok(()) => answered.await,
            Err(error) => Err(error.into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// What comes of an answer with so many bytes of a body.
    async fn answered(length: usize) -> Result<usize, String> {
        let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
        let authority = async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(theirs.read_u8().await.unwrap());
            }
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            theirs.write_all(answer.as_bytes()).await.unwrap();
            // Who has heard enough goes away.
            let _ = theirs.write_all(&vec![b'x'; length]).await;
        };
        let request = Request::get("/dir").header(header::HOST, "ca.example").body(Full::new(Bytes::new())).unwrap();
        let (came, ()) = tokio::join!(ask(ours, request), authority);
        let body = came.map_err(|error| error.to_string())?.into_body().collect().await.unwrap();
        Ok(body.to_bytes().len())
    }

    #[tokio::test]
    async fn an_answer_is_read_up_to_a_mebibyte() {
        assert_eq!(answered(ANSWER_BYTES).await, Ok(1 << 20));
        assert_eq!(answered(ANSWER_BYTES + 1).await, Err("length limit exceeded".to_owned()));
    }
}
