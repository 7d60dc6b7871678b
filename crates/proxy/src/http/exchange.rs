//! One request at a backend: to a server that takes it, and once more to another if that is safe.

use std::future::poll_fn;
use std::task::Poll;

use balance::ServerIndex;
use fcgi_proto::AnswerError;
use tokio::time::Instant;

use super::body::Body;
use super::client::{Client, Then};
use super::plan::Traits;
use super::redirect::{Detour, write_redirect};
use super::response::{Answered, Downstream, Heard, Upload, receive};
use super::send::{ask, send};
use super::send_file::Named;
use super::upload::{UploadEnd, upload};
use crate::claim::Claim;
use crate::config::{BackendIndex, RedirectTo};
use crate::log::{Phase, Record};
use crate::proxied::preface;
use crate::quest::{Quest, Reached, Slot};
use crate::reason::Reason;
use crate::splice::Patience;
use crate::stream::{Begin, Stream};
use crate::timer::Timer;
use crate::transfer::{Halt, Watch, write_all};
use crate::tunnel::{Side, tunnel};

/// The most of a request that is kept for sending it once more.
const REPLAY_BYTES: usize = 128 * 1024;

/// A request on its way: the bytes to send, what the client has yet to send, and what matters of its head.
pub(crate) struct Errand<'a> {
    request: &'a [u8],
    body: Body,
    /// Whether all that has been taken of the client is in `request`, so that it can be sent once more.
    whole: bool,
    traits: Traits,
    route: Option<u16>,
    /// The head as it came, where an application may have a file sent in its place.
    head: Option<Vec<u8>>,
    /// Whether its client may be sent to the server itself.
    detour: Option<Detour>,
}

impl<'a> Errand<'a> {
    /// `request` is what there is of it now: the head as it is sent on, and the beginning of the body.
    pub(crate) fn new(
        request: &'a [u8],
        body: Body,
        traits: Traits,
        route: Option<u16>,
        detour: Option<Detour>,
    ) -> Errand<'a> {
        Errand { request, body, whole: request.len() <= REPLAY_BYTES, traits, route, head: None, detour }
    }

    /// The head as it came, for a file that an application may have sent.
    pub(crate) fn keep_head(&mut self, head: Option<Vec<u8>>) {
        self.head = head;
    }

    /// The path and query in its request line.
    fn path_and_query(&self) -> &'a str {
        let line = self.request.split(|&byte| byte == b'\r').next().unwrap_or_default();
        let target = line.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
        std::str::from_utf8(target).unwrap_or("/")
    }
}

/// How one attempt ended, if not with a whole answer.
struct Failure {
    reason: Reason,
    heard: Heard,
    /// Whether the server cannot have acted on the request.
    untouched: bool,
}

/// Carries a request to one of the backend's servers and its answer to the client.
pub(crate) async fn exchange(
    client: &mut Client<'_>,
    backend: BackendIndex,
    claim: Claim,
    errand: &mut Errand<'_>,
    record: &mut Record,
) -> Then {
    record.backend = Some(backend);
    let mut quest = Quest::new(client.meta.context, backend, claim);
    let mut fresh = None;
    let mut waited = None;
    if let Some(detour) = errand.detour {
        match quest.take_slot(&client.stream, record).await {
            Ok(slot) => match detour.target(client.meta, backend, slot.server, claim.home) {
                Some(target) => return send_on(client, slot, target, errand, record).await,
                None => waited = Some(slot),
            },
            Err(reason) => {
                let failure = Failure { reason, heard: Heard::Nothing, untouched: true };
                return conclude(client, errand, failure, record).await;
            }
        }
    }
    let failure = loop {
        let reached = match fresh.take() {
            Some(reached) => Ok(reached),
            None => match waited.take() {
                Some(slot) => quest.reach_from(slot, client.told(), record).await,
                None => quest.reach(client.told(), record).await,
            },
        };
        let reached = match reached {
            Ok(reached) => reached,
            Err(reason) => break Failure { reason, heard: Heard::Nothing, untouched: true },
        };
        record.phase = Phase::Headers;
        let may_retry = quest.may_retry();
        let (failure, reached) = match attempt(client, reached, errand, may_retry, record).await {
            Ok(then) => return then,
            Err(failed) => failed,
        };
        let is_refused = failure.reason == Reason::Application(AnswerError::Overloaded);
        let repeatable = errand.whole
            && failure.heard == Heard::Nothing
            && (failure.untouched || is_refused || errand.traits.is_idempotent);
        let is_gone = matches!(failure.reason, Reason::ServerClosed | Reason::ServerCut | Reason::ServerTls(_));
        if !repeatable || !(is_refused || is_gone) {
            if is_gone || failure.reason.is_servers() {
                reached.slot.observe(false);
            }
            break failure;
        }
        if reached.reused && failure.reason == Reason::ServerClosed {
            // It had closed a kept connection: nothing is wrong with the server, so it is asked again, on a new one.
            match quest.connect(reached.slot, client.told(), record).await {
                Ok(again) => fresh = again,
                Err(reason) => {
                    break Failure { reason, heard: Heard::Nothing, untouched: true };
                }
            }
            continue;
        }
        reached.slot.observe(false);
        if !quest.retry(reached.slot.server, record) {
            break failure;
        }
    };
    conclude(client, errand, failure, record).await
}

