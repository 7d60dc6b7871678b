use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{MESSAGE_MAX, Service};
use crate::limit::network;
use crate::{Dropped, Transport};

/// Connections at once.
const CONNECTIONS_MAX: usize = 256;

/// Connections at once of a source. A resolver needs one.
const CONNECTIONS_OF_SOURCE_MAX: usize = 16;

/// How long a client may think of its next question, take to send it, and take to take the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a connection has still answers when the service ends: questions may be on their way.
const LAST_PATIENCE: Duration = Duration::from_millis(500);

/// After a connection could not be accepted: for want of descriptors, most likely.
const PAUSE: Duration = Duration::from_millis(50);

/// Takes connections, until the service ends and they have ended.
pub(super) async fn listen(service: Rc<Service>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = service.ending() => break,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((stream, source)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        match Place::take(&service, source.ip()) {
            Some(place) => drop(connections.spawn_local(serve(place, stream, source))),
            None => service.dropped(Dropped::Connections),
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// The right to a connection.
struct Place {
    service: Rc<Service>,
    source: IpAddr,
}

impl Place {
    fn take(service: &Rc<Service>, source: IpAddr) -> Option<Place> {
        let source = network(source);
        let state = &mut *service.state.borrow_mut();
        let of_source = state.connections.get(&source).copied().unwrap_or(0);
        if state.open >= CONNECTIONS_MAX || of_source >= CONNECTIONS_OF_SOURCE_MAX {
            return None;
        }
        state.open += 1;
        state.connections.insert(source, of_source + 1);
        Some(Place { service: Rc::clone(service), source })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let state = &mut *self.service.state.borrow_mut();
        state.open -= 1;
        if let Some(count) = state.connections.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                state.connections.remove(&self.source);
            }
        }
    }
}

/// Answers what comes on a connection, until either side has enough or the service ends.
async fn serve(place: Place, stream: TcpStream, source: SocketAddr) {
    let service = &*place.service;
    tokio::select! {
        () = converse(service, stream, source) => {}
        () = last_words(service) => {}
    }
}

/// Answers one question after the other.
async fn converse(service: &Service, mut stream: TcpStream, source: SocketAddr) {
    loop {
        let message = match timeout(PATIENCE, read(&mut stream)).await {
            Ok(Ok(Some(message))) => message,
            Ok(Ok(None)) => return service.dropped(Dropped::Long),
            // The client has ended it.
            Ok(Err(_)) => return,
            Err(_) => return service.dropped(Dropped::Idle),
        };
        let Some(reply) = service.answer(&message, source, Transport::Tcp) else { return };
        match timeout(PATIENCE, write(&mut stream, &reply)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return service.dropped(Dropped::Unsent),
        }
    }
}

async fn last_words(service: &Service) {
    service.ending().await;
    tokio::time::sleep(LAST_PATIENCE).await;
}

/// The next message (RFC 1035 section 4.2.2); `None`: it is too long.
async fn read(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let length = usize::from(stream.read_u16().await?);
    if length > MESSAGE_MAX {
        return Ok(None);
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await?;
    Ok(Some(message))
}

/// In one piece (RFC 7766 section 8).
async fn write(stream: &mut TcpStream, reply: &[u8]) -> io::Result<()> {
    let length = u16::try_from(reply.len()).map_err(io::Error::other)?;
    let framed = [&length.to_be_bytes(), reply].concat();
    stream.write_all(&framed).await
}
