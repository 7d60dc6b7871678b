use std::net::Ipv4Addr;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::Patient;

const DEADLINE: Duration = Duration::from_secs(10);

async fn served(connections: usize, patience: Duration) -> std::net::SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/", get(|| async { "here" }));
    tokio::spawn(async move { axum::serve(Patient::new(listener, connections, patience), router).await });
    address
}

async fn read_until_close(stream: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    let ended = timeout(DEADLINE, stream.read_to_end(&mut read)).await;
    ended.expect("the connection must end").unwrap_or_default();
    read
}

#[tokio::test]
async fn a_header_that_never_ends_is_cut() {
    let address = served(8, Duration::from_millis(50)).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    assert_eq!(read_until_close(&mut stream).await, b"");
}

#[tokio::test]
async fn a_kept_connection_is_closed_when_it_stays_silent() {
    let address = served(8, Duration::from_millis(200)).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let answer = read_until_close(&mut stream).await;
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n") && answer.ends_with(b"here"));
}

#[tokio::test]
async fn one_connection_too_many_waits_for_a_place() {
    let address = served(1, Duration::from_secs(60)).await;
    let mut first = TcpStream::connect(address).await.unwrap();
    first.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut head = [0; 15];
    first.read_exact(&mut head).await.unwrap();

    let mut second = TcpStream::connect(address).await.unwrap();
    second.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let early = timeout(Duration::from_millis(50), second.read_u8()).await;
    assert!(early.is_err(), "the only place is taken");

    drop(first);
    assert!(read_until_close(&mut second).await.starts_with(b"HTTP/1.1 200 OK\r\n"));
}