/// Sends the client to the server that it waited for.
async fn send_on(
    client: &mut Client<'_>,
    slot: Slot<'_>,
    target: &RedirectTo,
    errand: &Errand<'_>,
    record: &mut Record,
) -> Then {
    let (meta, mut traits) = (client.meta, errand.traits);
    traits.keep_alive &= !meta.context.shared.is_draining();
    let mut bytes = meta.context.buffer();
    let path = errand.path_and_query();
    record.redirect(slot.backend, slot.server);
    record.status = write_redirect(&mut bytes, meta, traits, errand.route, slot.backend, target, path);
    slot.send_abroad();
    send(client, bytes, Vec::new(), None, &errand.body, traits, record).await
}

/// Tells the client of a failure, or breaks off if it has had a part of an answer.
async fn conclude(client: &mut Client<'_>, errand: &Errand<'_>, failure: Failure, record: &mut Record) -> Then {
    record.fail(failure.reason);
    match failure.heard {
        Heard::Nothing => {}
        Heard::Part => return Then::Close,
        Heard::PartWithoutEnd => return Then::Cut,
    }
    if matches!(failure.reason, Reason::ClientGone | Reason::ClientTimeout) {
        return Then::Cut;
    }
    let body_done = errand.body.is_done();
    let keep = errand.traits.keep_alive && body_done && !client.meta.context.shared.is_draining();
    let retry_after = record.backend.map(|backend| {
        let shared = &client.meta.context.shared;
        shared.config.backends[usize::from(backend.0)].retry_after
    });
    client.answer_error(failure.reason, keep, errand.traits.is_head, retry_after, record).await;
    client.after(keep, body_done)
}

/// Sends the request on one connection and brings the answer back.
async fn attempt<'a>(
    client: &mut Client<'_>,
    reached: Reached<'a>,
    errand: &mut Errand<'_>,
    may_retry: bool,
    record: &mut Record,
) -> Result<Then, (Failure, Reached<'a>)> {
    let context = client.meta.context;
    let stream = client.meta.stream(errand.route);
    let usual = context.shared.config.backends[usize::from(reached.slot.backend.0)].timeouts.server;
    let timeout = stream.map_or(usual, |stream| stream.idle);
    // What the server's machine had acknowledged before tells afterwards whether it saw any of this request.
    let matters = reached.reused && !errand.traits.is_idempotent;
    let acked_before = matters.then(|| reached.stream.bytes_acked()).flatten();
    if let Err(halt) = begin(client, &reached, errand, timeout).await {
        let reason = halt.at_server();
        let untouched = is_untouched(&reached.stream, acked_before);
        return Err((Failure { reason, heard: Heard::Nothing, untouched }, reached));
    }
    let downstream = Downstream {
        meta: client.meta,
        client: &client.stream,
        server: &reached.stream,
        traits: errand.traits,
        route: errand.route,
        timeout,
        sent: Instant::now(),
        upload: None,
        repeatable: may_retry && errand.traits.is_idempotent && errand.whole && errand.body.is_done(),
        is_stream: stream.is_some(),
        slot: &reached.slot,
    };
    let answered = if errand.body.is_done() {
        let watch = Some(Watch::new(&client.stream));
        receive(&downstream, watch, &mut client.timer, record).await
    } else {
        let (carry, timer) = (&mut client.carry, &mut client.timer);
        let progress = Upload::new(Instant::now());
        let answered = Box::pin(both_ways(downstream, &mut errand.body, carry, timer, &progress, record)).await;
        errand.whole &= !progress.has_begun.get();
        answered
    };
    match answered {
        Answered::Whole { keep_server, keep_client } => {
            record.end();
            reached.slot.observe(!matches!(record.status, 500 | 502..=504));
            if keep_server && errand.body.is_done() {
                reached.slot.keep(reached.stream, Instant::now());
            }
            Ok(client.after(keep_client, errand.body.is_done()))
        }
        Answered::SendFile(named) => {
            reached.slot.observe(true);
            let place = (reached.slot.backend, reached.slot.server);
            if errand.body.is_done() {
                reached.slot.keep(reached.stream, Instant::now());
            }
            Ok(Box::pin(send_named(client, place, *named, errand, record)).await)
        }
        Answered::Switched => {
            let timeout = client.meta.configured().timeouts.tunnel;
            Ok(Box::pin(switch(client, reached, timeout, record)).await)
        }
        Answered::Failed { reason, heard } => {
            let untouched = reason == Reason::ServerClosed && is_untouched(&reached.stream, acked_before);
            Err((Failure { reason, heard, untouched }, reached))
        }
    }
}

