//! What stands behind the programs: the least work that answers a request, so that core 1 is free for the load.

use std::fs::Permissions;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrV4, SocketType, sockopt};

use crate::application;

/// Larger requests than a load generator sends.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// The listener's place; connections have their descriptor's number plus one.
const LISTENER: u64 = 0;

/// What bytes on a connection ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) answers: usize,
    /// Whether the connection ends with them.
    pub(crate) is_last: bool,
}

/// Who understands one connection's bytes, in the order in which they come.
type Ear = Box<dyn FnMut(&[u8]) -> Asked>;

/// A connection, and who listens to it.
type Connection = (OwnedFd, Ear);

/// Answers every request of HTTP/1 (it ends with a blank line; bodies are not awaited) with as many bytes, until killed.
pub(crate) fn serve(port: u16, bytes: usize) -> io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {bytes}\r\n\r\n");
    let listener = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    sockopt::set_socket_reuseaddr(&listener, true)?;
    rustix::net::bind(&listener, &SocketAddrV4::new([127, 0, 0, 1].into(), port))?;
    rustix::net::listen(&listener, 4096)?;
    let listener = OwnedFd::from(TcpListener::from(listener));
    let asked = |bytes: &[u8]| Asked {
        answers: bytes.windows(4).filter(|window| window == b"\r\n\r\n").count(),
        is_last: false,
    };
    answer_all(&listener, &[head.into_bytes(), vec![b'x'; bytes]].concat(), &|| Box::new(asked))
}

/// Answers every request of FastCGI with as many bytes, until killed.
pub(crate) fn serve_application(socket: &Path, bytes: usize) -> io::Result<()> {
    let listener = OwnedFd::from(UnixListener::bind(socket)?);
    std::fs::set_permissions(socket, Permissions::from_mode(0o666))?;
    answer_all(&listener, &application::answer(bytes), &|| {
        let mut listening = application::Listening::default();
        Box::new(move |bytes| listening.hear(bytes))
    })
}

fn answer_all(listener: &OwnedFd, answer: &[u8], ear: &dyn Fn() -> Ear) -> io::Result<()> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut events = Vec::with_capacity(256);
    let mut buffer = vec![0; REQUEST_BYTES_MAX];
    loop {
        events.clear();
        match epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        for event in &events {
            let place = event.data.u64();
            if place == LISTENER {
                accept(&poll, listener, &mut connections, ear())?;
            } else {
                let slot = usize::try_from(place - 1).expect("a place in a vector");
                if let Some(connection) = &mut connections[slot]
                    && answer_what_came(connection, &mut buffer, answer).is_none()
                {
                    connections[slot] = None;
                }
            }
        }
    }
}

fn accept(poll: &OwnedFd, listener: &OwnedFd, connections: &mut Vec<Option<Connection>>, ear: Ear) -> io::Result<()> {
    let connection = rustix::net::accept(listener)?;
    // A unix socket never waits for more to send.
    let _ = sockopt::set_tcp_nodelay(&connection, true);
    let slot = connections.iter().position(Option::is_none).unwrap_or_else(|| {
        connections.push(None);
        connections.len() - 1
    });
    epoll::add(poll, &connection, EventData::new_u64(slot as u64 + 1), EventFlags::IN)?;
    connections[slot] = Some((connection, ear));
    Ok(())
}

/// Reads once, which does not block after the event, and answers each request in it; `None`: the connection is done.
fn answer_what_came((connection, ear): &mut Connection, buffer: &mut [u8], answer: &[u8]) -> Option<()> {
    let (_, read) = rustix::net::recv(&*connection, &mut *buffer, RecvFlags::empty()).ok()?;
    if read == 0 {
        return None;
    }
    let asked = ear(&buffer[..read]);
    for _ in 0..asked.answers {
        let mut rest = answer;
        while !rest.is_empty() {
            let sent = rustix::net::send(&*connection, rest, SendFlags::NOSIGNAL).ok()?;
            rest = &rest[sent..];
        }
    }
    (!asked.is_last).then_some(())
}
