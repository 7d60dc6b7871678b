//! The PROXY header at the beginning of connections: read from a load balancer before us, written to servers behind us.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;
use wire::proxy_header::{Header, Parsed, parse_header, write_header};

use crate::config::{AcceptProxy, Frontend};
use crate::log::Record;
use crate::quest::Slot;
use crate::reason::Reason;
use crate::stream::Stream;
use crate::timer::Timer;
use crate::transfer::{Halt, read_with};
use crate::worker::{ConnectionGuard, Context};

/// A client that has been taken in.
pub(crate) struct Arrival {
    pub(crate) stream: Stream,
    /// Whom the connection is from; `None`: a unix socket's.
    pub(crate) peer: Option<SocketAddr>,
    /// Where a PROXY header says that the client wanted to go.
    pub(crate) destination: Option<SocketAddr>,
    /// What has been read of it already.
    pub(crate) early: Vec<u8>,
    /// What TLS has agreed on with it.
    pub(crate) secure: Option<Rc<tls::Peer>>,
}

impl Frontend {
    /// Whether this peer's connection must begin with a PROXY header.
    pub(crate) fn expects_header(&self, peer: Option<SocketAddr>) -> bool {
        match &self.accept_proxy {
            AcceptProxy::Nobody => false,
            AcceptProxy::From(networks) => {
                peer.is_some_and(|peer| networks.iter().any(|network| network.contains(peer.ip())))
            }
            AcceptProxy::Everybody => true,
        }
    }
}

/// Reads the header, which makes `arrival` that of the client it names. `None`: it was refused, and that is told.
pub(crate) async fn read_header(mut arrival: Arrival, guard: &ConnectionGuard) -> Option<Arrival> {
    let context = &guard.context;
    let mut record = Record::new(Instant::now(), context.is_logged(guard.frontend));
    let patience = context.shared.frontend(guard.frontend).timeouts.header;
    match await_header(context, &mut arrival, patience).await {
        Ok(Header::Proxied { source, destination }) => {
            arrival.peer = Some(source);
            arrival.destination = Some(destination);
        }
        Ok(Header::Local) => {}
        // Balancers look in this way whether anybody is at home.
        Err(Reason::ClientGone) if arrival.early.is_empty() => return None,
        Err(reason) => {
            record.fail(reason);
            record.bytes_in = arrival.early.len() as u64;
            context.finish(&record, guard.frontend, arrival.peer);
            return None;
        }
    }
    if arrival.early.is_empty() {
        // Its memory, that is, for as long as the client stays.
        arrival.early = Vec::new();
    }
    Some(arrival)
}

/// Reads until the header is whole, and leaves in `arrival.early` what follows it.
async fn await_header(context: &Context, arrival: &mut Arrival, patience: Duration) -> Result<Header, Reason> {
    let mut timer = Timer::new(patience);
    loop {
        let held = &mut arrival.early;
        let read = read_with(&arrival.stream, &context.read_buffer, &mut timer, None, |bytes| {
            held.extend_from_slice(bytes);
        });
        read.await.map_err(|halt| match halt {
            Halt::TimedOut => Reason::SlowProxyHeader,
            _ => Reason::ClientGone,
        })?;
        if let Parsed::Whole(header, length) = parse_header(&arrival.early).map_err(Reason::ProxyHeader)? {
            arrival.early.drain(..length);
            return Ok(header);
        }
    }
}

/// Who the client is, as servers are told.
#[derive(Clone, Copy)]
pub(crate) struct Told<'a> {
    pub(crate) stream: &'a Stream,
    pub(crate) peer: Option<SocketAddr>,
    /// `None`: the address that its connection came to.
    pub(crate) destination: Option<SocketAddr>,
}

/// What a connection to the slot's server begins with, if it begins with a PROXY header and not with TLS.
pub(crate) fn preface(slot: &Slot<'_>, client: Told<'_>) -> Option<Vec<u8>> {
    slot.configured().tls.is_none().then(|| header(slot, client))?
}

/// What comes before TLS on a connection to the slot's server, if that begins with a PROXY header.
pub(crate) fn preface_of_tls(slot: &Slot<'_>, client: Told<'_>) -> Option<Vec<u8>> {
    slot.configured().tls.as_ref().and_then(|_| header(slot, client))
}

fn header(slot: &Slot<'_>, client: Told<'_>) -> Option<Vec<u8>> {
    let version = slot.configured().send_proxy?;
    let header = match client.peer.zip(client.destination.or_else(|| client.stream.reached())) {
        Some((source, destination)) => Header::Proxied { source, destination },
        None => Header::Local,
    };
    let mut out = Vec::new();
    write_header(&mut out, version, header);
    Some(out)
}
