//! A client of HTTP/2 with prior knowledge.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, Request, Response};

/// What takes longer never comes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Runs a test's future to its end.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, test).await.expect("it comes to an end in time") })
}

/// A connection. It is driven for as long as the runtime is.
pub(crate) async fn connect(address: SocketAddr) -> SendRequest<Bytes> {
    connect_with(address, &h2::client::Builder::new()).await
}

pub(crate) async fn connect_with(address: SocketAddr, builder: &h2::client::Builder) -> SendRequest<Bytes> {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (send, connection) = builder.handshake(stream).await.unwrap();
    tokio::spawn(connection);
    send
}

pub(crate) fn get(path: &str) -> Request<()> {
    Request::get(format!("http://test{path}")).body(()).unwrap()
}

/// The whole answer to a request without a body.
pub(crate) async fn fetch(send: &SendRequest<Bytes>, request: Request<()>) -> Result<Answer, h2::Error> {
    let mut send = send.clone().ready().await?;
    let (response, _) = send.send_request(request, true)?;
    whole(response).await
}

/// The whole answer to a request with a body.
pub(crate) async fn post(
    send: &SendRequest<Bytes>,
    request: Request<()>,
    body: &[&[u8]],
    trailers: Option<HeaderMap>,
) -> Result<Answer, h2::Error> {
    let mut send = send.clone().ready().await?;
    let (response, mut stream) = send.send_request(request, false)?;
    for (index, piece) in body.iter().enumerate() {
        let is_last = index + 1 == body.len() && trailers.is_none();
        stream.send_data(Bytes::copy_from_slice(piece), is_last)?;
    }
    if let Some(trailers) = trailers {
        stream.send_trailers(trailers)?;
    }
    whole(response).await
}

pub(crate) async fn whole(response: ResponseFuture) -> Result<Answer, h2::Error> {
    let (parts, mut stream): (_, h2::RecvStream) = Response::into_parts(response.await?);
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    let trailers = stream.trailers().await?;
    Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body, trailers })
}
