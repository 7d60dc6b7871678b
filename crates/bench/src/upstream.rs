//! The server behind the proxies: the least work that answers a request, so that core 1 is free for the load.

use std::io;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, SocketAddrV4, SocketType, sockopt};

/// Larger requests than a load generator sends.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// The listener's place; connections have their descriptor's number plus one.
const LISTENER: u64 = 0;

/// Answers every request (it ends with a blank line; bodies are not awaited) with the same answer, until killed.
pub(crate) fn serve(port: u16, bytes: usize) -> io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {bytes}\r\n\r\n");
    let answer = [head.into_bytes(), vec![b'x'; bytes]].concat();
    let listener = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    sockopt::set_socket_reuseaddr(&listener, true)?;
    rustix::net::bind(&listener, &SocketAddrV4::new([127, 0, 0, 1].into(), port))?;
    rustix::net::listen(&listener, 4096)?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut connections: Vec<Option<OwnedFd>> = Vec::new();
    let mut events = Vec::with_capacity(256);
    let mut buffer = vec![0; REQUEST_BYTES_MAX];
    loop {
        events.clear();
        match epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        for event in &events {
            let place = event.data.u64();
            if place == LISTENER {
                accept(&poll, &listener, &mut connections)?;
            } else {
                let slot = usize::try_from(place - 1).expect("a place in a vector");
                if let Some(connection) = &connections[slot]
                    && answer_what_came(connection, &mut buffer, &answer).is_none()
                {
                    connections[slot] = None;
                }
            }
        }
    }
}

fn accept(poll: &OwnedFd, listener: &OwnedFd, connections: &mut Vec<Option<OwnedFd>>) -> io::Result<()> {
    let connection = rustix::net::accept(listener)?;
    sockopt::set_tcp_nodelay(&connection, true)?;
    let slot = connections.iter().position(Option::is_none).unwrap_or_else(|| {
        connections.push(None);
        connections.len() - 1
    });
    epoll::add(poll, &connection, EventData::new_u64(slot as u64 + 1), EventFlags::IN)?;
    connections[slot] = Some(connection);
    Ok(())
}

/// Reads once, which does not block after the event, and answers each request in it; `None`: the connection is done.
fn answer_what_came(connection: &OwnedFd, buffer: &mut [u8], answer: &[u8]) -> Option<()> {
    let (_, read) = rustix::net::recv(connection, &mut *buffer, rustix::net::RecvFlags::empty()).ok()?;
    if read == 0 {
        return None;
    }
    let requests = buffer[..read].windows(4).filter(|window| window == b"\r\n\r\n").count();
    for _ in 0..requests {
        let mut rest = answer;
        while !rest.is_empty() {
            let sent = rustix::net::send(connection, rest, rustix::net::SendFlags::NOSIGNAL).ok()?;
            rest = &rest[sent..];
        }
    }
    Some(())
}
