//! TCP mode: one server for each connection, bytes both ways.

use tokio::time::Instant;

use crate::claim::Claim;
use crate::config::{Answer, BackendIndex};
use crate::log::{Phase, Record};
use crate::proxied::{Arrival, Told, preface};
use crate::quest::{Quest, Reached};
use crate::reason::Reason;
use crate::tunnel::{Side, tunnel};
use crate::worker::ConnectionGuard;

/// Relays one client's connection.
pub(crate) async fn serve(arrival: Arrival, guard: &ConnectionGuard) {
    let context = &guard.context;
    let frontend = context.shared.frontend(guard.frontend);
    let mut record = Record::new(Instant::now(), context.is_logged(guard.frontend));
    if let Some(Answer::Backend(backend)) = frontend.default {
        let _busy = context.begin_request();
        relay(&arrival, guard, backend, &mut record).await;
    } else {
        record.fail(Reason::NoRoute);
    }
    record.secure(arrival.secure.as_deref());
    context.finish(&record, guard.frontend, arrival.peer);
}

async fn relay(arrival: &Arrival, guard: &ConnectionGuard, backend: BackendIndex, record: &mut Record) {
    let Arrival { stream: client, peer, destination, early, .. } = arrival;
    let (peer, destination) = (*peer, *destination);
    let context = &guard.context;
    record.backend = Some(backend);
    let claim = Claim::of_client(context, backend, peer);
    context.count_known(backend, claim.known);
    let told = Told { stream: client, peer, destination };
    let reached = Quest::new(context, backend, claim).reach(told, record).await;
    let Reached { stream: server, slot, .. } = match reached {
        Ok(reached) => reached,
        Err(reason) => return record.fail(reason),
    };
    record.phase = Phase::Data;
    let timeout = context.shared.frontend(guard.frontend).timeouts.tunnel;
    let preface = preface(&slot, told);
    let own = preface.as_ref().map_or(0, Vec::len) as u64;
    let first = preface.map(|preface| [preface.as_slice(), early].concat());
    let tunnelled = tunnel(context, client, &server, first.as_deref().unwrap_or(early), timeout).await;
    record.bytes_in = tunnelled.to_server.saturating_sub(own);
    record.bytes_out = tunnelled.to_client;
    slot.observe(true);
    match tunnelled.halt {
        None => record.phase = Phase::Ended,
        Some((Side::Client, halt)) => record.fail(halt.at_client()),
        Some((Side::Server, halt)) => record.fail(halt.within_answer()),
    }
}
