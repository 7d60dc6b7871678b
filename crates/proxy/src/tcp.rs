//! TCP mode: one server for each connection, bytes both ways.

use std::net::SocketAddr;

use tokio::time::Instant;

use crate::config::{Answer, BackendIndex};
use crate::log::{Phase, Record};
use crate::quest::{Quest, Reached, hash_of_client};
use crate::reason::Reason;
use crate::stream::Stream;
use crate::tunnel::{Side, tunnel};
use crate::worker::ConnectionGuard;

/// Relays one client's connection.
pub(crate) async fn serve(stream: Stream, peer: Option<SocketAddr>, guard: &ConnectionGuard) {
    let context = &guard.context;
    let frontend = context.shared.frontend(guard.frontend);
    let mut record = Record::new(Instant::now(), context.is_logged(guard.frontend));
    if let Some(Answer::Backend(backend)) = frontend.default {
        let _busy = context.begin_request();
        relay(&stream, peer, guard, backend, &mut record).await;
    } else {
        record.fail(Reason::NoRoute);
    }
    context.finish(&record, guard.frontend, peer);
}

async fn relay(
    client: &Stream,
    peer: Option<SocketAddr>,
    guard: &ConnectionGuard,
    backend: BackendIndex,
    record: &mut Record,
) {
    let context = &guard.context;
    record.backend = Some(backend);
    let hash = hash_of_client(context, backend, peer);
    let reached = Quest::new(context, backend, hash).reach(client, record).await;
    let Reached { stream: server, slot, .. } = match reached {
        Ok(reached) => reached,
        Err(reason) => return record.fail(reason),
    };
    record.phase = Phase::Data;
    let timeout = context.shared.frontend(guard.frontend).timeouts.tunnel;
    let tunnelled = tunnel(context, client, &server, &[], timeout).await;
    record.bytes_in = tunnelled.to_server;
    record.bytes_out = tunnelled.to_client;
    slot.observe(true);
    match tunnelled.halt {
        None => record.phase = Phase::Ended,
        Some((Side::Client, halt)) => record.fail(halt.at_client()),
        Some((Side::Server, halt)) => record.fail(halt.within_answer()),
    }
}
