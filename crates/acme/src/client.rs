//! Requests to the authority: one connection each, for there are few.

use std::error::Error as StdError;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use tls::Connector;
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
