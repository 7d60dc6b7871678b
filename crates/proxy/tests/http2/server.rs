//! A server of HTTP/1 that says what it was sent, or what its path asks for.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// Starts one for as long as the test lasts.
pub(crate) fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || while serve(&stream).is_some() {});
        }
    });
    address
}

fn serve(mut stream: &TcpStream) -> Option<()> {
    let mut reader = BufReader::with_capacity(1, stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if reader.read_until(b'\n', &mut head).ok()? == 0 {
            return None;
        }
    }
    let text = String::from_utf8(head).ok()?;
    let path = text.split(' ').nth(1)?.to_owned();
    let lower = text.to_ascii_lowercase();
    if path == "tunnel:1" {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
        std::io::copy(&mut { stream }, &mut { stream }).ok()?;
        return None;
    }
    if path == "/early" {
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nearly").ok()?;
        return None;
    }
    if lower.contains("expect: 100-continue") {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    let mut body = Vec::new();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    if let Some(length) = length {
        body.resize(length, 0);
        reader.read_exact(&mut body).ok()?;
    } else if lower.contains("transfer-encoding: chunked") {
        while !body.ends_with(b"\r\n\r\n") || !(body.starts_with(b"0\r\n") || contains(&body, b"\r\n0\r\n")) {
            if reader.read_until(b'\n', &mut body).ok()? == 0 {
                return None;
            }
        }
    }
    answer(stream, &path, &[text.as_bytes(), &body].concat())
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn answer(mut stream: &TcpStream, path: &str, request: &[u8]) -> Option<()> {
    match path {
        "/trailers" => stream.write_all(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: grpc-status\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n\
              3\r\nabc\r\n2;x=y\r\nde\r\n0\r\ngrpc-status: 0\r\ngrpc-message: well done\r\n\r\n",
        ),
        "/until-close" => {
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nall of it").ok()?;
            return None;
        }
        "/cut" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n").ok()?;
            stream.write_all(&[b'x'; 50_000]).ok()?;
            return None;
        }
        "/cut-chunks" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\npart").ok()?;
            return None;
        }
        "/big" => {
            let big = vec![b'x'; 4 << 20];
            stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", big.len()).as_bytes()).ok()?;
            stream.write_all(&big)
        }
        "/hints" => stream.write_all(
            b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n",
        ),
        "/hang" => {
            let mut byte = [0; 1];
            let _ = stream.read(&mut byte);
            return None;
        }
        _ => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nX-Server: one\r\n\r\n", request.len());
            stream.write_all(&[head.as_bytes(), request].concat())
        }
    }
    .ok()
}
