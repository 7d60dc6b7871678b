use std::net::SocketAddr;

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;

const PATIENT: Duration = Duration::from_secs(10);

/// A server that answers one request so, and says what it was asked.
async fn server(answer: &'static str) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.expect("a request"));
        }
        stream.write_all(answer.as_bytes()).await.expect("written");
        String::from_utf8(request).expect("text")
    });
    (address, serving)
}

#[tokio::test]
async fn a_size_is_what_200_says() {
    for (answer, size) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5368709120\r\n\r\n", Some(5_368_709_120)),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Some(0)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", None),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n", None),
        ("HTTP/1.1 206 Partial Content\r\nContent-Length: 9\r\n\r\n", None),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9x\r\n\r\n", None),
        ("no answer", None),
    ] {
        let (address, serving) = server(answer).await;
        let found = content_length(&Target::Ip(address), None, None, "/a/b.iso?x=1", "files.example", PATIENT).await;
        assert_eq!(found, size, "{answer:?}");
        assert_eq!(
            serving.await.expect("a request"),
            "HEAD /a/b.iso?x=1 HTTP/1.1\r\nHost: files.example\r\nUser-Agent: perron\r\nConnection: close\r\n\r\n"
        );
    }
}

#[tokio::test]
async fn silence_ends_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let hasty = Duration::from_millis(50);
    assert_eq!(content_length(&Target::Ip(address), None, None, "/", "x", hasty).await, None);
}