/// Sends what there is of the request.
async fn begin(
    client: &mut Client<'_>,
    reached: &Reached<'_>,
    errand: &Errand<'_>,
    timeout: std::time::Duration,
) -> Result<(), Halt> {
    reached.stream.begin(Begin {
        ready: errand.request.len(),
        body: errand.body.clone(),
        is_head: errand.traits.is_head,
        expects_continue: errand.traits.expects_continue,
    });
    match preface(&reached.slot, client.told()) {
        None => write_all(&reached.stream, &mut client.timer, timeout, errand.request).await,
        Some(mut bytes) => {
            bytes.extend_from_slice(errand.request);
            write_all(&reached.stream, &mut client.timer, timeout, &bytes).await
        }
    }
}

/// Sends the file that an application names.
async fn send_named(
    client: &mut Client<'_>,
    (backend, server): (BackendIndex, ServerIndex),
    mut named: Named,
    errand: &mut Errand<'_>,
    record: &mut Record,
) -> Then {
    let shared = &client.meta.context.shared;
    let application = shared.config.backends[usize::from(backend.0)].application.as_ref();
    let send_file = application.and_then(|application| application.send_file.as_ref());
    let found = send_file.and_then(|send_file| Some((send_file.handler, named.beneath(send_file)?)));
    let (Some((handler, below)), Some(head)) = (found, errand.head.take()) else {
        let path = String::from_utf8_lossy(&named.path).into_owned();
        shared.complain(backend, server, format!("X-Sendfile: {path} is not in sendfile-root").as_bytes());
        let keep = errand.traits.keep_alive && errand.body.is_done();
        client.answer_error(Reason::ServerMalformed, keep, errand.traits.is_head, None, record).await;
        return client.after(keep, errand.body.is_done());
    };
    named.path = below;
    let traits = Traits { keep_alive: errand.traits.keep_alive && errand.body.is_done(), ..errand.traits };
    ask(client, handler, head, Some(named), &errand.body, traits, errand.route, record).await
}

/// Whether the server's machine acknowledged nothing since `acked_before`: then the server read nothing either. Or the
/// server says so.
fn is_untouched(server: &Stream, acked_before: Option<u64>) -> bool {
    if server.is_untouched() {
        return true;
    }
    let Some(before) = acked_before else {
        return false;
    };
    server.bytes_acked() == Some(before)
}

/// Sends the rest of the body while the answer may already be coming.
async fn both_ways<'a>(
    mut downstream: Downstream<'a>,
    body: &mut Body,
    carry: &mut Vec<u8>,
    timer: &mut Timer,
    progress: &'a Upload,
    record: &mut Record,
) -> Answered {
    downstream.upload = Some(progress);
    let mut upload_timer = Timer::new(downstream.timeout);
    let mut uploaded = 0;
    let (meta, from, to) = (downstream.meta, downstream.client, downstream.server);
    let answered = {
        let idle = meta.stream(downstream.route).map_or(meta.configured().timeouts.idle, |stream| stream.idle);
        let patience = Patience { from: idle, to: downstream.timeout };
        let sending = upload(meta, from, to, body, carry, patience, &mut upload_timer, progress, &mut uploaded);
        let mut sending = std::pin::pin!(sending);
        let mut receiving = std::pin::pin!(receive(&downstream, None, timer, record));
        let mut sent = false;
        poll_fn(|cx| {
            if !sent && let Poll::Ready(end) = sending.as_mut().poll(cx) {
                match end {
                    // A server that stops reading may have answered already.
                    Ok(()) | Err(UploadEnd::Server) => sent = true,
                    Err(UploadEnd::Client(reason)) => {
                        let heard = if progress.answering.get() { Heard::PartWithoutEnd } else { Heard::Nothing };
                        return Poll::Ready(Answered::Failed { reason, heard });
                    }
                }
            }
            receiving.as_mut().poll(cx)
        })
        .await
    };
    record.bytes_in += uploaded;
    answered
}

/// Both sides have agreed to speak something else from here on.
async fn switch(
    client: &mut Client<'_>,
    reached: Reached<'_>,
    timeout: std::time::Duration,
    record: &mut Record,
) -> Then {
    let early = std::mem::take(&mut client.carry);
    let tunnelled = tunnel(client.meta.context, &client.stream, &reached.stream, &early, timeout).await;
    record.bytes_in += tunnelled.to_server;
    record.bytes_out += tunnelled.to_client;
    reached.slot.observe(true);
    match tunnelled.halt {
        None => {
            record.end();
            Then::Close
        }
        Some((Side::Client, halt)) => {
            record.fail(halt.at_client());
            Then::Cut
        }
        Some((Side::Server, halt)) => {
            record.fail(halt.within_answer());
            Then::Cut
        }
    }
}
